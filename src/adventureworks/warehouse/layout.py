"""The tables and views of the warehouse, created from the catalogue and the contracts.

`prepare` is safe to call at any time: it does nothing if the contracts have not changed since the last call, and it
only ever adds, such as a new column of a contract; it never drops anything that holds data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path

import contracts
from adventureworks import catalog
from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.migrations import migrate
from adventureworks.warehouse.postgres import Connection, WarehouseConnection, column_type
from adventureworks.warehouse.sql import names, table

# Only one ingestion or analysis at a time may change the layout.
_LAYOUT_LOCK = 7_101_917


def prepare(connection: WarehouseConnection) -> None:
    """Create whatever is missing. Several processes may call this at once."""
    digest = _digest(connection.target)
    if _is_applied(connection, digest):
        return
    connection.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
    connection.make_schemas(SCHEMAS)
    migrate(connection)
    connection.execute(_text("quarantined_row.sql"))
    connection.execute(
        "create index if not exists quarantined_row_by_asset on ops.quarantined_row (asset, status, row_key)"
    )
    present = {schema: connection.columns_in(schema) for schema in ("raw", "marts")}
    for entry in catalog.SOURCE_TABLES.values():
        _make_table(connection, "raw", entry, present["raw"])
        _make_views_of_source_table(connection, entry)
    connection.execute(_text("withheld.sql"))
    for mart in catalog.MARTS.values():
        _make_table(connection, "marts", mart, present["marts"])
        _make_view(connection, "staging", mart, published_rows(mart))
    connection.execute(_text("sales_month.sql"))
    connection.execute("delete from ops.layout")
    connection.execute("insert into ops.layout (digest) values (%s)", (digest,))


def set_revision(connection: WarehouseConnection, revision: str = "") -> str:
    """Bring the platform's records to a revision of `migrations`, by default the newest, and return it.

    The version of the platform that starts next lays out its own views again.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
    reached = migrate(connection, revision)
    connection.execute("delete from ops.layout")
    return reached


def published_rows(entry: SourceTable | Mart) -> str:
    """Return a SELECT of the published table, with the columns in the contract's order."""
    columns = (column.name for column in columns_of(entry))
    return f"select {names(columns)} from {table(published_schema(entry), entry.asset)}"


def show_published(connection: Connection, entry: SourceTable | Mart) -> None:
    """Point the candidate view at the published table, because nothing is staged or the staged rows were refused."""
    connection.execute(f"create or replace view {table('staging', entry.asset)} as {published_rows(entry)}")


def published_schema(entry: SourceTable | Mart) -> str:
    """Return the schema of a published table."""
    return "raw" if isinstance(entry, SourceTable) else "marts"


def _digest(target: str) -> str:
    """Return a digest of the files that define the tables, and of the place where the tables are."""
    folder = Path(contracts.__file__).parent
    here, registry = Path(str(resources.files(__package__))), Path(catalog.__file__).parent
    digest = hashlib.sha256(target.encode())
    for path in sorted([*folder.rglob("*.py"), *here.rglob("*.sql"), *here.rglob("*.py"), *registry.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_applied(connection: Connection, digest: str) -> bool:
    exists = connection.execute("select to_regclass('ops.layout') is not null").fetchone()
    if exists is None or not exists[0]:
        return False
    return connection.execute("select digest from ops.layout").fetchall() == [(digest,)]


def _make_views_of_source_table(connection: Connection, entry: SourceTable) -> None:
    fields = [f"row_data::jsonb ->> '{column.name}' as {quoted(column.name)}" for column in columns_of(entry)]
    set_aside = (
        f"select {', '.join(fields)}, rule, message, run_id, first_seen, last_seen from ops.quarantined_row"
        f" where asset = '{entry.asset}' and (status = 'staged' or status = 'open' and next_status is null)"
    )
    _make_view(connection, "quarantine", entry, set_aside)
    _make_view(connection, "staging", entry, published_rows(entry))


def _make_view(connection: Connection, schema: str, entry: SourceTable | Mart, select: str) -> None:
    # CREATE OR REPLACE VIEW cannot insert a column between others.
    connection.execute(f"drop view if exists {table(schema, entry.asset)}")
    connection.execute(f"create view {table(schema, entry.asset)} as {select}")


def _make_table(
    connection: WarehouseConnection, schema: str, entry: SourceTable | Mart, present: Mapping[str, Collection[str]]
) -> None:
    columns, name = columns_of(entry), table(schema, entry.asset)
    if entry.asset not in present:
        definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns)
        connection.execute(f"create table if not exists {name} ({definitions}, primary key ({names(key_of(entry))}))")
    for column in columns:
        if column.name not in present.get(entry.asset, [one.name for one in columns]):
            connection.execute(f"alter table {name} add column {quoted(column.name)} {column_type(column.dtype)}")
    comment = (entry.contract.__doc__ or "").strip().split("\n")[0]
    connection.describe(schema, entry.asset, comment, {c.name: c.description for c in columns if c.description})


def _text(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
