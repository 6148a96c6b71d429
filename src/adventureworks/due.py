"""Decide which marts are due, which analyses can compute them now, and what the others wait for.

Everything here is pure: `marts.plan` reads the facts. Builds, `status`, the dashboard, the sweep, the metrics, the
month reports, the dispatcher and the end of `run --once` all use this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from graphlib import TopologicalSorter

from adventureworks.catalog import (
    ANALYSES,
    MARTS,
    Mart,
    feeds_of,
    is_tolerant,
    marts_of,
    outside_inputs,
    published_with,
    readers_of,
    required_tables,
    upstream_of,
)
from adventureworks.months import between, key_of, shifted_key
from adventureworks.texts import Phrases, phrase, verbatim

Months = tuple[str, ...] | None
"""The months of a mart to compute ('YYYY-MM'); None: all months."""
MAX_NAMED = 3
"""The number of newer inputs that a reason names."""
NO_BUSINESS_DATE = date.min
"""Stands for the business date until an order is published."""
NO_REASON = Phrases()


@dataclass(frozen=True)
class Check:
    """The last reading or check of a table or mart, even if it was blocked and has no new version."""

    mark: str
    """Differs from the marks of all earlier readings and checks of this table or mart."""
    at: datetime


@dataclass(frozen=True)
class Plan:
    """What an analysis has to compute, and from what."""

    inputs: Mapping[str, int]
    """The version that was read of each input from outside the analysis."""
    months: Mapping[str, Months]
    """The marts to compute, each with its months."""
    as_of: date
    """The business date; anything later is ignored."""
    models: str = ""
    """The digests of the analysis's models: see `digest_of`."""
    refused: bool = False
    """Whether the gate already refused this exact plan, so that the same computation would fail again."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """The mark of the last check of each table and mart, if the analysis is tolerant."""


@dataclass(frozen=True)
class NothingToDo:
    """Why an analysis cannot or need not compute anything.

    `waits`: it waits for an input that is due itself. `stuck`: that input needs a change or a person to proceed.
    """

    reason: Phrases
    waits: bool = False
    stuck: bool = False
    is_rolled_back: bool = field(default=False, compare=False)
    """Whether the reason is a rollback in force. It then names a person."""


@dataclass(frozen=True)
class Behind:
    """Why a mart is out of date."""

    reason: Phrases
    since: datetime | None
    """When it went out of date; None if unknown, as for a changed model."""


@dataclass(frozen=True)
class Version:
    """A published version of a table or mart."""

    number: int
    published_at: datetime
    months: Months = None
    """The months whose rows it changed; None: any month may have changed."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    as_of: date | None = None
    checks: Mapping[str, str] = field(default_factory=dict)
    """The mark of the last check of each table and mart that a tolerant mart takes account of."""


@dataclass(frozen=True)
class Refusal:
    """What the gate refused to publish: what a build was computed from."""

    inputs: Mapping[str, int]
    models: str
    """The result of `digest_of`."""
    as_of: date
    checks: Mapping[str, str] = field(default_factory=dict)
    """The mark of the last check of each table and mart, if the analysis is tolerant."""


@dataclass(frozen=True)
class Facts:
    """The state of all tables and marts at one moment."""

    as_of: date
    versions: Mapping[str, Sequence[Version]]
    """By table or mart, oldest first: the newest version, and those that some mart has yet to consume."""
    models: Mapping[str, str]
    """By mart: the digest of its model, contract, checks and catalogue entry."""
    as_of_since: datetime | None = None
    """When the orders that moved the business date were published."""
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """The last refusal of each analysis."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """The last check of each table, and of each mart that is not tolerant."""
    in_trouble: frozenset[str] = frozenset()
    """Analyses and marts with an open incident because they do not run."""
    undelivered: frozenset[str] = frozenset()
    """Analyses with an open incident because the reports of a month could not be delivered."""
    not_offered: frozenset[str] = frozenset()
    """The tables that the source does not have."""
    absent_columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By analysis: the columns (`table.column`) that it needs, directly or through others, and the source lacks."""
    completeness_changed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By mart: the months that became partial or complete. Only needed for the months of a plan."""
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    """By analysis that was rolled back to earlier versions and not yet released: a description."""
    requested: Mapping[str, Months] = field(default_factory=dict)
    """By mart: the months that this run computes again because a user asked for it. Only for marts of one analysis."""

    def newest(self, asset: str) -> Version | None:
        """Return the newest version, or None if the asset was never published."""
        versions = self.versions.get(asset)
        return versions[-1] if versions else None

    def checked_since(self, version: Version) -> list[Check]:
        """Return the last checks of tables and marts that this version of a tolerant mart does not take account of."""
        return [one for asset, one in self.checks.items() if version.checks.get(asset) != one.mark]

    def after(self, asset: str, number: int) -> list[Version]:
        """Return the versions after this one, oldest first."""
        return [version for version in self.versions.get(asset, ()) if version.number > number]


@dataclass(frozen=True)
class Decisions:
    """The decision for every analysis, and every mart that is behind."""

    steps: Mapping[str, Plan | NothingToDo]
    behind: Mapping[str, Behind]
    undelivered: Mapping[str, Plan] = field(default_factory=dict)
    """The analyses with nothing to compute but reports to deliver again, each with a plan without marts."""
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By analysis: the tables and columns that it needs and the source does not offer."""

    @property
    def runnable(self) -> dict[str, Plan]:
        """The analyses that are due, have settled inputs, and would not be refused by their gate again.

        Includes those with reports to deliver again.
        """
        due = {dag: step for dag, step in self.steps.items() if isinstance(step, Plan) and not step.refused}
        return {**due, **self.undelivered}


