"""Backup and restore of a home: its three databases as of one moment, its secrets and its reports.

A backup is a folder: a dump of each database (PostgreSQL's custom format, which newer versions read too), the secrets
without which the dumps are of little use, and a manifest with the digest of every file. It gets its final name when it
is complete. It leaves out logs, and whatever the next start creates again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

import psycopg

from adventureworks.airflow_tables import active_runs, pending_events
from adventureworks.embedded.airflow_api import Metadata
from adventureworks.embedded.home import Home, write_private
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres, program
from adventureworks.embedded.services import endpoints
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.settings import Settings

DATABASES = ("warehouse", "source", "airflow")
"""In the order of their snapshots: what Airflow knows may be newer than the warehouse, but not older."""
FOLDERS = ("secrets", "reports")
FORMAT = 1
MANIFEST = "manifest.json"
QUIET_WITHIN_SECONDS = 900.0
"""How long to wait until no run is active. An ingestion starts every quarter of an hour and lasts a minute."""


@dataclass(frozen=True)
class Backup:
    """The description of a complete backup."""

    folder: Path
    made_at: datetime
    bytes: int


def back_up(settings: Settings, folder: Path) -> Backup:
    """Write a backup of the home, which may be running, into a folder that must not exist yet; return its description.

    While the platform runs, wait until no run is active, so that no task is restored without the rows that it had
    staged. Raises `PlatformError` if there is nothing to back up, or the folder cannot be used.
    """
    home = Home(settings.home)
    if not home.postgres.exists():
        raise PlatformError(f"There is nothing to back up in {home.path}.", Step("Start:", "adventureworks run"))
    if folder.exists():
        raise PlatformError(f"{folder} already exists.", "Give the name of a new folder.")
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise PlatformError(f"{folder} is inside the home that is to be backed up.", "Give a folder elsewhere.")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        with EmbeddedPostgres(settings.home) as server, _snapshots_of_one_moment(settings, home, server) as snapshots:
            made_at = datetime.now(UTC)
            for database, snapshot in snapshots.items():
                _dump(server, database, snapshot, draft / f"{database}.dump")
            _copy_files(home.path, draft)
        _write_manifest(draft, made_at)
        draft.rename(folder)
    except OSError as error:
        raise PlatformError(f"The backup cannot be written to {folder}: {_cause(error)}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Backup(folder, made_at, sum(file.stat().st_size for file in _files(folder)))


def restore(settings: Settings, folder: Path) -> Backup:
    """Restore a backup into the home, completely or not at all, and return its description.

    For the records, see `adventureworks.recovery`. Raises `PlatformError` if the backup is damaged, or if the home
    holds databases, which are never overwritten.
    """
    backup = _verified(folder)
    home = Home(settings.home)
    if home.postgres.exists():
        raise PlatformError(
            f"{home.path} already holds databases.",
            "Stop the platform and move that folder away, or choose another: ADVENTUREWORKS_HOME=DIR",
        )
    home.prepare()
    lock = home.hold("run", {"task": "a restore"})
    if lock is None:
        raise PlatformError(f"The platform in {home.path} is being started.", "Stop it first.")
    with lock:
        try:
            # First, because the databases are created with the passwords among the secrets.
            _copy_files(folder, home.path)
            with EmbeddedPostgres(settings.home) as server:
                for database in DATABASES:
                    _load(server, database, folder / f"{database}.dump")
        except BaseException:
            # A partial restore must not be mistaken for a home, and must not leave secrets behind.
            shutil.rmtree(home.postgres, ignore_errors=True)
            for file in _files(folder):
                (home.path / file.relative_to(folder)).unlink(missing_ok=True)
            raise
    return backup


@contextmanager
def _snapshots_of_one_moment(settings: Settings, home: Home, server: EmbeddedPostgres) -> Iterator[Mapping[str, str]]:
    """Provide a snapshot of each database, all taken while no run is active."""
    lock = home.hold("run", {"task": "a backup"})
    if lock is None and "task" in (owner := home.holder("run") or {}):
        raise PlatformError(
            f"{owner['task'].capitalize()} is in progress: process {owner['pid']}.", "Try again when it has finished."
        )
    metadata = Metadata(endpoints(server, settings).metadata_url)
    deadline = time.monotonic() + QUIET_WITHIN_SECONDS
    with ExitStack() as held:
        if lock is not None:
            # The platform is stopped, and cannot start now. An interrupted run is saved with all that it staged.
            held.enter_context(lock)
            yield _snapshots(held, server)
            return
        while time.monotonic() < deadline:
            with ExitStack() as tried:
                if _is_quiet(metadata):
                    snapshots = _snapshots(tried, server)
                    if _is_quiet(metadata):
                        held.enter_context(tried.pop_all())
                        yield snapshots
                        return
            time.sleep(1)
    raise PlatformError(
        f"At least one run was active at any time in the last {QUIET_WITHIN_SECONDS / 60:.0f} minutes.",
        "Check Airflow's UI for a run that hangs, or stop the platform, then try again.",
    )


def _is_quiet(metadata: Metadata) -> bool:
    return not metadata.read(active_runs) and not metadata.read(pending_events)


def _snapshots(held: ExitStack, server: EmbeddedPostgres) -> dict[str, str]:
    snapshots = {}
    for database in DATABASES:
        connection = held.enter_context(psycopg.connect(server.url(database, SUPERUSER)))
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("select pg_export_snapshot()").fetchone()
        snapshots[database] = str(row[0]) if row else ""
    return snapshots


def _dump(server: EmbeddedPostgres, database: str, snapshot: str, file: Path) -> None:
    with file.open("wb") as out:
        file.chmod(0o600)
        _run(server, database, "pg_dump", ["--format=custom", f"--snapshot={snapshot}"], out=out)


def _load(server: EmbeddedPostgres, database: str, file: Path) -> None:
    with file.open("rb") as dump:
        _run(server, database, "pg_restore", ["--exit-on-error", "--single-transaction"], dump=dump)


def _run(
    server: EmbeddedPostgres,
    database: str,
    name: str,
    options: list[str],
    *,
    dump: IO[bytes] | None = None,
    out: IO[bytes] | None = None,
) -> None:
    """Run one of PostgreSQL's programs on a database, without the password on its command line."""
    address = psycopg.conninfo.conninfo_to_dict(server.url(database, SUPERUSER))
    variables = {
        "PGHOST": str(address["host"]),
        "PGPORT": str(address["port"]),
        "PGUSER": str(address["user"]),
        "PGPASSWORD": str(address["password"]),
    }
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        [program(name), f"--dbname={database}", "--no-password", *options],
        check=False,
        stdin=dump or subprocess.DEVNULL,
        stdout=out or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**kept, **variables, "LC_ALL": "C"},
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["?"]
        raise PlatformError(f"{name} failed on the database {database}: {lines[0].strip().rstrip('.')}.")


