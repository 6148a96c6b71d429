"""Filing the reports of a month, and knowing what was filed before.

A report is delivered anew only if its figures changed, be it those that it compares with. What readers are told of it
is measured against the figures that they know (`told`), however many revisions lie between.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any, Literal, Protocol

from psycopg.rows import dict_row

from adventureworks.catalog import ANALYSES, marts_of
from adventureworks.errors import PlatformError, ServiceUnavailable, is_failure
from adventureworks.incidents import Finding, ledger
from adventureworks.reports import month as months
from adventureworks.reports.month import Line, Month
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection

Status = Literal["new", "closed", "restated", "refreshed", "withdrawn", "unchanged"]
Kind = Literal["workbook", "document"]
KINDS: Mapping[Kind, str] = {"workbook": "xlsx", "document": "pdf"}
MEDIA_TYPES: Mapping[Kind, str] = {
    "workbook": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "document": "application/pdf",
}
PARTS = ("total", "region", "category")
OWN, PARTIAL = "own", "partial"

log = logging.getLogger(__name__)

Failures = dict[tuple[str, Kind], BaseException]
"""What kept a file of a month from being made or filed, by its language and kind."""

Figures = Mapping[str, Any]
"""Part -> name -> revenue and profit, as texts; `own`: a digest of the month's own sales; `partial`: whether it is."""


class Folder(Protocol):
    """A folder, be it on a disk or in an object store (Airflow's ObjectStoragePath, pathlib's Path)."""

    def __truediv__(self, name: str) -> Any:
        """What is in it under a name."""
        ...


@dataclass(frozen=True)
class Change:
    """A figure that readers know otherwise, USD."""

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

    `new`: the first ones that readers hear of; `closed`: the month was partial before and is whole now; `restated`: its
    own figures are not those that readers know; `refreshed`: only what it is compared with is; `withdrawn`: no order of
    it counts any more, and its files are gone; `unchanged`: what is filed still holds.
    """

    month: str
    status: Status
    revision: int
    is_partial: bool
    changes: tuple[Change, ...]
    """What the figures that readers know said otherwise."""
    files: tuple[File, ...]


class NotDelivered(PlatformError):
    """Reports that could not be made or filed. Each month has its incident."""


def deliver_each(settings: Settings, folder: Folder, keys: Iterable[str], run_id: str) -> Iterator[Delivery]:
    """Delivers month after month. One that fails opens its own incident, and stops no other.

    Raises NotDelivered, which names the months that failed, after the others are delivered; ServiceUnavailable where a
    database does not answer.
    """
    failed: dict[str, PlatformError] = {}
    for key in keys:
        try:
            yield deliver(settings, folder, key, run_id)
        except ServiceUnavailable:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("The reports of %s are not delivered.", key)
            failed[key] = _report_failure(settings, key, run_id, error)
    if failed:
        causes = " ".join(f"{key}: {error.cause}" for key, error in failed.items())
        one = len(failed) == 1
        raise NotDelivered(
            f"The reports of {len(failed)} month{'' if one else 's'} are not delivered. {causes}",
            next(iter(failed.values())).next_step,
        )


def _report_failure(settings: Settings, key: str, run_id: str, error: BaseException) -> PlatformError:
    """Opens or counts the incident of a month; gives the failure in words."""
    dag = run_id.partition("/")[0]
    known = error if isinstance(error, PlatformError) else None
    worded = PlatformError(
        known.cause if known else in_words(error),
        (known and known.next_step) or f"Fix the cause, then: airflow dags trigger {dag}",
    )
    finding = Finding(
        asset=dag,
        rule=ledger.task_rule(ledger.PER_MONTH, key),
        severity="error",
        summary=f"The reports of {key} are not delivered: {worded.cause}",
        next_step=worded.next_step,
        run_id=run_id,
        owner=marts_of(dag)[0].owner,
        cause=worded.cause,
    )
    with open_warehouse(settings).connect("report failure") as connection:
        ledger.report(connection, [finding])
    return worded


def in_words(error: BaseException) -> str:
    """What went wrong, without rows of data: the words of an operating system's error, else its kind."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return f"{type(error).__name__}."


