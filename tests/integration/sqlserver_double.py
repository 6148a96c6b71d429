"""A SQL Server test double: pysqlbridge on the CSV files of a folder. Runs in pysqlbridge's own environment.

Protocol, login, TLS and most of the SQL are pysqlbridge's. Queries that it does not support are rewritten first: on the
catalogue (`catalogue_tables.csv`, `catalogue_columns.csv`), on tracked changes (`changes_TABLE.csv`), and expressions
with hashes or bytes. Files may be changed at any time. Arguments: the folder, and the port to listen on.
"""

import json
import os
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

from pysqlbridge.catalog import QueryError  # type: ignore[import-not-found]
from pysqlbridge.catalog import load as load_catalog
from pysqlbridge.certificate import self_signed  # type: ignore[import-not-found]
from pysqlbridge.logins import load as load_logins  # type: ignore[import-not-found]
from pysqlbridge.server import start_background  # type: ignore[import-not-found]
from pysqlbridge.tds.login import Login7  # type: ignore[import-not-found]

READ_ONLY_INTENT = 0x20
"""The bit of a login's type flags by which the client declares that it only reads."""

TABLES = (
    "select schema_name, table_name, readable, tracking_visible, oldest_version, begin_version, current_version,"
    " row_count, filters from catalogue_tables"
)
UNTRACKED = (
    "select schema_name, table_name, readable, tracking_visible, null as oldest_version, null as begin_version,"
    " null as current_version, row_count, filters from catalogue_tables"
)
COLUMNS = (
    "select schema_name, table_name, column_name, type_name, max_length, precision, scale, is_nullable,"
    " is_masked"
    " from catalogue_columns"
)
RELATIONS = "select concat(schema_name, '.', table_name) as name from catalogue_tables"
REWRITES = [
    (re.compile(r"^.*is_ms_shipped.*$", re.S), RELATIONS),
    (re.compile(r"^.*change_tracking_min_valid_version.*$", re.S), TABLES),
    (re.compile(r"^.*has_perms_by_name.*from sys\.objects as o.*$", re.S), UNTRACKED),
    (re.compile(r"^.*from sys\.columns.*$", re.S), COLUMNS),
    (re.compile(r"^.*from sys\.databases.*$", re.S), "select * from catalogue_database"),
    (
        re.compile(
            r"convert\(varchar\(40\), sum\(cast\(cast\(substring\(hashbytes\('SHA2_256', (concat\(.*\))\), 1, 8\)"
            r" as bigint\) as decimal\(38, 0\)\)\)\)"
        ),
        r"string_agg(\1, '|')",
    ),
    (
        re.compile(r"changetable\(changes \[\w+\]\.\[(\w+)\], (\d+)\) as (\w)"),
        r"(select * from changes_\1 where sys_change_version > \2) as \3",
    ),
    (re.compile(r"convert\(varchar\(max\), cast\((t\.\[\w+\]) as varbinary\(\w+\)\), 2\)"), r"\1"),
    (re.compile(r"convert\(varchar\(max\), convert\(varbinary\(max\), (t\.\[\w+\])\), 2\)"), r"\1"),
]


class Folder:
    """The current tables of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.stamp: list[tuple[str, int, int]] | None = None
        self.catalog = None
        self.only_reads = False
        """Whether the last login declared that it only reads."""

    def answer(self, query):
        sql = query.sql
        # A real server refuses the login itself.
        if sql.startswith("select") and (self.path / "admits_readers_only").exists() and not self.only_reads:
            raise QueryError("The database is accessible when the application intent is read only.", number=978)
        if (self.path / "is_read_only").exists() and re.search("change_?t(able|racking_)", sql):
            raise QueryError("Change tracking is not supported on a secondary replica.", number=22117)
        for pattern, replacement in REWRITES:
            sql = pattern.sub(replacement, sql)
        return self.current().answer(replace(query, sql=sql))

    def current(self):
        """Return the catalogue, reloaded if a file changed."""
        with self.lock:
            files = sorted(self.path.glob("*.csv"))
            stamp = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
            if stamp != self.stamp:
                tables = [{"name": file.stem, "csv": str(file)} for file in files]
                settings = self.path / "tables.json"
                settings.write_text(json.dumps({"tables": tables, "logins": LOGINS}))
                self.catalog, self.stamp = load_catalog(settings), stamp
            return self.catalog


LOGINS = [{"user": "reader", "password": "${env:DOUBLE_PASSWORD}"}]


def note_intent(folder: Folder) -> None:
    """Let the folder know what each login declares; pysqlbridge ignores it."""
    parse = Login7.parse

    def parse_and_note(payload: bytes) -> Login7:
        login = parse(payload)
        folder.only_reads = bool(login.type_flags & READ_ONLY_INTENT)
        return login

    Login7.parse = parse_and_note


def main() -> None:
    """Serve until standard input is closed, so that the double never outlives the test process."""
    folder = Folder(Path(sys.argv[1]))
    folder.current()
    note_intent(folder)
    certificate = self_signed("localhost")
    (folder.path / "certificate.pem").write_bytes(certificate.cert_pem)
    server, _ = start_background(
        port=int(sys.argv[2]),
        certificate=certificate,
        query_handler=folder.answer,
        logins=load_logins(folder.path / "tables.json"),
    )
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


main()
