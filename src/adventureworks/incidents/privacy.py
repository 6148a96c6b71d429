"""Redaction of texts that leave the warehouse in a message: no personal data, no secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.texts.plain import cut

MAX_KEY_LENGTH = 120
MAX_LINE_LENGTH = 300

_URL_LOGIN = re.compile(r"://\S*@")
_NAMED_SECRET = re.compile(
    r"""(?ix) \b (password|passwd|pwd|token|secret|api[_-]?key|authorization) \b (["']?\s*[=:]\s*)
    ("[^"]*" | '[^']*' | (?:bearer\s+)? [^\s,;&]+)"""
)
_NAMED_VALUE = re.compile(r"\w+=")
_EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\b(?:1 \(\d{2}\) \d{3} )?\d{3}-\d{3}-\d{4}\b|\b1 \(\d{2}\) \d{3} \d{3}-\d{4}\b")


def shown_key(asset: str, example: str) -> str:
    """Return an example key for display: `SalesOrderID 43659, SalesOrderDetailID 17`, with personal values redacted.

    Of a personal value only the last two characters are shown. `example` is a JSON map of column and value, as in
    `ops.quarantined_row`, or `column=value, column=value`. Any other text is cut after the first personal column that
    it names.
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
    return _one_line(_without_personal_data(example), MAX_KEY_LENGTH)


def plain_line(text: str, secrets: Collection[str] = (), longest: int = MAX_LINE_LENGTH) -> str:
    """Return a text as one line without logins, passwords, mail addresses and telephone numbers.

    `secrets` are values to be removed wherever they occur.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    text = _URL_LOGIN.sub("://…@", text)
    text = _NAMED_SECRET.sub(r"\1\2…", text)
    return _one_line(_without_personal_data(text), longest)


def shortened(value: object) -> str:
    """Return the last two characters of a value; a value of up to four characters is hidden completely."""
    text = str(value)
    return f"…{text[-2:]}" if len(text) > 4 else "…"


def _personal_columns(asset: str) -> frozenset[str]:
    if asset in MARTS or asset not in SOURCE_TABLES:
        return frozenset()
    table = SOURCE_TABLES[asset]
    return frozenset({*table.personal, *table.protected})


def _named_values(text: str) -> Mapping[str, object] | None:
    """Return the columns and values of a key, or None if the text has neither format."""
    try:
        values = json.loads(text)
    except ValueError:
        if not _NAMED_VALUE.match(text):
            return None
        return dict(part.split("=", 1) for part in re.split(r",\s*(?=\w+=)", text))
    return values if isinstance(values, dict) else None


def _without_personal_data(text: str) -> str:
    text = _EMAIL.sub("…@…", text)
    return _PHONE.sub(lambda match: shortened(match[0]), text)


def _one_line(text: str, longest: int) -> str:
    return cut(" ".join(text.replace("\x00", " ").split()), longest)
