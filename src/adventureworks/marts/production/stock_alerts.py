"""What a new version of `inventory_status` announces: products that got worse, and those that recovered.

Out is worse than at the reorder point, that is worse than low, and low than ok. A product that was not there before, or
whose state was no alarm (unknown, discontinued), was ok. A product that stays as it is, gets better without being ok,
or whose state is not known any more is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from adventureworks.incidents.notices import Digest, Listing
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.sql import table

KIND = "stock"

_SEVERITY = {"ok": 0, "low": 1, "reorder": 2, "out": 3}
_WORDS = {"low": "low", "reorder": "to reorder", "out": "out of stock"}
_NEXT_STEP = "adventureworks sql \"select * from marts.inventory_status where state in ('out', 'reorder', 'low')\""


@dataclass(frozen=True)
class _Change:
    """A product whose state is another one than before."""

    product_id: int
    product: str
    state: str
    before: str | None
    on_hand: int | None
    reorder_point: int
    days_of_supply: Decimal | None
    suggested_order: int | None

    @property
    def severity(self) -> int:
        return _SEVERITY.get(self.state, 0)

    @property
    def severity_before(self) -> int:
        return _SEVERITY.get(self.before or "", 0)

    @property
    def name(self) -> str:
        return f"{self.product} ({self.product_id})"


def digest_of(connection: Connection) -> Digest | None:
    """The digest of the staged version against the published one; None where there is nothing to tell."""
    changes = _changes(connection)
    worse = sorted((c for c in changes if c.severity > c.severity_before), key=_urgency)
    recovered = sorted((c for c in changes if c.state == "ok" and c.severity_before > 0), key=lambda c: c.product_id)
    listings = (
        Listing(
            "Worse than before",
            ("Product", "State", "On hand", "Reorder point", "Days of supply", "Suggested order"),
            tuple(map(_row_of_worse, worse)),
        ),
        Listing(
            "Recovered",
            ("Product", "State", "On hand"),
            tuple((c.name, "ok again", _count(c.on_hand)) for c in recovered),
        ),
    )
    told = tuple(listing for listing in listings if listing.rows)
    return Digest(KIND, _subject(worse, recovered), told, _NEXT_STEP) if told else None


def _changes(connection: Connection) -> list[_Change]:
    """Products whose state changes. Going back to an earlier business date is no change of the stock."""
    query = (
        "select now.product_id, now.product, now.state, before.state as before, now.on_hand, now.reorder_point,"
        f" now.days_of_supply, now.suggested_order from {table('staging', 'inventory_status')} as now"
        f" left join {table('marts', 'inventory_status')} as before on before.product_id = now.product_id"
        " where now.state is distinct from before.state and (before.as_of is null or now.as_of >= before.as_of)"
    )
    return [_Change(*row) for row in connection.execute(query.encode()).fetchall()]


def _urgency(change: _Change) -> tuple[int, Decimal, int]:
    days = Decimal("Infinity") if change.days_of_supply is None else change.days_of_supply
    return -change.severity, days, change.product_id


def _row_of_worse(change: _Change) -> tuple[str, ...]:
    days = "not used" if change.days_of_supply is None else f"{change.days_of_supply:,.1f}"
    return (
        change.name,
        _WORDS[change.state] + (f", was {_WORDS[change.before]}" if change.before in _WORDS else ""),
        _count(change.on_hand),
        _count(change.reorder_point),
        days,
        _count(change.suggested_order),
    )


def _count(pieces: int | None) -> str:
    return "unknown" if pieces is None else f"{pieces:,}"


def _subject(worse: list[_Change], recovered: list[_Change]) -> str:
    parts = [
        f"{count:,} {_WORDS[state]}"
        for state in sorted(_WORDS, key=_SEVERITY.__getitem__, reverse=True)
        if (count := sum(change.state == state for change in worse))
    ]
    if recovered:
        parts.append(f"{len(recovered):,} recovered")
    return f"Stock: {', '.join(parts)}"
