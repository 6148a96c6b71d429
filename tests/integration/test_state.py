"""The state of tables in `status` and on the dashboard, after the platform has run for years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

from adventureworks.gate import results
from adventureworks.marts.plan import decide_now
from adventureworks.warehouse import layout
from adventureworks.warehouse.state import asset_states
from tests.integration.pipeline import Pipeline

RUNS = 5_000
TABLE = "Sales_SalesOrderHeader"


def test_years_of_check_results_do_not_slow_down_the_state_and_are_deleted_in_time(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, failed, message, checked_at)"
            " select 'old/' || run, %s, 'rule_' || rule, 'check', case rule when 1 then 'warn' else 'pass' end, 3, 'm',"
            " current_timestamp - run * interval '1 hour' - interval '1 day'"
            " from generate_series(%s, 1, -1) as run, generate_series(1, 9) as rule",
            (TABLE, RUNS),
        )
        connection.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, failed, message)"
            " values ('new/1', %s, 'rule_2', 'check', 'warn', 7, 'of the last run')",
            (TABLE,),
        )
        # This table is always blocked before its checks run.
        connection.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, message, checked_at)"
            " select 'old/' || run, 'unreadable', 'table_is_readable', 'source', 'fail', 'm',"
            " current_timestamp - run * interval '100 days' from generate_series(3, 1, -1) as run"
        )
        connection.commit()
        with pipeline.session() as session:
            session.records.execute("set statement_timeout = '5s'")
            [state] = [state for state in asset_states(session.records) if state.asset == TABLE]
        assert state.broken_rules == ("rule_2 (warn, 7 rows): of the last run",)

        results.clear(connection, datetime.now(UTC) - timedelta(days=90))
        oldest, kept = connection.execute(
            "select min(checked_at), count(*) from ops.check_result where asset = %s", (TABLE,)
        ).fetchall()[0]
        assert oldest > datetime.now(UTC) - timedelta(days=91)
        assert 0 < kept < RUNS * 9
        others = connection.execute("select count(distinct asset) from ops.check_result").fetchone()
        assert others is not None
        assert others[0] > 1, "the latest results of a table are kept, however old they are"
        assert connection.execute("select run_id from ops.check_result where asset = 'unreadable'").fetchall() == [
            ("old/1",)
        ]


def test_the_state_can_be_read_before_the_records_are_migrated(pipeline: Pipeline) -> None:
    with pipeline.session() as session:
        layout.set_revision(session.records, "0010")
        states = asset_states(session.records, decide_now(pipeline.settings, session))
        assert [state.asset for state in states if not state.fresh] == []
