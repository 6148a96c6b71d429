"""Decisions about the shape of a change: emptied, swapped and collapsed columns, spikes, doubled rows, silent segments.

Every function here is pure. It compares the changed rows of a candidate with what is published and with the profiles of
the last versions; `gate.profiling` measures both. Each rule needs a minimum of rows on both sides, and reports only
what the published rows never showed. A change that a business process may cause is a warning; a change that none can
cause blocks the table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from math import exp, log
from statistics import fmean
from typing import Literal

from adventureworks.incidents.ledger import ShapeRule

VERSIONS = 5
"""Versions whose profiles a column is compared with."""

KNOWN = 50
"""Published rows of a segment from which on it says what is normal."""
FEW = 20
"""Published rows from which on a cell of two columns, or one category's range, says something."""
NOTICED = 20
"""Changed rows from which on a warning is given."""
HANDFUL = 10
"""Changed rows from which on a warning is given if they are all that a table has."""
CERTAIN = 50
"""Changed rows from which on exchanged columns and doubled rows block the table."""
CERTAINLY_EMPTY = 100
"""Updated rows from which on a column that they empty blocks the table."""
RARE = 0.01
"""Share of published rows up to which something counts as never seen."""
SELDOM = 0.1
"""Share of published rows up to which it is seen so seldom that it cannot hold of all of many changed rows."""

TIGHT = 10.0
"""Highest ratio of the largest to the smallest value of a category whose values say what is plausible."""
LEAP = 5.0
"""Factor outside the range of such a category that is reported."""
ABSURD = 50.0
"""Factor outside the range of such a category that blocks the table."""
WIDE_LEAP = 30.0
"""Factor above the largest value ever, whatever the category, that is reported; it never blocks."""

APART = log(1.5)
"""Mean logarithm of the ratio of two amounts from which on no price rise turns their order."""
POWERS = (10, 100, 1000)
"""Factors by which units differ: cents and dollars, grams and kilograms."""
A_TENTH = "a 10th of"
SEVERAL = 20
"""Distinct values from which on they do not all grow by one factor, or come back in other rows, by chance."""

QUESTION_MARKS = "has question marks in place of letters"
SHORTER = "is cut short"
NO_ZEROS = "has lost its leading zeros"
OTHER_LOOKS = "differs only in case, blanks or punctuation"

EXPECTED = 20.0
"""Rows that a segment must be expected to have before its absence means anything."""
WINDOWS = ((1, 28), (3, 12), (7, 8), (35, 4))
"""Days of a window, and how many windows before it are compared."""

OVERDUE = 2.5
"""How many times its longest pause a segment must be silent."""


@dataclass(frozen=True)
class Finding:
    """What a change does that no version did. `failed`: the rows concerned, where they were counted."""

    rule: ShapeRule
    outcome: Literal["warn", "fail"]
    message: str
    failed: int | None = None


@dataclass(frozen=True)
class Profile:
    """One column of one version: counts of all its rows, and the shares of its most common values (0 to 1)."""

    column: str
    rows: int
    nulls: int
    blanks: int
    """Rows that are NULL, empty text or zero."""
    distinct: int | None = None
    """None: not counted, as for keys and dates."""
    least: str | None = None
    most: str | None = None
    mean: float | None = None
    spread: float | None = None
    """Standard deviation."""
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def blank_share(self) -> float:
        """Between 0 and 1; 0 of no rows."""
        return self.blanks / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Values:
    """One column within a group of rows. `least` and `most` are of positive numbers, None where there is none."""

    filled: int
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Order:
    """How two columns of one type compare within a group: rows in which the first is larger, and smaller; of numbers
    the mean natural logarithm of their ratio, of dates the mean difference in days."""

    larger: int
    smaller: int
    log_ratio: float = 0.0
    days: float = 0.0


