"""Back-up and restore of a home: its three databases as of one moment, its secrets, its reports.

A back-up is a folder: a dump of each database (PostgreSQL's custom format, which newer versions read too), the secrets
without which the dumps are of little use, and a manifest with the digest of every file. It appears under its name when
it is complete. What is not in it: logs, and what the next start makes anew.
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

from adventureworks.embedded.airflow_api import Metadata
from adventureworks.embedded.home import Home, write_private
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres, program
from adventureworks.embedded.services import endpoints
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings

DATABASES = ("warehouse", "source", "airflow")
"""In the order in which they are looked at: what Airflow knows may be newer than the warehouse, not older."""
FOLDERS = ("secrets", "reports")
FORMAT = 1
MANIFEST = "manifest.json"
QUIET_WITHIN_SECONDS = 900.0
"""The ingestion comes every quarter of an hour, and lasts a minute."""


@dataclass(frozen=True)
class Backup:
    """A complete back-up."""

    folder: Path
    made_at: datetime
    bytes: int


def back_up(settings: Settings, folder: Path) -> Backup:
    """Writes a back-up of the home, which may be running, into a folder that must not exist yet.

    While the platform runs, it waits for a moment in which no run is under way, so that no task is restored without
    what it had staged. Raises PlatformError where there is nothing to save, or no place for it.
    """
    home = Home(settings.home)
    if not home.postgres.exists():
        raise PlatformError(f"There is nothing to back up in {home.path}.", "Start: adventureworks run")
    if folder.exists():
        raise PlatformError(f"{folder} is there already.", "Give the name of a new folder.")
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise PlatformError(f"{folder} is in the home that is to be saved.", "Give a folder elsewhere.")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        with EmbeddedPostgres(settings.home) as server, _one_moment(settings, home, server) as snapshots:
            made_at = datetime.now(UTC)
            for database, snapshot in snapshots.items():
                _dump(server, database, snapshot, draft / f"{database}.dump")
            _copy_files(home.path, draft)
        _write_manifest(draft, made_at)
        draft.rename(folder)
    except OSError as error:
        raise PlatformError(f"The back-up cannot be written to {folder}: {_cause(error)}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Backup(folder, made_at, sum(file.stat().st_size for file in _files(folder)))


def restore(settings: Settings, folder: Path) -> Backup:
    """Makes a home of a back-up, all or nothing. The databases are as they were; see `adventureworks.recovery`.

    Raises PlatformError if the back-up is damaged, or the home holds databases: those are never overwritten.
    """
    backup = _checked(folder)
    home = Home(settings.home)
    if home.postgres.exists():
        raise PlatformError(
            f"There are databases in {home.path} already.",
            "Stop the platform and move that folder away, or choose another: ADVENTUREWORKS_HOME=DIR",
        )
    home.prepare()
    lock = home.hold("run", {"task": "a restore under way"})
    if lock is None:
        raise PlatformError(f"The platform in {home.path} is being started.", "Stop it first.")
    with lock:
        try:
            # First of all: the databases are made with the passwords that are among the secrets.
            _copy_files(folder, home.path)
            with EmbeddedPostgres(settings.home) as server:
                for database in DATABASES:
                    _load(server, database, folder / f"{database}.dump")
        except BaseException:
            # Half a restore must not be taken for a home, nor must the secrets of one stay behind.
            shutil.rmtree(home.postgres, ignore_errors=True)
            for file in _files(folder):
                (home.path / file.relative_to(folder)).unlink(missing_ok=True)
            raise
    return backup


@contextmanager
def _one_moment(settings: Settings, home: Home, server: EmbeddedPostgres) -> Iterator[Mapping[str, str]]:
    """A snapshot of each database, all of one moment in which nothing is under way."""
    lock = home.hold("run", {"task": "a back-up under way"})
    if lock is None and "task" in (owner := home.holder("run") or {}):
        raise PlatformError(f"There is {owner['task']}: process {owner['pid']}.", "Try again when that has ended.")
    metadata = Metadata(endpoints(server, settings).metadata_url, home.logs / "airflow")
    deadline = time.monotonic() + QUIET_WITHIN_SECONDS
    with ExitStack() as held:
        if lock is not None:
            # Not running, and not to be started meanwhile: what was interrupted is saved with all that it staged.
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
        f"For {QUIET_WITHIN_SECONDS / 60:.0f} minutes there was always a run under way.",
        "See what hangs in Airflow's UI, or stop the platform, then try again.",
    )


def _is_quiet(metadata: Metadata) -> bool:
    return not metadata.active() and not metadata.waking()


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
    """Runs one of PostgreSQL's programs on a database; the password does not stand in its command line."""
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
    """Secrets, reports and what is remembered for the next start, for their owner alone."""
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


def _checked(folder: Path) -> Backup:
    """The back-up in a folder. Raises PlatformError if it is none, or not as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known, made_at, files = manifest["format"], datetime.fromisoformat(manifest["made_at"]), manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise PlatformError(f"{folder} is no back-up.", "Give the folder that adventureworks backup wrote.") from None
    if known != FORMAT:
        raise PlatformError(f"{folder} is of another kind ({known}).", "Restore it with the release that wrote it.")
    for name in DATABASES:
        files.setdefault(f"{name}.dump", "")
    for name, digest in files.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise PlatformError(f"The back-up is damaged: {folder / name}.", "Take another one.")
    return Backup(folder, made_at, sum(file.stat().st_size for file in _files(folder)))


def _cause(error: OSError) -> str:
    """What the system says; of several files that could not be copied, what it says of the first."""
    if isinstance(error, shutil.Error):
        source, _, reason = error.args[0][0]
        return f"{source} cannot be copied ({str(reason).partition(']')[2].partition(':')[0].strip() or reason})"
    return error.strerror or str(error)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
