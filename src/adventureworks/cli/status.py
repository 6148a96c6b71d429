"""`adventureworks status`: show the freshness and quality of every table and mart."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from adventureworks.catalog import entry_named
from adventureworks.cli.output import as_text, console, moment, table
from adventureworks.cli.reading import NOTHING_PUBLISHED, has_warehouse, reading
from adventureworks.incidents.freshness import Freshness, freshness, promises
from adventureworks.incidents.ledger import Incident, open_incidents
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.wording import words
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.state import (
    AssetState,
    asset_states,
    is_laid_out,
    summary_of_marts,
    summary_of_missing_tables,
)

MAX_INTERVENTIONS = 3


def show(settings: Settings, asset: str | None, as_json: bool) -> None:
    """Print the state of one or all assets and the open incidents. Raises `PlatformError` for an unknown asset."""
    if asset is not None:
        entry_named(asset)
    states, incidents, promised, done = _read(settings, asset)
    if asset is not None:
        states = [state for state in states if state.asset == asset]
        incidents = [incident for incident in incidents if incident.asset == asset]
    if as_json:
        _print_json(states, incidents, promised)
    elif not states or (asset is None and all(state.version is None for state in states) and not incidents):
        console().print(NOTHING_PUBLISHED)
    else:
        _print_tables(states, incidents, promised, details=asset is not None)
        for one in done:
            console().print(_intervention_line(one), markup=False)


def _read(
    settings: Settings, asset: str | None
) -> tuple[list[AssetState], list[Incident], dict[str, Freshness], list[Intervention]]:
    if not has_warehouse(settings):
        return [], [], {}, []
    with reading(settings) as session:
        records = session.records
        if not is_laid_out(records):
            return [], [], {}, []
        behind = decide_now(settings, session).behind
        promised = freshness(promises(settings), records, behind, datetime.now(UTC))
        done = intervention.of_asset(records, asset, MAX_INTERVENTIONS) if asset else []
        return asset_states(records, behind), open_incidents(records), promised, done


def _print_json(states: list[AssetState], incidents: list[Incident], promised: Mapping[str, Freshness]) -> None:
    listed = []
    for incident in incidents:
        worded = words(incident)
        listed.append(
            {
                "id": incident.short_id,
                "status": incident.status,
                "asset": incident.asset,
                "rule": incident.rule,
                "severity": incident.severity,
                "owner": incident.owner,
                "summary": worded.summary,
                "next_step": worded.next_step,
                "first_seen": incident.first_seen,
                "seen_count": incident.seen_count,
            }
        )
    assets = [
        {**asdict(state), "fresh_within_minutes": _minutes(known := promised[state.asset]), "missed": known.missed}
        for state in states
    ]
    answer = {"assets": assets, "incidents": listed}
    json.dump(answer, sys.stdout, indent=2, ensure_ascii=False, default=as_text)
    sys.stdout.write("\n")


def _print_tables(
    states: list[AssetState], incidents: list[Incident], promised: Mapping[str, Freshness], details: bool
) -> None:
    out = console()
    headings = ("asset", "version", "published", "newest change", "fresh within", "rows", "set aside", "verdict")
    rows = [_row(state, promised[state.asset]) for state in states]
    out.print(table(headings, rows, right=("version", "rows", "set aside")))
    if details:
        for state in states:
            for rule in state.broken_rules:
                out.print(f"  {rule}", markup=False)
    if not details:
        out.print(f"{summary_of_marts(states)}.", markup=False)
        if missing := summary_of_missing_tables(states):
            out.print(missing, markup=False)
    if not incidents:
        out.print("There are no open incidents.")
    for incident in incidents:
        out.print(incident_line(incident), markup=False, style="red" if incident.severity == "error" else "yellow")


def _minutes(known: Freshness) -> int:
    return int(known.within.total_seconds() // 60)


def _row(state: AssetState, known: Freshness) -> tuple[str, ...]:
    stale = "" if state.version is None or state.verdict == "blocked" or not state.behind else f", {state.behind}"
    rolled_back = f", {state.rolled_back.as_rollback}" if state.rolled_back else ""
    reads = f", reads {', '.join(state.reads_blocked)} (blocked)" if state.reads_blocked else ""
    lacks = f", needs {', '.join(state.lacks)} (not offered)" if state.lacks else ""
    return (
        state.asset,
        "-" if state.version is None else str(state.version),
        moment(state.published_at),
        moment(state.newest_change),
        f"{_minutes(known)} min: {'missed' if known.missed else 'kept'}",
        "-" if state.rows is None else f"{state.rows:,}",
        f"{state.set_aside:,}" if state.set_aside else "",
        f"{state.verdict}{rolled_back}{stale}{reads}{lacks}",
    )


def _intervention_line(one: Intervention) -> str:
    because = f": {one.reason}" if one.reason else ""
    until = f", until {moment(one.ended_at)}" if one.kind != "backfill" and one.ended_at else ""
    return f"{moment(one.begun_at)}{until}: {one.kind} by {one.who}{because}"


def incident_line(incident: Incident) -> str:
    """Return an open incident as one line: what is wrong, since when, and the next command."""
    since = f"Since {moment(incident.first_seen)}."
    worded = words(incident)
    return f"{incident.asset}: {incident.rule}. {worded.summary} {since} {worded.next_step}"
