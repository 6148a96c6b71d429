"""Calendar months. A month is the date of its first day; its key is the text 'YYYY-MM'."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from adventureworks.errors import PlatformError

FISCAL_YEAR_STARTS = 7
"""The month in which the fiscal year starts: July."""


def first_day(key: str) -> date:
    """Return the month with this key. Raises `ValueError` if the key is malformed."""
    return date.fromisoformat(f"{key}-01")


def requested(key: str) -> date:
    """Return the month that a user asks for. Raises `PlatformError` if it is not a month."""
    try:
        return first_day(key)
    except ValueError:
        raise PlatformError(f"{key} is not a month.", "Write it as 2014-05.") from None


def month_of(day: date) -> date:
    """Return the month of a day."""
    return _month(_number(day))


def shifted(month: date, by: int) -> date:
    """Return the month that is `by` months later, or earlier if `by` is negative."""
    return _month(_number(month) + by)


def shifted_day(day: date, by: int) -> date:
    """Return the same day of the month that is `by` months later; the last one of a month that is too short for it."""
    month = shifted(day, by)
    return month.replace(day=min(day.day, monthrange(month.year, month.month)[1]))


def shifted_key(key: str, by: int) -> str:
    """Return the key of the month that is `by` months after the month with this key."""
    return key_of(shifted(first_day(key), by))


def between(one: date, other: date) -> tuple[str, ...]:
    """Return the keys of the months from one day to the other, both included."""
    first, last = sorted((_number(one), _number(other)))
    return tuple(key_of(_month(number)) for number in range(first, last + 1))


def fiscal_year(month: date) -> int:
    """Return the fiscal year of a month, which is named after the year in which it ends."""
    return month.year + (month.month >= FISCAL_YEAR_STARTS)


def key_of(month: date) -> str:
    """Return the key of the month of a day."""
    return month.isoformat()[:7]


def _number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
