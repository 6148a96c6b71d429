"""The gate of an analysis: the staged marts are validated against their contracts and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from adventureworks import incidents
from adventureworks.catalog import Mart
from adventureworks.columns import columns_of, key_of
from adventureworks.due import Months, NothingToDo
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate import results
from adventureworks.gate.approval import command_for
from adventureworks.gate.check_files import DeclaredCheck, declared_checks, declared_rules
from adventureworks.gate.checks import CheckOutcome, passed, run_checks
from adventureworks.gate.contract import EXAMPLES, validate
from adventureworks.gate.verdict import FAILED
from adventureworks.incidents import Finding, Incident, events
from adventureworks.marts import approval, models
from adventureworks.marts.build import (
    Build,
    build,
    computed_by,
    has_new_date,
    let_pass,
    refuse,
    replaced,
    require_staged,
    unpublished,
)
from adventureworks.marts.changes import changes_since, differing
from adventureworks.marts.plan import plan_now
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.texts import phrase
from adventureworks.warehouse import Warehouse, candidate, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection, reuse_connections
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import equal, names, table

FEW_MONTHS = 12
"""If more months than this were computed, rules that can be checked by month are checked for all months."""
_NEVER_STALE = "0001-01-01 00:00:00"


@reuse_connections()
def gate(
    settings: Settings, dag: str, run_id: str, requested: Mapping[str, Months] | None = None
) -> NothingToDo | None:
    """Validate the staged marts against their contracts and checks.

    Raises `MartRefused` if one breaks a rule; then nothing is published. If the staged rows are no longer those that
    were built, the marts are built again (`requested`: see `build`); returns `NothingToDo` if they are no longer due.
    Raises `ServiceUnavailable` if the staged rows are lost on every attempt.
    """

    def build_again() -> NothingToDo | None:
        step = build(settings, dag, run_id, requested)
        return step if isinstance(step, NothingToDo) else None

    return candidate.with_restaging(partial(_gate, settings, dag, run_id), build_again)


def _gate(settings: Settings, dag: str, run_id: str) -> NothingToDo | None:
    warehouse = open_warehouse(settings)
    broken: list[CheckOutcome] = []
    with warehouse.connect(f"gate {dag}") as session:
        built, published = unpublished(session.records, dag, run_id)
        comparable = computed_by(built.models, published)
        for mart in built.marts:
            broken += _broken_contract(settings, session.data, mart, built, comparable.get(mart.name))
        checked = [mart for mart in built.marts if must_be_checked(mart, built, settings.checks_folder / "marts")]
        scope = _scope(settings, session, built, checked, published)
    carried = [mart.name for mart in built.marts if mart not in checked]
    outcomes = _check_outcomes(settings, warehouse, built, checked, scope)
    with warehouse.connect(f"gate {dag}") as session:
        require_staged(session, run_id, built)
        # A repeated run may have checked a mart that it now carries over.
        results.delete(session.records, run_id, keep=carried)
        results.record(session.records, run_id, broken, kind="contract")
        results.record(session.records, run_id, outcomes)
        broken += [one for one in outcomes if one.outcome in FAILED]
        approved = approval.rules_of(session.records, dag, built)
        broken = [one for one in broken if f"{one.table}: {one.rule}" not in approved]
        if not broken:
            let_pass(session.records, dag, run_id)
            return None
        # An attempt that was given up may have checked rows that its retry has staged again and published since.
        unpublished(session.records, dag, run_id)
        if _inputs_moved_on(settings, session, dag, built):
            # The checks saw newer inputs than the build; the event of those inputs starts the next run.
            return NothingToDo(phrase("the inputs changed while the marts were computed; they will be computed again"))
        refuse(session.records, dag, run_id)
        approval.end(session.records, dag, run_id)
        findings = _findings(session.records, broken, dag, run_id)
        opened = incidents.report(session.records, findings)
    raise MartRefused(tuple(findings), tuple(opened))


class MartRefused(TableBlocked):
    """Raised when staged marts break a rule. `opened`: the incidents whose owners have to be notified."""

    def __init__(self, findings: tuple[Finding, ...], opened: tuple[Incident, ...]) -> None:
        self.opened = opened
        first = findings[0]
        super().__init__(first.asset, first.rule, str(first.event.parameters["cause"]))


def _broken_contract(
    settings: Settings, data: Data, mart: Mart, built: Build, last: Publication | None
) -> list[CheckOutcome]:
    """Validate staged rows against the mart's contract, in bounded memory; skip those that are already published.

    `last`: the version that the same model has computed.
    """
    if built.changed[mart.name] == ():
        # No row is staged.
        return []
    columns = columns_of(mart)
    listed = names(c.name for c in columns)
    query = f"select {listed} from {table('staging', f'{mart.name}__rows')}"
    if last is not None and not has_new_date(mart, last, built.as_of):
        # Published rows already passed this contract. A check of the whole table makes sure that keys are unique.
        published = f"{table('marts', mart.name)} where {replaced(mart, built.changed[mart.name])}"
        query += f" except select {listed} from {published}"
    examples: dict[str, list[str]] = {}
    messages: dict[str, str] = {}
    counts: dict[str, int] = {}
    for frame in data.frames(query, {c.name: c.dtype for c in columns}, settings.batch_rows):
        verdict = validate(mart, frame.to_arrow().combine_chunks().to_batches()[0])
        for row, rejection in zip(verdict.bad.iter_rows(named=True), verdict.rejections, strict=True):
            messages[rejection.rule] = rejection.message
            counts[rejection.rule] = counts.get(rejection.rule, 0) + 1
            shown = examples.setdefault(rejection.rule, [])
            if len(shown) < EXAMPLES:
                shown.append(", ".join(f"{name}={row[name]}" for name in key_of(mart)))
    outcomes = []
    for rule, keys in examples.items():
        count = counts[rule]
        message = f"{'one row breaks' if count == 1 else f'{count:,} rows break'} the contract ({messages[rule]})."
        outcomes.append(CheckOutcome(mart.name, rule, "fail", count, message, tuple(keys), "validity"))
    return outcomes


def _findings(records: Connection, broken: Sequence[CheckOutcome], dag: str, run_id: str) -> list[Finding]:
    published = publication.newest_versions(records, sorted({outcome.table for outcome in broken}))
    can_be_approved = approval.can_be_approved(records, dag, run_id)
    return [
        Finding(
            asset=outcome.table,
            rule=outcome.rule,
            event=events.refused(
                outcome.message,
                has_version=outcome.table in published,
                accept=command_for(outcome.table) if can_be_approved else "",
            ),
            failed=outcome.failed,
            examples=outcome.examples[:EXAMPLES],
            run_id=run_id,
        )
        for outcome in broken
    ]


@dataclass
class _Scope:
    """What the checks of an analysis need to know: see `run_checks`."""

    variables: dict[str, str]
    proven: list[DeclaredCheck] = field(default_factory=list)
    """The rules that need no check, because the staged rows are shown to keep them."""
    only: dict[str, set[str]] = field(default_factory=dict)
    values: dict[str, set[int]] = field(default_factory=dict)


def _scope(
    settings: Settings,
    session: Session,
    built: Build,
    checked: Sequence[Mart],
    published: Mapping[str, Publication],
) -> _Scope:
    """Return what the checks of these marts need to know. `published`: the version of each mart that is replaced."""
    scope, comparable = _Scope({"as_of": built.as_of.isoformat()}), computed_by(built.models, published)
    # Only a report on all checks needs them, and they are in a hundred files.
    if any(mart.tolerant for mart in checked):
        scope.variables["declared_rules"] = declared_rules(settings.checks_folder)
    for mart in checked:
        kept, others = _kept_rules(settings.checks_folder / "marts", session.data, mart, built)
        if kept:
            scope.proven += kept
            scope.only[mart.name] = {check.rule for check in others}
        affected = _affected(settings, session, mart, built, comparable.get(mart.name))
        if affected is not None:
            scope.values[mart.name] = affected
        last = published.get(mart.name)
        least = least_rows(last, built.models[mart.name], built.as_of, settings.least_share_of_rows)
        scope.variables[f"least_rows_{mart.name}"] = str(least)
        stale = _stale_before(settings, session.data, mart) if is_comparable(last, built.as_of) else _NEVER_STALE
        scope.variables[f"stale_before_{mart.name}"] = stale
    return scope


def _check_outcomes(
    settings: Settings, warehouse: Warehouse, built: Build, checked: Sequence[Mart], scope: _Scope
) -> list[CheckOutcome]:
    if not checked:
        return []
    # Includes months that came out the same, because their inputs changed.
    months = {name: found for name, found in built.months.items() if found and len(found) <= FEW_MONTHS}
    evaluated = run_checks(
        warehouse,
        settings.checks_folder / "marts",
        [mart.name for mart in checked],
        scope.variables,
        months=months,
        only=scope.only,
        values=scope.values,
    )
    return [*map(passed, scope.proven), *evaluated]


def _kept_rules(folder: Path, data: Data, mart: Mart, built: Build) -> tuple[list[DeclaredCheck], list[DeclaredCheck]]:
    """Return the rules of a mart that the staged rows are shown to keep, and the others.

    The former is the rule that the key is unique, or none. The database enforces it among the published rows, so only
    a staged row can repeat a key.
    """
    months = built.changed[mart.name]
    if not data.enforces_keys or (months is None and not mart.history):
        return [], []
    try:
        declared = declared_checks(folder, mart.name)
    except PlatformError:
        # The scan reports it.
        return [], []
    key, rows = key_of(mart), table("staging", f"{mart.name}__rows")
    staying = f"select {names(key)} from {table('marts', mart.name)} where not ({replaced(mart, months)})"
    repeated = data.execute(
        f"(select 1 from {rows} group by {names(key)} having count(*) > 1) union all"
        f" (select 1 from {rows} as r join ({staying}) as p on {equal(key, 'p', 'r')}) limit 1"
    ).fetchone()
    if repeated is not None:
        return [], []
    kept = [check for check in declared if check.kind == "uniqueness" and set(check.columns) == set(key)]
    return kept, [check for check in declared if check not in kept]


def _affected(
    settings: Settings, session: Session, mart: Mart, built: Build, last: Publication | None
) -> set[int] | None:
    """Return the values of a mart for which rules that hold for each value of a column (`by`) can find anything.

    These are the values of rows that differ from the published ones, and those that the mart's package names. None if
    that is not known, for example because the published version did not pass all rules: then check all values.
    `last`: that version, if the same model has computed it.
    """
    try:
        columns = {check.by for check in declared_checks(settings.checks_folder / "marts", mart.name)} - {""}
    except PlatformError:
        # The scan reports it.
        return None
    if not columns:
        return None
    changes = changes_since(session, mart, last)
    if changes is None or last is None or last.verdict != "passed":
        return None
    read = models.reader(session, mart, {"as_of": built.as_of, "run_id": ""})
    named = models.affected(mart, read, changes, built.as_of)
    if named is None:
        return None
    return {*named, *(value for name in columns for value in differing(session.data, mart, name))}


def must_be_checked(mart: Mart, built: Build, folder: Path) -> bool:
    """Return whether the rules of a mart could find something that they did not find before.

    A mart that was carried over is checked if a rule of its file in `folder` reads another mart that has changed.
    """
    if not built.is_carried(mart):
        return True
    changed = {name for name, months in built.changed.items() if months != ()} - {mart.name}
    return any(changed & check.tables for check in declared_checks(folder, mart.name))


def is_comparable(last: Publication | None, as_of: date) -> bool:
    """Return whether what is computed for a business date can be judged by the last version of the mart.

    An earlier business date legitimately removes rows.
    """
    return last is not None and last.as_of is not None and last.as_of <= as_of


def least_rows(last: Publication | None, model: str, as_of: date, share: float) -> int:
    """Return the number of rows that a mart must keep: a share of those of its last version.

    It is 0 if that version is not comparable, or comes from another model (a digest), which may well have more rows.
    """
    return int(last.rows * share) if last and last.model == model and is_comparable(last, as_of) else 0


def _stale_before(settings: Settings, data: Data, mart: Mart) -> str:
    row = data.execute(f"select max({quoted(mart.dated)}) from {table('marts', mart.name)}").fetchone()
    if row is None or row[0] is None or row[0] - date.min < timedelta(days=settings.stale_after_days):
        return _NEVER_STALE
    return f"{row[0] - timedelta(days=settings.stale_after_days)} 00:00:00"


def _inputs_moved_on(settings: Settings, session: Session, dag: str, built: Build) -> bool:
    """Return whether an input is newer than the version that the build read, or about to be."""
    step = plan_now(settings, session, dag)
    return step.waits if isinstance(step, NothingToDo) else step.inputs != built.inputs
