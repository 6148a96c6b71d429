"""Order dates: growth, seasons, the jump of web shop orders in mid-2013, and the booking days of resellers."""

from __future__ import annotations

import numpy as np

from adventureworks_sample.build import Days, day, month_of
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.world import FIRST_DAY, LAST_DAY, Company

_SEASON = (98, 92, 100, 99, 103, 102, 100, 97, 96, 101, 113, 107)
"""Seasonal factors of January to December, in per cent."""
FIRST_MONTH = int(month_of(np.array([FIRST_DAY]))[0])
JUMP_MONTH = int(month_of(np.array([day("2013-07-01")]))[0]) - FIRST_MONTH
"""Month in which web shop orders jump, counted from the first month."""
LAST_MONTH = int(month_of(np.array([LAST_DAY]))[0]) - FIRST_MONTH


def online_days(company: Company) -> Days:
    """Return the day of every web shop order, ascending; the first and the last day have at least one."""
    draw = Draw(company.seed, "online days")
    found = [np.repeat(FIRST_DAY, company.count(5))]
    for month in range(1, LAST_MONTH + 1):
        start = np.datetime64(FIRST_MONTH + month, "M")
        length = int(((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64))
        number = company.count(_online_orders(month) + int(draw.bell(1, _online_orders(month) // 16)[0]))
        found.append(start.astype("datetime64[D]") + np.sort(draw.below(number, length)))
    found[-1][-1] = LAST_DAY
    return np.concatenate(found)


def _online_orders(month: int) -> int:
    """Return the expected number of orders of a month at scale 1."""
    season = _SEASON[(FIRST_MONTH + month) % 12]
    if month == LAST_MONTH:
        return 940
    if month < JUMP_MONTH - 1:
        return (138 + 8 * month) * season // 100
    if month == JUMP_MONTH - 1:
        return 530
    return (1_600 + 55 * (month - JUMP_MONTH)) * season // 100


def booking_days(company: Company) -> Days:
    """Return the day on which resellers book in each month from May 2011 to May 2014: its end, within a day or two.

    Where the day moves to the first of the next month, its own month has no reseller orders.
    """
    draw = Draw(company.seed, "booking days")
    months = np.arange(LAST_MONTH)
    ends = (np.datetime64(FIRST_MONTH + 1, "M") + months).astype("datetime64[D]") - np.timedelta64(1, "D")
    shift = np.array([-2, -1, 0, 1])[draw.index(len(months), (1, 4, 12, 2))]
    turn_of_price = (FIRST_MONTH + months) % 12 == 4
    shift = np.where(turn_of_price, np.minimum(shift, 0).clip(-1, 0), shift)
    # Moved to the first of the next month: no reseller orders in June 2011 and February 2014, whatever the seed.
    shift[[1, LAST_MONTH - 4]] = 1
    shift[0] = 0
    return ends + shift


def reseller_bookings(company: Company, first_months: Integers) -> tuple[Integers, Integers]:
    """Return the reseller and month of each booking, sorted by month: every third month until a reseller stops.

    However small the company, each month from the first booking on has one.
    """
    draw = Draw(company.seed, "bookings")
    number = len(first_months)
    phase = draw.below(number, 3)
    start = first_months + phase
    lost = draw.chance(number, 1_300)
    last = np.where(lost, start + 3 * draw.below(number, 5), LAST_MONTH)
    months = np.arange(LAST_MONTH)[:, None]
    due = (months >= start) & (months <= last) & ((months - start) % 3 == 0)
    skipped = draw.chance(due.size, 300).reshape(due.shape) & (months > start)
    booked = due & ~skipped
    begun = months >= start
    without = np.flatnonzero(begun.any(axis=1) & ~booked.any(axis=1))
    booked[without, begun[without].argmax(axis=1)] = True
    month, reseller = np.nonzero(booked)
    return reseller, month
