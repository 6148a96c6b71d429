"""Several next steps as one line of text."""

from __future__ import annotations

from collections.abc import Iterable

from adventureworks.errors import Step


def as_text(steps: Iterable[Step]) -> str:
    """Return the steps as one line."""
    texts = [str(step) for step in steps]
    return " ".join([*(f"{text.removesuffix('.')}." for text in texts[:-1]), *texts[-1:]])
