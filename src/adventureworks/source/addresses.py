"""The address of a source database, parsed from its URL. An address holds the password and never shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import SplitResult, parse_qsl, unquote

from pydantic import SecretStr

from adventureworks.errors import PlatformError, Step
from adventureworks.postgres_address import conninfo, parts_of
from adventureworks.source.files_addresses import parts_of_url

CHECK = Step("Check ADVENTUREWORKS_SOURCE_URL with:", "adventureworks doctor")

DRIVERS = ("", "pymssql", "pyodbc")
"""Drivers that a URL may name, as in `mssql+pyodbc://`. The connection is made by pymssql in any case."""
FORM = "mssql://user@host:1433/database"

Tls = Literal["verify", "encrypt", "off"]
"""verify: encrypted and authenticated by certificate; encrypt: encrypted, any server accepted; off: not encrypted."""

Isolation = Literal["snapshot", "read_committed"]
"""snapshot: all tables of a batch as of the same moment; read_committed: each as of the time when it is read."""


Intent = Literal["readwrite", "readonly"]
"""readonly: a listener directs the connection to a read-only secondary, and such a replica accepts it."""


@dataclass(frozen=True)
class PostgresAddress:
    """Where the source is, and how to connect. Holds the password and never shows it."""

    conninfo: SecretStr
    name: str
    login: str

    @classmethod
    def of(cls, url: SecretStr) -> PostgresAddress:
        """Parse a URL or a libpq connection string. Raises `PlatformError` if it is neither."""
        given = parts_of(url, "source", "ADVENTUREWORKS_SOURCE_URL")
        host = given.get("host") or given.get("hostaddr") or "localhost"
        name = f"{given.get('dbname') or 'postgres'} on {host}:{given.get('port') or 5432}"
        login = given.get("user") or "the login"
        return cls(conninfo({"client_encoding": "UTF8", **given}, "adventureworks"), name, login)


@dataclass(frozen=True)
class SqlServerAddress:
    """Where the source is, and how to connect. Holds the password and never shows it."""

    host: str
    port: int
    database: str
    user: str
    password: SecretStr
    tls: Tls = "verify"
    tls_ca: Path | None = None
    isolation: Isolation = "snapshot"
    intent: Intent = "readwrite"

    @property
    def name(self) -> str:
        """Database, host and port, for display."""
        return f"{self.database} on {self.host}:{self.port}"

    @classmethod
    def of(cls, url: SecretStr, password: SecretStr | None = None) -> SqlServerAddress:
        """Parse `mssql://user:password@host:port/database?tls=…&tls_ca=…&isolation=…&intent=…`.

        `password` is used if the URL has none. Raises `PlatformError` if the URL is not of this form.
        """
        split = _split(url.get_secret_value())
        options = _options(split)
        missing = {"host": split.hostname, "database": split.path.strip("/"), "user": split.username}
        for part, given in missing.items():
            if not given:
                raise PlatformError(f"The source's URL has no {part}.", f"Use the form {FORM}")
        if "@" in split.path or "@" in str(split.hostname):
            # An unencoded password ends at its first @ or /, and the rest would be shown as the host or the path.
            raise PlatformError(
                "The source's URL has an @ after the host.", "In a password, write @ / : % as %40 %2F %3A %25."
            )
        host = unquote(str(split.hostname))
        if "\\" in host:
            raise PlatformError(
                "The source's URL names an instance of SQL Server (host\\instance).",
                f"Use the instance's port instead: {FORM}. How to find it: docs/operate/sql-server.md",
            )
        if "," in host:
            raise PlatformError("The source's URL has a comma between host and port.", f"Use a colon: {FORM}")
        secret = SecretStr(unquote(split.password)) if split.password else password or SecretStr("")
        ca = options.get("tls_ca")
        if ca and not Path(ca).is_file():
            raise PlatformError(f"The certificate file {ca} does not exist.", "Correct tls_ca in the source's URL.")
        return cls(
            host=host,
            port=split.port or 1433,
            database=unquote(split.path.strip("/")),
            user=unquote(str(split.username)),
            password=secret,
            tls=cast(Tls, _choice(options, "tls", get_args(Tls))),
            tls_ca=Path(ca) if ca else None,
            isolation=cast(Isolation, _choice(options, "isolation", get_args(Isolation))),
            intent=cast(Intent, _choice(options, "intent", get_args(Intent))),
        )


def _split(url: str) -> SplitResult:
    dialect, _, driver = url.partition("://")[0].lower().partition("+")
    if dialect != "mssql":
        raise PlatformError("The source's URL is not a SQL Server URL.", f"Use the form {FORM}")
    if driver not in DRIVERS:
        raise PlatformError("The source's URL names a driver that is not supported.", f"Use the form {FORM}")
    return parts_of_url(url)


_ENCRYPT, _TRUST = "encrypt", "trustservercertificate"
_YES, _NO = ("yes", "true", "1", "mandatory"), ("no", "false", "0", "optional")
_ODBC_IGNORED = frozenset({"driver", "app", "mars_connection", "longasmax", "fast_executemany"})
"""Options of ODBC that do not change what is read."""


def _options(split: SplitResult) -> dict[str, str]:
    """Return the options tls, tls_ca, isolation and intent; those of ODBC are translated.

    Raises `PlatformError` that names an option that is unknown or cannot be honoured, but never its value.
    """
    own = {"tls", "tls_ca", "isolation", "intent"}
    given = dict(parse_qsl(split.query))
    odbc = {name.lower().replace(" ", ""): value.lower() for name, value in given.items() if name not in own}
    if odbc.get("charset") in ("utf8", "utf-8"):
        del odbc["charset"]
    if odbc.get("trusted_connection") in _NO:
        del odbc["trusted_connection"]
    intent = "readonly" if odbc.pop("applicationintent", "") == "readonly" else "readwrite"
    if {"trusted_connection", "authentication"} & odbc.keys():
        raise PlatformError(
            "The source's URL asks for a Windows or Entra login, which is not supported.",
            "Use a login with a password: docs/operate/sql-server.md#the-login",
        )
    refused = sorted(odbc.keys() - _ODBC_IGNORED - {_ENCRYPT, _TRUST})
    if refused and "@" in split.query:
        # A password that is not encoded may contain a question mark.
        raise PlatformError(
            "The source's URL has an @ after the host.", "In a password, write @ / : ? % as %40 %2F %3A %3F %25."
        )
    if refused:
        raise PlatformError(
            f"The source's URL has the option {refused[0]}, which is not supported.",
            "The options are tls, tls_ca, isolation and intent, and ODBC's driver, Encrypt, TrustServerCertificate and"
            " ApplicationIntent: docs/operate/sql-server.md",
        )
    encrypted, trusting = (_yes(odbc, name) for name in (_ENCRYPT, _TRUST))
    tls = "off" if encrypted is False else "encrypt" if trusting else "verify"
    return {"tls": tls, "intent": intent, **{name: value for name, value in given.items() if name in own}}


def _yes(odbc: Mapping[str, str], name: str) -> bool | None:
    """Return an option of ODBC, or None if it is not given."""
    value = odbc.get(name)
    if value is not None and value not in (*_YES, *_NO):
        raise PlatformError(
            f"The source's URL has a value of {name} that is not supported.", "Use yes or no. TDS 8 is not supported."
        )
    return None if value is None else value in _YES


def _choice(options: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    chosen = options.get(name, choices[0])
    if chosen not in choices:
        raise PlatformError(f"The source's URL has {name}={chosen}.", f"Use one of {', '.join(choices)}.")
    return chosen
