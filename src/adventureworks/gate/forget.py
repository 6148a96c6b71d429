"""Forgetting a person: in the published and staged tables, in quarantine, and in the platform's records.

The list of forgotten rows is recorded first, in a transaction of its own. From then on, no reading of the source stages
what identifies the person, and what was staged before is loaded again before it is published. Erasing may be repeated.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any
from uuid import uuid4

import polars as pl

from adventureworks.catalog import INGESTION, SOURCE_TABLES, SourceTable
from adventureworks.columns import Column, key_of
from adventureworks.gate.load import protected
from adventureworks.gate.pseudonyms import PREFIX, belongs, id_column, identifying, is_left_out, pseudonymised
from adventureworks.gate.row_text import RowText, as_json
from adventureworks.months import key_of as month_key
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import (
    candidate,
    decisions,
    forgotten,
    kept,
    layout,
    open_warehouse,
    publication,
    quarantine,
)
from adventureworks.warehouse.forgotten import PEOPLE, Forgotten, Replacements
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import names, table
from adventureworks.warehouse.staging import StagedTable, count

SHORTEST_VALUE, LONGEST_VALUE = 4, 200
"""Lengths of the values that are searched for in texts: shorter ones would be found by chance."""
_SHORT = 7
"""A shorter value is searched for only if it has a letter, and also a digit, `@` or a backslash.

`12.5` and `Mrs.` would be found by chance.
"""

ENTRIES = tuple(entry for entry in SOURCE_TABLES.values() if identifying(entry))
"""The tables with columns that identify people."""

_NAME = ("FirstName", "LastName")


@dataclass
class Erasure:
    """What identifies forgotten people, as it was found or erased."""

    places: Counter[str] = field(default_factory=Counter)
    """The number of rows by place: a table with its schema."""
    values: set[str] = field(default_factory=set)
    """Values that occur nowhere else by chance, such as e-mail addresses."""
    names: set[str] = field(default_factory=set)
    """First and last names together. Somebody else may have the same."""
    changed: dict[str, pl.DataFrame] = field(default_factory=dict)
    """The changed rows of the published tables, as they were."""

    def add(self, entry: SourceTable, place: str, rows: pl.DataFrame) -> None:
        """Count rows of a source table, and note the personal texts in them."""
        if not rows.height:
            return
        self.places[place] += rows.height
        texts = rows.select(column.name for column in _texts(entry) if column.name in rows.columns)
        self.values.update(text for column in texts for text in column.drop_nulls() if _is_distinctive(text))
        if set(_NAME) <= set(texts.columns):
            full = (" ".join(name) for name in texts.select(_NAME).drop_nulls().iter_rows())
            self.names.update(name for name in full if _has_length(name))

    def add_texts(self, other: Erasure) -> None:
        """Add the texts that were found elsewhere."""
        self.values |= other.values
        self.names |= other.names

    def replacements(self, person: int) -> Replacements:
        """Return what takes the place of each text in records, in each way in which it may be written there."""
        found: dict[str, str] = {}
        for number, text in enumerate(sorted(self.values | self.names), 1):
            # A workbook escapes no quotes, and Jinja writes them as decimal numbers.
            in_html = escape(text)
            in_mail = in_html.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
            written = {text, json.dumps(text)[1:-1], escape(text, quote=False), in_html, in_mail}
            for spelling in written | {text.lower()}:
                found[spelling] = f"{PREFIX}{person}-{number}"
        return Replacements(found)


def _texts(entry: SourceTable) -> tuple[Column, ...]:
    """Return the columns whose texts identify a person, except masked columns and survey answers."""
    return tuple(
        column
        for column in identifying(entry)
        if column.dtype == pl.String and column.derivation is None and not entry.protected
    )


def _is_distinctive(text: str) -> bool:
    """Return whether a text hardly occurs anywhere else by chance: it has digits or marks, and is not too short."""
    if len(text) < _SHORT:
        is_code = any(map(str.isalpha, text)) and any(one.isdigit() or one in "@\\" for one in text)
        return is_code and _has_length(text)
    return _has_length(text) and not text.replace(" ", "").isalpha()


def _has_length(text: str) -> bool:
    return SHORTEST_VALUE <= len(text) <= LONGEST_VALUE and not text.startswith(PREFIX)


def is_known(session: Session, person: int) -> bool:
    """Return whether there is a person with this id: published, in quarantine, or forgotten."""
    entry, wanted = SOURCE_TABLES[PEOPLE], frozenset({person})
    listed = forgotten.of_anyone(session.records).get(PEOPLE, frozenset())
    return bool(wanted & listed or _values(session.data, entry, id_column(entry), wanted))


def find(session: Session, person: int) -> Forgotten:
    """Return the list of forgotten rows with a person added."""
    data, listed = session.data, forgotten.of_anyone(session.records)
    found = reached(data, {**listed, PEOPLE: listed.get(PEOPLE, frozenset()) | {person}})
    return {**found, **_with_same_values(data, found, erase(session, found, changes=False).values)}


def reached(data: Data, listed: Forgotten) -> Forgotten:
    """Return the list with the rows to which rows of forgotten people lead, unless they are somebody else's too."""
    found = dict(listed)
    for entry in ENTRIES:
        if entry.person is None or entry.person.through is None:
            continue
        through, column = SOURCE_TABLES[entry.person.through], entry.person.column
        leading = forgotten.ids_in(found, through)
        mine = _values(data, through, column, leading, entry.person.unless)
        if mine:
            shared = data.execute(
                f"select distinct {quoted(column)} from {table('raw', through.asset)}"
                f" where {quoted(column)} in ({_listed(mine)})"
                f" and {quoted(id_column(through))} not in ({_listed(leading)})"
            ).fetchall()
            found[entry.asset] = found.get(entry.asset, frozenset()) | (mine - {int(one) for (one,) in shared})
    return found


