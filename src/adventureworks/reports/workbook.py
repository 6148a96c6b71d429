"""The workbook of a monthly report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from xlsxwriter.utility import xl_range, xl_rowcol_to_cell

from adventureworks.dictionary import label
from adventureworks.reports.bridge import BRIDGE_COLUMNS
from adventureworks.reports.definitions import definitions, notes
from adventureworks.reports.headlines import kpis
from adventureworks.reports.month import Amounts, Line, Month
from adventureworks.reports.sheets import FONT, MAIN, Cell, Column, Sheets, fit, make_workbook
from adventureworks.reports.story import story
from adventureworks.texts import Language
from adventureworks.texts.terms import channel_name

SECOND = "#BC4C00"
SHORT_MONEY = {"en": "[$$-409]#,##0", "fr": "#,##0\u00a0[$$US-C0C]"}

_Key = tuple[Column, Callable[[Line], Cell]]
"""A column that identifies the lines of a table, with its value."""

_AMOUNTS: tuple[tuple[str, str, int, Callable[[Amounts], Cell]], ...] = (
    ("revenue", "money", 18, lambda amounts: amounts.revenue),
    ("discount_amount", "money", 16, lambda amounts: amounts.discount),
    ("cogs", "money", 18, lambda amounts: amounts.cogs),
    ("profit", "money", 18, lambda amounts: amounts.profit),
    ("margin", "share", 12, lambda amounts: amounts.margin),
    ("fallback_cost_revenue", "money", 16, lambda amounts: amounts.estimated),
)
"""The figures of every table: column of `monthly_profit`, cell style, width and value."""


def workbook(found: Month, language: Language) -> bytes:
    """Return the workbook of a month as bytes. The same figures produce the same bytes."""
    heading = language.text("Profit in {month}", month=language.month(found.month))
    return make_workbook(heading, found.month, language, lambda sheets: _Writer(sheets, found, language).write())


class _Writer:
    def __init__(self, sheets: Sheets, found: Month, language: Language) -> None:
        self._sheets = sheets
        self._found = found
        self._language = language
        self._text = language.text
        self._label = partial(label, language=language)

    def write(self) -> None:
        """Write all sheets."""
        found, text, label = self._found, self._text, self._label
        self._summary()
        self._history()
        channel: _Key = (Column(label("channel"), width=34), lambda line: channel_name(line.name, self._language))
        if found.channels:
            self._lines(text("Channels"), found.channels, [channel])
        self._bridge()
        territory, category = (Column(label(name), width=34) for name in ("territory", "category"))
        region_group: _Key = (Column(label("region_group"), width=18), _group)
        self._lines(text("Regions"), found.regions, [(territory, _name), region_group], chart=True)
        self._lines(text("Categories"), found.categories, [(category, _name)], chart=True)
        product, number = self._product_columns()
        names = [(product, _name), (number, lambda line: line.number), (replace(category, width=18), _group)]
        self._lines(text("Products"), found.products, names)
        self._sales()
        self._sheets.add_texts(text("Definitions"), (text("Figure"), text("Meaning")), definitions(self._language))
        versions = [(asset, version) for asset, version in found.sources]
        self._sheets.add_texts(text("Sources"), (text("Table"), text("Version")), versions)

    def _summary(self) -> None:
        found, text, label, styles = self._found, self._text, self._label, self._sheets.styles
        sheet = self._sheets.add(text("Summary"))
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 6, 17)
        sheet.write_string(0, 0, self._sheets.heading, styles["title"])
        sheet.set_row(0, 28)
        about = text(
            "{state}, fiscal year {year}, business date {day}",
            state=text("Partial month") if found.is_partial else text("Complete month"),
            year=str(found.fiscal_year),
            day=self._language.day(found.as_of),
        )
        sheet.write_string(1, 0, about, styles["quiet"])
        row = 3
        for sentence in [*story(found, self._language), *notes(found, self._language)]:
            sheet.merge_range(row, 0, row, 6, fit(sentence), styles["wrapped"])
            sheet.set_row(row, 28)
            row += 1
        row = self._kpis(sheet, row + 1) + 2
        for title, lines in (
            (text("Best products by gross profit"), found.best),
            (text("Worst products by gross profit"), found.worst),
        ):
            if not lines:
                continue
            sheet.write_string(row, 0, title, styles["heading"])
            columns = [Column(label("product")), Column(text("Product number"))]
            columns += [Column(label(name), style) for name, style, *_ in _AMOUNTS]
            rows = [(line.name, line.number, *_values(line.now)) for line in lines]
            row = self._sheets.write_table(sheet, row + 1, columns, rows, widths=False) + 2

    def _kpis(self, sheet: Any, top: int) -> int:
        """Write the summary's figures; return the last row."""
        text = self._text
        headings = (
            text("Figure"),
            self._language.month(self._found.month),
            text("Month before"),
            text("Change from the month before"),
            text("Year before"),
            text("Change from the year before"),
            text("Year to date"),
        )
        for place, heading in enumerate(headings):
            sheet.write_string(top, place, heading, self._sheets.styles["heading"])
        sheet.set_row(top, 30)
        row = top
        for row, kpi in enumerate(kpis(self._found, self._language), start=top + 1):
            amount, change, unit = ("share", "points", 100) if kpi.is_share else ("money", "change", 1)
            cells: tuple[tuple[Cell, str], ...] = (
                (kpi.name, "text"),
                (kpi.now, amount),
                (kpi.before, amount),
                (kpi.change and kpi.change * unit, change),
                (kpi.year_before, amount),
                (kpi.yearly_change and kpi.yearly_change * unit, change),
                (kpi.to_date, amount),
            )
            for place, (value, style) in enumerate(cells):
                self._sheets.write_cell(sheet, row, place, value, style)
        return row

    def _history(self) -> None:
        text, label = self._text, self._label
        sheet = self._sheets.add(text("Months"))
        headings = [label("month"), label("revenue"), label("profit"), label("margin"), label("is_partial")]
        columns = [
            Column(heading, style, 22)
            for heading, style in zip(headings, ("text", "money", "money", "share", "text"), strict=True)
        ]
        rows: list[tuple[Cell, ...]] = [
            (
                self._language.month(past.month),
                past.amounts.revenue,
                past.amounts.profit,
                past.amounts.margin,
                text("yes") if past.is_partial else "",
            )
            for past in self._found.history
        ]
        last = self._sheets.write_table(sheet, 0, columns, rows)
        chart = self._sheets.book.add_chart({"type": "column"})
        names = [sheet.get_name(), 1, 0, last, 0]
        chart.add_series(
            {
                "name": headings[1],
                "categories": names,
                "values": [sheet.get_name(), 1, 1, last, 1],
                "fill": {"color": MAIN},
                "gap": 60,
            }
        )
        line = self._sheets.book.add_chart({"type": "line"})
        line.add_series(
            {
                "name": headings[2],
                "categories": names,
                "values": [sheet.get_name(), 1, 2, last, 2],
                "line": {"color": SECOND, "width": 2.25},
            }
        )
        chart.combine(line)
        title = text("Revenue and gross profit")
        self._finish(chart, title, (label("month"), f"{headings[1]}, {headings[2]}"))
        sheet.insert_chart(last + 2, 0, chart, {"x_scale": 1.5, "y_scale": 1.4, "description": title})

    def _bridge(self) -> None:
        """Write what changed the gross profit since the year before, by booking month, channel and category."""
        text, label = self._text, self._label
        sheet = self._sheets.add(text("Bridge"))
        columns = [
            Column(label("channel"), width=18),
            Column(label("category"), width=18),
            *(Column(label(name), "money", total=_sum) for name in BRIDGE_COLUMNS),
        ]
        rows: list[tuple[Cell, ...]] = [
            (channel_name(one.channel, self._language), one.category, *one.amounts) for one in self._found.bridge
        ]
        sums = [sum(amounts, Decimal(0)) for amounts in zip(*(one.amounts for one in self._found.bridge), strict=True)]
        total = (text("Total"), None, *sums) if rows else None
        last = self._sheets.write_table(sheet, 0, columns, rows, total=total)
        note = text("By booking month, so the profit differs from the one by calendar month.")
        sheet.write_string(last + 2, 0, note, self._sheets.styles["quiet"])
        sheet.freeze_panes(1, 2)

    def _lines(self, title: str, lines: Sequence[Line], names: Sequence[_Key], *, chart: bool = False) -> None:
        text, label = self._text, self._label
        sheet = self._sheets.add(title)
        profit = len(names) + [name for name, *_ in _AMOUNTS].index("profit")
        columns = [
            *(column for column, _ in names),
            *self._amount_columns(len(names)),
            Column(text("Change from the month before"), "change", 16),
            Column(text("Change from the year before"), "change", 16),
            Column(text("Year to date"), "money", 20, _sum),
        ]

        def cells(line: Line, shown: Sequence[Cell]) -> tuple[Cell, ...]:
            return (*shown, *_values(line.now), line.growth, line.yearly_growth, line.to_date.revenue)

        rows = [cells(line, [value(line) for _, value in names]) for line in lines]
        total = cells(self._found.total, [text("Total"), *[None] * (len(names) - 1)])
        last = self._sheets.write_table(sheet, 0, columns, rows, total=total)
        margin = profit + 1
        sheet.conditional_format(
            1, margin, len(rows), margin, {"type": "data_bar", "bar_color": "#9CC3F0", "bar_solid": True}
        )
        sheet.freeze_panes(1, 1)
        if chart and rows:
            bar_chart = self._sheets.book.add_chart({"type": "bar"})
            bar_chart.add_series(
                {
                    "name": label("profit"),
                    "categories": [sheet.get_name(), 1, 0, len(rows), 0],
                    "values": [sheet.get_name(), 1, profit, len(rows), profit],
                    "fill": {"color": MAIN},
                    "gap": 50,
                }
            )
            self._finish(bar_chart, label("profit"), (columns[0].heading, label("profit")), sideways=True)
            sheet.insert_chart(last + 2, 0, bar_chart, {"x_scale": 1.6, "y_scale": 1.2, "description": label("profit")})

    def _sales(self) -> None:
        text, label = self._text, self._label
        sheet = self._sheets.add(text("Detail"))
        names = [
            Column(label("territory"), width=18),
            Column(label("category"), width=16),
            *self._product_columns(),
        ]
        rows: list[tuple[Cell, ...]] = [
            (sale.territory, sale.category, sale.product, sale.number, *_values(sale.amounts))
            for sale in self._found.sales
        ]
        sums = (text("Total"), None, None, None, *_values(self._found.total.now))
        self._sheets.write_table(sheet, 0, [*names, *self._amount_columns(len(names))], rows, total=sums)
        sheet.freeze_panes(1, 4)

    def _product_columns(self) -> list[Column]:
        text, label = self._text, self._label
        return [Column(label("product"), width=34), Column(text("Product number"), width=16)]

    def _amount_columns(self, first: int) -> list[Column]:
        """Return the columns of `_AMOUNTS`, which begin at column `first`."""
        names = [name for name, *_ in _AMOUNTS]
        revenue, profit = (first + names.index(name) for name in ("revenue", "profit"))
        margin = partial(_ratio, revenue, profit)
        return [
            Column(self._label(name), style, width, margin if name == "margin" else _sum)
            for name, style, width, _ in _AMOUNTS
        ]

    def _finish(self, chart: Any, title: str, axes: tuple[str, str], *, sideways: bool = False) -> None:
        """Set the title of a chart, of the axis of its names and of that of its amounts."""
        chart.set_title({"name": title, "name_font": {"name": FONT, "size": 12}, "overlay": False})
        chart.set_legend({"position": "bottom"})
        amounts = {
            "name": axes[1],
            "num_format": SHORT_MONEY[self._language.code],
            "major_gridlines": {"visible": True, "line": {"color": "#D0D7DE"}},
        }
        names = {"name": axes[0], "reverse": sideways}
        chart.set_x_axis(amounts if sideways else names)
        chart.set_y_axis(names if sideways else amounts)
        chart.set_chartarea({"border": {"none": True}})


def _name(line: Line) -> str:
    return line.name


def _group(line: Line) -> str:
    return line.group


def _sum(first: int, last: int, column: int) -> str:
    return f"=SUM({xl_range(first, column, last, column)})"


def _ratio(divisor: int, dividend: int, first: int, last: int, column: int) -> str:
    """Return the formula of a ratio of two totals of the same row."""
    below, above = (xl_rowcol_to_cell(last + 1, place) for place in (divisor, dividend))
    return f'=IF({below}=0,"",{above}/{below})'


def _values(amounts: Amounts) -> tuple[Cell, ...]:
    """Return the values of the columns that `_AMOUNTS` describes."""
    return tuple(value(amounts) for *_, value in _AMOUNTS)
