"""A server whose clock steps back: what is newest, blocked or due follows from the order in which it was recorded."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import pytest

from adventureworks.catalog import MARTS
from adventureworks.gate import results
from adventureworks.gate.checks import CheckOutcome
from adventureworks.marts import models
from adventureworks.marts.plan import decide_now
from adventureworks.warehouse import decisions, layout, open_warehouse, reuse
from adventureworks.warehouse.postgres import rows_of
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import AssetState, asset_states
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import FOUND
from tests.integration.test_rollback import UNIT, publish, roll_back, rows, sell_more

Outcome = Literal["pass", "warn", "fail"]
TABLE, RULE, ORPHANS = "Sales_SpecialOffer", "key_is_unique", "offer_exists"
TIMES = {
    "publication": "published_at",
    "check_result": "checked_at",
    "change": "detected_at",
    "row_decision": "decided_at",
}


def step_back(pipeline: Pipeline, environment: str = "") -> None:
    """Set the clock back by a day, as seen from the records of an environment."""
    with session_of(pipeline, environment) as session:
        for name, time in TIMES.items():
            session.records.execute(f"update ops.{name} set {time} = {time} + interval '1 day'".encode())


def record(
    pipeline: Pipeline, run: str, rule: str, outcome: Outcome, kind: str = "check", environment: str = ""
) -> None:
    with session_of(pipeline, environment) as session:
        found = CheckOutcome(TABLE, rule, outcome, None if outcome == "pass" else 3, "a message", (), "validity")
        results.record(session.records, f"ingest_source/{run}", [found], kind)


def outcomes(pipeline: Pipeline, environment: str = "") -> dict[str, str]:
    """Return the outcome by rule that the quality report would show of the table."""
    with session_of(pipeline, environment) as session:
        found = rows_of(session.records, models.rendered(MARTS["data_quality"], "checks"), {})
    return {row["rule"]: row["outcome"] for row in found.iter_rows(named=True) if row["table_name"] == TABLE}


def session_of(pipeline: Pipeline, environment: str) -> AbstractContextManager[Session]:
    return open_warehouse(pipeline.settings.model_copy(update={"environment": environment})).connect("test")


def state_of(pipeline: Pipeline, asset: str) -> AssetState:
    with pipeline.session() as session:
        return next(state for state in asset_states(session.records) if state.asset == asset)


def test_the_newest_result_of_a_rule_is_the_one_recorded_last(pipeline: Pipeline) -> None:
    history: tuple[tuple[str, Outcome], ...] = (("first", "fail"), ("second", "pass"), ("third", "warn"))
    for run, outcome in history:
        step_back(pipeline)
        record(pipeline, run, RULE, outcome)
        assert outcomes(pipeline)[RULE] == outcome
        broken = () if outcome == "pass" else (f"{RULE} ({outcome}, 3 rows): a message",)
        assert state_of(pipeline, TABLE).broken_rules == broken


def test_a_broken_reference_counts_until_a_later_run_checks_the_table(pipeline: Pipeline) -> None:
    record(pipeline, "first", ORPHANS, "fail", kind="reference")
    record(pipeline, "first", RULE, "pass")
    assert outcomes(pipeline)[ORPHANS] == "fail"
    step_back(pipeline)
    record(pipeline, "second", RULE, "pass")
    assert ORPHANS not in outcomes(pipeline)


def test_a_table_is_reported_as_blocked_and_then_as_recovered(pipeline: Pipeline) -> None:
    asset, column = "Production_ProductReview", 'alter table "Production"."ProductReview" rename column'
    step_back(pipeline)
    pipeline.change(f'{column} "Rating" to "Stars"')
    pipeline.ingest()
    assert pipeline.settle() == ["data_quality_control"]
    assert pipeline.published(FOUND, (asset,)) == [("newest_reading_is_published", 1, "")]
    step_back(pipeline)
    pipeline.change(f'{column} "Stars" to "Rating"')
    pipeline.ingest()
    assert pipeline.settle() == ["data_quality_control"]
    assert pipeline.published(FOUND, (asset,)) == []
    assert state_of(pipeline, asset).broken_rules == ()


def test_a_rollback_restores_what_was_published_together(pipeline: Pipeline) -> None:
    publish(pipeline, sell_more)
    before = {mart: rows(pipeline, mart) for mart in UNIT}
    step_back(pipeline)
    publish(pipeline, sell_more)
    roll_back(pipeline, 2)
    assert {mart: rows(pipeline, mart) for mart in UNIT} == before


def test_a_decision_ends_with_the_run_that_began_after_it(pipeline: Pipeline) -> None:
    with pipeline.session() as session:
        records = session.records
        decisions.reopen(records, TABLE, ["before"], "ann", "a mistake")
        decisions.take_replays(records, "ingest_source/run")
        decisions.reopen(records, TABLE, ["during"], "ann", "a mistake")
        records.execute(
            "insert into ops.change (run_id, asset, fingerprint, status, source, whole, detected_at)"
            " values ('ingest_source/run', %s, 'f', 'staged', 's', true, current_timestamp + interval '1 day')",
            (TABLE,),
        )
        decisions.end_judged_again(records, TABLE, "ingest_source/run")
        assert decisions.keys(records, TABLE, decisions.REOPENED) == {"during"}


@pytest.mark.parametrize("revision", ["", "0010"])
def test_an_environment_writes_newer_results_than_those_it_copied(pipeline: Pipeline, revision: str) -> None:
    record(pipeline, "first", RULE, "fail")
    record(pipeline, "second", RULE, "warn")
    with session_of(pipeline, "") as base, session_of(pipeline, "pr_42") as here:
        layout.set_revision(base.records, revision)
        base.commit()
        reuse.reuse(base, here)
    assert outcomes(pipeline, "pr_42")[RULE] == "warn"
    step_back(pipeline, "pr_42")
    record(pipeline, "third", RULE, "pass", environment="pr_42")
    assert outcomes(pipeline, "pr_42")[RULE] == "pass"


def test_results_copied_from_records_of_the_previous_release_are_older_than_all_later_ones(pipeline: Pipeline) -> None:
    history: tuple[tuple[str, Outcome, str], ...] = (
        ("first", "fail", "0010"),
        ("second", "warn", "0010"),
        ("third", "pass", ""),
    )
    for run, outcome, revision in history:
        with session_of(pipeline, "") as base:
            layout.set_revision(base.records)
        record(pipeline, run, RULE, outcome)
        with session_of(pipeline, "") as base, session_of(pipeline, "pr_42") as here:
            layout.set_revision(base.records, revision)
            base.commit()
            reuse.reuse(base, here)
        assert outcomes(pipeline, "pr_42")[RULE] == outcome


def test_nothing_is_due_in_an_environment_that_has_only_copied(pipeline: Pipeline) -> None:
    with session_of(pipeline, "") as base, session_of(pipeline, "pr_42") as here:
        reuse.reuse(base, here)
    with session_of(pipeline, "pr_42") as here:
        assert decide_now(pipeline.settings, here).behind == {}
