"""The page of an analysis: the rows of a mart in a period, as a table, two charts and files.

`catalog.pages` declares what it shows.

The table and the files come from one query. CSV has the values and column names of the mart, exactly; the page and the
workbook have names, words and headings in the user's language.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

import polars as pl

from adventureworks.catalog import MARTS
from adventureworks.catalog.pages import NAMED, Chart, Figure, columns_read, view_of, views_of
from adventureworks.charts.dashboard import columns as column_chart
from adventureworks.charts.monthly import bars, money_axis
from adventureworks.charts.theme import Scheme, Spec
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.dictionary import definition, label, limit_text, unit_text
from adventureworks.gate.quarantine_file import csv_cell
from adventureworks.months import FISCAL_YEAR_STARTS, shifted
from adventureworks.months import key_of as month_key
from adventureworks.postgres_sql import quoted
from adventureworks.reports.purchase_list import state_texts
from adventureworks.reports.sheets import Cell, Sheets, make_workbook
from adventureworks.reports.sheets import Column as SheetColumn
from adventureworks.texts import MISSING, Language, Phrases, phrase
from adventureworks.texts.analyses import chart_caption, counted_name, view_name
from adventureworks.texts.terms import (
    UNASSIGNED,
    campaign_method,
    card_type_name,
    channel_name,
    dimension_name,
    effect_withheld,
    name_or_unassigned,
    reason_withheld,
    reorder_status,
    reorder_withheld,
    segment_name,
    severity_name,
    stock_state,
    value_withheld,
)
from adventureworks.warehouse.session import Data

ROWS = 50
"""The number of rows on the page; files have all. With 200, a browser takes up to three times as long to show it."""
BATCH = 2_000
"""The number of rows in a part of a CSV file."""
BARS = 12
HISTORY = 25
"""The number of months in a chart, up to the end of the period."""

PeriodKind = Literal["month", "quarter", "fiscal_year", "trailing_twelve"]
PERIODS: tuple[PeriodKind, ...] = get_args(PeriodKind)

_Words = Callable[[str, Language], str]
Names = Mapping[str, Mapping[int, str]]
"""The names for ids, by column and id."""

_WORDS: Mapping[str, _Words] = {
    "campaign_performance.method": campaign_method,
    "campaign_performance.withheld_because": effect_withheld,
    "card_type": card_type_name,
    "category": name_or_unassigned,
    "channel": channel_name,
    "customer_churn.withheld_because": reorder_withheld,
    "customer_value.withheld_because": value_withheld,
    "dimension": dimension_name,
    "inventory_status.state": stock_state,
    "limited_by": limit_text,
    "order_unit": unit_text,
    "purchase_proposal.state": lambda code, language: state_texts(language)[code],
    "sales_forecast.channel_withheld_because": reason_withheld,
    "sales_forecast.withheld_because": reason_withheld,
    "segment": segment_name,
    "severity": severity_name,
    "status": reorder_status,
    "subcategory": name_or_unassigned,
    "territory": name_or_unassigned,
}
"""How to put the codes of a column into words. A key may name the mart, too, as in `dictionary`."""
_TECHNICAL = {"attribute", "band", "model", "rule", "table_name"}
"""Columns with names from the code or the source, which are the same in every language."""
_MONTHS = {"cohort_month", "month", "trained_until"}
"""Dates that stand for their month."""
_FACTORS = {"lift", "lift_lower_95", "mase", "roi", "roi_lower_95", "roi_upper_95"}
"""Ratios that are not read as percentages."""
_SMALL = {"daily_return"}
"""Shares of less than a percent."""
_MISSING_NAMES: Mapping[str, Phrases] = {"status": phrase("Withheld")}
"""How charts name rows without a value in a column; without an entry, as unknown."""


class InvalidParameter(Exception):
    """A value in the address of a page that the page does not have."""

    def __init__(self, reason: Phrases) -> None:
        self.reason = reason
        super().__init__(str(reason))


class NotPublished(Exception):
    """A mart that was never published, so there is nothing to show."""


@dataclass(frozen=True)
class Period:
    """A period by the month that it contains or, if it trails, ends with."""

    kind: PeriodKind
    month: date

    @property
    def first(self) -> date:
        """The first month."""
        before = {
            "month": 0,
            "quarter": (self.month.month - 1) % 3,
            "fiscal_year": (self.month.month - FISCAL_YEAR_STARTS) % 12,
            "trailing_twelve": 11,
        }
        return shifted(self.month, -before[self.kind])

    @property
    def end(self) -> date:
        """The first month after it."""
        return shifted(self.first, {"month": 1, "quarter": 3}.get(self.kind, 12))

    def __contains__(self, month: date) -> bool:
        return self.first <= month < self.end

    def shown(self, language: Language) -> str:
        """Return its first and last month, for display."""
        first, last = language.month(self.first), language.month(shifted(self.end, -1))
        return first if first == last else f"{first} – {last}"


@dataclass(frozen=True)
class Choice:
    """Which rows of a mart are shown."""

    period: Period | None = None
    """None: of any month."""
    subject: int | None = None
    """The only id of the view's `subject`; None: any."""


