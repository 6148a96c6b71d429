"""Notifies owners of incidents, notices and failed tasks, and readers of digests and reports.

Messages go into the outbox and are sent at once over the channels for which Airflow has a connection. A channel that
does not accept a message never stops the data: the message waits in `ops.outbox` for the next attempt, here or by
`adventureworks watch`. `adventureworks.messaging` determines the content of the messages.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from adventureworks import incidents
from adventureworks.errors import PlatformError, ServiceUnavailable, Step, TableBlocked
from adventureworks.incidents import Finding, Incident, events
from adventureworks.incidents.ledger import resolve_rules, task_rule, task_rules
from adventureworks.incidents.privacy import plain_line
from adventureworks.messaging import incident_messages, notice_wording, self_incidents
from adventureworks.messaging.composing import compose
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import routes
from adventureworks.messaging.sending import send_due
from adventureworks.messaging.wording import ENGLISH
from adventureworks.orchestration import channels
from adventureworks.orchestration.storage import report_folder
from adventureworks.reports import mailing
from adventureworks.reports.delivery import NotDelivered
from adventureworks.settings import Settings, settings
from adventureworks.warehouse import Warehouse, open_records, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.steps import shown_task

log = logging.getLogger(__name__)


def notify_owners(
    opened: Sequence[Incident], resolved: Sequence[Incident] = (), notices: Sequence[Notice] = ()
) -> None:
    """Log these incidents and notices and send everything that is pending to their owners.

    Call it after the commit; never raises.
    """
    for incident in opened:
        log.log(
            logging.ERROR if incident.severity == "error" else logging.WARNING,
            "%s",
            incident_messages.log_line(incident),
        )
    for incident in resolved:
        log.info("%s", incident_messages.log_line(incident))
    for notice in notices:
        log.info("%s", notice_wording.words(notice.digest, ENGLISH).subject)
    if opened or resolved or notices:
        _deliver()


def send_pending() -> None:
    """Send messages that a channel did not accept before or that had no configured channel; never raises."""
    _deliver()


def on_task_failure(context: Mapping[str, Any]) -> None:
    """Open an incident for a task that failed permanently and notify its owner; never raises.

    A blocked table that already has an open incident is not reported again.
    """
    try:
        if isinstance(_platform_error(context.get("exception")), NotDelivered):
            # Each month whose delivery failed has its own incident.
            return
        with open_records(settings()).connect("incidents") as records:
            finding = _finding(context, records)
            known = {incident.rule for incident in incidents.open_incidents(records, finding.asset)}
            if _blocked_table(context) and finding.rule in known:
                return
            opened = incidents.report(records, [finding])
        notify_owners(opened)
    except Exception as error:
        log.error("The failure of the task could not be recorded: %s", channels.reason(error))


def on_task_success(context: Mapping[str, Any]) -> None:
    """Resolve the incident of a task that succeeds again and notify its owner; never raises.

    The incident of a mapped task is resolved when a task that depends on all of its instances succeeds.
    """
    try:
        instance, task = context["ti"], context["task"]
        recovered = set() if instance.map_index >= 0 else {task.task_id}
        if task.trigger_rule == "all_success":
            recovered |= set(task.upstream_task_ids)
        rules = {rule for name in recovered for rule in task_rules(name)}
        with open_records(settings()).connect("incidents") as records:
            resolved = resolve_rules(records, instance.dag_id, rules, run_id=_run_id(instance))
        notify_owners((), resolved)
    except Exception as error:
        log.error("The recovery of the task could not be recorded: %s", channels.reason(error))


def notify_readers() -> None:
    """Add digests that are due and announcements of monthly reports to the outbox, and send what is pending."""
    _deliver(readers=True)


def _deliver(readers: bool = False) -> None:
    try:
        known = settings()
        reachable = channels.configured(known)
        if not reachable:
            see = Step("See:", "adventureworks status")
            log.info("No connection to Slack or to a mail server is configured. %s", see)
            return
        records = open_records(known)
        _fill_outbox(open_warehouse(known), known, tuple(reachable), readers)
        send_due(lambda: records.connect("send messages"), reachable, environment=known.environment)
    except Exception as error:
        log.error("Messages wait for the next run: %s", channels.reason(error))


def _fill_outbox(warehouse: Warehouse, known: Settings, reachable: Sequence[str], readers: bool) -> None:
    """Compose all due messages into the outbox; a message that cannot be composed is an incident of the platform."""
    failures: dict[str, BaseException | None] = {self_incidents.ROUTES: None}
    try:
        recipients = _recipients(known, reachable)
    except PlatformError as error:
        log.error("%s", error)
        failures[self_incidents.ROUTES] = error
        # The default routes reach the platform's owner, not the configured recipients. Use them for this error only.
        recipients = _recipients(known.model_copy(update={"routes": None}), reachable)
    else:
        failures[self_incidents.INCIDENTS] = _compose_incident_messages(warehouse, recipients)
        if readers:
            failures[self_incidents.READERS] = _compose_digests(warehouse, known, recipients)
    with warehouse.connect("compose messages") as session:
        changed = [
            self_incidents.record(
                session.records, rule, cause_of(error) if error else "", getattr(error, "next_step", None)
            )
            for rule, error in failures.items()
        ]
        if any(changed):
            compose(session.records, recipients, datetime.now(UTC), only=self_incidents.ASSET)


def _recipients(known: Settings, reachable: Sequence[str]) -> Recipients:
    return Recipients(routes(known), reachable, known.slack_connection, channels.ui_url(known))


def _compose_incident_messages(warehouse: Warehouse, recipients: Recipients) -> BaseException | None:
    try:
        with warehouse.connect("compose messages") as session:
            errors = compose(session.records, recipients, datetime.now(UTC))
    except ServiceUnavailable:
        raise
    except Exception as error:
        log.exception("The messages about incidents could not be composed.")
        return error
    return errors[0] if errors else None


def _compose_digests(warehouse: Warehouse, known: Settings, recipients: Recipients) -> Exception | None:
    """Compose digests and announcements of reports; return the error, so that incident messages are not held up."""
    try:
        with warehouse.connect("compose digests") as session:
            mailing.compose(session, recipients, report_folder(known), datetime.now(UTC))
    except Exception as error:
        cause = error if isinstance(error, PlatformError) else type(error).__name__
        log.error("The digests could not be composed: %s", cause)
        return error
    return None


def cause_of(error: BaseException) -> str:
    """Return the cause of an error as one line without secrets."""
    cause = error.cause if isinstance(error, PlatformError) else _first_line(error)
    return plain_line(cause, _secrets(settings()))


def _finding(context: Mapping[str, Any], records: Connection) -> Finding:
    """Return the finding for a failed task: about the blocked table, or else about the task itself."""
    instance = context["ti"]
    error = _platform_error(context.get("exception"))
    blocked = _blocked_table(context)
    if blocked:
        cause = plain_line(blocked.detail, _secrets(settings()))
        has_version = publication.newest(records, blocked.table) is not None
        event = events.blocked(cause, has_version=has_version, next_step=blocked.next_step)
        return Finding(asset=blocked.table, rule=blocked.rule, event=event, run_id=_run_id(instance))
    cause = plain_line(error.cause if error else _first_line(context.get("exception")), _secrets(settings()))
    name = getattr(instance, "rendered_map_index", None)
    shown = shown_task(records, instance.dag_id, _run_id(instance), instance.task_id)
    task = f"{shown} [{name}]" if name else shown
    event = events.task_failed(task, cause, instance.log_url, error.next_step if error else Step())
    return Finding(asset=instance.dag_id, rule=task_rule(instance.task_id), event=event, run_id=_run_id(instance))


def _run_id(instance: Any) -> str:
    return f"{instance.dag_id}/{instance.run_id}"


def _blocked_table(context: Mapping[str, Any]) -> TableBlocked | None:
    error = _platform_error(context.get("exception"))
    return error if isinstance(error, TableBlocked) else None


def _platform_error(error: object) -> PlatformError | None:
    """Return the first PlatformError among an exception and its causes."""
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        if isinstance(error, PlatformError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _first_line(error: object) -> str:
    if not isinstance(error, BaseException):
        return str(error or "no exception was given.")
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _secrets(known: Settings) -> set[str]:
    """Return the secrets in the settings: passwords in URLs, as written and decoded, and all other secret values."""
    found: set[str] = set()
    for name in type(known).model_fields:
        value = getattr(known, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            continue
        if "://" in text:
            password = _password(text)
            found |= {password, unquote(password)}
        elif isinstance(value, SecretStr):
            found.add(text)
    return found - {""}


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        # urlsplit cannot parse this URL; the part before the host is the login.
        return url.partition("://")[2].rpartition("@")[0].partition(":")[2]
