"""The build step of an analysis: compute what changed in its marts, into `staging`.

Everything is read in one transaction, so that the figures and the recorded versions belong to the same moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from adventureworks.catalog import MARTS, Mart, Part, Period, marts_of
from adventureworks.columns import columns_of, key_of
from adventureworks.due import Months, NothingToDo, Plan
from adventureworks.errors import CandidateLost, ServiceUnavailable
from adventureworks.marts import models
from adventureworks.marts.changes import Changes, changes_since
from adventureworks.marts.plan import plan_now
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, intervention, layout, open_warehouse, publication
from adventureworks.warehouse.postgres import (
    Connection,
    PostgresWarehouse,
    WarehouseConnection,
    column_type,
    reuse_connections,
)
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Contents, Data, Session
from adventureworks.warehouse.sql import equal, in_months, names, same, table

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Build:
    """What a run computed, as recorded in `ops.build`."""

    inputs: Mapping[str, int]
    months: Mapping[str, Months]
    """By mart: the months that were computed."""
    changed: Mapping[str, Months]
    """By mart: the months with rows that differ from the published ones; None: any month may differ."""
    replaces: Mapping[str, int]
    """By mart: the version that was published when it was computed; 0 if there was none."""
    models: Mapping[str, str]
    """The digest of each mart's model when it was computed."""
    as_of: date
    checks: Mapping[str, str]
    """The mark of the last check of each table and mart when it was computed, if the analysis is tolerant."""
    passed: bool
    """Whether the gate let it pass."""
    attempt: candidate.Attempt
    """The attempt that staged it."""

    def is_carried(self, mart: Mart) -> bool:
        """Return whether a mart was not computed, because nothing that it depends on has changed."""
        return _can_be_carried(mart) and self.months[mart.name] == ()

    @property
    def marts(self) -> tuple[Mart, ...]:
        """The marts that were computed."""
        return tuple(MARTS[name] for name in self.months)


@reuse_connections()
def build(
    settings: Settings, dag: str, run_id: str, requested: Mapping[str, Months] | None = None
) -> Plan | NothingToDo:
    """Compute what changed in every mart of an analysis into `staging`, from inputs of one moment.

    Return what was computed, or why nothing was. `requested`: months of its marts to compute again, even if nothing
    changed. Raises `ServiceUnavailable` if new inputs are published during every attempt.
    """
    for _ in range(MAX_ATTEMPTS):
        todo = _build(settings, dag, run_id, requested)
        if isinstance(todo, NothingToDo) or _inputs_are_unchanged(settings, todo):
            return todo
    raise ServiceUnavailable(
        f"New inputs of {dag} were published while it was computed.", "The task is retried automatically."
    )


def _inputs_are_unchanged(settings: Settings, built: Plan) -> bool:
    """Return whether the inputs still have the recorded versions: in Snowflake a transaction sees others' commits."""
    warehouse = open_warehouse(settings)
    if isinstance(warehouse, PostgresWarehouse):
        return True
    with warehouse.connect("build") as session:
        return publication.newest_versions(session.records, list(built.inputs)) == dict(built.inputs)


def _build(settings: Settings, dag: str, run_id: str, requested: Mapping[str, Months] | None) -> Plan | NothingToDo:
    with open_warehouse(settings).connect(f"build {dag}") as session:
        session.records.execute("set transaction isolation level repeatable read")
        todo = plan_now(settings, session, dag, requested)
        if isinstance(todo, NothingToDo):
            return todo
        marts = marts_of(dag)
        attempt = candidate.begin(session.records, run_id, [mart.name for mart in marts])
        session.data.avoid_nested_loops()
        built: list[str] = []
        changed: dict[str, Months] = {}
        parts: dict[Part, Contents] = {}
        published = publication.newest_of(session.records, list(todo.months))
        comparable = computed_by(_by_mart(dag, todo.models), published)
        for mart in marts:
            if session.commits_twice or mart.name not in todo.months:
                # This run must not publish what an earlier run left in staging. In one transaction, a mart that is
                # computed gets its new view before anyone sees the old one.
                layout.show_published(session.data, mart)
            if mart.name in todo.months:
                last, is_requested = comparable.get(mart.name), mart.name in (requested or {})
                if mart.part:
                    if mart.part not in parts:
                        parts[mart.part] = candidate.contents_of(session.data, mart.part)
                    found, version = parts[mart.part], todo.inputs[mart.part.input]
                    if not is_requested and _is_carried(session.records, mart, mart.part, found, last, todo, changed):
                        todo = _carrying(todo, mart)
                    candidate.record_part(session.records, run_id, mart, version, found)
                elif mart.periods and not is_requested and _counts_the_same(session.data, mart, last, todo):
                    todo = _carrying(todo, mart)
                parameters = {"as_of": todo.as_of, "run_id": run_id}
                is_updated = models.can_update(mart) and not is_requested
                changes = changes_since(session, mart, last) if is_updated else None
                changed[mart.name] = _stage(session, mart, todo, parameters, built, last, changes)
                built.append(mart.name)
        candidate.record(session, attempt, *(MARTS[name] for name in built))
        session.records.execute("delete from ops.build where dag = %s", (dag,))
        session.records.execute(
            "insert into ops.build (run_id, dag, inputs, months, changed, replaces, model, as_of, checks)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                run_id,
                dag,
                json.dumps(dict(todo.inputs), sort_keys=True),
                json.dumps(dict(todo.months)),
                json.dumps(changed),
                json.dumps({name: published[name].version if name in published else 0 for name in todo.months}),
                todo.models,
                todo.as_of,
                json.dumps(dict(todo.checks), sort_keys=True),
            ),
        )
        return todo


