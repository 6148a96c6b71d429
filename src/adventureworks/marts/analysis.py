"""The steps of every downstream DAG: plan, build, gate, publish.

Events only wake; what is to be done is read from `ops.publication`. The build reads everything in one transaction, so
that its figures and the versions it notes are of one moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from adventureworks import incidents
from adventureworks.catalog import MARTS, Mart, marts_of, outside_inputs
from adventureworks.errors import TableBlocked
from adventureworks.gate.checks import CheckOutcome, run_checks
from adventureworks.gate.contract import EXAMPLES, columns_of, hold_against, key_of
from adventureworks.incidents import Finding, Incident
from adventureworks.marts import models
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection, PostgresWarehouse
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.sql import names, quoted, table

ENGINE = "postgres"


@dataclass(frozen=True)
class Plan:
    """What an analysis has to compute, and from what."""

    inputs: Mapping[str, int]
    """Version of each input, as read."""
    months: tuple[str, ...] | None
    """The months to compute ('YYYY-MM'); None: all."""


@dataclass(frozen=True)
class NothingToDo:
    """Why an analysis has nothing to compute; `waits`: for an input that is about to be published."""

    reason: str
    waits: bool = False


def plan(settings: Settings, dag: str) -> Plan | NothingToDo:
    """Compares the versions that an analysis consumed with those published now."""
    with open_warehouse(settings).connect(f"plan {dag}") as connection:
        layout.prepare(connection)
        return _plan(connection, dag)


def _plan(connection: Connection, dag: str) -> Plan | NothingToDo:
    inputs = outside_inputs(dag)
    versions = publication.newest_versions(connection, inputs)
    missing = [asset for asset in inputs if asset not in versions]
    if missing:
        return NothingToDo(f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} never published")
    due = [asset for asset in inputs if asset in MARTS and _is_due(connection, MARTS[asset])]
    if due:
        return NothingToDo(f"{', '.join(due)} will be published first, and that starts this analysis again", waits=True)
    marts = marts_of(dag)
    last = _last_build(connection, marts[-1])
    if last is None or last.model != models.digest(marts):
        return Plan(versions, None)
    changed = [asset for asset in inputs if versions[asset] > last.inputs.get(asset, 0)]
    if not changed:
        return NothingToDo("no input changed since the last run")
    months: set[str] = set()
    for asset in changed:
        for version in publication.since(connection, asset, last.inputs.get(asset, 0)):
            if version.months is None:
                return Plan(versions, None)
            months.update(version.months)
    return Plan(versions, tuple(sorted(months)))


@dataclass(frozen=True)
class _LastBuild:
    inputs: Mapping[str, int]
    model: str


def _last_build(connection: Connection, mart: Mart) -> _LastBuild | None:
    row = connection.execute(
        "select inputs, model from ops.publication where asset = %s order by version desc limit 1", (mart.name,)
    ).fetchone()
    return _LastBuild(json.loads(row[0]), row[1]) if row else None


def _is_due(connection: Connection, mart: Mart) -> bool:
    """Whether a mart's own analysis has something to compute, or waits for one that has."""
    step = _plan(connection, mart.dag)
    return isinstance(step, Plan) or step.waits


def build(settings: Settings, dag: str, run_id: str) -> Plan | NothingToDo:
    """Computes the changed months of every mart of an analysis into `staging`, all from one moment."""
    marts = marts_of(dag)
    with open_warehouse(settings).connect(f"build {dag}") as connection:
        connection.execute("set transaction isolation level repeatable read")
        todo = _plan(connection, dag)
        if isinstance(todo, NothingToDo):
            return todo
        as_of = _as_of(settings, connection)
        for place, mart in enumerate(marts):
            _stage(connection, mart, todo.months, as_of, candidates=[m.name for m in marts[:place]])
        connection.execute("delete from ops.build where dag = %s", (dag,))
        connection.execute(
            "insert into ops.build (run_id, dag, inputs, months, model, as_of) values (%s, %s, %s, %s, %s, %s)",
            (
                run_id,
                dag,
                json.dumps(dict(todo.inputs), sort_keys=True),
                None if todo.months is None else json.dumps(list(todo.months)),
                models.digest(marts),
                as_of,
            ),
        )
        return todo


