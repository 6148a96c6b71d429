"""Decisions from facts: which analyses are due, which wait, and for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, feeds_of, marts_of, outside_inputs, required_tables
from adventureworks.catalog.readers import dependants_of
from adventureworks.due import (
    NO_BUSINESS_DATE,
    Check,
    Decisions,
    Facts,
    NothingToDo,
    Plan,
    Refusal,
    Version,
    decide,
    digest_of,
    foresee,
)
from adventureworks.texts import language, phrase, verbatim

ORDERS, LINES = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail"
DAY = date(2014, 6, 30)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
CHECKED = [*SOURCE_TABLES, *(name for name, mart in MARTS.items() if not mart.tolerant)]


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def settled() -> Facts:
    """Return facts in which everything was published once and every mart is computed from the newest versions."""
    tables = {name: (Version(1, minute(0), as_of=DAY if name == ORDERS else None),) for name in SOURCE_TABLES}
    marts = {
        name: (
            Version(
                1,
                minute(1),
                inputs=dict.fromkeys(feeds_of(mart), 1),
                model="m",
                as_of=DAY,
                checks=dict.fromkeys(CHECKED, "1") if mart.tolerant else {},
            ),
        )
        for name, mart in MARTS.items()
    }
    return Facts(
        DAY,
        {**tables, **marts},
        dict.fromkeys(MARTS, "m"),
        as_of_since=minute(0),
        checks=dict.fromkeys(CHECKED, Check("1", minute(0))),
    )


def checked(facts: Facts, at: int, *assets: str) -> Facts:
    """Return the facts after tables were read or marts checked, with or without a new version."""
    marks = {asset: f"{facts.checks[asset].mark}+" for asset in assets if asset in facts.checks}
    return replace(facts, checks={**facts.checks, **{asset: Check(mark, minute(at)) for asset, mark in marks.items()}})


def changed(facts: Facts, at: int, *tables: str, months: tuple[str, ...] | None = None, day: date = DAY) -> Facts:
    """Return the facts with a new version of source tables; a later `day` of the orders moves the business date."""
    versions = dict(facts.versions)
    for table in tables:
        number = versions[table][-1].number + 1
        version = Version(number, minute(at), months, as_of=day if table == ORDERS else None)
        versions[table] = (*versions[table], version)
    since = minute(at) if day > facts.as_of else facts.as_of_since
    found = replace(facts, versions=versions, as_of=max(day, facts.as_of), as_of_since=since)
    return checked(found, at, *tables)


def computed(facts: Facts, dag: str, at: int) -> Facts:
    """Return the facts after a run of the analysis that published what its plan says."""
    plan = decide(facts).steps[dag]
    assert isinstance(plan, Plan)
    versions = dict(facts.versions)
    for name, months in plan.months.items():
        inputs = {asset: plan.inputs[asset] for asset in feeds_of(MARTS[name]) if asset in plan.inputs}
        number = versions[name][-1].number + 1 if name in versions else 1
        new = Version(number, minute(at), months, inputs, facts.models[name], facts.as_of, plan.checks)
        versions[name] = (*versions.get(name, ()), new)
    return checked(replace(facts, versions=versions), at, *plan.months)


def refused(facts: Facts, dag: str) -> Facts:
    plan = decide(facts).steps[dag]
    assert isinstance(plan, Plan)
    refusal = Refusal(plan.inputs, digest_of(dag, facts.models), facts.as_of, plan.checks)
    return replace(facts, refusals={**facts.refusals, dag: refusal})


def waiting(decisions: Decisions) -> set[str]:
    return {dag for dag, step in decisions.steps.items() if isinstance(step, NothingToDo) and step.waits}


def test_nothing_is_due_when_every_mart_is_computed_from_the_newest_versions() -> None:
    decisions = decide(settled())
    assert decisions.runnable == {}
    assert decisions.behind == {}


def test_an_analysis_names_the_tables_that_the_source_does_not_offer() -> None:
    facts = settled()
    territories = "Sales_SalesTerritory"
    dependent = [dag for dag in ANALYSES if territories in required_tables(dag)]
    gone = {territories, *(mart.name for dag in dependent for mart in marts_of(dag))}
    facts = replace(
        facts,
        versions={name: found for name, found in facts.versions.items() if name not in gone},
        not_offered=frozenset({territories}),
    )
    decisions = decide(facts)
    reason = phrase("the source does not offer {tables}", tables=territories)
    assert dependent
    assert {dag: decisions.steps[dag] for dag in dependent} == dict.fromkeys(dependent, NothingToDo(reason))
    assert decisions.behind == {}


def test_a_new_business_date_makes_marts_due_even_without_changed_inputs() -> None:
    later = changed(settled(), 5, ORDERS, LINES, months=("2014-07",), day=date(2014, 7, 1))
    decisions = decide(later)
    assert decisions.runnable.keys() == {"daily_sales_etl", "production_costs"}
    assert decisions.behind.keys() == MARTS.keys()
    cause = decisions.behind["bill_of_materials_cost"]
    assert (str(cause.reason), cause.since) == ("the business date moved to July 1, 2014", minute(5))
    assert cause.reason.shown(language("fr")) == "la date de référence est passée au 1er juillet 2014"
    plan = decisions.runnable["daily_sales_etl"]
    assert plan.months["fact_sales"] == ("2014-06", "2014-07"), "and the days between the two business dates"


def test_an_analysis_computes_only_the_changed_month() -> None:
    plan = decide(changed(settled(), 5, ORDERS, LINES, months=("2013-02",))).runnable["daily_sales_etl"]
    assert plan.months == dict.fromkeys(("fact_sales", "daily_sales", "customer_days"), ("2013-02",))


def test_months_with_changed_completeness_and_their_echoes_are_computed_too() -> None:
    sold = computed(changed(settled(), 5, ORDERS, LINES, months=("2013-02",)), "daily_sales_etl", 6)
    facts = replace(sold, completeness_changed={"territory_sales": frozenset({"2013-03"})})
    plan = decide(facts).runnable["sales_territory_analysis"]
    assert plan.months["territory_sales"] == ("2013-01", "2013-02", "2013-03", "2014-01", "2014-02", "2014-03")


@pytest.mark.parametrize(
    ("month", "day", "expected"),
    [
        ("2013-05", date(2014, 6, 30), ("2013-04", "2013-05", "2014-04", "2014-05")),
        ("2013-06", date(2014, 6, 30), ("2013-05", "2013-06", "2014-05", "2014-06")),
        ("2013-07", date(2014, 6, 30), ("2013-06", "2013-07", "2014-06")),
        # Months that the last version has are emptied.
        ("2013-06", date(2014, 5, 31), ("2013-05", "2013-06", "2014-04", "2014-05", "2014-06")),
    ],
)
def test_months_after_the_business_date_are_not_computed(month: str, day: date, expected: tuple[str, ...]) -> None:
    facts = replace(changed(settled(), 5, ORDERS, LINES, months=(month,)), as_of=day)
    step = decide(computed(facts, "daily_sales_etl", 6)).steps["sales_territory_analysis"]
    assert isinstance(step, Plan)
    assert step.months["territory_sales"] == expected


def test_a_changed_model_is_due_and_its_readers_wait() -> None:
    facts = settled()
    facts = replace(facts, models={**facts.models, "territory_sales": "new"})
    decisions = decide(facts)
    assert decisions.runnable.keys() == {"sales_territory_analysis"}
    assert decisions.runnable["sales_territory_analysis"].months == {"territory_sales": None}
    assert waiting(decisions) == {"sales_forecasting", "data_quality_control"}
    assert set(decisions.behind) == {"territory_sales", "sales_forecast", "forecast_accuracy", "data_quality"}
    assert decisions.behind["territory_sales"].since is None, "the time of a model's change is unknown"


def test_a_refused_analysis_is_not_started_again_until_something_changes() -> None:
    facts = refused(changed(settled(), 5, ORDERS, LINES, months=("2013-02",)), "daily_sales_etl")
    decisions = decide(facts)
    assert decisions.runnable.keys() == {"data_quality_control"} | {
        dag for dag in ANALYSES if {ORDERS, LINES} & set(outside_inputs(dag)) and isinstance(decisions.steps[dag], Plan)
    } - {"daily_sales_etl"}
    assert "refused" in str(decisions.behind["fact_sales"].reason)
    step = decisions.steps["sales_person_performance"]
    assert isinstance(step, NothingToDo)
    assert step.stuck, "it would combine newer orders with sales computed from older ones"
    assert isinstance(decisions.steps["customer_retention"], NothingToDo)
    assert not decisions.steps["customer_retention"].waits, "it reads only the last good sales"
    for later in (
        changed(facts, 7, LINES, months=("2013-02",)),
        replace(facts, models={**facts.models, "daily_sales": "new"}),
        replace(facts, as_of=date(2014, 7, 1)),
    ):
        assert "daily_sales_etl" in decide(later).runnable


def test_the_first_business_date_concerns_all_months_of_what_was_computed_before_there_were_orders() -> None:
    facts = settled()
    orderless = tuple(replace(version, as_of=NO_BUSINESS_DATE) for version in facts.versions["late_work_orders"])
    assert MARTS["late_work_orders"].incremental
    step = decide(replace(facts, versions={**facts.versions, "late_work_orders": orderless})).steps["production_costs"]
    assert isinstance(step, Plan)
    assert step.months["late_work_orders"] is None


def test_a_refused_data_quality_report_is_computed_again_after_the_next_check() -> None:
    facts = refused(checked(settled(), 2, "Sales_Store"), "data_quality_control")
    assert decide(facts).runnable == {}
    assert decide(checked(facts, 3, "Sales_Store")).runnable.keys() == {"data_quality_control"}


def test_the_data_quality_report_is_due_until_it_has_read_the_last_check_of_each_table_and_mart() -> None:
    facts = checked(settled(), -60, "Sales_Store")
    decisions = decide(facts)
    assert decisions.runnable.keys() == {"data_quality_control"}
    cause = decisions.behind["data_quality"]
    assert (str(cause.reason), cause.since) == ("tables or marts were checked since then", minute(-60))
    reported = computed(facts, "data_quality_control", 5)
    assert decide(reported).runnable == {}
    # A check may have been recorded while the report was computed.
    assert decide(checked(reported, 4, "fact_sales")).runnable.keys() == {"data_quality_control"}


def test_the_data_quality_report_does_not_wait_for_analyses_that_do_not_run() -> None:
    facts = changed(settled(), 5, "Production_WorkOrderRouting")
    assert "data_quality_control" in waiting(decide(facts))
    for trouble in (mart.name for mart in marts_of("production_costs")):
        assert "data_quality_control" in decide(replace(facts, in_trouble=frozenset({trouble}))).runnable


def test_an_input_that_was_never_published_blocks_only_its_readers() -> None:
    facts = settled()
    facts = replace(
        facts, versions={name: found for name, found in facts.versions.items() if name != "Sales_CreditCard"}
    )
    step = decide(facts).steps["credit_card_analysis"]
    assert isinstance(step, NothingToDo)
    assert (str(step.reason), step.waits) == ("Sales_CreditCard was never published", False)
    assert decide(changed(facts, 5, "Production_WorkOrder")).runnable.keys() == {
        "production_costs",
        "inventory_management",
    }


def test_a_reason_names_only_some_of_many_inputs() -> None:
    facts = computed(changed(settled(), 5, *SOURCE_TABLES), "daily_sales_etl", 6)
    reason = str(decide(facts).behind["inventory_status"].reason)
    assert reason == "fact_sales, Production_Product and 7 more are newer"


MOST_EVENTS = 40
events = st.lists(
    st.tuples(
        st.sampled_from(["source", "check", "day", "model", "run", "run", "run", "refuse"]),
        st.integers(0, 10_000),
    ),
    max_size=MOST_EVENTS,
)


@hypothesis_settings(max_examples=50)
@given(events)
def test_after_any_events_all_marts_become_fresh_from_consistent_inputs_and_are_computed_once(
    history: list[tuple[str, int]],
) -> None:
    at = len(history) + 2
    facts = _after(history, range(2, at))
    # Changed models clear all remaining refusals.
    facts = replace(facts, models={name: f"{digest}+" for name, digest in facts.models.items()})
    for _ in ANALYSES:
        for dag in decide(facts).runnable:
            at += 1
            if dag in decide(facts).runnable:
                facts = _run(facts, dag, at)
    decisions = decide(facts)
    assert decisions.behind == {}
    assert decisions.runnable == {}
    newest = {asset: versions[-1].number for asset, versions in facts.versions.items()}
    for name in MARTS:
        read = facts.versions[name][-1].inputs
        assert read == {asset: newest[asset] for asset in read}


@hypothesis_settings(max_examples=20)
@given(events, st.lists(st.integers(-10_000, 10_000), min_size=MOST_EVENTS, max_size=MOST_EVENTS))
def test_no_decision_depends_on_the_clock(history: list[tuple[str, int]], times: list[int]) -> None:
    steady, moved = _after(history, range(2, MOST_EVENTS + 2)), _after(history, times)
    assert decide(moved).steps == decide(steady).steps


def _after(history: Sequence[tuple[str, int]], times: Sequence[int]) -> Facts:
    """Return the facts after events, each at one of these minutes."""
    facts = settled()
    for step, ((kind, number), at) in enumerate(zip(history, times, strict=False)):
        runnable = sorted(decide(facts).runnable)
        if kind == "source":
            table = sorted(SOURCE_TABLES)[number % len(SOURCE_TABLES)]
            facts = changed(facts, at, table, months=("2014-05",), day=facts.as_of)
        elif kind == "check":
            facts = checked(facts, at, CHECKED[number % len(CHECKED)])
        elif kind == "day":
            facts = changed(facts, at, ORDERS, months=("2014-07",), day=facts.as_of + timedelta(days=1))
        elif kind == "model":
            name = sorted(MARTS)[number % len(MARTS)]
            facts = replace(facts, models={**facts.models, name: f"m{step}"})
        elif runnable:
            dag = runnable[number % len(runnable)]
            facts = refused(facts, dag) if kind == "refuse" else _run(facts, dag, at)
    return facts


def _run(facts: Facts, dag: str, at: int) -> Facts:
    """Run an analysis, and assert that its inputs are consistent with each other and that it is not due again."""
    plan = decide(facts).steps[dag]
    assert isinstance(plan, Plan)
    if not any(mart.tolerant for mart in marts_of(dag)):
        read: dict[str, set[int]] = defaultdict(set)
        for asset, number in plan.inputs.items():
            for name, version in _upstream_versions(facts, asset, number):
                read[name].add(version)
        assert {name: versions for name, versions in read.items() if len(versions) > 1} == {}, "inconsistent"
    after = computed(facts, dag, at)
    again = decide(after).steps[dag]
    assert isinstance(again, NothingToDo), "it is not due again"
    return after


def _upstream_versions(facts: Facts, asset: str, number: int) -> Iterator[tuple[str, int]]:
    """Yield an asset's version, and the versions of everything upstream of it."""
    yield asset, number
    if asset in MARTS:
        [version] = [one for one in facts.versions[asset] if one.number == number]
        for name, read in version.inputs.items():
            yield from _upstream_versions(facts, name, read)


