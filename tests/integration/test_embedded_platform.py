"""The complete local platform on real processes: started, supervised, stopped, killed and started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adventureworks.embedded.forking import Forked
from adventureworks.embedded.home import Home
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.embedded.supervisor import Service, Supervisor, marked_processes
from adventureworks.errors import PlatformError
from tests.integration.conftest import Adventureworks

DAG = """
from airflow.sdk import dag, task

@dag()
def sleeps():
    @task
    def long():
        import time
        time.sleep(300)
    long()

sleeps()
"""

PLATFORM = """
import sys, time
from adventureworks import airflow_tables
from adventureworks.embedded.platform import Platform
from adventureworks.settings import settings

platform = Platform(settings(), lambda text: print(text, flush=True))
try:
    platform.start_postgres(None)
    platform.prepare_airflow({})
    platform.start_airflow()
    metadata, api = platform.metadata(), platform.api()
    while api.unhealthy() or not metadata.read(airflow_tables.knows_dag, "sleeps"):
        platform.tick()
        time.sleep(0.3)
    api.trigger("sleeps")
    while not any(step.running for run in metadata.read(airflow_tables.active_runs) for step in run.steps):
        platform.tick()
        time.sleep(0.3)
    print("up", flush=True)
    while True:
        platform.tick()
        time.sleep(0.2)
finally:
    platform.stop()
    print("stopped", flush=True)
"""


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for_line(running: subprocess.Popen[str], pattern: str) -> str:
    assert running.stdout is not None
    for line in running.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"the process ended without printing {pattern}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "sleeps.py").write_text(DAG)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    variables = {"ADVENTUREWORKS_HOME": str(folder / "home"), "ADVENTUREWORKS_DAGS_FOLDER": str(folder / "dags")}
    platform = subprocess.Popen(
        [sys.executable, "-c", PLATFORM], stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    yield platform
    platform.kill()
    platform.wait()
    home = Home(folder / "home")
    Supervisor(home, EmbeddedPostgres(home.path), print).end_leftovers()
    EmbeddedPostgres(home.path).stop(for_all=True)


def runs_a_task(home: Home) -> bool:
    """Return whether a worker of the scheduler runs a task."""
    commands = [" ".join(process.as_dict(["cmdline"])["cmdline"]) for process in marked_processes(home)]
    return any(re.match("airflow worker -- [0-9a-f]{8}-", command) for command in commands)


def test_platform_from_start_to_kill(
    running: subprocess.Popen[str], folder: Path, adventureworks: Adventureworks
) -> None:
    """One start serves many assertions, because it takes several seconds."""
    home = Home(folder / "home")
    wait_for_line(running, "^up")
    everything = [*marked_processes(home), *psutil.Process(running.pid).children(recursive=True)]

    listening = {
        (process.name(), connection.laddr.ip)
        for process in everything
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address for _, address in listening} == {"127.0.0.1"}
    commands = "\n".join(" ".join(process.cmdline()) for process in everything)
    assert not [file.name for file in home.secrets.iterdir() if file.read_text().strip() in commands]
    set_in_file = [line for line in (home.path / "airflow/airflow.cfg").read_text().splitlines() if line[0] != "#"]
    assert not set_in_file, "defaults would outlive an upgrade of Airflow"

    owner = home.holder("run")
    assert owner is not None
    second = adventureworks("run", "--source", "sample", home=home.path)
    assert second.returncode == 1
    error = second.stderr
    assert error.startswith(f"The platform is already running: process {running.pid}, UI {owner['url']}.")
    assert adventureworks("sql", "select 1 as a", "--format", "csv", home=home.path).stdout == "a\n1\n"
    port = owner["url"].rsplit(":", 1)[1]
    taken = adventureworks("run", "--port", port, home=folder / "another")
    advice = "Choose another with --port N, or leave out --port to use a free one."
    assert taken.stderr == f"Port {port} on 127.0.0.1 is in use. {advice}\n"

    [scheduler] = [one for one in marked_processes(home) if "adventureworks scheduler" in " ".join(one.cmdline())]
    tasks = [one for one in marked_processes(home, scheduler.pid) if one != scheduler]
    assert tasks
    scheduler.kill()
    wait_for_line(running, r"The scheduler ended \(signal SIGKILL\) and will be restarted")
    postgres = EmbeddedPostgres(home.path)
    address, died = postgres.url("airflow"), postgres.pid()
    assert died is not None
    os.kill(died, signal.SIGKILL)
    wait_for_line(running, "PostgreSQL ended and will be restarted")
    wait_for(lambda: postgres.running() and postgres.pid() != died)
    assert postgres.url("airflow") == address
    assert not any(process.is_running() for process in tasks)

    wait_for(lambda: runs_a_task(home))
    running.kill()
    running.wait()
    wait_for(lambda: not postgres.running() and not marked_processes(home))
    assert home.holder("run") is None


def test_ctrl_c_leaves_no_process_behind(folder: Path) -> None:
    home = Home(folder / "home")
    script = (
        "import sys, time\n"
        "from adventureworks.embedded.platform import Platform\n"
        "from adventureworks.settings import settings\n"
        "platform = Platform(settings(), print)\n"
        "try:\n"
        "    platform.start_postgres(None)\n"
        "    platform.command('source', 'generate', '--scale', '0.05')\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    platform.stop()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ADVENTUREWORKS_HOME": str(home.path)},
    )
    wait_for_line(running, "^up")
    assert marked_processes(home)
    running.send_signal(signal.SIGINT)
    # PostgreSQL first writes committed data, to a disk that other tests keep busy.
    running.wait(120)
    assert not marked_processes(home)
    assert not EmbeddedPostgres(home.path).running()


def test_supervisor_gives_up_on_a_service_that_dies_repeatedly_and_shows_its_last_log_line(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    notes: list[str] = []
    supervisor = Supervisor(home, EmbeddedPostgres(home.path), notes.append)
    broken = Service("thing", ["/bin/sh", "-c", "echo no luck today; exit 3"], {}, home.logs / "thing.log")
    supervisor.start(broken)

    def tick_until_it_gives_up() -> None:
        while True:
            supervisor.tick()
            broken.start_at = 0
            time.sleep(0.02)

    with pytest.raises(PlatformError, match=r"The thing died 6 times in 5 minutes: no luck today\. Its log: "):
        tick_until_it_gives_up()
    assert len(notes) == 5
    assert notes[0].startswith("The thing ended (exit status 3) and will be restarted.")


FORKED = """
import atexit, sys, time

