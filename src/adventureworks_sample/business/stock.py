"""Stock movements: one history row for each, and the change of the quantity on hand."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from adventureworks_sample.business.journal import Journal

_MAX_PER_SHELF = 32_000


class Movement(NamedTuple):
    """Pieces of a product that an order moves. Kinds: W work order, S sale, P purchase."""

    kind: str
    product: int
    order: int
    line: int
    quantity: int
    cost: Decimal


def record(journal: Journal, movements: list[Movement]) -> None:
    """Insert the movements into the history."""
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


def adjust_stock(journal: Journal, pieces: dict[int, int]) -> None:
    """Add pieces of each product (negative: remove) at its fullest location; the quantity never falls below zero."""
    if not any(pieces.values()):
        return
    shelves = journal.rows(
        'select distinct on ("ProductID") "ProductID", "LocationID", "Quantity" from "Production"."ProductInventory" '
        'where "ProductID" = any(%s) order by "ProductID", "Quantity" desc, "LocationID"',
        sorted(product for product, number in pieces.items() if number),
    )
    changes = []
    for shelf in shelves:
        quantity = min(max(shelf["Quantity"] + pieces[shelf["ProductID"]], 0), _MAX_PER_SHELF)
        if quantity != shelf["Quantity"]:
            key = {"ProductID": shelf["ProductID"], "LocationID": shelf["LocationID"]}
            changes.append((key, {"Quantity": quantity}))
    journal.update("Production_ProductInventory", changes)


def _next_id(journal: Journal) -> int:
    """Return the next id above all of the history; ids of the archive are lower."""
    return journal.next_id("Production_TransactionHistory", "TransactionID")