def deliver(settings: Settings, folder: Folder, key: str, run_id: str) -> Delivery:
    """Makes and files the reports of a month in every language, unless they are there with the same figures.

    Where nothing of the month is sold any more, what was filed is withdrawn. The month's incident is resolved. Raises
    PlatformError where the figures do not agree, or no file can be made; then nothing is filed. A file that cannot be
    made stops no other: they are filed, then PlatformError is raised.
    """
    with open_warehouse(settings).connect("deliver reports") as connection:
        layout.prepare(connection)
        connection.commit()
        failures: Failures = {}
        done = _deliver(connection, settings, folder, key, run_id, failures)
        if not failures:
            ledger.resolve_rules(
                connection, run_id.partition("/")[0], {ledger.task_rule(ledger.PER_MONTH, key)}, run_id
            )
    if failures:
        raise _incomplete(failures)
    return done


def _deliver(
    connection: Connection, settings: Settings, folder: Folder, key: str, run_id: str, failures: Failures
) -> Delivery:
    try:
        found = months.figures(connection, key)
    except months.NothingSold:
        return _withdraw(connection, folder, key, run_id)
    known = _known(connection, key)
    digest = _digest(found)
    if known is not None and known["digest"] == digest:
        return _keep(connection, settings, folder, found, known, failures)
    revision = known["revision"] + 1 if known else 1
    filed = _file(connection, folder, found, revision, _wanted(settings), failures)
    if not filed:
        raise _incomplete(failures)
    status = _status(known, found)
    changes = tuple(_changes(_told(known), found)) if known and known["told"] else ()
    _note(connection, found, digest, revision, status, changes, run_id, known)
    return Delivery(key, status, revision, found.is_partial, changes, filed)


def _wanted(settings: Settings) -> set[tuple[str, Kind]]:
    """Language and kind of every file that a month has."""
    return set(product(settings.report_languages, KINDS))


def _incomplete(failures: Failures) -> PlatformError:
    """What the files that could not be made have in common: their first cause."""
    names = ", ".join(f"{KINDS[kind]} ({language})" for language, kind in sorted(failures))
    first = next(iter(failures.values()))
    if isinstance(first, PlatformError):
        return PlatformError(f"{names}: {first.cause}", first.next_step)
    return PlatformError(f"{names}: {in_words(first)}")


def _keep(
    connection: Connection,
    settings: Settings,
    folder: Folder,
    found: Month,
    known: Mapping[str, Any],
    failures: Failures,
) -> Delivery:
    """What is filed holds; it is made again where a file is missing, or a control total can be given now."""
    has_control, wanted = known["has_control"], _wanted(settings)
    if has_control or found.control_total is None:
        wanted -= {
            (file.language, file.kind)
            for file in files(connection, found.key)
            if file.revision == known["revision"] and (folder / file.path).exists()
        }
    _file(connection, folder, found, known["revision"], wanted, failures)
    has_control = has_control or (found.control_total is not None and not failures)
    connection.execute(
        "update ops.monthly_report set mart_version = %s, has_control = %s where month = %s",
        (found.version, has_control, found.key),
    )
    filed = tuple(files(connection, found.key))
    return Delivery(found.key, "unchanged", known["revision"], found.is_partial, (), filed)


def _withdraw(connection: Connection, folder: Folder, key: str, run_id: str) -> Delivery:
    """Takes the reports of a month away of which nothing is sold; readers who know of them are to hear of it."""
    known = _known(connection, key)
    if known is None or known["status"] == "withdrawn":
        return Delivery(key, "unchanged", known["revision"] if known else 0, False, (), ())
    changes = tuple(_changes_to(_told(known), {}))
    connection.execute(
        "update ops.monthly_report set status = 'withdrawn', revision = revision + 1, digest = '', figures = '{}',"
        " changes = %s, is_partial = false, has_control = true, run_id = %s, delivered_at = current_timestamp,"
        " announced = %s where month = %s",
        (_as_json(changes), run_id, not _is_reported(known), key),
    )
    gone = tuple(files(connection, key))
    connection.execute("delete from ops.report_file where month = %s", (key,))
    for file in gone:
        if (folder / file.path).exists():
            (folder / file.path).unlink()
    return Delivery(key, "withdrawn", known["revision"] + 1, False, changes, ())


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