def _as_of(settings: Settings, connection: Connection) -> date:
    """The business date: configured, or that of the newest order."""
    if settings.as_of:
        return date.fromisoformat(settings.as_of)
    row = connection.execute('select max("OrderDate")::date from raw."Sales_SalesOrderHeader"').fetchone()
    return row[0] if row and row[0] else date.min


def _stage(
    connection: Connection, mart: Mart, months: tuple[str, ...] | None, as_of: date, candidates: list[str]
) -> None:
    """Computes `mart__rows`, and lets the candidate view show the mart with them in place."""
    columns = columns_of(mart.contract)
    rows = table("staging", f"{mart.name}__rows")
    incremental = months is not None and mart.month is not None
    model = models.rendered(mart, ENGINE, candidates)
    of_months = _month_filter(mart) if incremental else "true"
    connection.execute(f"create or replace view {table('staging', mart.name)} as {layout.published_rows(mart)}")
    connection.execute(f"drop table if exists {rows}")
    connection.execute(
        f"create unlogged table {rows} as"
        f" select {names(c.name for c in columns)} from ({model}) as m where {of_months}",
        {"as_of": as_of, "months": list(months or ())},
    )
    connection.execute(f"analyze {rows}")
    kept = f" union all {layout.published_rows(mart)} where not ({_month_filter(mart, months)})" if incremental else ""
    connection.execute(
        f"create or replace view {table('staging', mart.name)} as select {', '.join(_typed(mart))} from {rows}{kept}"
    )


def _typed(mart: Mart) -> list[str]:
    """The columns in the types of the published table, so that both halves of the candidate agree."""
    from adventureworks.warehouse.postgres import column_type

    return [f"{quoted(c.name)}::{column_type(c.dtype)} as {quoted(c.name)}" for c in columns_of(mart.contract)]


def _month_filter(mart: Mart, months: tuple[str, ...] | None = None) -> str:
    """The condition that a row of the mart is of the months; without months they are bound as a parameter."""
    if mart.month is None:
        return "true"
    bound = "%(months)s" if months is None else f"array[{', '.join(_literal(m) for m in months)}]::varchar[]"
    return f"to_char({quoted(mart.month.column)}, 'YYYY-MM') = any({bound})"


def _literal(month: str) -> str:
    # A view cannot hold a parameter; a month is checked to be nothing but one.
    return f"'{datetime.strptime(month, '%Y-%m').strftime('%Y-%m')}'"  # noqa: DTZ007 - a month has no zone


def gate(settings: Settings, dag: str, run_id: str) -> NothingToDo | None:
    """Holds the staged marts against their contracts and checks. Raises TableBlocked: then nothing is published."""
    warehouse = open_warehouse(settings)
    broken: list[Finding] = []
    with warehouse.connect(f"gate {dag}") as connection:
        connection.execute("delete from ops.check_result where run_id = %s", (run_id,))
        for mart in marts_of(dag):
            broken += _contract_findings(settings, connection, mart, run_id)
        as_of = _build_row(connection, dag, run_id)[3]
    broken += _check_findings(settings, warehouse, dag, run_id, as_of)
    if not broken:
        return None
    with warehouse.connect(f"gate {dag}") as connection:
        if _inputs_moved_on(connection, dag, run_id):
            # The checks saw newer inputs than the build did; the event of those inputs starts the next run.
            return NothingToDo("the inputs changed while the marts were computed; they are computed again")
        opened = incidents.report(connection, broken)
    raise GateClosed(tuple(broken), tuple(opened))


