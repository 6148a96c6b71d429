"""Workbooks: styles, native tables and sheets of texts. Texts from the data never become formulas or links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Any

import xlsxwriter

from adventureworks.texts import Language
from adventureworks.texts.plain import plain

FONT = "Inter"
MAIN, BAD, QUIET = "#0550AE", "#B42318", "#59636E"
MONEY = {
    "en": "[$$-409]#,##0.00;[Red]-[$$-409]#,##0.00",
    "fr": "#,##0.00\u00a0[$$US-C0C];[Red]-#,##0.00\u00a0[$$US-C0C]",
}
SHARE = {"en": "0.0%;[Red]-0.0%", "fr": "0.0\u00a0%;[Red]-0.0\u00a0%"}
CHANGE = {
    # Like Language.change: a change that is rounded to zero has no sign.
    "en": "[>0.0005]+0.0%;[Red][<-0.0005]-0.0%;0.0%",
    "fr": "[>0.0005]+0.0\u00a0%;[Red][<-0.0005]-0.0\u00a0%;0.0\u00a0%",
}
LARGE_CHANGE = {"en": '"> +999%"', "fr": '"> +999\u00a0%"'}
POINTS = {
    "en": '[>0.05]+0.0" points";[Red][<-0.05]-0.0" points";0.0" points"',
    # French has the singular below two.
    "fr": '[>0.05]+0.0"\u00a0pt";[Red][<-0.05]-0.0"\u00a0pt";0.0"\u00a0pt"',
}
FORMATS = {
    "text": "@",
    "wrapped": "@",
    "whole": "#,##0",
    "decimal": "#,##0.0",
    "factor": "#,##0.00",
    "rate": "#,##0.0000",
    "identifier": "0",
    "date": "yyyy-mm-dd",
}

MAX_CELL_LENGTH = 32_767
"""Excel's limit, in UTF-16 units. XlsxWriter leaves a cell with a longer text empty."""

Cell = str | int | Decimal | date | None


@dataclass(frozen=True)
class Column:
    """A column of a table: heading, cell style and width."""

    heading: str
    style: str = "text"
    width: int = 16
    total: Callable[[int, int, int], str] | None = None
    """The formula of the total, from the first row, the last row and the column of the cells above; None: a value."""


def make_workbook(heading: str, day: date, language: Language, write: Callable[[Sheets], None]) -> bytes:
    """Return a workbook as bytes. `write` adds its sheets; the same content produces the same bytes.

    `day` is the date of the figures, which becomes the file's creation date.
    """
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
        {"title": heading, "author": "AdventureWorks DataOps", "created": datetime.combine(day, time())}
    )
    write(Sheets(book, heading, language))
    book.close()
    return out.getvalue()


class Sheets:
    """The sheets of a workbook with the styles that they share. `heading` is printed at the foot of each page."""

    def __init__(self, book: Any, heading: str, language: Language) -> None:
        self.book = book
        self.heading = heading
        base = {"font_name": FONT, "font_size": 10, "valign": "top"}
        code = language.code
        formats = {
            **FORMATS,
            "money": MONEY[code],
            "share": SHARE[code],
            "change": CHANGE[code],
            "large change": LARGE_CHANGE[code],
            "points": POINTS[code],
        }
        shown = {style: {"num_format": pattern, "text_wrap": style == "wrapped"} for style, pattern in formats.items()}
        self.styles = {
            **{style: book.add_format({**base, **look}) for style, look in shown.items()},
            **{
                f"total {style}": book.add_format({**base, **look, "bold": True, "top": 1})
                for style, look in shown.items()
            },
            "heading": book.add_format({**base, "bold": True, "text_wrap": True}),
            "title": book.add_format({**base, "font_size": 18, "bold": True, "font_color": MAIN}),
            "quiet": book.add_format({**base, "font_color": QUIET}),
            "bad": book.add_format({"font_color": BAD}),
        }

    def add(self, name: str) -> Any:
        """Add a sheet and return it."""
        # Excel allows 31 characters in a sheet's name, and none of these.
        sheet = self.book.add_worksheet("".join(c for c in name if c not in "[]:*?/\\")[:31])
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.7)
        sheet.set_footer(f"&L{self.heading}&R&P / &N")
        return sheet

    def add_texts(self, title: str, headings: tuple[str, str], rows: Sequence[tuple[str, Cell]]) -> None:
        """Add a sheet with a table of names and their texts or numbers."""
        sheet = self.add(title)
        number = all(isinstance(value, int) for _, value in rows)
        columns = [Column(headings[0], width=34), Column(headings[1], "whole" if number else "wrapped", 90)]
        self.write_table(sheet, 0, columns, rows)
        sheet.freeze_panes(1, 0)

    def write_table(
        self,
        sheet: Any,
        top: int,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Cell]],
        *,
        total: Sequence[Cell] | None = None,
        widths: bool = True,
    ) -> int:
        """Write a native table with totals below it, which filters do not change; return the last row."""
        bottom = top + max(len(rows), 1)
        sheet.add_table(
            top,
            0,
            bottom,
            len(columns) - 1,
            {
                "name": f"t_{len(self.book.worksheets())}_{top}",
                "style": "Table Style Light 1",
                "columns": [{"header": column.heading, "header_format": self.styles["heading"]} for column in columns],
            },
        )
        for place, column in enumerate(columns):
            if widths:
                sheet.set_column(place, place, min(column.width, 90))
            for row, values in enumerate(rows, start=top + 1):
                self.write_cell(sheet, row, place, values[place], column.style)
            if total is not None and column.total is not None and total[place] is not None:
                formula = column.total(top + 1, bottom, place)
                sheet.write_formula(bottom + 1, place, formula, self.styles[f"total {column.style}"], total[place])
            elif total is not None:
                self.write_cell(sheet, bottom + 1, place, total[place], f"total {column.style}")
        sheet.set_row(top, 45)
        if top == 0:
            sheet.repeat_rows(0)
        return bottom if total is None else bottom + 1

    def write_cell(self, sheet: Any, row: int, column: int, value: Cell, style: str) -> None:
        """Write one cell in a style."""
        if isinstance(value, Decimal) and value >= 10:
            # A number format has only two conditions.
            style = {"change": "large change", "total change": "total large change"}.get(style, style)
        if value is None:
            sheet.write_blank(row, column, None, self.styles[style])
        elif isinstance(value, str):
            sheet.write_string(row, column, fit(value), self.styles[style])
        elif isinstance(value, date):
            sheet.write_datetime(row, column, value, self.styles[style])
        else:
            sheet.write_number(row, column, value, self.styles[style])


def fit(text: str) -> str:
    """Return the text without unsupported characters, truncated to the length of a cell."""
    text = plain(text)
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MAX_CELL_LENGTH:
        return text
    return units[: 2 * (MAX_CELL_LENGTH - 1)].decode("utf-16-le", errors="ignore") + "…"