def months_stale(settings: Settings, folder: Folder | None = None) -> tuple[str, ...]:
    """The months whose reports are older than a figure that they show, missing, of nothing any more, or not delivered.

    Oldest first.
    With the folder, those too of which a file is lost or was never made.
    """
    with open_warehouse(settings).connect("stale reports") as connection:
        layout.prepare(connection)
        rows = connection.execute("select distinct to_char(month, 'YYYY-MM') from marts.monthly_profit").fetchall()
        sold = {row[0] for row in rows}
        filed_now = connection.execute(
            "select month, mart_version, revision from ops.monthly_report where status <> 'withdrawn'"
        ).fetchall()
        reported: dict[str, int] = {month: version for month, version, _ in filed_now}
        news = publication.since(connection, "monthly_profit", min(reported.values(), default=0))
        waiting = {*_without_control(connection), *_not_delivered(connection)}
        filed = tuple(files(connection)) if folder else ()
    changed = {
        month
        for month, version in reported.items()
        if any(one.version > version and (one.months is None or months.shows(month, one.months)) for one in news)
    }
    there = {
        (file.month, file.revision, file.language, file.kind)
        for file in filed
        if folder and (folder / file.path).exists()
    }
    whole = _wanted(settings) if folder else set()
    lost = {month for month, _, revision in filed_now if any((month, revision, *one) not in there for one in whole)}
    return tuple(sorted((sold - set(reported)) | (set(reported) - sold) | changed | waiting | lost))


def _without_control(connection: Connection) -> list[str]:
    """The months whose reports promise another one, as newer orders had come in when they were made."""
    rows = connection.execute("select month from ops.monthly_report where not has_control order by month").fetchall()
    return [row[0] for row in rows]


def _not_delivered(connection: Connection) -> set[str]:
    """The months whose last delivery failed, in whole or in part."""
    dags = [name for name, analysis in ANALYSES.items() if analysis.reports]
    found = {ledger.task_of(one.rule)[1] for dag in dags for one in ledger.open_incidents(connection, dag)}
    return found - {""}


def _known(connection: Connection, key: str) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from ops.monthly_report where month = %s for update", (key,)).fetchone()


def _file(
    connection: Connection,
    folder: Folder,
    found: Month,
    revision: int,
    wanted: Collection[tuple[str, Kind]],
    failures: Failures,
) -> tuple[File, ...]:
    """Makes and files these reports of a month. One that cannot be made or written is put into `failures`."""
    filed = []
    for language, kind in sorted(wanted):
        path = f"monthly/{found.key}/{file_name(found.key, language, kind)}"
        try:
            content = made(found, language, kind)
            write_whole(folder / path, content)
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("%s is not filed.", path)
            failures[language, kind] = error
            continue
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
    try:
        draft.write_bytes(content)
        draft.rename(path)
    except OSError:
        # Half a file would keep the room on a full disk.
        draft.unlink(missing_ok=True)
        raise


def _note(
    connection: Connection,
    found: Month,
    digest: str,
    revision: int,
    status: Status,
    changes: Sequence[Change],
    run_id: str,
    known: Mapping[str, Any] | None,
) -> None:
    is_news = _is_news(connection, found, status, known)
    figures = json.dumps({**_kept(found), OWN: _own(found), PARTIAL: found.is_partial})
    connection.execute(
        "insert into ops.monthly_report (month, revision, digest, figures, changes, status, is_partial, mart_version,"
        " run_id, announced, told, has_control) values (%(month)s, %(revision)s, %(digest)s, %(figures)s, %(changes)s,"
        " %(status)s, %(is_partial)s, %(version)s, %(run_id)s, %(announced)s, %(told)s, %(has_control)s)"
        " on conflict (month) do update set"
        " revision = excluded.revision, digest = excluded.digest, figures = excluded.figures,"
        " changes = excluded.changes, status = excluded.status, is_partial = excluded.is_partial,"
        " mart_version = excluded.mart_version, run_id = excluded.run_id, delivered_at = current_timestamp,"
        " announced = excluded.announced, told = excluded.told, has_control = excluded.has_control",
        {
            "month": found.key,
            "revision": revision,
            "digest": digest,
            "figures": figures,
            "changes": _as_json(changes),
            "status": status,
            "is_partial": found.is_partial,
            "version": found.version,
            "run_id": run_id,
            "announced": not is_news,
            "told": _to_be_told(known, found, is_news, figures),
            "has_control": found.control_total is not None,
        },
    )


