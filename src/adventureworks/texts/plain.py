"""Texts from the data, made fit for every medium: XML, JSON, a database, a mail, a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

REPLACED = "\ufffd"
"""Shown in place of a character that no medium can carry."""

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Control characters, halves of surrogate pairs, and code points that are no characters."""
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
# They turn the direction of all the text that follows, also of text that is not theirs.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PLANE_ENDS = dict.fromkeys((plane << 16 | last for plane in range(1, 17) for last in (0xFFFE, 0xFFFF)), REPLACED)

T = TypeVar("T")


def plain(text: str) -> str:
    """The text without what XML, PostgreSQL or UTF-8 refuse, and without control over the direction of other text."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNFIT.sub(REPLACED, _LINE_ENDS.sub("\n", _DIRECTION.sub("", text)))
    return text.translate(_PLANE_ENDS)


def each_text(value: T, change: Callable[[str], str]) -> T:
    """A copy of nested lists, tuples, maps and data classes in which every text is changed; names of maps stay."""
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
