"""What a reader can do next: sentences, and the commands that they introduce."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ADVICE = re.compile(r"(?:(?P<sentence>.*:) )?(?P<command>(?:adventureworks|airflow|ALTER|GRANT) [^:]+)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A sentence in the reader's language, a command to type, or a sentence that introduces a command."""

    sentence: str = ""
    command: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.command}".strip()


def step_of(advice: str) -> Step:
    """Return the advice of an error (`PlatformError.next_step`) as a step.

    A command or SQL statement comes last, after a colon: `Check it: adventureworks doctor`.
    """
    found = _ADVICE.fullmatch(advice.removesuffix("."))
    return Step(found["sentence"] or "", found["command"]) if found else Step(advice)


def as_text(steps: Iterable[Step]) -> str:
    """Return the steps as one line."""
    texts = [str(step) for step in steps]
    return " ".join([*(f"{text.removesuffix('.')}." for text in texts[:-1]), *texts[-1:]])