@dataclass(frozen=True)
class Group:
    """The rows of which a category column has one value; all rows where `segment` is empty."""

    segment: str
    value: str | None
    rows: int
    values: Mapping[str, Values]
    orders: Mapping[tuple[str, str], Order] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The group in words, to follow a number of rows; empty for all rows."""
        return f" where {self.segment} is {self.value}" if self.segment else ""


Groups = Mapping[tuple[str, str | None], Group]


@dataclass(frozen=True)
class Paired:
    """The rows that a change updates, before and after, by column."""

    rows: int
    filled: Mapping[str, int]
    """Rows that were neither NULL nor blank before."""
    emptied: Mapping[str, int]
    """Those of them that are now."""
    swapped: Mapping[tuple[str, str], int]
    """Rows in which two columns have exchanged values that differ."""
    swappable: Mapping[tuple[str, str], int]
    """Rows in which the two differed before."""
    kinds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Distinct values before and after."""
    altered: Mapping[str, int] = field(default_factory=dict)
    """Rows in which a column has another value than before."""
    rewritten: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows by the way in which a program changes a text, such as SHORTER."""
    scaled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows in which a number is what it was times or by a power of ten: `100 times`, `a 100th of`."""

    def kept(self, column: str) -> int:
        """Rows in which a column is still filled."""
        return self.filled.get(column, self.rows) - self.emptied.get(column, 0)


@dataclass(frozen=True)
class Emptied:
    """A column that is blank in a segment in which it never was. `rows` of `of` changed rows, `before` published."""

    column: str
    group: Group
    rows: int
    of: int
    before: int
    before_of: int


@dataclass(frozen=True)
class Cell:
    """Published rows of an emptied segment, by the value of one more column: how many, how many of them blank; and how
    many of the newly blank rows fall here. `novel`: a value that has hardly been seen explains what it brings."""

    column: str
    rows: int
    blanks: int
    emptied: int
    novel: bool


def emptied(columns: Sequence[str], published: Groups, changed: Groups) -> list[Emptied]:
    """For each column the largest segment, of the simplest division, in which it was always filled and now is not."""
    found = []
    sizes = Counter(segment for segment, _ in published)
    place = {column: number for number, column in enumerate(columns)}

    def simplest(one: Emptied) -> tuple[int, int, int]:
        segment = one.group.segment
        return one.rows, -sizes[segment], -place.get(segment, -1)

    for column in columns:
        candidates = []
        for key, new in changed.items():
            old = published.get(key)
            if old is None or old.rows < KNOWN or column == key[0] or column not in new.values:
                continue
            before, rows = old.rows - old.values[column].filled, new.rows - new.values[column].filled
            never = before <= RARE * old.rows and rows >= NOTICED and rows >= 0.5 * new.rows
            in_all = published["", None].rows - published["", None].values[column].filled
            seldom = (
                max(before / old.rows, in_all / published["", None].rows) <= SELDOM
                and rows >= NOTICED
                and rows >= 0.95 * new.rows
            )
            if never or seldom:
                candidates.append(Emptied(column, new, rows, new.rows, before, old.rows))
        if candidates:
            found.append(max(candidates, key=simplest))
    return found


def is_explained(found: Emptied, cells: Sequence[Cell]) -> bool:
    """Whether another column tells why: most of the blank rows have a value of it with which blanks are usual, or which
    is new (orders that are not shipped yet have no date of shipping)."""
    by_column: dict[str, int] = defaultdict(int)
    for cell in cells:
        usual = cell.rows > 0 and cell.blanks >= 0.2 * cell.rows
        if usual or (cell.novel and not cell.rows):
            by_column[cell.column] += cell.emptied
    return any(rows >= 0.5 * found.rows for rows in by_column.values())


def emptied_finding(found: Emptied, versions: Sequence[Profile], *, cleared: int = 0, whole: bool = False) -> Finding:
    """The finding of an emptied segment, with the figures of now and before.

    `cleared`: updated rows that had a value and have none now. `whole`: nearly all published rows are updated.
    """
    message = (
        f"{found.column} is empty in {_percent(found.rows, found.of)} of {found.of:,} changed rows{found.group.where};"
        f" in {_percent(found.before, found.before_of)} of the {found.before_of:,} published ones"
    )
    was_filled = found.before <= RARE * found.before_of and found.rows >= 0.9 * found.of
    # What is missing in new rows may be missing for good: orders of days that have no exchange rate yet refer to none.
    enough = min(cleared, found.rows) >= CERTAINLY_EMPTY or (whole and not found.group.segment)
    outcome = _outcome(was_filled and enough)
    return Finding("columns_stay_filled", outcome, message + _in_versions(versions), found.rows)


