"""Which due analyses may be started: not those that are paused, active, or failed a moment ago."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adventureworks.airflow_tables import DagState
from adventureworks.due import decide
from adventureworks.starts import FIRST_PAUSE, MOST_TRIES, may_start, next_starts
from tests.unit.test_due import ORDERS, changed, minute, refused, settled

DAG = "production_costs"
DUE = decide(changed(settled(), 5, "Production_WorkOrderRouting"))
IDLE = DagState(is_paused=False, is_active=False)
[FIRST_RUN] = may_start(DUE, {DAG: IDLE}, minute(6)).values()


def tried(*ended: datetime, run: str = FIRST_RUN) -> DagState:
    """Return the state after runs that ended without completing the same computation or delivery."""
    runs = tuple((f"{run[:-1]}{number}", end) for number, end in enumerate(ended))
    return DagState(is_paused=False, is_active=False, tried=runs)


def test_due_analysis_without_a_run_may_start() -> None:
    assert may_start(DUE, {DAG: IDLE}, minute(6)).keys() == {DAG}


@pytest.mark.parametrize("state", [DagState(True, False), DagState(False, True)], ids=["paused", "active"])
def test_paused_or_active_analysis_is_not_started(state: DagState) -> None:
    assert may_start(DUE, {DAG: state}, minute(6)) == {}


def test_analysis_unknown_to_airflow_is_not_started() -> None:
    assert may_start(DUE, {}, minute(6)) == {}


def test_failed_run_is_followed_by_a_pause() -> None:
    failed = DagState(is_paused=False, is_active=False, failed_at=minute(6))
    assert may_start(DUE, {DAG: failed}, minute(6) + FIRST_PAUSE / 2) == {}
    assert may_start(DUE, {DAG: failed}, minute(6) + FIRST_PAUSE).keys() == {DAG}


def test_pause_grows_with_each_try_until_the_last_one() -> None:
    first, second = minute(6), minute(7)
    assert may_start(DUE, {DAG: tried(first)}, first + FIRST_PAUSE).keys() == {DAG}
    assert may_start(DUE, {DAG: tried(first, second)}, second + FIRST_PAUSE) == {}
    assert may_start(DUE, {DAG: tried(first, second)}, second + 4 * FIRST_PAUSE).keys() == {DAG}
    assert may_start(DUE, {DAG: tried(*[first] * MOST_TRIES)}, first + timedelta(days=1)) == {}


def test_next_start_is_known_during_the_pause_unless_no_tries_are_left() -> None:
    first, second = minute(6), minute(7)
    assert next_starts(DUE, {DAG: IDLE})[DAG].at is None
    assert next_starts(DUE, {DAG: tried(first, second)})[DAG].at == second + 4 * FIRST_PAUSE
    assert next_starts(DUE, {DAG: replace(tried(first), failed_at=second)})[DAG].at == second + FIRST_PAUSE
    assert next_starts(DUE, {DAG: tried(*[first] * MOST_TRIES)}) == {}
    assert next_starts(DUE, {DAG: DagState(is_paused=True, is_active=False, failed_at=first)}) == {}


def test_new_computation_has_its_own_tries() -> None:
    exhausted = {DAG: tried(*[minute(6)] * MOST_TRIES)}
    facts = changed(settled(), 5, "Production_WorkOrderRouting")
    assert may_start(decide(changed(facts, 7, "Production_WorkOrderRouting")), exhausted, minute(8)).keys() == {DAG}
    fixed = replace(facts, models={**facts.models, "production_costs": "fixed"})
    assert may_start(decide(fixed), exhausted, minute(8)).keys() == {DAG}


def test_each_try_has_its_own_run_id_which_two_dispatchers_share() -> None:
    [again] = may_start(DUE, {DAG: IDLE}, minute(60)).values()
    assert again == FIRST_RUN
    [second] = may_start(DUE, {DAG: tried(minute(6))}, minute(60)).values()
    assert (second[:-1], second[-1], FIRST_RUN[-1]) == (FIRST_RUN[:-1], "1", "0")


def test_undelivered_reports_restart_their_analysis_unless_it_must_compute() -> None:
    facts = replace(settled(), undelivered=frozenset({"financial_reporting"}))
    idle = {"financial_reporting": IDLE}
    [delivery] = may_start(decide(facts), idle, minute(6)).values()
    assert may_start(decide(settled()), idle, minute(6)) == {}
    waiting = decide(changed(facts, 5, ORDERS))
    assert may_start(waiting, idle, minute(6)) == {}, "its event starts it after daily_sales_etl"
    exhausted = {"financial_reporting": tried(*[minute(6)] * MOST_TRIES, run=delivery)}
    assert may_start(decide(facts), exhausted, minute(60 * 24)) == {}
    versions = {**facts.versions, "monthly_profit": (replace(facts.versions["monthly_profit"][-1], model=None),)}
    assert may_start(decide(replace(facts, versions=versions)), exhausted, minute(60 * 24)).keys() == {
        "financial_reporting"
    }, "a computation has its own tries"
    refusing = refused(changed(facts, 5, "Production_ProductSubcategory"), "financial_reporting")
    assert may_start(decide(refusing), idle, minute(6)) == {}, "a run that its gate ends delivers nothing"
