"""The services of docker-compose.yaml run as processes, with two workers that have separate homes; one is killed."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart
from adventureworks.settings import Settings
from adventureworks_sample import generate
from tests.e2e.running import wait_for
from tests.integration.pipeline import Pipeline
from tests.production.topology import Topology, missing_programs

WORKERS = ("worker-1", "worker-2")
SERVICES = ("scheduler", "dag-processor", "triggerer", "watch")
CHANGED = "Production_WorkOrderRouting"
TASKS_TO_KILL = ("load", "publish_tables", "refresh")
MONTHLY = "financial_reporting"
RECENT = datetime(2013, 5, 1)
"""The files contain no older orders, because the reports of every month are filed while the tests run."""
TIMEOUT_SECONDS = 600

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """All services that `docker compose up` starts, with the files of a small generated company already published."""
    if missing := missing_programs():
        pytest.skip(f"no {' and '.join(missing)}: on Debian or Ubuntu apt install redis-server")
    folder = tmp_path_factory.mktemp("topology")
    source = folder / "source"
    source.mkdir()
    for asset, table in small_company():
        pq.write_table(table, source / f"{asset}.parquet")
    topology = Topology(folder, source)
    try:
        topology.start_databases()
        publish_everything(topology)
        wait_for(lambda: topology.is_healthy("redis"))
        topology.run("prepare")
        for service in ("api-server", *SERVICES):
            topology.start(service)
        for worker in WORKERS:
            topology.start("worker", worker, "--celery-hostname", worker)
        wait_for(lambda: topology.all_run() and topology.is_up())
        yield topology
    finally:
        topology.stop()


def small_company() -> Iterator[tuple[str, pa.Table]]:
    """Yield the tables of a generated company by asset, with its recent orders only."""
    for asset, table in generate(0.02, seed=9):
        if asset == "Sales_SalesOrderHeader":
            kept = table.filter(pc.field("OrderDate") >= RECENT)
            orders = kept["SalesOrderID"]
        elif asset in ("Sales_SalesOrderDetail", "Sales_SalesOrderHeaderSalesReason"):
            kept = table.filter(pc.is_in(table["SalesOrderID"], orders))
        else:
            kept = table
        yield asset, kept


def publish_everything(topology: Topology) -> None:
    """Load and analyse the files without Airflow, in a tenth of the time; tests/e2e covers a first load by Airflow."""
    warehouse = SecretStr(topology.url("warehouse"))
    pipeline = Pipeline(Settings(source=str(topology.folder / "source"), warehouse_url=warehouse))
    assert pipeline.ingest().published.keys() == SOURCE_TABLES.keys()
    assert sorted(pipeline.settle()) == sorted(ANALYSES)


def versions(topology: Topology) -> dict[str, int]:
    """Return the newest version of every published asset."""
    return dict(topology.sql("warehouse", "select asset, max(version) from ops.publication group by asset"))


def is_quiet(topology: Topology) -> bool:
    """Return whether nothing runs or is about to run, except the delivery of the reports of past months."""
    [(active,)] = topology.sql(
        "airflow",
        "select (select count(*) from dag_run where state in ('queued', 'running') and dag_id <> %s) +"
        " (select count(*) from asset_dag_run_queue where target_dag_id <> %s)",
        *[MONTHLY] * 2,
    )
    return not active


def sources_of(mart: Mart) -> set[str]:
    """Return the source tables that a mart depends on, directly or through other marts."""
    return set().union(*({name} if name in SOURCE_TABLES else sources_of(MARTS[name]) for name in mart.inputs))


def failures(topology: Topology) -> list[tuple[str, ...]]:
    """Return the tasks that failed after all their attempts, and all incidents about data and tasks, open or not.

    The watch reports a failed task only after half a minute. Beside other tests, a service of Airflow may be slow.
    """
    return [
        *topology.sql("airflow", "select dag_id, run_id, task_id, state from task_instance where state = 'failed'"),
        *topology.sql(
            "warehouse", "select asset, rule, status, code, parameters from ops.incident where asset <> 'airflow'"
        ),
    ]


def stale(topology: Topology) -> list[str]:
    """Return the assets that are not fresh according to the command line in one of the services."""
    status = json.loads(topology.run("scheduler", "adventureworks", "status", "--json"))
    return [asset["asset"] for asset in status["assets"] if not asset["fresh"]]


def routing_cost(topology: Topology) -> tuple[Decimal, ...]:
    """Return the cost of work order routing according to the published table and according to the mart."""
    [found] = topology.sql(
        "warehouse",
        f'select (select sum("ActualCost") from raw."{CHANGED}"),'
        " (select sum(routing_cost_actual) from marts.production_costs)",
    )
    return found


def increase_first_row(topology: Topology, by: int, **columns: str) -> None:
    """Replace the files of these tables by files in which a column has a larger value in the first row."""
    files = [topology.folder / "source" / f"{asset}.parquet" for asset in columns]
    for file, column in zip(files, columns.values(), strict=True):
        table = pq.read_table(file)
        field = table.schema.field(column)
        first, *rest = table.column(column).to_pylist()
        values = pa.chunked_array([pa.array([first + by, *rest], field.type)])
        changed = table.set_column(table.schema.get_field_index(column), field, values)
        pq.write_table(changed, file.with_suffix(".draft"))
    for file in files:
        file.with_suffix(".draft").replace(file)


def kill_working_worker(topology: Topology) -> tuple[str, tuple[str, str, str, int]]:
    """Kill a worker with all its processes in the middle of a task; return the worker and the task."""
    running_tasks = (
        "select hostname, dag_id, run_id, task_id, map_index from task_instance"
        " where state = 'running' and task_id = any(%s) and dag_id <> %s order by start_date"
    )
    parameters = (list(TASKS_TO_KILL), MONTHLY)
    while True:
        worker, *task = wait_for(lambda: topology.sql("airflow", running_tasks, *parameters), TIMEOUT_SECONDS)[0]
        topology.signal(worker, signal.SIGSTOP)
        time.sleep(1)  # until messages sent just before have arrived
        if (worker, *task) in topology.sql("airflow", running_tasks, *parameters):
            topology.signal(worker, signal.SIGKILL)
            dag, run, name, index = task
            return worker, (dag, run, name, index)
        topology.signal(worker, signal.SIGCONT)


def test_anonymous_users_see_no_data_and_roles_are_enforced(topology: Topology) -> None:
    admin = topology.admin()
    users = []
    for name, role in (("reader", "Viewer"), ("editor", "User")):
        password = secrets.token_urlsafe()
        account = {"username": name, "email": f"{name}@example.com", "first_name": name, "last_name": role}
        answer = admin.post("/auth/fab/v1/users", json={**account, "password": password, "roles": [{"name": role}]})
        assert answer.is_success, answer.text
        users.append(topology.signed_in(name, password))
    anonymous, (reader, editor) = topology.client(), users

    assert anonymous.get("/api/v2/dags").status_code == 401
    for page in ("/dashboard/overview", "/dashboard/lineage", "/dashboard/quality"):
        assert [user.get(page).status_code for user in (anonymous, reader)] == [401, 200], page
    answers = [
        user.post("/dashboard/incidents/none/acknowledge", headers={"Origin": topology.ui}).status_code
        for user in (anonymous, reader, editor)
    ]
    assert answers == [401, 403, 409], "only users who may edit DAGs may acknowledge; 409: there is no such incident"


def test_a_change_is_processed_by_both_workers_and_nothing_else_is_recomputed(topology: Topology) -> None:
    changed = {"Production_ProductInventory": "Quantity", "Sales_SalesPersonQuotaHistory": "SalesQuota"}
    marts = {name for name, mart in MARTS.items() if sources_of(mart) & changed.keys()}
    assert {"inventory_status", "sales_person_performance"} <= marts
    # Pause them: the reports of all past months would take longer than everything else.
    pausing = partial(topology.admin().patch, f"/api/v2/dags/{MONTHLY}", json={"is_paused": True})
    wait_for(lambda: topology.all_run() and pausing().is_success, TIMEOUT_SECONDS)
    ingestions = "select count(*) from dag_run where dag_id = 'ingest_source' and state = 'success'"
    wait_for(lambda: topology.sql("airflow", ingestions) != [(0,)] and is_quiet(topology), TIMEOUT_SECONDS)
    assert stale(topology) == []
    assert versions(topology) == dict.fromkeys([*SOURCE_TABLES, *MARTS], 1)

    [(before,)] = topology.sql("airflow", "select clock_timestamp()")
    increase_first_row(topology, by=1, **changed)
    expected = {*changed, "inventory_status", "sales_person_performance", "data_quality"}
    wait_for(lambda: topology.all_run() and all(versions(topology)[name] > 1 for name in expected), TIMEOUT_SECONDS)
    wait_for(lambda: is_quiet(topology), TIMEOUT_SECONDS)
    assert stale(topology) == []
    now = versions(topology)
    assert expected <= {name for name in now if now[name] > 1} <= {*changed, *marts, "data_quality"}
    assert {now[name] for name in changed} == {2}, "each table is published once"
    assert failures(topology) == []
    since = "select distinct {} from task_instance where state = 'success' and start_date > %s and dag_id <> %s"
    built = topology.sql("airflow", since.format("dag_id") + " and task_id = 'refresh'", before, MONTHLY)
    assert {dag for (dag,) in built} == {MARTS[name].dag for name in {*marts, "data_quality"}}
    hosts = topology.sql("airflow", since.format("hostname") + " and hostname <> ''", before, MONTHLY)
    assert {host for (host,) in hosts} == set(WORKERS)


def test_every_service_passes_its_health_check(topology: Topology) -> None:
    for service in ("api-server", "redis", *SERVICES):
        assert topology.is_healthy(service), service
    assert topology.is_healthy("worker", WORKERS[0])
    # The check asks only the worker that it runs in.
    nodes = {f"celery@{worker}" for worker in WORKERS}
    ping = (
        f'CELERY_BROKER_URL="$AIRFLOW__CELERY__BROKER_URL" celery inspect ping --json --destination {",".join(nodes)}'
    )
    assert json.loads(topology.run("worker", "sh", "-c", ping)).keys() == nodes
    assert "no embedded server is needed" in topology.run("scheduler", "adventureworks", "doctor")
    assert list((topology.folder / "homes").glob("*/postgres")) == []


def test_the_warehouse_reader_can_read_everything_and_change_nothing(topology: Topology) -> None:
    topology.create_databases("warehouse")  # running it again changes nothing
    with psycopg.connect(topology.url("warehouse", "reader"), autocommit=True) as connection:
        sizes = {name: connection.execute(f"select count(*) from marts.{name}").fetchone() for name in MARTS}
        # The sample has no two products that 20 orders contain together.
        assert [name for name, size in sizes.items() if size == (0,)] == ["product_affinity"]
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from marts.daily_sales")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(topology.url("warehouse", "reader").replace("/warehouse", "/airflow"))


def test_the_task_of_a_killed_worker_is_done_by_the_other_worker(topology: Topology) -> None:
    cost_before, versions_before = routing_cost(topology), versions(topology)
    increase_first_row(topology, by=10, **{CHANGED: "ActualCost"})
    killed, task = kill_working_worker(topology)

    # The DAG that checks all marts runs last.
    wait_for(lambda: versions(topology)["data_quality"] > versions_before["data_quality"], TIMEOUT_SECONDS)
    wait_for(lambda: is_quiet(topology), TIMEOUT_SECONDS)
    [survivor] = set(WORKERS) - {killed}
    assert topology.sql(
        "airflow",
        "select state, try_number, hostname from task_instance"
        " where dag_id = %s and run_id = %s and task_id = %s and map_index = %s",
        *task,
    ) == [("success", 2, survivor)]
    touched = {CHANGED} | {name for name, mart in MARTS.items() if CHANGED in sources_of(mart)}
    new_versions = {
        name: version - versions_before[name]
        for name, version in versions(topology).items()
        if version > versions_before[name]
    }
    assert set(new_versions.values()) == {1}, "nothing was published twice"
    # An unchanged mart gets no new version.
    assert {CHANGED, "production_costs", "data_quality"} <= new_versions.keys() <= touched
    assert [now - earlier for now, earlier in zip(routing_cost(topology), cost_before, strict=True)] == [10, 10]
    assert failures(topology) == []
    assert stale(topology) == []
