"""Movements of stock: a line in the history for each, and fewer or more pieces on the shelf."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from adventureworks.source.sample.business.journal import Journal

_MOST_ON_A_SHELF = 32_000


class Movement(NamedTuple):
    """Pieces of a product that an order moves: W work order, S sale, P purchase."""

    kind: str
    product: int
    order: int
    line: int
    quantity: int
    cost: Decimal


def record(journal: Journal, movements: list[Movement]) -> None:
    """Lines in the history of movements."""
    journal.insert(
        "Production_TransactionHistory",
        [
            {
                "TransactionID": _next_id(journal),
                "ProductID": moved.product,
                "ReferenceOrderID": moved.order,
                "ReferenceOrderLineID": moved.line,
                "TransactionDate": journal.midnight,
                "TransactionType": moved.kind,
                "Quantity": moved.quantity,
                "ActualCost": moved.cost,
            }
            for moved in movements
        ],
    )


def shift(journal: Journal, pieces: dict[int, int]) -> None:
    """Puts pieces of products (more, or fewer where negative) on the fullest of their shelves, down to none at all."""
    if not any(pieces.values()):
        return
    shelves = journal.rows(
        'select distinct on ("ProductID") "ProductID", "LocationID", "Quantity" from "Production"."ProductInventory" '
        'where "ProductID" = any(%s) order by "ProductID", "Quantity" desc, "LocationID"',
        sorted(product for product, number in pieces.items() if number),
    )
    changes = []
    for shelf in shelves:
        quantity = min(max(shelf["Quantity"] + pieces[shelf["ProductID"]], 0), _MOST_ON_A_SHELF)
        if quantity != shelf["Quantity"]:
            key = {"ProductID": shelf["ProductID"], "LocationID": shelf["LocationID"]}
            changes.append((key, {"Quantity": quantity}))
    journal.update("Production_ProductInventory", changes)


def _next_id(journal: Journal) -> int:
    """Above all numbers of the history; those of the archive lie below it."""
    return journal.next_id("Production_TransactionHistory", "TransactionID")