@dataclass(frozen=True)
class Months:
    """The months of a mart."""

    known: tuple[date, ...]
    """Those with rows, in order; none if the page has no period, or the mart no rows."""
    partial: frozenset[date] = frozenset()
    settled_after: int = 0
    """The number of months after which a month's rows can be compared."""

    def period(self, kind: str, key: str) -> Period | None:
        """Return a period, or None if there are no months to choose from.

        An empty `key` is the last complete month or, if rows need time to settle, the newest month that had it. Raises
        `InvalidParameter`.
        """
        found = next((known for known in PERIODS if known == kind), None)
        if found is None:
            choices = ", ".join(PERIODS)
            raise InvalidParameter(
                phrase("There is no period {period}. Choose from {choices}.", period=kind, choices=choices)
            )
        if not self.known:
            return None
        if not key:
            return Period(found, self._newest)
        month = next((one for one in self.known if month_key(one) == key), None)
        if month is None:
            first, last = month_key(self.known[0]), month_key(self.known[-1])
            raise InvalidParameter(
                phrase(
                    "There are no figures for the month {month}. Choose one from {first} to {last}.",
                    month=key,
                    first=first,
                    last=last,
                )
            )
        return Period(found, month)

    @property
    def _newest(self) -> date:
        complete = [month for month in self.known if month not in self.partial] or list(self.known)
        limit = shifted(complete[-1], -self.settled_after)
        return max((month for month in complete if month <= limit), default=complete[-1])


@dataclass(frozen=True)
class _Kind:
    """How values of a kind are shown."""

    style: str
    """The style of a workbook's cell."""
    show: Callable[[Language, Any], str]
    short: Callable[[Language, Any], str]
    """In the labels of a chart, which shows days by month."""
    is_number: bool = True
    axis: Callable[[Language], Spec] = lambda language: {"tickCount": 4}


def _number(digits: int) -> Callable[[Language, Any], str]:
    return lambda language, value: language.number(value, digits)


def _text(language: Language, value: Any) -> str:
    return str(value)


def _fine_percent(language: Language, value: Any) -> str:
    return language.percent(value, 2)


def _percent_axis(language: Language) -> Spec:
    return {"format": "~%", "tickCount": 4}


_KINDS: Mapping[str, _Kind] = {
    "money": _Kind("money", lambda language, value: language.money(value, 2), Language.short_money, axis=money_axis),
    "share": _Kind("share", Language.percent, Language.percent, axis=_percent_axis),
    "small share": _Kind("share", _fine_percent, _fine_percent, axis=_percent_axis),
    "whole": _Kind("whole", _number(0), _number(0)),
    "decimal": _Kind("decimal", _number(1), _number(1)),
    "factor": _Kind("factor", _number(2), _number(2)),
    "rate": _Kind("rate", _number(4), _number(4)),
    "identifier": _Kind("identifier", _text, _text),
    "month": _Kind("date", Language.month, Language.short_month, is_number=False),
    "day": _Kind("date", Language.day, Language.short_month, is_number=False),
    "text": _Kind("text", _text, _text, is_number=False),
}


