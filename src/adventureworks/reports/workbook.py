"""The workbook of a monthly report. Texts from the data never become formulas or links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from functools import partial
from io import BytesIO
from typing import Any

import xlsxwriter

from adventureworks.dictionary import label
from adventureworks.reports.definitions import definitions, notes
from adventureworks.reports.month import Amounts, Line, Month
from adventureworks.texts import Language
from adventureworks.texts.plain import plain

FONT = "Inter"
MAIN, SECOND, BAD, QUIET = "#0550AE", "#BC4C00", "#B42318", "#59636E"
MONEY = {
    "en": "[$$-409]#,##0.00;[Red]-[$$-409]#,##0.00",
    "fr": "#,##0.00\u00a0[$$US-C0C];[Red]-#,##0.00\u00a0[$$US-C0C]",
}
SHARE = "0.0%;[Red]-0.0%"

MAX_CELL_LENGTH = 32_767
"""Excel's limit, in UTF-16 units. XlsxWriter leaves a cell with a longer text empty."""

Cell = str | int | Decimal | None


@dataclass(frozen=True)
class _Column:
    """A column of a table: heading, cell style and width."""

    heading: str
    style: str = "text"
    width: int = 16


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
    out = BytesIO()
    options = {
        "in_memory": True,
        # A customer or product may be called "=1+1".
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd",
    }
    book = xlsxwriter.Workbook(out, options)
    book.set_properties(
        {
            "title": language.text("Profit in {month}", month=language.month(found.month)),
            "author": "AdventureWorks DataOps",
            # The date of the figures, not today's: the same figures produce the same file.
            "created": datetime.combine(found.month, time()),
        }
    )
    _Writer(book, found, language).write()
    book.close()
    return out.getvalue()


