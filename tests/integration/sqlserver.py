"""A SQL Server for tests: a double in its own environment, its tables, and a proxy that can log and cut traffic."""

import csv
import os
import socket
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adventureworks.catalog import SOURCE_TABLES

PACKAGE = "pysqlbridge==2.1.3"
HOME = Path(__file__).resolve().parents[2] / ".venv-pysqlbridge"
SCRIPT = Path(__file__).with_name("sqlserver_double.py")
PASSWORD = "s3cr%t/:@"
QUOTED = "s3cr%25t%2F%3A%40"

Columns = dict[str, tuple[str, int, int, int, bool]]
"""Type, length in bytes, precision, scale and nullability, by column."""

OFFERS: Columns = {
    "SpecialOfferID": ("int", 4, 10, 0, False),
    "Description": ("nvarchar", 510, 0, 0, False),
    "DiscountPct": ("smallmoney", 4, 10, 4, False),
    "Type": ("nvarchar", 100, 0, 0, False),
    "Category": ("nvarchar", 100, 0, 0, False),
    "StartDate": ("datetime", 8, 23, 3, False),
    "EndDate": ("datetime", 8, 23, 3, False),
    "MinQty": ("int", 4, 10, 0, False),
    "MaxQty": ("int", 4, 10, 0, True),
    "rowguid": ("uniqueidentifier", 16, 0, 0, False),
    "ModifiedDate": ("datetime", 8, 23, 3, False),
}


def interpreter() -> Path:
    """Return the Python of an environment with pysqlbridge, created on first use; skip the test if that fails."""
    python = HOME / "bin" / "python"
    ready = HOME / ".ready"
    if not ready.exists():
        uv = Path(sys.executable).with_name("uv")
        venv.create(HOME, with_pip=not uv.exists(), clear=True)
        command = [str(uv), "pip", "install", "--python", str(python)]
        if not uv.exists():
            command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        done = subprocess.run([*command, "--quiet", PACKAGE], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{PACKAGE} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        ready.touch()
    return python


@dataclass
class SqlServer:
    """The double and the tables that it serves."""

    folder: Path
    port: int = 0
    tables: dict[str, Columns] = field(default_factory=dict)
    tracked: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    filtered: set[str] = field(default_factory=set)
    """Tables with a security policy; the catalogue reports three rows for each, whatever the login sees."""
    masked: set[str] = field(default_factory=set)
    """Columns whose values are masked for the login."""
    snapshots: bool = True
    is_read_only: bool = False
    """Whether it is a read-only replica, which rejects every question about tracked changes."""
    admits_readers_only: bool = False
    """Whether it is a read-only replica that accepts only read-intent connections."""
    lower_case: bool = False
    """Whether all names of schemas, tables and columns are in lower case."""
    made: str = "2014-07-08 00:00:00.000"
    group_id: str = ""
    """The database's identifier in its availability group, if it is in one."""

    def url(self, port: int | None = None, password: str = QUOTED, **options: str) -> str:
        """Return the double's URL; by default with encryption and its certificate trusted."""
        wanted = {"tls": "verify", "tls_ca": str(self.folder / "certificate.pem")} | options
        query = "&".join(f"{name}={value}" for name, value in wanted.items() if value)
        return f"mssql://reader:{password}@localhost:{port or self.port}/AdventureWorks?{query}"

    def put(self, table: str, columns: Columns, rows: Sequence[Sequence[Any]]) -> None:
        """Create or replace a table: an asset, or `schema.name` for any other table."""
        self.tables[table] = columns
        header = [self._stored(name) for name in columns]
        write_csv(self.folder / f"{named(table)[1]}.csv", header, rows)
        self.describe()

    def _stored(self, name: str) -> str:
        return name.lower() if self.lower_case else name

    def track(
        self,
        table: str,
        oldest: int,
        current: int,
        changes: Sequence[Sequence[Any]] = (),
        begin: int = 1,
        key: Sequence[str] = (),
    ) -> None:
        """Set the tracked changes of a table: version, operation (I, U or D) and key values of each.

        `begin`: the version at which tracking began. `key`: its columns, unless the table is an asset.
        """
        self.tracked[table] = (oldest, begin, current)
        key = key or SOURCE_TABLES[table].contract.to_schema().unique or []
        header = ["sys_change_version", "sys_change_operation", *map(self._stored, key)]
        placeholder = [0, "I", *[0] * len(key)]
        write_csv(self.folder / f"changes_{named(table)[1]}.csv", header, [placeholder, *changes])
        self.describe()

    def describe(self) -> None:
        """Rewrite the catalogue files."""
        tables, columns = [], []
        for asset, described in self.tables.items():
            versions = self.tracked.get(asset, ("", "", ""))
            readable = int(asset not in self.unreadable)
            names = [self._stored(name) for name in named(asset)]
            tables.append([*names, readable, readable, *versions, 3, int(asset in self.filtered)])
            columns += [
                [*names, self._stored(name), *map(_cell, kind), int(name in self.masked)]
                for name, kind in described.items()
            ]
        header = ["schema_name", "table_name", "readable", "tracking_visible"]
        header += ["oldest_version", "begin_version", "current_version", "row_count", "filters"]
        write_csv(self.folder / "catalogue_tables.csv", header, tables)
        header = ["schema_name", "table_name", "column_name", "type_name", "max_length", "precision", "scale"]
        write_csv(self.folder / "catalogue_columns.csv", [*header, "is_nullable", "is_masked"], columns)
        for name in ("is_read_only", "admits_readers_only"):
            flag = self.folder / name
            flag.touch() if getattr(self, name) else flag.unlink(missing_ok=True)
        updateability = "READ_ONLY" if self.is_read_only else "READ_WRITE"
        database = [[self.made, self.group_id, updateability, int(self.snapshots), "reader"]]
        header = ["made", "group_id", "updateability", "snapshot_state", "user_name"]
        write_csv(self.folder / "catalogue_database.csv", header, database)


def named(table: str) -> tuple[str, str]:
    """Return the schema and the name of an asset's table, or of one given as `schema.name`."""
    schema, _, name = table.partition(".")
    return (schema, name) if name else (SOURCE_TABLES[table].schema, SOURCE_TABLES[table].name)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write the file atomically, so that the double never serves a partial one."""
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[_cell(value) for value in row] for row in rows])
    unfinished.replace(path)


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else "" if value is None else value


@contextmanager
def serving(server: SqlServer) -> Iterator[SqlServer]:
    """Run the double until the test is over."""
    environment = {**os.environ, "DOUBLE_PASSWORD": PASSWORD, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [str(interpreter()), str(SCRIPT), str(server.folder), "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        env=environment,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        server.port = int(process.stdout.readline())
        yield server
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


class Wire:
    """A proxy that records what the client sends, and cuts the connection after `cut_after` bytes of responses."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.sent = b""
        self.answered = 0
        self.cut_after: int | None = None
        self._target = port
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop accepting connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError), closing(source), closing(target):
            while data := source.recv(4096):
                if from_client:
                    self.sent += data
                else:
                    self.answered += len(data)
                    if self.cut_after is not None and self.answered > self.cut_after:
                        for end in (source, target):
                            end.shutdown(socket.SHUT_RDWR)
                        return
                target.sendall(data)
