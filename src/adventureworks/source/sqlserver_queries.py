"""The queries on a SQL Server source, as T-SQL. Nothing here connects to a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from adventureworks.catalog import SourceTable
from adventureworks.columns import key_of
from adventureworks.source.editions import schemas
from adventureworks.source.sqlserver_columns import (
    Columns,
    SqlServerColumn,
    key_columns,
    modified_column,
    present_columns,
)
from adventureworks.source.sqlserver_sql import literal, quoted

DATABASE = (
    "select convert(varchar(23), d.create_date, 121) as made, convert(varchar(36), d.group_database_id) as group_id,"
    " convert(varchar(20), databasepropertyex(db_name(), N'Updateability')) as updateability,"
    " d.snapshot_isolation_state as snapshot_state, user_name() as user_name,"
    " convert(varchar(23), sysutcdatetime(), 121) as moment from sys.databases as d where d.name = db_name()"
)
"""A recreated database has a new date. A database in an availability group has the same `group_id` on every replica,
but a date of its own on each. `moment` is the server's time in UTC.
"""

_TABLES = """
select s.name as schema_name, o.name as table_name,
       has_perms_by_name(quotename(s.name) + N'.' + quotename(o.name), N'OBJECT', N'SELECT') as readable,
       has_perms_by_name(
           quotename(s.name) + N'.' + quotename(o.name), N'OBJECT', N'VIEW CHANGE TRACKING'
       ) as tracking_visible,
       {versions},
       (select sum(p.rows) from sys.partitions as p
        where p.object_id = o.object_id and p.index_id in (0, 1)) as row_count,
       (select count(*) from sys.security_predicates as f
        join sys.security_policies as y on y.object_id = f.object_id
        where f.target_object_id = o.object_id and f.predicate_type = 0 and y.is_enabled = 1) as filters
from sys.objects as o
join sys.schemas as s on s.schema_id = o.schema_id
where o.type in ('U', 'V') and lower(s.name) in ({schemas})
"""

_VERSIONS = (
    "change_tracking_min_valid_version(o.object_id) as oldest_version,"
    " (select t.begin_version from sys.change_tracking_tables as t where t.object_id = o.object_id) as begin_version,"
    " change_tracking_current_version() as current_version"
)
_NO_VERSIONS = "null as oldest_version, null as begin_version, null as current_version"

_COLUMNS = """
select s.name as schema_name, o.name as table_name, c.name as column_name, coalesce(b.name, u.name) as type_name,
       c.max_length, c.precision, c.scale, c.is_nullable,
       case when c.is_masked = 1 and has_perms_by_name(db_name(), N'DATABASE', N'UNMASK') = 0
                 and coalesce(has_perms_by_name(
                     quotename(s.name) + N'.' + quotename(o.name), N'OBJECT', N'UNMASK'
                 ), 0) = 0
            then 1 else 0 end as is_masked