def emptied_by_updates(
    paired: Paired,
    history: Mapping[str, Sequence[Profile]],
    zeroed: Collection[str] = (),
    numbers: Collection[str] = (),
) -> Iterator[tuple[str, Finding]]:
    """Columns that updates empty, and their findings: most of what was filled in the updated rows.

    `zeroed`: amounts that are never NULL, so that an empty one is zero. Business may set a few to zero: the sales of
    the year, on the first of January. `numbers`: quantities and amounts, which may be empty in all rows some day, such
    as a quantity on order; other columns do not lose all their values.
    """
    for column, rows in paired.emptied.items():
        versions = history.get(column, ())
        filled, last = paired.filled[column], versions[0] if versions else None
        if last is None or not last.rows or rows < 3 or rows < 0.9 * filled:
            continue
        kept, most = last.rows - last.blanks, max(one.blank_share for one in versions)
        if most >= min(1, last.blank_share + rows / last.rows):
            continue
        # Business may empty a part of a column that is often blank, such as a quantity on order.
        if rows < 0.5 * kept and most > 0.2:
            continue
        enough = paired.rows >= CERTAINLY_EMPTY or (rows >= 0.9 * last.rows and column not in zeroed)
        certain = most <= RARE and enough and rows >= 0.9 * paired.rows
        throughout = column not in numbers and rows >= 0.9 * kept
        certain |= throughout and rows >= CERTAINLY_EMPTY
        if not certain and rows < (HANDFUL if throughout else NOTICED):
            continue
        message = (
            f"{column} was filled in {filled:,} of the {paired.rows:,} rows that change and is empty in"
            f" {_percent(rows, filled)} of these now; {kept:,} rows of the table had a value"
        )
        yield column, Finding("columns_stay_filled", _outcome(certain), message + _in_versions(versions), rows)


def exchanged(paired: Paired, published_rows: int) -> Iterator[Finding]:
    """Pairs of columns whose values an update has exchanged: in many rows, or in every row of a small table."""
    for (one, other), rows in paired.swapped.items():
        of = paired.swappable[one, other]
        everywhere = rows >= 3 and rows == of and rows >= 0.9 * published_rows
        if everywhere or (rows >= NOTICED and rows >= 0.5 * of):
            message = (
                f"{one} and {other} have exchanged their values in {rows:,} of {of:,} updated rows in which they"
                " differed; the published versions have them the other way round"
            )
            outcome = _outcome(of >= CERTAIN and rows >= 0.95 * of)
            yield Finding("columns_keep_their_places", outcome, message, rows)


def mirrored(published: Groups, changed: Groups) -> Iterator[Finding]:
    """Pairs of columns of which one was always the larger, by about as much as it is the smaller now."""
    old, new = published.get(("", None)), changed.get(("", None))
    if old is None or new is None:
        return
    for (one, other), now in new.orders.items():
        before = old.orders[one, other]
        compared, of = before.larger + before.smaller, now.larger + now.smaller
        if compared < KNOWN:
            continue
        larger_was_first = before.larger >= before.smaller
        against = now.smaller if larger_was_first else now.larger
        exceptions = before.smaller if larger_was_first else before.larger
        if exceptions > RARE * compared or against < max(NOTICED, 0.9 * of):
            continue
        distance, was = now.log_ratio + now.days, before.log_ratio + before.days
        if not was or abs(distance + was) > 0.5 * abs(was):
            continue
        larger, smaller = (one, other) if larger_was_first else (other, one)
        ratio = exp(abs(before.log_ratio))
        usual = f", about {ratio:.2g} times as large" if ratio > 1 else ""
        message = (
            f"{larger} is below {smaller} in {_percent(against, of)} of {of:,} changed rows, as if the two were"
            f" exchanged; it was above{usual} in {_percent(compared - exceptions, compared)} of {compared:,}"
            " published ones"
        )
        # Business may change the order of dates, as when everything is late, and of amounts that lie close together.
        certain = abs(before.log_ratio) >= APART and of >= CERTAIN and against >= 0.95 * of
        yield Finding("columns_keep_their_places", _outcome(certain), message, against)


def collapsed(
    paired: Paired, filled: Mapping[str, int], had: Callable[[str], int], numbers: Collection[str] = ()
) -> Iterator[Finding]:
    """Columns that had several values in the updated rows and have one now.

    `filled`: the published rows with a value. `had`: those of them with the value that the column has now. Business may
    give many rows a usual value, but not nearly all rows one that hardly any had. `numbers`: quantities, of which it
    may make many the same, but not all of a table.
    """
    for column, (before, after) in paired.kinds.items():
        updated, published = paired.kept(column), filled[column]
        least, share = (SEVERAL, 0.9) if column in numbers else (3, 0.2)
        if updated >= NOTICED and updated >= share * published and before >= least and after == 1:
            rows = had(column)
            message = (
                f"{column} has a single value in {updated:,} updated rows; it had {before:,} before, and that one"
                f" in {rows:,} of {published:,} published rows"
            )
            whole = updated >= max(CERTAINLY_EMPTY, 0.9 * published)
            outcome = _outcome(whole and rows <= RARE * published and column not in numbers)
            yield Finding("columns_stay_diverse", outcome, message, updated)


