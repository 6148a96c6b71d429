"""A PostgreSQL URL, read once: what every connection says besides, and which errors pass by themselves."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from adventureworks.errors import PlatformError

PASSING_CLASSES = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that another try may mend: connection, conflicts, resources, locks, shutdown, system errors."""

TIMEOUT_STATES = ("55P03", "57014")
"""SQLSTATEs of a statement that was ended because a lock, or the statement itself, took too long."""

WITHOUT_TIMEOUTS = {"idle_in_transaction_session_timeout": "0"}
"""Settings of the session that switch off the limits under which a server ends it, in every supported version."""

LATER_TIMEOUTS = (
    "select case when pg_catalog.current_setting(name, true) is not null"
    " then pg_catalog.set_config(name, '0', false) end"
    " from (values ('idle_session_timeout'), ('transaction_timeout')) as later (name)"
)
"""Switches off those limits that only later versions have (14 and 17), where the server has them."""

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


def conninfo(
    given: dict[str, str],
    purpose: str,
    *,
    settings: dict[str, str] | None = None,
    defaults: dict[str, str] | None = None,
) -> SecretStr:
    """A connection string with the password.

    `settings` of the session override what the URL's own options say; `defaults` give way to these.
    """
    before, after = (
        [f"-c {name}={value}" for name, value in (chosen or {}).items()] for chosen in (defaults, settings)
    )
    # The server takes the last one.
    options = " ".join(filter(None, [*before, given.get("options"), *after]))
    said = {"application_name": purpose[:63], "options": options or None}
    return SecretStr(make_conninfo("", **_LASTING | given | said))
