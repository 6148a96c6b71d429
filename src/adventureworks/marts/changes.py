"""What has changed in the inputs of a mart since its published version was computed.

A model in Python may have a function `update` beside `compute`. It returns the same rows, but takes what cannot have
changed from the published version. What has changed is known by input, from the versions, and by sales order, from the
rows that each version keeps of its predecessors (`warehouse.kept`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from adventureworks.catalog import ORDER_OF, SOURCE_TABLES, Mart, entry
from adventureworks.columns import columns_of, key_of
from adventureworks.marts import models
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import kept, publication
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import equal, names, published, same, table

MOST_ORDERS = 5_000
"""If more orders than this have changed, everything is read."""


class Changes:
    """The changes since a version of a mart was computed, as one session sees them."""

    def __init__(self, session: Session, mart: Mart, last: Publication, as_of: date) -> None:
        """`last`: the published version. `as_of`: its business date."""
        self.as_of = as_of
        self._session, self._mart, self._last = session, mart, last

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The inputs that have another version now."""
        newest = publication.newest_versions(self._session.records, self._mart.inputs)
        return frozenset(name for name in self._mart.inputs if newest.get(name) != self._last.inputs.get(name))

    def affect(self, name: str, as_of: date) -> bool:
        """Return whether one of the model's SELECTs may have other rows now, with this business date."""
        tables = models.tables_of(self._mart, name)
        if any(schema not in ("raw", "marts") or asset in self.inputs for schema, asset in tables):
            return True
        return as_of != self.as_of and models.has_parameter(self._mart, name, "as_of")

    def tables(self, name: str) -> frozenset[str]:
        """Return the tables and marts that one of the model's SELECTs reads."""
        return frozenset(asset for _, asset in models.tables_of(self._mart, name))

    def affecting(self, name: str, as_of: date) -> frozenset[str]:
        """Return the tables of one of the model's SELECTs of which other rows may count now, with this business date.

        The SELECT counts the rows of a table that are dated up to the business date, by the date that gives them their
        month, or all of them.
        """
        tables = self.tables(name)
        changed = tables & self.inputs
        if as_of != self.as_of and models.has_parameter(self._mart, name, "as_of"):
            days = sorted((as_of, self.as_of))
            changed |= {asset for asset in tables - changed if self._has_rows_between(asset, *days)}
        return changed

    def constants(self, name: str) -> frozenset[str]:
        """Return the texts in one of the model's SELECTs, such as the rules that it evaluates."""
        return models.constants_of(self._mart, name)

    def of_orders(self, name: str, as_of: date) -> tuple[pl.DataFrame, pl.DataFrame] | None:
        """Return what one of the model's SELECTs finds in the changed orders alone: as they were, and as they are.

        All other orders have the same rows in its tables as before. None if that is not known, if there are too many
        such orders, or if it reads another table that has changed.
        """
        read = self.tables(name)
        tables = sorted(read & ORDER_OF.keys())
        if (read - ORDER_OF.keys()) & self.inputs or not all(self._is_known(asset) for asset in tables):
            return None
        orders = {order for asset in tables if asset in self.inputs for order in self._orders_of(asset)}
        if models.has_parameter(self._mart, name, "as_of"):
            orders |= self._orders_after(min(as_of, self.as_of))
        if len(orders) > MOST_ORDERS:
            return None
        before, now = {}, {}
        for asset in tables:
            condition = f"{quoted(ORDER_OF[asset])} = any(%(orders)s)"
            columns = names(column.name for column in columns_of(entry(asset)))
            now[asset] = before[asset] = f"select {columns} from {published(entry(asset))} where {condition}"
            if asset in self.inputs:
                before[asset] = kept.rows_as_of(entry(asset), self._last.inputs[asset], condition)
        return self._found(name, before, self.as_of, orders), self._found(name, now, as_of, orders)

    def read(self, name: str, as_of: date) -> pl.DataFrame:
        """Return the rows of one of the model's SELECTs for a business date."""
        return self._session.data.frame(models.rendered(self._mart, name), {"as_of": as_of})

    def read_only(self, name: str, tables: Collection[str], as_of: date) -> pl.DataFrame:
        """Return what one of the model's SELECTs finds in these tables, as if the others were empty."""
        empty = {}
        for asset in self.tables(name) - {*tables}:
            columns = names(column.name for column in columns_of(entry(asset)))
            empty[asset] = f"select {columns} from {published(entry(asset))} where false"
        return self._session.data.frame(models.rendered(self._mart, name, rows=empty), {"as_of": as_of})

    def restricted(self, name: str, asset: str, column: str, values: Collection[int], as_of: date) -> pl.DataFrame:
        """Return what one of the model's SELECTs finds if it reads only the rows with these values of a column."""
        columns = names(one.name for one in columns_of(entry(asset)))
        rows = f"select {columns} from {published(entry(asset))} where {quoted(column)} = any(%(values)s)"
        select = models.rendered(self._mart, name, rows={asset: rows})
        return self._session.data.frame(select, {"as_of": as_of, "values": sorted(values)})

    def published(self) -> pl.DataFrame:
        """Return the published rows of the mart; if rows of earlier builds stay published, those of the newest."""
        history, rows = self._mart.history, published(self._mart)
        newest = "true"
        if history and history.keeps != "months":
            number = quoted(history.keeps.number)
            newest = f"{number} = (select max({number}) from {rows})"
        columns = names(column.name for column in columns_of(self._mart))
        return self._session.data.frame(f"select {columns} from {rows} where {newest}", {})

    def _has_rows_between(self, asset: str, earlier: date, later: date) -> bool:
        """Return whether a source table may have rows dated after one business date and up to the other."""
        month = SOURCE_TABLES[asset].month
        if month is None or month.parent is not None:
            return True
        found = self._session.data.execute(
            f"select 1 from {published(entry(asset))}"
            f" where {quoted(month.column)} >= %(first)s and {quoted(month.column)} < %(end)s limit 1",
            {"first": earlier + timedelta(days=1), "end": later + timedelta(days=1)},
        )
        return found.fetchone() is not None

    def _is_known(self, asset: str) -> bool:
        if asset not in self.inputs:
            return True
        version = self._last.inputs.get(asset)
        return version is not None and kept.has_changes_since(self._session, entry(asset), version)

    def _orders_of(self, asset: str) -> set[int]:
        values = kept.values_since(entry(asset), self._last.inputs[asset], ORDER_OF[asset])
        return {order for (order,) in self._session.data.execute(values).fetchall()}

    def _orders_after(self, day: date) -> set[int]:
        """Return the orders that one business date counts and the other does not."""
        found = self._session.data.execute(
            'select "SalesOrderID" from raw."Sales_SalesOrderHeader" where "OrderDate" >= %(after)s',
            {"after": day + timedelta(days=1)},
        )
        return {order for (order,) in found.fetchall()}

    def _found(self, name: str, rows: Mapping[str, str], as_of: date, orders: Iterable[int]) -> pl.DataFrame:
        select = models.rendered(self._mart, name, rows=rows)
        return self._session.data.frame(select, {"as_of": as_of, "orders": sorted(orders)})


def changes_since(session: Session, mart: Mart, last: Publication | None) -> Changes | None:
    """Return the changes since the published version of a mart; None if all rows have to be computed.

    `last`: that version, if its present model has computed it. Everything is computed on Snowflake, where a process
    that dies may leave published changes without a record, and where tables of another environment are read, which
    change without a version.
    """
    if last is None or last.as_of is None or session.commits_twice or not kept.are_kept(session):
        return None
    return Changes(session, mart, last, last.as_of)


def differing(data: Data, mart: Mart, column: str) -> set[int]:
    """Return the values that a column has in staged and published rows that are not the same, apart from their date."""
    key, columns = key_of(mart), [one.name for one in columns_of(mart) if one.name != mart.dated]
    found = data.execute(
        f"select distinct coalesce(r.{quoted(column)}, p.{quoted(column)})"
        f" from {table('staging', mart.name)} as r full join {published(mart)} as p on {equal(key, 'p', 'r')}"
        f" where not ({same(columns, 'p', 'r')})"
    )
    return {value for (value,) in found.fetchall()}