@dataclass(frozen=True)
class Field:
    """A column of the table, and how its values are shown."""

    name: str
    label: str
    meaning: str
    language: Language
    kind: _Kind
    translate: Callable[[Any], str] | None
    """Returns the word or name for a value; None: values are shown as they are."""

    @property
    def is_number(self) -> bool:
        """Whether the cells are aligned to the right."""
        return self.kind.is_number and self.translate is None

    @property
    def is_technical(self) -> bool:
        """Whether the values are names from the code or the source."""
        return self.name in _TECHNICAL

    def cell(self, value: Any) -> Cell:
        """Return the value for a cell of a workbook."""
        if value is None or self.translate is None:
            found: Cell = value
            return found
        return self.translate(value)

    def shown(self, value: Any) -> str:
        """Return the value for display; a missing number as a dash, anything else that is missing as empty."""
        if value is None:
            return MISSING if self.is_number else ""
        return self.translate(value) if self.translate else self.kind.show(self.language, value)

    def change(self, difference: Decimal | None) -> str:
        """Return a difference of two values for display, with its sign; that of two shares in percentage points."""
        if self.kind is _KINDS["share"]:
            return self.language.points(difference, signed=True)
        shown = self.shown(difference)
        return f"+{shown}" if difference and difference > 0 else shown

    def short(self, value: Any) -> str:
        """Return the value for the labels of a chart."""
        return self.translate(value) if self.translate else self.kind.short(self.language, value)


@dataclass(frozen=True)
class Drawing:
    """A chart with its data."""

    caption: str
    headings: tuple[str, str]
    is_technical: bool
    """Whether the names of the rows are names from the code or the source."""
    rows: tuple[tuple[str, str], ...]
    """Name and value, formatted for display; empty if there is nothing to show."""
    spec: Callable[[Scheme], Spec]


