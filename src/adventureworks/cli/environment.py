"""`adventureworks environment …`: build a pull request in separate schemas, inspect it, and drop it.

Airflow is not needed: the steps that its tasks call are called here, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

from adventureworks.catalog import INGESTION
from adventureworks.cli.output import console, table
from adventureworks.cli.run import SAMPLE, choose_source
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError
from adventureworks.marts.gate import MartRefused
from adventureworks.marts.plan import decide_now
from adventureworks.pipeline import analyse_until_settled, ingest
from adventureworks.settings import Settings
from adventureworks.warehouse import open_records, open_warehouse
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.state import AssetState, asset_states


def build(settings: Settings, name: str) -> int:
    """Ingest the source and compute every mart in an environment; return 1 if a table or mart is not fresh, else 0.

    Raises `PlatformError` if another process is working on the environment, or Airflow keeps it fresh.
    """
    out = console()
    with _environment(settings, name) as here, _locked(here, "build"):
        if _is_kept_by_airflow(here):
            raise PlatformError(
                f"Airflow keeps the environment {name} fresh.",
                "Choose another name. The names in use: adventureworks environment list",
            )
        refused = _ingest(here) + _analyse(here)
        with open_warehouse(here).connect("environment") as connection:
            states = asset_states(connection, decide_now(here, connection).behind)
    marts = [state for state in states if state.kind == "mart"]
    stale = [state for state in states if not state.fresh]
    out.print(table(("mart", "rows", "verdict"), [_row(state) for state in marts], right=("rows",)))
    for cause in refused:
        out.print(cause, markup=False, style="red")
    out.print(
        f"{name}: {len(states) - len(stale)} of {len(states)} tables and marts are fresh, in schemas {name}_raw,"
        f" {name}_marts and so on. To query them: ADVENTUREWORKS_ENVIRONMENT={name} adventureworks sql …"
        f" To drop them: adventureworks environment drop {name}",
        markup=False,
    )
    return 1 if stale else 0


def drop(settings: Settings, name: str, force: bool) -> None:
    """Drop the schemas of an environment and everything in them.

    Raises `PlatformError` if there is no such environment, if another process is working on it, or (unless `force`) if
    Airflow keeps it fresh or might do so.
    """
    with _environment(settings, name, needs_source=False) as here, _locked(here, "drop"):
        with open_warehouse(here).connect("environment") as connection:
            if name not in connection.environments():
                raise PlatformError(f"There is no environment {name}.", "List them: adventureworks environment list")
        if not force:
            _refuse_if_kept_fresh(here)
        with open_warehouse(here).connect("environment") as connection:
            connection.drop_schemas(SCHEMAS)
    console().print(f"{name}: dropped.", markup=False)


def _refuse_if_kept_fresh(here: Settings) -> None:
    name = here.environment
    if _is_kept_by_airflow(here):
        raise PlatformError(
            f"Airflow keeps the environment {name} fresh; its history and its rows in quarantine would be lost.",
            f"Stop its Airflow, then: adventureworks environment drop {name} --force",
        )
    with open_records(here).connect("environment") as connection:
        if name not in connection.environments():
            raise PlatformError(
                f"The records of the environment {name} are not here, so it is unknown whether Airflow keeps it fresh.",
                f"If it does not: adventureworks environment drop {name} --force",
            )


def show(settings: Settings) -> None:
    """List the environments of the warehouse, when each was last published, and what keeps it fresh."""
    with _databases(settings, needs_source=False) as here:
        with open_warehouse(here).connect("environment") as connection:
            names = sorted(connection.environments())
        rows = []
        for name in names:
            one = _named(here, name)
            newest, keeper = _last_published(one), "Airflow" if _is_kept_by_airflow(one) else "environment build"
            rows.append((name, f"{newest:%Y-%m-%d %H:%M}" if newest else "-", keeper if newest else "-"))
    if rows:
        console().print(table(("environment", "last published (UTC)", "kept by"), rows))
    else:
        console().print("There are no environments. Build one: adventureworks environment build pr_42")


@contextmanager
def _environment(settings: Settings, name: str, *, needs_source: bool = True) -> Iterator[Settings]:
    """Provide the settings of an environment on the configured or the embedded databases."""
    if not name:
        raise PlatformError("An environment needs a name.", "For example: adventureworks environment build pr_42")
    _named(settings, name)
    with _databases(settings, needs_source=needs_source) as found:
        yield _named(found, name)


@contextmanager
def _databases(settings: Settings, *, needs_source: bool) -> Iterator[Settings]:
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


def _named(settings: Settings, name: str) -> Settings:
    try:
        return Settings.model_validate({**settings.model_dump(), "environment": name})
    except ValueError:
        raise PlatformError(
            f"{name} is not a valid environment name.",
            "Use lower-case letters, digits and underscores, starting with a letter but not with pg_: pr_42",
        ) from None


@contextmanager
def _locked(here: Settings, command: str) -> Iterator[None]:
    """Hold the environment's lock, so that no other process builds or drops it at the same time."""
    key = f"adventureworks environment {here.environment}"
    with open_records(here).connect(f"{key}: {command}"[:63]) as connection:
        held = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        if held != (True,):
            raise PlatformError(
                f"The environment {here.environment} is in use: {_holder(connection, key)}.",
                "Wait until that has finished, then try again.",
            )
        # The lock belongs to the session. A transaction that stays open for minutes would hold up cleanup by others.
        connection.commit()
        yield


