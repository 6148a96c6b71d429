"""The databases of a round, a source, a warehouse and Airflow's tables, and a disk that can be full."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pydantic import SecretStr

from adventureworks.catalog import ANALYSES, INGESTION, SOURCE_TABLES, marts_of, required_tables, unit_of
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.warehouse import layout, open_warehouse
from adventureworks_sample import generate
from tests import airflow_tables
from tests.conftest import NOT_DURABLE
from tests.integration.channels import Inbox
from tests.integration.pipeline import Pipeline
from tests.interception import crash, flush_log

SCALE, SEED = 0.005, 11
DAGS = (
    "daily_sales_etl",
    "sales_territory_analysis",
    "sales_person_performance",
    "currency_exchange_rates",
    "customer_retention",
    "production_costs",
    "credit_card_analysis",
)
"""The analyses that run in rounds. Each round has a few of them."""
ALSO_OFFERED = frozenset({"Sales_SpecialOfferProduct", "Sales_Currency", "Sales_SalesOrderHeaderSalesReason"})
"""Tables that no mart needs, for references between tables and for a publish unit with three tables."""
OFFERED = frozenset().union(ALSO_OFFERED, *(unit_of(table) for dag in DAGS for table in required_tables(dag)))
"""The tables of the source. Reading only these makes a round three times as fast."""
DELETE_RATES = """
delete from "Sales"."CurrencyRate" where "ToCurrencyCode" <> all (
    select r."ToCurrencyCode" from "Sales"."SalesOrderHeader" join "Sales"."CurrencyRate" as r using ("CurrencyRateID"))
"""
"""Most rates are of currencies that no order uses."""
DISK_BYTES = 400_000_000
SESSION_END_SECONDS = 5.0
"""Time for PostgreSQL to notice that the process of a session has ended."""
NO_DIGESTS = """
digests: {daily_sales: null, low_stock: null, data_quality: null, customer_value: null}
monthly_report: []
incidents: {most_at_once: 1000}
"""
"""One message for each incident, and no other message."""
NOTES = """
create schema chaos;
create table chaos.version (
    number bigint generated always as identity, asset varchar, version bigint, rows bigint, digest varchar,
    set_aside bigint, transaction varchar default pg_current_xact_id()::varchar);
