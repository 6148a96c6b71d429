"""The notice about a new version of `inventory_status`: products that got worse, and products that recovered.

The states from best to worst: ok, low, reorder, out. A product whose state was not an alarm (unknown, discontinued)
counts as having been ok. A product that is new, stays the same, improves without being ok, or whose state is no longer
known is not listed. The first version has nothing to compare with; the daily digest lists its products.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal

from adventureworks.messaging.notice_wording import COLUMNS, RECOVERED, STOCK, WORSE
from adventureworks.messaging.notices import Digest, Listing
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import table

_SEVERITY = {"ok": 0, "low": 1, "reorder": 2, "out": 3}
LIST_COMMAND = "adventureworks sql \"select * from marts.inventory_status where state in ('out', 'reorder', 'low')\""
"""The command that lists the products with an alarm."""


@dataclass(frozen=True)
class _Change:
    """A product whose state changed."""

    product_id: int
    product: str
    state: str
    before: str
    on_hand: int | None
    reorder_point: int
    days_of_supply: Decimal | None
    suggested_order: int | None
    order_unit: str | None

    @property
    def severity(self) -> int:
        return _SEVERITY.get(self.state, 0)

    @property
    def severity_before(self) -> int:
        return _SEVERITY.get(self.before, 0)

    @property
    def name(self) -> str:
        return f"{self.product} ({self.product_id})"


def digest_of(data: Data) -> Digest | None:
    """Return the digest of what the staged version changes; None if there is nothing to report."""
    changes = _changes(data)
    worse = sorted((c for c in changes if c.severity > c.severity_before), key=_urgency)
    recovered = sorted((c for c in changes if c.state == "ok" and c.severity_before > 0), key=lambda c: c.product_id)
    found = (
        Listing(heading, COLUMNS[heading], tuple(_row(change, COLUMNS[heading]) for change in changed))
        for heading, changed in ((WORSE, worse), (RECOVERED, recovered))
    )
    listings = tuple(listing for listing in found if listing.rows)
    return Digest(STOCK, listings, LIST_COMMAND) if listings else None


def _changes(data: Data) -> list[_Change]:
    """Return the products whose state changes. Going back to an earlier business date does not count as a change."""
    query = (
        "select now.product_id, now.product, now.state, before.state as before, now.on_hand, now.reorder_point,"
        " now.days_of_supply, now.suggested_order, now.order_unit"
        f" from {table('staging', 'inventory_status')} as now"
        f" join {table('marts', 'inventory_status')} as before on before.product_id = now.product_id"
        " where now.state <> before.state and now.as_of >= before.as_of"
    )
    return [_Change(*row) for row in data.execute(query).fetchall()]


def _urgency(change: _Change) -> tuple[int, Decimal, int]:
    days = Decimal("Infinity") if change.days_of_supply is None else change.days_of_supply
    return -change.severity, days, change.product_id


def _row(change: _Change, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row of raw values as text, empty for NULL; `notice_wording` turns them into words."""
    cells = {**asdict(change), "product": change.name}
    return tuple("" if cells[column] is None else str(cells[column]) for column in columns)
