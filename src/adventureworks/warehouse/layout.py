"""The tables and views of the warehouse, created from the catalogue and the contracts.

`prepare` is safe to call at any time: it does nothing if the contracts have not changed since the last call. It only
adds, such as a new column of a contract, and never drops published rows. It drops views that nothing reads any more,
and when the columns of a table or mart change, the kept rows of its earlier versions, which can no longer be restored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import contracts
from adventureworks import catalog, dictionary
from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.postgres_sql import quoted
from adventureworks.texts import language
from adventureworks.warehouse import kept
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.migrations import migrate
from adventureworks.warehouse.postgres import WarehouseConnection, column_type
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import names, published_schema, table

PUBLISHED = ("raw", "marts")
"""The schemas of the published tables."""
SHARED_VIEWS = (
    "withheld.sql",
    "booking_delay.sql",
    "channel_month.sql",
    "sales_month.sql",
    "complete_customer_days.sql",
    "complete_territory_sales.sql",
    "recent_baskets.sql",
    "vendor_offer.sql",
)
"""The files of the views that several marts read, each after those that it reads."""
RETIRED_VIEWS = ("complete_sales",)
"""Views of earlier versions that nothing reads any more."""

_READ_BY_MONTH = frozenset(asset for mart in catalog.MARTS.values() for asset in mart.by_month)

# Only one ingestion or analysis at a time may change the layout.
_LAYOUT_LOCK = 7_101_917


def prepare(session: Session) -> None:
    """Create whatever is missing. Several processes may call this at once.

    Every step of an ingestion and every analysis begins with this, because the platform may be upgraded between two
    tasks. On a connection that is reused, the first call finds out for all.
    """
    digest = _digest(session.data.target)
    if session.records.layout == digest:
        return
    if _is_applied(session.records, digest):
        session.records.layout = digest
        return
    session.records.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
    session.data.make_schemas(SCHEMAS)
    session.records.make_schemas(["ops"])
    migrate(session.records)
    # The candidate views will show the published rows, so a run in progress has to stage its rows again. First, because
    # an attempt that stages rows locks its records before the views.
    session.records.execute("update ops.candidate set contents = null")
    session.data.execute(_text("quarantined_row.sql"))
    session.data.add_index("ops", "quarantined_row", ["asset", "status", "row_key"])
    unusable = _unusable_kept_tables(session)
    if kept.give_up(session.records, [entry.asset for entry in unusable]) and session.commits_twice:
        # Recorded before the rows are gone. Without the lock, another process may create the tables now.
        session.commit()
        prepare(session)
        return
    present = {schema: session.data.columns_in(schema) for schema in PUBLISHED}
    reused = session.data.views_in("raw") | session.data.views_in("marts")
    for entry in catalog.SOURCE_TABLES.values():
        if entry.asset not in reused:
            _make_table(session.data, entry, present["raw"])
        _make_views_of_source_table(session.data, entry)
    for mart in catalog.MARTS.values():
        if mart.name not in reused:
            _make_table(session.data, mart, present["marts"])
        _make_view(session.data, "staging", mart, published_rows(mart))
    for without_table in unusable:
        kept.make_table(session.data, without_table)
    for shared in SHARED_VIEWS:
        session.data.execute(_text(shared))
    for retired in RETIRED_VIEWS:
        session.data.execute(f"drop view if exists {table('staging', retired)}")
    session.records.execute("delete from ops.layout")
    session.records.execute("insert into ops.layout (digest) values (%s)", (digest,))


def _unusable_kept_tables(session: Session) -> list[SourceTable | Mart]:
    """Return the assets whose table of kept rows has to be created, in an environment that keeps any."""
    if not kept.are_kept(session):
        return []
    present = session.data.columns_in("staging")
    every: list[SourceTable | Mart] = [*catalog.SOURCE_TABLES.values(), *catalog.MARTS.values()]
    return [entry for entry in every if kept.has_versions(entry) and not kept.usable(present, entry)]


def set_revision(records: WarehouseConnection, revision: str = "") -> str:
    """Bring the platform's records to a revision of `migrations`, by default the newest, and return it.

    The version of the platform that starts next lays out its own views again.
    """
    records.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
    reached = migrate(records, revision)
    records.execute("delete from ops.layout")
    return reached


def published_rows(entry: SourceTable | Mart) -> str:
    """Return a SELECT of the published table, with the columns in the contract's order."""
    columns = (column.name for column in columns_of(entry))
    return f"select {names(columns)} from {table(published_schema(entry), entry.asset)}"


def show_published(data: Data, entry: SourceTable | Mart) -> None:
    """Point the candidate view at the published table, because nothing is staged or the staged rows were refused."""
    data.execute(f"create or replace view {table('staging', entry.asset)} as {published_rows(entry)}")


