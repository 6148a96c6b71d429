"""What a reader can do next: sentences, and the commands that they introduce."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A sentence in the reader's language, a command to type, or a sentence that introduces a command."""

    sentence: str = ""
    command: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.command}".strip()


def as_text(steps: Iterable[Step]) -> str:
    """Return the steps as one line."""
    texts = [str(step) for step in steps]
    return " ".join([*(f"{text.removesuffix('.')}." for text in texts[:-1]), *texts[-1:]])
