"""What no event starts is started all the same, by the dispatcher of the watch."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import psutil
import psycopg

from adventureworks.catalog import ANALYSES, MARTS
from adventureworks.due import Behind
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from tests.e2e.running import RunningPlatform, wait_for
from tests.e2e.test_events import any_order, sell_one_more

SEED = 7
A_DAY_LATER = (
    'update "Sales"."SalesOrderHeader" set "OrderDate" = "OrderDate" + interval \'1 day\','
    ' "DueDate" = "DueDate" + interval \'1 day\', "ShipDate" = "ShipDate" + interval \'1 day\''
    ' where "SalesOrderID" = (select "SalesOrderID" from "Sales"."SalesOrderHeader"'
    ' order by "OrderDate" desc, "SalesOrderID" desc limit 1)'
)
DEARER_WORK = (
    'update "Production"."WorkOrderRouting" set "ActualCost" = "ActualCost" + 1'
    ' where "WorkOrderID" = (select min("WorkOrderID") from "Production"."WorkOrderRouting")'
)


def pause(platform: RunningPlatform, dag: str, *, paused: bool) -> None:
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
    pause(platform, paused, paused=True)
    # As a deploy does it: the published versions are of other models than those that are installed.
    platform.sql(
        "warehouse", "update ops.publication set model = 'another' where asset = any(%s) returning 1", ([*versions],)
    )
    wait_for(lambda: platform.newest("exchange_rates")[0] > versions["exchange_rates"])
    run_id, conf = newest_run(platform, "currency_exchange_rates")
    assert run_id.startswith("due__")
    assert "exchange_rates: its model, contract or checks changed" in conf
    assert newest_run(platform, paused) == before, "a paused DAG is left alone"

    pause(platform, paused, paused=False)
    wait_for(lambda: platform.newest("card_usage")[0] > versions["card_usage"])
    assert newest_run(platform, paused)[0].startswith("due__")


def test_a_new_business_day_reaches_marts_of_which_no_input_changed(platform: RunningPlatform) -> None:
    wait_for(platform.quiet)
    before = {dag: platform.runs(dag) for dag in ANALYSES}
    platform.change(A_DAY_LATER)
    days = "select max(as_of) from ops.publication where asset = any(%s) group by asset"

    def all_of_one_day() -> bool:
        found = platform.sql("warehouse", days, ([*MARTS, "Sales_SalesOrderHeader"],))
        return len(set(found)) == 1

    wait_for(lambda: not all_of_one_day())
    wait_for(all_of_one_day)
    wait_for(platform.quiet)
    assert {dag: platform.runs(dag) - before[dag] for dag in ANALYSES} == dict.fromkeys(ANALYSES, 1), "each once"


def behind(platform: RunningPlatform) -> dict[str, Behind]:
    with psycopg.connect(platform.postgres.url("warehouse")) as connection:
        return dict(decide_now(Settings(), connection).behind)


def kill_scheduler(platform: RunningPlatform) -> None:
    schedulers = [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if "scheduler" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("ADVENTUREWORKS_HOME") == str(platform.home)
    ]
    assert schedulers
    for process in schedulers:
        process.kill()


def troubles(platform: RunningPlatform, chance: random.Random) -> list[Callable[[], object]]:
    """What may happen to a platform, in any order: business, a deploy, lost and doubled events, pauses, a crash."""
    order, line, _ = any_order(platform)
    assets = {asset["name"]: asset["id"] for asset in platform.api("/api/v2/assets?limit=200")["assets"]}
    happenings: list[Callable[[], object]] = [
        lambda: platform.change(*sell_one_more(order, line)),
        lambda: platform.change(A_DAY_LATER),
        lambda: platform.change(DEARER_WORK),
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
    history = [chance.choice(happenings) for _ in range(12)]
    # Each at least once, and the crash in the midst.
    history = [*happenings, lambda: kill_scheduler(platform), *history]
    chance.shuffle(history)
    return history


def test_after_any_trouble_every_mart_is_fresh_computed_once_from_the_same_and_never_from_a_mix(
    platform: RunningPlatform,
) -> None:
    wait_for(platform.quiet)
    [(before,)] = platform.sql("warehouse", "select max(published_at) from ops.publication")
    chance = random.Random(SEED)
    for happen in troubles(platform, chance):
        happen()
        time.sleep(chance.choice([0, 0.5, 3]))
    for dag in ANALYSES:
        pause(platform, dag, paused=False)
    wait_for(lambda: not behind(platform) and platform.quiet(), seconds=400)

    published = platform.sql(
        "warehouse",
        "select asset, version, inputs, model, as_of, published_at > %s, confirmed_by is not null from ops.publication"
        " where asset = any(%s)",
        (before, [name for name, mart in MARTS.items() if not mart.tolerant]),
    )
    computed = [(asset, inputs, model, as_of) for asset, _, inputs, model, as_of, _, _ in published]
    assert len(computed) == len(set(computed)), "nothing was computed twice from the same"
    of = {(asset, version): (json.loads(inputs), as_of) for asset, version, inputs, _, as_of, _, _ in published}
    newest = {asset: max(version for name, version in of if name == asset) for asset, _ in of}
    # A version that was confirmed tells of what it was computed from last, not of what earlier readers saw beside it.
    confirmed = {(asset, version) for asset, version, *_, is_confirmed in published if is_confirmed}
    for asset, version, _, _, _, is_new, _ in published:
        inputs, as_of = of[asset, version]
        for mart in inputs.keys() & MARTS.keys() if is_new else ():
            if (mart, inputs[mart]) in confirmed and version < newest[asset]:
                continue
            made_of, its_day = of[mart, inputs[mart]]
            assert its_day == as_of, f"{asset} of {as_of} reads {mart} of {its_day}"
            assert {name: made_of[name] for name in made_of.keys() & inputs.keys()} == {
                name: inputs[name] for name in made_of.keys() & inputs.keys()
            }, f"{asset} version {version} shows {mart} beside newer inputs"