def own(data: Data, entry: SourceTable | Mart) -> None:
    """Replace the view of an asset that this environment reads from another one with a table of the same rows."""
    schema = published_schema(entry)
    if entry.asset not in data.views_in(schema):
        return
    columns, reused = names(column.name for column in columns_of(entry)), f"{entry.asset}__reused"
    data.execute(f"alter view {table(schema, entry.asset)} rename to {quoted(reused)}")
    _make_table(data, entry, {})
    data.execute(f"insert into {table(schema, entry.asset)} ({columns}) select {columns} from {table(schema, reused)}")
    # Views that read the asset have followed the new name. These are pointed at the table; the others are dropped.
    for shared in SHARED_VIEWS:
        data.execute(_text(shared))
    data.execute(f"drop view {table(schema, reused)} cascade")
    show_published(data, entry)


def _digest(target: str) -> str:
    """Return a digest of the files that define the tables, and of the place where the tables are."""
    return hashlib.sha256(f"{target} {digest_of_files()}".encode()).hexdigest()


@cache
def digest_of_files() -> str:
    """Return a digest of the files that define the tables.

    It is cached, as it was when this process, or the one that it was forked from, first read them: a process that runs
    the code of a previous release must not record its layout as that of the files that have replaced it.
    """
    folder = Path(contracts.__file__).parent
    here, registry = Path(str(resources.files(__package__))), Path(catalog.__file__).parent
    digest = hashlib.sha256()
    comments = Path(dictionary.__file__)
    # The order must not depend on where the packages are installed.
    for files in (folder.rglob("*.py"), here.rglob("*.sql"), here.rglob("*.py"), registry.glob("*.py"), [comments]):
        for path in sorted(files):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_applied(records: WarehouseConnection, digest: str) -> bool:
    if not records.has_table("ops", "layout"):
        return False
    return records.execute("select digest from ops.layout").fetchall() == [(digest,)]


def _make_views_of_source_table(data: Data, entry: SourceTable) -> None:
    fields = [f"row_data::jsonb ->> '{column.name}' as {quoted(column.name)}" for column in columns_of(entry)]
    set_aside = (
        f"select {', '.join(fields)}, rule, message, run_id, first_seen, last_seen from ops.quarantined_row"
        f" where asset = '{entry.asset}' and (status = 'staged' or status = 'open' and next_status is null)"
    )
    _make_view(data, "quarantine", entry, set_aside)
    _make_view(data, "staging", entry, published_rows(entry))


def _make_view(data: Data, schema: str, entry: SourceTable | Mart, select: str) -> None:
    data.replace("view", table(schema, entry.asset), f"as {select}")


def _make_table(data: Data, entry: SourceTable | Mart, present: Mapping[str, Collection[str]]) -> None:
    schema = published_schema(entry)
    columns, name = columns_of(entry), table(schema, entry.asset)
    if entry.asset not in present:
        definitions = ", ".join(f"{quoted(column.name)} {column_type(column.dtype)}" for column in columns)
        data.execute(f"create table if not exists {name} ({definitions}, primary key ({names(key_of(entry))}))")
    for column in columns:
        if column.name not in present.get(entry.asset, [one.name for one in columns]):
            data.execute(f"alter table {name} add column {quoted(column.name)} {column_type(column.dtype)}")
    if (entry.asset in _READ_BY_MONTH or isinstance(entry, SourceTable)) and (day := _day_column(entry)):
        # Builds and checks of a few months or days would otherwise scan the whole table.
        data.add_index(schema, entry.asset, [day])
    if isinstance(entry, SourceTable) and entry.month:
        # Tables that grow. Each verdict and each publication asks for the newest change, and whether new values of
        # these columns are unique.
        for name_of_column in (entry.modified, *(column.name for column in columns if column.is_guid)):
            data.add_index(schema, entry.asset, [name_of_column])
    order = catalog.ORDER_OF.get(entry.asset)
    if order and order != key_of(entry)[0]:
        # Rules about orders are evaluated for the changed ones alone.
        data.add_index(schema, entry.asset, [order])
    english = language("en")
    meanings = {name: found.meaning for name, found in dictionary.definitions(entry, english).items()}
    data.describe(schema, entry.asset, dictionary.grain(entry, english), meanings)


def _day_column(entry: SourceTable | Mart) -> str | None:
    """Return the column with the date that gives a row its month; None if there is none, or a parent has it."""
    if isinstance(entry, Mart):
        return entry.dated
    return entry.month.column if entry.month and entry.month.parent is None else None


def _text(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
