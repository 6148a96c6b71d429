"""Decisions about the shape of a change: emptied, swapped and collapsed columns, leaps, duplicates, silent segments.

Every function here is pure. It compares the changed rows of a candidate with the published rows and with the profiles
of the last versions; `gate.profiling` measures both. Each rule needs a minimum number of rows on both sides, and
reports only what never occurred in the published rows. A change that a business process may cause is a warning; any
other change blocks the table.
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

ShapeRule = Literal[
    "columns_stay_filled",
    "columns_are_not_swapped",
    "columns_stay_diverse",
    "values_stay_in_range",
    "values_keep_their_format",
    "rows_are_unique",
    "few_rows_are_deleted",
    "segments_keep_occurring",
]
"""Rules about the shape of a change: a table that breaks one is blocked, or published with a warning."""

VERSIONS = 5
"""Number of versions whose profiles a column is compared with."""

KNOWN = 50
"""Minimum number of published rows in a segment for it to show what is normal."""
FEW = 20
"""Minimum number of published rows for a combination of two columns, or for the range of one category, to count."""
NOTICED = 20
"""Minimum number of changed rows for a warning."""
HANDFUL = 10
"""Minimum number of changed rows for a warning if they are all the rows of a table."""
CERTAIN = 50
"""Minimum number of changed rows for swapped columns or duplicate rows to block the table."""
CERTAINLY_EMPTY = 100
"""Minimum number of updated rows for a column that they empty to block the table."""
RARE = 0.01
"""Share of published rows up to which something counts as never seen."""
SELDOM = 0.1
"""Share of published rows up to which something is too rare to be plausible in all of many changed rows."""

TIGHT = 10.0
"""Highest ratio of largest to smallest value for the range of a category to show what is plausible."""
LEAP = 5.0
"""Factor by which a value must be outside such a range to be reported."""
ABSURD = 50.0
"""Factor by which a value must be outside such a range to block the table."""
WIDE_LEAP = 30.0
"""Factor above the largest value of any category at which a value is reported; it never blocks."""

APART = log(1.5)
"""Mean logarithm of the ratio of two amounts above which no price rise reverses their order."""
POWERS = (10, 100, 1000)
"""Factors between units, such as cents and dollars or grams and kilograms."""
A_TENTH = "a 10th of"
SEVERAL = 20
"""Number of distinct values that do not by chance all change by the same factor, or all recur in other rows."""

QUESTION_MARKS = "has question marks in place of letters"
SHORTER = "is cut short"
NO_ZEROS = "has lost its leading zeros"
REFORMATTED = "differs only in case, blanks or punctuation"

EXPECTED = 20.0
"""Expected number of rows in a segment for its absence to be significant."""
WINDOWS = ((1, 28), (3, 12), (7, 8), (35, 4))
"""Length of a window in days, and the number of preceding windows that it is compared with."""

OVERDUE = 2.5
"""How many times longer than its longest pause a segment must be silent to be reported."""


@dataclass(frozen=True)
class Finding:
    """A change that no earlier version showed. `failed`: the number of rows concerned, if it was counted."""

    rule: ShapeRule
    outcome: Literal["warn", "fail"]
    message: str
    failed: int | None = None


@dataclass(frozen=True)
class Profile:
    """One column of one version: row counts, and the shares of its most common values (0 to 1)."""

    column: str
    rows: int
    nulls: int
    blanks: int
    """Rows that are NULL, empty text or zero."""
    distinct: int | None = None
    """None if not counted, as for keys and dates."""
    least: str | None = None
    most: str | None = None
    mean: float | None = None
    spread: float | None = None
    """Standard deviation."""
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def blank_share(self) -> float:
        """The share of blank rows, between 0 and 1; 0 if there are no rows."""
        return self.blanks / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Values:
    """One column within a group of rows. `least` and `most` cover positive numbers only; None if there are none."""

    filled: int
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Order:
    """How two columns of one type compare within a group: the rows in which the first one is larger or smaller."""

    larger: int
    smaller: int


@dataclass(frozen=True)
class Distance:
    """How far apart two columns of one type are.

    `log_ratio` is the mean natural logarithm of the ratio of two numbers, `days` the mean difference of two dates.
    """

    log_ratio: float = 0.0
    days: float = 0.0


@dataclass(frozen=True)
class Group:
    """The rows in which a category column has one value; all rows if `segment` is empty."""

    segment: str
    value: str | None
    rows: int
    values: Mapping[str, Values]
    orders: Mapping[tuple[str, str], Order] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The group in words, to append to a number of rows; empty for all rows."""
        return f" where {self.segment} is {self.value}" if self.segment else ""


