"""The local PostgreSQL on real processes: start and stop, crashes, roles, and what other accounts can reach."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from adventureworks.embedded.postgres import OWNERS, READERS, SUPERUSER, EmbeddedPostgres
from adventureworks.errors import PlatformError

USER = "import sys, time; from pathlib import Path; from adventureworks.embedded.postgres import EmbeddedPostgres\n"


@pytest.fixture
def server(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path / "home", tied=True)
    server.start()
    yield server
    server.stop(for_all=True)


def processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(what, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_second_start_is_fast_and_keeps_the_data(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url("warehouse")) as connection:
        connection.execute("create table kept as select 7 as number")
    server.stop()
    assert not processes_in(server.data)
    begin = time.monotonic()
    server.start()
    assert time.monotonic() - begin < 5
    with psycopg.connect(server.url("warehouse")) as connection:
        assert connection.execute("select number from kept").fetchall() == [(7,)]


def test_committed_rows_survive_a_crash_of_the_server_during_a_write(server: EmbeddedPostgres) -> None:
    committed: list[int] = []

    def write() -> None:
        with psycopg.connect(server.url("warehouse"), autocommit=True) as connection:
            for number in range(10**9):
                connection.execute("insert into log select %s, repeat('x', 100000)", (number,))
                committed.append(number)

    def write_until_crash() -> None:
        with pytest.raises(psycopg.OperationalError):
            write()

    with psycopg.connect(server.url("warehouse")) as connection:
        connection.execute("create table log (number bigint, filler text)")
    writer = threading.Thread(target=write_until_crash)
    writer.start()
    wait_for(lambda: len(committed) > 50)
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.pid() is None)
    again = EmbeddedPostgres(server.home.path)
    again.start()
    writer.join()
    with psycopg.connect(again.url("warehouse")) as connection:
        found = {number for (number,) in connection.execute("select number from log")}
    assert set(committed) <= found
    again.stop()


def test_stale_pid_file_with_a_reused_pid_does_not_prevent_a_start(server: EmbeddedPostgres) -> None:
    pid_file = server.data / "postmaster.pid"
    text = pid_file.read_text()
    server.stop(for_all=True)
    pid_file.write_text(text.replace(text.splitlines()[0], str(os.getpid()), 1))
    assert not server.running()
    server.start()
    assert server.running()


def test_last_of_two_concurrent_users_stops_the_server(tmp_path: Path) -> None:
    script = USER + "p = EmbeddedPostgres(Path(sys.argv[1])); p.start(); print(p.port(), flush=True); input(); p.stop()"
    users = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "home")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ports = {user.stdout.readline() for user in users if user.stdout}
    assert len(ports) == 1
    users[0].communicate("\n", timeout=20)
    assert EmbeddedPostgres(tmp_path / "home").running()
    users[1].communicate("\n", timeout=20)
    assert not processes_in(tmp_path / "home")


def test_killed_user_does_not_keep_the_server_up(tmp_path: Path) -> None:
    tied = USER + "p = EmbeddedPostgres(Path(sys.argv[1]), tied=True); p.start(); print(1, flush=True); time.sleep(60)"
    user = subprocess.Popen([sys.executable, "-c", tied, str(tmp_path / "home")], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    user.stdout.readline()
    user.kill()
    user.communicate()
    wait_for(lambda: not processes_in(tmp_path / "home"))


def test_two_homes_run_side_by_side_and_listen_only_locally(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "one") as one, EmbeddedPostgres(tmp_path / "two") as two:
        assert one.port() != two.port()
        for server in (one, two):
            listening = [
                connection.laddr
                for process in processes_in(server.data)
                for connection in process.net_connections("all")
                if connection.status == psutil.CONN_LISTEN
            ]
            assert [tuple(address) for address in listening] == [("127.0.0.1", server.port())]


def test_secrets_and_databases_are_accessible_only_to_their_owner(server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(server.home.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    files = list(server.home.secrets.iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    logged = server.log.read_text()
    assert not [file.name for file in files if file.read_text() in logged]


def test_random_passwords_are_hashed_once_except_that_of_the_role_for_users(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        digests = connection.execute(
            "select rolname, split_part(split_part(rolpassword, '$', 2), ':', 1)::int from pg_authid"
            " where rolpassword is not null and rolname <> %s",
            (SUPERUSER,),
        ).fetchall()
    assert dict(digests) == {**dict.fromkeys([*OWNERS, *READERS], 1), "reader": 4096}


def test_texts_are_ordered_by_their_codes(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url("warehouse")) as connection:
        found = connection.execute("select t from unnest(array['é', 'a', 'Z', 'z', 'A']) as t order by t").fetchall()
        in_lower_case = connection.execute("select lower('ÉÜ')").fetchone()
    assert [text for (text,) in found] == ["A", "Z", "a", "z", "é"]
    assert in_lower_case == ("éü",)


def test_readers_see_present_and_future_tables_and_change_nothing(server: EmbeddedPostgres) -> None:
    for reader, database in (("reader", "warehouse"), ("source_reader", "source")):
        with psycopg.connect(server.url(database)) as owner:
            owner.execute("create schema later; create table later.t as select 1 as a")
        with psycopg.connect(server.url(database, reader), autocommit=True) as connection:
            assert connection.execute("select a from later.t").fetchall() == [(1,)]
            connection.execute("set default_transaction_read_only = off")
            for change in ("insert into later.t values (2)", "create table public.mine (a int)", "drop table later.t"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(change)
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(server.url("source", "reader"))


@pytest.mark.parametrize("mode", [0o700, 0o000])
def test_home_may_be_in_a_folder_that_the_account_may_not_enter(tmp_path: Path, mode: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL under another account")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(mode)
    with EmbeddedPostgres(closed / "home") as server, psycopg.connect(server.url("warehouse")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert stat.S_IMODE(closed.stat().st_mode) == mode


def test_file_in_place_of_the_home_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PlatformError, match=r"cannot be used: it is not a folder. Choose another folder: ADVENTUREWORKS_HOME"
    ):
        EmbeddedPostgres(tmp_path / "file" / "home").start()


def test_port_in_use_is_a_clear_error(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=f"Port {server.port()} on 127.0.0.1 is in use"):
        EmbeddedPostgres(tmp_path / "other").start(server.port())


def test_databases_of_another_postgresql_version_are_rejected_untouched(server: EmbeddedPostgres) -> None:
    server.stop(for_all=True)
    (server.data / "PG_VERSION").write_text("9\n")
    advice = rf"adventureworks backup DIR\. Then move {server.home.postgres} away, .* restore DIR"
    with pytest.raises(PlatformError, match=rf"created by PostgreSQL 9, .* {advice}"):
        server.start()
    assert (server.data / "base").exists()