def _is_carried(
    records: Connection,
    mart: Mart,
    part: Part,
    contents: Contents,
    last: Publication | None,
    todo: Plan,
    changed: Mapping[str, Months],
) -> bool:
    """Return whether a mart would be computed to the published rows, apart from their business date.

    `contents`: those of its part. `last`: the version that the same model has computed. `changed`: the months that
    differ in the marts that this run has built before it.
    """
    if last is None:
        return False
    others = [name for name in mart.inputs if name != part.input]
    if any(last.inputs.get(name) != todo.inputs[name] for name in others if name in todo.inputs):
        return False
    if any(changed.get(name, ()) != () for name in others):
        return False
    return candidate.is_part_published(records, mart, last.inputs.get(part.input, 0), contents)


def _counts_the_same(data: Data, mart: Mart, last: Publication | None, todo: Plan) -> bool:
    """Return whether a mart with periods would be computed to the published rows, apart from their business date.

    `last`: the version that the same model has computed. One with warnings or an approved failure does not count, so
    that it is checked again.
    """
    if last is None or last.verdict != "passed":
        return False
    if last.as_of is None or any(last.inputs.get(name) != todo.inputs.get(name) for name in mart.inputs):
        return False
    if not data.views_in("raw").isdisjoint(mart.inputs):
        # The tables of another environment change without a version in this one.
        return False
    days = sorted((last.as_of, todo.as_of))
    return not any(_begins_or_ends(data, period, *days) for period in mart.periods)


def _begins_or_ends(data: Data, period: Period, earlier: date, later: date) -> bool:
    """Return whether a row of an input counts on only one of two business dates."""
    first = f"cast({quoted(period.first)} as date)"
    differs = f"{first} > date '{earlier}' and {first} <= date '{later}'"
    if period.last:
        last = f"cast({quoted(period.last)} as date)"
        differs += f" or {last} >= date '{earlier}' and {last} < date '{later}'"
    found = data.execute(f"select 1 from {table('raw', period.input)} where {differs} limit 1")
    return found.fetchone() is not None


def _can_be_carried(mart: Mart) -> bool:
    return mart.part is not None or bool(mart.periods)


def _carrying(todo: Plan, mart: Mart) -> Plan:
    """Return a plan that carries a mart over instead of computing it."""
    return replace(todo, months={**todo.months, mart.name: ()})


def _stage(
    session: Session,
    mart: Mart,
    todo: Plan,
    parameters: Mapping[str, Any],
    candidates: Sequence[str],
    last: Publication | None,
    changes: Changes | None,
) -> Months:
    """Compute `mart__rows`, and point the candidate view at the mart with these rows in place.

    `last`: the version that the same model has computed. `changes`: those since then, if its rows may be used. Returns
    the months with rows that differ from the published ones; only these are staged.
    """
    rows, months = table("staging", f"{mart.name}__rows"), todo.months[mart.name]
    is_carried = _can_be_carried(mart) and months == ()
    if is_carried:
        months = _stage_carried(session, mart, rows, parameters)
    elif models.is_sql(mart):
        model = models.rendered(mart, mart.name, candidates, months)
        of_months = "true" if months is None else in_months(quoted(mart.dated), months)
        session.data.replace(
            "unlogged table",
            rows,
            f"as select {names(c.name for c in columns_of(mart))} from ({model}) as m where {of_months}",
            parameters,
        )
    else:
        _stage_computed(session, mart, parameters, candidates, changes)
    # If the contract or the checks changed, rows that stay the same have to be validated too.
    if months != () and last is not None:
        months = _remove_unchanged(session.data, mart, months, is_redated=has_new_date(mart, last, todo.as_of))
    if not is_carried:
        session.data.update_statistics("staging", f"{mart.name}__rows")
    session.data.execute(
        f"create or replace view {table('staging', mart.name)} as select {', '.join(_typed(mart))} from {rows}"
        f" union all {layout.published_rows(mart)} where not ({replaced(mart, months)})"
    )
    return months


