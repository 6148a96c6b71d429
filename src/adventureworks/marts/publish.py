"""From staging to the readers: an analysis replaces the months that it computed, and notes what it read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from adventureworks import incidents
from adventureworks.catalog import MARTS, Mart, feeds_of, marts_of, reads_orders
from adventureworks.columns import columns_of
from adventureworks.due import NothingToDo
from adventureworks.incidents import Incident
from adventureworks.marts.build import Build, replaced, require, unpublished
from adventureworks.marts.gate import gate
from adventureworks.messaging import notices
from adventureworks.messaging.notices import Notice
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, layout, open_records, open_warehouse, publication
from adventureworks.warehouse.postgres import WarehouseConnection, connections_kept
from adventureworks.warehouse.publication import MadeOf, Publication
from adventureworks.warehouse.sql import names, table

MANY_NEW_ROWS = 0.2
"""From this share of new rows on, the planner's statistics of a mart are renewed at once."""


@dataclass(frozen=True)
class Outcome:
    """What an analysis published: the new versions of its marts, incidents that are over, and what is to be told."""

    published: tuple[Publication, ...]
    confirmed: tuple[Publication, ...]
    """The versions that came out the same from newer inputs, and so stay."""
    resolved: tuple[Incident, ...]
    notices: tuple[Notice, ...]


@connections_kept()
def publish(settings: Settings, dag: str, run_id: str) -> Outcome | NothingToDo:
    """Replaces the computed months and notes versions and inputs, in one transaction. Run again, it changes nothing.

    What is no longer staged as it was judged is built and judged again, which may raise GateClosed; NothingToDo where
    it is not due any more. Raises ServiceUnavailable where it is lost again and again.
    """
    step: Callable[[], Outcome | NothingToDo] = partial(_publish, settings, dag, run_id)
    return candidate.staged_again(step, partial(gate, settings, dag, run_id))


def _publish(settings: Settings, dag: str, run_id: str) -> Outcome:
    marts = marts_of(dag)
    with open_warehouse(settings).connect(f"publish {dag}") as connection:
        done = connection.execute(
            "select 1 from ops.publication where %s in (run_id, confirmed_by) and asset = any(%s)",
            (run_id, [mart.name for mart in marts]),
        ).fetchone()
        resolved: list[Incident] = []
        if done is None:
            built = unpublished(connection, dag, run_id)
            if connection.commits_twice:
                replaced_marts = [mart.name for mart in built.marts if built.changed[mart.name] != ()]
                # If this run dies between the two commits, the next one must not take its rows for known ones.
                with open_records(settings).connect(f"publish {dag}") as records:
                    publication.doubt(records, replaced_marts)
            for mart in built.marts:
                if built.changed[mart.name] == ():
                    publication.confirm(connection, mart.name, run_id, **_made_of(connection, mart, built))
                else:
                    _announce(connection, mart, run_id)
                    _publish_mart(connection, mart, run_id, built)
                resolved += incidents.resolve(connection, mart.name, run_id=run_id)
            require(connection, run_id, built)
        published = tuple(publication.of_run(connection, run_id))
        confirmed = tuple(publication.confirmed_by(connection, run_id))
        outcome = Outcome(published, confirmed, tuple(resolved), tuple(notices.of_run(connection, run_id)))
    # When all is committed: to make a view is to commit, on some engines. Until then the candidates show the same rows.
    with open_warehouse(settings).connect(f"publish {dag}") as connection:
        for version in published:
            layout.show_published(connection, MARTS[version.asset])
    return outcome


def _announce(connection: WarehouseConnection, mart: Mart, run_id: str) -> None:
    """Leaves a notice of what the staged version has to tell, compared with the published one."""
    if mart.announces is None:
        return
    digest = import_module(mart.announces).digest_of(connection)
    if digest:
        notices.write(connection, digest, asset=mart.name, owner=mart.owner, run_id=run_id)


def _publish_mart(connection: WarehouseConnection, mart: Mart, run_id: str, built: Build) -> None:
    columns = [column.name for column in columns_of(mart)]
    rows, published = table("staging", f"{mart.name}__rows"), table("marts", mart.name)
    months = built.changed[mart.name]
    removed = connection.execute(f"delete from {published} where {replaced(mart, months)}").rowcount
    added = connection.execute(
        f"insert into {published} ({names(columns)}) select {names(columns)} from {rows}"
    ).rowcount
    row = connection.execute(f"select count(*) from {published}").fetchone()
    total = int(row[0]) if row else 0
    if added > total * MANY_NEW_ROWS:
        # Checks of other marts join this one before autovacuum would get to it.
        connection.execute(f"analyze {published}")
    publication.record(
        connection,
        asset=mart.name,
        rows=total,
        changed_rows=max(removed, added),
        months=months,
        run_id=run_id,
        **_made_of(connection, mart, built),
    )


def _made_of(connection: WarehouseConnection, mart: Mart, built: Build) -> MadeOf:
    orders = _withheld_orders(connection) if reads_orders(mart) else 0
    withheld = f"passed with warnings: {orders:,} {'order' if orders == 1 else 'orders'} withheld"
    return MadeOf(
        set_aside=orders,
        verdict=withheld if orders else "passed",
        inputs={asset: built.inputs[asset] for asset in feeds_of(mart) if asset in built.inputs},
        model=built.models[mart.name],
        as_of=built.as_of,
    )


def _withheld_orders(connection: WarehouseConnection) -> int:
    """The number of orders that no mart shows, because a row of theirs is in quarantine."""
    row = connection.execute("select count(*) from staging.withheld_order").fetchone()
    return int(row[0]) if row else 0
