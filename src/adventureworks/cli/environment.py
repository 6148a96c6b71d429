"""`adventureworks environment …`: a pull request built into schemas of its own, looked at, and thrown away.

Nothing of Airflow is needed: the steps that its tasks call are called here, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from adventureworks.catalog import ANALYSES
from adventureworks.cli.output import console, table
from adventureworks.cli.run import SAMPLE, choose_source
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError
from adventureworks.gate import detect, judge, load, publish
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.marts import publish as publishing
from adventureworks.marts.plan import Plan, plan
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.state import AssetState, asset_states

INGESTION = "ingest_source"


def build(settings: Settings, name: str) -> int:
    """Ingests the source and computes every mart in an environment; returns 1 if one of them is not fresh."""
    out = console()
    with _environment(settings, name) as here:
        refused = _ingest(here) + _analyse(here)
        with open_warehouse(here).connect("environment") as connection:
            states = asset_states(connection)
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


def drop(settings: Settings, name: str) -> None:
    """Drops the schemas of an environment and all that is in them. Raises PlatformError if there is none."""
    with _environment(settings, name) as here, open_warehouse(here).connect("drop environment") as connection:
        if not connection.columns_in("ops"):
            raise PlatformError(f"There is no environment {name}.", "See its name: ADVENTUREWORKS_ENVIRONMENT")
        connection.drop_schemas(SCHEMAS)
    console().print(f"{name}: dropped.", markup=False)


@contextmanager
def _environment(settings: Settings, name: str) -> Iterator[Settings]:
    """The settings of an environment, on the configured or the embedded databases."""
    if not name:
        raise PlatformError("An environment has a name.", "For example: adventureworks environment build pr_42")
    if settings.warehouse_url is not None and (settings.source or settings.source_url):
        yield _validated(settings, {"environment": name})
        return
    chosen = choose_source(settings, None)
    with services(settings) as addresses:
        changed: dict[str, object] = {"environment": name, "warehouse_url": addresses.warehouse_url}
        if chosen == SAMPLE:
            changed["source_url"] = addresses.source_url
        elif not settings.source_url:
            changed["source"] = chosen
        yield _validated(settings, changed)


def _validated(settings: Settings, changed: dict[str, object]) -> Settings:
    try:
        return Settings.model_validate({**settings.model_dump(), **changed})
    except ValueError:
        raise PlatformError(
            f"{changed['environment']} is no name of an environment.",
            "Use small letters, digits and underscores, a letter first: pr_42",
        ) from None


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
