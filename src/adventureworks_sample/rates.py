"""Daily exchange rates: how many units of a currency one US dollar buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, table
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.world import FIRST_DAY, Company

_LAST_RATE = day("2014-05-31")
_DAYS = int((_LAST_RATE - FIRST_DAY).astype(np.int64)) + 1
_LEVELS = {
    "ARS": (2_900, 220),
    "AUD": (1_780, 210),
    "BRL": (2_300, 260),
    "CAD": (1_520, 110),
    "CNY": (8_210, 12),
    "DEM": (2_030, 190),
    "EUR": (1_060, 170),
    "FRF": (6_800, 190),
    "GBP": (670, 150),
    "JPY": (116_500, 190),
    "MXN": (9_400, 170),
    "SAR": (3_750, 4),
    "USD": (1_000, 0),
    "VEB": (760_000, 190),
}
"""Units that one dollar buys, in thousandths, and the spread of a day's change, in hundred-thousandths."""
_LAST_DAYS = {"DEM": day("2011-11-30"), "FRF": day("2011-11-30")}
"""Last day of the currencies that the euro replaced."""
_DEVALUATIONS = {"ARS": (400, 28), "VEB": (620, 22)}
"""Number of the day, and by how many per cent a dollar buys more from then on."""
_WITH_GAPS = ("BRL", "MXN", "VEB", "CNY", "ARS")
"""Currencies with some missing days."""


@dataclass(frozen=True)
class Rates:
    """All rates by currency and day; CurrencyRateID is the position + 1 in the order of days."""

    day_number: Integers
    currency: Integers
    average: Integers
    end_of_day: Integers

    def latest(self, code: str, days: Days) -> Integers:
        """Return the CurrencyRateID of the newest rate up to each day; 0 before the first and after the last one."""
        own = np.flatnonzero(self.currency == list(_LEVELS).index(code))
        number = (days - FIRST_DAY).astype(np.int64)
        found = np.searchsorted(self.day_number[own], number, side="right") - 1
        ended = days > _LAST_DAYS.get(code, _LAST_RATE)
        return np.where((found < 0) | ended, 0, own[found.clip(0)] + 1)


def exchange_rates(company: Company) -> Rates:
    """Return a random walk for each currency, in whole ten-thousandths."""
    draw = Draw(company.seed, "rates")
    parts = []
    for place, (code, (level, step)) in enumerate(_LEVELS.items()):
        numbers = np.arange(_DAYS)
        # Each day moves by a share of the starting level: a sum of whole numbers, exact on every machine.
        moved = np.cumsum(draw.bell(_DAYS, step)) if step else np.zeros(_DAYS, dtype=np.int64)
        start, leap = _DEVALUATIONS.get(code, (_DAYS, 0))
        share = np.maximum(100_000 + moved, 40_000) * np.where(numbers >= start, 100 + leap, 100)
        average = level * share // 1_000_000
        closing = average + average * (draw.bell(_DAYS, step) if step else 0) // 200_000
        here = numbers <= int((_LAST_DAYS.get(code, _LAST_RATE) - FIRST_DAY).astype(np.int64))
        if code in _WITH_GAPS:
            first_missing = draw.between(5, 30, _DAYS - 40)
            for first, length in zip(first_missing, (1, 2, 3, 3, 5), strict=True):
                here &= (numbers < first) | (numbers >= first + length)
        parts.append((numbers[here], np.full(int(here.sum()), place), average[here], closing[here]))
    numbers, places, averages, closings = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((places, numbers))
    return Rates(numbers[order], places[order], np.maximum(averages[order], 1), np.maximum(closings[order], 1))


def rate_table(rates: Rates) -> NamedTable:
    """Return the table with one row per day and currency."""
    codes = np.array(list(_LEVELS), dtype=object)
    days = FIRST_DAY + rates.day_number
    return table(
        "Sales_CurrencyRate",
        {
            "CurrencyRateID": np.arange(1, len(days) + 1),
            "CurrencyRateDate": days,
            "FromCurrencyCode": "USD",
            "ToCurrencyCode": codes[rates.currency].tolist(),
            "AverageRate": rates.average,
            "EndOfDayRate": rates.end_of_day,
            "ModifiedDate": days,
        },
    )