Groups = Mapping[tuple[str, str | None], Group]


@dataclass(frozen=True)
class Paired:
    """The rows that a change updates, compared before and after, by column."""

    rows: int
    filled: Mapping[str, int]
    """Rows that were neither NULL nor blank before."""
    emptied: Mapping[str, int]
    """Those of them that are NULL or blank now."""
    swapped: Mapping[tuple[str, str], int]
    """Rows in which two columns have swapped different values."""
    swappable: Mapping[tuple[str, str], int]
    """Rows in which the two columns differed before."""
    kinds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Numbers of distinct values before and after."""
    altered: Mapping[str, int] = field(default_factory=dict)
    """Rows in which a column has a different value than before."""
    rewritten: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows by the kind of change that a program made to a text, such as SHORTER."""
    scaled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows in which a number was multiplied or divided by a power of ten, by factor: `100 times`, `a 100th of`."""

    def kept(self, column: str) -> int:
        """Return the number of rows in which a column is still filled."""
        return self.filled.get(column, self.rows) - self.emptied.get(column, 0)


@dataclass(frozen=True)
class Emptied:
    """A column that is newly blank in a segment.

    It is blank in `rows` of `of` changed rows, and was in `before` of `before_of` published ones.
    """

    column: str
    group: Group
    rows: int
    of: int
    before: int
    before_of: int


@dataclass(frozen=True)
class Cell:
    """The rows of an emptied segment that have one value of another column.

    `rows` and `blanks` are the published rows and the blank ones among them; `emptied` are the newly blank rows.
    `novel`: a value that has hardly been seen before explains blanks.
    """

    column: str
    rows: int
    blanks: int
    emptied: int
    novel: bool


def emptied(columns: Sequence[str], published: Groups, changed: Groups) -> list[Emptied]:
    """Return for each column the largest segment in which it was always filled and now is not.

    If several segments are equally large, the simplest division counts.
    """
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
    """Return whether another column explains the blanks.

    It does if most of the blank rows have a value of it that is new, or that usually comes with blanks: orders that are
    not shipped yet have no ship date.
    """
    by_column: dict[str, int] = defaultdict(int)
    for cell in cells:
        usual = cell.rows > 0 and cell.blanks >= 0.2 * cell.rows
        if usual or (cell.novel and not cell.rows):
            by_column[cell.column] += cell.emptied
    return any(rows >= 0.5 * found.rows for rows in by_column.values())


def emptied_finding(found: Emptied, versions: Sequence[Profile], *, cleared: int = 0, whole: bool = False) -> Finding:
    """Return the finding for an emptied segment, with the figures before and after.

    `cleared`: updated rows that had a value and have none now. `whole`: nearly all published rows are updated.
    """
    message = (
        f"{found.column} is empty in {_percent(found.rows, found.of)} of {found.of:,} changed rows{found.group.where};"
        f" in {_percent(found.before, found.before_of)} of the {found.before_of:,} published ones"
    )
    was_filled = found.before <= RARE * found.before_of and found.rows >= 0.9 * found.of
    # New rows may lack a value for a good reason: orders of a day without an exchange rate refer to none.
    enough = min(cleared, found.rows) >= CERTAINLY_EMPTY or (whole and not found.group.segment)
    outcome = _outcome(was_filled and enough)
    return Finding("columns_stay_filled", outcome, message + _in_versions(versions), found.rows)


def emptied_by_updates(
    paired: Paired,
    history: Mapping[str, Sequence[Profile]],
    zero_when_empty: Collection[str] = (),
    numbers: Collection[str] = (),
) -> Iterator[tuple[str, Finding]]:
    """Yield columns that updates empty in most of the rows in which they were filled, with their findings.

    `zero_when_empty`: amounts that are never NULL, so that an empty one is zero. A business process may set a few of
    them to zero, such as the sales of the year on the first of January. `numbers`: quantities and amounts, which may at
    times be empty in all rows, such as a quantity on order; other columns do not lose all their values.
    """
    for column, rows in paired.emptied.items():
        versions = history.get(column, ())
        filled, last = paired.filled[column], versions[0] if versions else None
        if last is None or not last.rows or rows < 3 or rows < 0.9 * filled:
            continue
        kept, most = last.rows - last.blanks, max(one.blank_share for one in versions)
        if most >= min(1, last.blank_share + rows / last.rows):
            continue
        # A business process may empty part of a column that is often blank, such as a quantity on order.
        if rows < 0.5 * kept and most > 0.2:
            continue
        enough = paired.rows >= CERTAINLY_EMPTY or (rows >= 0.9 * last.rows and column not in zero_when_empty)
        certain = most <= RARE and enough and rows >= 0.9 * paired.rows
        throughout = column not in numbers and rows >= 0.9 * kept
        certain |= throughout and rows >= CERTAINLY_EMPTY
        if not certain and rows < (HANDFUL if throughout else NOTICED):
            continue
        message = (
            f"{column} was filled in {filled:,} of the {paired.rows:,} updated rows and is now empty in"
            f" {_percent(rows, filled)} of them; {kept:,} rows of the table had a value"
        )
        yield column, Finding("columns_stay_filled", _outcome(certain), message + _in_versions(versions), rows)


def exchanged(paired: Paired, published_rows: int) -> Iterator[Finding]:
    """Yield pairs of columns whose values an update swapped: in many rows, or in every row of a small table."""
    for (one, other), rows in paired.swapped.items():
        of = paired.swappable[one, other]
        everywhere = rows >= 3 and rows == of and rows >= 0.9 * published_rows
        if everywhere or (rows >= NOTICED and rows >= 0.5 * of):
            message = (
                f"{one} and {other} have swapped their values in {rows:,} of {of:,} updated rows in which they"
                " differed; the published versions have them the other way round"
            )
            outcome = _outcome(of >= CERTAIN and rows >= 0.95 * of)
            yield Finding("columns_are_not_swapped", outcome, message, rows)


def mirrored(
    published: Groups, changed: Groups, distances: Callable[[str, str], tuple[Distance, Distance]]
) -> Iterator[Finding]:
    """Yield pairs of columns of which one was always larger, and is now smaller by about as much.

    `distances`: how far apart two columns are, in the published and in the changed rows.
    """
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
        far_before, far_now = distances(one, other)
        distance, was = far_now.log_ratio + far_now.days, far_before.log_ratio + far_before.days
        if not was or abs(distance + was) > 0.5 * abs(was):
            continue
        larger, smaller = (one, other) if larger_was_first else (other, one)
        ratio = exp(abs(far_before.log_ratio))
        usual = f", about {ratio:.2g} times as large" if ratio > 1 else ""
        message = (
            f"{larger} is below {smaller} in {_percent(against, of)} of {of:,} changed rows, as if the two were"
            f" swapped; it was above{usual} in {_percent(compared - exceptions, compared)} of {compared:,}"
            " published ones"
        )
        # The order of dates may change legitimately, as when everything is late, and so may that of similar amounts.
        certain = abs(far_before.log_ratio) >= APART and of >= CERTAIN and against >= 0.95 * of
        yield Finding("columns_are_not_swapped", _outcome(certain), message, against)


def collapsed(
    paired: Paired, filled: Mapping[str, int], had: Callable[[str], int], numbers: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield columns that had several values in the updated rows and now have a single one.

    `filled`: the published rows with a value. `had`: those of them with the value that the column has now. A business
    process may set many rows to a common value, but not nearly all rows to one that hardly any row had. `numbers`:
    quantities, many of which a business process may make equal, but not all of a table.
    """
    for column, (before, after) in paired.kinds.items():
        updated, published = paired.kept(column), filled[column]
        least, share = (SEVERAL, 0.9) if column in numbers else (3, 0.2)
        if updated >= NOTICED and updated >= share * published and before >= least and after == 1:
            rows = had(column)
            message = (
                f"{column} has a single value in {updated:,} updated rows; it had {before:,} values before, and this"
                f" one in {rows:,} of {published:,} published rows"
            )
            whole = updated >= max(CERTAINLY_EMPTY, 0.9 * published)
            outcome = _outcome(whole and rows <= RARE * published and column not in numbers)
            yield Finding("columns_stay_diverse", outcome, message, updated)


