"""Months with many more or fewer events than comparable ones, by a robust measure that excludes the tested month."""

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
