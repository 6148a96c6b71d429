"""Sales persons with their territories and quotas, and the sales of the territories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from adventureworks_sample import codes
from adventureworks_sample.build import Days, NamedTable, day, null_where, table
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.orders import Orders
from adventureworks_sample.selling import ASSIGNMENTS, FIRST_SELLER, MANAGERS, SELLERS
from adventureworks_sample.world import LAST_DAY, SET_UP, Company

_QUOTA_DAYS = (
    *("2011-05-31", "2011-08-31", "2011-12-01", "2012-02-29", "2012-05-30", "2012-08-30", "2012-11-30", "2013-02-28"),
    *("2013-05-30", "2013-08-30", "2013-11-30", "2014-03-01"),
)
_END_OF_QUOTAS = "2014-06-01"
_COMMISSIONS = (100, 120, 150, 180, 200)


class Figures(NamedTuple):
    """Sales of the year up to the last day, and of the year before, in ten-thousandths of a dollar."""

    this_year: Integers
    last_year: Integers


def territory_table(company: Company, orders: Orders) -> NamedTable:
    """Return the ten territories with their sales."""
    draw = Draw(company.seed, "Sales_SalesTerritory")
    sold = _figures(orders, orders.territory - 1, 10)
    return table(
        "Sales_SalesTerritory",
        {
            "TerritoryID": np.arange(1, 11),
            "Name": [name for name, _, _ in codes.TERRITORIES],
            "CountryRegionCode": [country for _, country, _ in codes.TERRITORIES],
            "Group": [part for _, _, part in codes.TERRITORIES],
            "SalesYTD": sold.this_year,
            "SalesLastYear": sold.last_year,
            "CostYTD": 0,
            "CostLastYear": 0,
            "rowguid": draw.guids(10),
            "ModifiedDate": SET_UP,
        },
    )


def tables(company: Company, orders: Orders) -> Iterator[NamedTable]:
    """Yield the tables of sales persons, their quotas and their territories over time."""
    draw = Draw(company.seed, "Sales_SalesPerson")
    manager = np.isin(np.arange(SELLERS), MANAGERS)
    now = {assignment.person: assignment.territory for assignment in ASSIGNMENTS if assignment.end is None}
    sold = _figures(orders, orders.seller, SELLERS)
    starts = np.array(
        [
            min(day(assignment.start) for assignment in ASSIGNMENTS if assignment.person == seller)
            for seller in range(SELLERS)
        ]
    )
    yield table(
        "Sales_SalesPerson",
        {
            "BusinessEntityID": FIRST_SELLER + np.arange(SELLERS),
            "TerritoryID": [now[seller] or None for seller in range(SELLERS)],
            "SalesQuota": null_where(np.array([250, 300])[draw.below(SELLERS, 2)] * 10_000_000, manager),
            "Bonus": np.where(manager, 0, draw.below(SELLERS, 70) * 1_000_000),
            "CommissionPct": np.where(manager, 0, np.array(_COMMISSIONS)[draw.below(SELLERS, len(_COMMISSIONS))]),
            "SalesYTD": sold.this_year,
            "SalesLastYear": sold.last_year,
            "rowguid": draw.guids(SELLERS),
            "ModifiedDate": starts - np.timedelta64(7, "D"),
        },
    )
    yield _quotas(company, orders, starts)
    worked = [assignment for assignment in ASSIGNMENTS if assignment.territory]
    begun = np.array([day(assignment.start) for assignment in worked])
    closed = np.array([assignment.end is not None for assignment in worked])
    ended = np.array([day(assignment.end or assignment.start) for assignment in worked])
    yield table(
        "Sales_SalesTerritoryHistory",
        {
            "BusinessEntityID": [FIRST_SELLER + assignment.person for assignment in worked],
            "TerritoryID": [assignment.territory for assignment in worked],
            "StartDate": begun,
            "EndDate": null_where(ended, ~closed),
            "rowguid": draw.guids(len(worked)),
            "ModifiedDate": np.where(closed, ended, begun) - np.timedelta64(7, "D"),
        },
    )


def _quotas(company: Company, orders: Orders, starts: Days) -> NamedTable:
    """Return a quota for each quarter since the person started: about a fifth above the actual sales, in thousands."""
    draw = Draw(company.seed, "Sales_SalesPersonQuotaHistory")
    days = np.array([day(text) for text in _QUOTA_DAYS])
    ends = np.append(days[1:], day(_END_OF_QUOTAS))
    seller, when = np.nonzero(starts[:, None] <= days[None, :])
    sold = np.zeros((SELLERS, len(days)), dtype=np.int64)
    taken = orders.seller >= 0
    period = np.searchsorted(days, orders.days, side="right") - 1
    counted = taken & (orders.days < ends[period])
    np.add.at(sold, (orders.seller[counted], period[counted]), orders.subtotal[counted])
    factor = 100 + draw.between(len(seller), -20, 60)
    thousands = np.maximum(sold[seller, when] // 100 * factor // 10_000_000, 1 + draw.below(len(seller), 90))
    return table(
        "Sales_SalesPersonQuotaHistory",
        {
            "BusinessEntityID": FIRST_SELLER + seller,
            "QuotaDate": days[when],
            "SalesQuota": thousands * 10_000_000,
            "rowguid": draw.guids(len(seller)),
            "ModifiedDate": days[when] - np.timedelta64(45, "D"),
        },
    )


def _figures(orders: Orders, group: Integers, number: int) -> Figures:
    sums = []
    for year in (0, 1):
        end = LAST_DAY - np.timedelta64(365 * year, "D")
        counted = (orders.days <= end) & (orders.days > end - np.timedelta64(365, "D")) & (group >= 0)
        total = np.zeros(number, dtype=np.int64)
        np.add.at(total, group[counted], orders.subtotal[counted])
        sums.append(total)
    return Figures(*sums)
