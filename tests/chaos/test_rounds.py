"""What a round expects of its own plan."""

from __future__ import annotations

from tests.chaos.business import BAD
from tests.chaos.rounds import Phase, Plan


def test_a_delivery_that_is_repaired_and_broken_again_before_anybody_looks_is_one_delivery() -> None:
    names = ("a bad row", "a bad row", "", "a bad row", "a missing column")
    plan = Plan(1, (), tuple(Phase((), bad, ()) for bad in names))
    assert plan.delivered() == [BAD["a bad row"], BAD["a bad row"], BAD["a missing column"]]