create function chaos.note_version() returns trigger language plpgsql as $body$
declare found record;
begin
    execute format('select count(*) as rows, coalesce(sum(hash_record_extended(t, 0))::varchar, '''') as digest'
        ' from %I.%I as t', tg_argv[0], new.asset) into found;
    insert into chaos.version (asset, version, rows, digest, set_aside)
        values (new.asset, new.version, found.rows, found.digest, new.set_aside);
    return null;
end $body$;
create constraint trigger note_table after insert on ops.publication deferrable initially deferred
    for each row when (new.inputs is null) execute function chaos.note_version('raw');
create table chaos.resolved_unannounced (incident_id varchar);
create function chaos.note_resolved() returns trigger language plpgsql as $body$
begin
    insert into chaos.resolved_unannounced values (new.incident_id);
    return null;
end $body$;
create trigger note_resolved after update on ops.incident for each row
    when (new.status = 'resolved' and old.status <> 'resolved' and old.notified = '{}')
    execute function chaos.note_resolved();
create constraint trigger note_mart after insert on ops.publication deferrable initially deferred
    for each row when (new.inputs is not null) execute function chaos.note_version('marts');
"""
"""Records, in the transaction that publishes a version, which rows belong to it, and in the one that resolves an
incident, whether no message about it had been created."""


class Platform:
    """A PostgreSQL server for the rounds alone, because it is killed repeatedly, and the databases of a round on it."""

    def __init__(self, folder: Path, inbox: Inbox, *, shows_tasks: bool) -> None:
        """`shows_tasks`: whether the output of the tasks is shown."""
        self.folder = folder
        self.inbox = inbox
        self.disk = folder / "disk"
        self.has_disk = False
        """Whether there is a disk that can be full."""
        self.hours = 0.0
        """By how many hours the clock of the processes is moved."""
        self.release = 0
        # Commits survive the end of a process, though not of the machine.
        options = {**NOT_DURABLE, "synchronous_commit": "on"}
        self.server = EmbeddedPostgres(folder / "home", tied=True, options=options)
        self._output = "" if shows_tasks else os.devnull
        self._routes = folder / "routes.yaml"
        self._routes.write_text(NO_DIGESTS)
        self._port: int | None = None
        self._urls: dict[tuple[str, str], str] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the server and prepare what the rounds are copied from."""
        with self._small_disk():
            try:
                self.start()
                self._make_templates()
                yield
            finally:
                self.server.stop(for_all=True)

    @contextmanager
    def _small_disk(self) -> Iterator[None]:
        """Provide a small file system for the warehouse, if that is allowed; without one, no disk is ever full."""
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(self.disk)]
        try:
            self.has_disk = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            self.has_disk = False
        try:
            yield
        finally:
            if self.has_disk:
                subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

    def start(self) -> None:
        """Start the server if it is not running."""
        self.empty_disk()
        self.server.start(self._port)
        self._port = self.server.port()

    def stop_at_once(self) -> None:
        """End the server without letting it complete anything."""
        with self._administration() as connection:
            flush_log(connection)
        psutil.Process(self.server.pid()).send_signal(signal.SIGQUIT)
        self.server.stop(for_all=True)

    def crash(self) -> None:
        """Let the server lose a process and recover."""
        crash(self.server)

    def disconnect(self) -> None:
        """Drop the connections of everything that uses the round's databases."""
        with self._administration() as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = any(%s)", ([*NAMES],)
            )

    def fill_disk(self) -> None:
        """Leave no space on the disk of the warehouse. Only call it if `has_disk`."""
        assert self.has_disk
        chunk = bytes(1_000_000)
        with suppress(OSError), (self.disk / "filler").open("wb", buffering=0) as file:
            while file.write(chunk) == len(chunk):
                pass

    def empty_disk(self) -> None:
        """Free the space again."""
        (self.disk / "filler").unlink(missing_ok=True)

    # The databases

    def url(self, name: str, role: str) -> str:
        """Return the URL of a database for a role, also while the server is down."""
        if (name, role) not in self._urls:
            self._urls[name, role] = self.server.url(name, role)
        return self._urls[name, role]

    @property
    def settings(self) -> Settings:
        """The settings of the round's platform."""
        return self._settings(SOURCE, WAREHOUSE)

    @property
    def checks(self) -> Path:
        """The checks of the current release."""
        return self.folder / f"checks{self.release}"

    def _settings(self, source: str, warehouse: str) -> Settings:
        return Settings(
            source_url=SecretStr(self.url(source, "source_reader")),
            warehouse_url=SecretStr(self.url(warehouse, "warehouse")),
            checks_folder=self.checks,
            allow_missing=True,
        )

    def variables(self) -> dict[str, str]:
        """Return the environment of a process of the platform."""
        settings = self.settings
        assert settings.source_url is not None
        assert settings.warehouse_url is not None
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "data@example.org"}
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.inbox.port, "extra": extra}
        return {
            "ADVENTUREWORKS_HOME": str(self.folder / "home"),
            "ADVENTUREWORKS_SOURCE_URL": settings.source_url.get_secret_value(),
            "ADVENTUREWORKS_WAREHOUSE_URL": settings.warehouse_url.get_secret_value(),
            "ADVENTUREWORKS_METADATA_URL": self.url(AIRFLOW, "airflow"),
            "ADVENTUREWORKS_CHECKS_FOLDER": str(self.checks),
            "ADVENTUREWORKS_ALLOW_MISSING": "true",
            "ADVENTUREWORKS_ROUTES": str(self._routes),
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
            "CHAOS_SHIFT_HOURS": str(self.hours),
            "CHAOS_OUTPUT": self._output,
        }

    def records(
        self, query: str, parameters: Sequence[Any] = (), database: str = "chaos_warehouse"
    ) -> list[tuple[Any, ...]]:
        """Return rows of the warehouse, or of the rebuilt one."""
        with psycopg.connect(self.url(database, "warehouse")) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def airflow(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement in Airflow's database, and return its rows."""
        with psycopg.connect(self.url(AIRFLOW, "airflow")) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[tuple[Any, ...]]:
        """Return the sessions that stay in the round's databases, although their processes have ended."""
        query = "select datname, usename, application_name, state, query from pg_stat_activity where datname = any(%s)"
        deadline = time.monotonic() + SESSION_END_SECONDS
        with self._administration() as connection:
            while (left := connection.execute(query, ([*NAMES],)).fetchall()) and time.monotonic() < deadline:
                time.sleep(0.05)
        return left

    @contextmanager
    def _administration(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
            yield connection

    def _create(self, name: str, owner: str, template: str, *, on_disk: bool = False) -> None:
        place = " tablespace small" if on_disk and self.has_disk else ""
        with self._administration() as connection:
            connection.execute(f"drop database if exists {name} with (force)")
            connection.execute(
                f"create database {name} template {template} owner {owner} strategy file_copy{place}".encode()
            )

    def renew(self, dags: Sequence[str]) -> None:
        """Begin a round: a platform in which everything is published, and an Airflow in which these DAGs run."""
        self.start()
        self.release, self.hours = 0, 0.0
        self.inbox.mails.clear()
        for folder in self.folder.glob("checks?*"):
            if folder != self.checks:
                shutil.rmtree(folder)
        self._create(SOURCE, "source", "template_source")
        self._create(WAREHOUSE, "warehouse", "template_warehouse", on_disk=True)
        for table in airflow_tables.USED:
            self.airflow(f"delete from {table}")
        for dag in (INGESTION, *ANALYSES):
            is_paused = dag not in {INGESTION, *dags}
            self.airflow("insert into dag (dag_id, is_paused, is_stale) values (%s, %s, false)", (dag, is_paused))

    def deploy(self, mart: str) -> None:
        """Install a release in which the checks of a mart changed, and the tables are laid out again.

        Running processes go on with the release with which they began.
        """
        before = self.checks
        self.release += 1
        shutil.copytree(before, self.checks)
        with (self.checks / "marts" / f"{mart}.yml").open("a") as file:
            file.write(f"\n# Release {self.release}.\n")
        with psycopg.connect(self.url(WAREHOUSE, "warehouse")) as connection, suppress(psycopg.errors.LockNotAvailable):
            # A stopped process may be laying out the tables.
            connection.execute("set local lock_timeout = '1s'")
            connection.execute("delete from ops.layout")

    def rebuilt(self, dags: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Return number and digest of the rows of each table and mart in an empty warehouse that reads the source."""
        self._create(CLEAN, "warehouse", "template_clean")
        pipeline = Pipeline(self._settings(SOURCE, CLEAN))
        pipeline.ingest()
        pipeline.settle(*dags)
        return contents(self.url(CLEAN, "warehouse"))

    def _make_templates(self) -> None:
        shutil.copytree(Settings().checks_folder, self.checks)
        with self._administration() as connection:
            if self.has_disk:
                place = self.disk / "warehouse"
                place.mkdir()
                owner = self.server.data.stat()
                os.chown(place, owner.st_uid, owner.st_gid)
                connection.execute(f"create tablespace small location '{place}'")
                connection.execute("grant create on tablespace small to warehouse")
        self._create("template_source", "source", "source")
        source = self.url("template_source", "source")
        embedded.prepare(SecretStr(source))
        embedded.load_tables(
            SecretStr(source), ((name, rows) for name, rows in generate(SCALE, SEED) if name in OFFERED)
        )
        with psycopg.connect(source) as connection:
            connection.execute(DELETE_RATES)
            for name, entry in SOURCE_TABLES.items():
                if name not in OFFERED:
                    connection.execute(f'drop table "{entry.schema}"."{entry.name}" cascade'.encode())
        self._create("template_clean", "warehouse", "warehouse")
        with open_warehouse(self._settings("template_source", "template_clean")).connect("chaos") as session:
            layout.prepare(session)
        self._create("template_warehouse", "warehouse", "template_clean")
        pipeline = Pipeline(self._settings("template_source", "template_warehouse"))
        assert pipeline.ingest().published.keys() == OFFERED
        assert sorted(pipeline.settle(*DAGS)) == sorted(DAGS)
        first: list[tuple[str, int, str]] = []
        with psycopg.connect(self.url("template_warehouse", "warehouse")) as connection:
            for asset, schema in published_tables(DAGS).items():
                rows, digest = read(connection, schema, asset)
                first.append((asset, rows, digest))
            connection.execute(NOTES)
            connection.cursor().executemany(
                "insert into chaos.version (asset, version, rows, digest, set_aside) values (%s, 1, %s, %s, 0)", first
            )
        self._create(AIRFLOW, "airflow", "airflow")
        airflow_tables.create(self.url(AIRFLOW, "airflow"))


SOURCE, WAREHOUSE, CLEAN, AIRFLOW = "chaos_source", "chaos_warehouse", "chaos_clean", "chaos_airflow"
NAMES = (SOURCE, WAREHOUSE, CLEAN, AIRFLOW)


def published_tables(dags: Sequence[str]) -> dict[str, str]:
    """Return the schema of each table and mart that a platform with these analyses publishes."""
    return dict.fromkeys(sorted(OFFERED), "raw") | {mart.name: "marts" for dag in dags for mart in marts_of(dag)}


def contents(url: str) -> dict[str, tuple[int, str]]:
    """Return number and digest of the rows of each published table and mart."""
    with psycopg.connect(url) as connection:
        return {asset: read(connection, schema, asset) for asset, schema in published_tables(DAGS).items()}


def read(connection: psycopg.Connection[Any], schema: str, asset: str) -> tuple[int, str]:
    """Return number and digest of the rows of a table, as they are recorded for each version."""
    row = connection.execute(
        f"select count(*), coalesce(sum(hash_record_extended(t, 0))::varchar, '') from {schema}.\"{asset}\" as t"
    ).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])
