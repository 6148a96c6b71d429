"""What changed the gross profit of a month since the year before, from `profit_bridge`: by booking month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from adventureworks.warehouse.session import Data

EFFECTS = ("volume_effect", "mix_effect", "price_effect", "cost_effect", "new_products", "gone_products")
"""Columns of `profit_bridge` that explain the change of the profit since the year before."""
BRIDGE_COLUMNS = ("profit_year_before", *EFFECTS, "profit")
"""Columns of `profit_bridge`, from the profit of a year before to this year's."""


@dataclass(frozen=True)
class Bridge:
    """The gross profit of a channel and category, and what changed it since the year before, by booking month."""

    channel: str
    category: str
    before: Decimal
    effects: tuple[Decimal, ...]
    """In the order of `EFFECTS`; they add up to the change."""
    after: Decimal

    @property
    def amounts(self) -> tuple[Decimal, ...]:
        """The profit of the year before, the effects, and the profit."""
        return self.before, *self.effects, self.after


def bridges(data: Data, month: date | None = None) -> dict[str, tuple[Bridge, ...]]:
    """Return the bridge of a month, or of every month, by month ('YYYY-MM')."""
    sums = ", ".join(f"sum({column})" for column in BRIDGE_COLUMNS)
    rows = data.execute(
        f"select to_char(month, 'YYYY-MM'), channel, category, {sums} from marts.profit_bridge"
        f" where profit_year_before is not null {'and month = %(month)s' if month else ''}"
        " group by month, channel, category order by month, channel, category",
        {"month": month},
    ).fetchall()
    found: dict[str, tuple[Bridge, ...]] = {}
    for key, channel, category, before, *effects, after in rows:
        found[key] = (*found.get(key, ()), Bridge(channel, category, before, tuple(effects), after))
    return found


def by_channel(bridge: Iterable[Bridge]) -> dict[str, tuple[Decimal, ...]]:
    """Return the sums of a bridge by channel, in the order of `BRIDGE_COLUMNS`."""
    found: dict[str, tuple[Decimal, ...]] = {}
    for one in bridge:
        before = found.get(one.channel, (Decimal(0),) * len(BRIDGE_COLUMNS))
        found[one.channel] = tuple(was + more for was, more in zip(before, one.amounts, strict=True))
    return found