class GateClosed(TableBlocked):
    """Marts that broke a rule. `opened`: the incidents whose owner has to be told."""

    def __init__(self, findings: tuple[Finding, ...], opened: tuple[Incident, ...]) -> None:
        self.opened = opened
        first = findings[0]
        super().__init__(first.asset, first.rule, first.summary.removeprefix(f"{first.asset}: "), first.next_step)


def _contract_findings(settings: Settings, connection: Connection, mart: Mart, run_id: str) -> list[Finding]:
    """Every staged row against the mart's contract, in bounded memory."""
    columns = columns_of(mart.contract)
    failed: dict[str, list[str]] = {}
    messages: dict[str, str] = {}
    counts: dict[str, int] = {}
    with connection.cursor(name=f"gate_{mart.name}") as cursor:
        cursor.execute(f"select {names(c.name for c in columns)} from {table('staging', f'{mart.name}__rows')}")
        while rows := cursor.fetchmany(settings.batch_rows):
            frame = pl.DataFrame(rows, schema={c.name: c.dtype for c in columns}, orient="row")
            verdict = hold_against(mart.name, mart.contract, frame.to_arrow().combine_chunks().to_batches()[0])
            for row, rejection in zip(verdict.bad.iter_rows(named=True), verdict.rejections, strict=True):
                messages[rejection.rule] = rejection.message
                counts[rejection.rule] = counts.get(rejection.rule, 0) + 1
                key = ", ".join(f"{name}={row[name]}" for name in key_of(mart.contract))
                failed.setdefault(rejection.rule, []).append(key)
    findings = []
    for rule, keys in failed.items():
        summary = (
            f"{mart.name}: {counts[rule]:,} rows break the contract ({messages[rule]}). The last good version stays."
        )
        findings.append(_finding(mart, rule, summary, counts[rule], tuple(keys[:EXAMPLES]), run_id))
    _remember(connection, run_id, mart, "contract", findings)
    return findings


def _finding(
    mart: Mart, rule: str, summary: str, failed: int | None, examples: tuple[str, ...], run_id: str
) -> Finding:
    return Finding(
        asset=mart.name,
        rule=rule,
        severity="error",
        summary=summary,
        failed=failed,
        total=None,
        examples=examples,
        next_step=f"adventureworks status {mart.name}",
        run_id=run_id,
        owner=mart.owner,
    )


def _remember(connection: Connection, run_id: str, mart: Mart, kind: str, findings: list[Finding]) -> None:
    for finding in findings:
        connection.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, failed, message, examples)"
            " values (%s, %s, %s, %s, 'fail', %s, %s, %s)",
            (run_id, mart.name, finding.rule, kind, finding.failed, finding.summary, json.dumps(finding.examples)),
        )


def _check_findings(
    settings: Settings, warehouse: PostgresWarehouse, dag: str, run_id: str, as_of: date
) -> list[Finding]:
    variables = {"as_of": as_of.isoformat()}
    with warehouse.connect(f"gate {dag}") as connection:
        for mart in marts_of(dag):
            last = publication.newest(connection, mart.name)
            variables[f"least_rows_{mart.name}"] = str(int((last.rows if last else 0) * settings.least_share_of_rows))
            variables[f"stale_before_{mart.name}"] = _stale_before(settings, connection, mart)
    outcomes = run_checks(
        warehouse.url(), settings.checks_folder / "marts", [mart.name for mart in marts_of(dag)], variables
    )
    with warehouse.connect(f"gate {dag}") as connection:
        for outcome in outcomes:
            _remember_outcome(connection, run_id, outcome)
    return [
        _finding(
            MARTS[o.table],
            o.rule,
            f"{o.table}: {o.message} The last good version stays.",
            o.failed,
            o.examples[:EXAMPLES],
            run_id,
        )
        for o in outcomes
        if o.outcome in {"fail", "error"}
    ]