def rewritten(paired: Paired) -> Iterator[Finding]:
    """Texts that an update changes as programs do, and not as people do who mean another text."""
    for column, ways in paired.rewritten.items():
        of = paired.altered[column]
        way, rows = max(ways.items(), key=lambda one: one[1])
        if rows >= NOTICED and rows >= 0.9 * of:
            message = f"{column} {way} in {rows:,} of {of:,} updated rows in which it changes"
            yield Finding("values_keep_their_form", _outcome(way == QUESTION_MARKS), message, rows)


def scaled(paired: Paired, kinds: Callable[[str], int]) -> Iterator[Finding]:
    """Numbers that an update multiplies or divides by a power of ten, as another unit does. `kinds`: the distinct
    values of a column in the published rows."""
    for column, factors in paired.scaled.items():
        of = paired.altered[column]
        factor, rows = max(factors.items(), key=lambda one: one[1])
        if rows >= NOTICED and rows >= 0.95 * of and kinds(column) >= SEVERAL:
            message = f"{column} is exactly {factor} what it was in {rows:,} of {of:,} updated rows in which it changes"
            # Stock may be written down to a tenth.
            certain = rows >= CERTAIN and factor != A_TENTH
            yield Finding("values_stay_in_range", _outcome(certain), message, rows)


def moved(paired: Paired, column: str, kinds: int, unmatched: int) -> Finding | None:
    """The finding of a column whose values are found again in other rows, as after sorting one column alone.

    `kinds`: its distinct values; `unmatched`: rows whose value has no counterpart before.
    """
    rows = paired.altered[column]
    if kinds < SEVERAL or unmatched > 0.02 * paired.rows:
        return None
    message = (
        f"{column} has another value in {_percent(rows, paired.rows)} of {paired.rows:,} updated rows, and its values"
        f" are those that other rows had: {kinds:,} different ones"
    )
    return Finding("columns_keep_their_places", "warn", message, rows)


def may_have_moved(paired: Paired) -> list[str]:
    """The columns of which most updated rows have another value."""
    enough = max(CERTAIN, 0.5 * paired.rows)
    return [column for column, rows in paired.altered.items() if rows >= enough]


@dataclass(frozen=True)
class Times:
    """Dates of a column: how many there are, and how many of them have a time of day."""

    filled: int
    timed: int


def times_of_day(published: Mapping[str, Times], changed: Mapping[str, Times]) -> Iterator[Finding]:
    """Columns of dates without a time of day that have one now, as after a shift of time zones, and the reverse."""
    for column, before in published.items():
        now = changed[column]
        if before.filled < KNOWN or now.filled < NOTICED:
            continue
        gained = before.timed <= RARE * before.filled and now.timed >= max(NOTICED, 0.5 * now.filled)
        lost = before.timed >= (1 - RARE) * before.filled and not now.timed
        if gained or lost:
            message = (
                f"{column} has a time of day in {_percent(now.timed, now.filled)} of {now.filled:,} changed rows; in"
                f" {_percent(before.timed, before.filled)} of the {before.filled:,} published ones"
            )
            yield Finding("values_keep_their_form", "warn", message, now.timed if gained else now.filled)


def fewer(published: int, candidate: int, limit: float) -> Iterator[Finding]:
    """A table without months that loses more than a share of its rows, between 0 and 1: a part of it, or a clean-up."""
    lost = published - candidate
    if lost > max(NOTICED, limit * published):
        message = f"{candidate:,} rows instead of {published:,}: {_percent(lost, published)} vanish"
        yield Finding("rows_stay", "warn", message, lost)


Counts = Mapping[tuple[str, str | None], int]
"""Rows by column and value; None: it is empty."""


def cleared(published: Counts, candidate: Counts, gone: Counts, total: int) -> Iterator[Finding]:
    """Segments of which all rows vanish, or all but a few: a day, a warehouse, customers without a person."""
    for (segment, value), rows in published.items():
        lost, left = gone.get((segment, value), 0), candidate.get((segment, value), 0)
        if lost >= max(NOTICED, 0.95 * rows) and left <= 0.05 * rows and rows < 0.95 * total:
            said = "empty" if value is None else value
            message = f"{lost:,} of {rows:,} published rows where {segment} is {said} are gone; {left:,} remain"
            yield Finding("segments_go_on", "warn", message, lost)


