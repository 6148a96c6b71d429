"""Connections to the warehouse are reused within a step, but only if they are left in a clean state."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.warehouse.postgres import Records, WarehouseConnection, reuse_connections

SESSION = "select pg_backend_pid(), current_setting('application_name')"


@pytest.fixture
def observer(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        yield connection


def session(connection: WarehouseConnection) -> tuple[int, str]:
    row = connection.execute(SESSION).fetchone()
    assert row
    return row[0], row[1]


def exists(observer: psycopg.Connection, pid: int) -> bool:
    return observer.execute("select 1 from pg_stat_activity where pid = %s", (pid,)).fetchone() is not None


def test_connections_are_reused_within_a_step_and_closed_at_its_end(warehouse_url: str) -> None:
    warehouse = Records(SecretStr(warehouse_url))

    @reuse_connections()
    def step() -> list[tuple[int, str]]:
        found = []
        for purpose in ("build", "gate"):
            with warehouse.connect(purpose) as connection, warehouse.connect("in parallel") as other:
                assert session(other)[0] != session(connection)[0]
                found.append(session(connection))
        return found

    (first, build), (second, gate) = step()
    assert (build, gate) == ("build", "gate")
    assert first == second
    assert first not in [pid for pid, _ in step()], "the next step opens its own connections"


def test_failed_connections_are_rolled_back_and_not_reused(warehouse_url: str) -> None:
    warehouse = Records(SecretStr(warehouse_url))
    pids = []

    def fail() -> None:
        with warehouse.connect() as connection:
            connection.execute("create table public.left_over (a integer)")
            pids.append(session(connection)[0])
            connection.execute("select * from nowhere")

    with reuse_connections():
        with pytest.raises(psycopg.errors.UndefinedTable):
            fail()
        with warehouse.connect() as connection:
            assert session(connection)[0] not in pids
            assert connection.execute("select to_regclass('public.left_over')").fetchone() == (None,)


def test_connections_lost_in_the_meantime_are_replaced(warehouse_url: str, observer: psycopg.Connection) -> None:
    warehouse = Records(SecretStr(warehouse_url))
    with reuse_connections():
        with warehouse.connect() as connection:
            lost, _ = session(connection)
        assert exists(observer, lost)
        observer.execute("select pg_terminate_backend(%s, 5000)", (lost,))
        with warehouse.connect() as connection:
            assert session(connection)[0] != lost


def test_autocommit_connections_are_not_reused(warehouse_url: str) -> None:
    warehouse = Records(SecretStr(warehouse_url))
    with reuse_connections():
        with warehouse.connect() as connection:
            connection.autocommit = True
            first, _ = session(connection)
        with warehouse.connect() as connection:
            assert session(connection)[0] != first
            assert not connection.autocommit
