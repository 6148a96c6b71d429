"""How many of the months in which a source lost half of its orders are noticed by the rules of `data_quality`.

The model's own SELECTs run in DuckDB over the real files, with one damaged month at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib import resources

import duckdb
import polars as pl

from adventureworks.catalog import MARTS
from adventureworks.marts import models
from adventureworks.marts.quality.data_quality import losses

_MART = MARTS["data_quality"]
_SALES = ("Sales_SalesOrderHeader", "Sales_SalesOrderDetail")
_MOVEMENTS = ("Production_TransactionHistory", "Production_TransactionHistoryArchive")
_AS_THEY_ARE = ("Purchasing_PurchaseOrderHeader", "Production_WorkOrder")
RULES = ("numbers_are_consecutive", "movement_has_its_line", "line_has_its_movement", "months_have_their_orders")
_BOOKING = "date_trunc('month', if(OnlineOrderFlag, OrderDate, OrderDate - interval 3 day))::date"


@dataclass(frozen=True)
class Loss:
    """A way to lose half of the sales of a month."""

    name: str
    tables: tuple[str, ...]
    """The tables that lose the rows of these orders."""
    where: str = "true"
    """Condition on the orders that may be lost."""
    half: str = "SalesOrderID % 2 = 0"
    """Condition on those that are."""


LOSSES = (
    Loss("orders and lines", _SALES),
    Loss("orders, lines and movements", _SALES + _MOVEMENTS),
    Loss("the same, only online", _SALES + _MOVEMENTS, "OnlineOrderFlag"),
    Loss("the same, only resellers", _SALES + _MOVEMENTS, "not OnlineOrderFlag"),
    Loss("the same, all of the second half of the month", _SALES + _MOVEMENTS, half="day(OrderDate) > 15"),
    Loss("only movements", _MOVEMENTS),
)


class DamagedSource:
    """The real tables, as the model's SELECTs read them, with or without damage."""

    def __init__(self, files: duckdb.DuckDBPyConnection) -> None:
        """Use a connection that has the files as views named like their tables."""
        self.connection = files.cursor()
        self._run("attach ':memory:' as damaged; use damaged")
        for schema in ("whole", "raw", "marts", "staging", "ops"):
            self._run(f"create schema {schema}")
        for table in _SALES + _MOVEMENTS:
            self._run(f"create table whole.{table} as from memory.main.{table}")
        for table in _AS_THEY_ARE:
            self._run(f"create view raw.{table} as from memory.main.{table}")
        self._run("create table whole.lost (SalesOrderID integer)")
        self._run("create table ops.quarantined_row (asset varchar, row_key varchar, status varchar)")
        self.damage(None, LOSSES[0])
        self._run(
            "create view marts.daily_sales as select if(OnlineOrderFlag, 'online', 'reseller') as channel,"
            " OrderDate::date as order_date from raw.Sales_SalesOrderHeader join raw.Sales_SalesOrderDetail"
            " using (SalesOrderID)"
        )
        for view in ("booking_delay.sql", "channel_month.sql"):
            self._run(resources.files("adventureworks.warehouse").joinpath(view).read_text(encoding="utf-8"))

    def months(self, loss: Loss) -> list[date]:
        """Return the booking months with orders that this loss can affect."""
        rows = self.connection.sql(f"select distinct {_BOOKING} from whole.Sales_SalesOrderHeader where {loss.where}")
        return sorted(month for (month,) in rows.fetchall())

    def damage(self, month: date | None, loss: Loss) -> int:
        """Lose half of a month's orders, or none, and return how many were lost."""
        self._run("delete from whole.lost")
        if month is not None:
            self._run(
                "insert into whole.lost select SalesOrderID from whole.Sales_SalesOrderHeader"
                f" where {_BOOKING} = date '{month}' and {loss.where} and {loss.half}"
            )
        for table in _SALES + _MOVEMENTS:
            remains = "true"
            if table in loss.tables:
                order, also = (
                    ("SalesOrderID", "") if table in _SALES else ("ReferenceOrderID", "or TransactionType <> 'S'")
                )
                remains = f"{order} not in (from whole.lost) {also}"
            self._run(f"create or replace view raw.{table} as from whole.{table} where {remains}")
        return len(self.connection.sql("from whole.lost").fetchall())

    def broken(self) -> dict[str, int]:
        """Return how many rows or months break each rule about losses, without the rules that hold."""
        found: dict[str, int] = {}
        for rule in losses(self._read):
            if rule["failed"]:
                found[rule["rule"]] = found.get(rule["rule"], 0) + rule["failed"]
        return found

    def noticed(self, loss: Loss) -> tuple[int, dict[str, int]]:
        """Return the number of damaged months, and in how many of them each rule, and `any`, notices the loss."""
        months, by_rule = 0, dict.fromkeys(("any", *RULES), 0)
        for month in self.months(loss):
            if not self.damage(month, loss):
                continue
            months += 1
            rules = self.broken().keys()
            for rule in rules:
                by_rule[rule] += 1
            by_rule["any"] += bool(rules)
        return months, by_rule

    def _read(self, name: str) -> pl.DataFrame:
        rows = pl.from_arrow(self.connection.sql(models.rendered(_MART, name)).to_arrow_table())
        assert isinstance(rows, pl.DataFrame)
        return rows

    def _run(self, statement: str) -> None:
        self.connection.execute(statement)