def _values(
    data: Data, entry: SourceTable, column: str, ids: Collection[int], unless: str | None = None
) -> frozenset[int]:
    """Return the values of a column with ids in the rows of these people, published or in quarantine.

    `unless`: a column that must be NULL, if given.
    """
    if not ids:
        return frozenset()
    empty = f" and {quoted(unless)} is null" if unless else ""
    rows = data.execute(
        f"select distinct {quoted(column)} from {table('raw', entry.asset)}"
        f" where {quoted(id_column(entry))} in ({_listed(ids)}) and {quoted(column)} is not null{empty}"
    ).fetchall()
    held = _set_aside(data, entry)
    texts = held.filter(belongs(entry, held, ids))
    if unless in texts.columns:
        texts = texts.filter(texts[unless].is_null())
    numbers = texts[column].str.to_integer(strict=False).drop_nulls() if column in texts.columns else ()
    return frozenset({*(int(value) for (value,) in rows), *(int(value) for value in numbers)})


def _with_same_values(data: Data, listed: Forgotten, values: Collection[str]) -> Forgotten:
    """Return the keys of rows of tables in which only a value, such as an e-mail address, says whose they are."""
    found: dict[str, frozenset[int]] = {}
    for entry in ENTRIES:
        if entry.person is not None or not values:
            continue
        listed_values = ", ".join(f"%(v{number})s" for number in range(len(values)))
        same = " or ".join(f"lower({quoted(column.name)}) in ({listed_values})" for column in _texts(entry))
        relations = [table("raw", entry.asset)]
        if kept.name_of(entry.asset) in data.columns_in("staging"):
            relations.append(table("staging", kept.name_of(entry.asset)))
        rows = data.execute(
            " union ".join(f"select {quoted(id_column(entry))} from {relation} where {same}" for relation in relations),
            {f"v{number}": value.lower() for number, value in enumerate(sorted(values))},
        ).fetchall()
        found[entry.asset] = listed.get(entry.asset, frozenset()) | {int(key) for (key,) in rows}
    return found