def rewritten(paired: Paired) -> Iterator[Finding]:
    """Yield text columns that an update changes the way a program does, rather than a person editing the text."""
    for column, ways in paired.rewritten.items():
        of = paired.altered[column]
        way, rows = max(ways.items(), key=lambda one: one[1])
        if rows >= NOTICED and rows >= 0.9 * of:
            message = f"{column} {way} in {rows:,} of {of:,} updated rows in which it changes"
            yield Finding("values_keep_their_format", _outcome(way == QUESTION_MARKS), message, rows)


def scaled(paired: Paired, kinds: Callable[[str], int]) -> Iterator[Finding]:
    """Yield numeric columns that an update multiplies or divides by a power of ten, as if the unit had changed.

    `kinds` returns the number of distinct values of a column in the published rows.
    """
    for column, factors in paired.scaled.items():
        of = paired.altered[column]
        factor, rows = max(factors.items(), key=lambda one: one[1])
        if rows >= NOTICED and rows >= 0.95 * of and kinds(column) >= SEVERAL:
            message = f"{column} is exactly {factor} what it was in {rows:,} of {of:,} updated rows in which it changes"
            # Stock may legitimately be written down to a tenth.
            certain = rows >= CERTAIN and factor != A_TENTH
            yield Finding("values_stay_in_range", _outcome(certain), message, rows)


