"""Figures of the monthly report: channels that add up, changes of zero, and parts that are left out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook

from adventureworks.reports.delivery import render_file
from adventureworks.reports.month import Line, _agreeing
from tests.unit.test_report_texts import AMOUNTS, month, pdf_text

ONE = Line("online", "", AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)


def sheets(language: str = "en", change: Decimal = Decimal(0)) -> Any:
    """Return the workbook of a month in which the revenue of the only region changed by this share."""
    found = month(["A"])
    now = replace(AMOUNTS, revenue=AMOUNTS.revenue * (1 + change))
    region = Line("A", "A", now, AMOUNTS, None, AMOUNTS)
    return load_workbook(BytesIO(render_file(replace(found, regions=(region,)), language, "workbook")))


@pytest.mark.parametrize("period", ["now", "before", "year_before", "to_date"])
@pytest.mark.parametrize("figure", ["revenue", "discount", "cogs", "estimated"])
def test_channels_that_do_not_add_up_in_any_figure_of_any_period_are_left_out(period: str, figure: str) -> None:
    assert _agreeing([ONE], ONE) == (ONE,)
    periods: dict[str, Any] = {period: replace(AMOUNTS, **{figure: getattr(AMOUNTS, figure) + 1})}
    assert _agreeing([ONE], replace(ONE, **periods)) == ()


def test_channels_of_a_period_without_a_total_are_kept() -> None:
    assert _agreeing([ONE], replace(ONE, before=None, year_before=None)) == (ONE,)


def test_a_month_without_channels_has_no_sheet_for_them() -> None:
    assert "Channels" not in sheets().sheetnames


def test_worst_products_are_left_out_if_all_are_among_the_best() -> None:
    shown = [cell.value for row in sheets()["Summary"].iter_rows() for cell in row]
    assert "Best products by gross profit" in shown
    assert "Worst products by gross profit" not in shown
    text = pdf_text(month(["A"]))
    assert "Best products" in text
    assert "Worst products" not in text


@pytest.mark.parametrize(
    ("language", "change", "pattern"),
    [
        ("en", Decimal("0.5"), "[>0.0005]+0.0%;[Red][<-0.0005]-0.0%;0.0%"),
        ("fr", Decimal(0), "[>0.0005]+0.0\u00a0%;[Red][<-0.0005]-0.0\u00a0%;0.0\u00a0%"),
        ("en", Decimal(10), '"> +999%"'),
    ],
)
def test_changes_in_the_workbook_are_shown_as_in_the_pdf(language: str, change: Decimal, pattern: str) -> None:
    sheet = sheets(language, change)["Regions" if language == "en" else "Régions"]
    # After the names and the six figures.
    cell = sheet[2][8]
    assert (cell.value, cell.number_format) == (change, pattern)
