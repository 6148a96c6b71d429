"""Output of the commands: formatted on a terminal, plain where it goes to a file or another program."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adventureworks.incidents.privacy import plain_line

UNLIMITED = 10_000
MAX_NAME_LENGTH = 80


def console() -> Console:
    """Return the console of standard output, which breaks lines only on a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else UNLIMITED, soft_wrap=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """Return a table of texts; `right` names the columns that are aligned to the right."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        shown.add_column(Text(heading), justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def moment(when: datetime | None) -> str:
    """Format a point in time to the minute; a dash for None."""
    return f"{when:%Y-%m-%d %H:%M}" if when else "-"


def who(given: str | None = None) -> str:
    """Return the name to record for a user: the given one, or the login name."""
    return plain_line(given or getpass.getuser(), longest=MAX_NAME_LENGTH)


def as_text(value: object) -> str:
    """Return a point in time as text for JSON. Raises `TypeError` for any other value that JSON cannot represent."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