def moved(paired: Paired, column: str, kinds: int, unmatched: int) -> Finding | None:
    """Return the finding for a column whose values moved to other rows, as if that column alone had been sorted.

    `kinds`: the number of its distinct values. `unmatched`: rows whose value has no counterpart among the old values.
    None if that is not the case.
    """
    rows = paired.altered[column]
    if kinds < SEVERAL or unmatched > 0.02 * paired.rows:
        return None
    message = (
        f"{column} has a different value in {_percent(rows, paired.rows)} of {paired.rows:,} updated rows, and its"
        f" values are those that other rows had: {kinds:,} different ones"
    )
    return Finding("columns_are_not_swapped", "warn", message, rows)


def may_have_moved(paired: Paired) -> list[str]:
    """Return the columns that have a different value in most updated rows."""
    enough = max(CERTAIN, 0.5 * paired.rows)
    return [column for column, rows in paired.altered.items() if rows >= enough]


@dataclass(frozen=True)
class Times:
    """The number of dates in a column, and how many of them have a time of day."""

    filled: int
    timed: int


def times_of_day(published: Mapping[str, Times], changed: Mapping[str, Times]) -> Iterator[Finding]:
    """Yield date columns that gained a time of day, as after a time zone shift, or lost it."""
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
            yield Finding("values_keep_their_format", "warn", message, now.timed if gained else now.filled)


def shrunk(published: int, candidate: int, limit: float) -> Iterator[Finding]:
    """Yield a finding if a table without months loses more than a share of its rows; `limit` is between 0 and 1."""
    lost = published - candidate
    if lost > max(NOTICED, limit * published):
        message = f"{candidate:,} rows instead of {published:,}: {_percent(lost, published)} vanish"
        yield Finding("few_rows_are_deleted", "warn", message, lost)


Counts = Mapping[tuple[str, str | None], int]
"""Number of rows by column and value; None as value means empty."""


