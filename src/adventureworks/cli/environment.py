"""`adventureworks environment …`: build a pull request in separate schemas, inspect it, promote it, and drop it.

Airflow is not needed: the steps that its tasks call are called here, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from uuid import uuid4

import psycopg

from adventureworks import incidents
from adventureworks.catalog import INGESTION
from adventureworks.cli.output import console, table
from adventureworks.cli.reading import has_warehouse
from adventureworks.cli.run import SAMPLE, choose_source
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.marts import models
from adventureworks.marts.gate import MartRefused
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.wording import ENGLISH
from adventureworks.pipeline import analyse_until_settled, ingest
from adventureworks.settings import Settings
from adventureworks.warehouse import open_records, open_warehouse, reuse
from adventureworks.warehouse.condition import in_detail
from adventureworks.warehouse.environments import SCHEMAS, base_of
from adventureworks.warehouse.layout import PUBLISHED
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import AssetState, asset_states, blocked_by, summary_of_missing_tables


def build(settings: Settings, name: str) -> int:
    """Bring an environment up to date with the source and this code; return 1 if a table or mart is not fresh, else 0.

    What production has published and this code would not change is reused. Raises `PlatformError` if another process is
    working on the environment, or Airflow keeps it fresh.
    """
    out = console()
    with environment(settings, name) as (base, here), locked(here, "build"):
        if _is_kept_by_airflow(here):
            raise PlatformError(
                f"Airflow keeps the environment {name} fresh.",
                Step("Choose another name. The names in use:", "adventureworks environment list"),
            )
        reuse_published(base, here)
        refused = _ingest(here) + analyse(here, out.print)
        with open_warehouse(here).connect("environment") as session:
            states = asset_states(session.records, decide_now(here, session))
            reused = set[str]().union(*(session.data.views_in(schema) for schema in PUBLISHED))
    marts = [state for state in states if state.kind == "mart"]
    obtainable = [state for state in states if state.is_obtainable]
    stale = [state for state in obtainable if not state.fresh]
    rows = [(*_row(state), "reused" if state.asset in reused else "computed" if state.rows else "-") for state in marts]
    out.print(table(("mart", "rows", "verdict", "origin"), rows, right=("rows",)))
    for cause in refused:
        out.print(cause, markup=False, style="red")
    out.print(
        f"{name}: {len(obtainable) - len(stale)} of {len(obtainable)} tables and marts are fresh"
        f" ({len(reused)} reused), in schemas {name}_raw, {name}_marts and so on."
        f" To query them: ADVENTUREWORKS_ENVIRONMENT={name} {as_typed('adventureworks sql …')}"
        f" To drop them: {as_typed(f'adventureworks environment drop {name}')}",
        markup=False,
    )
    if missing := summary_of_missing_tables(states):
        out.print(missing, markup=False)
    return 1 if stale else 0


def promote(settings: Settings, name: str) -> None:
    """Publish in production what an environment has computed, in one transaction and without computing it again.

    Raises `PlatformError` if there is no such environment, or if production has published something newer since.
    """
    with environment(settings, name, needs_source=False) as (base, here), locked(here, "promote"):
        _require(here)
        if here.warehouse != "postgres":
            raise PlatformError(
                "In Snowflake, environments do not reuse what production has published, so nothing can be promoted.",
                "Deploy the code: production then computes what changed.",
            )
        run_id, digests = f"promote/{name}_{uuid4().hex[:8]}", models.digests(here.checks_folder / "marts")
        with open_warehouse(base).connect("promote") as theirs, open_warehouse(here).connect("promote") as ours:
            versions = reuse.promote(theirs, ours, run_id, digests, here.keep_versions)
            for version in versions:
                incidents.resolve(theirs.records, version.asset, run_id=run_id)
    rows = [(version.asset, str(version.version), f"{version.rows:,}", version.verdict) for version in versions]
    if rows:
        console().print(table(("mart", "version", "rows", "verdict"), rows, right=("version", "rows")))
    else:
        console().print(f"{name} has computed nothing that production lacks.", markup=False)


def _require(here: Settings) -> None:
    with open_warehouse(here).connect("environment") as session:
        if here.environment not in _environments(session):
            raise PlatformError(
                f"There is no environment {here.environment}.", Step("List them:", "adventureworks environment list")
            )


def drop(settings: Settings, name: str, force: bool) -> None:
    """Drop the schemas of an environment and everything in them.

    Raises `PlatformError` if there is no such environment, if another process is working on it, or (unless `force`) if
    Airflow keeps it fresh or might do so.
    """
    with environment(settings, name, needs_source=False) as (_, here), locked(here, "drop"):
        _require(here)
        if not force:
            _refuse_if_needed(here)
        with open_warehouse(here).connect("environment") as session:
            session.data.drop_schemas(SCHEMAS)
            session.records.drop_schemas(["ops"])
    console().print(f"{name}: dropped.", markup=False)


def _refuse_if_needed(here: Settings) -> None:
    name = here.environment
    if _is_kept_by_airflow(here):
        raise PlatformError(
            f"Airflow keeps the environment {name} fresh; its history and its rows in quarantine would be lost.",
            Step("Stop its Airflow, then:", f"adventureworks environment drop {name} --force"),
        )
    with open_records(here).connect("environment") as records:
        readers = sorted(one for one in records.environments() if one != name and _base_of(here, one) == name)
        if readers:
            raise PlatformError(
                f"The environments {', '.join(readers)} read tables of {name}, and would lose them.",
                Step("Drop them first, or:", f"adventureworks environment drop {name} --force"),
            )
        if name not in records.environments():
            raise PlatformError(
                f"The records of the environment {name} are not here, so it is unknown whether Airflow keeps it fresh.",
                Step("If it does not:", f"adventureworks environment drop {name} --force"),
            )


def _base_of(here: Settings, name: str) -> str | None:
    with open_records(named(here, name)).connect("environment") as records:
        return base_of(records)


def show(settings: Settings) -> None:
    """List the environments of the warehouse, when each was last published, and what keeps it fresh."""
    with databases(settings, needs_source=False) as here:
        with open_warehouse(here).connect("environment") as session:
            names = sorted(_environments(session))
        rows = []
        for name in names:
            one = named(here, name)
            newest, keeper = _last_published(one), "Airflow" if _is_kept_by_airflow(one) else "environment build"
            rows.append((name, f"{newest:%Y-%m-%d %H:%M}" if newest else "-", keeper if newest else "-"))
    if rows:
        console().print(table(("environment", "last published (UTC)", "kept by"), rows))
    else:
        step = Step("There are no environments. Build one:", "adventureworks environment build pr_42")
        console().print(str(step), markup=False)


def _environments(session: Session) -> set[str]:
    """Return the environments that have data or records."""
    return session.data.environments() | session.records.environments()


@contextmanager
def environment(settings: Settings, name: str, *, needs_source: bool = True) -> Iterator[tuple[Settings, Settings]]:
    """Provide the settings of the environment that is reused and of the named one, on configured or embedded databases.

    Raises `PlatformError` if the name is not valid.
    """
    if not name:
        raise PlatformError(
            "An environment needs a name.", Step("For example:", "adventureworks environment build pr_42")
        )
    named(settings, name)
    with databases(settings, needs_source=needs_source) as found:
        base = "" if found.environment == name else found.environment
        yield found.model_copy(update={"environment": base}), named(found, name)


def reuse_published(base: Settings, here: Settings) -> None:
    """Show what `base` has published in an environment, unless the environment has its own version or needs one."""
    if here.warehouse == "postgres":
        with open_warehouse(base).connect("environment") as theirs, open_warehouse(here).connect("environment") as ours:
            reuse.reuse(theirs, ours)


@contextmanager
def published(settings: Settings, command: str, *, changes: bool = True) -> Iterator[Settings]:
    """Provide the settings for a command that works on published data, under the lock if it changes them.

    Raises `PlatformError` if nothing is published, or another command is changing it.
    """
    if not has_warehouse(settings):
        raise PlatformError("Nothing is published yet.", Step("Start:", "adventureworks run"))
    with databases(settings, needs_source=False) as here, locked(here, command) if changes else nullcontext():
        yield here


@contextmanager
def databases(settings: Settings, *, needs_source: bool) -> Iterator[Settings]:
    """Provide the settings, with the addresses of the embedded databases where none are configured."""
    if settings.warehouse_url is not None and (settings.source or settings.source_url or not needs_source):
        yield settings
        return
    chosen = choose_source(settings, None) if needs_source else ""
    with services(settings) as addresses:
        changed: dict[str, object] = {"warehouse_url": addresses.warehouse_url}
        if chosen == SAMPLE:
            changed["source_url"] = addresses.source_url
        elif chosen and not settings.source_url:
            changed["source"] = chosen
        yield settings.model_copy(update=changed)


def named(settings: Settings, name: str) -> Settings:
    """Return the settings with another environment. Raises `PlatformError` if the name is not valid."""
    try:
        return Settings.model_validate({**settings.model_dump(), "environment": name})
    except ValueError:
        raise PlatformError(
            f"{name} is not a valid environment name.",
            "Use lower-case letters, digits and underscores, starting with a letter but not with pg_: pr_42",
        ) from None


@contextmanager
def locked(here: Settings, command: str) -> Iterator[None]:
    """Hold the environment's lock, so that no other process builds or drops it at the same time."""
    name = f"environment {here.environment}" if here.environment else "production"
    key = f"adventureworks {name}"
    with open_records(here).connect(f"{key}: {command}"[:63]) as records:
        held = records.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        if held != (True,):
            raise PlatformError(
                f"The {name} is in use: {_holder(records, key)}."
                if here.environment
                else f"Another command is changing what is published: {_holder(records, key)}.",
                "Wait until that has finished, then try again.",
            )
        # The lock belongs to the session. A transaction that stays open for minutes would hold up cleanup by others.
        records.commit()
        try:
            yield
        finally:
            # The server ends a session some time after its connection was closed, and with it the lock.
            with suppress(psycopg.Error):
                records.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def _holder(records: Connection, key: str) -> str:
    row = records.execute(
        "select a.application_name, a.pid, to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI')"
        " from pg_stat_activity as a where a.application_name like %s and a.pid <> pg_backend_pid() limit 1",
        (f"{key}:%",),
    ).fetchone()
    return f"{row[0]}, since {row[2]} UTC (session {row[1]})" if row else "another session"


