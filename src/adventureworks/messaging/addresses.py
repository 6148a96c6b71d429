"""Mail addresses as people write them: several in one text, with names."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r'[,;](?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma or semicolon outside of quotes."""
_NAMED = re.compile(r'(?:"[^"]*"|[^"<>@]*)\s*<\s*([^<>\s]+)\s*>')
_ADDRESS = re.compile(r"""[^\s@<>,;:"()\[\]\\\x00-\x1f\x7f]+@(?:[\w-]+\.)*[\w-]+""")


def addresses(text: str) -> tuple[str, ...]:
    """Each address of a text, once, without its name: parted by commas, semicolons or blanks.

    Raises ValueError, which quotes the part that is not an address, or says that there is none.
    """
    found: dict[str, None] = {}
    for part in _SEPARATOR.split(text):
        named = _NAMED.fullmatch(part.strip())
        for address in [named[1]] if named else part.split():
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not a mail address")
            found[address] = None
    if not found:
        raise ValueError("there is no mail address")
    return tuple(found)
