"""Cleaning of texts from the data, so that XML, JSON, a database, a mail and a web page can all carry them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

REPLACEMENT = "\ufffd"
"""Replaces a character that some medium cannot carry."""

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Control characters, unpaired surrogates, and code points that are not characters."""
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
# They change the direction of all the text that follows, beyond the text that contains them.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PLANE_ENDS = dict.fromkeys((plane << 16 | last for plane in range(1, 17) for last in (0xFFFE, 0xFFFF)), REPLACEMENT)

T = TypeVar("T")


def plain(text: str) -> str:
    """Return the text without characters that XML, PostgreSQL or UTF-8 reject, and without directional controls."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNFIT.sub(REPLACEMENT, _LINE_ENDS.sub("\n", _DIRECTION.sub("", text)))
    return text.translate(_PLANE_ENDS)


def cut(text: str, longest: int) -> str:
    """Truncate a text to a number of characters, the last of which is an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Sequence[str], most: int) -> str:
    """Return at most this many names as an English text, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def map_texts(value: T, change: Callable[[str], str]) -> T:
    """Return a copy of nested lists, tuples, maps and data classes with `change` applied to all strings but keys."""
    return _changed(value, change)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _changed(item, change) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_changed(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        return replace(value, **{name: _changed(getattr(value, name), change) for name in names})
    return value
