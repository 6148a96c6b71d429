"""Telling owners of incidents, notices and failed tasks over the channels that Airflow has a connection for.

A channel that does not take a message never stops the data: it stays untold in `ops.incident` or `ops.notice`, and
`tell_pending` tries again with the next ingestion. What the messages say is the business of `adventureworks.incidents`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from itertools import groupby
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from adventureworks import incidents
from adventureworks.catalog import marts_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.incidents import Finding, Incident, ledger, messages, notices
from adventureworks.incidents.notices import Notice
from adventureworks.incidents.privacy import plain_line
from adventureworks.settings import Settings, settings
from adventureworks.warehouse import open_warehouse

SENDER = "adventureworks@localhost"
SLACK_TIMEOUT_SECONDS = 10
MOST_FAILURES = 2
"""A channel that fails so often in a row is left alone until the next run: one message may be at fault, not two."""

About = Sequence[Incident] | Notice
"""What one message is about."""

log = logging.getLogger(__name__)


class Channel(Protocol):
    """A way to reach the owners."""

    name: str

    def recipient(self, owner: str) -> str:
        """Where this owner is told."""
        ...

    def send(self, about: About, recipient: str) -> None:
        """Sends one message; raises whatever goes wrong."""
        ...


class Slack:
    """The Slack channel behind one incoming webhook."""

    name = "slack"

    def __init__(self, connection_id: str, ui_url: str) -> None:
        self._connection_id = connection_id
        self._ui_url = ui_url

    def recipient(self, owner: str) -> str:
        """The webhook has one channel for everybody."""
        return self._connection_id

    def send(self, about: About, recipient: str) -> None:
        """Posts one message; AirflowException where Slack answers anything but 200."""
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        if isinstance(about, Notice):
            message = messages.slack_notice(about, self._ui_url)
        else:
            message = messages.slack(about, self._ui_url)
        # Without Slack's own retries and log lines: a second try is ours to make, and the address is a secret.
        quiet = logging.getLogger(f"{__name__}.slack")
        quiet.setLevel(logging.CRITICAL)
        hook = SlackWebhookHook(
            slack_webhook_conn_id=recipient, timeout=SLACK_TIMEOUT_SECONDS, retry_handlers=[], logger=quiet
        )
        hook.send(text=message.text, blocks=message.blocks, unfurl_links=False, unfurl_media=False)


class Email:
    """E-mail to the owner of the asset."""

    name = "email"

    def __init__(self, connection_id: str, ui_url: str, addresses: Mapping[str, str]) -> None:
        self._connection_id = connection_id
        self._ui_url = ui_url
        self._addresses = addresses

    def recipient(self, owner: str) -> str:
        """The owner's address."""
        return self._addresses.get(owner, f"{owner}@localhost")

    def send(self, about: About, recipient: str) -> None:
        """Sends one mail; SMTPException or OSError where the server does not take it."""
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        with SmtpHook(smtp_conn_id=self._connection_id) as hook:
            mail = self._mail(about, recipient, hook.from_email or SENDER)
            # The hook's own method sends no text part, and tries six times whatever the server says.
            hook._smtp_client.send_message(mail)  # type: ignore[union-attr]

    def _mail(self, about: About, recipient: str, sender: str) -> EmailMessage:
        if isinstance(about, Notice):
            content = messages.mail_notice(about, self._ui_url)
        else:
            content = messages.mail(about, self._ui_url)
        mail = EmailMessage()
        mail["Subject"] = content.subject
        mail["From"] = sender
        mail["To"] = recipient
        mail["Date"] = formatdate()
        mail["Auto-Submitted"] = "auto-generated"
        domain = sender.rpartition("@")[2].strip(" >") or "localhost"
        if isinstance(about, Notice):
            mail["Message-ID"] = f"<{about.notice_id}@{domain}>"
        elif len(about) == 1:
            # The recovery answers the report, so that mail programs show them as one conversation.
            identity = f"{about[0].incident_id}@{domain}"
            mail["Message-ID"] = f"<{about[0].status}.{about[0].seen_count}.{identity}>"
            mail["References"] = f"<{identity}>"
        else:
            mail["Message-ID"] = make_msgid(domain=domain)
        mail.set_content(content.text)
        mail.add_alternative(content.html, subtype="html")
        return mail