def _copy_files(source: Path, target: Path) -> None:
    """Copy the secrets, the reports and what is remembered for the next start, readable only by their owner."""
    for name in FOLDERS:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
            (target / name).chmod(0o700)
    for file in source.glob("*.json"):
        if file.name != MANIFEST:
            write_private(target / file.name, file.read_text(encoding="utf-8"))


def _write_manifest(folder: Path, made_at: datetime) -> None:
    manifest = {
        "format": FORMAT,
        "made_at": made_at.isoformat(),
        "airflow": version("apache-airflow"),
        "files": {str(file.relative_to(folder)): _digest(file) for file in _files(folder)},
    }
    write_private(folder / MANIFEST, json.dumps(manifest, indent=2))


def _verified(folder: Path) -> Backup:
    """Return the backup in a folder. Raises `PlatformError` if there is none, or if it is not as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known, made_at, files = manifest["format"], datetime.fromisoformat(manifest["made_at"]), manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise PlatformError(
            f"{folder} is not a backup.", f"Give the folder that {as_typed('adventureworks backup')} wrote."
        ) from None
    if known != FORMAT:
        raise PlatformError(f"{folder} has an unknown format ({known}).", "Restore it with the release that wrote it.")
    for name in DATABASES:
        files.setdefault(f"{name}.dump", "")
    for name, digest in files.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise PlatformError(f"The backup is damaged: {folder / name}.", "Use another one.")
    return Backup(folder, made_at, sum(file.stat().st_size for file in _files(folder)))


def _cause(error: OSError) -> str:
    """Return the system's message; if several files could not be copied, the message for the first one."""
    if isinstance(error, shutil.Error):
        source, _, reason = error.args[0][0]
        return f"{source} cannot be copied ({str(reason).partition(']')[2].partition(':')[0].strip() or reason})"
    return error.strerror or str(error)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
