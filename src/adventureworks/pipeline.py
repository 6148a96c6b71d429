"""The steps of an ingestion and of an analysis, in order, in this process and without Airflow.

Environments, backfills, the bench and the tests run them here. Airflow runs an analysis here too, in one task
(`orchestration.analyses`), and the steps of an ingestion as tasks (`orchestration.ingestion`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from adventureworks.catalog import ANALYSES
from adventureworks.due import Months, NothingToDo, Plan
from adventureworks.gate import detect, load, publish
from adventureworks.gate.publish import Conclusion
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.marts import publish as publishing
from adventureworks.marts.gate import MartRefused
from adventureworks.marts.plan import decide_now
from adventureworks.marts.publish import Outcome
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_records, open_warehouse, publication
from adventureworks.warehouse.postgres import reuse_connections
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.steps import BUILD, GATE, PUBLISH, first_step


@dataclass(frozen=True)
class Ingested:
    """What an ingestion did."""

    loaded: list[str]
    """The tables that were read, by name."""
    published: Mapping[str, Publication]
    """The new version of each table that changed."""
    conclusion: Conclusion


@reuse_connections()
def ingest(
    settings: Settings,
    run_id: str,
    *,
    everything: bool = False,
    accept: Collection[str] = (),
    before_load: Callable[[Sequence[str]], None] = lambda group: None,
) -> Ingested:
    """Scan the source, bring the tables that changed into the warehouse, and return what was read and published.

    `everything` and `accept`: see `gate.detect.detect`. `before_load` is called with each group of tables.
    """
    earlier = publish.conclude_earlier(settings, run_id)
    groups = detect.detect(settings, run_id, everything=everything, accept=accept, scan_all=True)
    if not groups and not detect.has_work(settings, run_id):
        return Ingested([], {}, Conclusion((), (), {}))
    for group in groups:
        before_load(group)
        load.load(settings, run_id, group)
    published = {version.asset: version for version in publish.publish(settings, run_id)}
    loaded = sorted(asset for group in groups for asset in group)
    conclusion = publish.conclude(settings, run_id)
    opened, resolved = (*earlier.opened, *conclusion.opened), (*earlier.resolved, *conclusion.resolved)
    return Ingested(loaded, published, Conclusion(opened, resolved, conclusion.verdicts))


@dataclass(frozen=True)
class Analysed:
    """What an analysis did."""

    plan: Plan | None
    """What was computed; None if another attempt of the run has computed it."""
    outcome: Outcome
    """What was published."""


@reuse_connections()
def analyse(
    settings: Settings,
    dag: str,
    run_id: str,
    requested: Mapping[str, Months] | None = None,
    *,
    within: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Analysed | NothingToDo:
    """Compute and publish what is due of an analysis; return what was done, or why nothing was.

    A run that is repeated continues with the step in which it stopped. `requested`: months of its marts to compute
    again, even if nothing changed. `within`: called with the name of each step, it returns the context in which that
    step runs. Raises `MartRefused` if a mart breaks its contract or a check; then nothing is published.
    """
    done = _analyse(settings, dag, run_id, requested, within)
    if isinstance(done, NothingToDo):
        with open_records(settings).connect(f"end {dag}") as records:
            is_published = publication.has_published(records, run_id)
        if is_published:
            # An attempt that Airflow has given up went on meanwhile. Its events were not sent.
            return _analyse(settings, dag, run_id, requested, within)
    return done


def _analyse(
    settings: Settings,
    dag: str,
    run_id: str,
    requested: Mapping[str, Months] | None,
    within: Callable[[str], AbstractContextManager[object]],
) -> Analysed | NothingToDo:
    with open_warehouse(settings).connect(f"start {dag}") as session:
        layout.prepare(session)
        first = first_step(session.records, dag, run_id)
    plan: Plan | None = None
    if first == BUILD:
        with within(BUILD):
            step = building.build(settings, dag, run_id, requested)
        if isinstance(step, NothingToDo):
            return step
        plan = step
    if first in {BUILD, GATE}:
        with within(GATE):
            overtaken = gating.gate(settings, dag, run_id, requested)
        if overtaken is not None:
            return overtaken
    with within(PUBLISH):
        outcome = publishing.publish(settings, dag, run_id, requested)
    return outcome if isinstance(outcome, NothingToDo) else Analysed(plan, outcome)


def analyse_until_settled(
    settings: Settings, run_id_for: Callable[[str], str], dags: Iterable[str] = ANALYSES
) -> Iterator[tuple[str, Plan | MartRefused]]:
    """Run the analyses until none is due; yield each that computed something, and each that was refused (once).

    `dags` are tried in this order. `run_id_for` returns a new run id for a DAG.
    """
    dags, refused = tuple(dags), set[str]()
    with reuse_connections():
        progress = True
        while progress:
            progress, due = False, _due(settings)
            for dag in dags:
                if dag in refused or dag not in due:
                    continue
                try:
                    outcome = analyse(settings, dag, run_id_for(dag))
                except MartRefused as refusal:
                    refused.add(dag)
                    # Analyses that waited for this one may read its last good version.
                    due = _due(settings)
                    yield dag, refusal
                    continue
                if isinstance(outcome, Analysed) and outcome.plan is not None:
                    progress, due = True, _due(settings)
                    yield dag, outcome.plan


def _due(settings: Settings) -> set[str]:
    """Return the analyses with something to compute, even if their gate would refuse it again."""
    with open_warehouse(settings).connect("plan") as session:
        layout.prepare(session)
        steps = decide_now(settings, session).steps
    return {dag for dag, step in steps.items() if isinstance(step, Plan)}