def _last_published(here: Settings) -> datetime | None:
    """Return when something was last published, or None if there are no records."""
    with open_records(here).connect("environment") as records:
        if not records.columns_in("ops"):
            return None
        # The versions that were copied from the reused environment do not count.
        row = records.execute(
            "select max(published_at) from ops.publication where %s or run_id like %s",
            (base_of(records) is None, reuse.RUN_OF_BUILD),
        ).fetchone()
    return row[0] if row else None


def _is_kept_by_airflow(here: Settings) -> bool:
    with open_records(here).connect("environment") as records:
        return bool(records.columns_in("ops")) and records.execute(
            # Publications may be those of the environment that this one reuses.
            "select exists (select 1 from ops.change where run_id not like '%%/environment\\_%%')"
            " or exists (select 1 from ops.build where run_id not like '%%/environment\\_%%')"
        ).fetchone() == (True,)


def _ingest(here: Settings) -> list[str]:
    """Run an ingestion; return why tables were blocked."""
    run = _run_id(INGESTION)

    def show(group: Sequence[str]) -> None:
        console().print(f"Loading {', '.join(group[:3])}{' …' if len(group) > 3 else ''}", markup=False)

    ingest(here, run, before_load=show)
    send_lineage(here, run)
    with open_records(here).connect("environment") as records:
        return [f"{asset}: {rule}: {cause}" for asset, rule, cause in blocked_by(records, run)]


