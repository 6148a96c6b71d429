"""Telling owners of incidents, notices and failed tasks.

What is to be told goes into the outbox, and from there at once over the channels that Airflow has a connection for. A
channel that does not take a message never stops the data: the message waits in `ops.outbox` for the next try, here or
by `adventureworks watch`. What the messages say is the business of `adventureworks.incidents`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from adventureworks import incidents
from adventureworks.catalog import marts_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.incidents import Finding, Incident
from adventureworks.incidents.ledger import READ_LOG, resolve_rules, task_rule
from adventureworks.incidents.privacy import plain_line
from adventureworks.messaging import incident_messages, self_incidents
from adventureworks.messaging.composing import compose
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import routes
from adventureworks.messaging.sending import send_due
from adventureworks.orchestration import channels
from adventureworks.orchestration.storage import report_folder
from adventureworks.reports import mailing
from adventureworks.reports.delivery import NotDelivered
from adventureworks.settings import Settings, settings
from adventureworks.warehouse import Warehouse, open_warehouse

log = logging.getLogger(__name__)


def tell(opened: Sequence[Incident], resolved: Sequence[Incident] = (), left: Sequence[Notice] = ()) -> None:
    """Logs these incidents and notices and sends what their owners do not know yet.

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
    for notice in left:
        log.info("%s", notice.digest.subject)
    if opened or resolved or left:
        _deliver()


def tell_pending() -> None:
    """Sends what a channel did not take before, or could not because it was not configured; never raises."""
    _deliver()


def on_task_failure(context: Mapping[str, Any]) -> None:
    """Opens an incident for a task that failed for good, and tells its owner; never raises.

    A blocked table whose incident is open is not reported a second time.
    """
    try:
        if isinstance(_platform_error(context.get("exception")), NotDelivered):
            # Each month that failed has its incident.
            return
        finding = _finding(context)
        with open_warehouse(settings()).connect("incidents") as connection:
            known = {incident.rule for incident in incidents.open_incidents(connection, finding.asset)}
            if _blocked_table(context) and finding.rule in known:
                return
            opened = incidents.report(connection, [finding])
        tell(opened)
    except Exception as error:
        log.error("The failure of the task could not be recorded: %s", channels.reason(error))


def on_task_success(context: Mapping[str, Any]) -> None:
    """Resolves the incident of a task that succeeds again, and tells its owner; never raises.

    A mapped task is whole again when a task that needs all of its instances succeeds.
    """
    try:
        instance, task = context["ti"], context["task"]
        over = set() if instance.map_index >= 0 else {task.task_id}
        if task.trigger_rule == "all_success":
            over |= set(task.upstream_task_ids)
        rules = {task_rule(name) for name in over}
        with open_warehouse(settings()).connect("incidents") as connection:
            resolved = resolve_rules(connection, instance.dag_id, rules, run_id=_run_id(instance))
        tell((), resolved)
    except Exception as error:
        log.error("The recovery of the task could not be recorded: %s", channels.reason(error))


def tell_readers() -> None:
    """Puts the digests that are due and the news of monthly reports into the outbox, and sends what waits."""
    _deliver(readers=True)


def _deliver(readers: bool = False) -> None:
    try:
        known = settings()
        reachable = channels.configured(known)
        if not reachable:
            log.info("No connection to Slack or to a mail server is configured. See: adventureworks status")
            return
        warehouse = open_warehouse(known)
        _compose(warehouse, known, tuple(reachable), readers)
        send_due(lambda: warehouse.connect("send messages"), reachable, environment=known.environment)
    except Exception as error:
        log.error("Messages wait for the next run: %s", channels.reason(error))


def _compose(warehouse: Warehouse, known: Settings, reachable: Sequence[str], readers: bool) -> None:
    """Puts into the outbox what is to be told. What cannot be worded is an incident of the platform."""
    troubles: dict[str, BaseException | None] = {self_incidents.ROUTES: None}
    try:
        recipients = _recipients(known, reachable)
    except PlatformError as error:
        log.error("%s", error)
        troubles[self_incidents.ROUTES] = error
        # Only this is told by the usual routes: they reach the platform's owner, not those of one's own.
        recipients = _recipients(known.model_copy(update={"routes": None}), reachable)
    else:
        troubles[self_incidents.INCIDENTS] = _compose_incidents(warehouse, recipients)
        if readers:
            troubles[self_incidents.READERS] = _compose_for_readers(warehouse, known, recipients)
    with warehouse.connect("compose messages") as connection:
        notes = [
            self_incidents.record(connection, rule, cause_of(error) if error else "", getattr(error, "next_step", ""))
            for rule, error in troubles.items()
        ]
        if any(notes):
            compose(connection, recipients, datetime.now(UTC), only=self_incidents.ASSET)


def _recipients(known: Settings, reachable: Sequence[str]) -> Recipients:
    return Recipients(routes(known), reachable, known.slack_connection, channels.ui_url(known))


def _compose_incidents(warehouse: Warehouse, recipients: Recipients) -> BaseException | None:
    try:
        with warehouse.connect("compose messages") as connection:
            errors = compose(connection, recipients, datetime.now(UTC))
    except ServiceUnavailable:
        raise
    except Exception as error:
        log.exception("No message about incidents could be made.")
        return error
    return errors[0] if errors else None


def _compose_for_readers(warehouse: Warehouse, known: Settings, recipients: Recipients) -> Exception | None:
    """Messages about incidents do not wait for a digest that cannot be made."""
    try:
        with warehouse.connect("compose digests") as connection:
            mailing.compose(connection, recipients, report_folder(known), datetime.now(UTC))
    except Exception as error:
        log.error("No digest could be made: %s", error if isinstance(error, PlatformError) else type(error).__name__)
        return error
    return None


def cause_of(error: BaseException) -> str:
    """What went wrong, in one line without secrets."""
    cause = error.cause if isinstance(error, PlatformError) else _cause(error)
    return plain_line(cause, _secrets(settings()))


def _finding(context: Mapping[str, Any]) -> Finding:
    """What a failed task means: a table that is blocked, or the task itself."""
    instance = context["ti"]
    error = _platform_error(context.get("exception"))
    blocked = _blocked_table(context)
    cause = error.cause if error else _cause(context.get("exception"))
    read_log = f"{READ_LOG}: {instance.log_url} Fix the cause, then clear the task: it continues where it stopped."
    name = getattr(instance, "rendered_map_index", None)
    task = f"{instance.task_id} [{name}]" if name else instance.task_id
    marts = marts_of(instance.dag_id)
    return Finding(
        asset=blocked.table if blocked else instance.dag_id,
        rule=blocked.rule if blocked else task_rule(instance.task_id),
        severity="error",
        summary=plain_line(cause if blocked else f"Task {task} failed: {cause}", _secrets(settings())),
        next_step=error.next_step if error and error.next_step else read_log,
        run_id=_run_id(instance),
        owner=marts[0].owner if marts else "platform",
        cause=plain_line(blocked.detail if blocked else cause, _secrets(settings())),
    )


def _run_id(instance: Any) -> str:
    return f"{instance.dag_id}/{instance.run_id}"


def _blocked_table(context: Mapping[str, Any]) -> TableBlocked | None:
    error = _platform_error(context.get("exception"))
    return error if isinstance(error, TableBlocked) else None


def _platform_error(error: object) -> PlatformError | None:
    """The error that a person can fix, among an exception and those that led to it."""
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
    """What is secret in the settings: passwords in addresses, as written and decoded, and any other secret whole."""
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
        # No address that the library can take apart; what stands before the host is the login.
        return url.partition("://")[2].rpartition("@")[0].partition(":")[2]
