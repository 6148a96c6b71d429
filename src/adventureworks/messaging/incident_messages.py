"""Incidents and notices as messages. Nothing is sent here.

A single incident becomes a message with all the details that its owner needs, several become one summary. The incidents
of one message are either all unresolved or all resolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from urllib.parse import quote

from adventureworks import texts
from adventureworks.errors import Step, as_typed
from adventureworks.incidents.ledger import Incident, task_of
from adventureworks.messaging import notice_wording
from adventureworks.messaging.bulletin import (
    ERROR_COLOUR,
    SUCCESS_COLOUR,
    WARNING_COLOUR,
    Bulletin,
    Figure,
    Listing,
    render,
)
from adventureworks.messaging.dependants import affected
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.rendered import RenderedMessage
from adventureworks.messaging.routes import Routes
from adventureworks.messaging.wording import ENGLISH, moment, words
from adventureworks.texts import Language

Kind = Literal["opened", "worsened", "reminder", "recovered"]
"""The event that a message reports."""


def incident_message(
    incidents: Sequence[Incident],
    kind: Kind,
    ui_url: str = "",
    code: str = "en",
    zone: str = "UTC",
    routes: Routes | None = None,
    *,
    for_operators: bool = True,
) -> RenderedMessage:
    """Render one message about these incidents, in the language `code`, with times in the time zone `zone`.

    `routes`: to name the groups that receive what depends on a failed asset. `for_operators`: with shell commands and
    the names of rules; otherwise rules are in words, and the linked page says what to do. Without the UI's address,
    there is no such page, and everybody gets the commands.
    """
    language = texts.language(code)
    for_operators = for_operators or not ui_url
    if not for_operators:
        incidents = [replace(incident, rule=rule_in_words(incident.rule, language)) for incident in incidents]
    bulletin = (
        _one(incidents[0], kind, language, zone, routes, for_operators)
        if len(incidents) == 1
        else _several(incidents, kind, language, zone, for_operators)
    )
    return render(bulletin, language, ui_url)


def notice_message(
    notice: Notice, ui_url: str = "", code: str = "en", *, for_operators: bool = True
) -> RenderedMessage:
    """Render the message for a notice; `for_operators`: see `incident_message`."""
    language = texts.language(code)
    for_operators = for_operators or not ui_url
    worded = notice_wording.words(notice.digest, language)
    bulletin = Bulletin(
        title=worded.subject,
        about="",
        figures=(),
        listings=tuple(
            Listing(listing.heading, listing.columns, listing.rows, text_columns=2) for listing in worded.listings
        ),
        next_steps=(Step(command=as_typed(notice.digest.command)),) if for_operators else (),
        page=page_of_run(notice.run_id) if for_operators else notice_wording.STOCK_PAGE,
        link=language.text("Open the run in Airflow") if for_operators else "",
    )
    return render(bulletin, language, ui_url)


def log_line(incident: Incident) -> str:
    """Return a description of the incident in one line."""
    line = f"{incident.asset} {outcome(incident, ENGLISH)}: {incident.rule}."
    if incident.status == "resolved":
        return f"{line} {duration(incident, ENGLISH)}"
    worded = words(incident)
    return f"{line} {worded.summary} {worded.next_step}"


def outcome(incident: Incident, language: Language) -> str:
    """Return what happened to the asset, in a few words."""
    return language.text("recovered") if incident.status == "resolved" else words(incident, language).state


def duration(incident: Incident, language: Language, zone: str = "UTC") -> str:
    """Return how often a resolved incident was seen, and from when to when."""
    text = language.text
    values = {"count": language.number(incident.seen_count), "since": moment(incident.first_seen, language, zone)}
    sentence = (
        text("Seen once, on {since}", since=values["since"])
        if incident.seen_count == 1
        else text("Seen {count} times since {since}", **values)
    )
    if incident.resolved_at:
        sentence += text("; resolved on {end}", end=moment(incident.resolved_at, language, zone))
    return f"{sentence}."


def counts(incident: Incident, language: Language) -> str:
    """Return for example `3 of 121,317`, or an empty string if the rule does not count rows."""
    if incident.failed is None:
        return ""
    if incident.total is None:
        return language.number(incident.failed)
    return language.text(
        "{count} of {total}", count=language.number(incident.failed), total=language.number(incident.total)
    )


def rule_in_words(rule: str, language: Language) -> str:
    """Return the name of a rule for business users. Names are English, so other languages quote them."""
    return rule.replace("_", " ") if language.code == ENGLISH.code else language.text("“{name}”", name=rule)


def page_of(incident: Incident) -> str:
    """Return the place of an incident on the dashboard."""
    return f"dashboard/incidents#incident-{incident.short_id}"


def run_page_of(incident: Incident) -> str:
    """Return the page of the run (or its task) in Airflow's UI, or an empty string if there is no run."""
    run = page_of_run(incident.run_id)
    if not run or not incident.is_of_task:
        return run
    return f"{run}/tasks/{quote(task_of(incident.rule)[0], safe='')}"


