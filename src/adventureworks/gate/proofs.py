"""Proofs: the outcomes of rules for the published rows, which a change can alter only with the rows that it changes.

If no row breaks a rule in a batch, its proof is recorded with the versions of all tables that it reads. While these are
the newest versions, the next batch looks for exceptions only where its changed rows could cause them. If it finds one,
or if the rule has a form for which this is not known, the rule is evaluated as a whole. If rows break a rule that only
warns, its proof also contains the outcome. While no row that is replaced or deleted was part of an exception, those of
changed rows are added to their number.

Proofs are recorded only if data and records are committed together, and not in environments, whose tables may be views
of tables that others publish.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import psycopg
import sqlglot
from sqlglot import exp

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import digest_of_columns
from adventureworks.gate.check_files import DeclaredCheck, reference_of
from adventureworks.gate.checks import CheckOutcome, passed, recounted
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import publication
from adventureworks.warehouse.environments import base_of
from adventureworks.warehouse.postgres import Connection, is_unavailable
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import equal, names, table
from adventureworks.warehouse.staging import StagedTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What a batch changes in a table."""

    adds: bool
    """Whether it inserts or updates rows."""
    removes: bool
    """Whether it updates or deletes rows."""


def are_possible(session: Session) -> bool:
    """Return whether a version says for certain which rows are published."""
    return not session.commits_twice and base_of(session.records) is None


def known(
    session: Session, checks: Iterable[DeclaredCheck], staged: Sequence[StagedTable]
) -> dict[DeclaredCheck, CheckOutcome]:
    """Return the outcomes of the rules that these staged changes do not alter.

    Only rules are returned for which that is certain. `staged` are all tables whose candidates differ from what is
    published.
    """
    if not are_possible(session):
        return {}
    proven = _proven(session.records, list(checks))
    if not proven:
        return {}
    try:
        with session.records.transaction():
            changes = _changes(session, staged)
            asked = {
                check: selects
                for check, outcome in proven.items()
                if (selects := _selects(check, changes, has_exceptions=outcome.outcome != "pass")) is not None
            }
            # Not EXISTS: PostgreSQL would plan for a row that it finds soon, but usually there is none.
            parts = [
                " + ".join(f"(select count(*) from ({one}) as found)" for one in selects) or "0"
                for of_check in asked.values()
                for selects in of_check
            ]
            row = session.data.execute(f"select {', '.join(parts)}").fetchone() or ()
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and is_unavailable(error):
            raise
        # Whichever rule is at fault, its evaluation as a whole reports it.
        log.warning("Changed rows cannot be checked alone: %s", error.diag.message_primary)
        return {}
    found = {}
    for check, lost, new in zip(asked, row[::2], row[1::2], strict=True):
        has_exceptions = proven[check].outcome != "pass"
        outcome = recounted(check, proven[check], new) if has_exceptions else None if new else proven[check]
        if outcome is not None and not lost:
            found[check] = outcome
    return found


def _selects(
    check: DeclaredCheck, changes: Mapping[str, Change], *, has_exceptions: bool
) -> tuple[Sequence[str], Sequence[str]] | None:
    """Return SELECTs of exceptions that are replaced or deleted, and SELECTs of new ones; None if they are not known.

    `has_exceptions`: of a rule that published rows break, so that each new exception is found once.
    """
    if has_exceptions:
        return known_exceptions(check, changes)
    selects = exceptions(check, changes)
    return None if selects is None else ((), selects)


