"""The real data is complete, and the loss of half of a month's sales is noticed."""

import duckdb
import pytest

from tests.acceptance.losses import LOSSES, RULES, DamagedSource, Loss
from tests.acceptance.report import Report

UNNOTICED = {"the same, all of the second half of the month": 2}
"""Months of which the first or the last orders of all are lost, which leaves no gap. All others are noticed."""


@pytest.fixture(scope="module")
def source(files: duckdb.DuckDBPyConnection) -> DamagedSource:
    """The real data, one month of which can be damaged."""
    return DamagedSource(files)


def test_the_real_data_breaks_no_rule_about_losses(source: DamagedSource) -> None:
    assert source.broken() == {}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_loss_of_half_a_month_is_noticed(source: DamagedSource, report: Report, loss: Loss) -> None:
    months, noticed = source.noticed(loss)
    assert months - noticed["any"] == UNNOTICED.get(loss.name, 0)
    report.losses.append((loss.name, months, noticed))


def test_each_rule_notices_some_losses(report: Report) -> None:
    assert {rule for _, _, noticed in report.losses for rule, months in noticed.items() if months} == {"any", *RULES}