def vanished(
    published: Groups, before: Mapping[tuple[str, str | None], int], changed: Groups, segments: Sequence[str]
) -> Iterator[Finding]:
    """Categories of which every row has got another value. `before`: the updated rows by the value that they had."""
    total = published["", None].rows
    for (segment, value), group in published.items():
        if segment not in segments or value is None or group.rows < max(NOTICED, RARE * total):
            continue
        now = changed[segment, value].rows if (segment, value) in changed else 0
        moved = before.get((segment, value), 0)
        if moved >= NOTICED and group.rows - moved + now <= 0.05 * group.rows:
            message = (
                f"{segment} is {value} in {group.rows - moved + now:,} rows after the change; in {group.rows:,} of"
                f" {total:,} published ones"
            )
            yield Finding("segments_go_on", "warn", message, moved)


@dataclass(frozen=True)
class Leap:
    """A value outside what its category ever had, by a factor; `limit` is the nearest value seen."""

    column: str
    group: Group
    value: float
    limit: float
    seen: int
    tight: bool = True
    """Whether the values of the category lay close together, so that they say what is plausible."""

    @property
    def factor(self) -> float:
        """How many times beyond the limit, above 1 in either direction."""
        return max(self.value / self.limit, self.limit / self.value)


def leaps(published: Groups, changed: Groups, whole: frozenset[str] = frozenset()) -> list[Leap]:
    """For each numeric column the widest leap, out of a tight range if there is one.

    `whole`: whole numbers, such as quantities, which leap by chance.
    """
    found: dict[str, Leap] = {}
    telling = set(_telling(published))
    # A share lies between 0 and 1, as its contract says.
    shares = {column for column, seen in published["", None].values.items() if seen.most and seen.most <= 1}
    for key, new in changed.items():
        old = published.get(key)
        if old is None:
            continue
        for column, now in new.values.items():
            seen = old.values[column]
            if column in shares or not (now.least and now.most and seen.least and seen.most):
                continue
            leap = None
            tight = (key[0], column) in telling and column not in whole and seen.filled >= FEW
            if tight and seen.most <= TIGHT * seen.least:
                if now.most >= LEAP * seen.most:
                    leap = Leap(column, new, now.most, seen.most, seen.filled)
                elif now.least <= seen.least / LEAP:
                    leap = Leap(column, new, now.least, seen.least, seen.filled)
            elif (
                key[0] == "" and column not in whole and seen.filled >= 2 * KNOWN and now.most >= WIDE_LEAP * seen.most
            ):
                leap = Leap(column, new, now.most, seen.most, seen.filled, tight=False)
            if leap and _is_of_a_new_category(leap, published, changed):
                continue
            known = found.get(column)
            if leap and (known is None or (leap.tight, leap.factor) > (known.tight, known.factor)):
                found[column] = leap
    return list(found.values())


def _is_of_a_new_category(leap: Leap, published: Groups, changed: Groups) -> bool:
    """Whether the value belongs to a category that has hardly been seen, and so says what is normal there."""
    for key, new in changed.items():
        now, old = new.values.get(leap.column), published.get(key)
        if key[1] is not None and now and leap.value in (now.least, now.most) and (old is None or old.rows < FEW):
            return True
    return False


def _telling(groups: Groups) -> Iterator[tuple[str, str]]:
    """Category columns within whose values a number hardly varies, with that number: such as a rate by currency."""
    rows: dict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
    for (segment, _), group in groups.items():
        for column, seen in group.values.items():
            if seen.least and seen.most and seen.filled >= FEW:
                rows[segment, column].append((seen.filled, seen.most <= TIGHT * seen.least))
    for key, found in rows.items():
        tight = sum(filled for filled, is_tight in found if is_tight)
        if tight >= 0.8 * sum(filled for filled, _ in found) and (key[0] == "" or len(found) > 1):
            yield key


