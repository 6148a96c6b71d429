"""How commands print: to people on a terminal, or plainly where the output goes to a file or a program."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

UNLIMITED = 10_000


def console() -> Console:
    """Standard output; lines are not cut where nobody looks at a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else UNLIMITED, soft_wrap=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """A table of texts; `right` names the columns that are aligned to the right."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        shown.add_column(Text(heading), justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def moment(when: datetime | None) -> str:
    """A point in time, to the minute; a dash for none."""
    return f"{when:%Y-%m-%d %H:%M}" if when else "-"


def as_text(value: object) -> str:
    """How JSON shows a point in time; TypeError for anything else that JSON has no form for."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
