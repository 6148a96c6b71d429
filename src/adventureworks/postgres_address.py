"""A PostgreSQL URL, read once: what every connection says besides, and which errors pass by themselves."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from adventureworks.errors import PlatformError

PASSING_CLASSES = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that another try may mend: connection, conflicts, resources, locks, shutdown, system errors."""

_LASTING = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""So that a peer that vanished is noticed within two minutes, not when a task runs out of time."""


def parts_of(url: SecretStr, of: str, setting: str) -> dict[str, str]:
    """What a URL or a connection string of libpq says; `of` and `setting` name it where it says nothing sensible.

    Raises PlatformError, without any part of the text, where it cannot be read.
    """
    encode = f"Write @ / : and % of a password as %40 %2F %3A and %25 in {setting}."
    try:
        given = {
            key: str(value) for key, value in conninfo_to_dict(url.get_secret_value()).items() if value is not None
        }
    except psycopg.Error:
        raise PlatformError(f"The {of}'s URL is no PostgreSQL URL.", encode) from None
    # A password that is not encoded ends at its first @ or /: the rest of it would be shown as a host or a database.
    if any("@" in given.get(part, "") for part in ("host", "port", "dbname")):
        raise PlatformError(f"The {of}'s URL holds an @ after its host.", encode)
    return given


def conninfo(given: dict[str, str], purpose: str, *, settings: dict[str, str] | None = None) -> SecretStr:
    """A connection string with the password; `settings` of the session go before those that the URL gives."""
    ours = [f"-c {name}={value}" for name, value in (settings or {}).items()]
    options = " ".join(filter(None, [given.get("options"), *ours]))
    said = {"application_name": purpose[:63], "options": options or None}
    return SecretStr(make_conninfo("", **_LASTING | given | said))
