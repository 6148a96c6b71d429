"""What messages say about notices: subject, headings and cells in every language, from the codes that are stored.

The stock digest, written by `adventureworks.marts.production.stock_alerts`, holds the mart's column names and values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from adventureworks.dictionary import label, unit_text
from adventureworks.messaging.notices import Digest, Listing
from adventureworks.texts import Language

STOCK = "stock"
STOCK_PAGE = "dashboard/overview#proposals"
"""Where the dashboard shows what to order."""
RECORDED = "recorded"
"""Kind of a notice that an older version stored as finished sentences."""
WORSE, RECOVERED = "worse", "recovered"
COLUMNS = {
    WORSE: (
        "product",
        "state",
        "before",
        "on_hand",
        "reorder_point",
        "days_of_supply",
        "suggested_order",
        "order_unit",
    ),
    RECOVERED: ("product", "state", "before", "on_hand"),
}
ALARMS = ("out", "reorder", "low")
"""The states that are reported, the worst first."""


@dataclass(frozen=True)
class NoticeWords:
    """The texts of a notice in one language."""

    subject: str
    listings: tuple[Listing, ...]


def words(digest: Digest, language: Language) -> NoticeWords:
    """Return the texts of a digest in a language."""
    if digest.kind == RECORDED:
        return NoticeWords(digest.recorded_subject, digest.listings)
    listings = tuple(_listing(listing, language) for listing in digest.listings)
    return NoticeWords(_subject(digest.listings, language), listings)


def _subject(listings: Sequence[Listing], language: Language) -> str:
    """Return how many products entered each state."""
    text = language.text
    states = Counter(row[1] for listing in listings if listing.heading == WORSE for row in listing.rows)
    count = {state: language.number(states[state]) for state in ALARMS}
    counted = {
        "out": text("{count} out of stock", count=count["out"]),
        "reorder": text("{count} to reorder", count=count["reorder"]),
        "low": text("{count} low", count=count["low"]),
    }
    parts = [counted[state] for state in ALARMS if states[state]]
    recovered = sum(len(listing.rows) for listing in listings if listing.heading == RECOVERED)
    if recovered:
        parts.append(text("{count} back to normal", count=language.number(recovered)))
    return text("Stock: {what}", what=", ".join(parts))


def _listing(listing: Listing, language: Language) -> Listing:
    text = language.text
    names = {
        "product": label("product", language),
        "state": label("state", language),
        "on_hand": label("on_hand", language),
        "reorder_point": label("reorder_point", language),
        "days_of_supply": label("days_of_supply", language),
        "suggested_order": label("suggested_order", language),
    }
    return Listing(
        heading=text("Worse than before") if listing.heading == WORSE else text("Back to normal"),
        columns=tuple(names[column] for column in listing.columns if column in names),
        rows=tuple(_row(dict(zip(listing.columns, row, strict=True)), language) for row in listing.rows),
    )


def _row(cells: dict[str, str], language: Language) -> tuple[str, ...]:
    text = language.text
    states = {
        "low": text("low"),
        "reorder": text("to reorder"),
        "out": text("out of stock"),
        "ok": text("back to normal"),
    }
    state, before = states[cells["state"]], cells["before"]
    if cells["state"] in ALARMS and before in ALARMS:
        state = text("{state}, was {before}", state=state, before=states[before])
    figures = ("on_hand", "reorder_point", "days_of_supply", "suggested_order")
    return (cells["product"], state, *(_figure(name, cells, language) for name in figures if name in cells))


def _figure(name: str, cells: Mapping[str, str], language: Language) -> str:
    cell = cells[name]
    if name == "days_of_supply":
        return language.number(Decimal(cell), 1) if cell else language.text("not used")
    if not cell:
        return language.text("unknown")
    # Notices from before the column `order_unit` have no unit.
    unit = unit_text(cells.get("order_unit"), language) if name == "suggested_order" else ""
    return f"{language.number(int(cell))} × {unit}" if unit else language.number(int(cell))
