"""Replay: rows in quarantine, or corrections of them, pass through the gate again.

A replay is a request in `ops.replay`. The next ingestion of any kind takes it: it reads the rows of the table that are
in quarantine from the source again, with the corrections in force, and everything that follows is as usual. So a
request survives every crash, and there is no second way to publish a row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError, Step
from adventureworks.gate import quarantine
from adventureworks.gate.contract import EXAMPLES, validate
from adventureworks.gate.corrections import as_batch
from adventureworks.gate.pseudonyms import without_forgotten
from adventureworks.gate.quarantine import QuarantinedRow
from adventureworks.gate.row_text import RowText, canonical, digest, key_text, row_key, shown_key
from adventureworks.warehouse import decisions, forgotten, publication
from adventureworks.warehouse.decisions import MOST_CORRECTIONS, Correction
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session

RULE, REASON, ROW = "quarantine_rule", "quarantine_reason", "quarantine_row"
"""The additional columns of an export: the broken rule, the rule in words, and a digest of the exported row."""

LIST = Step("List them:", "adventureworks quarantine list")


@dataclass(frozen=True)
class Replay:
    """What a replay of a table would do."""

    rows: Mapping[str, int]
    """The number of rows in quarantine that are read again, by rule."""
    corrections: Mapping[str, Correction]
    """By the row's key."""
    unchanged: int
    """The number of rows of the file that were not edited."""
    still_broken: Sequence[str]
    """For each corrected row that breaks the contract: its key, and the rule in words."""


def columns(entry: SourceTable) -> list[str]:
    """Return the columns of an export."""
    return [RULE, REASON, ROW, *(column.name for column in source_columns_of(entry))]


def export(found: Sequence[QuarantinedRow], entry: SourceTable) -> list[RowText]:
    """Return rows in quarantine with the columns of an export. Raises `PlatformError` if their values are not kept."""
    _require_values(entry)
    given = [column.name for column in source_columns_of(entry)]
    marks = _marks(entry, found)
    return [
        {RULE: row.rule, REASON: row.message, ROW: mark, **{name: row.values.get(name) for name in given}}
        for row, mark in zip(found, marks, strict=True)
    ]


def plan(session: Session, entry: SourceTable, rule: str, edited: Sequence[RowText] | None) -> Replay:
    """Return what a replay would do; `edited`: the rows of a file. `rule`: only rows that break this rule, if given.

    Raises `PlatformError` if there are no such rows. A file is refused as a whole, because it would be unclear which of
    its rows were applied. Reasons are unknown or missing columns, keys that are not in quarantine or not unique
    there, and rows that have changed since the export.
    """
    found = quarantine.rows(session.data, entry.asset)
    rules = Counter(row.rule for row in found if rule in ("", row.rule))
    if not rules:
        what = f" that break {rule}" if rule else ""
        raise PlatformError(f"{entry.asset}: there are no rows{what} in quarantine.", LIST)
    if edited is None:
        return Replay(rules, {}, 0, ())
    _require_values(entry)
    _require_columns(entry, edited)
    known = {row_key(row.key): (row, mark) for row, mark in zip(found, _marks(entry, found), strict=True)}
    texts = canonical(entry, edited)
    _refuse_rows(entry, edited, texts, found, known)
    records = session.records
    # An edited row must not record again what was erased.
    ids = forgotten.ids_in(forgotten.of_anyone(records), entry)
    batch, erased = without_forgotten(entry, as_batch(entry, texts), ids)
    if erased:
        texts = canonical(entry, batch.to_pylist())
    in_force = decisions.corrections(records, entry.asset) if decisions.are_recorded(records) else {}
    corrections, unchanged = {}, 0
    for text in texts:
        key = key_text(entry, text)
        row, mark = known[key]
        if rule not in ("", row.rule):
            continue
        if _mark(text) == mark:
            unchanged += 1
            continue
        # If a correction was set aside, the row in quarantine is the correction, not the row of the source.
        replaces = in_force[key].replaces if key in in_force else digest(canonical(entry, [row.values])[0])
        corrections[key] = Correction(text, replaces)
    if len(corrections.keys() | in_force.keys()) > MOST_CORRECTIONS:
        raise PlatformError(
            f"{entry.asset}: at most {MOST_CORRECTIONS:,} corrections can be in force.", "Fix the rows at the source."
        )
    lacks = publication.offer(records).lacking.get(entry.asset, frozenset())
    return Replay(rules, corrections, unchanged, _still_broken(entry, corrections, lacks))


