"""Decide which marts are due, which analysis can compute them now, and what the others wait for.

Everything here is pure: `marts.plan` reads the facts. Builds, `status`, the dashboard, the sweep, the metrics, the
month reports, the dispatcher and the end of `run --once` all ask this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from adventureworks.catalog import (
    ANALYSES,
    MARTS,
    Mart,
    everything_under,
    feeds_of,
    is_tolerant,
    marts_of,
    outside_inputs,
)

Months = tuple[str, ...] | None
"""The months of a mart to compute ('YYYY-MM'); None: all of it."""
MOST_NAMED = 3
"""Newer inputs that a reason names."""


@dataclass(frozen=True)
class Plan:
    """What an analysis has to compute, and from what."""

    inputs: Mapping[str, int]
    """Version of each input from outside the analysis, as read."""
    months: Mapping[str, Months]
    """The marts that have to be computed, each with its months."""
    as_of: date
    """The business date: nothing later counts."""
    models: str = ""
    """The digests of the models of the analysis: see `digest_of`."""
    refused: bool = False
    """Whether the gate refused just this: the same computation would fail again."""


@dataclass(frozen=True)
class NothingToDo:
    """Why an analysis cannot or need not compute anything.

    `waits`: for an input that is due itself. `stuck`: that input will not come without a change or a person.
    """

    reason: str
    waits: bool = False
    stuck: bool = False


@dataclass(frozen=True)
class Behind:
    """Why a mart is out of date."""

    reason: str
    since: datetime | None
    """When it became out of date; None if unknown, as for a changed model."""


@dataclass(frozen=True)
class Version:
    """A published version of a table or mart."""

    number: int
    published_at: datetime
    months: Months = None
    """The months whose rows it changed; None: any may have changed."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    as_of: date | None = None


@dataclass(frozen=True)
class Refusal:
    """What the gate refused to publish: the inputs, the models and the business date of a build."""

    inputs: Mapping[str, int]
    models: str
    """As `digest_of` gives it."""
    as_of: date


