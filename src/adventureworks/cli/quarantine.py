"""`adventureworks quarantine …`: rows that were set aside: list, show, export, replay, discard, and undo."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from adventureworks.catalog import table_named
from adventureworks.cli.output import as_text, console, moment, table, who
from adventureworks.cli.reading import changing, reading
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.gate import quarantine, quarantine_file, replay
from adventureworks.gate.contract import EXAMPLES
from adventureworks.gate.quarantine_file import Format
from adventureworks.gate.row_text import shown_key
from adventureworks.settings import Settings
from adventureworks.warehouse import decisions, intervention
from adventureworks.warehouse.decisions import Decisions
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import is_laid_out

EMPTY = "There are no rows in quarantine."


def count(settings: Settings, asset: str, rule: str, as_json: bool) -> None:
    """Print how many rows are set aside, by table and rule, and the decisions in force.

    Raises `PlatformError` for an unknown table.
    """
    if asset:
        table_named(asset)
    with reading(settings) as session:
        found = quarantine.summary(session.data, asset, rule) if is_laid_out(session.records) else []
        decided = _decisions(session, asset)
    if as_json:
        listed = {"rows": [asdict(item) for item in found], "decisions": [asdict(one) for one in decided]}
        json.dump(listed, sys.stdout, indent=2, ensure_ascii=False, default=as_text)
        sys.stdout.write("\n")
        return
    out = console()
    if found:
        headings = ("table", "rule", "rows", "first seen", "last seen", "for example", "message")
        rows = [
            (
                item.asset,
                item.rule,
                f"{item.rows:,}",
                moment(item.first_seen),
                moment(item.last_seen),
                "; ".join(item.examples),
                item.message,
            )
            for item in found
        ]
        out.print(table(headings, rows, right=("rows",)))
        out.print(str(Step("Show the rows:", "adventureworks quarantine show TABLE")), markup=False)
    else:
        out.print(EMPTY)
    if decided:
        out.print()
        out.print(table(("table", "decision", "rows", "by", "when", "reason"), map(_row, decided), right=("rows",)))


def show(settings: Settings, asset: str, key: str, limit: int) -> None:
    """Print a table's rows in quarantine, or only the row with a key or number.

    Raises `PlatformError` for an unknown table or key.
    """
    table_named(asset)
    with reading(settings) as session:
        most = None if key else limit
        found = quarantine.rows(session.data, asset, limit=most) if is_laid_out(session.records) else []
    out = console()
    if not found:
        out.print(f"{asset}: {EMPTY.lower()}")
        return
    chosen = quarantine.named(found, asset, key) if key else dict(enumerate(found, 1))
    for number, row in chosen.items():
        seen = f"first seen {moment(row.first_seen)}, last seen {moment(row.last_seen)}, by the run {row.run_id}"
        out.print(f"{number}. {shown_key(row.key)}  {row.rule}: {row.message}", markup=False, style="bold")
        out.print(f"  {_pairs(row.values)}", markup=False)
        out.print(f"  {seen}", markup=False)


def export(settings: Settings, asset: str, to: Path | None, kind: Format | None) -> None:
    """Write a table's rows in quarantine to a new file, or to standard output.

    Raises `PlatformError` if there are none, if their values are not kept, or if the file exists, cannot be written or
    has the suffix of another format.
    """
    entry = table_named(asset)
    if to and kind and quarantine_file.format_of(to) != kind:
        raise PlatformError(f"{to.name} is not named as a {kind.upper()} file.", f"Name it *.{kind}.")
    chosen = kind or (quarantine_file.format_of(to) if to else "csv")
    with reading(settings) as session:
        found = quarantine.rows(session.data, asset) if is_laid_out(session.records) else []
    if not found:
        raise PlatformError(f"{asset}: {EMPTY.lower()}", replay.LIST)
    content = quarantine_file.written(replay.columns(entry), replay.export(found, entry), chosen)
    if to is None:
        sys.stdout.buffer.write(content)
        return
    _write(to, content)
    console().print(
        f"Rows written to {to}: {len(found):,}. Edit them, but not the keys, then:"
        f" {as_typed(f'adventureworks quarantine replay {asset} --file {to}')}",
        markup=False,
    )


def _write(to: Path, content: bytes) -> None:
    """Write a new file. Raises `PlatformError` if it exists or cannot be written; nothing is left of it then."""
    try:
        # Only for this user, because the rows may hold personal data. An export that somebody edited is not replaced.
        with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                to.unlink()
                raise
    except FileExistsError:
        raise PlatformError(f"{to} exists already.", "Choose another name.") from None
    except OSError as error:
        raise PlatformError(f"{to} cannot be written: {error.strerror}.", "Choose another place.") from None


def run_replay(settings: Settings, asset: str, file: Path | None, rule: str, by: str | None, dry_run: bool) -> None:
    """Have the next ingestion read a table's rows in quarantine again, with the corrections of a file, if given.

    Raises `PlatformError` if there are no such rows, or if the file is refused.
    """
    entry = table_named(asset)
    edited = quarantine_file.read(file) if file else None
    with reading(settings) if dry_run else changing(settings) as session:
        if not is_laid_out(session.records):
            raise PlatformError(f"{asset}: {EMPTY.lower()}", replay.LIST)
        found = replay.plan(session, entry, rule, edited)
        if not dry_run:
            replay.start(session.records, entry, found, who(by))
        is_held = asset in intervention.held_tables(session.records)
    out = console()
    if edited is not None:
        out.print(f"Corrected rows: {len(found.corrections):,}. Unchanged rows: {found.unchanged:,}.")
    if found.still_broken:
        examples = "; ".join(found.still_broken[:EXAMPLES])
        out.print(
            f"Corrected rows that still break the contract: {len(found.still_broken):,}; for example {examples}.",
            markup=False,
        )
    rules = ", ".join(f"{name} ({rows:,})" for name, rows in found.rows.items())
    if dry_run:
        out.print(f"{asset}: nothing was changed. A replay reads these rows again: {rules}.", markup=False)
    elif is_held:
        out.print(
            f"{asset} is rolled back. The ingestion after the release reads these rows again: {rules}."
            f" To release it: {as_typed(f'adventureworks rollback {asset} --release')}",
            markup=False,
        )
    else:
        out.print(
            f"{asset}: the next ingestion reads these rows again: {rules}. If the platform is running, it starts"
            " within seconds, or after the quiet time if changes are batched."
            f" Then: {as_typed(f'adventureworks quarantine list {asset}')}",
            markup=False,
        )


def discard(settings: Settings, asset: str, key: str, rule: str, everything: bool, by: str | None, reason: str) -> None:
    """Discard rows in quarantine: those with a key, with a rule, or all.

    Raises `PlatformError` unless exactly one of these is given, or if there are no such rows.
    """
    table_named(asset)
    if sum((bool(key), bool(rule), everything)) != 1:
        raise PlatformError("Choose the rows with exactly one of --key, --rule and --all.")
    if not reason.strip():
        raise PlatformError("A reason is needed.", 'For example: --reason "test order"')
    name = who(by)
    with changing(settings) as session:
        rows = quarantine.discard(session, asset, key=key, rule=rule, by=name, reason=reason.strip())
    noun = "row is" if rows == 1 else "rows are"
    console().print(
        f"{asset}: {rows:,} {noun} discarded by {name}, until the source changes them."
        " The next ingestion resolves the incidents.",
        markup=False,
    )


def undo(settings: Settings, asset: str, key: str, everything: bool, by: str | None, reason: str) -> None:
    """Take back the corrections and discards of the row with a key, or of all rows of a table.

    Raises `PlatformError` unless exactly one of these is given, or if there is nothing to take back.
    """
    table_named(asset)
    if bool(key) == everything:
        raise PlatformError("Say which decisions: with either --key or --all.")
    if not reason.strip():
        raise PlatformError("A reason is needed.", 'For example: --reason "wrong row"')
    name = who(by)
    with changing(settings) as session:
        corrected, discarded = quarantine.undo(session, asset, key=key, by=name, reason=reason.strip())
    console().print(
        f"{asset}: taken back by {name}: corrections {corrected:,}, discarded rows {discarded:,}."
        " The next ingestion judges the rows again, as the source delivers them."
        f" Then: {as_typed(f'adventureworks quarantine list {asset}')}",
        markup=False,
    )


def _decisions(session: Session, asset: str) -> list[Decisions]:
    return decisions.in_force(session.records, asset) if decisions.are_recorded(session.records) else []


def _row(decided: Decisions) -> tuple[str, ...]:
    rows, when = f"{decided.rows:,}", moment(decided.decided_at)
    return decided.asset, decided.kind, rows, decided.decided_by, when, decided.reason


def _pairs(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {'null' if value is None else value}" for name, value in values.items())
