"""The real data is complete, and the loss of half of a month's sales is noticed."""

import duckdb
import pytest

from tests.acceptance.losses import LOSSES, DamagedSource, Loss
from tests.acceptance.report import Report

UNNOTICED = {"the same, all of the second half of the month": 2}
"""Months of which the first or the last orders of all are lost, which leaves no gap. All others are noticed."""
BY_ORDERS = {
    "orders and lines": 36,
    "orders, lines and movements": 36,
    "the same, only online": 32,
    "the same, only resellers": 32,
    "the same, all of the second half of the month": 35,
    "only movements": 0,
}
"""Months that are noticed even if no number is missing and no movement remains."""


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
    assert noticed["months_have_their_orders"] == BY_ORDERS[loss.name]
    report.losses.append((loss.name, months, noticed))
