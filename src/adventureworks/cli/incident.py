"""`adventureworks incident …`: list, show, acknowledge and resolve incidents."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from adventureworks.catalog.readers import dependants_of
from adventureworks.cli.output import as_text, console, moment, table, who
from adventureworks.cli.reading import NOTHING_PUBLISHED, has_warehouse, reading, writing
from adventureworks.errors import PlatformError, Step
from adventureworks.incidents import Incident, ledger, open_incidents
from adventureworks.messaging.dependants import affected, shortened
from adventureworks.messaging.routes import routes_if_valid
from adventureworks.messaging.wording import ENGLISH, words
from adventureworks.settings import Settings
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.state import is_laid_out

LIST_ALL = Step("List all incidents:", "adventureworks incident list --all")
MOST_IN_LIST = 2
"""The number of marts that the list names for each incident."""


def show_all(settings: Settings, everything: bool, as_json: bool) -> None:
    """Print the incidents that are not resolved; with `everything`, also those resolved in the last 30 days."""
    found: list[Incident] = []
    if has_warehouse(settings):
        with reading(settings) as session:
            if is_laid_out(session.records):
                found = ledger.all_incidents(session.records) if everything else open_incidents(session.records)
    elif not as_json:
        console().print(str(NOTHING_PUBLISHED), markup=False)
        return
    if as_json:
        listed = []
        for incident in found:
            worded = words(incident)
            dependants = dependants_of(incident.asset)
            listed.append(
                {
                    **asdict(incident),
                    "summary": worded.summary,
                    "next_step": worded.next_step,
                    "marts": dependants.marts,
                    "readers": [{"kind": reader.kind, "name": reader.name} for reader in dependants.readers],
                }
            )
        json.dump(listed, sys.stdout, indent=2, ensure_ascii=False, default=as_text)
        sys.stdout.write("\n")
    elif not found:
        console().print("There are no open incidents.")
    else:
        headings = ("id", "severity", "status", "asset", "rule", "owner", "since", "seen", "marts that depend on it")
        console().print(table(headings, [_row(incident) for incident in found], right=("seen",)))
        console().print(str(Step("For the details:", "adventureworks incident show ID")), markup=False)


def show(settings: Settings, name: str) -> None:
    """Print one incident. Raises `PlatformError` if no incident or more than one has an id that begins with `name`."""
    with reading(settings) as session:
        incident = _find(session.records, name)
    worded = words(incident)
    seen = "once" if incident.seen_count == 1 else f"{incident.seen_count:,} times"
    facts = {
        "id": incident.incident_id,
        "status": _status(incident),
        "severity": incident.severity,
        "asset": incident.asset,
        "rule": incident.rule,
        "owner": incident.owner,
        "rows": "" if incident.failed is None else f"{incident.failed:,}",
        "of": "" if incident.total is None else f"{incident.total:,}",
        "for example": "; ".join(incident.examples),
        **{
            heading.lower(): names
            for heading, names in affected(incident.asset, ENGLISH, routes_if_valid(settings)).items()
        },
        "first seen": moment(incident.first_seen),
        "last seen": f"{moment(incident.last_seen)}, {seen}",
        "resolved": moment(incident.resolved_at) if incident.resolved_at else "",
        "notified": ", ".join(f"{channel}: {what}" for channel, what in incident.notified.items()) or "nobody yet",
        "run": incident.run_id,
        "next": worded.next_step if incident.status != "resolved" else "",
    }
    out = console()
    out.print(worded.summary, markup=False, style="bold")
    width = max(len(fact) for fact in facts)
    for fact, value in facts.items():
        if value:
            out.print(f"  {fact:<{width}}  {value}", markup=False)


def acknowledge(settings: Settings, name: str, by: str | None) -> None:
    """Acknowledge an incident. Raises `PlatformError` if it is not open."""
    name_of_user = who(by)
    incident = _change(
        settings, name, lambda records, found: ledger.acknowledge(records, found.incident_id, name_of_user)
    )
    console().print(f"{_label(incident)} is acknowledged by {incident.acknowledged_by}.", markup=False)


def resolve(settings: Settings, name: str) -> None:
    """Close an incident. Raises `PlatformError` if it is already resolved."""
    incident = _change(settings, name, lambda records, found: ledger.close(records, found.incident_id))
    console().print(
        f"{_label(incident)} is resolved. Everyone who was notified of it will be notified of this.", markup=False
    )


def _change(
    settings: Settings, name: str, change: Callable[[ledger.Connection, Incident], Incident | None]
) -> Incident:
    with writing(settings) as records:
        found = _find(records, name)
        changed = change(records, found)
        if changed is None:
            raise PlatformError(f"{_label(found)} is {_status(found)}.", LIST_ALL)
        return changed


def _find(records: WarehouseConnection, name: str) -> Incident:
    found = ledger.find(records, name) if name and is_laid_out(records) else []
    if not found:
        raise PlatformError(f"There is no incident {name}.", LIST_ALL)
    if len(found) > 1:
        ids = ", ".join(incident.incident_id for incident in found[:3])
        raise PlatformError(f"{name} matches {len(found)} incidents: {ids}.", "Give more characters of the id.")
    return found[0]


def _row(incident: Incident) -> tuple[str, ...]:
    return (
        incident.short_id,
        incident.severity,
        _status(incident),
        incident.asset,
        incident.rule,
        incident.owner,
        moment(incident.first_seen),
        f"{incident.seen_count:,}",
        shortened(dependants_of(incident.asset).marts, ENGLISH, MOST_IN_LIST),
    )


def _status(incident: Incident) -> str:
    if incident.status == "acknowledged":
        return f"acknowledged by {incident.acknowledged_by}"
    return incident.status


def _label(incident: Incident) -> str:
    return f"Incident {incident.short_id} ({incident.asset}: {incident.rule})"