def analyse(here: Settings, progress: Callable[[str], None], *, sends_lineage: bool = True) -> list[str]:
    """Compute every mart that is due; return why marts were refused."""
    refused, runs = [], dict[str, str]()

    def start(dag: str) -> str:
        runs[dag] = _run_id(dag)
        return runs[dag]

    for dag, outcome in analyse_until_settled(here, start):
        if isinstance(outcome, MartRefused):
            refused.append(str(outcome))
        else:
            progress(f"Computed {dag}")
        if sends_lineage:
            send_lineage(here, runs[dag], str(outcome) if isinstance(outcome, MartRefused) else "")
    return refused


def send_lineage(here: Settings, run_id: str, refusal: str = "") -> None:
    """Report a run to the lineage transport that the environment variables configure, if there is one."""
    if any(name.startswith(("OPENLINEAGE", "AIRFLOW__OPENLINEAGE")) for name in os.environ):
        # Imports Airflow.
        from adventureworks.orchestration import lineage

        lineage.run_ended(here, run_id, refusal)


def _run_id(dag: str) -> str:
    return f"{dag}/environment_{uuid4().hex[:8]}"


def _row(state: AssetState) -> tuple[str, str, str]:
    return state.asset, "-" if state.rows is None else f"{state.rows:,}", in_detail(state, ENGLISH)
