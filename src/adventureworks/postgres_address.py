"""Parsing of PostgreSQL URLs, options that every connection shares, and the classes of transient errors."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq
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

_DRIVERS = ("psycopg2", "psycopg", "asyncpg", "psycopg2cffi", "pg8000")
_SSL = re.compile(r"([?&])ssl=(?!true\b)")
_URL = re.compile(r"(postgres|postgresql)(\+(?P<driver>\w+))?://", re.IGNORECASE)

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

    A URL may name a driver, as those of SQLAlchemy do (`postgresql+psycopg2://`), and asyncpg's option `ssl`.
    Raises `PlatformError`, without any part of the text but the name of an option, if it cannot be parsed.
    """
    encode = f"In {setting}, write @ / : ? and % in a password as %40 %2F %3A %3F and %25."
    text = url.get_secret_value()
    if scheme := _URL.match(text):
        if scheme["driver"] and scheme["driver"].lower() not in _DRIVERS:
            raise PlatformError(f"The {of}'s URL names a driver that is not supported.", "Use postgresql://…")
        text = f"postgresql://{text[scheme.end() :]}"
        _require_known_options(text, of, encode)
        text = _SSL.sub(r"\1sslmode=", text)
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.Error:
        raise PlatformError(f"The {of}'s URL is not a PostgreSQL URL.", encode) from None
    # A password that is not encoded ends at its first @ or /: the rest of it would be shown as a host or a database.
    if any("@" in given.get(part, "") for part in ("host", "port", "dbname")):
        raise PlatformError(f"The {of}'s URL contains an @ after its host.", encode)
    return given


def _require_known_options(url: str, of: str, encode: str) -> None:
    """Raise `PlatformError` that names an option that libpq does not know."""
    _, _, query = url.partition("?")
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    unknown = sorted({name for name, _ in parse_qsl(query)} - known - {"ssl"})
    if unknown and "@" in query:
        # A password that is not encoded may contain a question mark.
        raise PlatformError(f"The {of}'s URL contains an @ after its host.", encode)
    if unknown:
        raise PlatformError(
            f"The {of}'s URL has the option {unknown[0]}, which is not supported.",
            "Use the options of libpq, such as sslmode and sslrootcert.",
        )


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
