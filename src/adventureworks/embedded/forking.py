"""Services that are forked from one process, the parent, which has imported Airflow and the libraries of tasks once.

They share the memory of what it has imported, and a service that is restarted imports nothing again.

The supervisor sends the parent one message per service over a pair of sockets, with the file of the service's log. The
parent reports the process id, and later the exit status.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import IO

from setproctitle import setproctitle

from adventureworks.embedded.launch import end_with_parent

MESSAGE_BYTES = 65_536
LOST = -int(signal.SIGTERM)
"""The exit status that is reported for a service whose parent has died, because this signal ends it then."""

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
        # It has no descriptor of its own, which forks would share.
        self._selector = selectors.PollSelector()
        self._selector.register(connection, selectors.EVENT_READ)

    def serve(self) -> Sequence[str]:
        """Return, in each fork, the command that it is to run. It does not return in the parent, which exits."""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._report(key.fd, key.data)
                elif (command := self._fork()) is not None:
                    return command

    def _fork(self) -> Sequence[str] | None:
        message, logs, *_ = socket.recv_fds(self._connection, MESSAGE_BYTES, 1)
        if not message:
            sys.exit()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            for descriptor in list(self._selector.get_map()):
                os.close(descriptor)  # type: ignore[arg-type]
            self._connection.detach()
            os.setsid()
            end_with_parent(parent, signal.SIGTERM)
            for standard in (1, 2):
                os.dup2(logs[0], standard)
            os.close(logs[0])
            command: list[str] = json.loads(message)
            return command
        os.close(logs[0])
        self._connection.send(json.dumps({"pid": pid}).encode())
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        return None

    def _report(self, descriptor: int, pid: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._connection.send(json.dumps({"pid": pid, "status": status}).encode())


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
    warm_up()


def main() -> None:
    """Be the parent; in its forks, run a service."""
    from adventureworks.embedded.service import prepare

    prepare()
    import_everything()
    command = _Children(socket.socket(fileno=int(sys.argv[1]))).serve()
    setproctitle(f"adventureworks {' '.join(command[1:])}")
    sys.argv = list(command)
    import_module(command[0]).main()


if __name__ == "__main__":
    main()
