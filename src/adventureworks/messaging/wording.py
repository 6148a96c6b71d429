"""What messages say about incidents: one table from the code of an event to its sentences, in every language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from adventureworks import texts
from adventureworks.errors import Step, as_typed
from adventureworks.incidents import Incident
from adventureworks.incidents.events import Parameter
from adventureworks.messaging.steps import as_text
from adventureworks.months import first_day
from adventureworks.texts import Language, Phrases

ENGLISH = texts.language("en")
"""The language of the log and of the command line."""


@dataclass(frozen=True)
class Words:
    """The sentences of an event.

    In the table they have placeholders: the parameters of the event, and `asset`, `rule` and `failed` of the incident.
    """

    summary: str
    steps: tuple[Step, ...] = (Step(command="adventureworks status {asset}"),)
    singular: str = ""
    """The summary if one row failed, where it differs."""
    state: str = ""
    """The state of the asset in a few words; by default it failed, or there is a warning."""

    @property
    def next_step(self) -> str:
        """Return what to do, as one line."""
        return as_text(self.steps)


def words(incident: Incident, language: Language = ENGLISH, zone: str = "UTC") -> Words:
    """Return the sentences of an incident in a language, with times in a time zone."""
    table, remarks = _table(language.code), _remarks(language.code)
    parameters = incident.event.parameters
    # A newer version of the platform may have recorded the incident.
    template = table.get(incident.event.code) or Words("{asset}: {rule}.")
    facts: Mapping[str, Parameter] = {"asset": incident.asset, "rule": incident.rule, "failed": incident.failed or 0}
    values = _Values({name: _shown(name, value, language, zone) for name, value in {**facts, **parameters}.items()})
    summary = template.singular if template.singular and incident.failed == 1 else template.summary
    added = [remarks[name][0 if value else 1] for name, value in parameters.items() if name in remarks]
    steps = tuple(Step(step.sentence.format_map(values), step.command.format_map(values)) for step in template.steps)
    if advice := Step(values.get("next_step", ""), values.get("command", "")):
        steps = (advice,)
    if parameters.get("accept"):
        steps += (Step(language.text("If this is intended:"), values["accept"]),)
    by_severity = language.text("failed") if incident.severity == "error" else language.text("warning")
    return Words(
        summary=" ".join(sentence.format_map(values) for sentence in (summary, *added) if sentence),
        steps=tuple(Step(step.sentence, as_typed(step.command)) for step in steps),
        state=template.state or by_severity,
    )


class _Values(dict[str, str]):
    """The values of placeholders. A version that did not have a parameter yet may have recorded the event."""

    def __missing__(self, name: str) -> str:
        return "?"


def moment(when: datetime, language: Language, zone: str) -> str:
    """Return a point in time in the recipient's time zone."""
    return language.moment(when.astimezone(ZoneInfo(zone)))


def _shown(name: str, value: Parameter, language: Language, zone: str) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{table} ({language.number(rows)})" for table, rows in sorted(value.items()))
    # Versions before stored a reason as an English text.
    if isinstance(value, list):
        return Phrases.restored(value).shown(language)
    if isinstance(value, int):
        return language.number(int(value))
    if name == "since":
        return moment(datetime.fromisoformat(value), language, zone)
    return language.month(first_day(value)) if name == "month" else value


