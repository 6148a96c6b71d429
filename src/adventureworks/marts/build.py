"""Computing an analysis: the changed months of its marts, into `staging`.

Everything is read in one transaction, so that the figures and the versions noted with them are of one moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from adventureworks.catalog import Mart, marts_of
from adventureworks.columns import columns_of
from adventureworks.errors import TableBlocked
from adventureworks.marts import models
from adventureworks.marts.plan import NothingToDo, Plan, plan_now
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.postgres import Connection, column_type
from adventureworks.warehouse.sql import names, quoted, table

ENGINE = "postgres"


@dataclass(frozen=True)
class Build:
    """What a run computed, as it noted it."""

    inputs: Mapping[str, int]
    months: tuple[str, ...] | None
    model: str
    as_of: date


def build(settings: Settings, dag: str, run_id: str) -> Plan | NothingToDo:
    """Computes the changed months of every mart of an analysis into `staging`, all from one moment."""
    marts = marts_of(dag)
    with open_warehouse(settings).connect(f"build {dag}") as connection:
        connection.execute("set transaction isolation level repeatable read")
        todo = plan_now(settings, connection, dag)
        if isinstance(todo, NothingToDo):
            return todo
        for place, mart in enumerate(marts):
            _stage(connection, mart, todo.months, todo.as_of, candidates=[m.name for m in marts[:place]])
        connection.execute("delete from ops.build where dag = %s", (dag,))
        connection.execute(
            "insert into ops.build (run_id, dag, inputs, months, model, as_of) values (%s, %s, %s, %s, %s, %s)",
            (
                run_id,
                dag,
                json.dumps(dict(todo.inputs), sort_keys=True),
                None if todo.months is None else json.dumps(list(todo.months)),
                models.digest(marts),
                todo.as_of,
            ),
        )
        return todo


def _stage(
    connection: Connection, mart: Mart, months: tuple[str, ...] | None, as_of: date, candidates: list[str]
) -> None:
    """Computes `mart__rows`, and lets the candidate view show the mart with them in place."""
    columns = columns_of(mart)
    rows = table("staging", f"{mart.name}__rows")
    incremental = months is not None and mart.month is not None
    model = models.rendered(mart, ENGINE, candidates)
    of_months = month_filter(mart) if incremental else "true"
    connection.execute(f"create or replace view {table('staging', mart.name)} as {layout.published_rows(mart)}")
    connection.execute(f"drop table if exists {rows}")
    connection.execute(
        f"create unlogged table {rows} as"
        f" select {names(c.name for c in columns)} from ({model}) as m where {of_months}",
        {"as_of": as_of, "months": list(months or ())},
    )
    connection.execute(f"analyze {rows}")
    kept = f" union all {layout.published_rows(mart)} where not ({month_filter(mart, months)})" if incremental else ""
    connection.execute(
        f"create or replace view {table('staging', mart.name)} as select {', '.join(_typed(mart))} from {rows}{kept}"
    )


def build_of(connection: Connection, dag: str, run_id: str) -> Build:
    """What a run computed. Raises TableBlocked if that is no longer staged."""
    row = connection.execute(
        "select inputs, months, model, as_of from ops.build where dag = %s and run_id = %s", (dag, run_id)
    ).fetchone()
    if row is None:
        raise TableBlocked(dag, "build_is_there", "the staged marts of this run are gone.", "Run the DAG again.")
    inputs, months, model, as_of = row
    return Build(json.loads(inputs), None if months is None else tuple(json.loads(months)), model, as_of)


def _typed(mart: Mart) -> list[str]:
    """The columns in the types of the published table, so that both halves of the candidate agree."""
    return [f"{quoted(c.name)}::{column_type(c.dtype)} as {quoted(c.name)}" for c in columns_of(mart)]


def month_filter(mart: Mart, months: tuple[str, ...] | None = None) -> str:
    """The condition that a row of the mart is of the months; without months they are bound as a parameter."""
    if mart.month is None:
        return "true"
    bound = "%(months)s" if months is None else f"array[{', '.join(_literal(m) for m in months)}]::varchar[]"
    return f"to_char({quoted(mart.month.column)}, 'YYYY-MM') = any({bound})"


def _literal(month: str) -> str:
    # A view cannot hold a parameter; a month is checked to be nothing but one.
    return f"'{datetime.strptime(month, '%Y-%m').strftime('%Y-%m')}'"  # noqa: DTZ007 - a month has no zone