def tell(opened: Sequence[Incident], resolved: Sequence[Incident] = (), left: Sequence[Notice] = ()) -> None:
    """Logs these incidents and notices and sends what their owners do not know yet.

    Call it after the commit; never raises.
    """
    for incident in opened:
        log.log(logging.ERROR if incident.severity == "error" else logging.WARNING, "%s", messages.log_line(incident))
    for incident in resolved:
        log.info("%s", messages.log_line(incident))
    for notice in left:
        log.info("%s", notice.digest.subject)
    incident_ids = [incident.incident_id for incident in (*opened, *resolved)]
    notice_ids = [notice.notice_id for notice in left]
    if incident_ids or notice_ids:
        _deliver(incident_ids, notice_ids)


def tell_pending() -> None:
    """Sends what a channel did not take before, or could not because it was not configured; never raises."""
    _deliver(None, None)


def on_task_failure(context: Mapping[str, Any]) -> None:
    """Opens an incident for a task that failed for good, and tells its owner; never raises.

    A blocked table whose incident is open is not reported a second time.
    """
    try:
        finding = _finding(context)
        with open_warehouse(settings()).connect("incidents") as connection:
            known = {incident.rule for incident in incidents.open_incidents(connection, finding.asset)}
            if _blocked_table(context) and finding.rule in known:
                return
            opened = incidents.report(connection, [finding])
        tell(opened)
    except Exception as error:
        log.error("The failure of the task could not be recorded: %s", _reason(error))


def on_task_success(context: Mapping[str, Any]) -> None:
    """Resolves the incident of a task that succeeds again, and tells its owner; never raises.

    A mapped task is whole again when a task that needs all of its instances succeeds.
    """
    try:
        instance, task = context["ti"], context["task"]
        over = set() if instance.map_index >= 0 else {task.task_id}
        if task.trigger_rule == "all_success":
            over |= set(task.upstream_task_ids)
        rules = {f"{messages.TASK_RULE}{name}" for name in over}
        with open_warehouse(settings()).connect("incidents") as connection:
            known = {incident.rule for incident in incidents.open_incidents(connection, instance.dag_id)}
            if not known & rules:
                return
            resolved = incidents.resolve(connection, instance.dag_id, keep=known - rules, run_id=_run_id(instance))
        tell((), resolved)
    except Exception as error:
        log.error("The recovery of the task could not be recorded: %s", _reason(error))


def _deliver(incident_ids: Collection[str] | None, notice_ids: Collection[str] | None) -> None:
    try:
        channels = list(_configured_channels(settings()))
        if not channels:
            log.info("No connection to Slack or to a mail server is configured. See: adventureworks status")
            return
        with open_warehouse(settings()).connect("incidents") as connection:
            for channel in channels:
                batches = _batches(channel, ledger.take_news(connection, channel.name, incident_ids))
                untold = notices.take_untold(connection, channel.name, notice_ids)
                alone = ((channel.recipient(notice.owner), notice) for notice in untold)
                _deliver_over(channel, connection, (*batches, *alone))
                # What a channel took stays told, whatever becomes of the next one.
                connection.commit()
    except Exception as error:
        log.error("Messages wait for the next run: %s", _reason(error))


def _deliver_over(channel: Channel, connection: ledger.Connection, mails: Sequence[tuple[str, About]]) -> None:
    failures = 0
    for recipient, about in mails:
        try:
            channel.send(about, recipient)
        except Exception as error:
            failures += 1
            assets = ", ".join(sorted({one.asset for one in ([about] if isinstance(about, Notice) else about)}))
            log.warning("No %s message about %s: %s. The next run tries again.", channel.name, assets, _reason(error))
            if failures == MOST_FAILURES:
                return
        else:
            failures = 0
            if isinstance(about, Notice):
                notices.mark_told(connection, channel.name, about)
            else:
                ledger.mark_told(connection, channel.name, about)