def _holder(connection: WarehouseConnection, key: str) -> str:
    row = connection.execute(
        "select a.application_name, a.pid, to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI')"
        " from pg_stat_activity as a where a.application_name like %s and a.pid <> pg_backend_pid() limit 1",
        (f"{key}:%",),
    ).fetchone()
    return f"{row[0]}, since {row[2]} UTC (session {row[1]})" if row else "another session"


def _last_published(here: Settings) -> datetime | None:
    """Return when something was last published, or None if there are no records."""
    with open_records(here).connect("environment") as connection:
        if not connection.columns_in("ops"):
            return None
        row = connection.execute("select max(published_at) from ops.publication").fetchone()
    return row[0] if row else None


def _is_kept_by_airflow(here: Settings) -> bool:
    with open_records(here).connect("environment") as connection:
        return bool(connection.columns_in("ops")) and connection.execute(
            "select exists (select 1 from ops.publication where run_id not like '%%/environment\\_%%')"
        ).fetchone() == (True,)


def _ingest(here: Settings) -> list[str]:
    """Run an ingestion; return why tables were blocked."""
    run = _run_id(INGESTION)

    def show(group: Sequence[str]) -> None:
        console().print(f"Loading {', '.join(group[:3])}{' …' if len(group) > 3 else ''}", markup=False)

    ingest(here, run, before_load=show)
    _send_lineage(here, run)
    with open_warehouse(here).connect("environment") as connection:
        blocked = connection.execute(
            "select asset, blocked_rule, blocked_cause from ops.change where run_id = %s and status = 'blocked'", (run,)
        ).fetchall()
    return [f"{asset}: {rule}: {cause}" for asset, rule, cause in blocked]


def _analyse(here: Settings) -> list[str]:
    """Compute every mart that is due; return why marts were refused."""
    refused, runs = [], dict[str, str]()

    def start(dag: str) -> str:
        runs[dag] = _run_id(dag)
        return runs[dag]

    for dag, outcome in analyse_until_settled(here, start):
        if isinstance(outcome, MartRefused):
            refused.append(str(outcome))
        else:
            console().print(f"Computed {dag}", markup=False)
        _send_lineage(here, runs[dag], str(outcome) if isinstance(outcome, MartRefused) else "")
    return refused


def _send_lineage(here: Settings, run_id: str, refusal: str = "") -> None:
    """Report a run to the lineage transport that the environment variables configure, if there is one."""
    if any(name.startswith(("OPENLINEAGE", "AIRFLOW__OPENLINEAGE")) for name in os.environ):
        # Imports Airflow.
        from adventureworks.orchestration import lineage

        lineage.run_ended(here, run_id, refusal)


def _run_id(dag: str) -> str:
    return f"{dag}/environment_{uuid4().hex[:8]}"


def _row(state: AssetState) -> tuple[str, str, str]:
    return state.asset, "-" if state.rows is None else f"{state.rows:,}", state.verdict
