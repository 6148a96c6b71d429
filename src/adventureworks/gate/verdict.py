"""Decide which tables of a batch are blocked, and why, from what was found of their candidates.

Everything here is pure: `judge` reads the findings and writes what is decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adventureworks.catalog import unit_of
from adventureworks.gate.checks import CheckOutcome


@dataclass(frozen=True)
class Batch:
    """The tables of a run, those of them that are blocked so far, and what they depend on."""

    tables: frozenset[str]
    blocked: frozenset[str] = frozenset()
    parents: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By table: the tables to which its rows refer."""
    published: frozenset[str] = frozenset()
    """Of all tables, those that have a version."""

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
    """The rules that they break, for people."""
    examples: tuple[str, ...] = ()
    """Keys of such rows."""


@dataclass(frozen=True)
class Limits:
    """How much of a table may be set aside: this share of its rows, or so many of them if most rows are good."""

    share: float
    floor: int


@dataclass(frozen=True)
class Findings:
    """What was found of candidates. What was not looked at is empty."""

    losses: Sequence[CheckOutcome] = ()
    """What vanished from dated tables."""
    set_aside: Mapping[str, SetAside] = field(default_factory=dict)
    """By table."""
    orphans: Sequence[CheckOutcome] = ()
    """By table that lost rows: what still refers to them."""
    checks: Sequence[CheckOutcome] = ()
    """What came of the check files, those of tables that are not published now among them."""
    reads: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """By table and rule: the tables that the rule reads. Only needed for `failed_elsewhere`."""
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By table and rule: the published rows that break it. Only needed for `failed_elsewhere`."""
    shapes: Sequence[CheckOutcome] = ()
    """How changes differ from the versions before."""


@dataclass(frozen=True)
class Reason:
    """Why a table is blocked."""

    table: str
    rule: str
    cause: str
    evidence: CheckOutcome | None = None
    """What is kept of it, where its finding is not kept anyway."""


def decide(batch: Batch, found: Findings, limits: Limits) -> list[Reason]:
    """Return every reason to block a table of the batch that passed so far; the first one of a table counts.

    Tables that depend on a blocked one follow it: its publish unit, and tables whose parent was never published.
    """
    reasons = [reason for reason in _found(batch, found, limits) if reason.table in batch.passing]
    blocked = batch.blocked | {reason.table for reason in reasons}
    while more := list(_dependent(replace(batch, blocked=blocked))):
        reasons += more
        blocked |= {reason.table for reason in more}
    return reasons


def failed_elsewhere(batch: Batch, checks: Sequence[CheckOutcome]) -> list[CheckOutcome]:
    """Return the rules of tables that are not published now which the batch breaks, if it is to blame for that.

    A rule that cannot be evaluated says nothing of the batch.
    """
    return [one for one in checks if one.table not in batch.passing and one.outcome == "fail"]


def too_many(bad: int, delivered: int, limits: Limits) -> bool:
    """Whether so many rows of those delivered are set aside that the table cannot be trusted."""
    return bad > limits.share * delivered and (bad > limits.floor or 2 * bad > delivered)


def _found(batch: Batch, found: Findings, limits: Limits) -> Iterator[Reason]:
    for outcome in found.losses:
        yield _with_evidence(outcome)
    for table, aside in sorted(found.set_aside.items()):
        if too_many(aside.bad, aside.delivered, limits):
            cause = (
                f"{aside.bad:,} of {aside.delivered:,} rows break a rule, more than {limits.share:.1%}: {aside.cause}."
            )
            yield Reason(table, "few_rows_are_set_aside", cause + _for_example(aside.examples))
    for outcome in found.orphans:
        yield _with_evidence(outcome)
    for outcome in found.checks:
        if outcome.table in batch.passing and outcome.outcome in {"fail", "error"}:
            yield Reason(outcome.table, outcome.rule, f"{outcome.message}{_for_example(outcome.examples)}")
    for outcome in failed_elsewhere(batch, found.checks):
        rule = (outcome.table, outcome.rule)
        if (outcome.failed or 0) > found.published.get(rule, 0):
            message = f"with it, {outcome.table} breaks {outcome.rule}: {outcome.message}"
            for table in sorted(found.reads[rule]):
                yield _with_evidence(replace(outcome, table=table, message=message))
    for outcome in found.shapes:
        if outcome.outcome in {"fail", "error"}:
            yield Reason(outcome.table, outcome.rule, outcome.message)


def _dependent(batch: Batch) -> Iterator[Reason]:
    for table in sorted(batch.passing):
        missing = sorted(set(batch.parents.get(table, ())) & batch.blocked - batch.published)
        mates = sorted(unit_of(table) & batch.blocked)
        if missing:
            cause = f"waits for {', '.join(missing)}, to which it refers and which was never published."
            yield Reason(table, "parent_is_published", cause)
        elif mates:
            cause = f"waits for {', '.join(mates)}, with which it is published together."
            yield Reason(table, "unit_is_whole", cause)


def _with_evidence(outcome: CheckOutcome) -> Reason:
    return Reason(outcome.table, outcome.rule, f"{outcome.message}{_for_example(outcome.examples)}", outcome)


def _for_example(examples: Sequence[str]) -> str:
    return f" For example {'; '.join(examples)}." if examples else ""
