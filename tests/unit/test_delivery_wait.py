"""Reports wait for figures that can be computed, within a limit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from adventureworks.marts import plan
from adventureworks.orchestration import analyses
from adventureworks.settings import Settings

REPORTING = "financial_reporting"


@pytest.mark.parametrize(
    ("runnable", "seconds"),
    [
        ([{"daily_sales_etl"}, {"sales_forecasting"}, set()], 2),
        ([{"daily_sales_etl", REPORTING}], 0),
        ([{"daily_sales_etl"}], analyses.FIGURES_FIRST_SECONDS),
    ],
    ids=["until the figures are computed", "its own figures are newer", "something is never computed"],
)
def test_reports_wait_for_other_figures(
    monkeypatch: pytest.MonkeyPatch, runnable: list[set[str]], seconds: float
) -> None:
    slept: list[float] = []
    answers = iter(runnable)
    monkeypatch.setattr(analyses, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append))
    monkeypatch.setattr(plan, "runnable", lambda _: next(answers, runnable[-1]))
    analyses._let_figures_go_first(Settings(), REPORTING)
    assert sum(slept) == seconds
