"""Prepares the process from which task processes are forked: it imports the heavy modules that tasks need once.

Importing them again in each task took longer than most tasks run.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

# These modules are imported. Those with thread pools must not be used before the fork, because pools do not survive it.
_HEAVY = (
    "adbc_driver_postgresql.dbapi",
    "airflow.dag_processing.bundles.local",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.execution_time.timeout",
    "airflow.version",
    "antlr4.LL1Analyzer",
    "jinja2.ext",
    # It imports hypothesis, which takes longer than most tasks run.
    "pandera.backends.polars.builtin_checks",
    "pandera.backends.polars.checks",
    "pandera.backends.polars.components",
    "pandera.backends.polars.container",
    "pandera.backends.register_checks",
    "psycopg",
    "rapidfuzz.fuzz",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sqlglot.dialects.postgres",
    "sqlglot.dialects.snowflake",
    "sqlglot.optimizer.annotate_types",
    "sqlglot.optimizer.simplify",
    "typst",
    "vl_convert",
    "adventureworks.gate.detect",
    "adventureworks.gate.judge",
    "adventureworks.gate.load",
    "adventureworks.gate.publish",
    "adventureworks.gate.soda",
    "adventureworks.orchestration",
    "adventureworks.orchestration.connections",
    "adventureworks.orchestration.notify",
    "adventureworks.pipeline",
    "adventureworks.reports.delivery",
    "adventureworks.reports.document",
    "adventureworks.reports.workbook",
    "adventureworks.source.files_opening",
    "adventureworks.source.postgres",
    # After `adventureworks.gate.soda`, which disables Soda's telemetry.
    "soda.common.jinja",
    "soda.configuration.configuration",
    "soda.data_sources.postgres_data_source",
    "soda.execution.check.metric_check",
    "soda.execution.check.reference_check",
    "soda.execution.data_source_manager",
    "soda.execution.metric.column_metrics",
    "soda.execution.metric.reference_metric",
    "soda.execution.check.user_defined_failed_rows_check",
    "soda.execution.partition",
    "soda.execution.query.reference_query",
    "soda.sodacl.anomaly_metric_check_cfg",
    "soda.sodacl.change_over_time_metric_check_cfg",
    "soda.sodacl.sodacl_parser",
    "soda.sodacl.user_defined_failed_rows_check_cfg",
    "soda.sodacl.user_defined_failed_rows_expression_check_cfg",
)

ENDING_SECONDS = 0.02
"""Interval at which the supervisor of a task that has closed its sockets checks whether the task has ended."""


@cache
def warm_up() -> None:
    """Import what tasks need, build the Pandera schemas of all contracts, read their files, the models and the checks.

    A task reads a model again, and a check file that changed since.
    """
    from airflow.sdk import DAG
    from airflow.sdk.api.client import Client
    from airflow.sdk.listener import get_listener_manager

    from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, entry
    from adventureworks.catalog.summaries import summary_of
    from adventureworks.columns import digest_of_columns
    from adventureworks.errors import PlatformError
    from adventureworks.gate import soda
    from adventureworks.gate.check_files import check_text, declared_checks
    from adventureworks.marts import models
    from adventureworks.orchestration import analysis, changes, settings_for
    from adventureworks.settings import settings
    from adventureworks.warehouse import layout

    for module in _HEAVY:
        import_module(module)
    for mart in MARTS.values():
        # Do not import the packages that compute marts: a task records their digest, so it must load them from disk.
        models.contract_text(mart.domain)
    for asset in (*SOURCE_TABLES, *MARTS):
        known = entry(asset)
        known.contract.to_schema()
        # For the assets of the DAG file that each task parses.
        summary_of(known)
    checks = settings().checks_folder
    models.digests(checks / "marts")
    for folder, assets in ((checks / "source", SOURCE_TABLES), (checks / "marts", MARTS)):
        for asset in assets:
            # The gate reports a file that cannot be read.
            with suppress(PlatformError):
                for check in declared_checks(folder, asset):
                    _ = check.tables
                soda.parse(check_text(folder, asset))
    models.parse_all()
    layout.digest_of_files()
    for table in SOURCE_TABLES.values():
        digest_of_columns(table)
    # A task evaluates the file of its DAG. Python remembers what it then finds out about classes.
    dag_id = next(iter(ANALYSES))
    with DAG(schedule=changes(dag_id), **settings_for(dag_id)):
        analysis(dag_id)
    # It loads the plugins.
    get_listener_manager()
    # It reads the certificates of authorities, which the supervisors of all tasks then share.
    Client(base_url="http://127.0.0.1", token="").close()
    _relieve_supervisors()


def _relieve_supervisors() -> None:
    """Make supervisors of tasks, here and in forks, notice ends at once and send no heartbeat together with a start.

    A task closes its sockets an instant before it ends. Airflow's supervisor may then wait until a heartbeat is due. It
    also sends one just after it has reported the start.
    """
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    service, start = ActivitySubprocess._service_subprocess, ActivitySubprocess._on_child_started

    def service_briefly(self: ActivitySubprocess, max_wait_time: float, **options: Any) -> int | None:
        return service(self, max_wait_time if self._open_sockets else min(max_wait_time, ENDING_SECONDS), **options)

    def start_as_heartbeat(self: ActivitySubprocess, **details: Any) -> None:
        start(self, **details)
        self._last_heartbeat_attempt = self._last_successful_heartbeat

    ActivitySubprocess._service_subprocess = service_briefly  # type: ignore[method-assign, assignment]
    ActivitySubprocess._on_child_started = start_as_heartbeat  # type: ignore[method-assign]
