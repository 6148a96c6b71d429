"""Decisions about which tables of a batch are blocked, and why, based on findings only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.verdict import FAILED, Batch, Findings, Limits, Reason, SetAside, decide, too_many

ORDERS, LINES, CUSTOMERS, PEOPLE = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail", "Sales_Customer", "Person_Person"
SHIPPING = "Purchasing_ShipMethod"
"""A table that is not in a unit with others."""
LIMITS = Limits(share=0.01, floor=2)
ALL = frozenset(SOURCE_TABLES)


def outcome(table: str, rule: str = "a_rule", result: str = "fail", failed: int | None = 1) -> CheckOutcome:
    return CheckOutcome(table, rule, result, failed, f"{rule} of {table}.", ("ID=1",), "validity")  # type: ignore[arg-type]


def aside(bad: int, delivered: int) -> SetAside:
    return SetAside(bad, delivered, f"a rule ({bad})", ("ID=1",))


def blocked_by(found: Findings, batch: Batch | None = None) -> dict[str, str]:
    """Return the first broken rule of each blocked table."""
    batch = batch or Batch(tables=ALL, published=ALL)
    rules: dict[str, str] = {}
    for reason in decide(batch, found, LIMITS):
        rules.setdefault(reason.table, reason.rule)
    return rules


IN_ORDER = [
    Findings(losses=[outcome(SHIPPING, "lost")]),
    Findings(set_aside={SHIPPING: aside(9, 9)}),
    Findings(orphans=[outcome(SHIPPING, "orphaned")]),
    Findings(checks=[outcome(SHIPPING, "checked")]),
    Findings(checks=[outcome(PEOPLE, "between")], reads={(PEOPLE, "between"): frozenset({SHIPPING})}),
    Findings(shapes=[outcome(SHIPPING, "shaped")]),
]
"""Each blocks one table; in order of precedence."""


@pytest.mark.parametrize("place", range(len(IN_ORDER) - 1))
def test_the_first_reason_counts(place: int) -> None:
    first, second = IN_ORDER[place : place + 2]
    both = Findings(
        losses=[*first.losses, *second.losses],
        set_aside={**first.set_aside, **second.set_aside},
        orphans=[*first.orphans, *second.orphans],
        checks=[*second.checks, *first.checks],
        reads={**first.reads, **second.reads},
        shapes=[*first.shapes, *second.shapes],
    )
    assert blocked_by(both, WITHOUT_PEOPLE) == blocked_by(first, WITHOUT_PEOPLE) != blocked_by(second, WITHOUT_PEOPLE)


def test_a_reason_quotes_the_finding_and_keeps_evidence_that_is_not_recorded_elsewhere() -> None:
    lost, orphaned = outcome(SHIPPING, "lost"), outcome(ORDERS, "orphaned")
    unreadable = Batch(ALL - {LINES, PEOPLE}, frozenset({LINES, PEOPLE}), {CUSTOMERS: {PEOPLE}}, ALL - {PEOPLE})
    found = Findings(losses=[lost, outcome(ORDERS, "lost")], orphans=[orphaned], set_aside={"Sales_Store": aside(3, 4)})
    reasons = {(reason.table, reason.rule): reason for reason in decide(unreadable, found, LIMITS)}
    assert reasons[SHIPPING, "lost"] == Reason(SHIPPING, "lost", f"lost of {SHIPPING}. For example ID=1.", lost)
    assert (ORDERS, "lost") in reasons, "losses are reported although the unit has to wait anyway"
    assert (ORDERS, "orphaned") not in reasons
    assert reasons[CUSTOMERS, "parent_is_published"].cause == (
        f"waits for {PEOPLE}, to which it refers and which was never published."
    )
    [mate] = unit_of(ORDERS) - {ORDERS, LINES}
    assert reasons[mate, "unit_is_whole"].cause.startswith("waits for Sales_SalesOrderDetail, Sales_SalesOrderHeader,")
    assert reasons["Sales_Store", "few_rows_are_set_aside"].cause == (
        "3 of 4 rows break a rule, more than 1.0%: a rule (3). For example ID=1."
    )
    assert [table for (table, _), reason in reasons.items() if reason.evidence] == [SHIPPING, ORDERS]


def test_the_shape_of_a_change_is_ignored_if_another_table_of_the_unit_is_blocked() -> None:
    found = Findings(checks=[outcome(ORDERS)], shapes=[outcome(LINES, "shaped")])
    assert blocked_by(found)[LINES] == "unit_is_whole"


def test_orphans_are_not_a_reason_if_too_many_rows_are_set_aside() -> None:
    reasons = decide(
        Batch(ALL, published=ALL),
        Findings(set_aside={SHIPPING: aside(9, 9)}, orphans=[outcome(SHIPPING)]),
        LIMITS,
    )
    assert [(reason.table, reason.rule) for reason in reasons] == [(SHIPPING, "few_rows_are_set_aside")]


@pytest.mark.parametrize(
    ("published", "approved", "of_parent", "of_child"),
    [
        (ALL - {SHIPPING, CUSTOMERS}, {}, "few_rows_are_set_aside", "parent_is_published"),
        (ALL - {SHIPPING}, {SHIPPING: {"few_rows_are_set_aside"}}, None, "few_rows_are_set_aside"),
        (ALL, {}, "few_rows_are_set_aside", "few_rows_are_set_aside"),
    ],
)
def test_a_table_that_lacks_rows_of_a_refused_one_waits_for_it_if_that_was_never_published(
    published: frozenset[str], approved: dict[str, set[str]], of_parent: str | None, of_child: str
) -> None:
    batch = Batch(ALL, parents={CUSTOMERS: {SHIPPING, CUSTOMERS}}, published=published, approved=approved)
    rules = blocked_by(Findings(set_aside={CUSTOMERS: aside(9, 9), SHIPPING: aside(9, 9)}), batch)
    assert (rules.get(SHIPPING), rules[CUSTOMERS]) == (of_parent, of_child)


BETWEEN = {(PEOPLE, "between"): frozenset({PEOPLE, CUSTOMERS, SHIPPING})}
WITHOUT_PEOPLE = Batch(tables=ALL - {PEOPLE}, published=ALL)


@pytest.mark.parametrize(
    ("found", "blocked"),
    [
        (Findings(), {}),
        (Findings(losses=[outcome(SHIPPING)]), {SHIPPING: "a_rule"}),
        (Findings(set_aside={SHIPPING: aside(2, 5)}), {}),
        (Findings(set_aside={SHIPPING: aside(3, 5)}), {SHIPPING: "few_rows_are_set_aside"}),
        (Findings(set_aside={SHIPPING: aside(1, 1)}), {SHIPPING: "few_rows_are_set_aside"}),
        (Findings(set_aside={SHIPPING: aside(1, 2)}), {}),
        (Findings(set_aside={SHIPPING: aside(3, 300)}), {}),
        (Findings(set_aside={SHIPPING: aside(3, 299)}), {SHIPPING: "few_rows_are_set_aside"}),
        (Findings(orphans=[outcome(SHIPPING)]), {SHIPPING: "a_rule"}),
        (Findings(checks=[outcome(SHIPPING, result="pass"), outcome(SHIPPING, result="warn")]), {}),
        (Findings(checks=[outcome(SHIPPING, result="error")]), {SHIPPING: "a_rule"}),
        (Findings(shapes=[outcome(SHIPPING, result="warn")]), {}),
        (Findings(shapes=[outcome(SHIPPING)]), {SHIPPING: "a_rule"}),
        (Findings(checks=[outcome(LINES)]), {LINES: "a_rule", ORDERS: "unit_is_whole"}),
    ],
)
def test_a_failed_finding_blocks_the_table_and_its_unit(found: Findings, blocked: dict[str, str]) -> None:
    units = {mate: "unit_is_whole" for table in blocked for mate in unit_of(table)}
    assert blocked_by(found) == units | blocked


@pytest.mark.parametrize(
    ("result", "failed", "published", "blames"),
    [
        ("fail", 2, {}, True),
        ("fail", 2, {(PEOPLE, "between"): 1}, True),
        ("fail", 2, {(PEOPLE, "between"): 2}, False),
        ("error", 2, {}, False),
        ("fail", None, {}, False),
        ("warn", 2, {}, False),
    ],
)
def test_a_rule_of_an_unchanged_table_blocks_the_changed_tables_that_break_it(
    result: str, failed: int | None, published: dict[tuple[str, str], int], blames: bool
) -> None:
    checks = [outcome(PEOPLE, "between", result, failed)]
    found = Findings(checks=checks, reads=BETWEEN, published=published)
    expected = {CUSTOMERS, SHIPPING} if blames else set()
    assert {table for table, rule in blocked_by(found, WITHOUT_PEOPLE).items() if rule == "between"} == expected
    if blames:
        kept = [reason.evidence for reason in decide(WITHOUT_PEOPLE, found, LIMITS) if reason.table == SHIPPING]
        assert [one and (one.table, one.failed) for one in kept] == [(SHIPPING, failed)]


def test_a_rule_of_a_previously_blocked_table_blocks_the_tables_that_break_it() -> None:
    batch = Batch(ALL, frozenset({PEOPLE}), published=ALL)
    rules = blocked_by(Findings(checks=[outcome(PEOPLE, "between")], reads=BETWEEN), batch)
    assert rules[SHIPPING] == "between"
    assert PEOPLE not in rules


def test_a_table_and_its_descendants_wait_for_a_parent_that_was_never_published() -> None:
    parents = {CUSTOMERS: {PEOPLE}, ORDERS: {CUSTOMERS, SHIPPING}}
    batch = Batch(ALL - {PEOPLE}, frozenset({PEOPLE}), parents, published=ALL - {PEOPLE, CUSTOMERS})
    waits = blocked_by(Findings(), batch)
    assert waits[CUSTOMERS] == waits[ORDERS] == "parent_is_published"
    assert SHIPPING not in waits
    published_before = Batch(ALL - {PEOPLE}, frozenset({PEOPLE}), parents, published=ALL)
    assert CUSTOMERS not in blocked_by(Findings(), published_before)


tables = st.sampled_from(sorted(ALL))
some = st.frozensets(tables, max_size=12)
outcomes = st.lists(st.builds(outcome, tables, st.just("a_rule"), st.sampled_from(["pass", "warn", "fail", "error"])))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    blocked = draw(some)
    parents = draw(st.dictionaries(tables, some, max_size=20))
    return Batch(draw(st.frozensets(tables)) - blocked, blocked, parents, draw(st.frozensets(tables)))


findings = st.builds(
    Findings,
    losses=st.lists(st.builds(outcome, tables), max_size=3),
    set_aside=st.dictionaries(tables, st.builds(aside, st.integers(0, 9), st.integers(9, 900)), max_size=5),
    orphans=st.lists(st.builds(outcome, tables), max_size=3),
    checks=outcomes,
    reads=st.just({(table, "a_rule"): frozenset({table, SHIPPING}) for table in ALL}),
    shapes=outcomes,
)


@given(batches(), findings)
def test_passing_tables_do_not_depend_on_blocked_ones(batch: Batch, found: Findings) -> None:
    rules = blocked_by(found, batch)
    assert rules.keys() <= batch.passing, "only tables that would have been published can be blocked"
    blocked = batch.blocked | rules.keys()
    for table in batch.passing - blocked:
        assert not unit_of(table) & blocked
        assert not set(batch.parents.get(table, ())) & blocked - batch.published
    own = {one.table for one in (*found.losses, *found.orphans, *found.checks, *found.shapes) if one.outcome in FAILED}
    own |= {table for table, one in found.set_aside.items() if too_many(one.bad, one.delivered, LIMITS)}
    assert own & batch.passing <= blocked
    again = Batch(batch.tables, frozenset(blocked), batch.parents, batch.published)
    assert decide(again, Findings(), LIMITS) == [], "a decision is final"


@given(batches(), findings)
def test_without_a_finding_only_dependents_are_blocked(batch: Batch, found: Findings) -> None:
    harmless = Findings(
        set_aside={
            table: one for table, one in found.set_aside.items() if not too_many(one.bad, one.delivered, LIMITS)
        },
        checks=[one for one in found.checks if one.outcome in {"pass", "warn"}],
        shapes=[one for one in found.shapes if one.outcome in {"pass", "warn"}],
    )
    assert set(blocked_by(harmless, batch).values()) <= {"unit_is_whole", "parent_is_published"}


def test_a_rule_that_a_table_may_break_blocks_neither_it_nor_its_unit() -> None:
    found = Findings(checks=[outcome(ORDERS, "approved"), outcome(SHIPPING, "approved")])
    batch = Batch(tables=ALL, published=ALL, approved={ORDERS: {"approved"}})
    assert blocked_by(found, batch) == {SHIPPING: "approved"}
    assert blocked_by(Findings(checks=[outcome(ORDERS, "another")]), batch)[ORDERS] == "another"
