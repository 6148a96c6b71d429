"""Services that are forked from one process, the parent, which has imported Airflow and the libraries of tasks once.

They share the memory of what it has imported, and a service that is restarted imports nothing again.

The supervisor sends the parent one message per service over a pair of sockets, with the file of the service's log. The
parent reports the process id, and later the exit status.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import IO, NoReturn

import psutil
from setproctitle import setproctitle

from adventureworks.embedded.launch import end_with_parent

MESSAGE_BYTES = 65_536
LOST = -int(signal.SIGTERM)
"""The exit status that is reported for a service whose parent has died, because this signal ends it then."""
GRACE_SECONDS = 1.5
"""How long a process may take to end after it was asked to, before it is killed."""

Start = Callable[[Sequence[str], int], "subprocess.Popen[bytes]"]
"""Starts a program that inherits a file descriptor."""


class Forked:
    """A forked process, with the part of `subprocess.Popen` that the supervisor uses."""

    def __init__(self, parent: Parent) -> None:
        self.pid: int | None = None
        """None until the parent has forked it."""
        self.returncode: int | None = None
        self._parent = parent

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        while self.returncode is None and self._parent.receive(timeout=0):
            pass
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended. Raises `subprocess.TimeoutExpired`."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if not self._parent.receive(None if end is None else max(0.0, end - time.monotonic())):
                raise subprocess.TimeoutExpired("forked service", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is not None:
            return
        if self.pid is None:
            # The parent is still importing. Without it, nothing is forked any more.
            self._parent.process.terminate()
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Parent:
    """The supervisor's side of the process that services are forked from. If that process ends, all of them end."""

    def __init__(self, start: Start) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = start(["-m", __name__, str(theirs.fileno())], theirs.fileno())
        self._waiting: deque[Forked] = deque()
        self._running: dict[int, Forked] = {}
        self.lost = False

    def fork(self, command: Sequence[str], log: IO[bytes]) -> Forked:
        """Have a process forked that runs a module, `command[0]`, with arguments. It writes to the log."""
        forked = Forked(self)
        self._waiting.append(forked)
        try:
            socket.send_fds(self._socket, [json.dumps(list(command)).encode()], [log.fileno()])
        except OSError:
            self._lose()
        return forked

    def receive(self, timeout: float | None) -> bool:
        """Process one message within a number of seconds; return whether there was one, or the parent has died."""
        if self.lost:
            return True
        if not select.select([self._socket], [], [], timeout)[0]:
            return False
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except ConnectionError:
            message = b""
        if not message:
            self._lose()
            return True
        told = json.loads(message)
        if "status" in told:
            self._running.pop(told["pid"]).returncode = told["status"]
        else:
            forked = self._waiting.popleft()
            forked.pid = told["pid"]
            self._running[told["pid"]] = forked
        return True

    def _lose(self) -> None:
        self.lost = True
        for forked in (*self._waiting, *self._running.values()):
            forked.returncode = LOST
        self._socket.close()
        self.process.wait()


class _Children:
    """The parent's own side: forks processes and reports how they end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # Python writes a byte into the pipe when a child ends. A descriptor of the process would need Linux 5.3.
        self._ended, self._note = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._note, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._running: set[int] = set()

    def serve(self) -> Sequence[str]:
        """Return, in each fork, the command that it is to run. It does not return in the parent, which exits."""
        with suppress(ConnectionError):
            while True:
                ready, _, _ = select.select([self._connection.fileno(), self._ended], [], [])
                if self._ended in ready:
                    self._report()
                if self._connection.fileno() in ready and (command := self._fork()) is not None:
                    return command
        self._end()

    def _fork(self) -> Sequence[str] | None:
        message, logs, *_ = socket.recv_fds(self._connection, MESSAGE_BYTES, 1)
        if not message:
            raise ConnectionResetError
        # In the fork, the handler of this process must not run.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            for descriptor in (self._ended, self._note, self._connection.detach()):
                os.close(descriptor)
            os.setsid()
            end_with_parent(parent, signal.SIGTERM)
            for standard in (1, 2):
                os.dup2(logs[0], standard)
            os.close(logs[0])
            command: list[str] = json.loads(message)
            return command
        self._running.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(logs[0])
        self._tell(pid=pid)
        return None

    def _report(self) -> None:
        os.read(self._ended, MESSAGE_BYTES)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._running.discard(ended[0])
                self._tell(pid=ended[0], status=os.waitstatus_to_exitcode(ended[1]))

    def _end(self) -> NoReturn:
        """End all forks and what they have started, then this process.

        It does so also if the supervisor dies: a scheduler would otherwise wait for the end of its tasks, without their
        database.
        """
        services = [psutil.Process(pid) for pid in self._running if psutil.pid_exists(pid)]
        for service in services:
            service.terminate()
        psutil.wait_procs(services, timeout=GRACE_SECONDS)
        for pid in psutil.pids():
            with suppress(OSError):
                if os.getsid(pid) in self._running:
                    os.kill(pid, signal.SIGKILL)
        os._exit(128 + signal.SIGTERM)

    def _tell(self, **facts: int) -> None:
        self._connection.send(json.dumps(facts).encode())


def import_everything() -> None:
    """Import what services and tasks need. It must start no thread and open no connection: forks cannot use them."""
    from adventureworks.orchestration.warm import warm_up
    from adventureworks.orchestration.watch import load_airflow

    load_airflow()
    for module in (
        "airflow.api_fastapi.execution_api.app",
        "airflow.jobs.dag_processor_job_runner",
        "airflow.jobs.scheduler_job_runner",
        "airflow.jobs.triggerer_job_runner",
        "airflow.sdk.execution_time.task_runner",
    ):
        import_module(module)
    from adventureworks.embedded.triggers import send_events_at_once

    send_events_at_once()
    warm_up()


def main() -> None:
    """Be the parent; in its forks, run a service."""
    from adventureworks.embedded.service import prepare

    prepare()
    import_everything()
    command = _Children(socket.socket(fileno=int(sys.argv[1]))).serve()
    setproctitle(f"adventureworks {' '.join(command[1:])}")
    sys.argv = list(command)
    try:
        import_module(command[0]).main()
        status = 0
    except SystemExit as ending:
        status = _status(ending)
    except BaseException:
        traceback.print_exc()
        status = 1
    _end(status)


def _status(ending: SystemExit) -> int:
    """Return the exit status that Python would end with, and print the message if there is one."""
    if ending.code is None or isinstance(ending.code, int):
        return ending.code or 0
    print(ending.code, file=sys.stderr)
    return 1


def _end(status: int) -> NoReturn:
    """End a fork after its exit handlers, without waiting for threads.

    Python would then free all modules, and for that copy the memory that the fork shares.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