from sys.columns as c
join sys.objects as o on o.object_id = c.object_id
join sys.schemas as s on s.schema_id = o.schema_id
join sys.types as u on u.user_type_id = c.user_type_id
left join sys.types as b on b.user_type_id = c.system_type_id
where o.type in ('U', 'V') and lower(s.name) in ({schemas})
"""

_SEPARATOR = "nchar(31)"
_ROUNDING = timedelta(milliseconds=10)
"""A datetime has a resolution of 1/300 s: in an exact comparison it may be slightly earlier than it is displayed."""

RELATIONS = """
select concat(s.name, '.', o.name) as name
from sys.objects as o join sys.schemas as s on s.schema_id = o.schema_id
where o.type in ('U', 'V') and o.is_ms_shipped = 0
"""


def tables_query(*, tracks: bool = True) -> str:
    """Return the query for tables and views: whether readable, about how many rows, and which versions are tracked.

    `filters` counts the security policies that filter a table, as far as the login can see them. `tracks`: whether the
    replica answers questions about tracked changes; a read-only one rejects them.
    """
    return _TABLES.format(schemas=_schemas(), versions=_VERSIONS if tracks else _NO_VERSIONS)


def columns_query() -> str:
    """Return the query for one row per column, with the system type behind an alias, or the CLR type's own name.

    `is_masked`: the login sees a mask instead of the values.
    """
    return _COLUMNS.format(schemas=_schemas())


def _schemas() -> str:
    return ", ".join(literal(schema) for schema in schemas())


def state_query(table: SourceTable, columns: Columns) -> str:
    """Return a query that counts rows and sums a hash of key and modification date: row order does not matter."""
    modified = modified_column(table, columns)
    key = key_columns(table, columns)
    parts = f", {_SEPARATOR}, ".join(column.expression for column in (*key, modified))
    hashed = f"cast(substring(hashbytes('SHA2_256', concat({parts})), 1, 8) as bigint)"
    return (
        f"select count_big(*) as row_count, convert(varchar(40), sum(cast({hashed} as decimal(38, 0)))) as digest, "
        f"convert(varchar(26), max({modified.reference}), 121) as newest from {columns[table.asset].relation} as t"
    )


def count_query(table: SourceTable, columns: Columns) -> str:
    """Return the query for the number of rows that the login sees."""
    return f"select count_big(*) as row_count from {columns[table.asset].relation}"


def changed_tables_query(versions: Mapping[str, int], columns: Columns) -> str:
    """Return the query for the assets that changed since the given versions; it reads only change tracking data."""
    return " union all ".join(
        f"select {literal(asset)} as asset where exists ("
        f"select 1 from changetable(changes {columns[asset].relation}, {version}) as c)"
        for asset, version in versions.items()
    )


def changed_keys_query(table: SourceTable, columns: Columns, version: int, most: int) -> str:
    """Return the query for keys of existing rows inserted or updated after a version; at most one more than `most`."""
    key = present_columns(table, columns, key_of(table))
    expressions = ", ".join(f"{column.expression} as {quoted(column.name)}" for column in key)
    same = " and ".join(f"{column.reference} = c.{quoted(column.stored)}" for column in key)
    stored = columns[table.asset].relation
    return (
        f"select top ({most + 1}) {expressions} from changetable(changes {stored}, {version}) as c"
        f" join {stored} as t on {same} where c.SYS_CHANGE_OPERATION <> 'D'"
    )


def deleted_keys_query(table: SourceTable, columns: Columns, version: int, most: int) -> str:
    """Return the query for keys of rows deleted after a version; at most one more than `most`."""
    # Change tracking has the key's columns under their own names, so that they are selected as from the table itself.
    selected = ", ".join(
        f"{column.expression} as {quoted(column.name)}" for column in present_columns(table, columns, key_of(table))
    )
    return (
        f"select top ({most + 1}) {selected} from changetable(changes {columns[table.asset].relation}, {version}) as t"
        " where t.SYS_CHANGE_OPERATION = 'D'"
    )


def rows_query(
    table: SourceTable, selected: Sequence[SqlServerColumn], columns: Columns, since: datetime | None = None
) -> str:
    """Return the query for rows changed at or after `since` and rows without a date, or for all if `since` is None."""
    condition = ""
    if since is not None:
        modified = modified_column(table, columns).reference
        moment = (since - _ROUNDING).isoformat(sep=" ", timespec="milliseconds")
        condition = f" where {modified} >= cast('{moment}' as datetime2(3)) or {modified} is null"
    return f"{_select(columns[table.asset].relation, selected)}{condition}"


def rows_by_key_query(
    stored: str, selected: Sequence[SqlServerColumn], key: Sequence[SqlServerColumn], wanted: pa.Table
) -> str:
    """Return the query for the rows of a table with the wanted keys, which are part of the query.

    `stored`: the table's quoted name.
    """
    names = [f"k{index}" for index in range(len(key))]
    texts = [_texts(wanted[column.name]) for column in key]
    rows = ", ".join(
        f"({', '.join(column.literal(text) for column, text in zip(key, row, strict=True))})"
        for row in zip(*texts, strict=True)
    )
    conditions = " and ".join(_equal(column, f"w.{name}") for column, name in zip(key, names, strict=True))
    return f"{_select(stored, selected)} join (values {rows}) as w ({', '.join(names)}) on {conditions}"


def _select(stored: str, selected: Sequence[SqlServerColumn]) -> str:
    expressions = ", ".join(f"{column.expression} as {quoted(column.name)}" for column in selected)
    return f"select {expressions} from {stored} as t"


def _texts(values: pa.ChunkedArray) -> list[str | None]:
    if pa.types.is_timestamp(values.type):
        # A datetime literal with more than three decimal places is invalid, even if they are zeros.
        texts = pc.strftime(values, format="%Y-%m-%dT%H:%M:%S")
        return [None if text is None else _with_milliseconds(text) for text in texts.to_pylist()]
    if pa.types.is_boolean(values.type):
        values = pc.cast(values, pa.int8())
    return list(pc.cast(values, pa.string()).to_pylist())


def _with_milliseconds(moment: str) -> str:
    """Return the moment with three decimal places, or more if needed: datetime takes just three, datetime2 seven."""
    seconds, _, fraction = moment.partition(".")
    significant = fraction.rstrip("0")
    return f"{seconds}.{significant.ljust(3, '0')}"


def _equal(column: SqlServerColumn, wanted: str) -> str:
    """Return a test for equality; in a nullable column, NULL equals NULL."""
    equal = f"{column.reference} = {wanted}"
    return f"({equal} or ({column.reference} is null and {wanted} is null))" if column.nullable else equal
