"""Which due analyses may be started: not those that are paused, on their way, or failed a moment ago."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from adventureworks.due import decide
from adventureworks.starts import FIRST_PAUSE, MOST_FAILURES, DagState, may_start
from tests.unit.test_due import changed, minute, settled

DAG = "production_costs"
DUE = decide(changed(settled(), 5, "Production_WorkOrderRouting"))
IDLE = DagState(is_paused=False, is_active=False)


def failed(*ended: datetime) -> DagState:
    return DagState(False, False, tuple((end - timedelta(seconds=9), end) for end in ended))


def test_a_due_analysis_that_nobody_runs_may_start() -> None:
    assert may_start(DUE, {DAG: IDLE}, minute(6)).keys() == {DAG}


@pytest.mark.parametrize("state", [DagState(True, False), DagState(False, True)], ids=["paused", "on its way"])
def test_one_that_is_paused_or_on_its_way_is_left_alone(state: DagState) -> None:
    assert may_start(DUE, {DAG: state}, minute(6)) == {}


def test_one_that_airflow_does_not_know_yet_is_left_alone() -> None:
    assert may_start(DUE, {}, minute(6)) == {}


def test_after_a_failure_there_is_a_pause_that_grows_and_an_end() -> None:
    first = minute(6)
    assert may_start(DUE, {DAG: failed(first)}, first + FIRST_PAUSE / 2) == {}
    assert may_start(DUE, {DAG: failed(first)}, first + FIRST_PAUSE).keys() == {DAG}
    second = first + timedelta(minutes=1)
    assert may_start(DUE, {DAG: failed(first, second)}, second + FIRST_PAUSE) == {}
    assert may_start(DUE, {DAG: failed(first, second)}, second + 4 * FIRST_PAUSE).keys() == {DAG}
    assert may_start(DUE, {DAG: failed(*[first] * MOST_FAILURES)}, first + timedelta(days=1)) == {}


def test_failures_from_before_it_became_due_do_not_count() -> None:
    assert may_start(DUE, {DAG: failed(*[minute(4)] * MOST_FAILURES)}, minute(5)).keys() == {DAG}


def test_the_same_computation_has_the_same_name_and_another_one_another() -> None:
    [name] = may_start(DUE, {DAG: IDLE}, minute(6)).values()
    assert [name] == list(may_start(DUE, {DAG: failed(minute(6))}, minute(60)).values())
    later = decide(changed(changed(settled(), 5, "Production_WorkOrderRouting"), 6, "Production_WorkOrderRouting"))
    assert [name] != list(may_start(later, {DAG: IDLE}, minute(7)).values())
