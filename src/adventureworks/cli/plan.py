"""`adventureworks plan`: what the code would compute, and how it would change what is published."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from uuid import uuid4

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, feeds_of
from adventureworks.cli.environment import analyse, environment, locked, named, reuse_published
from adventureworks.cli.output import console, table
from adventureworks.cli.reading import reading
from adventureworks.cli.revision import checked_out, printed_by
from adventureworks.due import Decisions, Facts, Months, Plan, Version, decide
from adventureworks.errors import PlatformError, Step
from adventureworks.marts import models
from adventureworks.marts.difference import Difference, difference
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.texts.plain import listed
from adventureworks.warehouse import open_records, open_warehouse, reuse
from adventureworks.warehouse.environments import SCHEMAS
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.state import is_laid_out

_DIGESTS = "import json, pathlib, sys; from adventureworks.marts import models; \
print(json.dumps(models.digests(pathlib.Path(sys.argv[1]))))"
_MAX_MONTHS = 3


@dataclass(frozen=True)
class Planned:
    """A mart that would be computed."""

    mart: str
    dag: str
    reason: str
    months: tuple[str, ...] | None
    """The months that would be computed; None: all months, or unknown because an input would be computed first."""
    waits: bool
    """Whether an input would be computed first. If nothing changes in it, this mart is not computed."""
    read_by: tuple[str, ...]
    """The marts that read it directly, and `monthly reports`."""
    last_seconds: float | None = None
    """How long the last run of its analysis took from build to publication; None if unknown."""
    difference: Difference | None = None
    """How its rows would differ from the published ones; None if not requested or not computed."""


def plan(settings: Settings, name: str, against: str, diff: bool, output: str) -> None:
    """Print the plan. Raises `PlatformError` if the revision or the environment does not exist."""
    if name:
        settings = named(settings, name)
    refused: list[str] = []
    if against:
        planned = _planned(decide(_facts_of(_digests_at(against), models.digests(settings.checks_folder / "marts"))))
    else:
        with reading(settings) as session:
            if not is_laid_out(session.records):
                where = settings.environment
                raise PlatformError(
                    f"There is no environment {where}." if where else "Nothing is published yet.",
                    Step("Build it:", f"adventureworks environment build {where}")
                    if where
                    else Step("Start:", "adventureworks run"),
                )
            seconds = seconds_of_last_runs(session.records)
            planned = [
                replace(one, last_seconds=seconds.get(one.dag)) for one in _planned(decide_now(settings, session))
            ]
    if diff:
        planned, refused = _with_differences(settings, planned)
    _PRINT[output](planned, refused)


def _planned(decisions: Decisions) -> list[Planned]:
    found = []
    for name, behind in decisions.behind.items():
        mart = MARTS[name]
        step = decisions.steps[mart.dag]
        direct = isinstance(step, Plan)
        readers = [one.name for one in MARTS.values() if name in one.inputs]
        reports = ["monthly reports"] if ANALYSES[mart.dag].reports else []
        months = step.months.get(name) if isinstance(step, Plan) else None
        found.append(Planned(name, mart.dag, str(behind.reason), months, not direct, (*readers, *reports)))
    return found


def seconds_of_last_runs(records: WarehouseConnection) -> dict[str, float | None]:
    """Return how long the last run of each analysis took from build to publication; None or absent if unknown."""
    if "started_at" not in records.columns_in("ops")["build"]:
        # The records are those of the previous release.
        return {}
    rows = records.execute(
        "select b.dag, extract(epoch from max(p.published_at) - max(b.started_at))::double precision"
        " from ops.build as b join ops.publication as p on p.run_id = b.run_id group by b.dag"
    ).fetchall()
    return dict(rows)


def _facts_of(old: Mapping[str, str], new: Mapping[str, str]) -> Facts:
    """Return the facts of a platform that is fresh under the old models, once it has the new ones."""
    moment, day = datetime(1, 1, 1, tzinfo=UTC), date.min
    tables = {asset: [Version(1, moment)] for asset in SOURCE_TABLES}
    marts = {
        name: [Version(1, moment, inputs=dict.fromkeys(feeds_of(mart), 1), model=old[name], as_of=day)]
        for name, mart in MARTS.items()
        if name in old
    }
    return Facts(as_of=day, versions={**tables, **marts}, models=new)


def _digests_at(revision: str) -> dict[str, str]:
    """Return the digests of the marts at a Git revision. Raises `PlatformError` if it cannot be read."""
    with checked_out(revision) as folder:
        found = printed_by(_DIGESTS, revision, [folder / "src", folder], str(folder / "checks" / "marts"))
    digests: dict[str, str] = json.loads(found)
    return digests


def _with_differences(settings: Settings, planned: list[Planned]) -> tuple[list[Planned], list[str]]:
    """Compute the marts in a temporary environment; return the plan with differences, and why marts were refused."""
    if settings.warehouse != "postgres":
        raise PlatformError(
            "--diff needs PostgreSQL as the warehouse.", Step("In Snowflake:", "adventureworks environment build pr_42")
        )
    name = f"plan_{uuid4().hex[:8]}"
    with environment(settings, name, needs_source=False) as (base, here), locked(here, "plan"):
        try:
            reuse_published(base, here)
            refused = analyse(here, lambda line: print(line, file=sys.stderr, flush=True), sends_lineage=False)
            with open_warehouse(base).connect("plan") as theirs, open_warehouse(here).connect("plan") as ours:
                computed = MARTS.keys() & reuse.published_by_builds(ours.records)
                found = {mart: difference(theirs.data, name, MARTS[mart]) for mart in computed}
                behind = decide_now(here, ours).behind
            refused += [f"{mart} was not computed: {cause.reason}" for mart, cause in behind.items()]
        finally:
            with open_records(here).connect("plan") as ours:
                ours.drop_schemas(SCHEMAS)
    return [replace(one, difference=found.get(one.mart)) for one in planned], refused


def _print_text(planned: list[Planned], refused: list[str]) -> None:
    out = console()
    if not planned:
        out.print("Nothing would be computed: every mart is up to date with this code and its inputs.")
    else:
        rows = [
            (one.mart, one.reason, _months(one), shown_seconds(one.last_seconds), ", ".join(one.read_by) or "-")
            for one in planned
        ]
        out.print(table(("mart", "why", "months", "last run", "read by"), rows, right=("last run",)))
    for one in planned:
        for line in _lines(one):
            out.print(line, markup=False)
    for cause in refused:
        out.print(cause, markup=False, style="red")


def _print_markdown(planned: list[Planned], refused: list[str]) -> None:
    if not planned:
        print("No mart would be computed.")
        return
    print("| mart | why | months | last run | read by |\n|---|---|---|---:|---|")
    for one in planned:
        cells = (
            f"`{one.mart}`",
            one.reason,
            _months(one),
            shown_seconds(one.last_seconds),
            ", ".join(one.read_by) or "-",
        )
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    for one in planned:
        lines = list(_lines(one))
        if lines:
            print(f"\n**{lines[0]}**\n")
            print("\n".join(f"- {line.strip()}" for line in lines[1:]))
    for cause in refused:
        print(f"\n**Not computed:** {cause}")


def _print_json(planned: list[Planned], refused: list[str]) -> None:
    json.dump({"marts": [asdict(one) for one in planned], "refused": refused}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


_PRINT = {"text": _print_text, "markdown": _print_markdown, "json": _print_json}


def _months(one: Planned) -> str:
    return "after its inputs" if one.waits else shown_months(one.months)


def shown_months(months: Months) -> str:
    """Return the months of a plan as a short text."""
    if months is None:
        return "all"
    return listed(months, _MAX_MONTHS) or "none, only its versions"


def shown_seconds(seconds: float | None) -> str:
    """Return a duration to a tenth of a second; a dash if it is unknown."""
    return "-" if seconds is None else f"{seconds:.1f} s"


def _lines(one: Planned) -> Iterator[str]:
    """Yield the difference of a mart as lines, the first with the counts of rows."""
    found = one.difference
    if found is None:
        return
    yield (
        f"{one.mart}: {found.rows:,} rows; {found.added:,} added, {found.removed:,} removed, {found.changed:,} changed"
    )
    if found.only_new:
        yield f"  new columns: {', '.join(found.only_new)}"
    for column, count in found.by_column.items():
        yield f"  {column}: {count:,} {'row differs' if count == 1 else 'rows differ'}"
    for column, (old, new) in found.totals.items():
        yield f"  total of {column}: {old} → {new}"
    for example in found.examples:
        yield f"  {example}"