@lru_cache
def _table(code: str) -> Mapping[str, Words]:
    text = texts.language(code).text
    start = Step(text("Start it:"), "{start}")
    restart = (Step(text("Check its log and restart it; on a single machine:"), "adventureworks run"),)
    read_log = (
        Step(
            text("Read the log of the watch, or of the task that sends messages. Then:"),
            "adventureworks watch --once",
        ),
    )
    retry = (
        Step(
            text("Fix the cause; the watch retries in every round. To retry now:"),
            "adventureworks watch --once",
        ),
    )
    return {
        "recorded": Words("{summary}"),
        "blocked": Words(text("{asset} is blocked: {cause}"), state=text("blocked")),
        "refused": Words(text("{asset} did not pass its gate: {cause}"), state=text("blocked")),
        "verdict_unknown": Words(text("The result of the last reading of {asset} is not known: {cause}")),
        "rows_set_aside": Words(
            text("{asset}: {failed} rows set aside, {published_rows} published. Rule {rule} ({cause})."),
            singular=text("{asset}: one row set aside, {published_rows} published. Rule {rule} ({cause})."),
            steps=(Step(command="adventureworks quarantine show {asset}"),),
            state=text("rows set aside"),
        ),
        "unusual_change": Words(text("{asset} is published, but its change looks unusual: {cause}")),
        "task_failed": Words(
            text("Task {task} failed: {cause}"),
            steps=(
                Step(
                    text(
                        "Read the task's log: {log} Fix the cause, then clear the task: it continues where it stopped."
                    )
                ),
            ),
        ),
        "task_killed": Words(
            text("Task {task} ended without a report ({since}): its process or machine was killed."),
            steps=(Step(text("Read the task's log in Airflow, then clear the task: it continues where it stopped.")),),
        ),
        "late": Words(
            text("{asset} has been behind since {since}: {reason}. Its DAG {dag} did not run in time."),
            steps=(
                start,
                Step(text("To see what it is waiting for:"), "adventureworks status {asset}"),
            ),
            state=text("late"),
        ),
        "promise_missed": Words(
            text(
                "A change of {asset} has been waiting for publication since {since}; {minutes} minutes were promised."
            ),
            state=text("late"),
        ),
        "not_run": Words(
            text("The source has not been checked for changes since {since}."), steps=(start,), state=text("late")
        ),
        "database_silent": Words(
            text("Airflow's database does not respond: Airflow cannot work without it. Last response: {since}."),
            steps=(Step(text("Find out why it does not respond, and restart it. Then:"), "adventureworks status"),),
        ),
        "scheduler_stopped": Words(
            text("Airflow's scheduler has stopped: nothing is ingested or computed. Last heartbeat: {since}."),
            steps=restart,
        ),
        "dag_processor_stopped": Words(
            text("Airflow's DAG processor has stopped: changed DAG files are not detected. Last heartbeat: {since}."),
            steps=restart,
        ),
        "triggerer_stopped": Words(
            text(
                "Airflow's triggerer has stopped: changes at the source are only detected at scheduled times."
                " Last heartbeat: {since}."
            ),
            steps=restart,
        ),
        "report_not_delivered": Words(
            text("The reports for {month} were not delivered: {cause}"),
            steps=(Step(text("Fix the cause, then:"), "airflow dags trigger {asset}"),),
        ),
        "digest_failed": Words(
            text("The digest {digest} could not be created; other messages are sent. {cause}"), steps=retry
        ),
        "announcement_failed": Words(
            text("The message about the reports for {month} could not be created; other messages are sent. {cause}"),
            steps=retry,
        ),
        "announcements_failed": Words(
            text("The message about several months could not be created; other messages are sent. {cause}"),
            steps=retry,
        ),
        "routes_invalid": Words(
            text("The routes are invalid: no new messages are created until they are corrected. {cause}"),
            steps=read_log,
        ),
        "incident_messages_failed": Words(
            text("Messages about incidents could not be created; they will be retried. {cause}"), steps=read_log
        ),
        "reader_messages_failed": Words(
            text("Digests or report announcements could not be created; they will be retried. {cause}"),
            steps=read_log,
        ),
        "sweep_failed": Words(text("The watch could not check for unreported failures. {cause}"), steps=read_log),
    }


@lru_cache
def _remarks(code: str) -> Mapping[str, tuple[str, str]]:
    """Return by parameter the sentence that follows the summary if it is set, and the one if it is not."""
    text = texts.language(code).text
    return {
        "waiting": (text("Rows waiting for it: {waiting}."), ""),
        "has_version": (text("The last good version stays."), text("No version of it is published yet.")),
        "paused": (text("The DAG is paused."), ""),
    }
