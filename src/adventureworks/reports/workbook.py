"""The workbook of a monthly report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from adventureworks.dictionary import label
from adventureworks.reports.definitions import definitions, notes
from adventureworks.reports.month import Amounts, Line, Month
from adventureworks.reports.sheets import FONT, MAIN, Cell, Column, Sheets, make_workbook
from adventureworks.texts import Language

SECOND = "#BC4C00"

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
    return make_workbook(heading, found.month, language, lambda book: _Writer(book, found, language).write())


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
        self._lines(text("Regions"), found.regions, label("territory"), label("region_group"), chart=True)
        self._lines(text("Categories"), found.categories, label("category"), "", chart=True)
        self._lines(text("Products"), found.products, label("product"), label("category"))
        self._sales()
        self._sheets.add_texts(text("Definitions"), (text("Figure"), text("Meaning")), definitions(self._language))
        versions = [(asset, version) for asset, version in found.sources]
        self._sheets.add_texts(text("Sources"), (text("Table"), text("Version")), versions)

    def _summary(self) -> None:
        found, text, label, styles = self._found, self._text, self._label, self._sheets.styles
        sheet = self._sheets.add(text("Summary"))
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 4, 20)
        sheet.write_string(0, 0, self._sheets.heading, styles["title"])
        sheet.set_row(0, 28)
        state = text("Partial month") if found.is_partial else text("Complete month")
        about = text(
            "{state}, fiscal year {year}, business date {day}",
            state=state,
            year=str(found.fiscal_year),
            day=self._language.day(found.as_of),
        )
        sheet.write_string(1, 0, about, styles["quiet"])
        headings = (
            "",
            self._language.month(found.month),
            text("Month before"),
            text("Year before"),
            text("Year to date"),
        )
        for place, heading in enumerate(headings):
            sheet.write_string(3, place, heading, styles["heading"])
        total = found.total
        periods = (total.now, total.before, total.year_before, total.to_date)
        for row, (name, style, _, value) in enumerate(_AMOUNTS, start=4):
            sheet.write_string(row, 0, label(name), styles["text"])
            for place, amounts in enumerate(periods, start=1):
                self._sheets.write_cell(sheet, row, place, None if amounts is None else value(amounts), style)
        sheet.write_string(10, 0, text("Change in revenue"), styles["text"])
        self._sheets.write_cell(sheet, 10, 2, total.growth, "share")
        self._sheets.write_cell(sheet, 10, 3, total.yearly_growth, "share")
        for row, note in enumerate(notes(found, self._language), start=12):
            sheet.merge_range(row, 0, row, 4, note, styles["wrapped"])
            sheet.set_row(row, 28)
        self._history(sheet, 17)
        sheet.freeze_panes(4, 1)

    def _history(self, sheet: Any, top: int) -> None:
        text, label = self._text, self._label
        headings = [label("month"), label("revenue"), label("profit"), label("margin"), label("is_partial")]
        columns = [
            Column(heading, style)
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
        self._sheets.write_table(sheet, top, columns, rows, widths=False)
        chart = self._sheets.book.add_chart({"type": "column"})
        last = top + len(rows)
        names = [sheet.get_name(), top + 1, 0, last, 0]
        chart.add_series(
            {
                "name": headings[1],
                "categories": names,
                "values": [sheet.get_name(), top + 1, 1, last, 1],
                "fill": {"color": MAIN},
                "gap": 60,
            }
        )
        line = self._sheets.book.add_chart({"type": "line"})
        line.add_series(
            {
                "name": headings[2],
                "categories": names,
                "values": [sheet.get_name(), top + 1, 2, last, 2],
                "line": {"color": SECOND, "width": 2.25},
            }
        )
        chart.combine(line)
        self._finish(chart, text("Revenue and gross profit"))
        sheet.insert_chart(
            3, 6, chart, {"x_scale": 1.5, "y_scale": 1.4, "description": text("Revenue and gross profit")}
        )

    def _lines(self, title: str, lines: Sequence[Line], name: str, group: str, chart: bool = False) -> None:
        text, label = self._text, self._label
        sheet = self._sheets.add(title)
        columns = [
            Column(name, width=34),
            *([Column(group, width=18)] if group else []),
            *self._amount_columns(),
            Column(text("Change from the month before"), "share", 16),
            Column(text("Change from the year before"), "share", 16),
            Column(text("Year to date"), "money", 20),
        ]

        def cells(line: Line, shown: str) -> tuple[Cell, ...]:
            return (
                shown,
                *([line.group] if group else []),
                *_values(line.now),
                line.growth,
                line.yearly_growth,
                line.to_date.revenue,
            )

        rows = [cells(line, line.name) for line in lines]
        self._sheets.write_table(sheet, 0, columns, rows, total=cells(self._found.total, text("Total")))
        margin = [column.heading for column in columns].index(label("margin"))
        for place in (margin + 2, margin + 3):
            sheet.conditional_format(
                1,
                place,
                len(rows),
                place,
                {"type": "cell", "criteria": "<", "value": 0, "format": self._sheets.styles["bad"]},
            )
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
                    "values": [sheet.get_name(), 1, margin - 1, len(rows), margin - 1],
                    "fill": {"color": MAIN},
                    "gap": 50,
                }
            )
            bar_chart.set_y_axis({"reverse": True})
            self._finish(bar_chart, label("profit"), sideways=True)
            sheet.insert_chart(
                len(rows) + 3, 0, bar_chart, {"x_scale": 1.6, "y_scale": 1.2, "description": label("profit")}
            )

    def _sales(self) -> None:
        text, label = self._text, self._label
        sheet = self._sheets.add(text("Detail"))
        columns = [
            Column(label("territory"), width=18),
            Column(label("category"), width=16),
            Column(label("product_id"), "whole", 12),
            Column(label("product"), width=34),
            *self._amount_columns(),
        ]
        rows: list[tuple[Cell, ...]] = [
            (sale.territory, sale.category, sale.product_id, sale.product, *_values(sale.amounts))
            for sale in self._found.sales
        ]
        sums = (text("Total"), None, None, None, *_values(self._found.total.now))
        self._sheets.write_table(sheet, 0, columns, rows, total=sums)
        sheet.freeze_panes(1, 4)

    def _amount_columns(self) -> list[Column]:
        return [Column(self._label(name), style, width) for name, style, width, _ in _AMOUNTS]

    def _finish(self, chart: Any, title: str, sideways: bool = False) -> None:
        chart.set_title({"name": title, "name_font": {"name": FONT, "size": 12}, "overlay": False})
        chart.set_legend({"position": "bottom"})
        amounts = {"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#D0D7DE"}}}
        (chart.set_x_axis if sideways else chart.set_y_axis)(amounts)
        chart.set_chartarea({"border": {"none": True}})


def _values(amounts: Amounts) -> tuple[Cell, ...]:
    """Return the values of the columns that `_AMOUNTS` describes."""
    return tuple(value(amounts) for *_, value in _AMOUNTS)