def start(records: Connection, entry: SourceTable, replay: Replay, by: str) -> None:
    """Record the corrections, and ask the next ingestion to read the rows again."""
    if replay.corrections:
        decisions.correct(records, entry.asset, replay.corrections, by)
    decisions.request_replay(records, entry.asset, by)


def _require_values(entry: SourceTable) -> None:
    if entry.protected:
        raise PlatformError(
            f"The quarantine does not hold the values of {entry.asset}, because it has secret columns.",
            Step("Fix the rows at the source, then:", f"adventureworks quarantine replay {entry.asset}"),
        )


def _mark(text: RowText) -> str:
    return digest(text)[:16]


def _marks(entry: SourceTable, found: Sequence[QuarantinedRow]) -> list[str]:
    return [_mark(text) for text in canonical(entry, [row.values for row in found])]


def _require_columns(entry: SourceTable, edited: Sequence[RowText]) -> None:
    wanted, ignored = set(columns(entry)) - {RULE, REASON}, {RULE, REASON}
    for row in edited:
        unknown, missing = row.keys() - wanted - ignored, wanted - row.keys()
        if unknown or missing:
            faults = [f"the unknown column {name}" for name in sorted(unknown)]
            faults += [f"no column {name}" for name in sorted(missing)]
            raise PlatformError(
                f"The file has {', '.join(faults[:EXAMPLES])}.",
                Step("Edit an export:", f"adventureworks quarantine export {entry.asset}"),
            )


def _refuse_rows(
    entry: SourceTable,
    edited: Sequence[RowText],
    texts: Sequence[RowText],
    found: Sequence[QuarantinedRow],
    known: Mapping[str, tuple[QuarantinedRow, str]],
) -> None:
    keys = [key_text(entry, text) for text in texts]
    in_file, held = Counter(keys), Counter(row_key(row.key) for row in found)
    again = Step("Export the rows again:", f"adventureworks quarantine export {entry.asset}")
    _refuse([key for key in keys if key not in known], "not in quarantine: keys cannot be corrected", again)
    _refuse([key for key in keys if in_file[key] > 1], "in the file more than once", "Keep one row for each key.")
    _refuse(
        [key for key in keys if held[key] > 1],
        "delivered more than once, so only the source can tell which row is right",
        "Fix them at the source, or leave them out of the file.",
    )
    changed = [key for key, row in zip(keys, edited, strict=True) if row[ROW] != known[key][1]]
    _refuse(changed, "no longer in quarantine as exported, because the source or a correction changed", again)


def _refuse(keys: Collection[str], why: str, next_step: str | Step) -> None:
    if keys:
        examples = "; ".join(shown_key(json.loads(key)) for key in sorted(set(keys))[:EXAMPLES])
        rows = "One row of the file is" if len(keys) == 1 else f"{len(keys):,} rows of the file are"
        raise PlatformError(f"{rows} {why}; for example {examples}.", next_step)


def _still_broken(entry: SourceTable, corrections: Mapping[str, Correction], lacks: frozenset[str]) -> list[str]:
    if not corrections:
        return []
    keys = [shown_key(json.loads(key)) for key in corrections]
    validated = validate(entry, as_batch(entry, [one.row for one in corrections.values()]), lacks=lacks)
    return [f"{keys[rejection.row]}: {rejection.message}" for rejection in validated.rejections]
