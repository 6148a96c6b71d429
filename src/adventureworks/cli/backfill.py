"""`adventureworks backfill`: compute months of a mart again, and then the marts that read it."""

from __future__ import annotations

import time
from uuid import uuid4

from adventureworks.catalog import ANALYSES
from adventureworks.cli.environment import published, send_lineage
from adventureworks.cli.output import console, table, who
from adventureworks.cli.plan import seconds_of_last_runs, shown_months, shown_seconds
from adventureworks.cli.progress import Progress
from adventureworks.cli.reading import reading
from adventureworks.due import Months, NothingToDo, Plan
from adventureworks.errors import PlatformError, ServiceUnavailable, Step
from adventureworks.marts.backfill import steps
from adventureworks.marts.gate import MartRefused
from adventureworks.pipeline import analyse
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, layout, open_records, open_warehouse, publication, reuse
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import is_laid_out

_AGAIN = "Repeating the command is safe: months with the same rows are not published again."


def backfill(settings: Settings, mart: str, first: str, last: str, dry_run: bool) -> int:
    """Compute months of a mart again, then the marts that read it; return 1 if one was not computed, else 0.

    Raises `PlatformError` if the mart cannot be computed for these months, or another command is changing what is
    published.
    """
    if dry_run:
        with reading(settings) as session:
            if not is_laid_out(session.records):
                raise PlatformError("Nothing is published yet.", Step("Start:", "adventureworks run"))
            _, planned = _steps(settings, session, mart, first, last)
            _print_plan(planned, seconds_of_last_runs(session.records))
        return 0
    with published(settings, "backfill") as here:
        with open_warehouse(here).connect("backfill") as session:
            layout.prepare(session)
            months, planned = _steps(here, session, mart, first, last)
            intervention.record(session.records, "backfill", mart, who(), "", {"months": months}, in_force=False)
        return _compute(here, planned)


def _steps(
    settings: Settings, session: Session, mart: str, first: str, last: str
) -> tuple[Months, dict[str, Plan | NothingToDo]]:
    reuse.require_own_tables(session.records)
    months, planned = steps(settings, session, mart, first, last)
    first_step = next(iter(planned.values()))
    if isinstance(first_step, NothingToDo):
        raise PlatformError(
            f"{mart} cannot be computed: {first_step.reason}.", Step("See:", f"adventureworks status {mart}")
        )
    return months, planned


def _print_plan(planned: dict[str, Plan | NothingToDo], seconds: dict[str, float | None]) -> None:
    rows = []
    for dag, step in planned.items():
        if isinstance(step, NothingToDo):
            rows.append((dag, f"not computed: {step.reason}", "-"))
            continue
        rows += [(mart, shown_months(found), shown_seconds(seconds.get(dag))) for mart, found in step.months.items()]
    out = console()
    out.print(table(("mart", "months", "last run"), rows, right=("last run",)))
    total = sum(seconds.get(dag) or 0 for dag, step in planned.items() if isinstance(step, Plan))
    out.print(f"About {total:.0f} seconds, if each analysis takes as long as its last run. Nothing was computed.")


def _compute(here: Settings, planned: dict[str, Plan | NothingToDo]) -> int:
    failed = False
    with Progress() as progress:
        try:
            for number, (dag, step) in enumerate(planned.items(), 1):
                if isinstance(step, NothingToDo):
                    failed = True
                    _print_not_computed(dag, step)
                    continue
                progress.show(f"{number} of {len(planned)}: computing {', '.join(step.months)}")
                begin = time.monotonic()
                lines = _analyse(here, dag, step)
                failed |= lines is None
                for line in lines or ():
                    progress.note(f"{line} ({time.monotonic() - begin:.1f} s)")
        except SystemExit:
            progress.note(f"Interrupted: what was published is complete. {_AGAIN}")
            raise
    if any(ANALYSES[dag].reports for dag, step in planned.items() if isinstance(step, Plan)):
        console().print("The next run of financial_reporting files the reports of changed months.")
    return 1 if failed else 0


def _print_not_computed(dag: str, step: NothingToDo) -> None:
    console().print(f"{dag} was not computed: {step.reason}.", markup=False, style="red")


def _analyse(here: Settings, dag: str, plan: Plan) -> list[str] | None:
    """Compute and publish the marts of a plan; return the outcome for each, or None if they were not published."""
    run_id = f"{dag}/backfill_{uuid4().hex[:8]}"
    out = console()
    try:
        outcome = analyse(here, dag, run_id, plan.months)
    except MartRefused as refusal:
        send_lineage(here, run_id, str(refusal))
        out.print(str(refusal), markup=False, style="red")
        return None
    except ServiceUnavailable as error:
        raise PlatformError(error.cause, f"What was published is complete. {_AGAIN}") from None
    if isinstance(outcome, NothingToDo):
        _print_not_computed(dag, outcome)
        return None
    send_lineage(here, run_id)
    with open_records(here).connect("backfill") as records:
        new = publication.of_run(records, run_id)
        confirmed = publication.confirmed_by(records, run_id)
    return [
        *(f"{one.asset}: version {one.version}, changed months: {shown_months(one.months)}" for one in new),
        *(f"{one.asset}: version {one.version} stays, no row changed" for one in confirmed),
    ]