def record(
    session: Session,
    run_id: str,
    versions: Mapping[str, int],
    evaluated: Collection[DeclaredCheck],
    outcomes: Mapping[DeclaredCheck, CheckOutcome],
) -> None:
    """Record proofs of a batch's outcomes, until `publish` completes them, in place of those of earlier batches.

    Proofs of a verdict that was not published are deleted: they hold for rows that are now staged differently.
    `versions`: by table, the newest one before any of these rules was evaluated.
    """
    if not are_possible(session):
        return
    session.records.execute(
        "delete from ops.proof as p where not p.published or exists (select 1"
        " from unnest(%s::varchar[], %s::varchar[]) as e (asset, rule) where p.asset = e.asset and p.rule = e.rule)",
        ([check.table for check in evaluated], [check.rule for check in evaluated]),
    )
    # A row that leaves quarantine may be judged together with rows that do not change.
    found = session.data.execute("select distinct asset from ops.quarantined_row").fetchall()
    quarantined = {asset for (asset,) in found}
    rows = [
        (
            check.table,
            check.rule,
            _digest(check),
            json.dumps({name: versions.get(name, 0) for name in check.tables}),
            json.dumps(asdict(outcome)) if outcome.outcome != "pass" else None,
        )
        for check, outcome in outcomes.items()
        if _selects(check, {}, has_exceptions=outcome.outcome != "pass") is not None
        and not (check.by and check.tables & quarantined)
    ]
    session.records.execute(
        "insert into ops.proof (asset, rule, digest, versions, outcome, run_id) select p.*, %s"
        " from unnest(%s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[]) as p",
        (run_id, *([list(column) for column in zip(*rows, strict=True)] or [[]] * 5)),
    )


def publish(records: Connection, run_id: str) -> None:
    """Complete the proofs of a run with the versions that it has published.

    Those that read a table of which anything else published a version in the meantime are deleted.
    """
    rows = records.execute(
        "select asset, rule, versions from ops.proof where run_id = %s and not published", (run_id,)
    ).fetchall()
    of_run = {one.asset for one in publication.of_run(records, run_id)}
    newest = publication.newest_versions(records, sorted(SOURCE_TABLES))
    completed = []
    for asset, rule, before in rows:
        versions = {name: version + (name in of_run) for name, version in json.loads(before).items()}
        if versions == {name: newest.get(name, 0) for name in versions}:
            completed.append((asset, rule, json.dumps(versions)))
    records.execute(
        "update ops.proof as p set versions = c.versions, published = true"
        " from unnest(%s::varchar[], %s::varchar[], %s::varchar[]) as c (asset, rule, versions)"
        " where p.asset = c.asset and p.rule = c.rule",
        ([list(column) for column in zip(*completed, strict=True)] or [[]] * 3),
    )
    records.execute("delete from ops.proof where run_id = %s and not published", (run_id,))


