"""Parsing of PostgreSQL URLs, options that every connection shares, and the classes of transient errors."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from adventureworks.errors import PlatformError

TRANSIENT_CLASSES = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that a retry may fix: connection, conflicts, resources, locks, shutdown, system errors."""

TIMEOUT_STATES = ("55P03", "57014")
"""SQLSTATEs of a statement that was cancelled because a lock, or the statement itself, took too long."""

WITHOUT_TIMEOUTS = {"idle_in_transaction_session_timeout": "0"}
"""Settings that turn off the timeouts after which a server ends a session, in every supported version."""

LATER_TIMEOUTS = (
    "select case when pg_catalog.current_setting(name, true) is not null"
    " then pg_catalog.set_config(name, '0', false) end"
    " from (values ('idle_session_timeout'), ('transaction_timeout')) as later (name)"
)
"""Turns off the timeouts that only later versions have (14 and 17), if the server has them."""

_KEEPALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""With these, a peer that vanished is noticed within two minutes, and not only when the task times out."""


def parts_of(url: SecretStr, of: str, setting: str) -> dict[str, str]:
    """Return the parts of a URL or connection string of libpq; `of` and `setting` name it in errors.

    Raises `PlatformError`, without any part of the text, if it cannot be parsed.
    """
    encode = f"In {setting}, write @ / : and % in a password as %40 %2F %3A and %25."
    try:
        given = {
            key: str(value) for key, value in conninfo_to_dict(url.get_secret_value()).items() if value is not None
        }
    except psycopg.Error:
        raise PlatformError(f"The {of}'s URL is not a PostgreSQL URL.", encode) from None
    # A password that is not encoded ends at its first @ or /: the rest of it would be shown as a host or a database.
    if any("@" in given.get(part, "") for part in ("host", "port", "dbname")):
        raise PlatformError(f"The {of}'s URL contains an @ after its host.", encode)
    return given


def conninfo(
    given: dict[str, str],
    purpose: str,
    *,
    settings: dict[str, str] | None = None,
    defaults: dict[str, str] | None = None,
) -> SecretStr:
    """Return a connection string with the password.

    `settings` of the session override those in the URL's options, which in turn override `defaults`.
    """
    before, after = (
        [f"-c {name}={value}" for name, value in (chosen or {}).items()] for chosen in (defaults, settings)
    )
    # If a setting occurs more than once, the server uses the last value.
    options = " ".join(filter(None, [*before, given.get("options"), *after]))
    own = {"application_name": purpose[:63], "options": options or None}
    return SecretStr(make_conninfo("", **_KEEPALIVE | given | own))
