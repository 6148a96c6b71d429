"""The tasks of `ingest_source`: thin wrappers around `adventureworks.gate`, which is imported at run time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from airflow.sdk import Param, get_current_context, task

from adventureworks.catalog import INGESTION, SOURCE_TABLES, starts_analyses
from adventureworks.errors import PlatformError
from adventureworks.orchestration import lineage
from adventureworks.orchestration.schedules import announce, asset, current_run_id, plain_task
from adventureworks.settings import settings

STARTED_BY_WATCHER = "asset_triggered"
"""Airflow's type of a run that starts because the watcher has seen a change."""


class Options(TypedDict):
    """Options of a run of `ingest_source` that is started by hand."""

    everything: bool
    accept: Collection[str]


def form() -> dict[str, Param]:
    """Return the form that Airflow shows for a run that is started by hand, and by which it checks a configuration."""
    return {
        "everything": Param(
            False,
            type="boolean",
            title="Read every table again",
            description="Reads all tables whole, changed or not. Needed after a backup was restored over the source.",
        ),
        "accept": Param(
            [],
            type=["array", "null"],
            items={"type": "string", "enum": list(SOURCE_TABLES)},
            examples=list(SOURCE_TABLES),
            title="Accept losses and unusual changes of these tables",
            description="For this run only, with the tables of their publish units. All other rules still apply.",
        ),
    }


def options_of(conf: Mapping[str, Any] | None) -> Options:
    """Return the options in a run's configuration. Raises PlatformError if it holds anything else."""
    conf = conf or {}
    if unknown := conf.keys() - Options.__annotations__.keys():
        given = ", ".join(sorted(unknown))
        raise PlatformError(f"{INGESTION} does not know the configuration {given}.", "It knows: everything, accept.")
    return Options(everything=bool(conf.get("everything")), accept=conf.get("accept") or ())


@plain_task
def detect() -> list[list[str]]:
    """Record which tables changed and return them in groups, one per load task.

    A run that the watcher starts scans the tables that the source's counters do not rule out; any other scans all.
    If nothing changed, there is one empty group, and the other steps find nothing to do. Airflow shows skipped steps
    like a problem, and there would be three in each quarter of an hour in which nothing changes. Tables that cannot be
    read are in no group, but need the steps after the load.
    """
    from adventureworks.gate import detect as detection
    from adventureworks.gate.publish import conclude_earlier
    from adventureworks.orchestration.connections import with_source
    from adventureworks.orchestration.notify import notify_owners, send_pending

    earlier = conclude_earlier(settings(), current_run_id())
    notify_owners(earlier.opened, earlier.resolved)
    send_pending()
    run = get_current_context()["dag_run"]
    options, scan_all = options_of(run.conf), run.run_type != STARTED_BY_WATCHER
    # Without a group, Airflow would skip the other steps.
    return detection.detect(with_source(settings()), current_run_id(), **options, scan_all=scan_all) or [[]]


@task(map_index_template="{{ tables }}")
def load(group: list[str]) -> None:
    """Stage the changes of a group of tables, read from one snapshot of the source."""
    from adventureworks.gate.load import load as load_group
    from adventureworks.orchestration.connections import with_source

    label = ", ".join(group) or "no table" if len(group) < 4 else f"{group[0]}, {group[1]} and {len(group) - 2} more"
    get_current_context()["tables"] = label  # type: ignore[typeddict-unknown-key]
    if not group:
        return
    for name, rows in load_group(with_source(settings()), current_run_id(), group).items():
        print(f"{name}: {rows:,} rows read")


@plain_task(outlets=[asset(name) for name in SOURCE_TABLES if starts_analyses(name)])
def publish_tables(outlet_events: Any = None) -> None:
    """Check the candidates, publish those that pass in one transaction, then send one event per changed table."""
    from adventureworks.gate.publish import publish
    from adventureworks.marts.plan import runnable
    from adventureworks.orchestration.connections import with_source

    if not _has_work():
        announce(outlet_events, ())
        return
    # Reads tables again that were lost, or that changed at the source while others were read.
    versions = publish(with_source(settings()), current_run_id())
    for version in versions:
        print(f"{version.asset}: version {version.version}, {version.changed_rows:,} rows changed, {version.verdict}")
    announce(outlet_events, versions, can_run=runnable(settings()))
    lineage.tables_published()


@plain_task(task_id="notify", inlets=[asset(name) for name in SOURCE_TABLES])
def notify_of_batch(asset_state_store: Any = None) -> None:
    """Show each table's verdict on its asset's page and notify the owners of new and resolved incidents."""
    from adventureworks.gate.publish import conclude
    from adventureworks.messaging.wording import words
    from adventureworks.orchestration.notify import notify_owners

    if not _has_work():
        return
    conclusion = conclude(settings(), current_run_id())
    for name, verdict in conclusion.verdicts.items():
        asset_state_store[asset(name)].set("verdict", verdict)
    notify_owners(conclusion.opened, conclusion.resolved)
    for incident in conclusion.opened:
        print(words(incident).summary)


def _has_work() -> bool:
    """Return whether this run has anything to do; say so in the task's log if not."""
    from adventureworks.gate.detect import has_work

    found = has_work(settings(), current_run_id())
    if not found:
        print("No table changed: nothing to do.")
    return found