def known_exceptions(
    check: DeclaredCheck, changes: Mapping[str, Change]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return SELECTs of the exceptions with a row that is replaced or deleted, and SELECTs of those with a changed row.

    The latter find each of these exceptions once. `changes`: by table. None unless the rule is an inner join.
    """
    tree = _plain_join(check.query) if check.kind == "rows" and not check.by else None
    if tree is None or any(_is_outer(source) for source in _sources(tree)):
        return None
    return tuple(_replaced_rows(tree, changes)), _joined_rows(check.query, changes, once=True) or ()


def exceptions(check: DeclaredCheck, changes: Mapping[str, Change]) -> tuple[str, ...] | None:
    """Return SELECTs of which at least one has a row if these changes break a rule that the published rows keep.

    They may have rows although the rule is kept. `changes`: by table. None if the rule has a form for which no such
    SELECTs are known.
    """
    if check.kind == "uniqueness":
        return tuple(_repeated_values(check, changes))
    if check.kind == "reference":
        return tuple(_orphans(check, changes))
    if check.by:
        return _rows_by_value(check, changes)
    if check.kind == "rows":
        return _joined_rows(check.query, changes)
    return None


def _repeated_values(check: DeclaredCheck, changes: Mapping[str, Change]) -> Iterator[str]:
    """Yield SELECTs of values that two staged rows have, or a changed row and a published one that stays."""
    change = changes.get(check.table)
    if change is None or not change.adds:
        return
    staged = StagedTable(SOURCE_TABLES[check.table])
    given = " and ".join(f"{quoted(column)} is not null" for column in check.columns)
    yield f"select 1 from {staged.rows} where {given} group by {names(check.columns)} having count(*) > 1"
    # A published row with the key of a staged one does not stay.
    if set(check.columns) != set(staged.key):
        yield (
            f"select 1 from {staged.changed} as n join {staged.published} as p on {equal(check.columns, 'n', 'p')}"
            f" where {staged.stays('p')}"
        )


def _orphans(check: DeclaredCheck, changes: Mapping[str, Change]) -> Iterator[str]:
    """Yield SELECTs of changed rows without a parent, and of rows that have lost the parent that they had."""
    reference = reference_of(check)
    own, parent = changes.get(check.table), changes.get(reference.parent)

    def match(alias: str) -> str:
        pairs = zip(reference.parent_columns, reference.columns, strict=True)
        return " and ".join(f"{alias}.{quoted(theirs)} = c.{quoted(ours)}" for theirs, ours in pairs)

    def is_orphan(values: str) -> str:
        """Return the condition for a row with one of these values."""
        parents = table("staging", reference.parent)
        if parent:
            parents = StagedTable(SOURCE_TABLES[reference.parent]).candidate_with(reference.parent_columns, values)
        return f"not exists (select 1 from {parents} as p where {match('p')})"

    if own and own.adds:
        added = _added(check.table)
        given = " or ".join(f"c.{quoted(column)} is not null" for column in reference.columns)
        referred = f"select {names(reference.columns, 't')} from {added} as t"
        yield f"select 1 from {added} as c where ({given}) and {is_orphan(referred)}"
    if parent and parent.removes:
        removed = f"select {names(reference.parent_columns, 't')} from {_removed(reference.parent)} as t"
        children = table("staging", check.table)
        if own:
            children = StagedTable(SOURCE_TABLES[check.table]).candidate_with(reference.columns, removed)
        yield (
            f"select 1 from {_removed(reference.parent)} as o join {children} as c on {match('o')}"
            f" where {is_orphan(removed)}"
        )


def _joined_rows(query: str, changes: Mapping[str, Change], *, once: bool = False) -> tuple[str, ...] | None:
    """Return SELECTs of rows that a rule finds with a changed row, or for which a changed row decides an outer join.

    It finds every other combination of rows exactly if it found it before. `once`: the SELECTs find none that another
    one finds, too; for inner joins only. None if the rule is not a plain join.
    """
    tree = _plain_join(query)
    if tree is None:
        return None
    found = []
    for place, source in enumerate(_sources(tree)):
        change = changes.get(source.name)
        if change is None:
            continue
        asked = tree.copy()
        copied = _sources(asked)[place]
        alias = copied.args["alias"].this if copied.alias else copied.this
        join = copied.parent
        if isinstance(join, exp.Join) and join.side:
            both = {_added(source.name): change.adds, _removed(source.name): change.removes}
            columns = names(StagedTable(SOURCE_TABLES[source.name]).column_names)
            rows = " union all ".join(
                f"select {columns} from {part} as t" for part, is_there in both.items() if is_there
            )
            decided = exp.select("1").from_(_subquery(rows, alias))
            asked.where(exp.Exists(this=decided.where(join.args["on"].copy())), copy=False)
        elif change.adds:
            rows = f"select * from {_added(source.name)} as t"
            copied.replace(_subquery(rows, alias))
        else:
            continue
        joined = [number for number, one in enumerate(_sources(asked)) if number != place and not _is_outer(one)]
        split = [number for number in joined if _sources(asked)[number].name in changes]
        if once:
            for number in [number for number in split if number < place]:
                # What a change leaves as it was; the combinations with a changed row are found in its place.
                one = _sources(asked)[number]
                asked.where(_is_unchanged(one), dialect="postgres", copy=False)
                one.replace(_relation("raw", one.name, one.alias_or_name))
            split = [number for number in split if number > place]
        found += [_in_staging(one) for one in _with_parts(asked, split)]
    return tuple(found)


def _is_unchanged(source: exp.Expr) -> str:
    """Return the condition that a published row that a SELECT reads is neither replaced nor deleted."""
    staged = StagedTable(SOURCE_TABLES[source.name])
    return f"not ({staged.replaced_as(quoted(source.alias_or_name))})"


def _replaced_rows(tree: exp.Select, changes: Mapping[str, Change]) -> Iterator[str]:
    """Yield SELECTs of what an inner join of published rows finds with a row that is replaced or deleted."""
    for place, source in enumerate(_sources(tree)):
        if source.name in changes and changes[source.name].removes:
            asked = tree.copy()
            for number, one in enumerate(_sources(asked)):
                if number == place:
                    rows = f"select * from {_removed(source.name)} as t"
                    one.replace(_subquery(rows, exp.to_identifier(one.alias_or_name, quoted=True)))
                elif one.name in changes:
                    one.replace(_relation("raw", one.name, one.alias_or_name))
            yield _in_staging(asked)


def _with_parts(tree: exp.Select, places: Sequence[int]) -> list[exp.Select]:
    """Return SELECTs that together find what a join finds, each with one part of each candidate at `places`.

    The parts are the staged rows and the published rows that stay. PostgreSQL can look up rows in a part, but reads all
    rows of a candidate.
    """
    found = [tree]
    for place in places:
        source = _sources(tree)[place]
        staged, alias = StagedTable(SOURCE_TABLES[source.name]), source.alias_or_name
        for part in list(found):
            of_rows = part.copy()
            _sources(of_rows)[place].replace(_relation("staging", staged.rows_table, alias))
            found.append(of_rows)
            _sources(part)[place].replace(_relation("raw", staged.asset, alias))
            part.where(staged.stays(quoted(alias)), dialect="postgres", copy=False)
    return found


def _in_staging(tree: exp.Select) -> str:
    """Return a SELECT in which tables without a schema are the candidates."""
    for one in tree.find_all(exp.Table):
        if not one.db:
            one.set("db", exp.to_identifier("staging", quoted=True))
    return tree.sql(dialect="postgres", copy=False)


def _relation(schema: str, name: str, alias: str) -> exp.Table:
    return exp.table_(name, db=schema, alias=exp.to_identifier(alias, quoted=True), quoted=True)


def _is_outer(source: exp.Expr) -> bool:
    """Return whether rows that have no counterpart in what is joined here are found, too."""
    return isinstance(source.parent, exp.Join) and bool(source.parent.side)


def _rows_by_value(check: DeclaredCheck, changes: Mapping[str, Change]) -> tuple[str, ...] | None:
    """Return a SELECT of what a rule finds for values of its column that changed rows have, before or after the change.

    None if a changed table lacks the column, or if the rule cannot be parsed.
    """
    having = {name for name in check.tables if check.by in StagedTable(SOURCE_TABLES[name]).column_names}
    changed = sorted(check.tables & changes.keys())
    if not having.issuperset(changed):
        return None
    column = quoted(check.by)
    relations = [_added(name) for name in changed if changes[name].adds]
    relations += [_removed(name) for name in changed if changes[name].removes]
    values = " union all ".join(f"select t.{column} from {relation} as t" for relation in relations)
    try:
        tree = sqlglot.parse_one(check.query, dialect="postgres")
    except sqlglot.errors.SqlglotError:
        return None
    if not values:
        return ()
    for source in [one for one in tree.find_all(exp.Table) if not one.db]:
        alias = source.args["alias"].this if source.alias else source.this
        if source.name in changes:
            rows = f"select * from {StagedTable(SOURCE_TABLES[source.name]).candidate_with([check.by], values)} as t"
        else:
            condition = f" where {column} in ({values})" if source.name in having else ""
            rows = f"select * from {table('staging', source.name)}{condition}"
        source.replace(_subquery(rows, alias))
    return (tree.sql(dialect="postgres", copy=False),)


@lru_cache(maxsize=1024)
def _plain_join(query: str) -> exp.Select | None:
    """Return a parsed SELECT that only joins source tables and compares their columns, else None."""
    try:
        tree = sqlglot.parse_one(query, dialect="postgres")
    except sqlglot.errors.SqlglotError:
        return None
    if not isinstance(tree, exp.Select) or not _given(tree) <= {"expressions", "from_", "joins", "where"}:
        return None
    nested = [one for one in tree.find_all(exp.Query, exp.AggFunc, exp.Window, exp.Anonymous) if one is not tree]
    # The result of these may change although no row does.
    clocks = [*tree.find_all(exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand, exp.Parameter)]
    if nested or clocks:
        return None
    for join in tree.args.get("joins") or ():
        if not _given(join) <= {"this", "on", "side", "kind"} or "on" not in _given(join):
            return None
        if join.side not in ("", "LEFT") or join.kind not in ("", "INNER", "OUTER"):
            return None
        if not all(column.table for column in join.args["on"].find_all(exp.Column)):
            return None
    are_tables = all(isinstance(one, exp.Table) and not one.db and one.name in SOURCE_TABLES for one in _sources(tree))
    return tree if are_tables else None


def _subquery(select: str, alias: exp.Expr) -> exp.Subquery:
    return exp.Subquery(this=sqlglot.parse_one(select, dialect="postgres"), alias=exp.TableAlias(this=alias.copy()))


def _given(part: exp.Expr) -> set[str]:
    return {name for name, value in part.args.items() if value}


def _sources(tree: exp.Expr) -> list[exp.Expr]:
    """Return what a SELECT reads, in the order of the text."""
    return [tree.args["from_"].this, *(join.this for join in tree.args.get("joins") or ())]


def _added(asset: str) -> str:
    """Return the relation with the rows that a batch inserts or updates, as they will be."""
    return StagedTable(SOURCE_TABLES[asset]).changed


def _removed(asset: str) -> str:
    """Return the relation with the published rows that a batch updates or deletes."""
    staged = StagedTable(SOURCE_TABLES[asset])
    return f"(select p.* from {staged.published} as p where {staged.replaced})"


def _changes(session: Session, staged: Sequence[StagedTable]) -> dict[str, Change]:
    """Return what a batch changes, by table."""
    if not staged:
        return {}
    parts = []
    for one in staged:
        same_key = equal(one.key, "r", "p")
        updated = f"select 1 from {one.changed} as r join {one.published} as p on {same_key}"
        parts += [f"exists {one.changed}", f"exists (select 1 from {one.gone}) or exists ({updated})"]
    row = session.data.execute(f"select {', '.join(parts)}").fetchone() or ()
    found = zip(staged, row[::2], row[1::2], strict=True)
    return {one.asset: Change(adds, removes) for one, adds, removes in found if adds or removes}


def _proven(records: Connection, checks: Collection[DeclaredCheck]) -> dict[DeclaredCheck, CheckOutcome]:
    """Return the outcomes of rules for the published rows, as far as they are recorded."""
    rows = records.execute("select asset, rule, digest, versions, outcome from ops.proof where published").fetchall()
    recorded = {(asset, rule): (digest, json.loads(versions)) for asset, rule, digest, versions, _ in rows}
    outcomes = {(asset, rule): outcome for asset, rule, *_, outcome in rows}
    newest = publication.newest_versions(records, sorted(SOURCE_TABLES))

    def is_proven(check: DeclaredCheck) -> bool:
        versions = {name: newest.get(name, 0) for name in check.tables}
        return recorded.get((check.table, check.rule)) == (_digest(check), versions)

    return {
        check: _outcome(outcome) if (outcome := outcomes[check.table, check.rule]) else passed(check)
        for check in checks
        if is_proven(check)
    }


def _outcome(text: str) -> CheckOutcome:
    fields = json.loads(text)
    return CheckOutcome(**{**fields, "examples": tuple(fields["examples"])})


def _digest(check: DeclaredCheck) -> str:
    """Return a digest of a rule and of the columns of the tables that it reads."""
    columns = [digest_of_columns(SOURCE_TABLES[name]) for name in sorted(check.tables)]
    return hashlib.sha256("\n".join([check.text, *columns]).encode()).hexdigest()