def test_a_mart_without_a_new_input_is_behind_and_its_readers_never_mix_versions() -> None:
    facts = changed(settled(), 5, ORDERS, LINES, months=("2013-02",))
    facts = replace(
        facts,
        versions={name: found for name, found in facts.versions.items() if name != "Production_ProductCostHistory"},
    )
    decisions = decide(facts)
    assert "was never published" in str(decisions.behind["fact_sales"].reason)
    step = decisions.steps["sales_person_performance"]
    assert isinstance(step, NothingToDo), "its orders would be newer than its sales"
    assert step.waits


def test_readers_use_the_last_version_while_a_changed_model_does_not_run() -> None:
    facts = changed(settled(), 5, "Production_ProductInventory")
    facts = replace(facts, models={**facts.models, "fact_sales": "broken"})
    assert "inventory_management" in waiting(decide(facts)), "it will be published in a moment"
    assert "inventory_management" in decide(replace(facts, in_trouble=frozenset({"daily_sales_etl"}))).runnable


@pytest.mark.parametrize("dag", ANALYSES)
def test_no_two_analyses_wait_for_each_other(dag: str) -> None:
    seen, pending = set(), {dag}
    while pending:
        one = pending.pop()
        seen.add(one)
        read = {MARTS[name].dag for name in outside_inputs(one) if name in MARTS}
        assert dag not in read
        pending |= read - seen