def cleared(published: Counts, candidate: Counts, gone: Counts, total: int) -> Iterator[Finding]:
    """Yield segments that lose all or nearly all rows, such as a day, a warehouse, or customers without a person."""
    for (segment, value), rows in published.items():
        lost, left = gone.get((segment, value), 0), candidate.get((segment, value), 0)
        if lost >= max(NOTICED, 0.95 * rows) and left <= 0.05 * rows and rows < 0.95 * total:
            shown = "empty" if value is None else value
            message = f"{lost:,} of {rows:,} published rows where {segment} is {shown} are gone; {left:,} remain"
            yield Finding("segments_keep_occurring", "warn", message, lost)


def vanished(
    published: Groups, before: Mapping[tuple[str, str | None], int], changed: Groups, segments: Sequence[str]
) -> Iterator[Finding]:
    """Yield categories whose rows all got a different value. `before`: updated rows by the value that they had."""
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
            yield Finding("segments_keep_occurring", "warn", message, moved)


@dataclass(frozen=True)
class Leap:
    """A value far outside the range of its category; `limit` is the nearest published value."""

    column: str
    group: Group
    value: float
    limit: float
    seen: int
    tight: bool = True
    """Whether the values of the category were close together, so that they show what is plausible."""

    @property
    def factor(self) -> float:
        """How many times the value is beyond the limit, above 1 in either direction."""
        return max(self.value / self.limit, self.limit / self.value)


def leaps(published: Groups, changed: Groups, whole: frozenset[str] = frozenset()) -> list[Leap]:
    """Return the widest leap of each numeric column, preferring leaps out of narrow ranges.

    `whole`: columns of whole numbers, such as quantities, which vary widely by nature.
    """
    found: dict[str, Leap] = {}
    narrow = set(_narrow_ranges(published))
    # A share is between 0 and 1, which its contract checks.
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
            tight = (key[0], column) in narrow and column not in whole and seen.filled >= FEW
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
    """Return whether the value belongs to a category with hardly any published rows, so that no range is known."""
    for key, new in changed.items():
        now, old = new.values.get(leap.column), published.get(key)
        if key[1] is not None and now and leap.value in (now.least, now.most) and (old is None or old.rows < FEW):
            return True
    return False


def _narrow_ranges(groups: Groups) -> Iterator[tuple[str, str]]:
    """Yield pairs of a category column and a number that hardly varies within a category, such as rates by currency."""
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
    """Return the finding for a leap in `rows` changed rows, or None if it would be a warning about too few rows.

    `shown`: include the figures, because they are not personal data.
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


def duplicated(inserted: int, repeated: int, published: int, again: int, usual: float) -> Iterator[Finding]:
    """Yield a finding if many new keys have the same content as another row.

    `again`: the number of `published` rows (without those that vanish) that new rows repeat. `usual`: the share (0 to
    1) of published rows that already repeat another one.
    """
    share = repeated / inserted if inserted else 0
    if repeated >= NOTICED and share >= 0.45 and usual <= 0.2 * share:
        message = (
            f"{repeated:,} of {inserted:,} new rows repeat the content of another row under a new key: {again:,} of the"
            f" {published:,} published rows are repeated; {100 * usual:.3g} % of them already repeated another one"
        )
        outcome = _outcome(again >= max(CERTAIN, 0.9 * published))
        yield Finding("rows_are_unique", outcome, message, repeated)


def concentrated(days: Days, newest: date) -> Iterator[Finding]:
    """Yield category columns that have a single value on the newest day, where every earlier busy day had several."""
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
"""Number of rows by segment column, day and value."""


def silent(days: Days, newest: date) -> Iterator[Finding]:
    """Yield segments without rows in the last days that had rows in every earlier window of the same length.

    A segment is expected to have the same share of a window's rows as before, so little is expected on a holiday or an
    unfinished day.
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
                    f" it had {min(rows):,} to {max(rows):,} in each of the {count} periods before"
                )
                yield Finding("segments_keep_occurring", "warn", message)


def _is_overdue(by_day: Mapping[date, Mapping[str, int]], value: str, newest: date) -> bool:
    """Return whether a segment has been silent for much longer than its longest pause so far."""
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