@dataclass(frozen=True)
class Shown:
    """What a page shows of a mart in a period."""

    fields: tuple[Field, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells, formatted for display; at most `ROWS`."""
    count: int
    """The number of all rows."""
    drawings: tuple[Drawing, ...]
    withheld: tuple[tuple[str, int], ...]
    """Why predictions are withheld, and for how many rows."""


def months_of(data: Data, mart: str) -> Months:
    """Return the months of a mart; none if its page has no period."""
    view = view_of(mart)
    if not view.time:
        return Months(())
    months = f"select distinct cast(date_trunc('month', {view.time}) as date) from marts.{mart}"
    partial = "select month from staging.sales_month where is_partial" if view.follows_sales else ""
    if "is_partial" in view.columns:
        partial = f"{months} where is_partial"
    return Months(
        tuple(month for (month,) in data.execute(f"{months} order by 1").fetchall()),
        frozenset(month for (month,) in data.execute(partial).fetchall()) if partial else frozenset(),
        view.settled_after,
    )


def shown(data: Data, mart: str, choice: Choice, partial: frozenset[date], language: Language) -> Shown:
    """Return what the page shows. `partial`: the partial months."""
    view, names = view_of(mart), names_of(data, columns_read(mart), language)
    fields = tuple(field_of(mart, name, names, language) for name in view.columns)
    found = data.execute(f"{_query(mart, choice)} limit {ROWS}").fetchall()
    counted = data.execute(f"select count(*) from marts.{mart} where {_condition(mart, choice)}").fetchone()
    return Shown(
        fields=fields,
        rows=tuple(tuple(field.shown(value) for field, value in zip(fields, row, strict=True)) for row in found),
        count=counted[0] if counted else 0,
        drawings=tuple(_drawing(data, mart, chart, choice, partial, names, language) for chart in view.charts),
        withheld=tuple(_withheld(data, mart, choice, language)),
    )


def csv_parts(data: Data, mart: str, choice: Choice) -> Iterator[bytes]:
    """Yield all rows as CSV: the mart's column names and exact values. An empty cell is NULL.

    Columns that are `coarser` on the page are so here, too.
    Texts that a spreadsheet could take for a formula have a backslash in front, as in an export of the quarantine.
    """
    # With the mark, spreadsheets know that the file is UTF-8.
    head = f"\ufeff{_csv([view_of(mart).columns])}"
    for rows in data.batches(_query(mart, choice), BATCH):
        yield (head + _csv([[csv_cell(_exact(value)) for value in row] for row in rows])).encode()
        head = ""
    yield head.encode()


def workbook(data: Data, mart: str, choice: Choice, as_of: date, language: Language) -> bytes:
    """Return all rows as a workbook, with a sheet of definitions. `as_of`: the business date."""
    title, names = view_name(mart, language), names_of(data, columns_read(mart), language)
    fields = [field_of(mart, name, names, language) for name in view_of(mart).columns]
    rows = data.execute(_query(mart, choice)).fetchall()

    def write(sheets: Sheets) -> None:
        sheet = sheets.add(title)
        headings = [SheetColumn(field.label, "text" if field.translate else field.kind.style, 20) for field in fields]
        cells = [[field.cell(value) for field, value in zip(fields, row, strict=True)] for row in rows]
        sheets.write_table(sheet, 0, headings, cells)
        sheet.freeze_panes(1, 1)
        meanings = [(field.label, field.meaning) for field in fields]
        sheets.add_texts(language.text("Definitions"), (language.text("Figure"), language.text("Meaning")), meanings)

    heading = f"{title}, {choice.period.shown(language)}" if choice.period else title
    return make_workbook(heading, as_of, language, write)


def chosen_subject(mart: str, key: str) -> int | None:
    """Return the id to which the page is narrowed; None: all rows. Raises `InvalidParameter`."""
    if not key:
        return None
    if not view_of(mart).subject or not re.fullmatch(r"[0-9]{1,9}", key):
        raise InvalidParameter(phrase("This page cannot be narrowed to {name}.", name=key))
    return int(key)


def subject_name(data: Data, mart: str, subject: int, language: Language) -> str:
    """Return the name of an id to which the page is narrowed: that of a product, or what it is and its number."""
    column = view_of(mart).subject
    known = names_of(data, (column,), language).get(column, {})
    return known.get(subject) or f"{label(column.removesuffix('_id'), language, mart)} {subject}"


def chosen_mart(dag: str, mart: str) -> str:
    """Return the mart to show, by default the main one of the analysis. Raises `InvalidParameter`."""
    known = views_of(dag)
    if mart and mart not in known:
        choices = ", ".join(known)
        raise InvalidParameter(
            phrase("There is no mart {mart} on this page. Choose from {choices}.", mart=mart, choices=choices)
        )
    return mart or known[0]


def file_name(mart: str, choice: Choice, kind: str) -> str:
    """Return the name of a file with a mart's rows."""
    period = choice.period
    when = f"-{period.kind}-{month_key(period.month)}" if period else ""
    return f"{mart}{when}.{kind}"


def names_of(data: Data, columns: Collection[str], language: Language) -> Names:
    """Return the names for the ids in these columns, for those of `NAMED`. An id of 0 stands for none."""
    return {
        column: {
            0: name_or_unassigned(UNASSIGNED, language),
            **dict(
                data.execute(
                    f"select {quoted(named.key)}, {quoted(named.name)} from raw.{quoted(named.table)}"
                ).fetchall()
            ),
        }
        for column, named in NAMED.items()
        if column in columns
    }


def field_of(mart: str, name: str, names: Names, language: Language) -> Field:
    """Return a column of a mart. `names`: those for its ids, from `names_of`."""
    column, found, named = _column(mart, name), definition(mart, name, language), NAMED.get(name)
    return Field(
        name,
        label(named.label, language, mart) if named else found.label,
        found.meaning,
        language,
        _kind(column),
        _translation(mart, column, names, language),
    )


def _column(mart: str, name: str) -> Column:
    return next(column for column in columns_of(MARTS[mart]) if column.name == name)


def _translation(mart: str, column: Column, names: Names, language: Language) -> Callable[[Any], str] | None:
    words = _WORDS.get(f"{mart}.{column.name}") or _WORDS.get(column.name)
    if words:
        return lambda value: words(value, language)
    if column.dtype == pl.Boolean:
        return lambda value: language.text("yes") if value else language.text("no")
    if column.name in names:
        known = names[column.name]
        return lambda value: str(known.get(value, value))
    return None


def _kind(column: Column) -> _Kind:
    unit, dtype = column.unit, column.dtype
    if dtype == pl.Date:
        return _KINDS["month" if column.name in _MONTHS else "day"]
    if not dtype.is_numeric():
        return _KINDS["text"]
    if not unit:
        return _KINDS["identifier"]
    if unit in ("share", "ratio"):
        return _KINDS["factor" if column.name in _FACTORS else "small share" if column.name in _SMALL else "share"]
    by_unit = {"USD": "money", "local currency per USD": "rate", "pieces per day": "factor"}
    return _KINDS[by_unit.get(unit, "decimal" if dtype.is_decimal() else "whole")]


def _query(mart: str, choice: Choice) -> str:
    """Return the query for all rows of the page, in its order."""
    view = view_of(mart)
    order = [f"{name.removeprefix('-')} {'desc' if name[0] == '-' else 'asc'} nulls last" for name in view.order]
    shown = [f"{view.coarser[name]} as {name}" if name in view.coarser else name for name in view.columns]
    return (
        f"select {', '.join(shown)} from marts.{mart} where {_condition(mart, choice)}"
        f" order by {', '.join([*order, *key_of(MARTS[mart])])}"
    )


def _condition(mart: str, choice: Choice, months: int | None = None) -> str:
    """Return the condition for the rows of the page. `months`: that many up to the end of the period, not only it."""
    view = view_of(mart)
    conditions = [view.only.sql] if view.only else []
    if period := choice.period:
        first = period.first if months is None else shifted(period.end, -months)
        conditions.append(_between(view.time, first, period.end))
    if choice.subject is not None:
        conditions.append(f"{view.subject} = {choice.subject:d}")
    return " and ".join(conditions) or "1 = 1"


def _between(column: str, first: date, end: date) -> str:
    # A streamed query has no parameters. Dates are safe in its text.
    return f"{column} >= date '{first}' and {column} < date '{end}'"


def _drawing(
    data: Data,
    mart: str,
    chart: Chart,
    choice: Choice,
    partial: frozenset[date],
    names: Names,
    language: Language,
) -> Drawing:
    by, column = field_of(mart, chart.by, names, language), _column(mart, chart.by)
    is_date = column.dtype == pl.Date
    # Texts and identifiers have no order of their own, so the largest figures come first.
    is_ranked = not (is_date or column.unit)
    found = [row for row in data.execute(_charted(mart, chart, choice, is_date)).fetchall() if row[-1] is not None]
    if chart.is_ordered:
        found.sort(key=lambda row: _leading_number(row[0]))
    elif is_ranked:
        found.sort(key=lambda row: -abs(row[-1]))
    kind = _KINDS["whole"] if chart.figure.how == "count" else _kind(_column(mart, chart.figure.column))
    missing = _MISSING_NAMES.get(chart.by, phrase("Unknown")).shown(language)
    drawn = found[:BARS] if is_ranked else found
    labelled = [" + ".join(missing if name is None else by.short(name) for name in row[:-1]) for row in drawn]
    amounts = [Decimal(row[-1]) for row in drawn]
    labels = [kind.short(language, amount) for amount in amounts]
    # Days are shown by month, too.
    dimension = label("month", language) if by.kind is _KINDS["day"] else by.label
    titles = (dimension, _figure_name(mart, chart.figure, language))

    def spec(scheme: Scheme) -> Spec:
        if is_ranked:
            named = list(zip(labelled, amounts, strict=True))
            return bars(named, language, labels=labels, width=300, scheme=scheme)
        pale = [is_date and row[0] in partial for row in drawn]
        ordered = list(zip(labelled, amounts, pale, strict=True))
        return column_chart(ordered, language, titles=titles, axis=kind.axis(language), scheme=scheme)

    return Drawing(
        _caption(chart, titles, len(drawn), len(found), language),
        titles,
        by.is_technical,
        tuple(zip(labelled, labels, strict=True)),
        spec,
    )


def _charted(mart: str, chart: Chart, choice: Choice, is_date: bool) -> str:
    """Return the query for the names and figures of a chart, by name."""
    view = view_of(mart)
    condition = _condition(mart, choice, HISTORY if chart.by == view.time else None)
    condition = " and ".join([condition, *(only.sql for only in chart.conditions)])
    group = f"cast(date_trunc('month', {chart.by}) as date)" if is_date else chart.by
    groups = f"{group}, {chart.also_by}" if chart.also_by else group
    places = "1, 2" if chart.also_by else "1"
    figure = _figure(chart.figure)
    return f"select {groups}, {figure} from marts.{mart} where {condition} group by {places} order by {places}"


def _leading_number(name: str | None) -> float:
    """Return the number with which a name begins; names without one come last."""
    digits = re.match(r"\d+", name or "")
    return int(digits[0]) if digits else math.inf


def _caption(chart: Chart, titles: tuple[str, str], drawn: int, found: int, language: Language) -> str:
    dimension, figure = titles
    name = (
        chart_caption(chart.caption, language)
        if chart.caption
        else language.text("{figure} by {dimension}", figure=figure, dimension=dimension[:1].lower() + dimension[1:])
    )
    if chart.channel:
        name = f"{name}, {channel_name(chart.channel, language).lower()}"
    return caption(name, drawn, found, language)


def caption(name: str, drawn: int, found: int, language: Language) -> str:
    """Return the caption of a chart that shows the largest of the values that were found, or all of them."""
    if drawn == found:
        return name
    return language.text("{caption}: the {drawn} largest of {found}", caption=name, drawn=drawn, found=found)


def _figure(figure: Figure) -> str:
    """Return the SQL expression of a figure."""
    if figure.of:
        part, whole = figure.of
        return f"cast(sum({part}) as decimal(38, 6)) / nullif(sum({whole}), 0)"
    column = figure.column
    expressions = {"count": "count(*)", "mean": f"avg({column})", "sum": f"sum({column})", "value": f"max({column})"}
    return expressions[figure.how]


def _figure_name(mart: str, figure: Figure, language: Language) -> str:
    if figure.how == "count":
        return counted_name(figure.column, language)
    name = definition(mart, figure.column, language).label
    return language.text("{figure} (mean)", figure=name) if figure.how == "mean" else name


def _withheld(data: Data, mart: str, choice: Choice, language: Language) -> Iterator[tuple[str, int]]:
    """Yield each reason for withholding predictions in words, and the number of its rows."""
    if "withheld_because" not in view_of(mart).columns:
        return
    reasons = data.execute(
        f"select withheld_because, count(*) from marts.{mart} where {_condition(mart, choice)}"
        " and withheld_because is not null group by withheld_because order by 2 desc, 1"
    ).fetchall()
    words = _WORDS[f"{mart}.withheld_because"]
    yield from ((words(code, language), count) for code, count in reasons)


def _exact(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return None if value is None else str(value)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return lines.getvalue()