def test_requested_months_are_computed_and_then_the_months_in_which_readers_show_them() -> None:
    steps = foresee(settled(), {"fact_sales": ("2013-02",)})
    months = {name: found for step in steps.values() if isinstance(step, Plan) for name, found in step.months.items()}
    assert next(iter(steps)) == "daily_sales_etl"
    assert months["daily_sales"] == ("2013-02",)
    assert months["territory_sales"] == ("2013-01", "2013-02", "2014-01", "2014-02"), (
        "orders may count towards the month before, and growth is shown a year later"
    )
    assert months["customer_value"] is None
    assert months.keys() == {"fact_sales", "data_quality", *dependants_of("fact_sales").marts}
    order = list(steps)
    assert (
        order.index("sales_territory_analysis") < order.index("sales_forecasting") < order.index("data_quality_control")
    )


def test_an_analysis_that_is_rolled_back_is_not_due_and_its_readers_go_on() -> None:
    facts = replace(
        changed(settled(), 5, ORDERS, LINES, months=("2013-02",)),
        rolled_back={"daily_sales_etl": "fact_sales is rolled back"},
    )
    decisions = decide(facts)
    step = decisions.steps["daily_sales_etl"]
    assert isinstance(step, NothingToDo)
    assert (step, step.is_rolled_back) == (NothingToDo(verbatim("fact_sales is rolled back")), True)
    assert "credit_card_analysis" in decisions.runnable, "it also reads the orders"
    assert not decisions.behind.keys() & {"fact_sales", "daily_sales"}