def leap_finding(leap: Leap, rows: int, *, shown: bool = True) -> Finding | None:
    """The finding of a leap that `rows` changed rows make, None if it would be a warning about few rows.

    `shown`: the figures are not personal.
    """
    certain = leap.tight and leap.factor >= ABSURD
    if not certain and rows < NOTICED:
        return None
    direction = "largest" if leap.value > leap.limit else "smallest"
    now = f" ({leap.value:,.6g} against {leap.limit:,.6g})" if shown else ""
    message = (
        f"{leap.column} is {leap.factor:,.3g} times beyond the {direction} value of {leap.seen:,} published"
        f" rows{leap.group.where}{now}; {rows:,} changed {'row is' if rows == 1 else 'rows are'} out of range"
    )
    return Finding("values_stay_in_range", _outcome(certain), message, rows)


def doubled(inserted: int, repeated: int, published: int, again: int, usual: float) -> Iterator[Finding]:
    """New keys whose other columns repeat another row. `again`: those of the `published` rows, without the ones that
    vanish, that new rows repeat; `usual`: the share (0 to 1) of published rows that repeat another one already."""
    share = repeated / inserted if inserted else 0
    if repeated >= NOTICED and share >= 0.45 and usual <= 0.2 * share:
        message = (
            f"{repeated:,} of {inserted:,} new rows repeat all that another row says, under a new key: {again:,} of the"
            f" {published:,} published rows come again; {100 * usual:.3g} % of the published rows repeated another one"
        )
        outcome = _outcome(again >= max(CERTAIN, 0.9 * published))
        yield Finding("rows_come_once", outcome, message, repeated)


def concentrated(days: Days, newest: date) -> Iterator[Finding]:
    """Category columns with one value on a whole day, where every busy day before had several."""
    for segment, by_day in days.items():
        now = by_day.get(newest, {})
        rows = sum(now.values())
        before = [len(found) for day, found in by_day.items() if day < newest and sum(found.values()) >= KNOWN]
        if rows >= KNOWN and len(now) == 1 and len(before) >= FEW and min(before) >= 3:
            message = (
                f"{segment} is {next(iter(now))} in all {rows:,} rows of {newest}; it had {min(before)} to"
                f" {max(before)} values on each of {len(before):,} such days before"
            )
            yield Finding("columns_stay_diverse", "warn", message, rows)


Days = Mapping[str, Mapping[date, Mapping[str, int]]]
"""Rows by segment column, day and value."""


def silent(days: Days, newest: date) -> Iterator[Finding]:
    """Segments without a row in the last days, where every window of as many days before had some.

    A segment is expected to have the share of the window's rows that it had before, so a holiday or a day that is not
    over expects little.
    """
    for segment, by_day in days.items():
        reported: set[str] = set()
        for length, count in WINDOWS:
            windows = [_window(by_day, newest - timedelta(days=length * back), length) for back in range(count + 1)]
            now, before = windows[0], windows[1:]
            if not all(before):
                continue
            for value in sorted(set.intersection(*(set(window) for window in before)) - reported):
                shares = [window[value] / sum(window.values()) for window in before]
                expected = fmean(shares) * sum(now.values())
                if value in now or expected < EXPECTED or min(shares) < fmean(shares) / 4:
                    continue
                if not _is_overdue(by_day, value, newest):
                    continue
                reported.add(value)
                span = "on the last day" if length == 1 else f"in the last {length} days"
                rows = [window[value] for window in before]
                message = (
                    f"{segment} {value} has none of {sum(now.values()):,} rows {span}, about {expected:,.0f} expected;"
                    f" it had {min(rows):,} to {max(rows):,} in each of the {count} spans before"
                )
                yield Finding("segments_go_on", "warn", message)


def _is_overdue(by_day: Mapping[date, Mapping[str, int]], value: str, newest: date) -> bool:
    """Whether a segment is silent for much longer than it ever was between two of its days."""
    seen = sorted(day for day, rows in by_day.items() if value in rows)
    longest = max(((later - earlier).days for earlier, later in pairwise(seen)), default=0)
    return bool(longest) and (newest - seen[-1]).days >= OVERDUE * longest


def _window(by_day: Mapping[date, Mapping[str, int]], end: date, length: int) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for back in range(length):
        for value, rows in by_day.get(end - timedelta(days=back), {}).items():
            total[value] += rows
    return dict(total)


def _outcome(certain: bool) -> Literal["warn", "fail"]:
    return "fail" if certain else "warn"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.3g} %"


def _in_versions(versions: Sequence[Profile]) -> str:
    if not versions:
        return ""
    shares = [100 * profile.blank_share for profile in versions]
    low, high = min(shares), max(shares)
    span = f"{low:.3g} %" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g} %"
    which = "the last version" if len(versions) == 1 else f"the last {len(versions)} versions"
    return f" ({span} of the whole table in {which})"
