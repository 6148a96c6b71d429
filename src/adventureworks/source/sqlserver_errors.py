"""Where a SQL Server source is, and what its failures mean: worth another try, a thing to mend, or a blocked table.

Messages name host, port and database; a password never gets into one, nor does the driver's own text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pymssql
from pydantic import SecretStr

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked

CHECK = "Check ADVENTUREWORKS_SOURCE_URL: adventureworks doctor"
SCHEMES = ("mssql://", "mssql+pymssql://")
FORM = "mssql://user@host:1433/database"

Tls = Literal["verify", "encrypt", "off"]
"""verify: encrypted, and the server proves who it is; encrypt: encrypted, to whoever answers; off: readable by all."""

Isolation = Literal["snapshot", "read_committed"]
"""snapshot: all tables of a batch as they are at one moment; read_committed: each as it is when it is read."""

_RULES = {
    207: ("columns_are_there", "a column vanished from the source while it was read."),
    208: ("table_is_there", "the source no longer has this table."),
    229: ("table_is_readable", "the login may not read this table."),
    230: ("table_is_readable", "the login may not read a column of this table."),
}
"""Messages of the server that block one table."""

_REFUSALS = {
    4060: "does not have the database, or does not let this login into it",
    18452: "does not accept this login from here",
    18456: "refuses the login",
    18470: "has disabled the login",
    18486: "has locked the login",
    18487: "says that the login's password has expired",
    18488: "says that the login's password must be changed",
    40532: "refuses the login",
    40615: "does not let this address through its firewall",
}
"""Messages of the server at the login; none of these gets better by waiting."""

SNAPSHOT_FORBIDDEN = 3952

_PASSING = {
    596: "somebody ended the session",
    701: "it is short of memory",
    845: "its disk is slow",
    927: "the database is being restored",
    942: "the database is offline",
    952: "the database is changing its state",
    976: "it is not the readable replica",
    978: "it is not the readable replica",
    983: "its availability group is starting",
    1105: "a disk of it is full",
    1204: "it is short of locks",
    1205: "another transaction was in the way",
    1222: "a lock was held for too long",
    3953: "snapshots are being switched on or off",
    3956: "snapshots are being switched on or off",
    3957: "a table was altered while it was read",
    3959: "its version store is full",
    3960: "another transaction was in the way",
    3961: "a table was altered while it was read",
    3966: "its version store is full",
    3958: "its version store is full",
    6005: "it is shutting down",
    6006: "it is shutting down",
    8645: "it is short of memory",
    9001: "its log is not available",
    10928: "it is busy",
    10929: "it is busy",
    17142: "it is paused",
    17197: "it took too long to let this login in",
    18401: "it is being upgraded",
    22105: "the tracking of changes was switched off meanwhile",
    40197: "it is busy",
    40501: "it is busy",
    40613: "the database is not available at the moment",
    49918: "it is busy",
    49919: "it is busy",
    49920: "it is busy",
}
"""Messages of the server that another try may mend."""

_FROM_SERVER = "20018"
"""The driver's number for: what is before this, the server said. Without it, a number may be that of an older error."""

_UNREACHABLE = "20009"
_TOO_LONG = "20003"


@dataclass(frozen=True)
class Address:
    """Where the source is, and how to connect. Holds the password, and never shows it."""

    host: str
    port: int
    database: str
    user: str
    password: SecretStr
    tls: Tls = "verify"
    tls_ca: Path | None = None
    isolation: Isolation = "snapshot"

    @property
    def name(self) -> str:
        """For people: database, host and port."""
        return f"{self.database} on {self.host}:{self.port}"

    @classmethod
    def of(cls, url: SecretStr, password: SecretStr | None = None) -> Address:
        """Reads `mssql://user:password@host:port/database?tls=…&tls_ca=…&isolation=…`.

        `password` is taken where the URL has none. Raises PlatformError where the URL is none of this kind.
        """
        split = _split(url.get_secret_value())
        options = _options(split)
        missing = {"host": split.hostname, "database": split.path.strip("/"), "user": split.username}
        for part, given in missing.items():
            if not given:
                raise PlatformError(f"The source's URL has no {part}.", f"Its form: {FORM}")
        if "@" in split.path or "@" in str(split.hostname):
            # A password that is not encoded ends at its first @ or /: the rest of it would be shown.
            raise PlatformError(
                "The source's URL holds an @ after its host.", "Write @ / : and % of a password as %40 %2F %3A and %25."
            )
        host = unquote(str(split.hostname))
        if "\\" in host:
            raise PlatformError(
                "The source's URL names an instance of SQL Server (host\\instance).",
                f"Give the instance's port instead, {FORM}; how to find it: docs/operate/sql-server.md",
            )
        if "," in host:
            raise PlatformError("The source's URL has a comma between host and port.", f"Its form: {FORM}")
        secret = SecretStr(unquote(split.password)) if split.password else password or SecretStr("")
        ca = options.get("tls_ca")
        if ca and not Path(ca).is_file():
            raise PlatformError(f"The file of certificates {ca} is not there.", "Mend tls_ca in the source's URL.")
        return cls(
            host=host,
            port=split.port or 1433,
            database=unquote(split.path.strip("/")),
            user=unquote(str(split.username)),
            password=secret,
            tls=cast(Tls, _choice(options, "tls", get_args(Tls))),
            tls_ca=Path(ca) if ca else None,
            isolation=cast(Isolation, _choice(options, "isolation", get_args(Isolation))),
        )


