"""Detection of the tables that changed at the source since they were last read, and their division into load tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from adventureworks.catalog import LIST, SOURCE_TABLES, SourceTable, needed_tables, unit_of
from adventureworks.columns import digest_of_columns
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.gate import approval
from adventureworks.gate.checks import readable_references
from adventureworks.gate.containment import NO_ANSWER, NoAnswer, concerns_every_table, contained, with_timeout
from adventureworks.settings import Settings
from adventureworks.source import ABSENT, Source, TableState, open_source
from adventureworks.warehouse import (
    candidate,
    decisions,
    intervention,
    layout,
    open_records,
    open_warehouse,
    publication,
)
from adventureworks.warehouse.postgres import Connection, reuse_connections
from adventureworks.warehouse.session import Data

# Starting a load task takes about as long as loading this many rows.
ROWS_PER_TASK = 60_000
ROWS_OF_UNKNOWN_TABLE = 20_000


@dataclass(frozen=True)
class _Known:
    """The recorded state of a table from the last reading of this source."""

    fingerprint: str
    blocked: bool
    mark: str | None
    """See `TableState`."""


@reuse_connections()
def detect(
    settings: Settings,
    run_id: str,
    *,
    everything: bool = False,
    accept: Collection[str] = (),
    scan_all: bool = False,
) -> list[list[str]]:
    """Record the changed tables in `ops.change`, and return them in groups, one for each load task.

    A changed table that is rolled back is recorded, but not read: it is read whole after the release.
    A table is not even scanned if the source's counters say that it was not written since its recorded state, unless
    they say so of all tables. `scan_all`: scan all tables in any case, because counters miss what someone hides from
    them. `everything`: read all tables whole, changed or not. `accept`: tables whose losses and unusual changes are
    intentional, in this run only; it extends to their publish units. Raises PlatformError if there is no such table.
    """
    accepted = _with_units(accept)
    source = open_source(settings)
    identity = with_timeout(source.identity, settings.table_timeout_minutes * 60)
    with open_warehouse(settings).connect("detect") as session:
        layout.prepare(session)
        before = _recorded(session.records, run_id)
        known = _known(session.records, identity)
        marks = {} if scan_all else {asset: last.mark for asset, last in known.items() if last.mark}
        states = _states(source, known, settings, marks)
        if marks and all(_fingerprint(states[asset]) == last.fingerprint for asset, last in known.items()):
            # If what started this run is a change that the marks do not show, it must not start the next one, too.
            states = _states(source, known, settings)
        read = {asset: state.fingerprint for asset, state in states.items() if isinstance(state, TableState)}
        approved = approval.use(session.records, run_id, read)
        published = publication.newest_versions(session.records, list(SOURCE_TABLES)).keys()
        not_offered = _not_offered(settings, session.records, identity, states, published)
        changed = {
            asset
            for asset, state in states.items()
            if everything
            or asset in approved | accepted
            or asset not in known
            or _fingerprint(state) != known[asset].fingerprint
        }
        replays = decisions.take_replays(session.records, run_id)
        changed |= replays.keys()
        recorded = publication.not_offered(session.records)
        changed |= recorded ^ not_offered
        if changed:
            # Now that another table changed, a blocked table may pass, and so may rows whose parent was missing.
            changed |= {asset for asset, last in known.items() if last.blocked}
            changed |= _waiting_for_parents(settings, session.data, changed)
        # Tables are only published before one that they refer to if that one was not offered. Those references were not
        # checked, so the tables are read again with it, until it is published: its first appearance may be incomplete.
        arrived = {asset for asset in changed - published if isinstance(states[asset], TableState)}
        unchecked = (_referring_to(settings, arrived) & published) - not_offered if arrived and published else set()
        changed |= unchecked
        interrupted = publication.interrupted(session.records)
        # A table that has since been read again and blocked waits for a change, like other blocked tables.
        changed |= {asset for asset in interrupted if not _is_known_as_blocked(states[asset], known.get(asset))}
        unread = interrupted | unchecked | {asset for asset, is_whole in replays.items() if is_whole}
        whole = {asset for asset in changed if everything or asset not in known or asset in unread}
        _wait_for_other_attempts(session.records, run_id)
        if _recorded(session.records, run_id) != before:
            # Airflow gave this attempt up while it was still running, and its retry may have published the batch.
            raise ServiceUnavailable(
                f"Another attempt of {run_id} has recorded what changed.",
                "No action is needed: that attempt continues.",
            )
        _record_marks(session.records, identity, known, states)
        held = intervention.held_tables(session.records)
        session.records.execute("delete from ops.change where run_id = %s", (run_id,))
        for asset in sorted(changed):
            _record_change(
                session.records,
                run_id,
                SOURCE_TABLES[asset],
                states[asset],
                identity,
                is_offered=asset not in not_offered,
                whole=asset in whole,
                resumes=asset in interrupted,
                is_accepted=asset in accepted,
                is_held=asset in held,
            )
    readable = {
        asset: state for asset, state in states.items() if asset in changed - held and isinstance(state, TableState)
    }
    return _groups(readable, whole)


def detect_later_changes(settings: Settings, attempt: candidate.Attempt, assets: Collection[str]) -> list[str]:
    """Return which of these tables, and of their publish units, changed at the source after the detection of a run.

    If there are any, record them, and that the others of these tables that the run has staged must be read again with
    them, from one snapshot. Tables that are rolled back, or that the run could not read, are left out. Approvals of the
    deliveries that were detected before end.
    Raises Overtaken if another attempt has begun.
    """
    run_id, source = attempt.run_id, open_source(settings)
    identity = with_timeout(source.identity, settings.table_timeout_minutes * 60)
    with open_warehouse(settings).connect("detect") as session:
        rows = session.records.execute(
            "select asset, fingerprint, status from ops.change where run_id = %s", (run_id,)
        ).fetchall()
        known = {asset: last.fingerprint for asset, last in _known(session.records, identity).items()}
        known |= {asset: fingerprint for asset, fingerprint, _ in rows}
        left_out = {asset for asset, _, status in rows if status != "staged"}
        left_out |= intervention.held_tables(session.records)
        wanted = (_with_units(assets) & known.keys()) - left_out
        states = {asset: _state(source, SOURCE_TABLES[asset], known, settings) for asset in sorted(wanted)}
        changed = {
            asset: state.fingerprint
            for asset, state in states.items()
            if isinstance(state, TableState) and state.fingerprint != known[asset]
        }
        candidate.require(session.records, attempt)
        approval.use(session.records, run_id, changed)
        for asset in changed:
            _record_change(session.records, run_id, SOURCE_TABLES[asset], states[asset], identity)
        if changed:
            session.records.execute(
                "update ops.change set status = 'detected' where run_id = %s and asset = any(%s)",
                (run_id, sorted(wanted)),
            )
    return sorted(changed)


def _with_units(assets: Collection[str]) -> frozenset[str]:
    """Return these tables and those that are published together with them."""
    unknown = sorted(set(assets) - SOURCE_TABLES.keys())
    if unknown:
        raise PlatformError(f"accept lists names that are not source tables: {', '.join(unknown)}.", LIST)
    return frozenset().union(*(unit_of(asset) for asset in assets))


def difference(settings: Settings) -> str | None:
    """Return a digest of what there is to ingest, or None if there is nothing; used by the watcher.

    That is how the source differs from its last reading, approvals that no run has used to reach a verdict yet, and
    requests to read rows in quarantine again.
    """
    source = open_source(settings)
    with open_warehouse(settings).connect("watch") as session:
        layout.prepare(session)
        known = _known(session.records, with_timeout(source.identity, settings.table_timeout_minutes * 60))
        replays = [f"{asset} {when}" for asset, when in decisions.requested_replays(session.records).items()]
        approved = [f"approval {one.number}" for one in approval.waiting(session.records)]
    found = [f"{asset} {_fingerprint(state)}" for asset, state in _states(source, known, settings).items()]
    seen = {f"{asset} {last.fingerprint}" for asset, last in known.items()}
    news = sorted({*found, *replays, *approved} - seen)
    return hashlib.sha256("\n".join(news).encode()).hexdigest() if news else None


def _is_known_as_blocked(state: TableState | TableBlocked, last: _Known | None) -> bool:
    return last is not None and last.blocked and _fingerprint(state) == last.fingerprint


def _states(
    source: Source, known: Mapping[str, _Known], settings: Settings, marks: Mapping[str, str] | None = None
) -> dict[str, TableState | TableBlocked]:
    """Return the state of every table, or why it has none. `marks`: see `Source.states`.

    All states are queried at once. If that fails or times out, each table is queried separately to find the faulty one.
    If the source answers for none of them, its error is raised again.
    """
    entries = tuple(SOURCE_TABLES.values())
    fingerprints = {asset: last.fingerprint for asset, last in known.items()}
    seconds = settings.table_timeout_minutes * 60
    try:
        return with_timeout(lambda: source.states(entries, fingerprints, marks), seconds)
    except BaseException as error:
        if not isinstance(error, ServiceUnavailable) and concerns_every_table(error):
            raise
        with_timeout(source.identity, seconds)
        states = {entry.asset: _state(source, entry, fingerprints, settings) for entry in entries}
        if not any(isinstance(state, TableState) for state in states.values()):
            raise
        return states


def _state(
    source: Source, entry: SourceTable, known: Mapping[str, str], settings: Settings
) -> TableState | TableBlocked:
    seconds = settings.table_timeout_minutes * 60
    try:
        with contained(entry.asset, "table_is_readable", "asked for changes"):
            return with_timeout(lambda: source.states([entry], known), seconds)[entry.asset]
    except TableBlocked as blocked:
        return blocked
    except NoAnswer:
        # The other tables are still to be queried: make sure that the source itself answers.
        with_timeout(source.identity, seconds)
        cause = f"the source did not return its state within {settings.table_timeout_minutes:g} minutes."
        return TableBlocked(entry.asset, NO_ANSWER, cause)
    except ServiceUnavailable as error:
        with_timeout(source.identity, seconds)
        return TableBlocked(entry.asset, "table_is_readable", f"the query for its changes failed: {error.cause}")


def has_work(settings: Settings, run_id: str) -> bool:
    """Return whether a run found anything to do.

    That includes an unreadable table, an unannounced version, and a change that an earlier run did not conclude.
    """
    with open_records(settings).connect("detect") as records:
        batch = records.execute(
            "select 1 from ops.change where run_id = %s or to_conclude limit 1", (run_id,)
        ).fetchone()
        return batch is not None or bool(publication.unannounced(records, list(SOURCE_TABLES)))


def clear(records: Connection, before: datetime) -> None:
    """Delete changes detected before a moment whose tables have since been published or found unchanged.

    Of a table that is still blocked, the first blocked change and the newest change stay.
    """
    records.execute(
        "delete from ops.change as c using (select asset, max(number) as newest,"
        " max(number) filter (where status in ('published', 'unchanged', 'held')) as good"
        " from ops.change group by asset) as last"
        " where last.asset = c.asset and c.detected_at < %s and not c.publishing"
        " and (c.number < last.good or c.number < last.newest and exists ("
        "select 1 from ops.change as e where e.asset = c.asset and e.status = 'blocked'"
        " and e.number < c.number and (last.good is null or e.number > last.good)))",
        (before,),
    )


def _known(records: Connection, identity: str) -> dict[str, _Known]:
    """Return the recorded states of the tables, if they are from this source and for the current columns."""
    rows = records.execute(
        "select asset, fingerprint, columns_digest, blocked, mark from ops.watermark where source = %s", (identity,)
    ).fetchall()
    known = {}
    for asset, fingerprint, columns, blocked, mark in rows:
        # Rows that were read for other columns say nothing about the contract's current columns.
        if columns == digest_of_columns(SOURCE_TABLES[asset]):
            known[asset] = _Known(fingerprint, blocked, mark)
    return known


def _record_marks(
    records: Connection, identity: str, known: Mapping[str, _Known], states: Mapping[str, TableState | TableBlocked]
) -> None:
    """Record the present marks of the tables whose recorded state is still theirs."""
    newer = [
        (asset, state.fingerprint, state.mark)
        for asset, state in states.items()
        if isinstance(state, TableState)
        and state.mark
        and asset in known
        and state.fingerprint == known[asset].fingerprint
        and state.mark != known[asset].mark
    ]
    if newer:
        records.execute(
            "update ops.watermark as w set mark = n.mark from unnest(%s::varchar[], %s::varchar[], %s::varchar[])"
            " as n (asset, fingerprint, mark)"
            " where w.asset = n.asset and w.fingerprint = n.fingerprint and w.source = %s",
            (*map(list, zip(*newer, strict=True)), identity),
        )


def _not_offered(
    settings: Settings,
    records: Connection,
    identity: str,
    states: Mapping[str, TableState | TableBlocked],
    published: Collection[str],
) -> frozenset[str]:
    """Return the tables that this source does not have and never had, and that it may lack.

    It had a table that is published, whatever source that came from, and one that was detected here without being
    blocked. A source without any table is at fault, and so is one that lacks a table that marts need, unless that is
    allowed.
    """
    absent = {asset for asset, one in states.items() if isinstance(one, TableBlocked) and one.rule in ABSENT}
    absent -= set(published)
    if not settings.allow_missing:
        absent -= needed_tables()
    if not absent or not any(isinstance(state, TableState) for state in states.values()):
        return frozenset()
    rows = records.execute(
        "select distinct asset from ops.change where source = %s and asset = any(%s) and status <> all(%s)",
        (identity, sorted(absent), ["blocked", publication.NOT_OFFERED]),
    ).fetchall()
    return frozenset(absent - {asset for (asset,) in rows})


def _referring_to(settings: Settings, parents: Collection[str]) -> set[str]:
    """Return the tables whose rows refer to one of these."""
    folder = settings.checks_folder / "source"
    return {asset for asset in SOURCE_TABLES if any(r.parent in parents for r in readable_references(folder, asset))}


def _fingerprint(state: TableState | TableBlocked) -> str:
    """Return a fingerprint of a state or a failure: the same failure twice is not a change."""
    return state.fingerprint if isinstance(state, TableState) else f"unreadable: {state.rule}: {state.detail}"


def _waiting_for_parents(settings: Settings, data: Data, changed: set[str]) -> set[str]:
    """Return tables that have rows in quarantine because of a missing parent that may now have arrived."""
    rows = data.execute(
        "select distinct asset, rule from ops.quarantined_row where status in ('open', 'discarded')"
    ).fetchall()
    waiting = set()
    for asset, rule in rows:
        parents = {r.parent for r in readable_references(settings.checks_folder / "source", asset) if r.rule == rule}
        if parents & changed:
            waiting.add(asset)
    return waiting


def _wait_for_other_attempts(records: Connection, run_id: str) -> None:
    """Wait until no other attempt of a run is recording changes, and keep others out until this transaction ends."""
    records.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"adventureworks detect {run_id}",))


def _recorded(records: Connection, run_id: str) -> list[tuple[str, str, int]]:
    """Return the changes that a run has recorded: table, status, number."""
    return records.execute(
        "select asset, status, number from ops.change where run_id = %s order by asset", (run_id,)
    ).fetchall()


def _record_change(
    records: Connection,
    run_id: str,
    entry: SourceTable,
    state: TableState | TableBlocked,
    identity: str,
    *,
    is_offered: bool = True,
    whole: bool = False,
    resumes: bool = False,
    is_accepted: bool = False,
    is_held: bool = False,
) -> None:
    """Record a change that a run detected. Of one that it has recorded before, only the state is replaced."""
    unreadable = state if isinstance(state, TableBlocked) and is_offered and not is_held else None
    if is_held:
        status = publication.HELD
    else:
        status = "blocked" if unreadable else "detected" if is_offered else publication.NOT_OFFERED
    records.execute(
        "insert into ops.change (run_id, asset, fingerprint, columns_digest, newest_change, source_rows, status,"
        " blocked_rule, blocked_cause, source, whole, resumes, is_accepted, mark)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (run_id, asset) do update"
        " set fingerprint = excluded.fingerprint, newest_change = excluded.newest_change,"
        " source_rows = excluded.source_rows, mark = excluded.mark",
        (
            run_id,
            entry.asset,
            _fingerprint(state),
            digest_of_columns(entry),
            state.newest_change if isinstance(state, TableState) else None,
            state.rows if isinstance(state, TableState) else None,
            status,
            unreadable.rule if unreadable else None,
            unreadable.detail if unreadable else None,
            identity,
            whole,
            resumes,
            is_accepted,
            state.mark if isinstance(state, TableState) else None,
        ),
    )


def _groups(states: Mapping[str, TableState], read_whole: set[str]) -> list[list[str]]:
    """Group tables into about ROWS_PER_TASK rows to read; tables of one unit stay together, in one snapshot."""
    units = {tuple(sorted(unit_of(asset) & states.keys())) for asset in states}
    weights = {unit: sum(_rows_to_read(states[a], a in read_whole) for a in unit) for unit in units}
    groups: list[list[str]] = []
    weight = ROWS_PER_TASK
    for unit in sorted(units, key=lambda u: (-weights[u], u)):
        if weight + weights[unit] > ROWS_PER_TASK:
            groups.append([])
            weight = 0
        groups[-1].extend(unit)
        weight += weights[unit]
    return groups


def _rows_to_read(state: TableState, whole: bool) -> int:
    if not whole:
        return 1
    return ROWS_OF_UNKNOWN_TABLE if state.rows is None else state.rows + 1000
