"""One running platform for all end-to-end tests, because it takes a minute to start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from aiosmtpd.controller import Controller

from adventureworks.reports.digests import DIGESTS
from tests.e2e.running import START_TIMEOUT_SECONDS, Inbox, RunningPlatform

NO_DIGESTS = f"""
digests: {{{", ".join(f"{name}: null" for name in DIGESTS)}}}
monthly_report: []
"""
"""Scheduled digests and reports are tested elsewhere; here they would disturb the number of mails."""
OLD_ORDERS = '(select "SalesOrderID" from "Sales"."SalesOrderHeader" where "OrderDate" < \'2013-05-01\')'
KEEP_RECENT = [
    f'delete from "Sales"."{table}" where "SalesOrderID" in {OLD_ORDERS}'
    for table in ("SalesOrderHeaderSalesReason", "SalesOrderDetail", "SalesOrderHeader")
]
"""Keeps only fourteen months of orders, because every month gets a report."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the state of the platform to the report of a failed test."""
    report = yield
    platform = getattr(item, "funcargs", {}).get("platform")
    if report.failed and isinstance(platform, RunningPlatform):
        report.sections.append(("State of the platform", platform.state()))
    return report


@pytest.fixture(scope="package")
def inbox() -> Iterator[tuple[Inbox, dict[str, str]]]:
    """A local mail server and webhook, and the environment variables that define them as Airflow connections."""
    received = Inbox()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
    mail = Controller(received, hostname="127.0.0.1", port=port)
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
    yield received, {"AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp), "AIRFLOW_CONN_SLACK_DEFAULT": json.dumps(webhook)}
    mail.stop()
    slack.shutdown()


@pytest.fixture(scope="package")
def platform(
    inbox: tuple[Inbox, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPlatform]:
    """`adventureworks run` on a small generated company, once everything is up to date."""
    home = tmp_path_factory.mktemp("e2e") / "home"
    routes = tmp_path_factory.mktemp("routes") / "routes.yaml"
    routes.write_text(NO_DIGESTS)
    variables = {
        **os.environ,
        **inbox[1],
        "ADVENTUREWORKS_HOME": str(home),
        "ADVENTUREWORKS_WATCH_SECONDS": "3",
        # These tests spend much time waiting: let an idle scheduler poll less often, and find and parse DAG files once.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "ADVENTUREWORKS_ROUTES": str(routes),
        # Reports in French are tested in tests/integration; each file takes half a second.
        "ADVENTUREWORKS_REPORT_LANGUAGES": '["en"]',
    }
    command = [sys.executable, "-m", "adventureworks.cli"]
    generate = [*command, "source", "generate", "--scale", "0.02", "--seed", "3"]
    for preparation in (generate, [*command, "source", "sql", *KEEP_RECENT]):
        subprocess.run(preparation, check=True, env=variables, stdin=subprocess.DEVNULL, timeout=300)
    running = subprocess.Popen(
        [*command, "run"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output: list[str] = []
    up = threading.Event()

    def read() -> None:
        assert running.stdout is not None
        for line in running.stdout:
            output.append(line)
            if "Up and following" in line:
                up.set()
        up.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert up.wait(START_TIMEOUT_SECONDS), "".join(output[-20:])
        assert running.poll() is None, "".join(output[-20:])
        with closing(RunningPlatform(home, output)) as platform:
            yield platform
        family = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0
        assert [child.pid for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        if running.poll() is None:
            running.kill()
