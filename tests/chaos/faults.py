"""The kinds of faults, and the statements at which they strike."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happens, worded as in the table of the results."""

    TASK_KILLED = "a task is killed"
    WATCH_KILLED = "the watch and its dispatcher are killed"
    CRASH = "a process of PostgreSQL is killed, and it recovers"
    OUTAGE = "PostgreSQL is stopped at once and started later"
    DISCONNECTED = "all connections are dropped"
    DISK_FULL = "the disk of the warehouse is full"
    GHOST = "a task that was given up goes on beside its retry"
    OVERLAP = "a second batch runs during a step"
    CHANGE = "the source changes during a step"
    DEPLOY = "a new release is deployed during a step"
    CLOCK = "the clock of a notification or of the watch is moved by up to a day"
    EVENT_LOST = "events are lost"
    EVENT_DOUBLED = "events arrive twice"


STATEMENTS = {
    "detect": 35,
    "load": 110,
    "publish_tables": 300,
    "notify": 70,
    "refresh": 170,
    "watch": 62,
}
"""By task: about how many statements it sends to the warehouse. A fault that is drawn for a later one strikes at its
end, when everything is committed but nothing is reported yet."""
PUBLISHING = ("publish_tables", "refresh")
LONGEST_ATTEMPTS = 6
"""For how many attempts of tasks PostgreSQL is down, or the disk full, at most. A task has five attempts."""
LONGEST_SHIFT_HOURS = 24


@dataclass(frozen=True)
class Fault:
    """A fault in the next run of a task: before it sends its `statement`-th statement.

    `amount`: for how many attempts it lasts, by how many hours the clock is moved, or what the change is drawn from.
    """

    kind: Kind
    task: str
    statement: int
    amount: int

    def __str__(self) -> str:
        return f"{self.kind} ({self.task}, statement {self.statement}, {self.amount})"


def draw(chance: random.Random, kind: Kind) -> Fault:
    """Return a fault of a kind."""
    tasks = [task for task in STATEMENTS if task != "watch"]
    if kind is Kind.WATCH_KILLED:
        tasks = ["watch"]
    elif kind in {Kind.EVENT_LOST, Kind.EVENT_DOUBLED}:
        tasks = [*PUBLISHING]
    elif kind is Kind.CLOCK:
        tasks = ["notify", "watch"]
    task = chance.choice(tasks)
    amounts = {
        Kind.OUTAGE: chance.randint(1, LONGEST_ATTEMPTS),
        Kind.DISK_FULL: chance.randint(1, LONGEST_ATTEMPTS),
        Kind.CLOCK: chance.randint(-LONGEST_SHIFT_HOURS, LONGEST_SHIFT_HOURS),
    }
    return Fault(kind, task, chance.randint(1, STATEMENTS[task]), amounts.get(kind, chance.randrange(10**6)))