def main():
    print(sys.argv[1], "starts", flush=sys.argv[1] == "steady")
    if sys.argv[1] == "brief":
        atexit.register(print, "brief ends")
        time.sleep(0.3)
        sys.exit(7)
    if sys.argv[1] == "broken":
        raise ValueError("broken for a reason")
    time.sleep(600)
"""


def test_forked_services_are_restarted_with_their_parent_and_without_it(tmp_path: Path) -> None:
    (tmp_path / "forked.py").write_text(FORKED)
    home = Home(tmp_path / "home")
    home.prepare()
    notes: list[str] = []
    supervisor = Supervisor(home, EmbeddedPostgres(home.path), notes.append)
    variables = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
    }
    forked = {
        name: Service(name, ["forked", name], variables, home.logs / f"{name}.log", is_forked=True)
        for name in ("steady", "brief", "broken")
    }
    steady = forked["steady"]

    def starts() -> int:
        supervisor.tick()
        return steady.log.read_text().count("steady starts")

    for service in forked.values():
        supervisor.start(service)
    try:
        ends = {
            f"The brief ended (exit status 7) and will be restarted. Log: {home.logs}/brief.log",
            f"The broken ended (exit status 1) and will be restarted. Log: {home.logs}/broken.log",
        }
        wait_for(lambda: starts() == 1 and ends <= set(notes), 60)
        assert forked["brief"].log.read_text().startswith("brief starts\nbrief ends\n")
        assert "ValueError: broken for a reason" in forked["broken"].log.read_text()
        assert isinstance(steady.process, Forked)
        assert steady.process.pid is not None
        first = psutil.Process(steady.process.pid)
        parent = first.parent()
        assert parent is not None
        assert parent.net_connections() == []
        names = [Path(f"/proc/{parent.pid}/task/{thread.id}/comm").read_text() for thread in parent.threads()]
        assert names.count(names[0]) == 1, "threads of libraries have names of their own"

        first.kill()
        wait_for(lambda: starts() == 2)
        assert psutil.Process(steady.process.pid).parent() == parent

        parent.kill()
        wait_for(lambda: starts() == 3, 60)
        assert f"The parent of the services ended (signal SIGKILL). Log: {home.logs}/services.log" in notes
        assert steady.process.pid is not None
        assert psutil.Process(steady.process.pid).parent() != parent
    finally:
        supervisor.stop()
    assert not marked_processes(home)


def test_supervisor_restarts_a_service_whose_heartbeat_stops_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adventureworks.embedded.supervisor.HANGS_AFTER_SECONDS", 1.0)
    home = Home(tmp_path / "home")
    home.prepare()
    notes: list[str] = []
    supervisor = Supervisor(home, EmbeddedPostgres(home.path), notes.append)
    beats = {name: tmp_path / name for name in ("busy", "stuck")}
    for name, then in (("busy", "while :; do touch $BEAT; sleep 0.1; done"), ("stuck", "touch $BEAT; sleep 100")):
        variables = {"PATH": os.environ["PATH"], "BEAT": str(beats[name])}
        supervisor.start(Service(name, ["/bin/sh", "-c", then], variables, home.logs / name, heartbeat=beats[name]))
    try:
        while len(notes) < 2:
            supervisor.tick()
            time.sleep(0.02)
    finally:
        supervisor.stop()
    assert notes[0] == "The stuck does not respond and will be killed."
    assert notes[1].startswith("The stuck ended (signal SIGKILL) and will be restarted.")


def test_service_that_the_others_need_ends_last_whatever_started_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    ended = tmp_path / "ended"
    supervisor = Supervisor(home, EmbeddedPostgres(home.path), print)
    for name, seconds, ends_last in (("needed", 0, True), ("slow", 0.3, False)):
        on_end = f"trap 'sleep {seconds}; echo {name} >> {ended}; exit' TERM"
        command = ["/bin/sh", "-c", f"{on_end}; echo up; while :; do sleep 0.05; done"]
        supervisor.start(Service(name, command, {"PATH": os.environ["PATH"]}, home.logs / name, ends_last=ends_last))
    wait_for(lambda: all("up" in (home.logs / name).read_text() for name in ("needed", "slow")))
    supervisor.stop()
    assert ended.read_text().split() == ["slow", "needed"]


def test_next_start_ends_tasks_that_outlived_a_killed_supervisor(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    script = (
        "import sys, time; from pathlib import Path\n"
        "from adventureworks.embedded.home import Home\n"
        "from adventureworks.embedded.postgres import EmbeddedPostgres\n"
        "from adventureworks.embedded.supervisor import Service, Supervisor\n"
        "home = Home(Path(sys.argv[1]))\n"
        f"service = Service('thing', [sys.executable, '-c', {json.dumps(stubborn)}], {{}}, home.logs / 'thing.log')\n"
        "Supervisor(home, EmbeddedPostgres(home.path), print).start(service)\n"
        "print('up', flush=True); time.sleep(60)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", script, str(home.path)], stdout=subprocess.PIPE, text=True)
    wait_for_line(running, "^up")
    wait_for(lambda: "ready" in (home.logs / "thing.log").read_text())
    running.kill()
    running.wait()
    other = Home(tmp_path / "other")
    other.prepare()
    assert Supervisor(other, EmbeddedPostgres(other.path), print).end_leftovers() == 0
    assert Supervisor(home, EmbeddedPostgres(home.path), print).end_leftovers() == 1
    assert not marked_processes(home)
