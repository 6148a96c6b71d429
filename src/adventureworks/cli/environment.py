"""`adventureworks environment …`: a pull request built into schemas of its own, looked at, and thrown away.

Nothing of Airflow is needed: the steps that its tasks call are called here, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

from adventureworks.catalog import ANALYSES
from adventureworks.cli.output import console, table
from adventureworks.cli.run import SAMPLE, choose_source
from adventureworks.due import Plan
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError
from adventureworks.gate import detect, judge, load, publish
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.marts import publish as publishing
from adventureworks.marts.plan import decide_now, plan
from adventureworks.settings import Settings
from adventureworks.warehouse import open_records, open_warehouse
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.state import AssetState, asset_states

INGESTION = "ingest_source"


def build(settings: Settings, name: str) -> int:
    """Ingests the source and computes every mart in an environment; returns 1 if one of them is not fresh.

    Raises PlatformError where somebody else works on the environment, or Airflow keeps it fresh.
    """
    out = console()
    with _environment(settings, name) as here, _alone(here, "build"):
        if _is_kept_by_airflow(here):
            raise PlatformError(
                f"Airflow keeps the environment {name} fresh.",
                "Let it, or take another name: adventureworks environment list",
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
        f" {name}_marts and so on. Read them: ADVENTUREWORKS_ENVIRONMENT={name} adventureworks sql …"
        f" Throw them away: adventureworks environment drop {name}",
        markup=False,
    )
    return 1 if stale else 0


def drop(settings: Settings, name: str, force: bool) -> None:
    """Drops the schemas of an environment and all that is in them.

    Raises PlatformError if there is none, where somebody else works on it, or where Airflow keeps it fresh or might
    (unless `force`).
    """
    with _environment(settings, name, needs_source=False) as here, _alone(here, "drop"):
        with open_warehouse(here).connect("environment") as connection:
            if name not in connection.environments():
                raise PlatformError(
                    f"There is no environment {name}.", "See which there are: adventureworks environment list"
                )
        if not force:
            _refuse_what_may_be_in_use(here)
        with open_warehouse(here).connect("environment") as connection:
            connection.drop_schemas(SCHEMAS)
    console().print(f"{name}: dropped.", markup=False)


def _refuse_what_may_be_in_use(here: Settings) -> None:
    name = here.environment
    if _is_kept_by_airflow(here):
        raise PlatformError(
            f"Airflow keeps the environment {name} fresh; its history and its rows in quarantine would go too.",
            f"Stop its Airflow, then: adventureworks environment drop {name} --force",
        )
    with open_records(here).connect("environment") as connection:
        if name not in connection.environments():
            raise PlatformError(
                f"The records of the environment {name} are not here, so nobody can say whether an Airflow keeps it.",
                f"Where none does: adventureworks environment drop {name} --force",
            )


def show(settings: Settings) -> None:
    """Lists the environments of the warehouse: when something was published last, and who keeps them."""
    with _databases(settings, needs_source=False) as here:
        with open_warehouse(here).connect("environment") as connection:
            names = sorted(connection.environments())
        rows = []
        for name in names:
            one = _named(here, name)
            newest, keeper = _newest(one), "Airflow" if _is_kept_by_airflow(one) else "environment build"
            rows.append((name, f"{newest:%Y-%m-%d %H:%M}" if newest else "-", keeper if newest else "-"))
    if rows:
        console().print(table(("environment", "last published (UTC)", "kept by"), rows))
    else:
        console().print("There is none. Make one: adventureworks environment build pr_42")


@contextmanager
def _environment(settings: Settings, name: str, *, needs_source: bool = True) -> Iterator[Settings]:
    """The settings of an environment, on the configured or the embedded databases."""
    if not name:
        raise PlatformError("An environment has a name.", "For example: adventureworks environment build pr_42")
    _named(settings, name)
    with _databases(settings, needs_source=needs_source) as found:
        yield _named(found, name)


@contextmanager
def _databases(settings: Settings, *, needs_source: bool) -> Iterator[Settings]:
    """The settings with the addresses of the embedded databases where none are configured."""
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
            f"{name} is not a valid name of an environment.",
            "Use small letters, digits and underscores, a letter first, and nothing that begins with pg_: pr_42",
        ) from None


@contextmanager
def _alone(here: Settings, doing: str) -> Iterator[None]:
    """Holds the environment, so that nobody builds it twice at once or drops it while it is built."""
    key = f"adventureworks environment {here.environment}"
    with open_records(here).connect(f"{key}: {doing}"[:63]) as connection:
        held = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        if held != (True,):
            raise PlatformError(
                f"Somebody is at the environment {here.environment}: {_holder(connection, key)}.",
                "Wait until that is done, then try again.",
            )
        # The lock is the session's; a transaction that stays open for minutes would keep others from tidying up.
        connection.commit()
        yield


def _holder(connection: WarehouseConnection, key: str) -> str:
    row = connection.execute(
        "select a.application_name, a.pid, to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI')"
        " from pg_stat_activity as a where a.application_name like %s and a.pid <> pg_backend_pid() limit 1",
        (f"{key}:%",),
    ).fetchone()
    return f"{row[0]}, since {row[2]} UTC (session {row[1]})" if row else "another session"


def _newest(here: Settings) -> datetime | None:
    """When something was published last; None where there are no records."""
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
    """One ingestion; returns why tables were blocked."""
    run = f"{INGESTION}/environment_{uuid4().hex[:8]}"
    groups = detect.detect(here, run)
    for group in groups:
        console().print(f"Loading {', '.join(group[:3])}{' …' if len(group) > 3 else ''}", markup=False)
        load.load(here, run, group)
    judge.judge(here, run)
    publish.publish(here, run)
    publish.conclude(here, run)
    with open_warehouse(here).connect("environment") as connection:
        blocked = connection.execute(
            "select asset, blocked_rule, blocked_cause from ops.change where run_id = %s and status = 'blocked'", (run,)
        ).fetchall()
    return [f"{asset}: {rule}: {cause}" for asset, rule, cause in blocked]


def _analyse(here: Settings) -> list[str]:
    """Computes whatever its inputs make due until nothing is; returns why marts were refused."""
    refused: dict[str, str] = {}
    moved = True
    while moved:
        moved = False
        for dag in ANALYSES:
            if dag in refused or not isinstance(plan(here, dag), Plan):
                continue
            console().print(f"Computing {dag}", markup=False)
            run = f"{dag}/environment_{uuid4().hex[:8]}"
            try:
                building.build(here, dag, run)
                gating.gate(here, dag, run)
            except gating.GateClosed as closed:
                refused[dag] = str(closed)
                continue
            publishing.publish(here, dag, run)
            moved = True
    return list(refused.values())


def _row(state: AssetState) -> tuple[str, str, str]:
    return state.asset, "-" if state.rows is None else f"{state.rows:,}", state.verdict
