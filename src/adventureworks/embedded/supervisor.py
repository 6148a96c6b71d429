"""Supervision of services: start them, restart those that die or hang, and end them all with what they started.

Every process of a home carries a mark in its environment, which its children inherit. So no process is left behind, and
no process of another home is touched. A service and what it started form a session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from adventureworks.embedded.account import Account
from adventureworks.embedded.forking import GRACE_SECONDS, Forked, Parent
from adventureworks.embedded.home import Home, disk_full, limit_log, open_log
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import PlatformError, ServiceUnavailable

MARK = "ADVENTUREWORKS_SUPERVISED"
MOST_DEATHS = 5
DEATHS_WITHIN_SECONDS = 300.0
LONGEST_PAUSE_SECONDS = 30.0
LOG_CHECK_SECONDS = 60.0
HANGS_AFTER_SECONDS = 180.0
"""A service whose heartbeat is older than this is killed and restarted."""

Say = Callable[[str], None]


@dataclass
class Service:
    """A process to keep alive."""

    name: str
    command: Sequence[str]
    """A program with arguments; if `is_forked`, a module instead of the program."""
    environment: Mapping[str, str]
    log: Path
    stop_seconds: float = 5.0
    """Seconds that it has to stop when asked to; after that it is killed. If 0, so is what it started."""
    ends_last: bool = False
    """Stop it only after all other services have stopped."""
    before_restart: Callable[[], None] = lambda: None
    """May raise ServiceUnavailable to postpone the restart."""
    heartbeat: Path | None = None
    """A file that the service touches again and again while it works."""
    is_forked: bool = False
    """Fork it from the process that has imported Airflow. All such services of a home have the same environment."""
    process: subprocess.Popen[bytes] | Forked | None = None
    start_at: float = 0.0
    deaths: deque[float] = field(default_factory=deque)
    _touched: float = 0.0
    _touch_seen: float = 0.0

    def note_start(self) -> None:
        """Note a start: the age of the heartbeat counts from now on."""
        self._touch_seen = time.monotonic()

    def hangs(self) -> bool:
        """Return whether the heartbeat has stopped for too long.

        Its age is counted by the monotonic clock, which stands still while the machine sleeps.
        """
        if self.heartbeat is None:
            return False
        touched = self.heartbeat.stat().st_mtime if self.heartbeat.exists() else 0.0
        if touched != self._touched:
            self._touched, self._touch_seen = touched, time.monotonic()
        return time.monotonic() - self._touch_seen > HANGS_AFTER_SECONDS

    def note_death(self) -> float:
        """Note a death and return the seconds to wait before the next start. Raises `PlatformError` after too many."""
        now = time.monotonic()
        self.deaths.append(now)
        while self.deaths and now - self.deaths[0] > DEATHS_WITHIN_SECONDS:
            self.deaths.popleft()
        if len(self.deaths) > MOST_DEATHS:
            last = last_line(self.log).rstrip(".")
            if "No space left on device" in last:
                raise disk_full(self.log, 0)
            raise PlatformError(
                f"The {self.name} died {len(self.deaths)} times in {DEATHS_WITHIN_SECONDS / 60:.0f} minutes: {last}.",
                f"Its log: {self.log}",
            )
        return float(min(2.0 ** (len(self.deaths) - 2), LONGEST_PAUSE_SECONDS)) if len(self.deaths) > 1 else 0.0


class Supervisor:
    """Keeps the services of a home and its PostgreSQL alive. `tick()` must be called about every second."""

    def __init__(self, home: Home, postgres: EmbeddedPostgres, say: Say) -> None:
        self._home = home
        self._postgres = postgres
        self._say = say
        self._services: dict[str, Service] = {}
        self._database = Service("PostgreSQL", (), {}, postgres.log)
        self._forking = Service("parent of the services", (), {}, home.logs / "services.log")
        self._parent: Parent | None = None
        self._port: int | None = None
        self._logs_checked = time.monotonic()

    def watch_postgres(self) -> None:
        """Restart the running server on its port if it dies from now on."""
        self._port = self._postgres.port()

    def prepare_forks(self, environment: Mapping[str, str]) -> Parent:
        """Return the process that services are forked from; if it starts only now, it imports in the meantime."""
        if self._parent is not None and self._parent.lost:
            self._note_death_of_parent(self._parent.process.returncode)
        if self._parent is None:
            self._parent = Parent(
                lambda arguments, connection: self.spawn(
                    replace(self._forking, command=[sys.executable, *arguments], environment=environment),
                    (connection,),
                )
            )
        return self._parent

    def start(self, service: Service) -> None:
        """Start a service and keep it alive from now on."""
        self._services[service.name] = service
        service.process = self._run(service)
        service.note_start()

    def tick(self) -> None:
        """Restart what died or hangs. Raises `PlatformError` if a service dies repeatedly."""
        if self._port is not None and not self._postgres.running():
            self._restart_postgres()
        if self._parent is not None and self._parent.process.poll() is not None:
            self._note_death_of_parent(self._parent.process.returncode)
        for service in self._services.values():
            if service.process is None:
                self._restart(service)
            elif service.process.poll() is not None:
                self._schedule_restart(service)
            elif service.hangs():
                self._say(f"The {service.name} does not respond and will be killed.")
                service.process.kill()
                service.process.wait()
        if time.monotonic() - self._logs_checked > LOG_CHECK_SECONDS:
            self._logs_checked = time.monotonic()
            for log in (self._postgres.log, self._forking.log, *(service.log for service in self._services.values())):
                limit_log(log)

    def stop(self) -> None:
        """Stop the services, then those marked `ends_last`, then what they left behind. PostgreSQL keeps running."""
        self._port = None
        services = list(self._services.values())
        self._services.clear()
        for last in (False, True):
            together = [service for service in services if service.ends_last is last]
            begin = time.monotonic()
            for service in together:
                if service.stop_seconds:
                    _terminate(service)
                else:
                    self._kill_session(service)
            for service in together:
                _wait(service, begin)
        self.end_leftovers()
        self._parent = None

    def end_leftovers(self, session: int | None = None) -> int:
        """End every process that this home (or one session of it) left running; return how many there were."""
        leftovers = marked_processes(self._home, session)
        for process in leftovers:
            _signal(process, signal.SIGTERM)
        _, alive = psutil.wait_procs(leftovers, timeout=GRACE_SECONDS if leftovers else 0)
        for process in alive:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=5)
        return len(leftovers)

    def _kill_session(self, service: Service) -> None:
        if service.process is not None and service.process.pid is not None:
            for process in marked_processes(self._home, service.process.pid):
                _signal(process, signal.SIGKILL)

    def kill(self) -> None:
        """End everything at once."""
        for process in marked_processes(self._home):
            _signal(process, signal.SIGKILL)
        for service in self._services.values():
            if service.process is not None:
                service.process.wait()

    def spawn(self, service: Service, inherited: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a program with the home's mark, detached from the terminal. It is not restarted.

        `inherited`: file descriptors that it inherits.
        """
        limit_log(service.log)
        command = Account().command(service.command, self._home.path, tied=signal.SIGTERM)
        with open_log(service.log) as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**service.environment, MARK: str(self._home.path)},
                start_new_session=True,
                pass_fds=inherited,
            )

    def _run(self, service: Service) -> subprocess.Popen[bytes] | Forked:
        if not service.is_forked:
            return self.spawn(service)
        parent = self.prepare_forks(service.environment)
        limit_log(service.log)
        with open_log(service.log) as log:
            return parent.fork(service.command, log)

    def _restart(self, service: Service) -> None:
        if time.monotonic() < service.start_at:
            return
        try:
            service.before_restart()
        except ServiceUnavailable:
            service.start_at = time.monotonic() + 1
        else:
            service.process = self._run(service)
            service.note_start()

    def _schedule_restart(self, service: Service) -> None:
        ended, service.process = service.process, None
        pause = service.note_death()
        status = (ended.returncode if ended is not None else None) or 0
        self._say(f"The {service.name} ended ({_ending(status)}) and will be restarted{_in(pause)}. Log: {service.log}")
        if ended is not None and ended.pid is not None:
            self.end_leftovers(ended.pid)
        service.start_at = time.monotonic() + pause

    def _note_death_of_parent(self, status: int) -> None:
        """The services end with their parent. The first that is restarted gets a new one."""
        self._parent = None
        self._forking.note_death()
        self._say(f"The {self._forking.name} ended ({_ending(status)}). Log: {self._forking.log}")

    def _restart_postgres(self) -> None:
        pause = self._database.note_death()
        self._say(f"PostgreSQL ended and will be restarted{_in(pause)}. Log: {self._postgres.log}")
        time.sleep(pause)
        self._postgres.start(self._port)


def marked_processes(home: Home, session: int | None = None) -> list[psutil.Process]:
    """Return the processes with the mark of a home (and of one session), except this one and its ancestors."""
    mine = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in mine or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) != str(home.path):
                continue
            if session in (None, os.getsid(process.pid)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _terminate(service: Service) -> None:
    if service.process is not None and service.process.poll() is None:
        service.process.terminate()


def _wait(service: Service, since: float) -> None:
    """Wait until a service has ended, and kill it when its time is up."""
    if service.process is None:
        return
    try:
        service.process.wait(max(0.0, since + service.stop_seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()


def _ending(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _in(pause: float) -> str:
    return f" in {pause:.0f} s" if pause else ""


def last_line(log: Path) -> str:
    """Return the last line of a service's log, or `no output`."""
    if not log.exists():
        return "no output"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no output"
