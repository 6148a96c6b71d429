"""Definitions and notes that explain the figures of a monthly report."""

from __future__ import annotations

from adventureworks import dictionary
from adventureworks.catalog import MARTS
from adventureworks.reports.month import Month
from adventureworks.texts import Language

_COLUMNS = ("revenue", "discount_amount", "cogs", "profit", "margin", "fallback_cost_revenue")


def definitions(language: Language) -> list[tuple[str, str]]:
    """Return the name and meaning of each figure: those of the mart's columns, then those of the report itself."""
    columns = dictionary.definitions(MARTS["monthly_profit"], language)
    return [*((columns[name].label, columns[name].meaning) for name in _COLUMNS), *report_terms(language)]


def report_terms(language: Language) -> list[tuple[str, str]]:
    """Return the name and meaning of the figures that are not columns of a mart."""
    text = language.text
    return [
        (
            text("Change from the month before"),
            text(
                "Compared with the month before. Empty unless the data has all days of both months. Until a month is"
                " over, only online sales are compared: with the same days, or with the whole month before if the data"
                " goes up to the month's last day."
            ),
        ),
        (
            text("Change from the year before"),
            text("Compared with the same month of the year before. Empty in the same cases."),
        ),
        (
            text("Year to date"),
            text(
                "From 1 July, the start of the fiscal year, to the end of the month, or to the business date if that is"
                " earlier."
            ),
        ),
        (
            text("Partial month"),
            text(
                "By booking month, orders of the month are missing or may still come. The report is by calendar month."
            ),
        ),
        (
            text("Excluded"),
            text("Orders that were rejected or cancelled, and orders withheld by the quality checks."),
        ),
    ]


def notes(found: Month, language: Language) -> list[str]:
    """Return the caveats that apply to the month's figures."""
    text = language.text
    caveats = []
    if not found.is_over and found.is_covered:
        caveats.append(
            text("Later orders of this month may still come. Its totals are not compared with other months.")
        )
    elif not found.is_over:
        caveats.append(text("This month is not over. Its totals are not compared with other months."))
    elif found.is_partial:
        caveats.append(
            text(
                "This month is partial: by booking month, orders are missing or may still come. The report is by"
                " calendar month."
            )
        )
    if found.total.now.estimated:
        share = found.total.now.estimated / found.total.now.revenue if found.total.now.revenue else None
        caveats.append(
            text(
                "The cost of {amount} of revenue ({share}) is estimated.",
                amount=language.money(found.total.now.estimated, 2),
                share=language.percent(share),
            )
        )
    if found.control_total is None:
        caveats.append(text("Newer orders have arrived since these figures were computed. A new report will follow."))
    else:
        caveats.append(
            text(
                "Control: the order headers add up to {control}, the report to {total}.",
                control=language.money(found.control_total, 2),
                total=language.money(found.total.now.revenue, 2),
            )
        )
    return caveats