@dataclass(frozen=True)
class Facts:
    """What is known of all tables and marts at one moment."""

    as_of: date
    versions: Mapping[str, Sequence[Version]]
    """By table or mart, oldest first: the newest version, and those that some reader has not consumed."""
    models: Mapping[str, str]
    """By mart: the digest of its model, contract, checks and catalogue entry."""
    as_of_since: datetime | None = None
    """When orders were published that moved the business date."""
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """By analysis."""
    judged_at: datetime | None = None
    """When a table was last read, or a mart other than a tolerant one checked."""
    in_trouble: frozenset[str] = frozenset()
    """Analyses and marts with an open incident that says they do not run."""
    undelivered: frozenset[str] = frozenset()
    """Analyses with an open incident that says that the reports of a month could not be delivered."""
    turned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By mart: months that became partial or whole. Only needed for the months of a plan."""

    def newest(self, asset: str) -> Version | None:
        """The newest version, or None if the asset was never published."""
        versions = self.versions.get(asset)
        return versions[-1] if versions else None

    def after(self, asset: str, number: int) -> list[Version]:
        """The versions after this one, oldest first."""
        return [version for version in self.versions.get(asset, ()) if version.number > number]


@dataclass(frozen=True)
class Decisions:
    """The decision on every analysis, and every mart that is behind."""

    steps: Mapping[str, Plan | NothingToDo]
    behind: Mapping[str, Behind]
    undelivered: Mapping[str, Plan] = field(default_factory=dict)
    """The analyses that have nothing to compute, but reports to deliver again: a plan without marts."""

    @property
    def startable(self) -> dict[str, Plan]:
        """The analyses that are due and whose inputs are settled, unless their gate would refuse the same again.

        Those too that have reports to deliver again.
        """
        due = {dag: step for dag, step in self.steps.items() if isinstance(step, Plan) and not step.refused}
        return {**due, **self.undelivered}


def decide(facts: Facts) -> Decisions:
    """Decide on every analysis of the catalogue."""
    judge = _Judge(facts)
    steps = {dag: judge.step(dag) for dag in ANALYSES}
    undelivered = {
        dag: Plan(judge.versions_for(dag), {}, facts.as_of, digest_of(dag, facts.models))
        for dag, step in steps.items()
        if dag in facts.undelivered and isinstance(step, NothingToDo) and not step.waits
    }
    return Decisions(steps, judge.behind(), undelivered)


@dataclass(frozen=True)
class _Change:
    """Why a mart has to be computed, and which months of it; no month: only its versions are noted."""

    months: Months
    since: datetime | None
    newer: tuple[str, ...] = ()
    """The inputs that are newer than those it was made of."""
    other: str = ""
    """Any other reason."""

    @property
    def reason(self) -> str:
        """In a few words, however many inputs are newer."""
        shown = list(self.newer[:MOST_NAMED])
        if len(self.newer) > MOST_NAMED:
            shown = [*shown[:-1], f"{len(self.newer) - MOST_NAMED + 1} more"]
        listed = " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
        newer = listed and f"{listed} {'is' if len(self.newer) == 1 else 'are'} newer"
        return "; ".join(filter(None, [newer, self.other]))


class _Judge:
    """Decisions from the same facts; an analysis that several others wait for is decided once."""

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
        """The newest version of each input of an analysis that was published."""
        return {asset: newest.number for asset in outside_inputs(dag) if (newest := self._facts.newest(asset))}

    def _decide(self, dag: str) -> Plan | NothingToDo:
        inputs, versions = outside_inputs(dag), self.versions_for(dag)
        tolerant = is_tolerant(dag)
        missing = [asset for asset in inputs if asset not in versions]
        changes = self._changes_of(dag)
        if missing and not (tolerant and versions):
            reason = f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} never published"
            # What was published before that input was one of its own is behind like any other mart.
            stuck = any(self._facts.newest(name) for name in changes)
            return NothingToDo(reason, waits=stuck, stuck=stuck)
        waits = [wait for asset in inputs if asset in MARTS and (wait := self._wait_for(MARTS[asset], dag))]
        if tolerant:
            waits = [wait for wait in waits if not wait.stuck]
        if waits:
            reasons = "; ".join(dict.fromkeys(wait.reason for wait in waits))
            return NothingToDo(reasons, waits=True, stuck=all(wait.stuck for wait in waits))
        if not changes:
            return NothingToDo("no input changed since the last run")
        months = {name: change.months for name, change in changes.items()}
        models = digest_of(dag, self._facts.models)
        refused = self._facts.refusals.get(dag) == Refusal(versions, models, self._facts.as_of)
        return Plan(versions, months, self._facts.as_of, models, refused)

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
            reason = f"{mart.name} was refused by its gate, and would not agree with newer inputs"
            wait = NothingToDo(reason, waits=True, stuck=True)
        else:
            names = {mart.dag, *(one.name for one in marts_of(mart.dag))}
            stuck = bool(names & self._facts.in_trouble)
            wait = NothingToDo(f"{mart.name} is due and will be published first", waits=True, stuck=stuck)
        # A new version will not come before something else changes. The last good one may be read meanwhile, unless
        # its readers would see it beside something that is made of newer inputs.
        return None if wait.stuck and self._agrees(mart, reader) else wait

    def _agrees(self, mart: Mart, reader: str) -> bool:
        """Whether the last version of a mart agrees with all else that the analysis reads."""
        last = self._facts.newest(mart.name)
        if last is None or last.as_of != self._facts.as_of:
            return False
        moved = {asset for asset in feeds_of(mart) if self._facts.after(asset, last.inputs.get(asset, 0))}
        others = [name for name in outside_inputs(reader) if name != mart.name]
        return not moved & {*others, *(under for name in others for under in everything_under(name))}

    def _changes_of(self, dag: str) -> dict[str, _Change]:
        """The marts of an analysis that have to be computed, whether or not it has to wait."""
        if dag not in self._changes:
            changes: dict[str, _Change] = {}
            for mart in marts_of(dag):
                change = self._change(mart, changes)
                if change:
                    changes[mart.name] = change
            self._changes[dag] = changes
        return self._changes[dag]

    def _change(self, mart: Mart, own: Mapping[str, _Change]) -> _Change | None:
        """Why a mart has to be computed; `own`: the changes of the marts of its analysis that come before it."""
        facts, last = self._facts, self._facts.newest(mart.name)
        if last is None:
            return _Change(None, None, other="it was never published")
        if last.model is None:
            return _Change(None, None, other="nothing proves that its rows are those of its version")
        if last.model != facts.models[mart.name]:
            return _Change(None, None, other="its model, contract or checks changed")
        causes = [own[name] for name in mart.inputs if name in own]
        for asset in mart.inputs:
            if asset in MARTS and MARTS[asset].dag == mart.dag:
                continue
            causes += [
                _Change(version.months if asset in mart.by_month else None, version.published_at, newer=(asset,))
                # An input that was not there yet had no version.
                for version in facts.after(asset, last.inputs.get(asset, 0))
            ]
        if facts.as_of != last.as_of:
            # A business date that moved brings or takes the days in between.
            moved = months_between(facts.as_of, last.as_of) if last.as_of else None
            causes.append(_Change(moved, facts.as_of_since, other=f"the business date moved to {facts.as_of}"))
        if mart.tolerant and facts.judged_at and facts.judged_at > last.published_at:
            causes.append(_Change(None, facts.judged_at, other="tables or marts were checked since"))
        if not causes:
            return None
        newer = tuple(dict.fromkeys(name for cause in causes for name in cause.newer))
        other = "; ".join(dict.fromkeys(cause.other for cause in causes if cause.other))
        since = min((cause.since for cause in causes if cause.since), default=None)
        if not mart.incremental or any(cause.months is None for cause in causes):
            return _Change(None, since, newer, other)
        months = {month for cause in causes for month in cause.months or ()} | facts.turned.get(mart.name, frozenset())
        echoes = {later(month, echo) for month in months for echo in mart.echoes}
        return _Change(tuple(sorted(months | echoes)), since, newer, other)

    def _cause(self, mart: Mart, step: Plan | NothingToDo) -> Behind | None:
        """Return why a mart is behind, or None if it is fresh or cannot be computed yet."""
        change = self._changes_of(mart.dag).get(mart.name) if isinstance(step, Plan) or step.waits else None
        if isinstance(step, Plan) and change:
            refused = "; its gate refused what was computed" if step.refused else ""
            return Behind(f"{change.reason}{refused}", change.since)
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
    """The digests of all marts of an analysis, in the order in which they are built."""
    return " ".join(models[mart.name] for mart in marts_of(dag))


def months_between(one: date, other: date) -> tuple[str, ...]:
    """The months ('YYYY-MM') from one day to the other, both included."""
    first, last = (day.year * 12 + day.month - 1 for day in sorted((one, other)))
    return tuple(f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, last + 1))


def later(month: str, months: int) -> str:
    """The month ('YYYY-MM') so many months later."""
    place = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    return f"{place // 12:04}-{place % 12 + 1:02}"
