"""A round: drawn from its seed, played, and judged."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from adventureworks.catalog import unit_of
from tests.chaos import faults, invariants, readers
from tests.chaos.business import BAD, CHANGES, BadDelivery
from tests.chaos.faults import Fault, Kind
from tests.chaos.platform import DAGS, SOURCE, WAREHOUSE, Platform, published_tables
from tests.chaos.readers import READERS, Reader, Version
from tests.chaos.scheduler import Scheduler

PHASES = (2, 3)
"""Least and greatest number of phases."""
CHANGES_IN_PHASE = (1, 3)
FAULTS_IN_PHASE = (1, 3)
BAD_SHARE = 0.4
"""How often a phase has a bad delivery, which the next phase repairs."""
ANALYSES_IN_ROUND = 2
"""How many analyses run beside the daily sales."""
PRODUCER = "daily_sales_etl"
"""The analysis whose mart most others read."""


@dataclass(frozen=True)
class Phase:
    """Changes, then everything that the platform does about them, with faults in between."""

    changes: tuple[tuple[str, int], ...]
    """Name, and the number from which it is drawn what the change hits."""
    bad: str
    """The name of a bad delivery, which is repaired at the beginning of the next phase; empty: there is none."""
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Plan:
    """What happens in a round."""

    seed: int
    dags: tuple[str, ...]
    phases: tuple[Phase, ...]

    def delivered(self) -> list[BadDelivery]:
        """Return the bad deliveries that the platform sees as such, each once for each incident that it causes.

        A repair comes together with what the next phase breaks. It is not seen if the same is broken again, and not
        published if that blocks the same tables: the incident then goes on, for as long as its rows are not published.
        """
        delivered: list[BadDelivery] = []
        unrepaired: list[BadDelivery] = []
        for phase in self.phases:
            bad = BAD.get(phase.bad)
            blocked = unit_of(bad.asset) if bad and bad.is_blocking else ()
            unrepaired = [one for one in unrepaired if one == bad or one.asset in blocked]
            if bad and bad not in unrepaired:
                delivered.append(bad)
                unrepaired.append(bad)
        return delivered


EVERY_KIND = Plan(
    seed=0,
    dags=("daily_sales_etl", "currency_exchange_rates"),
    phases=(
        Phase(
            (("more", 1), ("rate", 2)),
            "a bad row",
            (
                Fault(Kind.OVERLAP, "load", 20, 3),
                Fault(Kind.TASK_KILLED, "publish_tables", 260, 0),
                Fault(Kind.DISK_FULL, "publish_tables", 10, 1),
                Fault(Kind.OUTAGE, "notify", 5, 1),
                Fault(Kind.EVENT_LOST, "publish_tables", 1, 0),
                Fault(Kind.GHOST, "refresh", 145, 0),
                Fault(Kind.WATCH_KILLED, "watch", 10, 0),
            ),
        ),
        Phase(
            (("next_day", 4), ("late", 5)),
            "",
            (
                Fault(Kind.CRASH, "publish_tables", 240, 0),
                Fault(Kind.DISCONNECTED, "refresh", 20, 0),
                Fault(Kind.CLOCK, "notify", 1, 20),
                Fault(Kind.DEPLOY, "refresh", 80, 0),
                Fault(Kind.CHANGE, "detect", 30, 6),
                Fault(Kind.EVENT_DOUBLED, "refresh", 1, 0),
            ),
        ),
    ),
)
"""The round with the seed 0, made by hand: every kind of fault strikes."""


@dataclass
class Result:
    """What came of a round."""

    seed: int
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    struck: Counter[Kind] = field(default_factory=Counter)
    reads: int = 0
    versions: int = 0


def draw(seed: int) -> Plan:
    """Return the plan of a round."""
    if seed == EVERY_KIND.seed:
        return EVERY_KIND
    chance = random.Random(seed)
    others = [dag for dag in DAGS if dag != PRODUCER]
    dags = (PRODUCER, *sorted(chance.sample(others, ANALYSES_IN_ROUND)))
    phases = tuple(
        Phase(
            tuple(_drawn_change(chance) for _ in range(chance.randint(*CHANGES_IN_PHASE))),
            chance.choice([*BAD]) if chance.random() < BAD_SHARE else "",
            tuple(faults.draw(chance, chance.choice([*Kind])) for _ in range(chance.randint(*FAULTS_IN_PHASE))),
        )
        for _ in range(chance.randint(*PHASES))
    )
    return Plan(seed, dags, phases)


def _drawn_change(chance: random.Random) -> tuple[str, int]:
    return chance.choice([*CHANGES]), chance.randrange(10**6)


def play(platform: Platform, plan: Plan, watch: Callable[[str], None] = lambda line: None) -> Result:
    """Play a round and return what came of it; `watch` is given each line of its log at once."""
    return _Round(platform, plan, watch).play()


class _Round:
    def __init__(self, platform: Platform, plan: Plan, watch: Callable[[str], None]) -> None:
        self._platform, self._plan, self._watch = platform, plan, watch
        self._chance = random.Random(plan.seed)
        self._result = Result(plan.seed)
        self._begun = time.monotonic()
        self._scheduler = Scheduler(platform, plan.dags, self._chance, self._log, self._surprise)

    def play(self) -> Result:
        self._platform.renew(self._plan.dags)
        since = self._platform.records("select clock_timestamp()")[0][0]
        url = self._platform.url(WAREHOUSE, "reader")
        tables = published_tables(self._plan.dags)
        reading = [
            kind(f"{kind.__name__} {number}", url, tables, self._plan.seed * 10 + number)
            for number, kind in enumerate(READERS)
        ]
        for reader in reading:
            reader.start()
        try:
            self._play_phases()
        except Exception as error:
            self._violated(repr(error))
        finally:
            self._calm()
            for reader in reading:
                reader.stop()
        if not self._result.violations:
            try:
                self._judge(reading, since)
            except Exception as error:
                self._violated(repr(error))
        self._result.struck = self._scheduler.struck
        self._result.seconds = time.monotonic() - self._begun
        return self._result

    def _play_phases(self) -> None:
        bad = ""
        for number, phase in enumerate(self._plan.phases, start=1):
            self._log(f"phase {number}")
            if bad:
                self._run(bad, BAD[bad].repairs, "repair")
            bad = phase.bad
            for name, chance in phase.changes:
                self._change(name, chance)
            if bad:
                self._run(bad, BAD[bad].breaks, "break")
            self._scheduler.faults += phase.faults
            self._scheduler.settle()
            if bad:
                # It has to be seen before it is repaired.
                self._come_to_rest()
        if bad:
            self._run(bad, BAD[bad].repairs, "repair")
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        for fault in self._scheduler.faults:
            self._log(f"not reached: {fault}")
        self._scheduler.calm()
        self._scheduler.settle(by_calendar=True)

    def _calm(self) -> None:
        try:
            self._platform.start()
            self._scheduler.calm()
        except Exception as error:
            self._violated(repr(error))

    def _change(self, name: str, chance: int) -> None:
        self._log(f"change: {name} {chance}")
        with psycopg.connect(self._platform.url(SOURCE, "source")) as source:
            CHANGES[name](source, chance)

    def _run(self, name: str, statements: Collection[str], what: str) -> None:
        self._log(f"{what}: {name}")
        with psycopg.connect(self._platform.url(SOURCE, "source")) as source:
            for statement in statements:
                source.execute(statement.encode())

    def _surprise(self, number: int) -> None:
        """Change the source while a step of the platform is under way."""
        names = [*CHANGES]
        self._change(names[number % len(names)], number)

    def _judge(self, reading: list[Reader], since: datetime) -> None:
        found = invariants.violations(
            self._platform,
            self._plan.dags,
            since,
            self._plan.delivered(),
            self._scheduler.failed,
            self._scheduler.made_up_for,
        )
        for line in (*found, *self._scheduler.problems):
            self._violated(line)
        rows = self._platform.records(
            "select asset, version, rows, digest, transaction from chaos.version order by number"
        )
        published = [
            Version(asset, number, (count, digest), transaction) for asset, number, count, digest, transaction in rows
        ]
        seen = [one for reader in reading for one in reader.seen]
        for line in readers.violations(seen, published):
            self._violated(line)
        for reader in reading:
            if reader.failure:
                self._violated(reader.failure)
        self._result.reads, self._result.versions = len(seen), len(published)

    def _log(self, line: str) -> None:
        line = f"{time.monotonic() - self._begun:6.1f} s  {line}"
        self._result.log.append(line)
        self._watch(line)

    def _violated(self, line: str) -> None:
        self._result.violations.append(line)
        self._log(f"VIOLATED: {line}")
