"""What a round expects of its own plan."""

from __future__ import annotations

from tests.chaos.business import BAD
from tests.chaos.rounds import Phase, Plan


def test_a_delivery_that_is_repaired_and_broken_again_before_anybody_looks_is_one_delivery() -> None:
    names = ("a bad row", "a bad row", "", "a bad row", "a missing column")
    plan = Plan(1, (), tuple(Phase((), bad, ()) for bad in names))
    assert plan.delivered() == [BAD["a bad row"], BAD["a bad row"], BAD["a missing column"]]


def test_an_incident_goes_on_while_the_repair_is_blocked_together_with_another_bad_delivery() -> None:
    names = ("a bad row", "orders that do not add up", "a bad row", "a missing column", "a bad row")
    plan = Plan(1, (), tuple(Phase((), bad, ()) for bad in names))
    assert plan.delivered() == [BAD[name] for name in (names[0], names[1], names[3], names[4])]