def _to_be_told(known: Mapping[str, Any] | None, found: Month, is_news: bool, figures: str) -> str | None:
    """The figures that readers know after this delivery: its own, unless a mail follows or they know a whole month."""
    keeps = is_news or (found.is_partial and known is not None and _is_reported(known))
    if not keeps:
        return figures
    told: str | None = known["told"] if known else None
    return told


def _is_news(connection: Connection, found: Month, status: Status, known: Mapping[str, Any] | None) -> bool:
    """A month that was over before the platform came is no news, and neither is one that is not over yet."""
    if found.is_partial:
        return False
    if status != "new" or (known and (not known["announced"] or known["status"] == "withdrawn")):
        return True
    newest = connection.execute("select max(month) from staging.sales_month where not is_partial").fetchone()
    return bool(newest and newest[0] == found.month)


def _status(known: Mapping[str, Any] | None, found: Month) -> Status:
    """Against what readers know, not against the revision before: they may never have heard of that."""
    if known is None:
        return "new"
    told = _told(known)
    if told and (found.is_partial or not told.get(PARTIAL)):
        same = told[OWN] == _own(found) if OWN in told else not any(_changes(told, found))
        return "refreshed" if same else "restated"
    was_partial = known["is_partial"] or known["status"] == "closed"
    return "closed" if was_partial and not found.is_partial else "new"


def _is_reported(known: Mapping[str, Any]) -> bool:
    """Whether readers know the figures of the whole month."""
    told = _told(known)
    return bool(told) and not told.get(PARTIAL)


def _told(known: Mapping[str, Any]) -> Figures:
    """The figures that readers know of; none of a month whose first report is not announced yet."""
    told: Figures = json.loads(known["told"] or "{}")
    return told


def _changes(before: Figures, found: Month) -> Iterator[Change]:
    """What the figures that readers know said otherwise, totals first."""
    return _changes_to(before, _kept(found))


def _changes_to(before: Figures, after: Figures) -> Iterator[Change]:
    for part in PARTS:
        old_lines, new_lines = before.get(part, {}), after.get(part, {})
        for name in dict.fromkeys([*new_lines, *old_lines]):
            old, new = old_lines.get(name, ("0", "0")), new_lines.get(name, ("0", "0"))
            for measure, was, now in zip(("revenue", "profit"), old, new, strict=True):
                if Decimal(was) != Decimal(now):
                    yield Change(part, name, measure, Decimal(was), Decimal(now))


def _kept(found: Month) -> Figures:
    def of(lines: Sequence[Line]) -> dict[str, tuple[str, str]]:
        return {line.name: (str(line.now.revenue), str(line.now.profit)) for line in lines}

    return dict(zip(PARTS, map(of, ([found.total], found.regions, found.categories)), strict=True))


def _own(found: Month) -> str:
    """A digest of what the month itself sold, whatever it is compared with and however products are called."""
    rows = sorted((s.territory, s.category, s.product_id, *map(str, astuple(s.amounts))) for s in found.sales)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _as_json(changes: Sequence[Change]) -> str:
    return json.dumps([asdict(change) for change in changes], default=str)


def _digest(found: Month) -> str:
    figures = asdict(found)
    for name in ("version", "sources", "as_of", "control_total"):
        # They say where the figures are from, not what they are.
        del figures[name]
    return hashlib.sha256(json.dumps(figures, default=str, sort_keys=True).encode()).hexdigest()
