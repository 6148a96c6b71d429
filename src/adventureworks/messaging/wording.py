"""What an incident says, in the language of who reads it.

The ledger keeps a summary and a next step in English, for the log and the command line. Here both are worded anew from
what the ledger knows of the incident; only technical causes, which nobody has translated, are quoted as they are.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.incidents import sweep
from adventureworks.incidents.ledger import IF_MEANT, LATE, READ_LOG, SHAPE_RULES, TASK_RULE, Incident, task_of
from adventureworks.messaging import self_incidents
from adventureworks.texts import Language

LEDGER = "en"
"""The language of summaries and next steps in the ledger."""


def summary(incident: Incident, speech: Language, zone: str = "UTC") -> str:
    """What happened."""
    if incident.since is not None:
        return _at_a_moment(incident, speech, moment(incident.since, speech, zone))
    if speech.code == LEDGER:
        return incident.summary
    if incident.asset == self_incidents.ASSET:
        return f"{_mishap(incident.rule, speech)} {_quoted(incident, speech)}"
    if incident.rule.startswith(TASK_RULE):
        task, month = task_of(incident.rule)
        if month:
            when = speech.month(date.fromisoformat(f"{month}-01"))
            return speech.text(
                "The reports of {month} are not delivered: {cause}", month=when, cause=_quoted(incident, speech)
            )
        return speech.text("Task {task} failed: {cause}", task=task, cause=_quoted(incident, speech))
    if incident.severity == "error" and is_about_data(incident):
        return _blocked(incident, speech)
    if incident.severity == "error":
        return speech.text("{asset} failed: {cause}", asset=incident.asset, cause=_quoted(incident, speech))
    if incident.rule in SHAPE_RULES:
        return speech.text(
            "{asset} is published, and its change looks unusual: {cause}",
            asset=incident.asset,
            cause=_quoted(incident, speech),
        )
    return _set_aside(incident, speech) if incident.failed else incident.summary


def is_about_data(incident: Incident) -> bool:
    """Whether a table or mart broke a rule; else a task, a service or a message failed, and nothing was held back."""
    known = incident.asset in SOURCE_TABLES or incident.asset in MARTS
    return known and not incident.rule.startswith(TASK_RULE)


def next_step(incident: Incident, speech: Language) -> str:
    """What to do about it: a command as it is, or a sentence."""
    text, step = speech.text, incident.next_step
    if speech.code == LEDGER:
        return step
    if step.startswith(READ_LOG):
        return text("Read the task's log in Airflow, fix the cause, then clear the task.")
    if step == self_incidents.READ_LOGS:
        return text("Read the log of the watch, or of the task that tells. Then: adventureworks watch --once")
    if IF_MEANT in step:
        look, accept = step.split(IF_MEANT)
        return look + text("If it is meant: {command}", command=accept.strip())
    if incident.rule in {LATE, sweep.NOT_RUN}:
        return _start(incident, speech)
    if incident.rule == sweep.METADATA:
        return text("Find out why it does not answer, and restart it. Then: adventureworks status")
    if incident.asset == sweep.AIRFLOW:
        return text("Look at its log and start it again; on one machine: adventureworks run")
    return step


def moment(when: datetime, speech: Language, zone: str) -> str:
    """A point in time where the reader is."""
    return speech.moment(when.astimezone(ZoneInfo(zone)))


def _start(incident: Incident, speech: Language) -> str:
    text = speech.text
    action = "unpause" if _is_paused(incident) else "trigger"
    if incident.rule == LATE and incident.asset in MARTS:
        return text(
            "Start it: {command}. What it waits for: adventureworks status {mart}",
            command=f"airflow dags {action} {MARTS[incident.asset].dag}",
            mart=incident.asset,
        )
    return text("Start it: {command}", command=f"airflow dags {action} {incident.asset}")


def _is_paused(incident: Incident) -> bool:
    return " unpause " in incident.next_step


def _at_a_moment(incident: Incident, speech: Language, when: str) -> str:
    """What a sweep found."""
    text, rule = speech.text, incident.rule
    if rule == LATE and incident.asset in MARTS:
        said = text(
            "{mart} has been behind since {when}: its DAG {dag} did not run in time.",
            mart=incident.asset,
            dag=MARTS[incident.asset].dag,
            when=when,
        )
        return " ".join([said, text("It is paused.")]) if _is_paused(incident) else said
    if rule == sweep.NOT_RUN:
        said = text("The source was not asked for changes since {when}.", when=when)
        return " ".join([said, text("It is paused.")]) if _is_paused(incident) else said
    if rule.startswith(TASK_RULE):
        return text(
            "Task {task} ended at {when} without a report: its process or machine was killed.",
            task=task_of(rule)[0],
            when=when,
        )
    silence = text("Nothing was heard of it since {when}.", when=when)
    stopped = {
        sweep.METADATA: text("Airflow's database does not answer: without it Airflow does nothing."),
        "scheduler_is_alive": text("Airflow's scheduler stopped: nothing is ingested or computed."),
        "dag_processor_is_alive": text("Airflow's DAG processor stopped: changed DAG files are not seen."),
        "triggerer_is_alive": text(
            "Airflow's triggerer stopped: changes of the source are only noticed by the calendar."
        ),
    }
    return f"{stopped[rule]} {silence}" if rule in stopped else incident.summary


def _mishap(rule: str, speech: Language) -> str:
    text = speech.text
    return {
        self_incidents.ROUTES: text("The routes are wrong: no new message is written until they are corrected."),
        self_incidents.INCIDENTS: text("Messages about incidents could not be made; they wait."),
        self_incidents.READERS: text("Digests or news of reports could not be made; they wait."),
        self_incidents.SWEEP: text("The watch could not look for what nobody reports."),
    }.get(rule, rule)


def _blocked(incident: Incident, speech: Language) -> str:
    text = speech.text
    said = text("{asset} is blocked: {cause}", asset=incident.asset, cause=_quoted(incident, speech))
    kept = text("Nothing of it is published yet.") if incident.total == 0 else text("The last good version stays.")
    return f"{said} {kept}"


def _set_aside(incident: Incident, speech: Language) -> str:
    text, failed = speech.text, incident.failed or 0
    rows = text("one row set aside") if failed == 1 else text("{count} rows set aside", count=speech.number(failed))
    if incident.total is not None:
        rows += text(", {count} published", count=speech.number(incident.total - failed))
    said = text("Rule {rule}: {cause}", rule=incident.rule, cause=_quoted(incident, speech))
    return f"{incident.asset}: {rows}. {said}"


def _quoted(incident: Incident, speech: Language) -> str:
    return speech.text("“{cause}”", cause=incident.cause or incident.summary)