def _batches(channel: Channel, news: Sequence[Incident]) -> Iterator[tuple[str, Sequence[Incident]]]:
    """Recipient and incidents of each message: one message for each, but one for all where there are many."""

    def kind(incident: Incident) -> tuple[bool, str]:
        return incident.status == "open", channel.recipient(incident.owner)

    for (_, recipient), group in groupby(sorted(news, key=kind), key=kind):
        batch = list(group)
        if len(batch) > messages.MOST_AT_ONCE:
            yield recipient, batch
        else:
            yield from ((recipient, [incident]) for incident in batch)


def _configured_channels(known: Settings) -> Iterator[Channel]:
    ui_url = _ui_url(known)
    if _is_configured(known.slack_connection):
        yield Slack(known.slack_connection, ui_url)
    if _is_configured(known.smtp_connection):
        yield Email(known.smtp_connection, ui_url, known.owner_emails)


def _is_configured(connection_id: str) -> bool:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        return False
    return True


def _ui_url(known: Settings) -> str:
    from airflow.sdk.configuration import conf

    return known.ui_url or str(conf.get("api", "base_url", fallback="") or "")


def _finding(context: Mapping[str, Any]) -> Finding:
    """What a failed task means: a table that is blocked, or the task itself."""
    instance = context["ti"]
    error = _platform_error(context.get("exception"))
    blocked = _blocked_table(context)
    cause = error.cause if error else _cause(context.get("exception"))
    read_log = (
        f"Read the task's log: {instance.log_url} Mend the cause, then clear the task: it takes up where it stopped."
    )
    name = getattr(instance, "rendered_map_index", None)
    task = f"{instance.task_id} [{name}]" if name else instance.task_id
    marts = marts_of(instance.dag_id)
    return Finding(
        asset=blocked.table if blocked else instance.dag_id,
        rule=blocked.rule if blocked else f"{messages.TASK_RULE}{instance.task_id}",
        severity="error",
        summary=plain_line(cause if blocked else f"Task {task} failed: {cause}", _secrets(settings())),
        failed=None,
        total=None,
        examples=(),
        next_step=error.next_step if error and error.next_step else read_log,
        run_id=_run_id(instance),
        owner=marts[0].owner if marts else "platform",
    )


def _run_id(instance: Any) -> str:
    return f"{instance.dag_id}/{instance.run_id}"


def _blocked_table(context: Mapping[str, Any]) -> TableBlocked | None:
    error = _platform_error(context.get("exception"))
    return error if isinstance(error, TableBlocked) else None


def _platform_error(error: object) -> PlatformError | None:
    """The error that a person can mend, among an exception and those that led to it."""
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        if isinstance(error, PlatformError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _cause(error: object) -> str:
    if not isinstance(error, BaseException):
        return str(error or "no exception was given.")
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _secrets(known: Settings) -> set[str]:
    """The passwords in the platform's own URLs, as written and decoded."""
    found: set[str] = set()
    for url in (known.warehouse_url, known.source_url):
        password = urlsplit(url.get_secret_value()).password if url else None
        if password:
            found |= {password, unquote(password)}
    return found


def _reason(error: Exception) -> str:
    """Why something was not sent, without anything that a server or an address may give away."""
    if isinstance(error, PlatformError):
        return error.cause.rstrip(".")
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    status = getattr(error, "smtp_code", None) or _http_status(error)
    if status:
        return f"the server answers {status}"
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__


def _http_status(error: Exception) -> str | None:
    # The provider's hook tells the status in the text of its exception only.
    match = re.search(r"Status Code: (\d{3})", str(error))
    return match[1] if match else None