def foresee(facts: Facts, requested: Mapping[str, Months]) -> dict[str, Plan | NothingToDo]:
    """Return what follows if requested months of one analysis are computed again and all their rows change.

    The steps are in the order in which the analyses have to run: the requested one, then those that read from it and
    have something to compute, must wait or are rolled back.
    """
    [first] = {MARTS[name].dag for name in requested}
    producers = {dag: {MARTS[name].dag for name in outside_inputs(dag) if name in MARTS} for dag in ANALYSES}
    readers, steps = readers_of(first), dict[str, Plan | NothingToDo]()
    for dag in TopologicalSorter(producers).static_order():
        if dag != first and dag not in readers:
            continue
        step = step_of(replace(facts, requested=requested if dag == first else {}), dag)
        if isinstance(step, Plan):
            facts = replace(facts, versions={**facts.versions, **_published(facts, step)})
        if isinstance(step, Plan) or step.waits or dag == first or dag in facts.rolled_back:
            steps[dag] = step
    return steps


def _published(facts: Facts, plan: Plan) -> dict[str, Sequence[Version]]:
    """Return the versions of the marts of a plan once it is published."""
    versions: dict[str, Sequence[Version]] = {}
    at = max(newest.published_at for asset in plan.inputs if (newest := facts.newest(asset)))
    for name, months in plan.months.items():
        newest = facts.newest(name)
        inputs = {asset: plan.inputs[asset] for asset in feeds_of(MARTS[name]) if asset in plan.inputs}
        number, model = newest.number + 1 if newest else 1, facts.models[name]
        version = Version(number, at, months, inputs, model, facts.as_of, plan.checks)
        versions[name] = (*facts.versions.get(name, ()), version)
    return versions


def step_of(facts: Facts, dag: str) -> Plan | NothingToDo:
    """Return the decision for one analysis, as `decide` does for every analysis."""
    return _Decider(facts).step(dag)


def decide(facts: Facts) -> Decisions:
    """Return the decision for every analysis of the catalogue."""
    decider = _Decider(facts)
    steps = {dag: decider.step(dag) for dag in ANALYSES}
    undelivered = {
        dag: Plan(decider.versions_for(dag), {}, facts.as_of, digest_of(dag, facts.models))
        for dag, step in steps.items()
        if dag in facts.undelivered and isinstance(step, NothingToDo) and not step.waits
    }
    lacks = {dag: tuple(lacking) for dag in ANALYSES if (lacking := decider.lacking(dag))}
    return Decisions(steps, decider.behind(), undelivered, lacks)


@dataclass(frozen=True)
class _Change:
    """Why a mart has to be computed, and for which months; with no months, only its input versions are updated."""

    months: Months
    since: datetime | None
    newer: tuple[str, ...] = ()
    """The inputs that are newer than the versions it was computed from."""
    other: Phrases = NO_REASON
    """Any other reasons."""

    @property
    def reason(self) -> Phrases:
        """All reasons: a short text, however many inputs are newer."""
        return _newer(self.newer) + self.other


