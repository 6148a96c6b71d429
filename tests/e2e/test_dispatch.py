"""What no event starts is started all the same, by the dispatcher of the watch."""

from __future__ import annotations

from adventureworks.catalog import ANALYSES, MARTS
from tests.e2e.running import RunningPlatform, wait_for


def pause(platform: RunningPlatform, dag: str, paused: bool) -> None:
    platform.sql("airflow", "update dag set is_paused = %s where dag_id = %s returning 1", (paused, dag))


def newest_run(platform: RunningPlatform, dag: str) -> tuple[str, str]:
    """The id and the configuration of the newest run of a DAG."""
    [(run_id, conf)] = platform.sql(
        "airflow", "select run_id, conf::varchar from dag_run where dag_id = %s order by id desc limit 1", (dag,)
    )
    return run_id, conf


def test_a_changed_model_is_computed_and_a_paused_dag_when_it_goes_on(platform: RunningPlatform) -> None:
    wait_for(platform.quiet)
    paused = "credit_card_analysis"
    before = newest_run(platform, paused)
    versions = {name: platform.newest(name)[0] for name in ("exchange_rates", "card_usage")}
    pause(platform, paused, True)
    # As a deploy does it: the published versions are of other models than those that are installed.
    platform.sql(
        "warehouse", "update ops.publication set model = 'another' where asset = any(%s) returning 1", ([*versions],)
    )
    wait_for(lambda: platform.newest("exchange_rates")[0] > versions["exchange_rates"])
    run_id, conf = newest_run(platform, "currency_exchange_rates")
    assert run_id.startswith("due__")
    assert "exchange_rates: its model, contract or checks changed" in conf
    assert newest_run(platform, paused) == before, "a paused DAG is left alone"

    pause(platform, paused, False)
    wait_for(lambda: platform.newest("card_usage")[0] > versions["card_usage"])
    assert newest_run(platform, paused)[0].startswith("due__")


def test_a_new_business_day_reaches_marts_of_which_no_input_changed(platform: RunningPlatform) -> None:
    wait_for(platform.quiet)
    before = {dag: platform.runs(dag) for dag in ANALYSES}
    platform.change(
        'update "Sales"."SalesOrderHeader" set "OrderDate" = "OrderDate" + interval \'1 day\','
        ' "DueDate" = "DueDate" + interval \'1 day\', "ShipDate" = "ShipDate" + interval \'1 day\''
        ' where "SalesOrderID" = (select "SalesOrderID" from "Sales"."SalesOrderHeader"'
        ' order by "OrderDate" desc, "SalesOrderID" desc limit 1)'
    )
    days = "select max(as_of) from ops.publication where asset = any(%s) group by asset"

    def all_of_one_day() -> bool:
        found = platform.sql("warehouse", days, ([*MARTS, "Sales_SalesOrderHeader"],))
        return len(set(found)) == 1

    wait_for(lambda: not all_of_one_day())
    wait_for(all_of_one_day)
    wait_for(platform.quiet)
    assert {dag: platform.runs(dag) - before[dag] for dag in ANALYSES} == dict.fromkeys(ANALYSES, 1), "each once"