def _split(url: str) -> SplitResult:
    malformed = PlatformError("The source's URL is no SQL Server URL.", f"Its form: {FORM}")
    if not url.startswith(SCHEMES):
        raise malformed
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError:
        # The text of the error may quote the URL.
        raise malformed from None
    return split


def _options(split: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(split.query))
    unknown = sorted(options.keys() - {"tls", "tls_ca", "isolation"})
    if unknown:
        raise PlatformError(
            f"The source's URL has the option {unknown[0]}, which means nothing here.",
            "Options are tls, tls_ca and isolation: docs/operate/sql-server.md",
        )
    return options


def _choice(options: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    chosen = options.get(name, choices[0])
    if chosen not in choices:
        raise PlatformError(f"The source's URL has {name}={chosen}.", f"One of {', '.join(choices)} is possible.")
    return chosen


@contextmanager
def translated(address: Address, table: SourceTable | None = None) -> Iterator[None]:
    """Turns the driver's errors into the platform's; `table` is the one that is being read."""
    try:
        yield
    except pymssql.Error as error:
        raise meaning(error, address, table) from None


def meaning(error: pymssql.Error, address: Address, table: SourceTable | None = None) -> PlatformError:
    """What an error of the driver says, in one line."""
    number, text = _number_and_text(error)
    if table is not None and number in _RULES:
        rule, cause = _RULES[number]
        return TableBlocked(table.asset, rule, cause, _mending(table, rule))
    if number in _REFUSALS:
        return PlatformError(f"The source {address.name} {_REFUSALS[number]}.", CHECK)
    if number == SNAPSHOT_FORBIDDEN:
        return PlatformError(f"The source {address.name} does not allow snapshots.", mend_snapshots(address.database))
    if number in _PASSING:
        return ServiceUnavailable(f"The source {address.name} cannot answer now: {_PASSING[number]}.", CHECK)
    if number:
        place = f"{table.asset}: the" if table else "The"
        return PlatformError(f"{place} source {address.name} refuses the question (message {number}).", CHECK)
    return ServiceUnavailable(f"The source {address.name} does not answer: {_reason(text, address)}.", CHECK)


def mend_snapshots(database: str) -> str:
    """The statement that allows snapshots, and the way without them."""
    name = "[" + database.replace("]", "]]") + "]"
    return (
        f"Let an administrator run: ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON;"
        " or add isolation=read_committed to the URL: docs/operate/sql-server.md"
    )


def _mending(table: SourceTable, rule: str) -> str:
    if rule == "table_is_readable":
        return f"Let an administrator run: GRANT SELECT ON [{table.schema}].[{table.name}] TO the login's user;"
    return ""


def _number_and_text(error: pymssql.Error) -> tuple[int, str]:
    """The server's number, 0 where it was not the server that spoke; and what the driver wrote."""
    given = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], tuple) else error.args
    number = given[0] if given and isinstance(given[0], int) else 0
    raw = given[-1] if given else ""
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else str(raw)
    # The driver keeps the number of an older error for a connection that never came about, so its text decides.
    return (number if _FROM_SERVER in text and not 20_000 <= number < 21_000 else 0), text


def _reason(text: str, address: Address) -> str:
    """Why, in the few words that are safe to show."""
    if "refused" in text:
        return "connection refused"
    if _TOO_LONG in text or "timed out" in text:
        return "it took too long"
    if _UNREACHABLE in text or "Unknown error" in text:
        return "its host name is unknown, or the network does not lead there"
    if address.tls == "verify" and "20002" in text:
        return (
            "it broke off the login; so it looks, too, when its certificate is not trusted"
            " (tls_ca=FILE names whom to trust, tls=encrypt trusts anybody)"
        )
    return "the connection was lost"
