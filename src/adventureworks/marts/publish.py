"""The publish step of an analysis: replace the months that it computed, and record what it read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from adventureworks import incidents
from adventureworks.catalog import MARTS, Mart, feeds_of, marts_of, reads_orders
from adventureworks.columns import columns_of
from adventureworks.due import Months, NothingToDo
from adventureworks.errors import CandidateLost, Overtaken
from adventureworks.gate import results
from adventureworks.incidents import Incident
from adventureworks.marts import approval
from adventureworks.marts.build import Build, has_new_date, replaced, require_staged, unpublished
from adventureworks.marts.gate import gate
from adventureworks.messaging import notices
from adventureworks.messaging.notices import Notice
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, kept, layout, open_records, open_warehouse, publication
from adventureworks.warehouse.postgres import reuse_connections
from adventureworks.warehouse.publication import Provenance, Publication
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import names, table

MUCH_GROWTH = 0.2
"""If a mart grows by more than this share of its rows, the planner's statistics are updated at once."""


@dataclass(frozen=True)
class Outcome:
    """What an analysis published: new versions of its marts, resolved incidents, and notices."""

    published: tuple[Publication, ...]
    confirmed: tuple[Publication, ...]
    """The versions that stay because newer inputs led to the same rows."""
    resolved: tuple[Incident, ...]
    notices: tuple[Notice, ...]


@reuse_connections()
def publish(
    settings: Settings, dag: str, run_id: str, requested: Mapping[str, Months] | None = None
) -> Outcome | NothingToDo:
    """Replace the computed months and record versions and inputs, in one transaction. Idempotent for a run.

    If the staged rows are no longer those that passed the gate, the marts are built and validated again (`requested`:
    see `build`), which may raise `MartRefused`; returns `NothingToDo` if they are no longer due. Raises
    `ServiceUnavailable` if the staged rows are lost on every attempt.
    """
    step: Callable[[], Outcome | NothingToDo] = partial(_publish, settings, dag, run_id)
    return candidate.with_restaging(step, partial(gate, settings, dag, run_id, requested))


def _publish(settings: Settings, dag: str, run_id: str) -> Outcome:
    marts = marts_of(dag)
    with open_warehouse(settings).connect(f"publish {dag}") as session:
        publication.lock(session.records, dag)
        resolved: list[Incident] = []
        if not publication.has_published(session.records, run_id):
            built, earlier = unpublished(session.records, dag, run_id)
            if not built.passed:
                # Another attempt built the marts after they had passed.
                raise CandidateLost(f"The staged rows of {dag} have not passed the gate.")
            # These marts passed the gate with warnings, or only because their failures were approved.
            imperfect = results.imperfect(session.records, run_id)
            replaced_marts = [mart for mart in built.marts if built.changed[mart.name] != ()]
            if session.commits_twice:
                # If this run dies between the two commits, the next run must not trust the published rows.
                with open_records(settings).connect(f"publish {dag}") as records:
                    publication.invalidate(records, [mart.name for mart in replaced_marts])
            withheld = _withheld_orders(session.data) if any(map(reads_orders, built.marts)) else 0
            keeps = bool(replaced_marts) and kept.are_kept(session)
            for mart in built.marts:
                provenance = _provenance(mart, built, imperfect, withheld)
                if mart.name in imperfect:
                    candidate.forget_part(session.records, mart)
                if mart not in replaced_marts:
                    publication.confirm(session.records, mart.name, run_id, **provenance)
                else:
                    _announce(session, mart, run_id)
                    if not keeps:
                        # The environment may read the mart from the one that it reuses.
                        layout.own(session.data, mart)
                    is_kept = keeps and _keep(session, mart, built, earlier.get(mart.name))
                    _publish_mart(session, mart, run_id, built, provenance, is_kept=is_kept)
                    kept.give_up(session.records, [mart.name], built.replaces[mart.name] + 1 - settings.keep_versions)
            resolved += incidents.resolve(session.records, *built.months, run_id=run_id)
            approval.end(session.records, dag, run_id)
            require_staged(session, run_id, built)
        published = tuple(publication.of_run(session.records, run_id))
        confirmed = tuple(publication.confirmed_by(session.records, run_id))
        attempt = candidate.hold(session.records, run_id, [mart.name for mart in marts])
        outcome = Outcome(published, confirmed, tuple(resolved), tuple(notices.of_run(session.records, run_id)))
    # Only after the commit, because creating a view commits on some engines. Until then the candidates show the same
    # rows.
    with suppress(Overtaken), open_warehouse(settings).connect(f"publish {dag}") as session:
        candidate.require(session.records, attempt)
        for version in published:
            layout.show_published(session.data, MARTS[version.asset])
    return outcome


