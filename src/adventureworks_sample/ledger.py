"""Stock movements (one per sales line, purchase line and work order, current and archived) and shopping carts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adventureworks_sample.build import NamedTable, day, moment, running_number, table
from adventureworks_sample.orders import Orders
from adventureworks_sample.production import WorkOrders
from adventureworks_sample.products import ProductRange
from adventureworks_sample.purchasing import Purchases

_THIS_YEAR = day("2013-08-10")
"""Movements before this day are in the archive."""
_FIRST_ID = 100_000
_KINDS = np.array(["S", "P", "W"])


def tables(goods: ProductRange, sold: Orders, bought: Purchases, made: WorkOrders) -> Iterator[NamedTable]:
    """Yield both tables of movements, in the order of days."""
    lines = sold.lines
    days = np.r_[sold.days[lines.order], bought.days[bought.order], made.start]
    kind = np.repeat(np.arange(3), (len(lines.order), len(bought.order), len(made.product)))
    product = np.r_[lines.product, bought.product, made.product]
    reference = np.r_[sold.ids[lines.order], bought.order + 1, np.arange(1, len(made.product) + 1)]
    line = np.r_[running_number(lines.order), running_number(bought.order), np.zeros(len(made.product), dtype=np.int64)]
    quantity = np.r_[lines.quantity, bought.quantity, made.quantity]
    cost = np.r_[lines.price, bought.price, np.zeros(len(made.product), dtype=np.int64)]
    by_day = np.argsort(days, kind="stable")
    old = int(np.searchsorted(days[by_day], _THIS_YEAR))
    first_id = max(_FIRST_ID, -(-(old + 1) // _FIRST_ID) * _FIRST_ID)
    for asset, first, chosen in (
        ("Production_TransactionHistoryArchive", 1, by_day[:old]),
        ("Production_TransactionHistory", first_id, by_day[old:]),
    ):
        yield table(
            asset,
            {
                "TransactionID": first + np.arange(len(chosen)),
                "ProductID": goods.ids[product[chosen]],
                "ReferenceOrderID": reference[chosen],
                "ReferenceOrderLineID": line[chosen],
                "TransactionDate": days[chosen],
                "TransactionType": _KINDS[kind[chosen]].tolist(),
                "Quantity": quantity[chosen],
                "ActualCost": cost[chosen],
                "ModifiedDate": days[chosen],
            },
        )


def carts(goods: ProductRange) -> NamedTable:
    """Return the cart table: three items in two carts."""
    accessories = np.flatnonzero(goods.on_sale(2) & (goods.category == 4))
    filled = moment("2013-11-09T17:54:07.603")
    return table(
        "Sales_ShoppingCartItem",
        {
            "ShoppingCartItemID": np.array([2, 4, 5]),
            "ShoppingCartID": ["14951", "20621", "20621"],
            "Quantity": np.array([3, 4, 7]),
            "ProductID": goods.ids[accessories[[1, 5, 9]]],
            "DateCreated": filled,
            "ModifiedDate": filled,
        },
    )