def _stage_carried(session: Session, mart: Mart, rows: str, parameters: Mapping[str, Any]) -> Months:
    """Stage the published rows for a new business date if they have one, otherwise no row; return what may differ."""
    has_date = "as_of" in {column.name for column in columns_of(mart)}
    columns = [
        f"cast(%(as_of)s as date) as {quoted(column.name)}" if column.name == "as_of" else quoted(column.name)
        for column in columns_of(mart)
    ]
    session.data.replace(
        "unlogged table",
        rows,
        f"as select {', '.join(columns)} from {table('marts', mart.name)} where {'true' if has_date else 'false'}",
        parameters,
    )
    return None if has_date else ()


def _remove_unchanged(data: Data, mart: Mart, months: Months, *, is_redated: bool) -> Months:
    """Remove from staging the months that equal the published ones; return the others, or None if any may differ.

    `is_redated`: no staged row equals a published one.
    """
    # Otherwise rows have no month of their own: their date shows how far the whole mart goes.
    has_own_month = mart.incremental or mart.dated in key_of(mart)
    is_whole = months is None and not has_own_month
    if is_whole and (_has_row(data, mart) if is_redated else _has_new_row(data, mart)):
        return None
    rows, columns = table("staging", f"{mart.name}__rows"), names(column.name for column in columns_of(mart))
    staged = f"select {columns} from {rows}"
    published = f"select {columns} from {table('marts', mart.name)} where {replaced(mart, months)}"
    # EXCEPT ignores duplicates, so a month with a duplicated key stays staged for the gate to refuse.
    twice = f"select {columns} from {rows} where ({names(key_of(mart))}) in (select {names(key_of(mart))} from {rows}"
    twice += f" group by {names(key_of(mart))} having count(*) > 1)"
    found = data.execute(
        f"select distinct to_char(d.{quoted(mart.dated)}, 'YYYY-MM') from ("
        f"({staged} except {published}) union all ({published} except {staged}) union all ({twice})) as d"
    ).fetchall()
    differing = tuple(sorted(month for (month,) in found))
    if differing and is_whole:
        return None
    data.execute(f"delete from {rows} where not {in_months(quoted(mart.dated), differing)}")
    return differing


def _has_row(data: Data, mart: Mart) -> bool:
    """Return whether any row is staged."""
    return data.execute(f"select 1 from {table('staging', f'{mart.name}__rows')} limit 1").fetchone() is not None


def _has_new_row(data: Data, mart: Mart) -> bool:
    """Return whether a staged row differs from the published row with its key; the first such row ends the search."""
    key, columns = key_of(mart), [column.name for column in columns_of(mart)]
    found = data.execute(
        f"select 1 from {table('staging', f'{mart.name}__rows')} as r left join {table('marts', mart.name)} as p"
        f" on {equal(key, 'p', 'r')} where not ({same(columns, 'p', 'r')}) limit 1"
    ).fetchone()
    return found is not None


def _stage_computed(
    session: Session, mart: Mart, parameters: Mapping[str, Any], candidates: Sequence[str], changes: Changes | None
) -> None:
    """Compute a mart in Python, from what its SELECTs read in this transaction."""
    read, as_of, columns = models.reader(session, mart, parameters, candidates), parameters["as_of"], columns_of(mart)
    frame = models.updated(mart, read, changes, as_of) if changes else None
    if frame is None:
        frame = models.compute(mart, read, as_of)
    if frame.is_empty():
        frame = pl.DataFrame(schema={column.name: column.dtype for column in columns})
    frame = frame.select(pl.col(column.name).cast(column.dtype) for column in columns)
    rows = table("staging", f"{mart.name}__rows")
    definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns)
    session.data.replace("unlogged table", rows, f"({definitions})")
    session.data.fill("staging", f"{mart.name}__rows", frame)


