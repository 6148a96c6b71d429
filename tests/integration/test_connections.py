"""Connections to the warehouse are used again within a step, and only if nothing is left of what was done with them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.warehouse.postgres import PostgresWarehouse, WarehouseConnection, connections_kept

WHO = "select pg_backend_pid(), current_setting('application_name')"


@pytest.fixture
def observer(warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        yield connection


def who(connection: WarehouseConnection) -> tuple[int, str]:
    row = connection.execute(WHO).fetchone()
    assert row
    return row[0], row[1]


def is_there(observer: psycopg.Connection, pid: int) -> bool:
    return observer.execute("select 1 from pg_stat_activity where pid = %s", (pid,)).fetchone() is not None


def test_a_connection_is_used_again_within_a_step_and_closed_at_its_end(warehouse_url: str) -> None:
    warehouse = PostgresWarehouse(SecretStr(warehouse_url))

    @connections_kept()
    def step() -> list[tuple[int, str]]:
        found = []
        for purpose in ("build", "gate"):
            with warehouse.connect(purpose) as connection, warehouse.connect("beside it") as other:
                assert who(other)[0] != who(connection)[0]
                found.append(who(connection))
        return found

    (first, build), (second, gate) = step()
    assert (build, gate) == ("build", "gate")
    assert first == second
    assert first not in [pid for pid, _ in step()], "the next step makes its own"


def test_what_ended_badly_is_rolled_back_and_not_used_again(warehouse_url: str) -> None:
    warehouse = PostgresWarehouse(SecretStr(warehouse_url))
    pids = []

    def fail() -> None:
        with warehouse.connect() as connection:
            connection.execute("create table public.left_over (a integer)")
            pids.append(who(connection)[0])
            connection.execute("select * from nowhere")

    with connections_kept():
        with pytest.raises(psycopg.errors.UndefinedTable):
            fail()
        with warehouse.connect() as connection:
            assert who(connection)[0] not in pids
            assert connection.execute("select to_regclass('public.left_over')").fetchone() == (None,)


def test_a_connection_that_was_lost_meanwhile_is_replaced(warehouse_url: str, observer: psycopg.Connection) -> None:
    warehouse = PostgresWarehouse(SecretStr(warehouse_url))
    with connections_kept():
        with warehouse.connect() as connection:
            lost, _ = who(connection)
        assert is_there(observer, lost)
        observer.execute("select pg_terminate_backend(%s, 5000)", (lost,))
        with warehouse.connect() as connection:
            assert who(connection)[0] != lost


def test_a_connection_without_transactions_is_not_used_again(warehouse_url: str) -> None:
    warehouse = PostgresWarehouse(SecretStr(warehouse_url))
    with connections_kept():
        with warehouse.connect() as connection:
            connection.autocommit = True
            first, _ = who(connection)
        with warehouse.connect() as connection:
            assert who(connection)[0] != first
            assert not connection.autocommit