def _newer(inputs: tuple[str, ...]) -> Phrases:
    if not inputs:
        return NO_REASON
    if len(inputs) == 1:
        return phrase("{input} is newer", input=inputs[0])
    if len(inputs) > MAX_NAMED:
        named = inputs[: MAX_NAMED - 1]
        return phrase("{inputs} and {number} more are newer", inputs=", ".join(named), number=len(inputs) - len(named))
    return phrase("{inputs} and {last} are newer", inputs=", ".join(inputs[:-1]), last=inputs[-1])


class _Decider:
    """Decides every analysis from the same facts, each only once even if several others wait for it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._steps: dict[str, Plan | NothingToDo] = {}
        self._changes: dict[str, dict[str, _Change]] = {}

    def step(self, dag: str) -> Plan | NothingToDo:
        if dag not in self._steps:
            self._steps[dag] = self._decide(dag)
        return self._steps[dag]

    def behind(self) -> dict[str, Behind]:
        found: dict[str, Behind] = {}
        for dag in ANALYSES:
            step = self.step(dag)
            for mart in marts_of(dag):
                cause = self._cause(mart, step)
                if cause:
                    found[mart.name] = cause
        return found

    def versions_for(self, dag: str) -> dict[str, int]:
        """Return the newest version of each published input of an analysis."""
        return {asset: newest.number for asset in outside_inputs(dag) if (newest := self._facts.newest(asset))}

    def lacking(self, dag: str) -> list[str]:
        """Return the tables and columns that an analysis needs, directly or through others, and the source lacks.

        A table that was published before is not lacking.
        """
        tables = {name for name in required_tables(dag) & self._facts.not_offered if not self._facts.newest(name)}
        return sorted(tables | self._facts.absent_columns.get(dag, frozenset()))

    def _decide(self, dag: str) -> Plan | NothingToDo:
        if dag in self._facts.rolled_back:
            return NothingToDo(verbatim(self._facts.rolled_back[dag]), is_rolled_back=True)
        inputs, versions = outside_inputs(dag), self.versions_for(dag)
        tolerant = is_tolerant(dag)
        missing = [asset for asset in inputs if asset not in versions]
        changes = self._changes_of(dag)
        if dag in self._facts.absent_columns or (missing and not (tolerant and versions)):
            if lacking := self.lacking(dag):
                reason = phrase("the source does not offer {tables}", tables=", ".join(lacking))
            elif len(missing) == 1:
                reason = phrase("{input} was never published", input=missing[0])
            else:
                reason = phrase("{inputs} were never published", inputs=", ".join(missing))
            # A mart that was published before the missing input was added counts as behind, like any other.
            stuck = any(self._facts.newest(name) for name in changes)
            return NothingToDo(reason, waits=stuck, stuck=stuck)
        waits = [wait for asset in inputs if asset in MARTS and (wait := self._wait_for(MARTS[asset], dag))]
        if tolerant:
            waits = [wait for wait in waits if not wait.stuck]
        if waits:
            reasons = sum((wait.reason for wait in waits), NO_REASON)
            return NothingToDo(reasons, waits=True, stuck=all(wait.stuck for wait in waits))
        if not changes:
            return NothingToDo(phrase("no input changed since the last run"))
        months = {name: change.months for name, change in changes.items()}
        models = digest_of(dag, self._facts.models)
        checks = {asset: one.mark for asset, one in self._facts.checks.items()} if tolerant else {}
        refused = self._facts.refusals.get(dag) == Refusal(versions, models, self._facts.as_of, checks)
        return Plan(versions, months, self._facts.as_of, models, refused, checks)

    def _wait_for(self, mart: Mart, reader: str) -> NothingToDo | None:
        """Return why an analysis that reads this mart must wait, or None if it can run now."""
        step = self.step(mart.dag)
        if isinstance(step, NothingToDo):
            if not step.waits:
                return None
            wait = step
        elif mart.name not in step.months:
            return None
        elif step.refused:
            reason = phrase(
                "{mart} was refused by its gate, and would be inconsistent with newer inputs", mart=mart.name
            )
            wait = NothingToDo(reason, waits=True, stuck=True)
        else:
            names = {mart.dag, *(one.name for one in marts_of(mart.dag))}
            stuck = bool(names & self._facts.in_trouble)
            reason = phrase("{mart} is due and will be published first", mart=mart.name)
            wait = NothingToDo(reason, waits=True, stuck=stuck)
        # If it is stuck, there will be no new version until something else changes. Until then its last good version
        # may be read, unless it would be combined with something computed from newer inputs.
        return None if wait.stuck and self._is_consistent(mart, reader) else wait

    def _is_consistent(self, mart: Mart, reader: str) -> bool:
        """Return whether the last version of a mart is consistent with the other inputs of an analysis."""
        last = self._facts.newest(mart.name)
        if last is None or last.as_of != self._facts.as_of:
            return False
        newer = {asset for asset in feeds_of(mart) if self._facts.after(asset, last.inputs.get(asset, 0))}
        # What is published together with it was computed from the same versions.
        others = [name for name in outside_inputs(reader) if name not in published_with(mart.name)]
        return not newer & {*others, *(under for name in others for under in upstream_of(name))}

    def _changes_of(self, dag: str) -> dict[str, _Change]:
        """Return the marts of an analysis that have to be computed, whether or not it has to wait."""
        if dag not in self._changes:
            changes: dict[str, _Change] = {}
            for mart in marts_of(dag):
                change = self._change(mart, changes)
                if change:
                    changes[mart.name] = change
            self._changes[dag] = changes
        return self._changes[dag]

    def _change(self, mart: Mart, own: Mapping[str, _Change]) -> _Change | None:
        """Return why a mart has to be computed, or None; `own`: the changes of earlier marts of its analysis."""
        facts, last = self._facts, self._facts.newest(mart.name)
        if last is None:
            return _Change(None, None, other=phrase("it was never published"))
        if last.model is None:
            return _Change(None, None, other=phrase("its rows may not be those of its version"))
        if last.model != facts.models[mart.name]:
            return _Change(None, None, other=phrase("its model, contract or checks changed"))
        causes = [own[name] for name in mart.inputs if name in own]
        for asset in mart.inputs:
            if asset in MARTS and MARTS[asset].dag == mart.dag:
                continue
            causes += [
                _Change(version.months if asset in mart.by_month else None, version.published_at, newer=(asset,))
                # An input that was added later has no version in `last.inputs`.
                for version in facts.after(asset, last.inputs.get(asset, 0))
            ]
        if facts.as_of != last.as_of:
            # A new business date adds or removes the days in between; the first one concerns all months.
            days = (facts.as_of, last.as_of or NO_BUSINESS_DATE)
            moved = None if NO_BUSINESS_DATE in days else between(*days)
            reason = phrase("the business date moved to {day}", day=facts.as_of)
            causes.append(_Change(moved, facts.as_of_since, other=reason))
        if mart.name in facts.requested:
            causes.append(_Change(facts.requested[mart.name], None, other=phrase("it was requested")))
        if is_tolerant(mart.dag) and (checked := facts.checked_since(last)):
            reason = phrase("tables or marts were checked since then")
            causes.append(_Change(None, min(one.at for one in checked), other=reason))
        if not causes:
            return None
        newer = tuple(dict.fromkeys(name for cause in causes for name in cause.newer))
        other = sum((cause.other for cause in causes), NO_REASON)
        since = min((cause.since for cause in causes if cause.since), default=None)
        if not mart.incremental or any(cause.months is None for cause in causes):
            return _Change(None, since, newer, other)
        months = {month for cause in causes for month in cause.months or ()} | facts.completeness_changed.get(
            mart.name, frozenset()
        )
        echoes = {shifted_key(month, echo) for month in months for echo in mart.echoes}
        # Months after the business date have no rows. If the last one was later, its months are among `months`.
        latest = max({*months, key_of(facts.as_of)})
        return _Change(tuple(sorted(months | {month for month in echoes if month <= latest})), since, newer, other)

    def _cause(self, mart: Mart, step: Plan | NothingToDo) -> Behind | None:
        """Return why a mart is behind, or None if it is fresh or cannot be computed yet."""
        change = self._changes_of(mart.dag).get(mart.name) if isinstance(step, Plan) or step.waits else None
        if isinstance(step, Plan) and change:
            refused = phrase("its gate refused what was computed") if step.refused else NO_REASON
            return Behind(change.reason + refused, change.since)
        if isinstance(step, NothingToDo) and step.waits:
            awaited = [
                cause
                for name in feeds_of(mart)
                if name in MARTS and self._wait_for(MARTS[name], mart.dag)
                if (cause := self._cause(MARTS[name], self.step(MARTS[name].dag)))
            ]
            if change or awaited:
                moments = [change.since] if change else [cause.since for cause in awaited]
                return Behind(step.reason, min((moment for moment in moments if moment), default=None))
        return None


def digest_of(dag: str, models: Mapping[str, str]) -> str:
    """Return the digests of an analysis's marts, separated by spaces, in the order in which they are built."""
    return " ".join(models[mart.name] for mart in marts_of(dag))
