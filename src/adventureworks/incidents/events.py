"""The events that incidents record: one function per code, with the parameters that its sentences need.

`adventureworks.messaging.wording` holds the sentences. Codes and parameter names are stored in `ops.incident`: renaming
or removing one requires a migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adventureworks.errors import Step
from adventureworks.texts import Phrases

Parameter = str | int | Mapping[str, int] | list[Any]
"""A value that JSON can hold. Times are in ISO format, months are 'YYYY-MM', a list is `Phrases.stored`."""


@dataclass(frozen=True)
class Event:
    """What happened: a code and the parameters of its sentences.

    Causes are technical texts, quoted as they are in every language. `next_step` and `command`, the two parts of an
    error's advice, are of the same kind: unless both are empty, they replace the next steps that belong to the code.
    """

    code: str
    parameters: Mapping[str, Parameter]


def recorded(summary: str, next_step: Step) -> Event:
    """An event of a version that stored finished sentences."""
    return Event("recorded", {"summary": summary, **_parts(next_step)})


def blocked(
    cause: str,
    *,
    has_version: bool,
    waiting: Mapping[str, int] | None = None,
    accept: str = "",
    next_step: Step | None = None,
) -> Event:
    """A table that may not be published.

    `has_version`: whether an older version stays published. `waiting`: rows of other tables that wait for it, by table.
    `accept`: the command that publishes it anyway, if there is one.
    """
    held: dict[str, Parameter] = {"waiting": waiting or {}, "has_version": has_version}
    return Event("blocked", {"cause": cause, **held, "accept": accept, **_parts(next_step or Step())})


def refused(cause: str, *, has_version: bool, accept: str = "") -> Event:
    """A mart that did not pass its gate; `has_version` and `accept`: see `blocked`."""
    return Event("refused", {"cause": cause, "has_version": has_version, "accept": accept})


def verdict_unknown(cause: str, next_step: Step) -> Event:
    """A table whose verdict could not be looked up."""
    return Event("verdict_unknown", {"cause": cause, **_parts(next_step)})


def rows_set_aside(cause: str, published_rows: int, waiting: Mapping[str, int] | None = None) -> Event:
    """Rows in quarantine because they break a rule; `cause` is the rule's message."""
    return Event("rows_set_aside", {"cause": cause, "published_rows": published_rows, "waiting": waiting or {}})


def unusual_change(cause: str) -> Event:
    """A published change with an unusual shape."""
    return Event("unusual_change", {"cause": cause})


def task_failed(task: str, cause: str, log: str, next_step: Step) -> Event:
    """A task that failed permanently; `log` is the address of its log."""
    return Event("task_failed", {"task": task, "cause": cause, "log": log, **_parts(next_step)})


def task_killed(task: str, since: datetime) -> Event:
    """A task that ended without reporting its failure."""
    return Event("task_killed", {"task": task, "since": since.isoformat()})


def late(since: datetime, reason: Phrases, dag: str, *, paused: bool) -> Event:
    """A mart that was not updated in time after its inputs; `reason`: why it is due."""
    held: dict[str, Parameter] = {"since": since.isoformat(), "reason": reason.stored}
    return Event("late", {**held, "dag": dag, "paused": paused, "start": _start(dag, paused)})


def promise_missed(since: datetime, minutes: int) -> Event:
    """A source table with a change that was not published within the promised number of minutes."""
    return Event("promise_missed", {"since": since.isoformat(), "minutes": minutes})


def not_run(since: datetime, dag: str, *, paused: bool) -> Event:
    """A source that was not checked for changes in time."""
    return Event("not_run", {"since": since.isoformat(), "paused": paused, "start": _start(dag, paused)})


def database_silent(since: datetime) -> Event:
    """Airflow's database does not respond."""
    return Event("database_silent", {"since": since.isoformat()})


def scheduler_stopped(since: datetime) -> Event:
    """Airflow's scheduler sends no heartbeat."""
    return Event("scheduler_stopped", {"since": since.isoformat()})


def dag_processor_stopped(since: datetime) -> Event:
    """Airflow's DAG processor sends no heartbeat."""
    return Event("dag_processor_stopped", {"since": since.isoformat()})


def triggerer_stopped(since: datetime) -> Event:
    """Airflow's triggerer sends no heartbeat."""
    return Event("triggerer_stopped", {"since": since.isoformat()})


def report_not_delivered(month: str, cause: str, next_step: Step) -> Event:
    """The reports for a month ('YYYY-MM') that could not be rendered or filed."""
    return Event("report_not_delivered", {"month": month, "cause": cause, **_parts(next_step)})


def digest_failed(digest: str, cause: str, next_step: Step) -> Event:
    """A digest that could not be created."""
    return Event("digest_failed", {"digest": digest, "cause": cause, **_parts(next_step)})


def announcement_failed(month: str, cause: str, next_step: Step) -> Event:
    """The message about the reports for a month ('YYYY-MM') that could not be created."""
    return Event("announcement_failed", {"month": month, "cause": cause, **_parts(next_step)})


def announcements_failed(cause: str, next_step: Step) -> Event:
    """The message about the reports for several months that could not be created."""
    return Event("announcements_failed", {"cause": cause, **_parts(next_step)})


def routes_invalid(cause: str, next_step: Step) -> Event:
    """The routes name no valid recipients."""
    return Event("routes_invalid", {"cause": cause, **_parts(next_step)})


def incident_messages_failed(cause: str, next_step: Step) -> Event:
    """Messages about incidents that could not be created."""
    return Event("incident_messages_failed", {"cause": cause, **_parts(next_step)})


def reader_messages_failed(cause: str, next_step: Step) -> Event:
    """Digests or report announcements that could not be created."""
    return Event("reader_messages_failed", {"cause": cause, **_parts(next_step)})


def sweep_failed(cause: str, next_step: Step) -> Event:
    """A watch that could not check for unreported failures."""
    return Event("sweep_failed", {"cause": cause, **_parts(next_step)})


def _parts(next_step: Step) -> Mapping[str, str]:
    return {"next_step": next_step.sentence, "command": next_step.command}


def _start(dag: str, paused: bool) -> str:
    return f"airflow dags {'unpause' if paused else 'trigger'} {dag}"
