"""What may leave the warehouse in a message: keys without persons, texts without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from adventureworks.catalog import MARTS, SOURCE_TABLES

LONGEST_KEY = 120
LONGEST_LINE = 300

_URL_LOGIN = re.compile(r"://\S*@")
_NAMED_SECRET = re.compile(
    r"""(?ix) \b (password|passwd|pwd|token|secret|api[_-]?key|authorization) \b (["']?\s*[=:]\s*)
    ("[^"]*" | '[^']*' | (?:bearer\s+)? [^\s,;&]+)"""
)
_NAMED_VALUE = re.compile(r"\w+=")
_EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\b(?:1 \(\d{2}\) \d{3} )?\d{3}-\d{3}-\d{4}\b|\b1 \(\d{2}\) \d{3} \d{3}-\d{4}\b")


def shown_key(asset: str, example: str) -> str:
    """An example key for people: `SalesOrderID 43659, SalesOrderDetailID 17`, personal values cut to two characters.

    `example` is a JSON map of column and value, as in `ops.quarantined_row`, or `column=value, column=value`. Any other
    text is shown up to the first personal column that it names.
    """
    personal = _personal_columns(asset)
    values = _named_values(example)
    if values is not None:
        example = ", ".join(
            f"{name} {shortened(value) if name in personal else value}" for name, value in values.items()
        )
    else:
        for name in personal:
            example = re.sub(rf"\b{re.escape(name)}\b.+", f"{name} …", example, flags=re.DOTALL)
    return _one_line(_without_persons(example), LONGEST_KEY)


def plain_line(text: str, secrets: Collection[str] = (), longest: int = LONGEST_LINE) -> str:
    """A text as one line without logins, passwords, addresses and telephone numbers.

    `secrets` are values that may not appear wherever they stand.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    text = _URL_LOGIN.sub("://…@", text)
    text = _NAMED_SECRET.sub(r"\1\2…", text)
    return _one_line(_without_persons(text), longest)


def shortened(value: object) -> str:
    """The last two characters of a value; all of it is hidden where that would be most of it."""
    text = str(value)
    return f"…{text[-2:]}" if len(text) > 4 else "…"


def _personal_columns(asset: str) -> frozenset[str]:
    if asset in MARTS or asset not in SOURCE_TABLES:
        return frozenset()
    table = SOURCE_TABLES[asset]
    return frozenset({*table.personal, *table.protected})


def _named_values(text: str) -> Mapping[str, object] | None:
    """The columns and values of a key, None where the text is not written so."""
    try:
        values = json.loads(text)
    except ValueError:
        if not _NAMED_VALUE.match(text):
            return None
        return dict(part.split("=", 1) for part in re.split(r",\s*(?=\w+=)", text))
    return values if isinstance(values, dict) else None


def _without_persons(text: str) -> str:
    text = _EMAIL.sub("…@…", text)
    return _PHONE.sub(lambda match: shortened(match[0]), text)


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.replace("\x00", " ").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
