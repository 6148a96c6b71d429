"""Filing the reports of a month, and knowing what was filed before.

A report is delivered anew only if its figures changed: then `changes` say what the revision before said otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from psycopg.rows import dict_row

from adventureworks.reports import month as months
from adventureworks.reports.month import Line, Month
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection

Status = Literal["new", "closed", "restated", "unchanged"]
Kind = Literal["workbook", "document"]
KINDS: Mapping[Kind, str] = {"workbook": "xlsx", "document": "pdf"}
MEDIA_TYPES: Mapping[Kind, str] = {
    "workbook": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "document": "application/pdf",
}


class Folder(Protocol):
    """A folder, be it on a disk or in an object store (Airflow's ObjectStoragePath, pathlib's Path)."""

    def __truediv__(self, name: str) -> Any:
        """What is in it under a name."""
        ...


@dataclass(frozen=True)
class Change:
    """A figure that the revision before said otherwise, USD."""

    part: str
    """`total`, `region` or `category`."""
    name: str
    measure: str
    """`revenue` or `profit`."""
    before: Decimal
    after: Decimal


@dataclass(frozen=True)
class File:
    """A report that is filed."""

    month: str
    language: str
    kind: Kind
    path: str
    """Below the folder of reports."""
    bytes: int
    revision: int
    delivered_at: datetime | None = None

    @property
    def name(self) -> str:
        """The name of the file alone."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Delivery:
    """What became of the reports of a month.

    `new`: the first ones; `closed`: the month was partial before and is whole now; `restated`: its figures changed.
    """

    month: str
    status: Status
    revision: int
    is_partial: bool
    changes: tuple[Change, ...]
    files: tuple[File, ...]


def deliver(settings: Settings, folder: Folder, key: str, run_id: str) -> Delivery:
    """Makes and files the reports of a month in every language, unless they are there with the same figures.

    Raises PlatformError where the figures do not agree; then nothing is filed.
    """
    with open_warehouse(settings).connect("deliver reports") as connection:
        layout.prepare(connection)
        connection.commit()
        found = months.figures(connection, key)
        digest = _digest(found)
        known = _known(connection, key)
        there = tuple(files(connection, key))
        same = known is not None and known["digest"] == digest
        complete = {(file.language, file.kind) for file in there if (folder / file.path).exists()}
        if same and known and complete >= {(code, kind) for code in settings.report_languages for kind in KINDS}:
            connection.execute("update ops.monthly_report set mart_version = %s where month = %s", (found.version, key))
            return Delivery(key, "unchanged", known["revision"], found.is_partial, (), there)
        revision = known["revision"] if known and same else known["revision"] + 1 if known else 1
        filed = tuple(_file(connection, folder, found, code, revision) for code in settings.report_languages)
        if known and same:
            return Delivery(key, "unchanged", revision, found.is_partial, (), _flat(filed))
        status = _status(known, found)
        changes = tuple(_changes(json.loads(known["figures"]), found)) if known else ()
        _note(connection, found, digest, revision, status, changes, run_id)
        return Delivery(key, status, revision, found.is_partial, changes, _flat(filed))


def made(found: Month, language: str, kind: Kind) -> bytes:
    """One report of a month, as a file. The same figures give the same bytes."""
    from adventureworks.reports.document import document
    from adventureworks.reports.workbook import workbook
    from adventureworks.texts import language as speech

    return (workbook if kind == "workbook" else document)(found, speech(language))


def file_name(key: str, language: str, kind: Kind) -> str:
    """`AdventureWorks-2014-05-en.xlsx`."""
    return f"AdventureWorks-{key}-{language}.{KINDS[kind]}"


def files(connection: Connection, key: str | None = None) -> Iterator[File]:
    """The reports that are filed, of one month or of all, the newest month first."""
    rows = connection.execute(
        "select f.month, f.language, f.kind, f.path, f.bytes, f.revision, m.delivered_at"
        " from ops.report_file as f join ops.monthly_report as m using (month)"
        " where %(month)s::varchar is null or f.month = %(month)s order by f.month desc, f.language, f.kind desc",
        {"month": key},
    ).fetchall()
    yield from (File(*row) for row in rows)


def months_stale(settings: Settings) -> tuple[str, ...]:
    """The months whose reports are older than their figures, or missing; oldest first."""
    with open_warehouse(settings).connect("stale reports") as connection:
        layout.prepare(connection)
        sold = connection.execute("select distinct to_char(month, 'YYYY-MM') from marts.monthly_profit").fetchall()
        rows = connection.execute("select month, mart_version from ops.monthly_report").fetchall()
        reported: dict[str, int] = dict(rows)
        news = publication.since(connection, "monthly_profit", min(reported.values(), default=0))
    changed = {
        month
        for month, version in reported.items()
        if any(one.version > version and (one.months is None or month in one.months) for one in news)
    }
    return tuple(sorted(key for (key,) in sold if key not in reported or key in changed))


