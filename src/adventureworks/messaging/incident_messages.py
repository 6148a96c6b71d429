"""The words: incidents and notices as messages. Nothing is sent here.

One incident gives a message with all that its owner needs, several give one summary. All of them are open, or all of
them are resolved: a message is about the one or about the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from adventureworks.incidents.ledger import SHAPE_RULES, TASK_RULE, Incident, task_of
from adventureworks.messaging import stock_wording, wording
from adventureworks.messaging.bulletin import BAD, GOOD, MIND, Bulletin, Figure, Listing, render
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.rendered import RenderedMessage
from adventureworks.messaging.wording import moment
from adventureworks.texts import Language, language

Kind = Literal["opened", "worsened", "reminder", "recovered"]
"""Why incidents are told of."""


def incident_message(
    incidents: Sequence[Incident], kind: Kind, ui_url: str = "", code: str = "en", zone: str = "UTC"
) -> RenderedMessage:
    """One message about these incidents, in the language of this code, with the time of this zone."""
    speech = language(code)
    told = _one(incidents[0], kind, speech, zone) if len(incidents) == 1 else _several(incidents, kind, speech, zone)
    return render(told, speech, ui_url)


def notice_message(notice: Notice, ui_url: str = "", code: str = "en") -> RenderedMessage:
    """One message with the digest of a notice."""
    speech = language(code)
    digest = stock_wording.worded(notice.digest, speech)
    told = Bulletin(
        title=digest.subject,
        about="",
        figures=(),
        listings=tuple(Listing(listing.heading, listing.columns, listing.rows, texts=2) for listing in digest.listings),
        command=digest.next_step,
        page=_run_page(notice.run_id),
        link=speech.text("Open the run in Airflow"),
    )
    return render(told, speech, ui_url)


def log_line(incident: Incident) -> str:
    """The incident in one line."""
    speech = language("en")
    said = f"{incident.asset} {outcome(incident, speech)}: {incident.rule}."
    if incident.status == "resolved":
        return f"{said} {ending(incident, speech)}"
    return " ".join(f"{said} {incident.summary} {incident.next_step}".split())


def outcome(incident: Incident, speech: Language) -> str:
    """What happened to the asset, in a word or two."""
    text = speech.text
    if incident.status == "resolved":
        return text("recovered")
    if incident.severity == "error":
        return text("blocked") if wording.is_about_data(incident) else text("failed")
    if incident.rule in SHAPE_RULES or not incident.failed:
        return text("warning")
    return text("rows set aside")


def ending(incident: Incident, speech: Language, zone: str = "UTC") -> str:
    """How long a resolved incident lasted."""
    text = speech.text
    values = {"count": speech.number(incident.seen_count), "since": moment(incident.first_seen, speech, zone)}
    said = (
        text("Seen once since {since}", since=values["since"])
        if incident.seen_count == 1
        else text("Seen {count} times since {since}", **values)
    )
    if incident.resolved_at:
        said += text(", over since {end}", end=moment(incident.resolved_at, speech, zone))
    return f"{said}."


def counts(incident: Incident, speech: Language) -> str:
    """`3 of 121,317`, or empty where the rule does not count rows."""
    if incident.failed is None:
        return ""
    if incident.total is None:
        return speech.number(incident.failed)
    return speech.text("{count} of {total}", count=speech.number(incident.failed), total=speech.number(incident.total))


def page_of(incident: Incident) -> str:
    """The run (or the task in it) in Airflow's UI; the dashboard's incidents where no run tells of it."""
    run = _run_page(incident.run_id)
    if not run:
        return "dashboard/incidents"
    if not incident.rule.startswith(TASK_RULE):
        return run
    return f"{run}/tasks/{quote(task_of(incident.rule)[0], safe='')}"


def _run_page(run_id: str) -> str:
    dag, _, run = run_id.partition("/")
    return f"dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}" if run else ""


def _one(incident: Incident, kind: Kind, speech: Language, zone: str) -> Bulletin:
    text = speech.text
    over = incident.status == "resolved"
    facts = {
        text("Rule"): incident.rule,
        text("Owner"): incident.owner,
        text("Rows"): counts(incident, speech),
        text("For example"): "; ".join(incident.examples),
    }
    title = _marked(f"{incident.asset} {outcome(incident, speech)}", kind, speech)
    summary = wording.summary(incident, speech, zone)
    lasted = text("It was: {summary}", summary=summary)
    acknowledge = text(
        "To take it on, and hear no reminders: {command}", command=f"adventureworks incident ack {incident.short_id}"
    )
    return Bulletin(
        title=title,
        subject=f"{title}: {incident.rule}",
        about=f"{ending(incident, speech, zone)} {lasted}" if over else summary,
        figures=tuple(Figure(name, value) for name, value in facts.items() if value),
        notes=(acknowledge,) if incident.status == "open" else (),
        command=f"adventureworks incident show {incident.short_id}" if over else wording.next_step(incident, speech),
        page=page_of(incident),
        link=text("Open the run in Airflow") if "/" in incident.run_id else "",
        colour=_colour(incident),
    )


def _several(incidents: Sequence[Incident], kind: Kind, speech: Language, zone: str) -> Bulletin:
    text = speech.text
    count = speech.number(len(incidents))
    over = incidents[0].status == "resolved"
    title = _marked(
        text("{count} recovered", count=count) if over else text("{count} incidents", count=count), kind, speech
    )
    assets = ", ".join(dict.fromkeys(incident.asset for incident in incidents))
    rows = tuple(
        (
            incident.asset,
            outcome(incident, speech),
            incident.rule,
            incident.short_id,
            incident.owner,
            ending(incident, speech, zone) if over else wording.summary(incident, speech, zone),
        )
        for incident in incidents
    )
    columns = (text("Table"), text("State"), text("Rule"), text("Incident"), text("Owner"), text("Cause"))
    return Bulletin(
        title=title,
        subject=f"{title}: {assets}",
        about="",
        figures=(),
        listings=(Listing(text("Incidents"), columns, rows, texts=6),),
        notes=(text("To see one: {command}", command="adventureworks incident show ID"),),
        command=f"adventureworks incident list{' --all' if over else ''}",
        page="dashboard/incidents",
        colour=_colour(incidents[0]),
    )


def _marked(title: str, kind: Kind, speech: Language) -> str:
    text = speech.text
    if kind == "worsened":
        return text("Worse: {what}", what=title)
    return text("Still open: {what}", what=title) if kind == "reminder" else title


def _colour(incident: Incident) -> str:
    if incident.status == "resolved":
        return GOOD
    return BAD if incident.severity == "error" else MIND
