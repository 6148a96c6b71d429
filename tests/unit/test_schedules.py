"""The settings that the DAGs share."""

from __future__ import annotations

from adventureworks.catalog import ANALYSES, INGESTION
from adventureworks.orchestration.schedules import settings_for


def test_what_most_others_wait_for_starts_first_and_then_what_takes_longest() -> None:
    weights = {dag: settings_for(dag)["default_args"]["priority_weight"] for dag in (INGESTION, *ANALYSES)}
    first, second, third, *_ = sorted(weights, key=lambda dag: weights[dag], reverse=True)
    assert (first, second, third) == (INGESTION, "daily_sales_etl", "sales_territory_analysis")
    assert weights[third] > weights["customer_analytics"] > weights["credit_card_analysis"]
    assert min(weights, key=lambda dag: weights[dag]) == "data_quality_control"