def _listed(ids: Collection[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


def erase(session: Session, listed: Forgotten, *, changes: bool) -> Erasure:
    """Erase what identifies the people of a list in tables, quarantine and corrections, and return what was erased.

    Unless `changes`, only search for it. Tables of another environment that this one reads are left out.
    """
    done = Erasure()
    reused = session.data.views_in("raw")
    present = {"raw": session.data.columns_in("raw"), "staging": session.data.columns_in("staging")}
    for entry in ENTRIES:
        ids = forgotten.ids_in(listed, entry)
        if ids:
            erasing = _TableErasure(session, entry, ids, changes, done)
            staged = StagedTable(entry)
            # Tables that an older version made, or that a run left behind, may lack columns.
            for schema, name, columns in (
                ("raw", entry.asset, staged.column_names),
                ("staging", kept.name_of(entry.asset), [kept.VERSION, *staged.column_names]),
                ("staging", staged.rows_table, staged.column_names),
                ("staging", staged.keys_table, staged.key),
                ("staging", staged.gone_table, staged.key),
            ):
                there = [column for column in columns if column in present[schema].get(name, ())]
                if {id_column(entry), *staged.key} <= {*there} and not (schema == "raw" and name in reused):
                    erasing.erase(schema, name, there)
            erasing.erase_set_aside()
            if decisions.are_recorded(session.records):
                erasing.erase_corrections()
    return done


def forget(settings: Settings, person: int, by: str, reason: str, known: Erasure | None = None) -> Erasure:
    """Forget a person in this environment, and return what was erased. May be repeated if the process dies.

    `known`: what was found in production. An environment that reads its tables has copies of the texts about them.
    """
    with open_warehouse(settings).connect("forget") as session:
        layout.prepare(session)
    with open_warehouse(settings).connect("forget") as session:
        publication.lock(session.records, INGESTION)
        listed = find(session, person)
        forgotten.add(session.records, listed)
        candidate.withdraw(session.records, [one.asset for one in ENTRIES])
        # In this transaction, because afterwards nothing may say which texts to search for: an ingestion may erase the
        # rows while the command is repeated after a crash.
        places = _erase_texts(session, person, _with(known, erase(session, listed, changes=False)), changes=True)
    with open_warehouse(settings).connect("forget") as session:
        publication.lock(session.records, INGESTION)
        done = _with(known, erase(session, listed, changes=True))
        done.places |= places | _erase_texts(session, person, done, changes=True)
        _publish(session, done)
        forgotten.record(session.records, person, by, done.replacements(person).applied(reason), done.places)
        if session.commits_twice:
            # After a crash, the rows are found again. The reverse would leave changed tables without a new version.
            session.records.commit()
    return done


def look(session: Session, person: int, known: Erasure | None = None) -> Erasure:
    """Return what `forget` would erase."""
    done = _with(known, erase(session, find(session, person), changes=False))
    done.places |= _erase_texts(session, person, done, changes=False)
    return done


def _with(known: Erasure | None, done: Erasure) -> Erasure:
    if known is not None:
        done.add_texts(known)
    return done


def follow(session: Session) -> None:
    """Erase what newly published rows link to forgotten people, such as a new address, before readers see it."""
    listed = forgotten.of_anyone(session.records)
    if not listed:
        return
    found = reached(session.data, listed)
    new = {asset: ids - listed.get(asset, frozenset()) for asset, ids in found.items()}
    if any(new.values()):
        forgotten.add(session.records, new)
        _publish(session, erase(session, new, changes=True))


def _erase_texts(session: Session, person: int, done: Erasure, *, changes: bool) -> Counter[str]:
    """Replace the texts of an erasure wherever else the warehouse has them, and return the number of rows by place.

    They are in quarantine, messages and incidents. Rows that are recognized by their ids may be counted, too.
    """
    replacements = done.replacements(person)
    if not replacements.texts:
        return Counter()
    found = Counter(forgotten.replace_in_quarantine(session.data, replacements, changes=changes))
    found.update(forgotten.replace_in_records(session.records, replacements, changes=changes))
    attached = session.records.execute("select content_id, content from ops.attachment where not is_image").fetchall()
    # The texts of a PDF are compressed. It has the same content as the workbook beside it.
    mails = {content_id for content_id, content in attached if mentions(content, replacements)}
    if mails:
        found["ops.attachment"] = sum(content_id in mails for content_id, _ in attached)
    if changes and mails:
        session.records.execute(
            "delete from ops.attachment where not is_image and content_id = any(%s)", (sorted(mails),)
        )
    return found


def mentions(content: bytes, replacements: Replacements) -> bool:
    """Return whether a file holds a text to replace, plain or in the parts of an archive, as a workbook is one."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
    except zipfile.BadZipFile:
        parts = [content]
    return any(map(replacements.are_in, parts))


def _publish(session: Session, done: Erasure) -> None:
    """Record new versions of the changed tables, so that the marts that read them are computed again."""
    run_id = f"{INGESTION}/forget_{uuid4().hex[:8]}"
    for asset, rows in done.changed.items():
        newest = publication.newest(session.records, asset)
        if newest is None:
            continue
        month = SOURCE_TABLES[asset].month
        publication.record(
            session.records,
            asset=asset,
            rows=count(session.data, table("raw", asset)),
            changed_rows=rows.height,
            months=sorted({month_key(day) for day in rows[month.column].drop_nulls()}) if month else None,
            set_aside=quarantine.open_rows(session.data, asset),
            verdict=newest.verdict,
            run_id=run_id,
            as_of=newest.as_of,
            # A rollback brings back none of what was erased: earlier versions have been erased, too.
            is_kept=kept.are_kept(session) and kept.oldest(session.records, asset) < newest.version,
        )


class _TableErasure:
    """The erasure of the rows of one source table, wherever they are."""

    def __init__(
        self, session: Session, entry: SourceTable, ids: Collection[int], changes: bool, done: Erasure
    ) -> None:
        self.data = session.data
        self.records = session.records
        self.entry = entry
        self.ids = ids
        self.changes = changes
        self.done = done

    def erase(self, schema: str, name: str, columns: Sequence[str]) -> None:
        """Erase the people in a table with these columns of the source table."""
        relation = table(schema, name)
        key = [column for column in columns if column in {kept.VERSION, *key_of(self.entry)}]
        of_people = f"{quoted(id_column(self.entry))} in ({_listed(self.ids)})"
        before = self.data.frame(f"select {names(columns)} from {relation} where {of_people}", {})
        if is_left_out(self.entry):
            if self.changes and before.height:
                self.data.execute(f"delete from {relation} where {of_people}")
        else:
            cleared = [column.name for column in identifying(self.entry) if column.name in columns]
            if not cleared:
                return
            all_rows = pl.repeat(True, before.height, dtype=pl.Boolean, eager=True)
            after = protected(self.entry, pseudonymised(self.entry, before, all_rows))
            differs = pl.Series(
                [one != other for one, other in zip(before[cleared].rows(), after[cleared].rows(), strict=True)],
                dtype=pl.Boolean,
            )
            before, after = before.filter(differs), after.filter(differs)
            assigned = ", ".join(f"{quoted(column)} = %({column})s" for column in cleared)
            condition = " and ".join(f"{quoted(column)} = %({column})s" for column in key)
            if self.changes:
                for row in after.select([*cleared, *key]).iter_rows(named=True):
                    self.data.execute(f"update {relation} set {assigned} where {condition}", row)
        self.done.add(self.entry, f"{schema}.{name}", before)
        if schema == "raw" and before.height:
            self.done.changed[self.entry.asset] = before

    def erase_set_aside(self) -> None:
        """Erase the people in quarantine, whatever the status of the row."""
        held = _set_aside(self.data, self.entry)
        held = held.filter(belongs(self.entry, held, self.ids))
        if is_left_out(self.entry):
            if self.changes:
                for before in held.rows(named=True):
                    self._replace_set_aside(before[_KEY], before[_ROW], None)
            self.done.add(self.entry, "ops.quarantined_row", held)
            return
        changed = []
        for place, (before, old, new) in enumerate(self._without_person(held)):
            if new != old:
                changed.append(place)
                if self.changes:
                    self._replace_set_aside(before[_KEY], before[_ROW], as_json(new))
        self.done.add(self.entry, "ops.quarantined_row", held[changed])

    def _replace_set_aside(self, key: str, before: str, after: str | None) -> None:
        change = (
            "delete from ops.quarantined_row"
            if after is None
            else "update ops.quarantined_row set row_data = %(after)s"
        )
        self.data.execute(
            f"{change} where asset = %(asset)s and row_key = %(key)s and row_data = %(before)s",
            {"asset": self.entry.asset, "key": key, "before": before, "after": after},
        )

    def erase_corrections(self) -> None:
        """Delete the corrections of the people's rows, and what was decided on rows whose key identifies them.

        Of a correction that was taken back, the other values stay until the row is judged again: see `take_back`.
        """
        left_out = is_left_out(self.entry)
        waits = "kind = %(withdrawn)s and ended_at is null and not %(all)s"
        known = {"asset": self.entry.asset, "withdrawn": decisions.WITHDRAWN, "all": left_out}
        rows = self.records.execute(
            f"select row_key, coalesce(row_data, '{{}}'), {waits} from ops.row_decision"
            " where asset = %(asset)s and (row_data is not null or %(all)s)",
            known,
        ).fetchall()
        ended = self._mine((key, row) for key, row, waiting in rows if not waiting)
        if self.changes and ended.height:
            self.records.execute(
                f"delete from ops.row_decision where asset = %(asset)s and row_key = any(%(keys)s) and not ({waits})"
                " and (row_data is not null or %(all)s)",
                {**known, "keys": ended[_KEY].to_list()},
            )
        self.done.add(self.entry, "ops.row_decision", ended)
        waiting = self._mine({(key, row) for key, row, waiting in rows if waiting})
        changed = []
        for place, (before, old, new) in enumerate(self._without_person(waiting)):
            if new != old:
                changed.append(place)
                if self.changes:
                    # The digest of the source row has been computed from the erased values.
                    self.records.execute(
                        "update ops.row_decision set row_data = %(after)s, replaces = ''"
                        f" where asset = %(asset)s and row_key = %(key)s and row_data = %(before)s and {waits}",
                        {**known, "key": before[_KEY], "before": before[_ROW], "after": as_json(new)},
                    )
        self.done.add(self.entry, "ops.row_decision", waiting[changed])

    def _mine(self, rows: Iterable[tuple[str, str]]) -> pl.DataFrame:
        """Return those of some stored rows that are the people's."""
        found = _as_frame(rows)
        return found.filter(belongs(self.entry, found, self.ids))

    def _without_person(self, held: pl.DataFrame) -> Iterator[tuple[dict[str, Any], RowText, RowText]]:
        """Yield for each stored row of the people: the row, its values, and the values without what identifies them."""
        all_rows = pl.repeat(True, held.height, dtype=pl.Boolean, eager=True)
        after = pseudonymised(self.entry, held, all_rows)
        for before, row in zip(held.rows(named=True), after.rows(named=True), strict=True):
            old = json.loads(before[_ROW])
            yield before, old, {name: row[name] for name in old}


_KEY, _ROW = "__key", "__row"
"""Columns with the key and the values of a row as they are stored."""


def _set_aside(data: Data, entry: SourceTable) -> pl.DataFrame:
    """Return a table's rows in quarantine as text, each only once."""
    return _as_frame(
        data.execute(
            "select distinct row_key, row_data from ops.quarantined_row where asset = %s", (entry.asset,)
        ).fetchall()
    )


def _as_frame(rows: Iterable[tuple[str, str]]) -> pl.DataFrame:
    """Return rows that are stored as JSON, with the columns that any of them has."""
    found = [{**json.loads(key), **json.loads(row), _KEY: key, _ROW: row} for key, row in rows]
    columns = dict.fromkeys(name for row in found for name in row) or {_KEY: None, _ROW: None}
    return pl.DataFrame(found, schema=dict.fromkeys(columns, pl.String))