def build_of(records: Connection, dag: str, run_id: str) -> Build:
    """Return what a run computed. Raises `CandidateLost` if another run has built the analysis since."""
    row = records.execute(
        "select inputs, months, changed, replaces, model, as_of, checks, passed from ops.build"
        " where dag = %s and run_id = %s",
        (dag, run_id),
    ).fetchone()
    if row is None:
        raise CandidateLost(f"Another run replaced what this run of {dag} built.")
    inputs, months, changed, replaces, model, as_of, checks, passed = row
    digests = _by_mart(dag, model)
    if len(digests) != len(marts_of(dag)) or changed is None or replaces is None or checks is None:
        raise CandidateLost(f"This run of {dag} was built by another version of the platform.")
    return Build(
        json.loads(inputs),
        _months(months),
        _months(changed),
        json.loads(replaces),
        digests,
        as_of,
        json.loads(checks),
        passed,
        candidate.hold(records, run_id, [mart.name for mart in marts_of(dag)]),
    )


def unpublished(records: WarehouseConnection, dag: str, run_id: str) -> tuple[Build, dict[str, Publication]]:
    """Return what a run computed but has not published, and by mart the version that it replaces, if there is one.

    Raises `CandidateLost` as `build_of` does, and if the analysis was rolled back or one of its marts published since.
    """
    built = build_of(records, dag, run_id)
    if not intervention.rolled_back(records).keys().isdisjoint(mart.name for mart in marts_of(dag)):
        # A rollback need not have published a new version of every mart of the analysis.
        raise CandidateLost(f"{dag} was rolled back after this run was built.")
    newest = publication.newest_of(records, list(built.replaces))
    versions = {name: version.version for name, version in newest.items()}
    replaced_since = sorted(name for name, version in built.replaces.items() if versions.get(name, 0) != version)
    if replaced_since:
        raise CandidateLost(f"Another run published {', '.join(replaced_since)} after this run of {dag} was built.")
    return built, newest


def _by_mart(dag: str, models: str) -> dict[str, str]:
    """Return the digests that `due.digest_of` joined, by mart; fewer if another version of the platform joined them."""
    return dict(zip((mart.name for mart in marts_of(dag)), models.split(), strict=False))


def _months(recorded: str) -> dict[str, Months]:
    return {name: None if found is None else tuple(found) for name, found in json.loads(recorded).items()}


def computed_by(models: Mapping[str, str], versions: Mapping[str, Publication]) -> dict[str, Publication]:
    """Return those of these versions of marts that models with these digests have computed.

    Only they can be compared with what these models compute now.
    """
    return {name: version for name, version in versions.items() if version.model == models[name]}


def require_staged(session: Session, run_id: str, built: Build) -> None:
    """Raise `CandidateLost` unless the staged rows are those that the run computed, by the same attempt."""
    if candidate.hold(session.records, run_id, built.attempt.numbers) != built.attempt:
        raise CandidateLost(f"Another attempt of {run_id} has staged rows since.")
    lost = candidate.lost(session, run_id, built.marts)
    if lost:
        raise CandidateLost(f"The staged rows of {', '.join(lost)} are not the rows that were built.")


def let_pass(records: Connection, dag: str, run_id: str) -> None:
    """Record that the gate let what a run computed pass."""
    records.execute("update ops.build set passed = true where dag = %s and run_id = %s", (dag, run_id))


def refuse(records: Connection, dag: str, run_id: str) -> None:
    """Record that the gate refused what a run computed."""
    records.execute("update ops.build set refused = true where dag = %s and run_id = %s", (dag, run_id))


def has_new_date(mart: Mart, last: Publication | None, as_of: date) -> bool:
    """Return whether every row differs from those of the last version, because it states another business date."""
    return last is not None and last.as_of != as_of and "as_of" in {column.name for column in columns_of(mart)}


def replaced(mart: Mart, months: Months) -> str:
    """Return the SQL condition for the published rows that the staged ones replace."""
    if mart.history:
        columns = names(mart.history.columns)
        return f"({columns}) in (select {columns} from {table('staging', f'{mart.name}__rows')})"
    return "true" if months is None else in_months(quoted(mart.dated), months)


def _typed(mart: Mart) -> list[str]:
    """Return the columns cast to the types of the published table, so that both halves of the candidate view match."""
    return [f"{quoted(c.name)}::{column_type(c.dtype)} as {quoted(c.name)}" for c in columns_of(mart)]