def _announce(session: Session, mart: Mart, run_id: str) -> None:
    """Write a notice to the owner about what the staged version changes, if the mart announces changes."""
    if mart.announces is None:
        return
    digest = import_module(mart.announces).digest_of(session.data)
    if digest:
        notices.write(session.records, digest, asset=mart.name, owner=mart.owner, run_id=run_id)


def _keep(session: Session, mart: Mart, built: Build, last: Publication | None) -> bool:
    """Keep what the publication of a mart is about to change, and return whether its present version is restorable.

    `last`: that version, as it was before this publication.
    """
    # The first version replaces nothing that a rollback could restore.
    if last is None or not kept.has_versions(mart):
        return False
    rows, of_months = table("staging", f"{mart.name}__rows"), replaced(mart, built.changed[mart.name])
    # On Snowflake, a process that died may have published rows for this date already.
    differ = not session.commits_twice and has_new_date(mart, last, built.as_of)
    # See `publication.invalidate`.
    interrupted = last.model is None
    return kept.keep(session, mart, last.version + 1, rows, of_months, interrupted=interrupted, differ=differ)


def _publish_mart(
    session: Session, mart: Mart, run_id: str, built: Build, provenance: Provenance, *, is_kept: bool
) -> None:
    columns = [column.name for column in columns_of(mart)]
    rows, published = table("staging", f"{mart.name}__rows"), table("marts", mart.name)
    months = built.changed[mart.name]
    removed = session.data.execute(f"delete from {published} where {replaced(mart, months)}").rowcount
    added = session.data.execute(
        f"insert into {published} ({names(columns)}) select {names(columns)} from {rows}"
    ).rowcount
    if mart.history and mart.history.keeps != "months":
        number, builds = quoted(mart.history.keeps.number), mart.history.keeps.builds
        session.data.execute(
            f"delete from {published} where {number} <= (select max({number}) - {builds} from {published})"
        )
    total = added
    if months is not None or mart.history:
        row = session.data.execute(f"select count(*) from {published}").fetchone()
        total = int(row[0]) if row else 0
    if added - removed > total * MUCH_GROWTH:
        # Checks of other marts join this one before autovacuum would update its statistics.
        session.data.update_statistics("marts", mart.name)
    publication.record(
        session.records,
        asset=mart.name,
        rows=total,
        changed_rows=max(removed, added),
        months=months,
        run_id=run_id,
        is_kept=is_kept,
        **provenance,
    )


def _provenance(mart: Mart, built: Build, imperfect: Collection[str], withheld: int) -> Provenance:
    """Return what a version is computed from. `withheld`: the number of orders withheld from marts that read orders."""
    orders = withheld if reads_orders(mart) else 0
    return Provenance(
        set_aside=orders,
        verdict="passed with warnings" if orders or mart.name in imperfect else "passed",
        inputs={asset: built.inputs[asset] for asset in feeds_of(mart) if asset in built.inputs},
        model=built.models[mart.name],
        as_of=built.as_of,
        checks=built.checks,
    )


def _withheld_orders(data: Data) -> int:
    """Return the number of orders withheld from all marts because one of their rows is in quarantine."""
    row = data.execute("select count(*) from staging.withheld_order").fetchone()
    return int(row[0]) if row else 0
