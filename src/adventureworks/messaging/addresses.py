"""Parsing of mail addresses as users write them: several in one string, optionally with names."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r'[,;](?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma or semicolon outside quotes."""
_NAMED = re.compile(r'(?:"[^"]*"|[^"<>@]*)\s*<\s*([^<>\s]+)\s*>')
_ADDRESS = re.compile(r"""[^\s@<>,;:"()\[\]\\\x00-\x1f\x7f]+@(?:[\w-]+\.)*[\w-]+""")


def addresses(text: str) -> tuple[str, ...]:
    """Return the distinct addresses in a string, without names. Separators are commas, semicolons and whitespace.

    Raises ValueError if there is no address, or if a part is not an address; the error quotes that part.
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
