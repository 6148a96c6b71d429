"""The platform as a user runs it: `adventureworks run`, a real scheduler, and changes that find their own way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import pytest
from aiosmtpd.controller import Controller

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, Mart
from adventureworks.embedded.postgres import EmbeddedPostgres

Found = TypeVar("Found")
ORDER_TABLES = ["Sales_SalesOrderDetail", "Sales_SalesOrderHeader"]
UP_WITHIN_SECONDS = 400


@dataclass
class Inbox:
    """A mail server and a Slack webhook that keep what they get."""

    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture(scope="module")
def inbox() -> Iterator[tuple[Inbox, dict[str, str]]]:
    """The local servers, and the variables that name them as Airflow connections."""
    kept = Inbox()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    slack = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=slack.serve_forever, daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mail = Controller(kept, hostname="127.0.0.1", port=port)
    mail.start()
    smtp = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": port,
        "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "platform@example.com"},
    }
    webhook = {
        "conn_type": "slackwebhook",
        "host": f"http://127.0.0.1:{slack.server_port}/services",
        "password": "T000/B000/XXXX",
    }
    yield kept, {"AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp), "AIRFLOW_CONN_SLACK_DEFAULT": json.dumps(webhook)}
    mail.stop()
    slack.shutdown()


class RunningPlatform:
    """A home in which the platform is up, and what it shows to the outside."""

    def __init__(self, home: Path, output: list[str]) -> None:
        self.output = output
        self.postgres = EmbeddedPostgres(home)
        self.home = home
        self.ui = next(line.split()[1] for line in output if line.startswith("UI:"))
        passwords = json.loads((home / "secrets" / "airflow-passwords.json").read_text())
        body = {"username": "admin", "password": passwords["admin"]}
        self._token = self.api("/auth/token", body, token=None)["access_token"]

    def sql(self, database: str, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Reads one of the databases."""
        with psycopg.connect(self.postgres.url(database)) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def change(self, *statements: str) -> None:
        """Changes the source, in one transaction."""
        with psycopg.connect(self.postgres.url("source")) as connection:
            for statement in statements:
                connection.execute(statement)

    def api(self, path: str, body: dict[str, Any] | None = None, token: str | None = "own") -> dict[str, Any]:
        """Airflow's REST API, as the signed-in user."""
        request = urllib.request.Request(self.ui + path, headers={"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {self._token if token == 'own' else token}")
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def newest(self, asset: str) -> tuple[int, dict[str, int]]:
        """The newest version of an asset and its inputs."""
        version, inputs = self.sql(
            "warehouse",
            "select version, inputs from ops.publication where asset = %s order by version desc limit 1",
            (asset,),
        )[0]
        return version, json.loads(inputs) if inputs else {}

    def runs(self, dag: str) -> int:
        """Runs of a DAG that published something."""
        return int(
            self.sql(
                "airflow",
                "select count(*) from task_instance"
                " where dag_id = %s and task_id like 'publish%%' and state = 'success'",
                (dag,),
            )[0][0]
        )

    def quiet(self) -> bool:
        """Nothing runs or is about to."""
        active = self.sql("airflow", "select count(*) from dag_run where state in ('queued', 'running')")[0][0]
        waking = self.sql("airflow", "select count(*) from asset_dag_run_queue")[0][0]
        return not active and not waking


def wait_for(what: Callable[[], Found], seconds: float = 120) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def platform(
    inbox: tuple[Inbox, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPlatform]:
    """`adventureworks run` on a small generated company, up to date."""
    home = tmp_path_factory.mktemp("e2e") / "home"
    variables = {**os.environ, **inbox[1], "ADVENTUREWORKS_HOME": str(home), "ADVENTUREWORKS_WATCH_SECONDS": "2"}
    command = [sys.executable, "-m", "adventureworks.cli"]
    generate = [*command, "source", "generate", "--scale", "0.02", "--seed", "3"]
    subprocess.run(generate, check=True, env=variables, stdin=subprocess.DEVNULL, timeout=300)
    running = subprocess.Popen(
        [*command, "run"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output: list[str] = []
    up = threading.Event()

    def read() -> None:
        assert running.stdout is not None
        for line in running.stdout:
            output.append(line)
            if "Stays up" in line:
                up.set()
        up.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert up.wait(UP_WITHIN_SECONDS), "".join(output[-20:])
        assert running.poll() is None, "".join(output[-20:])
        yield RunningPlatform(home, output)
        family = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0
        assert [child.pid for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        if running.poll() is None:
            running.kill()


def any_order(platform: RunningPlatform) -> tuple[int, int, str]:
    """An order of several lines: its id, one line's id, its month."""
    order, line, month = platform.sql(
        "warehouse",
        "select sales_order_id, min(sales_order_detail_id), to_char(min(order_date), 'YYYY-MM') from marts.fact_sales"
        " group by 1 having count(*) > 1 order by 1 limit 1",
    )[0]
    return order, line, month


def sell_one_more(order: int, line: int) -> tuple[str, str]:
    """The statements with which one line of an order grows by one."""
    return (
        'update "Sales"."SalesOrderDetail" set "OrderQty" = "OrderQty" + 1, "LineTotal" = round("UnitPrice" *'
        f' (1 - "UnitPriceDiscount") * ("OrderQty" + 1), 6) where "SalesOrderDetailID" = {line}',
        'update "Sales"."SalesOrderHeader" as h set "SubTotal" = d.total, "TotalDue" = d.total + "TaxAmt" + "Freight"'
        ' from (select round(sum("LineTotal"), 4) as total from "Sales"."SalesOrderDetail"'
        f' where "SalesOrderID" = {order}) as d where "SalesOrderID" = {order}',
    )


def sources_of(mart: Mart) -> set[str]:
    """The source tables that a mart is made of, be it through other marts."""
    return set().union(*({name} if name in SOURCE_TABLES else sources_of(MARTS[name]) for name in mart.inputs))


def test_the_first_run_publishes_everything_once(platform: RunningPlatform) -> None:
    versions = dict(platform.sql("warehouse", "select asset, max(version) from ops.publication group by asset"))
    assert versions == dict.fromkeys([*SOURCE_TABLES, *MARTS], 1)
    assert {dag: platform.runs(dag) for dag in ["ingest_source", *ANALYSES]} == dict.fromkeys(
        ["ingest_source", *ANALYSES], 1
    ), "many inputs change at once, each analysis follows once"
    assert {version for mart in MARTS for version in platform.newest(mart)[1].values()} == {1}
    assert any(f"{len(MARTS)} of {len(MARTS)} marts are fresh" in line for line in platform.output)


def test_one_event_per_table_tells_what_was_published(platform: RunningPlatform) -> None:
    events = platform.api("/api/v2/assets/events?limit=200")["asset_events"]
    tables = [event for event in events if event["name"] in SOURCE_TABLES]
    assert sorted(event["name"] for event in tables) == sorted(SOURCE_TABLES)
    [lines] = [event["extra"] for event in tables if event["name"] == "Sales_SalesOrderDetail"]
    [(rows,)] = platform.sql("warehouse", 'select count(*) from raw."Sales_SalesOrderDetail"')
    assert lines["version"] == 1
    assert lines["rows"] == lines["rows_changed"] == rows
    assert (lines["rows_set_aside"], lines["verdict"]) == (0, "passed")
    assert len(lines["months"]) > 30


def test_the_asset_page_shows_verdict_and_watermark(platform: RunningPlatform) -> None:
    assets = {asset["name"]: asset for asset in platform.api("/api/v2/assets?limit=200")["assets"]}
    assert assets["Sales_SalesOrderHeader"]["group"] == "Sales"
    assert assets["daily_sales"]["group"] == "sales"
    for name in ("Sales_SalesOrderHeader", "daily_sales"):
        kept = platform.api(f"/api/v2/assets/{assets[name]['id']}/state-store")["asset_state_store"]
        state = {entry["key"]: entry["value"] for entry in kept}
        assert "passed" in str(state["verdict"])
        assert "watermark" in state


def test_nothing_is_shown_without_signing_in(platform: RunningPlatform) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        platform.api("/api/v2/dags", token=None)


def test_one_changed_order_finds_its_way_by_itself(platform: RunningPlatform) -> None:
    order, line, month = any_order(platform)
    wait_for(platform.quiet)
    before_runs = {dag: platform.runs(dag) for dag in ["ingest_source", *ANALYSES]}
    before = dict(
        platform.sql(
            "warehouse", "select to_char(order_date, 'YYYY-MM'), sum(revenue) from marts.daily_sales group by 1"
        )
    )
    platform.change(*sell_one_more(order, line))
    # What judges all marts comes last.
    wait_for(lambda: platform.newest("data_quality")[0] == 2)
    wait_for(platform.quiet)

    affected = {mart.dag for mart in MARTS.values() if sources_of(mart) & set(ORDER_TABLES)}
    assert {"production_costs"} == set(ANALYSES) - affected
    runs = {dag: platform.runs(dag) - before_runs[dag] for dag in before_runs}
    assert runs == {dag: int(dag in {"ingest_source", *affected}) for dag in runs}, "each affected analysis runs once"
    versions = dict(platform.sql("warehouse", "select asset, max(version) from ops.publication group by asset"))
    for mart in MARTS:
        read = platform.newest(mart)[1]
        assert read == {name: versions[name] for name in read}, f"{mart} was made of the newest of everything"
    loaded = platform.sql(
        "warehouse",
        "select asset from ops.change where run_id = (select run_id from ops.publication where asset ="
        " 'Sales_SalesOrderHeader' and version = 2) order by 1",
    )
    assert [row[0] for row in loaded] == ORDER_TABLES
    inputs = platform.newest("daily_sales")[1]
    assert {inputs[name] for name in ORDER_TABLES} == {2}
    [(months,)] = platform.sql(
        "warehouse", "select months from ops.publication where asset = 'daily_sales' and version = 2"
    )
    assert json.loads(months) == [month]
    after = dict(
        platform.sql(
            "warehouse", "select to_char(order_date, 'YYYY-MM'), sum(revenue) from marts.daily_sales group by 1"
        )
    )
    assert {name for name in after if after[name] != before[name]} == {month}


def test_an_ingestion_without_a_change_starts_nothing(platform: RunningPlatform) -> None:
    wait_for(platform.quiet)
    [(before,)] = platform.sql("airflow", "select count(*) from dag_run where dag_id = 'daily_sales_etl'")
    run = platform.api("/api/v2/dags/ingest_source/dagRuns", {"logical_date": None})["dag_run_id"]
    wait_for(lambda: platform.api(f"/api/v2/dags/ingest_source/dagRuns/{run}")["state"] == "success")
    wait_for(platform.quiet)
    tasks = platform.api(f"/api/v2/dags/ingest_source/dagRuns/{run}/taskInstances")["task_instances"]
    assert {task["state"] for task in tasks} == {"skipped"}
    assert platform.sql("airflow", "select count(*) from dag_run where dag_id = 'daily_sales_etl'") == [(before,)]


def test_a_broken_line_and_a_dropped_column_reach_their_owner_and_no_reader(
    platform: RunningPlatform, inbox: tuple[Inbox, dict[str, str]]
) -> None:
    kept, _ = inbox
    wait_for(platform.quiet)
    # The first stock digest is told, and no part of this.
    kept.mails.clear()
    kept.posts.clear()
    order, line, _ = any_order(platform)
    good = platform.sql("warehouse", "select sum(revenue), count(*) from marts.fact_sales")
    platform.change(
        f'update "Sales"."SalesOrderDetail" set "OrderQty" = 0 where "SalesOrderDetailID" = {line}',
        'alter table "Purchasing"."Vendor" rename column "CreditRating" to "Rating"',
    )
    wait_for(lambda: len(kept.mails) == 2 and len(kept.posts) == 2)
    wait_for(platform.quiet)
    assert platform.sql("warehouse", "select sum(revenue), count(*) from marts.fact_sales") == good

    subjects = " ".join(str(mail["subject"]) for mail in kept.mails)
    bodies = " ".join(mail.get_body(("plain",)).get_content() for mail in kept.mails)  # type: ignore[union-attr]
    assert "Sales_SalesOrderDetail" in subjects
    assert "Purchasing_Vendor" in subjects
    assert {mail["to"] for mail in kept.mails} == {"sales@localhost", "purchasing@localhost"}
    for told in (str(line), "OrderQty > 0", "adventureworks quarantine show Sales_SalesOrderDetail", "CreditRating"):
        assert told in " ".join(bodies.split())
        assert told in json.dumps(kept.posts).replace("&gt;", ">")

    platform.change(
        f'update "Sales"."SalesOrderDetail" set "OrderQty" = 1, "LineTotal" = round("UnitPrice" *'
        f' (1 - "UnitPriceDiscount"), 6) where "SalesOrderDetailID" = {line}',
        'alter table "Purchasing"."Vendor" rename column "Rating" to "CreditRating"',
        *sell_one_more(order, line),
    )
    wait_for(lambda: len(kept.mails) == 4 and len(kept.posts) == 4)
    assert platform.sql("warehouse", "select count(*) from ops.incident where status = 'open'") == [(0,)]


def test_the_scheduler_may_die(platform: RunningPlatform) -> None:
    order, line, _ = any_order(platform)
    wait_for(platform.quiet)
    version = platform.newest("daily_sales")[0]
    schedulers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "scheduler" in (process.info["cmdline"] or [])
        and process.environ().get("ADVENTUREWORKS_HOME") == str(platform.home)
    ]
    assert schedulers
    for process in schedulers:
        process.kill()
    platform.change(*sell_one_more(order, line))
    wait_for(lambda: platform.newest("daily_sales")[0] > version, seconds=180)
