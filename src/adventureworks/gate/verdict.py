"""Decisions about which tables of a batch are blocked, and why, based on the findings about their candidates.

Everything here is pure: `judge` collects the findings and records the decisions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adventureworks.catalog import unit_of
from adventureworks.gate.checks import CheckOutcome

FAILED = frozenset({"fail", "error"})
"""Outcomes that block a table."""
CONSEQUENCES = frozenset({"unit_is_whole", "parent_is_published"})
"""Rules that a table breaks only because another table is blocked."""

FEW_ROWS_ARE_SET_ASIDE = "few_rows_are_set_aside"
"""The rule that a table breaks if too large a share of its rows is set aside."""


@dataclass(frozen=True)
class Batch:
    """The tables of a run, those blocked so far, and their dependencies."""

    tables: frozenset[str]
    blocked: frozenset[str] = frozenset()
    parents: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By table: the tables that its rows refer to."""
    published: frozenset[str] = frozenset()
    """All tables that have a published version, including those outside the run."""
    approved: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By table: the rules that a person allowed it to break."""

    @property
    def passing(self) -> frozenset[str]:
        """The tables that may still be published."""
        return self.tables - self.blocked


@dataclass(frozen=True)
class SetAside:
    """The rows of a table that are set aside."""

    bad: int
    delivered: int
    cause: str
    """The rules that they break, in words."""
    examples: tuple[str, ...] = ()
    """Keys of such rows."""


@dataclass(frozen=True)
class Limits:
    """How much of a table may be set aside: a share of its rows, or `floor` rows if at most half are bad."""

    share: float
    floor: int


@dataclass(frozen=True)
class Findings:
    """The findings about candidates; a field is empty if that aspect was not examined."""

    losses: Sequence[CheckOutcome] = ()
    """Rows that vanished from dated tables."""
    set_aside: Mapping[str, SetAside] = field(default_factory=dict)
    """By table."""
    orphans: Sequence[CheckOutcome] = ()
    """One for each table that lost rows to which others still refer."""
    checks: Sequence[CheckOutcome] = ()
    """Outcomes of the check files, including those of tables outside the batch."""
    reads: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """By table and rule: the tables that the rule reads. Needed only for `failed_elsewhere`."""
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By table and rule: the number of published rows that break it. Needed only for `failed_elsewhere`."""
    shapes: Sequence[CheckOutcome] = ()
    """How changes differ from earlier versions."""


@dataclass(frozen=True)
class Reason:
    """Why a table is blocked."""

    table: str
    rule: str
    cause: str
    evidence: CheckOutcome | None = None
    """The outcome to record in `ops.check_result`; None if it is recorded with the checks or shapes."""


def decide(batch: Batch, found: Findings, limits: Limits) -> list[Reason]:
    """Return the reasons to block tables of the batch that have passed so far; the first reason for a table counts.

    Tables that depend on a blocked table are blocked with it: its publish unit, and tables that refer to it if it was
    never published. A rule that a table is allowed to break is not a reason.
    """
    reasons: list[Reason] = []
    blocked = batch.blocked
    for stage in _stages(batch, found, limits):
        more = [
            reason
            for reason in stage
            if reason.table in batch.tables - blocked and reason.rule not in batch.approved.get(reason.table, ())
        ]
        while more:
            reasons += more
            blocked |= {reason.table for reason in more}
            more = list(_dependent(replace(batch, blocked=blocked)))
    return reasons


def failed_elsewhere(batch: Batch, checks: Sequence[CheckOutcome]) -> list[CheckOutcome]:
    """Return the failed checks of tables that are not passing: the batch may have caused the failures.

    A rule that cannot be evaluated says nothing about the batch.
    """
    return [one for one in checks if one.table not in batch.passing and one.outcome == "fail"]


def too_many(bad: int, delivered: int, limits: Limits) -> bool:
    """Return whether too many of the delivered rows are set aside for the table to be trusted."""
    return bad > limits.share * delivered and (bad > limits.floor or 2 * bad > delivered)


def _stages(batch: Batch, found: Findings, limits: Limits) -> Iterator[list[Reason]]:
    """Yield the reasons in order of precedence."""
    yield [_reason(one, one) for one in found.losses]
    # Tables that were blocked before have dependents, too.
    yield list(_dependent(batch))
    too_bad = {table: one for table, one in found.set_aside.items() if too_many(one.bad, one.delivered, limits)}
    refused = {table: _too_many_set_aside(table, one, limits) for table, one in sorted(too_bad.items())}
    # First those that are bad for a reason of their own: a table that refers to one of them, which was never published,
    # lacks its rows. It waits for that table, and there is nothing to approve.
    unknown = refused.keys() - batch.published
    yield [reason for table, reason in refused.items() if unknown.isdisjoint({*batch.parents.get(table, ())} - {table})]
    orphans = [_reason(one, one) for one in found.orphans if one.table not in too_bad]
    yield [*refused.values(), *orphans]
    own = [_reason(one) for one in found.checks if one.outcome in FAILED and one.table in batch.passing]
    yield [*own, *_blamed(batch, found)]
    yield [Reason(one.table, one.rule, one.message) for one in found.shapes if one.outcome in FAILED]


def _too_many_set_aside(asset: str, aside: SetAside, limits: Limits) -> Reason:
    share = f"{aside.bad:,} of {aside.delivered:,} rows break a rule, more than {limits.share:.1%}"
    return Reason(asset, FEW_ROWS_ARE_SET_ASIDE, f"{share}: {aside.cause}.{_for_example(aside.examples)}")


def _blamed(batch: Batch, found: Findings) -> Iterator[Reason]:
    """Yield the tables read by a rule of another table that more rows break now than in the published data."""
    for outcome in failed_elsewhere(batch, found.checks):
        rule = (outcome.table, outcome.rule)
        if (outcome.failed or 0) > found.published.get(rule, 0):
            message = f"with it, {outcome.table} breaks {outcome.rule}: {outcome.message}"
            for table in sorted(found.reads[rule]):
                blamed = replace(outcome, table=table, message=message)
                yield _reason(blamed, blamed)


def _dependent(batch: Batch) -> Iterator[Reason]:
    """Yield the tables that must not be published because others are blocked."""
    for table in sorted(batch.passing):
        mates = sorted(unit_of(table) & batch.blocked)
        missing = sorted(set(batch.parents.get(table, ())) & batch.blocked - batch.published)
        if mates:
            cause = f"waits for {', '.join(mates)}, which must be published together with it."
            yield Reason(table, "unit_is_whole", cause)
        elif missing:
            cause = f"waits for {', '.join(missing)}, to which it refers and which was never published."
            yield Reason(table, "parent_is_published", cause)


def _reason(outcome: CheckOutcome, evidence: CheckOutcome | None = None) -> Reason:
    return Reason(outcome.table, outcome.rule, f"{outcome.message}{_for_example(outcome.examples)}", evidence)


def _for_example(examples: Sequence[str]) -> str:
    return f" For example {'; '.join(examples)}." if examples else ""
