"""The dispatcher of the watch starts what is due and was not started by an event."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS
from adventureworks.due import Behind
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.warehouse.postgres import PostgresWarehouse, Records
from tests.consistency import violations
from tests.e2e.running import RunningPlatform, wait_for
from tests.e2e.test_events import any_order, sell_one_more

SEED = 7
MOVE_TO_NEXT_DAY = (
    'update "Sales"."SalesOrderHeader" set "OrderDate" = "OrderDate" + interval \'1 day\','
    ' "DueDate" = "DueDate" + interval \'1 day\', "ShipDate" = "ShipDate" + interval \'1 day\''
    ' where "SalesOrderID" = (select "SalesOrderID" from "Sales"."SalesOrderHeader"'
    ' order by "OrderDate" desc, "SalesOrderID" desc limit 1)'
)
RAISE_WORK_COST = (
    'update "Production"."WorkOrderRouting" set "ActualCost" = "ActualCost" + 1'
    ' where "WorkOrderID" = (select min("WorkOrderID") from "Production"."WorkOrderRouting")'
)


def pause(platform: RunningPlatform, dag: str, *, paused: bool) -> None:
    platform.sql("airflow", "update dag set is_paused = %s where dag_id = %s returning 1", (paused, dag))


def newest_run(platform: RunningPlatform, dag: str) -> tuple[str, str]:
    """Return the id and the configuration of the newest run of a DAG."""
    [(run_id, conf)] = platform.sql(
        "airflow", "select run_id, conf::varchar from dag_run where dag_id = %s order by id desc limit 1", (dag,)
    )
    return run_id, conf


def test_changed_models_are_computed_and_paused_dags_once_they_are_unpaused(platform: RunningPlatform) -> None:
    wait_for(platform.is_idle)
    paused = "credit_card_analysis"
    before = newest_run(platform, paused)
    versions = {name: platform.newest(name)[0] for name in ("exchange_rates", "card_usage")}
    pause(platform, paused, paused=True)
    # As after a deployment: the published versions were computed by other models than the installed ones.
    platform.sql(
        "warehouse", "update ops.publication set model = 'another' where asset = any(%s) returning 1", ([*versions],)
    )
    wait_for(lambda: platform.newest("exchange_rates")[0] > versions["exchange_rates"])
    run_id, conf = newest_run(platform, "currency_exchange_rates")
    assert run_id.startswith("due__")
    assert "exchange_rates: its model, contract or checks changed" in conf
    assert newest_run(platform, paused) == before, "a paused DAG is not started"

    pause(platform, paused, paused=False)
    wait_for(lambda: platform.newest("card_usage")[0] > versions["card_usage"])
    assert newest_run(platform, paused)[0].startswith("due__")


def test_a_new_business_day_reaches_marts_without_changed_inputs(platform: RunningPlatform) -> None:
    wait_for(platform.is_idle)
    before = {dag: platform.runs(dag) for dag in ANALYSES}
    platform.change(MOVE_TO_NEXT_DAY)
    days = "select max(as_of) from ops.publication where asset = any(%s) group by asset"

    def all_have_the_same_day() -> bool:
        found = platform.sql("warehouse", days, ([*MARTS, "Sales_SalesOrderHeader"],))
        return len(set(found)) == 1

    wait_for(lambda: not all_have_the_same_day())
    wait_for(all_have_the_same_day)
    wait_for(platform.is_idle)
    assert {dag: platform.runs(dag) - before[dag] for dag in ANALYSES} == dict.fromkeys(ANALYSES, 1), (
        "each analysis runs once"
    )


def behind(platform: RunningPlatform) -> dict[str, Behind]:
    url = SecretStr(platform.postgres.url("warehouse"))
    with PostgresWarehouse(Records(url)).connect() as session:
        return dict(decide_now(Settings(), session).behind)


def random_events(platform: RunningPlatform, chance: random.Random) -> list[Callable[[], object]]:
    """Return events in random order: changes, a deployment, lost and duplicated asset events, pauses, a crash."""
    order, line, _ = any_order(platform)
    assets = {asset["name"]: asset["id"] for asset in platform.api("/api/v2/assets?limit=200")["assets"]}
    kinds: list[Callable[[], object]] = [
        lambda: platform.change(*sell_one_more(order, line)),
        lambda: platform.change(MOVE_TO_NEXT_DAY),
        lambda: platform.change(RAISE_WORK_COST),
        lambda: platform.sql("airflow", "delete from asset_dag_run_queue returning 1"),
        lambda: platform.api("/api/v2/assets/events", {"asset_id": assets["fact_sales"], "extra": {}}),
        lambda: pause(platform, chance.choice([*ANALYSES]), paused=True),
        lambda: pause(platform, chance.choice([*ANALYSES]), paused=False),
        lambda: platform.sql(
            "warehouse",
            "update ops.publication as p set model = 'before ' || version where asset = %s and version ="
            " (select max(version) from ops.publication where asset = p.asset) returning 1",
            (chance.choice(["territory_sales", "card_usage", "customer_value"]),),
        ),
    ]
    history = [chance.choice(kinds) for _ in range(12)]
    # Each kind occurs at least once, and the crash exactly once.
    history = [*kinds, lambda: platform.scheduler().kill(), *history]
    chance.shuffle(history)
    return history


def test_after_any_events_every_mart_is_fresh_and_computed_once_from_consistent_inputs(
    platform: RunningPlatform,
) -> None:
    wait_for(platform.is_idle)
    [(before,)] = platform.sql("warehouse", "select max(published_at) from ops.publication")
    chance = random.Random(SEED)
    for event in random_events(platform, chance):
        event()
        time.sleep(chance.choice([0, 0.5, 3]))
    for dag in ANALYSES:
        pause(platform, dag, paused=False)
    wait_for(lambda: platform.is_idle() and not behind(platform), seconds=400)

    marts = [name for name, mart in MARTS.items() if not mart.tolerant]
    assert list(violations(partial(platform.sql, "warehouse"), marts, before)) == []
