"""The texts of an incident, in the recipient's language.

The ledger stores a summary and a next step in English, for the log and the command line. For other languages both are
generated from the incident's fields; technical causes, which have no translation, are quoted in English.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.incidents import sweep
from adventureworks.incidents.ledger import IF_INTENDED, LATE, READ_LOG, SHAPE_RULES, TASK_RULE, Incident, task_of
from adventureworks.messaging import self_incidents
from adventureworks.texts import Language

LEDGER_LANGUAGE = "en"
"""The language of summaries and next steps in the ledger."""


def summary(incident: Incident, language: Language, zone: str = "UTC") -> str:
    """Return what happened."""
    if incident.since is not None:
        return _sweep_summary(incident, language, moment(incident.since, language, zone))
    if language.code == LEDGER_LANGUAGE:
        return incident.summary
    if incident.asset == self_incidents.ASSET:
        return f"{_self_incident(incident.rule, language)} {_quoted(incident, language)}"
    if incident.rule.startswith(TASK_RULE):
        task, month = task_of(incident.rule)
        if month:
            when = language.month(date.fromisoformat(f"{month}-01"))
            return language.text(
                "The reports for {month} were not delivered: {cause}", month=when, cause=_quoted(incident, language)
            )
        return language.text("Task {task} failed: {cause}", task=task, cause=_quoted(incident, language))
    if incident.severity == "error" and is_about_data(incident):
        return _blocked(incident, language)
    if incident.severity == "error":
        return language.text("{asset} failed: {cause}", asset=incident.asset, cause=_quoted(incident, language))
    if incident.rule in SHAPE_RULES:
        return language.text(
            "{asset} is published, but its change looks unusual: {cause}",
            asset=incident.asset,
            cause=_quoted(incident, language),
        )
    return _set_aside(incident, language) if incident.failed else incident.summary


def is_about_data(incident: Incident) -> bool:
    """Return whether a table or mart broke a rule; otherwise a task, a service or a message failed."""
    known = incident.asset in SOURCE_TABLES or incident.asset in MARTS
    return known and not incident.rule.startswith(TASK_RULE)


def next_step(incident: Incident, language: Language) -> str:
    """Return what to do about it: a command or a sentence."""
    text, step = language.text, incident.next_step
    if language.code == LEDGER_LANGUAGE:
        return step
    if step.startswith(READ_LOG):
        return text("Read the task's log in Airflow, fix the cause, then clear the task.")
    if step == self_incidents.READ_LOGS:
        return text("Read the log of the watch, or of the task that sends messages. Then: adventureworks watch --once")
    if IF_INTENDED in step:
        look, accept = step.split(IF_INTENDED)
        return look + text("If this is intended: {command}", command=accept.strip())
    if incident.rule in {LATE, sweep.NOT_RUN}:
        return _how_to_start(incident, language)
    if incident.rule == sweep.METADATA:
        return text("Find out why it does not respond, and restart it. Then: adventureworks status")
    if incident.asset == sweep.AIRFLOW:
        return text("Check its log and restart it; on a single machine: adventureworks run")
    return step


def moment(when: datetime, language: Language, zone: str) -> str:
    """Return a point in time in the recipient's time zone."""
    return language.moment(when.astimezone(ZoneInfo(zone)))


def _how_to_start(incident: Incident, language: Language) -> str:
    text = language.text
    action = "unpause" if _is_paused(incident) else "trigger"
    if incident.rule == LATE and incident.asset in MARTS:
        return text(
            "Start it: {command}. To see what it is waiting for: adventureworks status {mart}",
            command=f"airflow dags {action} {MARTS[incident.asset].dag}",
            mart=incident.asset,
        )
    return text("Start it: {command}", command=f"airflow dags {action} {incident.asset}")


def _is_paused(incident: Incident) -> bool:
    return " unpause " in incident.next_step


def _sweep_summary(incident: Incident, language: Language, when: str) -> str:
    text, rule = language.text, incident.rule
    if rule == LATE and incident.asset in MARTS:
        sentence = text(
            "{mart} has been behind since {when}: its DAG {dag} did not run in time.",
            mart=incident.asset,
            dag=MARTS[incident.asset].dag,
            when=when,
        )
        return " ".join([sentence, text("The DAG is paused.")]) if _is_paused(incident) else sentence
    if rule == sweep.NOT_RUN:
        sentence = text("The source has not been checked for changes since {when}.", when=when)
        return " ".join([sentence, text("The DAG is paused.")]) if _is_paused(incident) else sentence
    if rule.startswith(TASK_RULE):
        return text(
            "Task {task} ended at {when} without a report: its process or machine was killed.",
            task=task_of(rule)[0],
            when=when,
        )
    last_seen = text("Last seen: {when}.", when=when)
    stopped = {
        sweep.METADATA: text("Airflow's database does not respond: Airflow cannot work without it."),
        "scheduler_is_alive": text("Airflow's scheduler has stopped: nothing is ingested or computed."),
        "dag_processor_is_alive": text("Airflow's DAG processor has stopped: changed DAG files are not detected."),
        "triggerer_is_alive": text(
            "Airflow's triggerer has stopped: changes at the source are only detected at scheduled times."
        ),
    }
    return f"{stopped[rule]} {last_seen}" if rule in stopped else incident.summary


def _self_incident(rule: str, language: Language) -> str:
    text = language.text
    return {
        self_incidents.ROUTES: text("The routes are invalid: no new messages are created until they are corrected."),
        self_incidents.INCIDENTS: text("Messages about incidents could not be created; they will be retried."),
        self_incidents.READERS: text("Digests or report announcements could not be created; they will be retried."),
        self_incidents.SWEEP: text("The watch could not check for unreported failures."),
    }.get(rule, rule)


def _blocked(incident: Incident, language: Language) -> str:
    text = language.text
    sentence = text("{asset} is blocked: {cause}", asset=incident.asset, cause=_quoted(incident, language))
    kept = text("No version of it is published yet.") if incident.total == 0 else text("The last good version stays.")
    return f"{sentence} {kept}"


def _set_aside(incident: Incident, language: Language) -> str:
    text, failed = language.text, incident.failed or 0
    rows = text("one row set aside") if failed == 1 else text("{count} rows set aside", count=language.number(failed))
    if incident.total is not None:
        rows += text(", {count} published", count=language.number(incident.total - failed))
    sentence = text("Rule {rule}: {cause}", rule=incident.rule, cause=_quoted(incident, language))
    return f"{incident.asset}: {rows}. {sentence}"


def _quoted(incident: Incident, language: Language) -> str:
    return language.text("“{cause}”", cause=incident.cause or incident.summary)
