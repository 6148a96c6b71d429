"""What happens at the source during a round. Every change is one transaction; what it hits is drawn from a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

HEADER, LINE = '"Sales"."SalesOrderHeader"', '"Sales"."SalesOrderDetail"'
REASON = '"Sales"."SalesOrderHeaderSalesReason"'
ORDERS, LINES = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail"
RESERVED = '"SalesOrderID" % 5 = 0'
"""The orders that only bad deliveries hit, so that they can be repaired whatever else changes."""
NEW_ORDERS = 10_000_000
"""The numbers of new orders begin here."""


def _pick(source: Connection, query: str, number: int) -> Any:
    """Return the value that the number chooses among the rows of a query."""
    rows = source.execute(query).fetchall()
    return rows[number % len(rows)][0]


def _order(source: Connection, number: int, where: str = "true") -> int:
    order: int = _pick(
        source, f'select "SalesOrderID" from {HEADER} where not {RESERVED} and {where} order by 1', number
    )
    return order


def _add_up(source: Connection, order: int) -> None:
    """Set the totals of an order from its lines."""
    source.execute(
        f'update {HEADER} as h set "SubTotal" = d.total, "TotalDue" = d.total + "TaxAmt" + "Freight" from (select'
        f' round(sum("LineTotal"), 4) as total from {LINE} where "SalesOrderID" = %s) as d where "SalesOrderID" = %s',
        (order, order),
    )


def _sell(source: Connection, order: int, pieces: int) -> None:
    """Sell more of the first line of an order."""
    source.execute(
        f'update {LINE} set "OrderQty" = "OrderQty" + %(pieces)s, "LineTotal" = round("UnitPrice" *'
        ' (1 - "UnitPriceDiscount") * ("OrderQty" + %(pieces)s), 6) where "SalesOrderID" = %(order)s'
        f' and "SalesOrderDetailID" = (select min("SalesOrderDetailID") from {LINE} where "SalesOrderID" = %(order)s)',
        {"order": order, "pieces": pieces},
    )
    _add_up(source, order)


def more(source: Connection, number: int) -> None:
    """Sell more of an order."""
    _sell(source, _order(source, number), 1 + number % 3)


def restate(source: Connection, number: int) -> None:
    """Correct the amounts of all orders of a month."""
    month = _pick(source, f"select distinct date_trunc('month', \"OrderDate\") from {HEADER} order by 1", number)
    source.execute(
        f'update {HEADER} set "Freight" = "Freight" + 1, "TotalDue" = "TotalDue" + 1'
        " where date_trunc('month', \"OrderDate\") = %s",
        (month,),
    )


def move(source: Connection, number: int) -> None:
    """Move an order to the month before."""
    was_on_sale = (
        f'not exists (select from {LINE} as l join "Production"."Product" as p using ("ProductID")'
        f' where l."SalesOrderID" = {HEADER}."SalesOrderID"'
        ' and p."SellStartDate" > "OrderDate" - interval \'35 days\')'
    )
    order = _order(source, number, f'"CurrencyRateID" is null and {was_on_sale}')
    source.execute(
        f'update {HEADER} set "OrderDate" = "OrderDate" - interval \'35 days\' where "SalesOrderID" = %s', (order,)
    )


def cancel(source: Connection, number: int) -> None:
    """Cancel an order, or revive a cancelled one."""
    source.execute(
        f'update {HEADER} set "Status" = case "Status" when 6 then 5 else 6 end where "SalesOrderID" = %s',
        (_order(source, number, '"ShipDate" is not null'),),
    )


def add(source: Connection, number: int) -> None:
    """Take an order like an earlier one."""
    order = _order(source, number)
    new, line = source.execute(
        f'select greatest(max("SalesOrderID"), {NEW_ORDERS}) + 1, max("SalesOrderDetailID") from {LINE}'
    ).fetchone() or (0, 0)
    if not new % 5:
        new += 1
    changed = {"SalesOrderID": f"{new}", "SalesOrderNumber": f"'SO{new}'", "rowguid": "gen_random_uuid()"}
    _copy(source, HEADER, order, changed)
    numbered = f'{line} + row_number() over (order by "SalesOrderDetailID")'
    _copy(source, LINE, order, {**changed, "SalesOrderDetailID": numbered})
    _copy(source, REASON, order, changed)


def _copy(source: Connection, table: str, order: int, changed: dict[str, str]) -> None:
    """Insert the rows of an order again, with other values in some columns."""
    rows = source.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (table,),
    ).fetchall()
    columns = [name for (name,) in rows]
    values = ["now()" if name == "ModifiedDate" else changed.get(name, f'"{name}"') for name in columns]
    listed = ", ".join(f'"{name}"' for name in columns)
    source.execute(
        f'insert into {table} ({listed}) select {", ".join(values)} from {table} where "SalesOrderID" = %s', (order,)
    )


def remove(source: Connection, number: int) -> None:
    """Delete an order with few lines. Its month keeps most of its orders, and each table most of its rows."""
    crowded = f"date_trunc('month', \"OrderDate\") = (select max(date_trunc('month', \"OrderDate\")) from {HEADER})"
    lines = f'(select count(*) from {LINE} as d where d."SalesOrderID" = {HEADER}."SalesOrderID")'
    order = _order(source, number, f"not {crowded} and {lines} < 5")
    for table in (REASON, LINE, HEADER):
        source.execute(f'delete from {table} where "SalesOrderID" = %s', (order,))


def next_day(source: Connection, number: int) -> None:
    """Begin a new business day: an order is taken on the day after the newest one."""
    order = _order(source, number, '"CurrencyRateID" is null')
    newest = f'(select max("OrderDate") from {HEADER})'
    source.execute(
        f"update {HEADER} set \"OrderDate\" = {newest} + interval '1 day', \"DueDate\" = {newest} + interval '13 days',"
        f' "ShipDate" = {newest} + interval \'8 days\' where "SalesOrderID" = %s',
        (order,),
    )


def cost(source: Connection, number: int) -> None:
    """Change the cost of a product."""
    product = _pick(source, f'select distinct "ProductID" from {LINE} order by 1', number)
    source.execute(
        'update "Production"."ProductCostHistory" set "StandardCost" = "StandardCost" + 1 where "EndDate" is null'
        ' and "ProductID" = %s',
        (product,),
    )


def rate(source: Connection, number: int) -> None:
    """Correct an exchange rate."""
    key = _pick(source, 'select "CurrencyRateID" from "Sales"."CurrencyRate" order by 1', number)
    source.execute(
        'update "Sales"."CurrencyRate" set "EndOfDayRate" = "EndOfDayRate" * 1.001 where "CurrencyRateID" = %s', (key,)
    )


def rename(source: Connection, number: int) -> None:
    """Rename a territory."""
    key = _pick(source, 'select "TerritoryID" from "Sales"."SalesTerritory" order by 1', number)
    source.execute(
        'update "Sales"."SalesTerritory" set "Name" = split_part("Name", \' \', 1) || %s where "TerritoryID" = %s',
        (f" {number % 1000}", key),
    )


def work(source: Connection, number: int) -> None:
    """Change the cost of a step of a work order."""
    key = _pick(source, 'select distinct "WorkOrderID" from "Production"."WorkOrderRouting" order by 1', number)
    source.execute(
        'update "Production"."WorkOrderRouting" set "ActualCost" = "ActualCost" + 1 where "WorkOrderID" = %s', (key,)
    )


def late(source: Connection, number: int) -> None:
    """Commit a change long after its date, as a slow transaction, or a source whose clock was put back, does."""
    _dated(source, number, "\"ModifiedDate\" + interval '1 minute'")


def early(source: Connection, number: int) -> None:
    """Commit a change of a source whose clock is ahead, by less than a day."""
    _dated(source, number, "now() + interval '20 hours'")


def _dated(source: Connection, number: int, moment: str) -> None:
    order = _order(source, number)
    for table in (HEADER, LINE):
        source.execute(f"alter table {table} disable trigger user")
    _sell(source, order, 1)
    for table in (HEADER, LINE):
        source.execute(f'update {table} set "ModifiedDate" = {moment} where "SalesOrderID" = %s', (order,))
        source.execute(f"alter table {table} enable trigger user")


CHANGES: dict[str, Callable[[Connection, int], None]] = {
    change.__name__: change
    for change in (more, restate, move, cancel, add, remove, next_day, cost, rate, rename, work, late, early)
}


@dataclass(frozen=True)
class BadDelivery:
    """A delivery with an incident: what breaks, what repairs it, and the asset and rule of the incident."""

    breaks: tuple[str, ...]
    repairs: tuple[str, ...]
    asset: str
    rule: str
    is_blocking: bool = False
    """Whether the whole publish unit of the table keeps its last version, not only the bad rows."""


_BAD_LINE = f'"SalesOrderDetailID" = (select min("SalesOrderDetailID") from {LINE} where {RESERVED})'
_BAD_ORDER = f'"SalesOrderID" = (select min("SalesOrderID") from {HEADER} where {RESERVED})'
_TERRITORY = 'alter table "Sales"."SalesTerritory" rename column'
_ROUTING = '"Production"."WorkOrderRouting"'

BAD: dict[str, BadDelivery] = {
    "a bad row": BadDelivery(
        (f'update {LINE} set "OrderQty" = -"OrderQty" where {_BAD_LINE}',),
        (f'update {LINE} set "OrderQty" = -"OrderQty" where {_BAD_LINE}',),
        LINES,
        "OrderQty_greater_than",
    ),
    "a broken reference": BadDelivery(
        (f'update {LINE} set "ProductID" = -"ProductID" where {_BAD_LINE}',),
        (f'update {LINE} set "ProductID" = -"ProductID" where {_BAD_LINE}',),
        LINES,
        "special_offer_product_exists",
    ),
    "a missing column": BadDelivery(
        (f'{_TERRITORY} "SalesYTD" to "Sales"',),
        (f'{_TERRITORY} "Sales" to "SalesYTD"',),
        "Sales_SalesTerritory",
        "columns_are_there",
        is_blocking=True,
    ),
    "orders that do not add up": BadDelivery(
        (f'update {HEADER} set "SubTotal" = "SubTotal" + 5, "TotalDue" = "TotalDue" + 5 where {_BAD_ORDER}',),
        (f'update {HEADER} set "SubTotal" = "SubTotal" - 5, "TotalDue" = "TotalDue" - 5 where {_BAD_ORDER}',),
        ORDERS,
        "subtotal_is_the_sum_of_the_lines",
        is_blocking=True,
    ),
    "too many bad rows": BadDelivery(
        (f'update {_ROUTING} set "PlannedCost" = -"PlannedCost" where "WorkOrderID" % 3 = 0',),
        (f'update {_ROUTING} set "PlannedCost" = -"PlannedCost" where "WorkOrderID" % 3 = 0',),
        "Production_WorkOrderRouting",
        "few_rows_are_set_aside",
        is_blocking=True,
    ),
}
"""By name, as the log of a round shows it."""
