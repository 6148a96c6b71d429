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
from adventureworks.reports.bridge import BRIDGE_COLUMNS, by_channel
from adventureworks.reports.definitions import definitions, notes
from adventureworks.reports.headlines import change_shown, headlines, kpis
from adventureworks.reports.month import Line, Month
from adventureworks.reports.story import story
from adventureworks.texts import Language
from adventureworks.texts.plain import map_texts
from adventureworks.texts.terms import channel_name

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
        "cover": [
            {"name": one.name, "value": one.value, "note": "\n".join(one.notes)} for one in headlines(found, language)
        ],
        "story": {"title": text("What changed"), "sentences": story(found, language)},
        "kpis": _kpis(found, language),
        "best": _ranked(text("Best products by gross profit"), found.best, language),
        "worst": _ranked(text("Worst products by gross profit"), found.worst, language),
        "notes": notes(found, language),
        "history": _history(found, language),
        "columns": [
            text("Name"),
            label("revenue", language),
            label("profit", language),
            label("margin", language),
            text("Change from the month before"),
            text("Change from the year before"),
            text("Year to date"),
        ],
        "total": _row(found.total, text("Total"), language),
        "channels": {
            "title": text("By channel"),
            "rows": [_row(line, channel_name(line.name, language), language) for line in found.channels],
        },
        "bridge": _bridge(found, language),
        "regions": _regions(found, language),
        "categories": {
            "title": text("By category"),
            "rows": [_row(line, line.name, language) for line in found.categories],
        },
        "products": {
            "title": text("By product"),
            "about": text(
                "The {count} products sold this month, by revenue. The total from the start of the fiscal year includes"
                " products sold only earlier; the workbook lists them, too.",
                count=language.number(len(found.sold)),
            ),
            "rows": [_row(line, line.name, language) for line in found.sold],
        },
        "definitions": {"title": text("What the figures mean"), "rows": definitions(language)},
        "sources": {
            "title": text("Sources of the figures"),
            "about": text(
                "Version {version} of monthly_profit, from: {sources}.",
                version=str(found.version),
                sources=", ".join(f"{asset} {version}" for asset, version in found.sources),
            ),
        },
    }


def _kpis(found: Month, language: Language) -> dict[str, Any]:
    text = language.text
    shown = []
    for kpi in kpis(found, language):
        amount = language.percent if kpi.is_share else language.money
        changes = (change_shown(kpi, change, language) for change in (kpi.change, kpi.yearly_change))
        shown.append(
            [
                kpi.name,
                amount(kpi.now),
                amount(kpi.before),
                next(changes),
                amount(kpi.year_before),
                next(changes),
                amount(kpi.to_date),
            ]
        )
    return {
        "columns": [
            text("Figure"),
            language.month(found.month),
            text("Month before"),
            text("Change"),
            text("Year before"),
            text("Change"),
            text("Year to date"),
        ],
        "rows": shown,
    }


def _ranked(title: str, lines: Sequence[Line], language: Language) -> dict[str, Any]:
    return {
        "title": title,
        "columns": [label("product", language), label("profit", language), label("margin", language)],
        "rows": [[line.name, language.money(line.now.profit), language.percent(line.now.margin)] for line in lines],
    }


def _bridge(found: Month, language: Language) -> dict[str, Any]:
    text = language.text
    return {
        "title": text("What changed the gross profit since the year before"),
        "about": text("By booking month, so the profit differs from the one by calendar month."),
        "columns": [
            label("channel", language),
            *(label(column, language) for column in BRIDGE_COLUMNS),
        ],
        "rows": [
            [channel_name(channel, language), *(language.money(amount) for amount in amounts)]
            for channel, amounts in by_channel(found.bridge).items()
        ],
    }


def _history(found: Month, language: Language) -> Section:
    text = language.text
    rows = [
        (language.short_month(past.month), past.amounts.revenue, past.amounts.profit, past.is_partial)
        for past in found.history
    ]
    figures = text("; ").join(
        f"{language.month(past.month)}{text(': ')}{language.short_money(past.amounts.revenue)},"
        f" {language.short_money(past.amounts.profit)}"
        for past in found.history
    )
    return {
        "title": text("Revenue and gross profit by calendar month"),
        "chart": svg(columns_and_line(rows, language, width=500, height=150)),
        "alt": text("Column chart of revenue with a line for gross profit. {figures}", figures=figures),
    }


def _regions(found: Month, language: Language) -> Section:
    amounts = sorted(((line.name, line.now.profit) for line in found.regions), key=_largest_first)
    figures = language.text("; ").join(f"{name} {language.short_money(amount)}" for name, amount in amounts)
    return {
        "title": language.text("By region"),
        "chart": svg(bars(amounts, language, title=label("profit", language), width=260)),
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
