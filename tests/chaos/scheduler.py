"""Takes Airflow's place: starts runs for events, runs their tasks in processes with retries, and lets faults strike.

One task runs at a time, so that a round can be replayed. Tasks overlap where a fault says so: one is stopped at a
statement, with its transaction and its locks, while others run.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from adventureworks.catalog import INGESTION, marts_of, starting_inputs
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate.detect import difference
from adventureworks.warehouse.steps import REFRESH
from tests.chaos.faults import Fault, Kind
from tests.chaos.platform import Platform
from tests.chaos.tasks import WATCH, Ended, Strike, Task, run

ATTEMPTS = 5
"""Of a task: one, and the four retries that every DAG has."""
PATIENCE_SECONDS = 3.0
"""How long a task may wait for one that is stopped, which then goes on."""
TASK_SECONDS = 120.0
"""After this time a task counts as hanging."""
MOST_GHOST_ATTEMPTS = 4
"""A task that was given up goes on after fewer attempts of other tasks than this; after 0, beside its retry."""
MOST_CYCLES = 12
"""Within this many batches and rounds of the watch, everything must be settled."""

_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.chaos.warm"])


class ChaosFailure(Exception):
    """The platform did something that it must not do."""


@dataclass
class _Process:
    """An attempt of a task, in its own process."""

    task: Task
    process: BaseProcess
    channel: Connection
    ended: Ended | None = None

    def next_message(self, seconds: float) -> Ended | tuple[Strike, int] | None:
        """Return what the process sends next; None if it does not send anything in time.

        A process that is gone has `ended` with another attempt.
        """
        if not wait([self.channel, self.process.sentinel], timeout=seconds):
            return None
        if self.channel.poll():
            try:
                message: Ended | tuple[Strike, int] = self.channel.recv()
            except EOFError:
                pass
            else:
                if isinstance(message, Ended):
                    self.close(message)
                return message
        self.close(Ended("again", error=f"it ended with exit code {self._exit_code()}"))
        return self.ended

    def _exit_code(self) -> int | None:
        self.process.join()
        return self.process.exitcode

    def close(self, ended: Ended) -> None:
        self.ended = ended
        self.process.join()
        self.channel.close()

    def go_on(self) -> None:
        """Let a stopped process continue."""
        self.channel.send(None)


@dataclass
class Scheduler:
    """The runs of one round. `change`: changes the source in a way that a number determines."""

    platform: Platform
    dags: Sequence[str]
    chance: random.Random
    log: Callable[[str], None]
    change: Callable[[int], None]
    faults: list[Fault] = field(default_factory=list)
    """Those that have not struck yet."""
    struck: Counter[Kind] = field(default_factory=Counter)
    failed: list[Task] = field(default_factory=list)
    """The tasks that failed after all attempts."""
    made_up_for: list[Task] = field(default_factory=list)
    """Those of them that succeeded in a later run before the watch looked."""
    problems: list[str] = field(default_factory=list)
    _unseen: list[Task] = field(default_factory=list)
    """Those that failed after the last round of the watch."""
    _queue: deque[tuple[str, str]] = field(default_factory=deque)
    """DAG and run, in the order in which they start."""
    _held: list[_Process] = field(default_factory=list)
    """Stopped at a statement, while others run."""
    _ghosts: list[tuple[int, _Process]] = field(default_factory=list)
    """Stopped and given up, each with the number of attempts after which it goes on."""
    _revived: list[_Process] = field(default_factory=list)
    """Ghosts that go on."""
    _effects: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    """For how many attempts an effect lasts, and what ends it."""
    _runs: int = 0
    _depth: int = 0

    # Runs

    def settle(self, *, by_calendar: bool = False) -> None:
        """Do what Airflow and the watch do until nothing is left to do. Raises `ChaosFailure` if that does not end.

        `by_calendar`: the ingestion runs at least once, as its calendar starts it every quarter of an hour.
        """
        started = False
        for cycle in range(MOST_CYCLES):
            has_news = self._has_news() or (by_calendar and not cycle)
            if cycle and not has_news and not started:
                return
            if has_news:
                self.ingest()
            self._run_queued()
            started = self._watch()
            self._run_queued()
        raise ChaosFailure(f"The platform is not settled after {MOST_CYCLES} cycles.")

    def _has_news(self) -> bool:
        try:
            return difference(self.platform.settings) is not None
        except ServiceUnavailable:
            # As Airflow's watcher, ask again later; its calendar starts the ingestion in any case.
            return True

    def calm(self) -> None:
        """End every fault that lasts."""
        self.faults.clear()
        for _, end in self._effects:
            end()
        self._effects.clear()
        self._release()
        for process in self._revived:
            while process.ended is None:
                if process.next_message(TASK_SECONDS) is None:
                    raise ChaosFailure(f"{process.task} hangs after it was given up.")
            self.log(f"the attempt of {process.task} that was given up ended: {process.ended.state}")
        self._revived.clear()

    def ingest(self) -> None:
        """Run the ingestion once."""
        run_id = self._new_run()
        self._begin(INGESTION, run_id)
        detected = self._task(Task(INGESTION, "detect", run_id))
        is_good = detected.state == "success"
        if is_good:
            for index, group in enumerate(detected.value):
                loaded = self._task(Task(INGESTION, "load", run_id, tuple(group), index))
                is_good = is_good and loaded.state == "success"
            for name in ("publish_tables", "notify"):
                is_good = is_good and self._task(Task(INGESTION, name, run_id)).state == "success"
        self._end(INGESTION, run_id, is_good)

    def _analyse(self, dag: str, run_id: str) -> None:
        self._begin(dag, run_id)
        ended = self._task(Task(dag, REFRESH, run_id))
        self._end(dag, run_id, ended.state != "failed")

    def _watch(self) -> bool:
        """Run a round of the watch; queue what the dispatcher started, and return whether it started anything."""
        known = {run_id for (run_id,) in self._airflow("select run_id from dag_run")}
        if self._task(Task(WATCH, WATCH, WATCH)).state == "success":
            self._unseen.clear()
        found = self._airflow("select dag_id, run_id from dag_run where state = 'queued' order by id")
        started = [(dag, run_id) for dag, run_id in found if run_id not in known]
        for dag, run_id in started:
            self.log(f"the dispatcher starts {dag}")
            self._queue.append((dag, run_id))
        return bool(started)

    def _run_queued(self) -> None:
        while self._queue:
            # Airflow promises no order.
            self._queue.rotate(self.chance.randrange(len(self._queue)))
            self._analyse(*self._queue.popleft())

    def _new_run(self) -> str:
        self._runs += 1
        return f"chaos__{self._runs}"

    def _begin(self, dag: str, run_id: str) -> None:
        if not self._airflow(
            "update dag_run set state = 'running', start_date = now() where (dag_id, run_id) = (%s, %s) returning 1",
            (dag, run_id),
        ):
            self._airflow(
                "insert into dag_run (id, dag_id, run_id, state, queued_at, start_date)"
                " select coalesce(max(id), 0) + 1, %s, %s, 'running', now(), now() from dag_run",
                (dag, run_id),
            )

    def _end(self, dag: str, run_id: str, is_good: bool) -> None:
        self._airflow(
            "update dag_run set state = %s, end_date = now() where (dag_id, run_id) = (%s, %s)",
            ("success" if is_good else "failed", dag, run_id),
        )

    def _send(self, task: Task, events: Sequence[str], fault: Fault | None) -> None:
        """Start the DAGs that subscribe to these assets."""
        times = {Kind.EVENT_LOST: 0, Kind.EVENT_DOUBLED: 2}.get(fault.kind, 1) if fault else 1
        for dag in self.dags:
            if set(starting_inputs(dag)) & set(events):
                for _ in range(times):
                    self._queue.append((dag, self._new_run()))

    def _airflow(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement in Airflow's database, which in reality need not be on the same server."""
        if not self.platform.server.running():
            self.platform.start()
            self._effects = [(attempts, end) for attempts, end in self._effects if end != self.platform.start]
        return self.platform.airflow(query, parameters)

    # Tasks

    def _task(self, task: Task) -> Ended:
        """Run a task with its retries, and return how it ended."""
        for attempt in range(ATTEMPTS):
            self._age_effects()
            fault = self._fault_of(task)
            process = self._start(task, fault, is_last=attempt == ATTEMPTS - 1)
            self._age_ghosts()
            ended = self._follow(process, fault)
            if fault and fault.kind is Kind.CLOCK:
                self.platform.hours = 0.0
            if ended.state != "again":
                break
            self.log(f"{task}: again, because {ended.error}")
        else:
            # It was killed, or lost its connection, on every attempt: nothing of its own reported that.
            ended = Ended("failed", error=ended.error)
        if task.name == WATCH:
            return ended
        self._note(task, ended)
        if ended.state == "success" and ended.events:
            self._send(task, ended.events, fault)
        return ended

    def _note(self, task: Task, ended: Ended) -> None:
        state = {"success": "success", "skipped": "skipped"}.get(ended.state, "failed")
        # A failure that nobody reported is found by the watch half a minute later.
        self._airflow(
            "insert into task_instance (dag_id, task_id, run_id, state, end_date)"
            " values (%s, %s, %s, %s, now() - interval '40 seconds')",
            (task.dag, task.name, task.run, state),
        )
        if state == "success":
            repeated = [one for one in self._unseen if (one.dag, one.name) == (task.dag, task.name)]
            self.made_up_for += repeated
            self._unseen = [one for one in self._unseen if one not in repeated]
        if state == "failed":
            self.failed.append(task)
            self._unseen.append(task)
            self.log(f"{task} failed: {ended.error}")
            if not ended.is_expected:
                self.problems.append(f"{task} failed with {ended.error}")

    def _fault_of(self, task: Task) -> Fault | None:
        """Take the next fault for this task."""
        if self._depth or self._ghosts or not self.platform.server.running():
            return None
        for fault in self.faults:
            if fault.task == task.name and (self.platform.has_disk or fault.kind is not Kind.DISK_FULL):
                self.faults.remove(fault)
                if fault.kind in {Kind.EVENT_LOST, Kind.EVENT_DOUBLED, Kind.CLOCK}:
                    self._note_strike(fault, task)
                if fault.kind is Kind.CLOCK:
                    self.platform.hours = fault.amount
                return fault
        return None

    def _note_strike(self, fault: Fault, task: Task, statement: int = 0) -> None:
        self.struck[fault.kind] += 1
        self.log(f"FAULT {fault.kind} in {task}{f' before statement {statement}' if statement else ''}")

    def _start(self, task: Task, fault: Fault | None, *, is_last: bool) -> _Process:
        ours, theirs = _PROCESSES.Pipe()
        outside = {Kind.EVENT_LOST, Kind.EVENT_DOUBLED, Kind.CLOCK}
        strike = Strike(fault.kind, fault.statement) if fault and fault.kind not in outside else None
        arguments = (task, self.platform.variables(), strike, is_last, theirs)
        process = _PROCESSES.Process(target=run, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return _Process(task, process, ours)

    def _follow(self, process: _Process, fault: Fault | None) -> Ended:
        """Return how an attempt ends, after letting the fault strike where the process asks for it."""
        waited = 0.0
        while True:
            message = process.next_message(PATIENCE_SECONDS)
            if message is None:
                waited += PATIENCE_SECONDS
                self._release()
                if waited > TASK_SECONDS:
                    raise ChaosFailure(f"{process.task} hangs.")
            elif isinstance(message, Ended):
                return message
            else:
                assert fault is not None
                self._note_strike(fault, process.task, message[1])
                if not self._strike(fault, process):
                    return Ended("again", error="it was given up, but goes on")

    def _strike(self, fault: Fault, process: _Process) -> bool:
        """Let a fault happen; return whether the process is still followed."""
        if fault.kind is Kind.GHOST:
            self._ghosts.append((fault.amount % MOST_GHOST_ATTEMPTS, process))
            return False
        if fault.kind is Kind.OVERLAP:
            self._held.append(process)
            self._depth += 1
            self.change(fault.amount)
            self.ingest()
            self._depth -= 1
            if process not in self._held:
                return True
            self._held.remove(process)
        elif fault.kind is Kind.CRASH:
            self.platform.crash()
        elif fault.kind is Kind.OUTAGE:
            self.platform.stop_at_once()
            self._effects.append((fault.amount, self.platform.start))
        elif fault.kind is Kind.DISCONNECTED:
            self.platform.disconnect()
        elif fault.kind is Kind.DISK_FULL:
            self.platform.fill_disk()
            self._effects.append((fault.amount, self.platform.empty_disk))
        elif fault.kind is Kind.CHANGE:
            self.change(fault.amount)
        elif fault.kind is Kind.DEPLOY:
            marts = [mart.name for dag in self.dags for mart in marts_of(dag)]
            self.platform.deploy(marts[fault.amount % len(marts)])
        if fault.kind not in {Kind.TASK_KILLED, Kind.WATCH_KILLED}:
            process.go_on()
        return True

    def _release(self) -> None:
        """Let the stopped processes go on, for example because others wait for their locks."""
        for process in self._held:
            process.go_on()
        self._held.clear()
        self._ghosts = [(0, process) for _, process in self._ghosts]
        self._age_ghosts()

    def _age_ghosts(self) -> None:
        """Let those ghosts go on that have been stopped for as many attempts as they should."""
        for attempts, process in self._ghosts:
            if not attempts:
                process.go_on()
                self._revived.append(process)
        self._ghosts = [(attempts - 1, process) for attempts, process in self._ghosts if attempts]

    def _age_effects(self) -> None:
        """End the effects that have lasted for as many attempts as they should."""
        lasting = []
        for attempts, end in self._effects:
            if attempts:
                lasting.append((attempts - 1, end))
            else:
                end()
        self._effects = lasting
