"""The PDF of a monthly report, typeset by Typst, to which all texts and figures are passed as data, not markup."""

from __future__ import annotations

import calendar
import json
from collections.abc import Sequence
from decimal import Decimal
from importlib.resources import files
from typing import Any

from adventureworks.charts.glyphs import displayable
from adventureworks.charts.monthly import bars, columns_and_line
from adventureworks.charts.rendering import svg
from adventureworks.charts.theme import FONTS
from adventureworks.dictionary import label
from adventureworks.reports.definitions import definitions, notes
from adventureworks.reports.month import Line, Month
from adventureworks.texts import Language
from adventureworks.texts.plain import map_texts

AUTHOR = "AdventureWorks DataOps"

Section = dict[str, Any]


def document(found: Month, language: Language) -> bytes:
    """Return the PDF of a month as bytes. The same figures produce the same bytes."""
    import typst

    template = files("adventureworks.reports").joinpath("templates", "month.typ").read_bytes()
    content = typst.compile(  # type: ignore[misc]
        template,
        sys_inputs={"data": json.dumps(map_texts(_data(found, language), displayable), ensure_ascii=False)},
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        # PDF/UA: tagged for screen readers.
        pdf_standards=["ua-1"],
        timestamp=0,
    )
    return bytes(content)


def _data(found: Month, language: Language) -> dict[str, Any]:
    text = language.text
    last_day = calendar.monthrange(found.month.year, found.month.month)[1]
    return {
        "title": text("Profit in {month}", month=language.month(found.month)),
        "author": AUTHOR,
        "about": text(
            "{state}, fiscal year {year}, business date {day}",
            state=text("Partial month") if found.is_partial else text("Complete month"),
            year=str(found.fiscal_year),
            day=language.day(found.as_of),
        ),
        # The date of the figures, not today's: the same figures produce the same file.
        "date": [found.month.year, found.month.month, last_day],
        "language": language.code,
        "cover": _cover(found, language),
        "notes": notes(found, language),
        "history": _history(found, language),
        "columns": [
            text("Name"),
            label("revenue", language),
            label("profit", language),
            label("margin", language),
            text("Month before"),
            text("Year before"),
            text("Year to date"),
        ],
        "total": _row(found.total, text("Total"), language),
        "regions": _regions(found, language),
        "categories": {
            "title": text("By category"),
            "rows": [_row(line, line.name, language) for line in found.categories],
        },
        "products": {
            "title": text("By product"),
            "about": text(
                "All {count} products sold this month or since the start of the fiscal year, by revenue.",
                count=language.number(len(found.products)),
            ),
            "rows": [_row(line, line.name, language) for line in found.products],
        },
        "definitions": {"title": text("What the figures mean"), "rows": definitions(language)},
        "sources": {
            "title": text("Sources of the figures"),
            "about": text("Version {version} of monthly_profit, from:", version=str(found.version)),
            "columns": [text("Table"), text("Version")],
            "rows": [[asset, str(version)] for asset, version in found.sources],
        },
    }


def _cover(found: Month, language: Language) -> list[dict[str, str]]:
    text, total = language.text, found.total
    change = text("{change} from the month before", change=language.change(total.growth))
    yearly = text("{change} from the year before", change=language.change(total.yearly_growth))
    profit_before = total.year_before.profit if total.year_before else None
    return [
        {
            "name": label("revenue", language),
            "value": language.short_money(total.now.revenue),
            "note": f"{change}\n{yearly}",
        },
        {
            "name": label("profit", language),
            "value": language.short_money(total.now.profit),
            "note": text("{amount} a year earlier", amount=language.short_money(profit_before)),
        },
        {
            "name": label("margin", language),
            "value": language.percent(total.now.margin),
            "note": text(
                "{share} a year earlier",
                share=language.percent(total.year_before.margin if total.year_before else None),
            ),
        },
        {
            "name": text("Year to date"),
            "value": language.short_money(total.to_date.revenue),
            "note": text("Gross profit {amount}", amount=language.short_money(total.to_date.profit)),
        },
    ]


def _history(found: Month, language: Language) -> Section:
    rows = [
        (language.short_month(past.month), past.amounts.revenue, past.amounts.profit, past.is_partial)
        for past in found.history
    ]
    figures = "; ".join(
        f"{language.month(past.month)}: {language.short_money(past.amounts.revenue)},"
        f" {language.short_money(past.amounts.profit)}"
        for past in found.history
    )
    text = language.text
    return {
        "title": text("Revenue and gross profit, month by month"),
        "chart": svg(columns_and_line(rows, language, width=500, height=150)),
        "alt": text("Column chart of revenue with a line for gross profit. {figures}", figures=figures),
    }


def _regions(found: Month, language: Language) -> Section:
    amounts = sorted(((line.name, line.now.profit) for line in found.regions), key=_largest_first)
    figures = "; ".join(f"{name} {language.short_money(amount)}" for name, amount in amounts)
    return {
        "title": language.text("By region"),
        "chart": svg(bars(amounts, language, width=260)),
        "alt": language.text("Bar chart of gross profit. {figures}", figures=figures),
        "rows": [_row(line, line.name, language) for line in found.regions],
    }


def _largest_first(named: tuple[str, Decimal]) -> tuple[Decimal, str]:
    return -named[1], named[0]


def _row(line: Line, name: str, language: Language) -> Sequence[str]:
    return [
        name,
        language.money(line.now.revenue),
        language.money(line.now.profit),
        language.percent(line.now.margin),
        language.change(line.growth),
        language.change(line.yearly_growth),
        language.money(line.to_date.revenue),
    ]
