"""Months with many more or fewer events than comparable ones, by robust measures that exclude the tested month."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import median

from adventureworks.months import between, first_day

NEIGHBOURS = 2
"""The number of comparable months before and after; the same month of every other year is comparable too."""
MIN_COMPARABLE = 4
THRESHOLD = 6.0
"""Robust standard deviations (1.4826 × median absolute deviation) beyond which a month is anomalous."""
MIN_SPREAD = 0.1
"""The minimum spread on the logarithmic scale, about a tenth, because comparable months may be all alike."""

MOST_OF_A_MONTH = 0.7
"""Share of the expected events below which a month has lost some."""
CHANCE = 2.5
"""Standard deviations of a Poisson count by which a month must fall short besides, so that small numbers may vary."""


def anomalous_months(events: Mapping[date, int]) -> list[date]:
    """Return the anomalous months, except the first and the last, which may be incomplete.

    Months are compared on a logarithmic scale, so that growth and seasonality are not anomalies. A month that is
    missing between the first and the last counts as zero events.
    """
    if not events:
        return []
    complete = [first_day(key) for key in between(min(events), max(events))][1:-1]
    sizes = [math.log1p(events.get(month, 0)) for month in complete]
    return [month for place, month in enumerate(complete) if _is_anomalous(place, sizes)]


def _is_anomalous(place: int, sizes: Sequence[float]) -> bool:
    comparable = [
        value
        for other, value in enumerate(sizes)
        if other != place and (abs(other - place) <= NEIGHBOURS or (other - place) % 12 == 0)
    ]
    if len(comparable) < MIN_COMPARABLE:
        return False
    middle = median(comparable)
    spread = 1.4826 * median(abs(value - middle) for value in comparable)
    return abs(sizes[place] - middle) > THRESHOLD * max(spread, MIN_SPREAD)


def depleted_months(events: Mapping[date, int], cycle: int) -> list[date]:
    """Return the months that have clearly fewer events than comparable months before, and than comparable months after.

    Comparable are the two months that lie one and two cycles of `cycle` months before or after. A month with lower
    sales than before that lasts is no loss, and neither is one before sales that rise for good. At either end of the
    series only one side can be compared. A month that is missing between the first and the last counts as zero events.
    """
    if not events:
        return []
    months = [first_day(key) for key in between(min(events), max(events))]
    counts = [events.get(month, 0) for month in months]
    return [month for place, month in enumerate(months) if _is_depleted(counts, place, cycle)]


def _is_depleted(counts: Sequence[int], place: int, cycle: int) -> bool:
    sides = (
        [counts[other] for other in (place + way * cycle, place + 2 * way * cycle) if 0 <= other < len(counts)]
        for way in (-1, 1)
    )
    medians = [median(side) for side in sides if side]
    if not medians:
        return False
    expected = min(medians)
    return counts[place] < min(MOST_OF_A_MONTH * expected, expected - CHANCE * math.sqrt(expected))
