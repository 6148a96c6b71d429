"""`adventureworks status`: show the freshness and quality of every table and mart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, entry, entry_named, feeds_of
from adventureworks.cli.output import as_text, console, moment, table
from adventureworks.cli.reading import NOTHING_PUBLISHED, has_warehouse, reading
from adventureworks.errors import Step
from adventureworks.incidents.freshness import Freshness, freshness, promises
from adventureworks.incidents.ledger import Incident, open_incidents
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.dependants import affected
from adventureworks.messaging.routes import routes_if_valid
from adventureworks.messaging.wording import ENGLISH, words
from adventureworks.settings import Settings
from adventureworks.texts.plain import listed
from adventureworks.warehouse import intervention, publication
from adventureworks.warehouse.condition import in_detail, remarks
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.publication import NOT_OFFERED, Publication
from adventureworks.warehouse.state import (
    AssetState,
    asset_states,
    is_laid_out,
    summary_of_marts,
    summary_of_missing_tables,
)

NO_INCIDENTS = "There are no open incidents."
MAX_INTERVENTIONS = 3
MAX_IN_LINE = 6
MAX_NAMED = 20
"""The number of tables and marts that a summary names."""


def show(settings: Settings, asset: str | None, everything: bool, as_json: bool) -> None:
    """Print a summary, the state of one asset or that of all, and the open incidents.

    Raises `PlatformError` for an unknown asset.
    """
    if asset is not None:
        entry_named(asset)
    found = _read(settings, asset)
    if as_json:
        _print_json(found)
    elif not found.states or (
        asset is None and all(state.version is None for state in found.states) and not found.incidents
    ):
        console().print(str(NOTHING_PUBLISHED), markup=False)
    elif everything:
        _print_table(found)
    elif asset is not None:
        _print_details(settings, found)
    else:
        print_summary(found.states, found.incidents, found.promised)
        console().print(str(Step("Every table and mart:", "adventureworks status --all")), markup=False)


@dataclass(frozen=True)
class _Found:
    """What the records say about the asked assets. `newest`, `done`: of a single asset."""

    states: list[AssetState]
    incidents: list[Incident]
    promised: Mapping[str, Freshness]
    newest: Publication | None
    versions: Mapping[str, int]
    done: list[Intervention]


def _read(settings: Settings, asset: str | None) -> _Found:
    nothing = _Found([], [], {}, None, {}, [])
    if not has_warehouse(settings):
        return nothing
    with reading(settings) as session:
        records = session.records
        if not is_laid_out(records):
            return nothing
        decided = decide_now(settings, session)
        return _Found(
            [state for state in asset_states(records, decided) if asset in (None, state.asset)],
            [one for one in open_incidents(records, asset) if asset is None or not one.is_of_task],
            freshness(promises(settings), records, decided.behind, datetime.now(UTC)),
            publication.newest(records, asset) if asset else None,
            publication.newest_versions(records, [*SOURCE_TABLES, *MARTS]) if asset else {},
            intervention.of_asset(records, asset, MAX_INTERVENTIONS) if asset else [],
        )


def _print_json(found: _Found) -> None:
    listed = []
    for incident in found.incidents:
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
        {
            **asdict(state),
            "behind": str(state.behind),
            "fresh_within_minutes": _minutes(known := found.promised[state.asset]),
            "missed": known.missed,
        }
        for state in found.states
    ]
    answer = {"assets": assets, "incidents": listed}
    json.dump(answer, sys.stdout, indent=2, ensure_ascii=False, default=as_text)
    sys.stdout.write("\n")


def print_summary(
    states: list[AssetState],
    incidents: list[Incident],
    promised: Mapping[str, Freshness] | None = None,
    printed: Set[str] = frozenset(),
) -> None:
    """Print how many tables and marts are as they should be, those that are not and why, and the open incidents.

    `printed`: the ids of incidents that are on the screen already.
    """
    out = console()
    tables = [state for state in states if state.kind == "source"]
    published = sum(state.version is not None and state.verdict != NOT_OFFERED for state in tables)
    blocked = sum(state.verdict == "blocked" for state in tables)
    out.print(
        f"{published} of {len(tables)} source tables are published, {blocked} blocked."
        f" Rows set aside: {sum(state.set_aside for state in tables):,}."
    )
    out.print(f"{summary_of_marts(states)}.{'' if incidents else f' {NO_INCIDENTS}'}", markup=False)
    if missing := summary_of_missing_tables(states):
        out.print(missing, markup=False)
    waiting = [
        state.asset for state in states if state.version is None and not state.blocked_since and state.is_obtainable
    ]
    if waiting:
        out.print(f"Never published: {listed(waiting, MAX_IN_LINE)}.", markup=False)
    notable = [(state, why) for state in states if (why := _why_notable(state, promised))]
    for state, why in notable[:MAX_NAMED]:
        out.print(f"{state.asset}: {why}", markup=False, style="red" if not state.fresh else "yellow")
    if len(notable) > MAX_NAMED:
        out.print(f"And {len(notable) - MAX_NAMED} more.")
    if others := [incident for incident in incidents if incident.incident_id not in printed]:
        print_incidents(others)


def print_incidents(incidents: list[Incident]) -> None:
    """Print a line for each open incident, or that there are none."""
    out = console()
    if not incidents:
        out.print(NO_INCIDENTS)
    for incident in incidents:
        out.print(incident_line(incident), markup=False, style="red" if incident.severity == "error" else "yellow")


def _why_notable(state: AssetState, promised: Mapping[str, Freshness] | None) -> str:
    """Return what a user should know about an asset; empty if all is well, or if the summary says it already."""
    if not state.is_obtainable:
        return ""
    known = promised[state.asset] if promised else None
    rows = f"{state.set_aside:,} {'row' if state.set_aside == 1 else 'rows'} set aside"
    since = f"blocked since {moment(state.blocked_since)}" if state.blocked_since else ""
    facts = (
        # A build that failed broke no rule.
        ": ".join(filter(None, (since, "; ".join(state.broken_rules)))) if since else "",
        rows if state.kind == "source" and state.set_aside else "",
        *(str(one) for one in remarks(state, ENGLISH) if one.severity != "good" and one.text != state.verdict),
        f"not published within the promised {_minutes(known)} minutes" if known and known.missed else "",
    )
    return "; ".join(filter(None, facts))


def _print_table(found: _Found) -> None:
    out = console()
    headings = ("asset", "version", "published", "newest change", "fresh", "rows", "set aside", "verdict")
    rows = [_row(state, found.promised[state.asset]) for state in found.states]
    out.print(table(headings, rows, right=("version", "rows", "set aside")))
    out.print(f"{summary_of_marts(found.states)}.", markup=False)
    if missing := summary_of_missing_tables(found.states):
        out.print(missing, markup=False)
    print_incidents(found.incidents)


def _print_details(settings: Settings, found: _Found) -> None:
    """Print everything about one asset, a fact per line."""
    out = console()
    [state] = found.states
    facts = [(name, value) for name, value in _details(state, found, settings) if value]
    out.print(table((state.asset, _kind(state)), facts))
    print_incidents(found.incidents)
    for one in found.done:
        out.print(_intervention_line(one), markup=False)


def _details(state: AssetState, found: _Found, settings: Settings) -> Iterator[tuple[str, str]]:
    known = entry(state.asset)
    yield "Owner", known.owner
    yield "State", in_detail(state, ENGLISH)
    yield "Why", "; ".join(state.broken_rules)
    if found.newest:
        rows = f"{found.newest.rows:,} rows, {found.newest.changed_rows:,} changed"
        yield "Version", f"{found.newest.version}, published {moment(state.published_at)}: {rows}"
        yield "Months", _changed_months(found.newest)
    yield "Fresh", _promise(found.promised[state.asset])
    yield "Newest row", moment(state.newest_change) if state.newest_change else ""
    yield "Set aside", f"{state.set_aside:,}" if state.set_aside else ""
    if isinstance(known, Mart):
        yield "Reads", ", ".join(_input(name, found) for name in sorted(feeds_of(known)))
    yield from affected(state.asset, ENGLISH, routes_if_valid(settings)).items()


def _kind(state: AssetState) -> str:
    known = entry(state.asset)
    return f"mart of {known.dag}" if isinstance(known, Mart) else f"source table of the schema {known.schema}"


def _changed_months(newest: Publication) -> str:
    months = newest.months
    if months is None:
        return ""
    return f"{listed(months, MAX_IN_LINE)} changed with this version" if months else ""


def _input(name: str, found: _Found) -> str:
    """Return an input with the version that was read, and the newest one if that is another."""
    read, newest = found.newest.inputs.get(name) if found.newest else None, found.versions.get(name)
    if read is None or newest is None:
        return f"{name} ({'not read' if newest else 'never published'})"
    return f"{name} {read}" if read == newest else f"{name} {read} (newest: {newest})"


def _promise(known: Freshness) -> str:
    return f"within {_minutes(known)} min: {'missed' if known.missed else 'kept'}"


def _minutes(known: Freshness) -> int:
    return int(known.within.total_seconds() // 60)


def _row(state: AssetState, known: Freshness) -> tuple[str, ...]:
    return (
        state.asset,
        "-" if state.version is None else str(state.version),
        moment(state.published_at),
        moment(state.newest_change),
        _promise(known),
        "-" if state.rows is None else f"{state.rows:,}",
        f"{state.set_aside:,}" if state.set_aside else "",
        in_detail(state, ENGLISH),
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
