"""The digest of the stock, in the language of who reads it.

`adventureworks.marts.production.stock_alerts` writes it with the names and figures of the mart; a digest that an older
version wrote in words stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from adventureworks.messaging.notices import Digest, Listing
from adventureworks.texts import Language

KIND = "stock"
WORSE, RECOVERED = "worse", "recovered"
COLUMNS = {
    WORSE: ("product", "state", "before", "on_hand", "reorder_point", "days_of_supply", "suggested_order"),
    RECOVERED: ("product", "state", "before", "on_hand"),
}
ALARMS = ("out", "reorder", "low")
"""The states that are told, the worst first."""


def worded(digest: Digest, speech: Language) -> Digest:
    """The digest in words."""
    if digest.kind != KIND or any(COLUMNS.get(listing.heading) != listing.columns for listing in digest.listings):
        return digest
    listings = tuple(_listing(listing, speech) for listing in digest.listings)
    return replace(digest, subject=subject(digest.listings, speech), listings=listings)


def subject(listings: Sequence[Listing], speech: Language) -> str:
    """How many products are in which new state."""
    text = speech.text
    states = Counter(row[1] for listing in listings if listing.heading == WORSE for row in listing.rows)
    count = {state: speech.number(states[state]) for state in ALARMS}
    counted = {
        "out": text("{count} out of stock", count=count["out"]),
        "reorder": text("{count} to reorder", count=count["reorder"]),
        "low": text("{count} low", count=count["low"]),
    }
    parts = [counted[state] for state in ALARMS if states[state]]
    recovered = sum(len(listing.rows) for listing in listings if listing.heading == RECOVERED)
    if recovered:
        parts.append(text("{count} recovered", count=speech.number(recovered)))
    return text("Stock: {what}", what=", ".join(parts))


def _listing(listing: Listing, speech: Language) -> Listing:
    text = speech.text
    names = {
        "product": text("Product"),
        "state": text("State"),
        "on_hand": text("On hand"),
        "reorder_point": text("Reorder point"),
        "days_of_supply": text("Days of supply"),
        "suggested_order": text("Suggested order"),
    }
    return Listing(
        heading=text("Worse than before") if listing.heading == WORSE else text("Recovered"),
        columns=tuple(names[column] for column in listing.columns if column in names),
        rows=tuple(_row(dict(zip(listing.columns, row, strict=True)), speech) for row in listing.rows),
    )


def _row(cells: dict[str, str], speech: Language) -> tuple[str, ...]:
    text = speech.text
    states = {"low": text("low"), "reorder": text("to reorder"), "out": text("out of stock"), "ok": text("ok again")}
    state, before = states[cells["state"]], cells["before"]
    if cells["state"] in ALARMS and before in ALARMS:
        state = text("{state}, was {before}", state=state, before=states[before])
    figures = ("on_hand", "reorder_point", "days_of_supply", "suggested_order")
    return (cells["product"], state, *(_figure(name, cells[name], speech) for name in figures if name in cells))


def _figure(name: str, cell: str, speech: Language) -> str:
    if name == "days_of_supply":
        return speech.number(Decimal(cell), 1) if cell else speech.text("not used")
    return speech.number(int(cell)) if cell else speech.text("unknown")