def _known(connection: Connection, key: str) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from ops.monthly_report where month = %s for update", (key,)).fetchone()


def _file(connection: Connection, folder: Folder, found: Month, language: str, revision: int) -> tuple[File, ...]:
    filed = []
    for kind in KINDS:
        content = made(found, language, kind)
        path = f"monthly/{found.key}/{file_name(found.key, language, kind)}"
        write_whole(folder / path, content)
        connection.execute(
            "insert into ops.report_file (month, language, kind, path, bytes, digest, revision)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict (month, language, kind) do update"
            " set path = excluded.path, bytes = excluded.bytes, digest = excluded.digest, revision = excluded.revision",
            (found.key, language, kind, path, len(content), hashlib.sha256(content).hexdigest(), revision),
        )
        filed.append(File(found.key, language, kind, path, len(content), revision))
    return tuple(filed)


def write_whole(path: Any, content: bytes) -> None:
    """Writes a file whole or not at all. An object store does so by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if getattr(path, "protocol", "file") not in ("file", "", "local"):
        path.write_bytes(content)
        return
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(content)
    draft.rename(path)


def _note(
    connection: Connection,
    found: Month,
    digest: str,
    revision: int,
    status: Status,
    changes: Sequence[Change],
    run_id: str,
) -> None:
    newest = connection.execute("select max(month) from staging.sales_month where not is_partial").fetchone()
    is_newest = bool(newest and newest[0] == found.month)
    # A month that was over before the platform came is no news, and neither is one that is not over yet.
    is_news = not found.is_partial and (status in ("closed", "restated") or is_newest)
    connection.execute(
        "insert into ops.monthly_report (month, revision, digest, figures, changes, status, is_partial, mart_version,"
        " run_id, announced) values (%(month)s, %(revision)s, %(digest)s, %(figures)s, %(changes)s, %(status)s,"
        " %(is_partial)s, %(version)s, %(run_id)s, %(announced)s) on conflict (month) do update set"
        " revision = excluded.revision, digest = excluded.digest, figures = excluded.figures,"
        " changes = excluded.changes, status = excluded.status, is_partial = excluded.is_partial,"
        " mart_version = excluded.mart_version, run_id = excluded.run_id, delivered_at = current_timestamp,"
        " announced = excluded.announced",
        {
            "month": found.key,
            "revision": revision,
            "digest": digest,
            "figures": json.dumps(_kept(found)),
            "changes": json.dumps([asdict(change) for change in changes], default=str),
            "status": status,
            "is_partial": found.is_partial,
            "version": found.version,
            "run_id": run_id,
            "announced": not is_news,
        },
    )


def _status(known: Mapping[str, Any] | None, found: Month) -> Status:
    if known is None:
        return "new"
    return "closed" if known["is_partial"] and not found.is_partial else "restated"


def _changes(before: Mapping[str, Mapping[str, Sequence[str]]], found: Month) -> Iterator[Change]:
    """What the figures kept of the revision before say otherwise, totals first."""
    after = _kept(found)
    for part, lines in after.items():
        for name in dict.fromkeys([*lines, *before.get(part, {})]):
            old, new = before.get(part, {}).get(name, ("0", "0")), lines.get(name, ("0", "0"))
            for measure, was, now in zip(("revenue", "profit"), old, new, strict=True):
                if Decimal(was) != Decimal(now):
                    yield Change(part, name, measure, Decimal(was), Decimal(now))


def _kept(found: Month) -> dict[str, dict[str, tuple[str, str]]]:
    def of(lines: Sequence[Line]) -> dict[str, tuple[str, str]]:
        return {line.name: (str(line.now.revenue), str(line.now.profit)) for line in lines}

    return {"total": of([found.total]), "region": of(found.regions), "category": of(found.categories)}


def _digest(found: Month) -> str:
    figures = asdict(found)
    for name in ("version", "sources", "as_of", "control_total"):
        # They say where the figures are from, not what they are.
        del figures[name]
    return hashlib.sha256(json.dumps(figures, default=str, sort_keys=True).encode()).hexdigest()


def _flat(filed: Sequence[Sequence[File]]) -> tuple[File, ...]:
    return tuple(file for files_of_language in filed for file in files_of_language)