def page_of_run(run_id: str) -> str:
    """Return the page of a run, `<dag>/<run>`, in Airflow's UI; empty without a run."""
    dag, _, run = run_id.partition("/")
    return f"dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}" if run else ""


def _one(
    incident: Incident, kind: Kind, language: Language, zone: str, routes: Routes | None, for_operators: bool
) -> Bulletin:
    text = language.text
    resolved = incident.status == "resolved"
    facts = {
        text("Rule"): incident.rule,
        text("Owner"): incident.owner,
        text("Rows"): counts(incident, language),
        text("For example"): text("; ").join(incident.examples),
        **({} if resolved else affected(incident.asset, language, routes)),
    }
    title = _labelled(f"{incident.asset} {outcome(incident, language)}", kind, language)
    worded = words(incident, language, zone)
    recap = text("It had been reported as: {summary}", summary=worded.summary)
    acknowledge = (
        text(
            "To acknowledge it and stop reminders: {command}",
            command=as_typed(f"adventureworks incident ack {incident.short_id}"),
        )
        if for_operators
        else text("Its page says what to do. Reminders stop when it is acknowledged there.")
    )
    steps = (Step(command=as_typed(f"adventureworks incident show {incident.short_id}")),) if resolved else worded.steps
    return Bulletin(
        title=title,
        subject=f"{title}{text(': ')}{incident.rule}",
        about=f"{duration(incident, language, zone)} {recap}" if resolved else worded.summary,
        figures=tuple(Figure(name, value) for name, value in facts.items() if value),
        notes=(acknowledge,) if incident.status == "open" else (),
        next_steps=tuple(step for step in steps if for_operators or not step.command),
        page=page_of(incident),
        link=text("Open the incident"),
        colour=_colour(incident),
    )


def _several(incidents: Sequence[Incident], kind: Kind, language: Language, zone: str, for_operators: bool) -> Bulletin:
    text = language.text
    count = language.number(len(incidents))
    resolved = incidents[0].status == "resolved"
    title = _labelled(
        text("{count} incidents resolved", count=count) if resolved else text("{count} incidents", count=count),
        kind,
        language,
    )
    assets = ", ".join(dict.fromkeys(incident.asset for incident in incidents))
    rows = tuple(
        (
            incident.asset,
            outcome(incident, language),
            incident.rule,
            incident.short_id,
            incident.owner,
            duration(incident, language, zone) if resolved else words(incident, language, zone).summary,
        )
        for incident in incidents
    )
    columns = (text("Table"), text("State"), text("Rule"), text("Incident"), text("Owner"), text("Cause"))
    return Bulletin(
        title=title,
        subject=f"{title}{text(': ')}{assets}",
        about="",
        figures=(),
        listings=(Listing(text("Incidents"), columns, rows, text_columns=6),),
        notes=(text("For details of one: {command}", command=as_typed("adventureworks incident show ID")),)
        if for_operators
        else (),
        next_steps=(Step(command=as_typed(f"adventureworks incident list{' --all' if resolved else ''}")),)
        if for_operators
        else (),
        page="dashboard/incidents",
        link=text("Open the incidents"),
        colour=_colour(incidents[0]),
    )


def _labelled(title: str, kind: Kind, language: Language) -> str:
    text = language.text
    if kind == "worsened":
        return text("Worse: {what}", what=title)
    return text("Still open: {what}", what=title) if kind == "reminder" else title


def _colour(incident: Incident) -> str:
    if incident.status == "resolved":
        return SUCCESS_COLOUR
    return ERROR_COLOUR if incident.severity == "error" else WARNING_COLOUR