def _stale_before(settings: Settings, connection: Connection, mart: Mart) -> str:
    if mart.month is None:
        return "0001-01-01 00:00:00"
    row = connection.execute(f"select max({quoted(mart.month.column)}) from {table('marts', mart.name)}").fetchone()
    if row is None or row[0] is None:
        return "0001-01-01 00:00:00"
    return f"{row[0] - timedelta(days=settings.stale_after_days)} 00:00:00"


def _remember_outcome(connection: Connection, run_id: str, outcome: CheckOutcome) -> None:
    connection.execute(
        "insert into ops.check_result (run_id, asset, rule, kind, outcome, failed, message, examples)"
        " values (%s, %s, %s, 'check', %s, %s, %s, %s)",
        (
            run_id,
            outcome.table,
            outcome.rule,
            outcome.outcome,
            outcome.failed,
            outcome.message,
            json.dumps(list(outcome.examples)),
        ),
    )


def _inputs_moved_on(connection: Connection, dag: str, run_id: str) -> bool:
    read = json.loads(_build_row(connection, dag, run_id)[0])
    return bool(publication.newest_versions(connection, outside_inputs(dag)) != read)


def _build_row(connection: Connection, dag: str, run_id: str) -> tuple[str, str | None, str, date]:
    row = connection.execute(
        "select inputs, months, model, as_of from ops.build where dag = %s and run_id = %s", (dag, run_id)
    ).fetchone()
    if row is None:
        raise TableBlocked(dag, "build_is_there", "the staged marts of this run are gone.", "Run the DAG again.")
    return row[0], row[1], row[2], row[3]


@dataclass(frozen=True)
class Outcome:
    """What an analysis published: the newest version of each of its marts, and incidents that are over."""

    published: tuple[Publication, ...]
    resolved: tuple[Incident, ...]


def publish(settings: Settings, dag: str, run_id: str) -> Outcome:
    """Replaces the computed months and notes versions and inputs, in one transaction. Run again, it changes nothing."""
    marts = marts_of(dag)
    with open_warehouse(settings).connect(f"publish {dag}") as connection:
        done = connection.execute(
            "select 1 from ops.publication where run_id = %s and asset = %s", (run_id, marts[-1].name)
        ).fetchone()
        resolved: list[Incident] = []
        if done is None:
            inputs, months, model, _ = _build_row(connection, dag, run_id)
            for mart in marts:
                _publish_mart(
                    connection,
                    mart,
                    run_id,
                    json.loads(inputs),
                    None if months is None else tuple(json.loads(months)),
                    model,
                )
                resolved += incidents.resolve(connection, mart.name, run_id=run_id)
        news = [publication.newest(connection, mart.name) for mart in marts]
    return Outcome(tuple(version for version in news if version), tuple(resolved))


def _publish_mart(
    connection: Connection,
    mart: Mart,
    run_id: str,
    inputs: Mapping[str, int],
    months: tuple[str, ...] | None,
    model: str,
) -> None:
    columns = [column.name for column in columns_of(mart.contract)]
    rows, published = table("staging", f"{mart.name}__rows"), table("marts", mart.name)
    incremental = months is not None and mart.month is not None
    of_months = _month_filter(mart, months) if incremental else "true"
    removed = connection.execute(f"delete from {published} where {of_months}").rowcount
    added = connection.execute(
        f"insert into {published} ({names(columns)}) select {names(columns)} from {rows}"
    ).rowcount
    withheld = connection.execute("select count(*) from staging.withheld_order").fetchone()
    total = connection.execute(f"select count(*) from {published}").fetchone()
    orders = int(withheld[0]) if withheld else 0
    publication.record(
        connection,
        asset=mart.name,
        rows=int(total[0]) if total else 0,
        changed_rows=max(removed, added),
        months=months,
        set_aside=orders,
        verdict=f"passed with warnings: {orders:,} {'order' if orders == 1 else 'orders'} withheld"
        if orders
        else "passed",
        run_id=run_id,
        inputs=inputs,
        model=model,
    )
    connection.execute(f"create or replace view {table('staging', mart.name)} as {layout.published_rows(mart)}")
