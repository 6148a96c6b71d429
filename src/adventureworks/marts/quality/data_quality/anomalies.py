"""Months with many more or fewer events than comparable ones: a robust measure that leaves the tested month out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from statistics import median

NEIGHBOURS = 2
"""Months before and after that are comparable; so is the same month of every other year."""
LEAST_COMPARABLE = 4
THRESHOLD = 6.0
"""Robust standard deviations (1.4826 × median absolute deviation) beyond which a month is extraordinary."""
LEAST_SPREAD = 0.1
"""Comparable months may all be alike; a tenth more or less is never extraordinary."""


def extraordinary(events: Mapping[date, int]) -> list[date]:
    """The extraordinary months among those between the first and the last, which may not be whole.

    Compared on the logarithmic scale, so that growth and a season that repeats are no anomaly. A month without events
    between the first and the last counts as one with none.
    """
    places = {month.year * 12 + month.month - 1: count for month, count in events.items()}
    whole = range(min(places) + 1, max(places)) if places else range(0)
    size = {place: math.log1p(places.get(place, 0)) for place in whole}
    return [date(place // 12, place % 12 + 1, 1) for place in whole if _is_extraordinary(place, size)]


def _is_extraordinary(place: int, size: Mapping[int, float]) -> bool:
    comparable = [
        value
        for other, value in size.items()
        if other != place and (abs(other - place) <= NEIGHBOURS or (other - place) % 12 == 0)
    ]
    if len(comparable) < LEAST_COMPARABLE:
        return False
    middle = median(comparable)
    spread = 1.4826 * median(abs(value - middle) for value in comparable)
    return abs(size[place] - middle) > THRESHOLD * max(spread, LEAST_SPREAD)