class _Writer:
    def __init__(self, book: Any, found: Month, language: Language) -> None:
        self._book = book
        self._found = found
        self._language = language
        self._text = language.text
        self._label = partial(label, language=language)
        money = MONEY[language.code]
        base = {"font_name": FONT, "font_size": 10, "valign": "top"}
        self._styles = {
            "text": book.add_format(base),
            "wrapped": book.add_format({**base, "text_wrap": True}),
            "whole": book.add_format({**base, "num_format": "#,##0"}),
            "money": book.add_format({**base, "num_format": money}),
            "share": book.add_format({**base, "num_format": SHARE}),
            "heading": book.add_format({**base, "bold": True, "text_wrap": True}),
            "title": book.add_format({**base, "font_size": 18, "bold": True, "font_color": MAIN}),
            "quiet": book.add_format({**base, "font_color": QUIET}),
            "bad": book.add_format({"font_color": BAD}),
        }
        for style in ("text", "whole", "money", "share"):
            shown = {"text": {}, "whole": {"num_format": "#,##0"}, "money": {"num_format": money}}
            self._styles[f"total {style}"] = book.add_format(
                {**base, "bold": True, "top": 1, **shown.get(style, {"num_format": SHARE})}
            )

    def write(self) -> None:
        """Write all sheets."""
        found, text, label = self._found, self._text, self._label
        self._summary()
        self._lines(text("Regions"), found.regions, label("territory"), label("region_group"), chart=True)
        self._lines(text("Categories"), found.categories, label("category"), "", chart=True)
        self._lines(text("Products"), found.products, label("product"), label("category"))
        self._sales()
        self._texts(text("Definitions"), (text("Figure"), text("Meaning")), definitions(self._language))
        versions = [(asset, version) for asset, version in found.sources]
        self._texts(text("Sources"), (text("Table"), text("Version")), versions)

    def _sheet(self, name: str) -> Any:
        # Excel allows 31 characters in a sheet's name, and none of these.
        sheet = self._book.add_worksheet("".join(c for c in name if c not in "[]:*?/\\")[:31])
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer(f"&L{self._heading()}&R&P / &N")
        return sheet

    def _heading(self) -> str:
        return self._text("Profit in {month}", month=self._language.month(self._found.month))

    def _summary(self) -> None:
        found, text, label, styles = self._found, self._text, self._label, self._styles
        sheet = self._sheet(text("Summary"))
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 4, 20)
        sheet.write_string(0, 0, self._heading(), styles["title"])
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
                self._cell(sheet, row, place, None if amounts is None else value(amounts), style)
        sheet.write_string(10, 0, text("Change in revenue"), styles["text"])
        self._cell(sheet, 10, 2, total.growth, "share")
        self._cell(sheet, 10, 3, total.yearly_growth, "share")
        for row, note in enumerate(notes(found, self._language), start=12):
            sheet.merge_range(row, 0, row, 4, note, styles["wrapped"])
            sheet.set_row(row, 28)
        self._history(sheet, 17)
        sheet.freeze_panes(4, 1)

    def _history(self, sheet: Any, top: int) -> None:
        text, label = self._text, self._label
        headings = [label("month"), label("revenue"), label("profit"), label("margin"), label("is_partial")]
        columns = [
            _Column(heading, style)
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
        self._table(sheet, top, columns, rows, name="history", widths=False)
        chart = self._book.add_chart({"type": "column"})
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
        line = self._book.add_chart({"type": "line"})
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
        sheet = self._sheet(title)
        columns = [
            _Column(name, width=34),
            *([_Column(group, width=18)] if group else []),
            *self._amount_columns(),
            _Column(text("Change from the month before"), "share", 16),
            _Column(text("Change from the year before"), "share", 16),
            _Column(text("Year to date"), "money", 20),
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
        self._table(sheet, 0, columns, rows, name=title, total=cells(self._found.total, text("Total")))
        margin = [column.heading for column in columns].index(label("margin"))
        for place in (margin + 2, margin + 3):
            sheet.conditional_format(
                1, place, len(rows), place, {"type": "cell", "criteria": "<", "value": 0, "format": self._styles["bad"]}
            )
        sheet.conditional_format(
            1, margin, len(rows), margin, {"type": "data_bar", "bar_color": "#9CC3F0", "bar_solid": True}
        )
        sheet.freeze_panes(1, 1)
        if chart and rows:
            bar_chart = self._book.add_chart({"type": "bar"})
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
        sheet = self._sheet(text("Detail"))
        columns = [
            _Column(label("territory"), width=18),
            _Column(label("category"), width=16),
            _Column(label("product_id"), "whole", 12),
            _Column(label("product"), width=34),
            *self._amount_columns(),
        ]
        rows: list[tuple[Cell, ...]] = [
            (sale.territory, sale.category, sale.product_id, sale.product, *_values(sale.amounts))
            for sale in self._found.sales
        ]
        sums = (text("Total"), None, None, None, *_values(self._found.total.now))
        self._table(sheet, 0, columns, rows, name="detail", total=sums)
        sheet.freeze_panes(1, 4)

    def _amount_columns(self) -> list[_Column]:
        return [_Column(self._label(name), style, width) for name, style, width, _ in _AMOUNTS]

    def _texts(self, title: str, headings: tuple[str, str], rows: Sequence[tuple[str, Cell]]) -> None:
        sheet = self._sheet(title)
        number = all(isinstance(value, int) for _, value in rows)
        columns = [_Column(headings[0], width=34), _Column(headings[1], "whole" if number else "wrapped", 90)]
        self._table(sheet, 0, columns, rows, name=title)
        sheet.freeze_panes(1, 0)

    def _table(
        self,
        sheet: Any,
        top: int,
        columns: Sequence[_Column],
        rows: Sequence[Sequence[Cell]],
        *,
        name: str,
        total: Sequence[Cell] | None = None,
        widths: bool = True,
    ) -> None:
        """Write a native table, with totals below it as values, so that filters do not change the reported totals."""
        bottom = top + max(len(rows), 1)
        sheet.add_table(
            top,
            0,
            bottom,
            len(columns) - 1,
            {
                "name": f"t_{len(self._book.worksheets())}_{top}",
                "style": "Table Style Light 1",
                "columns": [{"header": column.heading, "header_format": self._styles["heading"]} for column in columns],
            },
        )
        for place, column in enumerate(columns):
            if widths:
                sheet.set_column(place, place, min(column.width, 90))
            for row, values in enumerate(rows, start=top + 1):
                self._cell(sheet, row, place, values[place], column.style)
            if total is not None:
                style = column.style if column.style in ("money", "share", "whole") else "text"
                self._cell(sheet, bottom + 1, place, total[place], f"total {style}")
        sheet.set_row(top, 30)
        sheet.repeat_rows(top)

    def _cell(self, sheet: Any, row: int, column: int, value: Cell, style: str) -> None:
        if value is None:
            sheet.write_blank(row, column, None, self._styles[style])
        elif isinstance(value, str):
            sheet.write_string(row, column, _fit(value), self._styles[style])
        else:
            sheet.write_number(row, column, value, self._styles[style])

    def _finish(self, chart: Any, title: str, sideways: bool = False) -> None:
        chart.set_title({"name": title, "name_font": {"name": FONT, "size": 12}, "overlay": False})
        chart.set_legend({"position": "bottom"})
        amounts = {"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#D0D7DE"}}}
        (chart.set_x_axis if sideways else chart.set_y_axis)(amounts)
        chart.set_chartarea({"border": {"none": True}})


def _values(amounts: Amounts) -> tuple[Cell, ...]:
    """Return the values of the columns that `_AMOUNTS` describes."""
    return tuple(value(amounts) for *_, value in _AMOUNTS)


def _fit(text: str) -> str:
    """Return the text without unsupported characters, truncated to the length of a cell."""
    text = plain(text)
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MAX_CELL_LENGTH:
        return text
    return units[: 2 * (MAX_CELL_LENGTH - 1)].decode("utf-16-le", errors="ignore") + "…"
