"""Backup and restore: everything comes back, the next change is found, and nothing is sent twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES
from adventureworks.embedded import airflow
from adventureworks.embedded.home import Home
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres, program
from adventureworks.embedded.services import endpoints
from adventureworks.marts.plan import decide_now
from adventureworks.messaging import store
from adventureworks.messaging.rendered import RenderedMessage
from adventureworks.messaging.sending import send_due
from adventureworks.messaging.store import Message
from adventureworks.recovery import reconcile
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_records, open_warehouse
from adventureworks.warehouse.state import asset_states
from tests import command_line
from tests.conftest import create_database, drop_database
from tests.integration.conftest import Adventureworks
from tests.integration.pipeline import Pipeline

NOT_PUBLIC = 0o077
DATABASES = ("airflow", "source", "warehouse")


@pytest.fixture(scope="module")
def used_home(
    templates: dict[str, str],
    migrated_airflow: str,
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A home with everything published, a secret in Airflow, a report, a sent message and a waiting one."""
    home = tmp_path_factory.mktemp("used_home") / "home"
    with EmbeddedPostgres(home) as server:
        for database, template in {**templates, "airflow": migrated_airflow}.items():
            # A template takes no connections while another worker copies it.
            copy = create_database(postgres, database, template)
            copy_database(postgres.url(copy, SUPERUSER), server.url(database, SUPERUSER))
            drop_database(postgres, copy)
        variables = airflow_environment(home, server)
        with psycopg.connect(server.url("airflow")) as metadata:
            metadata.execute(
                "insert into connection (conn_id, conn_type, password, is_encrypted, is_extra_encrypted)"
                " values ('smtp_default', 'smtp', %s, true, false)",
                (key_of(variables).encrypt(b"v3ry secret").decode(),),
            )
        (home / "reports").mkdir()
        (home / "reports" / "2014-05.pdf").write_bytes(b"%PDF-")
        with psycopg.connect(server.url("warehouse")) as warehouse:
            for kind in ("sent", "waiting"):
                rendered = RenderedMessage(subject=kind, html=kind, text=kind)
                store.add(warehouse, rendered, channel="email", recipient="sales@example.org", dedup_key=kind)
            warehouse.execute("update ops.outbox set sent_at = now() where dedup_key = 'sent'")
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def saved(used_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of that home."""
    folder = tmp_path_factory.mktemp("saved") / "monday"
    done = command_line.run("backup", str(folder), environment={**os.environ, "ADVENTUREWORKS_HOME": str(used_home)})
    assert done.returncode == 0, done.stderr
    assert f"{folder}," in done.stdout
    return folder


@pytest.fixture
def restored(saved: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Another home, restored from that backup, and the output of the command."""
    yield from restore(saved, tmp_path / "home")


@pytest.fixture(scope="module")
def shared_home(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Another restored home. Two tests change it; the second, only the environment `staging`."""
    for home, _ in restore(saved, tmp_path_factory.mktemp("shared") / "home"):
        yield home


def restore(saved: Path, home: Path) -> Iterator[tuple[Path, str]]:
    """Yield a home that was restored from a backup, and the output of the command; then delete it."""
    done = command_line.run("restore", str(saved), environment={**os.environ, "ADVENTUREWORKS_HOME": str(home)})
    assert (done.returncode, done.stderr) == (0, "")
    yield home, done.stdout
    shutil.rmtree(home)


def copy_database(origin: str, target: str) -> None:
    dump = subprocess.run([program("pg_dump"), "-Fc", "-d", origin], check=True, capture_output=True).stdout
    subprocess.run([program("pg_restore"), "-e", "-1", "-d", target], check=True, input=dump)


def airflow_environment(home: Path, server: EmbeddedPostgres) -> dict[str, str]:
    settings = Settings(home=home)
    return airflow.environment(Home(home), settings, endpoints(server, settings), {}, 8080)


def key_of(variables: dict[str, str]) -> Fernet:
    """Return the key with which Airflow encrypts connections."""
    return Fernet(variables["AIRFLOW__CORE__FERNET_KEY"])


def platform_of(home: Path, server: EmbeddedPostgres) -> Pipeline:
    urls = endpoints(server, Settings(home=home))
    settings = Settings(home=home, source_url=urls.source_url, warehouse_url=urls.warehouse_url)
    return Pipeline(settings, urls.source_owner_url.get_secret_value())


class Recorder:
    """A channel that accepts every message."""

    def __init__(self) -> None:
        self.accepted: list[str] = []

    def send(self, message: Message) -> None:
        self.accepted.append(message.content.subject)


def sent_from(pipeline: Pipeline) -> list[str]:
    recorder = Recorder()
    send_due(lambda: open_records(pipeline.settings).connect("send"), {"email": recorder}, lambda: datetime.now(UTC))
    return recorder.accepted


def test_restored_platform_is_complete_and_continues(
    used_home: Path, restored: tuple[Path, str], adventureworks: Adventureworks
) -> None:
    home, output = restored
    assert "1 waiting message may have been sent since the backup" in output
    before = json.loads(adventureworks("status", "--json", home=used_home).stdout)
    after = json.loads(adventureworks("status", "--json", home=home).stdout)
    assert after == before
    assert {state["asset"] for state in after["assets"] if state["fresh"]} == {*SOURCE_TABLES, *MARTS}
    assert (home / "reports" / "2014-05.pdf").read_bytes() == b"%PDF-"

    with EmbeddedPostgres(home) as server:
        with psycopg.connect(server.url("airflow")) as metadata:
            [(password,)] = metadata.execute(
                "select password from connection where conn_id = 'smtp_default'"
            ).fetchall()
        assert key_of(airflow_environment(home, server)).decrypt(password) == b"v3ry secret", (
            "the key came with the data"
        )
        pipeline = platform_of(home, server)
        assert sent_from(pipeline) == []
        pipeline.change('update "Production"."Product" set "ListPrice" = "ListPrice" + 1 where "ListPrice" > 0')
        ingested = pipeline.ingest()
        assert ingested.loaded == ["Production_Product"], "nothing else is read again"
        assert set(ingested.published) == set(SOURCE_TABLES), "Airflow is now notified of whatever it missed"
        assert {name for name, made in ingested.published.items() if made.version > 1} == {"Production_Product"}
        assert "product_performance" in pipeline.settle()
        assert pipeline.ingest().published == {}, "once"
        with psycopg.connect(server.url("warehouse", "reader")) as reader, pytest.raises(psycopg.errors.Error):
            reader.execute("delete from marts.daily_sales")


def test_send_waiting_sends_the_waiting_messages_once(
    saved: Path, tmp_path: Path, adventureworks: Adventureworks
) -> None:
    home = tmp_path / "elsewhere"
    assert adventureworks("restore", str(saved), "--send-waiting", home=home).returncode == 0
    with EmbeddedPostgres(home) as server:
        pipeline = platform_of(home, server)
        assert sent_from(pipeline) == ["waiting"]
        assert sent_from(pipeline) == []


def test_backup_is_private_and_complete_and_never_overwrites_anything(
    used_home: Path, saved: Path, tmp_path: Path, adventureworks: Adventureworks
) -> None:
    for path in [saved, *saved.glob("*"), *saved.glob("secrets/*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & NOT_PUBLIC, path
    again = adventureworks("backup", str(saved), home=used_home)
    assert again.stderr == f"{saved} already exists. Give the name of a new folder.\n"
    over = adventureworks("restore", str(saved), home=used_home)
    assert over.returncode == 1
    assert over.stderr.startswith(f"{used_home} already holds databases.")
    assert json.loads(adventureworks("status", "--json", home=used_home).stdout)["assets"][0]["version"]

    nothing = adventureworks("backup", str(tmp_path / "b"), home=tmp_path / "empty")
    assert nothing.stderr.startswith("There is nothing to back up")
    damaged = shutil.copytree(saved, tmp_path / "damaged")
    with (damaged / "warehouse.dump").open("r+b") as dump:
        dump.seek(5000)
        dump.write(b"\0\0\0\0")
    home = tmp_path / "elsewhere"
    refused = adventureworks("restore", str(damaged), home=home)
    assert refused.stderr == f"The backup is damaged: {damaged / 'warehouse.dump'}. Use another one.\n"
    assert not home.exists()
    assert adventureworks("restore", str(tmp_path), home=home).stderr.startswith(f"{tmp_path} is not a backup.")


def sessions(connection: psycopg.Connection) -> int:
    """Return how many sessions have connected to Airflow's database."""
    row = connection.execute("select sessions from pg_stat_database where datname = 'airflow'").fetchone()
    assert row is not None
    return int(row[0])


def test_running_platform_is_backed_up_between_two_runs(
    used_home: Path, tmp_path: Path, adventureworks: Adventureworks
) -> None:
    folder = tmp_path / "tuesday"
    with EmbeddedPostgres(used_home) as server, psycopg.connect(server.url("airflow"), autocommit=True) as metadata:
        lock = Home(used_home).hold("run", {"url": "http://127.0.0.1:1"})
        assert lock is not None
        with lock:
            metadata.execute("insert into dag_bundle (name, active) values ('dags', true)")
            metadata.execute(
                "insert into dag (dag_id, is_paused, is_stale, bundle_name, timetable_type, partition_mapper_info,"
                " max_active_tasks, max_consecutive_failed_dag_runs, has_task_concurrency_limits)"
                " values ('daily_sales_etl', true, false, 'dags', '', '{}', 1, 0, false)"
            )
            # A run queued for a paused DAG stays queued, and has staged nothing. The running one has to end.
            metadata.execute(
                "insert into dag_run (dag_id, run_id, run_type, run_after, state) values"
                " ('daily_sales_etl', 'q', 'manual', now(), 'queued'),"
                " ('daily_sales_etl', 'r', 'manual', now(), 'running')"
            )
            command = [sys.executable, "-m", "adventureworks.cli", "backup", str(folder)]
            saving = subprocess.Popen(command, env={**os.environ, "ADVENTUREWORKS_HOME": str(used_home)})
            with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as observer:
                begin = sessions(observer)
                deadline = time.monotonic() + 60
                while sessions(observer) < begin + 2:
                    assert time.monotonic() < deadline, "it does not check repeatedly"
                    time.sleep(0.2)
            assert saving.poll() is None
            assert not folder.exists()
            metadata.execute("update dag_run set state = 'success' where run_id = 'r'")
            assert saving.wait(timeout=120) == 0
    assert {file.name for file in folder.glob("*.dump")} == {f"{database}.dump" for database in DATABASES}


def test_restored_reconciles_a_warehouse_that_was_restored_by_other_means(
    used_home: Path, adventureworks: Adventureworks
) -> None:
    done = adventureworks("restored", home=used_home)
    assert done.returncode == 0
    assert "1 waiting message may have been sent since the backup" in done.stdout
    assert "announces 71 tables again" in done.stdout
    with EmbeddedPostgres(used_home) as server:
        assert sent_from(platform_of(used_home, server)) == []
    assert "may have been sent" not in adventureworks("restored", home=used_home).stdout


def test_held_back_messages_are_sent_later_with_send_waiting(shared_home: Path, adventureworks: Adventureworks) -> None:
    with EmbeddedPostgres(shared_home) as server:
        pipeline = platform_of(shared_home, server)
        assert sent_from(pipeline) == []
        done = adventureworks("restored", "--send-waiting", home=shared_home)
        assert "1 message will be sent after all." in done.stdout
        assert sent_from(pipeline) == ["waiting"]
        adventureworks("restored", "--send-waiting", home=shared_home)
        assert sent_from(pipeline) == [], "once"


def test_records_of_every_environment_are_reconciled(shared_home: Path, adventureworks: Adventureworks) -> None:
    with EmbeddedPostgres(shared_home) as server:
        staging = platform_of(shared_home, server)
        staging.settings = staging.settings.model_copy(update={"environment": "staging"})
        with open_warehouse(staging.settings).connect() as session:
            layout.prepare(session)
            rendered = RenderedMessage(subject="of staging", html="", text="")
            store.add(session.records, rendered, channel="email", recipient="sales@example.org", dedup_key="key")
            session.records.execute(
                "insert into ops.publication (asset, version, rows, changed_rows, verdict, run_id, announced)"
                " values ('Sales_Store', 1, 1, 1, 'passed', 'ingest_source/r', true)"
            )
        done = adventureworks("restored", home=shared_home)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 waiting message" in done.stdout
        assert f"announces {len(SOURCE_TABLES) + 1} tables again" in done.stdout
        assert sent_from(staging) == []
        assert staging.published("select announced from staging_ops.publication") == [(False,)]


def test_records_older_than_the_data_are_brought_up_to_date(pipeline: Pipeline) -> None:
    """As with data in Snowflake: the records go back to the backup, but tables and marts do not."""
    records = ("publication", "watermark", "change", "build", "check_result")
    renamed = "select count(*) from marts.inventory_status where product like '%%RENAMED'"

    def in_warehouse(statement: str) -> None:
        with psycopg.connect(pipeline.url) as connection:
            connection.execute(statement.encode())

    for table in records:
        in_warehouse(f"create table ops.saved_{table} as table ops.{table}")
    pipeline.change(
        """update "Production"."Product" set "Name" = "Name" || ' RENAMED', "ModifiedDate" = now()"""
        """ where "StandardCost" > 0"""
    )
    assert set(pipeline.ingest().published) == {"Production_Product"}
    assert pipeline.published(renamed) == [(0,)], "no mart contains it yet"
    for table in records:
        in_warehouse(f"truncate ops.{table}")
        in_warehouse(f"insert into ops.{table} overriding system value select * from ops.saved_{table}")

    in_warehouse("drop schema staging cascade")
    with open_records(pipeline.settings).connect() as connection:
        assert reconcile(connection, data_elsewhere=True).announced_again == len(SOURCE_TABLES)
    ingested = pipeline.ingest()
    assert {name: made.months for name, made in ingested.published.items()} == dict.fromkeys(SOURCE_TABLES)
    assert {made.version for made in ingested.published.values()} == {2}
    assert sorted(pipeline.settle()) == sorted(ANALYSES)
    products = pipeline.published("select count(*) from marts.inventory_status")
    assert pipeline.published(renamed) != [(0,)]
    assert pipeline.published(renamed) <= products
    with pipeline.session() as session:
        decided = decide_now(pipeline.settings, session)
        assert all(state.fresh for state in asset_states(session.records, decided))
    assert pipeline.ingest().loaded == [], "once"
    assert pipeline.settle() == []


def test_platform_does_not_start_during_a_backup(
    used_home: Path, tmp_path: Path, adventureworks: Adventureworks
) -> None:
    home, folder = Home(used_home), tmp_path / "wednesday"
    ran = home.hold("run", {"url": "http://127.0.0.1:1"})
    assert ran is not None
    ran.close()
    with EmbeddedPostgres(used_home) as server, psycopg.connect(server.url("warehouse")) as holds:
        # The dump waits for this.
        holds.execute("lock table marts.daily_sales in access exclusive mode")
        command = [sys.executable, "-m", "adventureworks.cli", "backup", str(folder)]
        saving = subprocess.Popen(command, env={**os.environ, "ADVENTUREWORKS_HOME": str(used_home)})
        deadline = time.monotonic() + 60
        while "task" not in (home.holder("run") or {}):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        refused = adventureworks("run", "--once", home=used_home)
        assert refused.returncode == 1
        assert (
            refused.stderr
            == f"A backup is in progress: process {saving.pid}. Start the platform when it has finished.\n"
        )
        again = adventureworks("backup", str(tmp_path / "other"), home=used_home)
        assert again.stderr == f"A backup is in progress: process {saving.pid}. Try again when it has finished.\n"
        shown = " ".join(adventureworks("doctor", home=used_home).stdout.split())
        assert f"not running; a backup is in progress: process {saving.pid}" in shown
        holds.rollback()
        assert saving.wait(timeout=120) == 0
    assert home.holder("run") is None


def test_failed_backup_or_restore_says_why_and_leaves_nothing(
    used_home: Path, saved: Path, tmp_path: Path, adventureworks: Adventureworks
) -> None:
    inside = used_home / "reports" / "backup"
    refused = adventureworks("backup", str(inside), home=used_home)
    assert refused.stderr == f"{inside} is inside the home that is to be backed up. Give a folder elsewhere.\n"
    dangling = used_home / "reports" / "2014-06.pdf"
    dangling.symlink_to("/nowhere")
    try:
        refused = adventureworks("backup", str(tmp_path / "b"), home=used_home)
    finally:
        dangling.unlink()
    assert refused.returncode == 1
    assert f"{dangling} cannot be copied (No such file or directory)" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

    without = shutil.copytree(saved, tmp_path / "without")
    (without / "warehouse.dump").unlink()
    manifest = json.loads((without / "manifest.json").read_text())
    del manifest["files"]["warehouse.dump"]
    (without / "manifest.json").write_text(json.dumps(manifest))
    home = tmp_path / "elsewhere"
    refused = adventureworks("restore", str(without), home=home)
    assert refused.stderr == f"The backup is damaged: {without / 'warehouse.dump'}. Use another one.\n"
    assert not home.exists()

    unreadable = shutil.copytree(saved, tmp_path / "unreadable")
    (unreadable / "airflow.dump").write_bytes(b"no dump")
    manifest["files"] |= {
        name: hashlib.sha256((unreadable / name).read_bytes()).hexdigest()
        for name in ("airflow.dump", "warehouse.dump")
    }
    (unreadable / "manifest.json").write_text(json.dumps(manifest))
    refused = adventureworks("restore", str(unreadable), home=home)
    assert refused.stderr.startswith("pg_restore failed on the database airflow: ")
    left = [file for file in home.rglob("*") if file.is_file() and file.parent.name not in ("locks", "logs")]
    assert left == [], "no secret is left behind"
    assert adventureworks("restore", str(saved), home=home).returncode == 0, "the folder can be used"
