"""Months with many more or fewer events than comparable ones, by a robust measure that excludes the tested month."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from statistics import median

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
    places = {month.year * 12 + month.month - 1: count for month, count in events.items()}
    complete = range(min(places) + 1, max(places)) if places else range(0)
    size = {place: math.log1p(places.get(place, 0)) for place in complete}
    return [date(place // 12, place % 12 + 1, 1) for place in complete if _is_anomalous(place, size)]


def _is_anomalous(place: int, size: Mapping[int, float]) -> bool:
    comparable = [
        value
        for other, value in size.items()
        if other != place and (abs(other - place) <= NEIGHBOURS or (other - place) % 12 == 0)
    ]
    if len(comparable) < MIN_COMPARABLE:
        return False
    middle = median(comparable)
    spread = 1.4826 * median(abs(value - middle) for value in comparable)
    return abs(size[place] - middle) > THRESHOLD * max(spread, MIN_SPREAD)
