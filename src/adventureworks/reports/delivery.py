"""Filing of the monthly reports, and tracking of what was filed before.

A report is delivered again only if one of its figures changed, including those of the months that it compares with.
Changes are announced relative to the figures last announced to readers (`announced_figures`), however many revisions
were filed in between.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal, Protocol

from psycopg.rows import dict_row

from adventureworks.catalog import ANALYSES
from adventureworks.errors import PlatformError, ServiceUnavailable, Step, is_failure
from adventureworks.incidents import Finding, events, ledger
from adventureworks.months import first_day, key_of, shifted
from adventureworks.reports import bridge
from adventureworks.reports import month as months
from adventureworks.reports.month import Line, Month
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_records, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data, Session

Status = Literal["new", "closed", "restated", "refreshed", "withdrawn", "unchanged"]
Kind = Literal["workbook", "document"]
KINDS: Mapping[Kind, str] = {"workbook": "xlsx", "document": "pdf"}
MEDIA_TYPES: Mapping[Kind, str] = {
    "workbook": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "document": "application/pdf",
}
PARTS = ("total", "region", "category")
THREADS = 3
"""How many months are delivered at a time. More would not be faster: only Typst and the databases work without Python's
lock, and a month takes about half of its time there."""
OWN, PARTIAL, OVER, AS_OF, BRIDGE, OTHER = "own", "partial", "over", "as_of", "profit_bridge", "other"

log = logging.getLogger(__name__)

Failures = dict[tuple[str, Kind], BaseException]
"""Errors that prevented a month's file from being rendered or filed, by language and kind."""

Figures = Mapping[str, Any]
"""Part -> name -> revenue and profit, as text; `own`: digest of the month's own sales; `partial` and `over`: whether it
is; `as_of`: the business date; `profit_bridge`: digest of the month's rows; `other`: digest of the sales per channel
and the names."""


class Folder(Protocol):
    """A folder on a disk or in an object store (Airflow's ObjectStoragePath, pathlib's Path)."""

    def __truediv__(self, name: str) -> Any:
        """Return the path of an entry."""
        ...


def folder_address(settings: Settings) -> str:
    """Return the address of the folder of all reports, by default in the platform's home."""
    return settings.reports_url or f"file://{settings.home.absolute() / 'reports'}"


def local_folder(settings: Settings) -> Path | None:
    """Return the environment's folder of reports if it is on this machine: then Airflow is not needed to reach it."""
    kind, _, path = folder_address(settings).partition("://")
    return Path(path) / settings.environment if kind == "file" else None


@dataclass(frozen=True)
class Change:
    """A figure that differs from the one last announced to readers, in USD."""

    part: str
    """`total`, `region` or `category`."""
    name: str
    measure: str
    """`revenue` or `profit`."""
    before: Decimal
    after: Decimal


@dataclass(frozen=True)
class File:
    """A filed report."""

    month: str
    language: str
    kind: Kind
    path: str
    """Path relative to the reports folder."""
    bytes: int
    revision: int
    delivered_at: datetime | None = None

    @property
    def name(self) -> str:
        """The file name without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Delivery:
    """The result of delivering a month's reports.

    `new`: nothing was announced before; `closed`: the month was partial and is now complete; `restated`: its own
    figures differ from those announced; `refreshed`: only the months that it is compared with changed; `withdrawn`:
    none of its orders counts any more, and its files were deleted; `unchanged`: the filed reports are up to date.
    """

    month: str
    status: Status
    revision: int
    is_partial: bool
    changes: tuple[Change, ...]
    """Differences from the figures announced to readers."""
    files: tuple[File, ...]


class NotDelivered(PlatformError):
    """Reports could not be rendered or filed. Each month concerned has its own incident."""


def deliver_all(settings: Settings, folder: Folder, keys: Iterable[str], run_id: str) -> Iterator[Delivery]:
    """Deliver the reports of several months, and yield each delivery. A month that fails does not stop the others.

    Several months are delivered at a time, so they may be yielded in another order. `keys` is only asked for a month
    that can be started. A month that fails opens an incident. Raises NotDelivered, which names the failed months, after
    the others are delivered, or ServiceUnavailable if a database does not respond.
    """
    failed: dict[str, PlatformError] = {}
    for key, outcome in _outcomes(lambda key: deliver(settings, folder, key, run_id), iter(keys)):
        try:
            yield outcome.result()
        except ServiceUnavailable:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            log.error("The reports for %s were not delivered.", key, exc_info=error)
            failed[key] = _report_failure(settings, key, run_id, error)
    if failed:
        failed = dict(sorted(failed.items()))
        causes = " ".join(f"{key}: {error.cause}" for key, error in failed.items())
        one = len(failed) == 1
        raise NotDelivered(
            f"The reports for {len(failed)} month{'' if one else 's'} were not delivered. {causes}",
            next(iter(failed.values())).next_step,
        )


def _outcomes(deliver_month: Callable[[str], Delivery], keys: Iterator[str]) -> Iterator[tuple[str, Future[Delivery]]]:
    """Deliver months in `THREADS` threads, and yield each one's key and finished future as soon as it has ended."""
    pool = ThreadPoolExecutor(THREADS)
    running: dict[Future[Delivery], str] = {}
    try:
        while True:
            running.update((pool.submit(deliver_month, key), key) for key in islice(keys, THREADS - len(running)))
            if not running:
                return
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(ended), ended
    finally:
        # If the task is ended, a file that hangs must not keep it from ending.
        pool.shutdown(wait=False)


def _report_failure(settings: Settings, key: str, run_id: str, error: BaseException) -> PlatformError:
    """Open or count the incident of a month, and return the error with its cause and next step."""
    dag = run_id.partition("/")[0]
    known = error if isinstance(error, PlatformError) else None
    failure = PlatformError(
        known.cause if known else describe_error(error),
        (known and known.next_step) or Step("Fix the cause, then:", f"airflow dags trigger {dag}"),
    )
    finding = Finding(
        asset=dag,
        rule=ledger.task_rule(ledger.PER_MONTH, key),
        event=events.report_not_delivered(key, failure.cause, known.next_step if known else Step()),
        run_id=run_id,
    )
    with open_records(settings).connect("report failure") as records:
        ledger.report(records, [finding])
    return failure


def describe_error(error: BaseException) -> str:
    """Describe an error without exposing data: an operating system's message, otherwise the exception's type."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return f"{type(error).__name__}."


def deliver(settings: Settings, folder: Folder, key: str, run_id: str) -> Delivery:
    """Render and file a month's reports in every language, unless they are already filed with the same figures.

    Return what was filed and what changed. If the month has no sales any more, its reports are withdrawn. The month's
    incident is resolved. If the figures do not match, or no file can be rendered, nothing is filed and PlatformError
    is raised. If only some files cannot be rendered, the others are filed before PlatformError is raised.
    """
    with open_warehouse(settings).connect("deliver reports") as session:
        layout.prepare(session)
        session.commit()
        failures: Failures = {}
        done = _deliver(session, settings, folder, key, run_id, failures)
        if not failures:
            ledger.resolve_rules(
                session.records, run_id.partition("/")[0], {ledger.task_rule(ledger.PER_MONTH, key)}, run_id
            )
    if failures:
        raise _incomplete(failures)
    return done


def _deliver(
    session: Session, settings: Settings, folder: Folder, key: str, run_id: str, failures: Failures
) -> Delivery:
    try:
        found = months.figures(session, key)
    except months.NoSales:
        return _withdraw(session.records, folder, key, run_id)
    known = _known(session.records, key)
    digest = _digest(found)
    if known is not None and known["digest"] == digest:
        return _keep(session, settings, folder, found, known, failures)
    revision = known["revision"] + 1 if known else 1
    filed = _file(session.records, folder, found, revision, _wanted(settings), failures)
    if not filed:
        raise _incomplete(failures)
    status = _status(known, found)
    changes = tuple(_changes(_announced(known), found)) if known and known["announced_figures"] else ()
    _record(session, found, digest, revision, status, changes, run_id, known)
    return Delivery(key, status, revision, found.is_partial, changes, filed)


def _wanted(settings: Settings) -> set[tuple[str, Kind]]:
    """Return language and kind of every file of a month."""
    return set(product(settings.report_languages, KINDS))


def _incomplete(failures: Failures) -> PlatformError:
    """Combine the failures of files into one error, with the first one's cause."""
    names = ", ".join(f"{KINDS[kind]} ({language})" for language, kind in sorted(failures))
    first = next(iter(failures.values()))
    if isinstance(first, PlatformError):
        return PlatformError(f"{names}: {first.cause}", first.next_step)
    return PlatformError(f"{names}: {describe_error(first)}")


def _keep(
    session: Session,
    settings: Settings,
    folder: Folder,
    found: Month,
    known: Mapping[str, Any],
    failures: Failures,
) -> Delivery:
    """Keep the filed reports, but render them again if a file is missing or a control total has become available."""
    records, has_control, wanted = session.records, known["has_control"], _wanted(settings)
    if has_control or found.control_total is None:
        wanted -= {
            (file.language, file.kind)
            for file in files(records, found.key)
            if file.revision == known["revision"] and (folder / file.path).exists()
        }
    _file(records, folder, found, known["revision"], wanted, failures)
    has_control = has_control or (found.control_total is not None and not failures)
    records.execute(
        "update ops.monthly_report set mart_version = %s, has_control = %s, figures = %s where month = %s",
        (found.version, has_control, _figures(session.data, found), found.key),
    )
    filed = tuple(files(records, found.key))
    return Delivery(found.key, "unchanged", known["revision"], found.is_partial, (), filed)


def _withdraw(records: Connection, folder: Folder, key: str, run_id: str) -> Delivery:
    """Withdraw the reports of a month without sales. If they were announced, the withdrawal will be, too."""
    known = _known(records, key)
    if known is None or known["status"] == "withdrawn":
        return Delivery(key, "unchanged", known["revision"] if known else 0, False, (), ())
    changes = tuple(_changes_to(_announced(known), {}))
    records.execute(
        "update ops.monthly_report set status = 'withdrawn', revision = revision + 1, digest = '', figures = '{}',"
        " changes = %s, is_partial = false, has_control = true, run_id = %s, delivered_at = current_timestamp,"
        " announced = %s where month = %s",
        (_as_json(changes), run_id, not _is_reported(known), key),
    )
    withdrawn = tuple(files(records, key))
    records.execute("delete from ops.report_file where month = %s", (key,))
    for file in withdrawn:
        if (folder / file.path).exists():
            (folder / file.path).unlink()
    return Delivery(key, "withdrawn", known["revision"] + 1, False, changes, ())


def render_file(found: Month, language: str, kind: Kind) -> bytes:
    """Return one of a month's reports as bytes. The same figures produce the same bytes."""
    from adventureworks import texts
    from adventureworks.reports.document import document
    from adventureworks.reports.workbook import workbook

    return (workbook if kind == "workbook" else document)(found, texts.language(language))


def file_name(key: str, language: str, kind: Kind) -> str:
    """Return a report's file name, for example `AdventureWorks-2014-05-en.xlsx`."""
    return f"AdventureWorks-{key}-{language}.{KINDS[kind]}"


def files(records: Connection, key: str | None = None) -> Iterator[File]:
    """Yield the filed reports of one month or of all, the newest month first."""
    rows = records.execute(
        "select f.month, f.language, f.kind, f.path, f.bytes, f.revision, m.delivered_at"
        " from ops.report_file as f join ops.monthly_report as m using (month)"
        " where %(month)s::varchar is null or f.month = %(month)s order by f.month desc, f.language, f.kind desc",
        {"month": key},
    ).fetchall()
    yield from (File(*row) for row in rows)


def stale_months(settings: Settings, folder: Folder | None = None) -> tuple[str, ...]:
    """Return the months whose reports must be delivered, oldest first.

    Their figures or names have changed, they have no report yet, no sales any more, no control total yet, or an open
    incident. With `folder`, also the months of which a file is missing.
    """
    with open_warehouse(settings).connect("stale reports") as session:
        layout.prepare(session)
        rows = session.data.execute("select distinct to_char(month, 'YYYY-MM') from marts.monthly_profit").fetchall()
        sold = {row[0] for row in rows}
        filed_now = session.records.execute(
            "select month, mart_version, revision, figures from ops.monthly_report where status <> 'withdrawn'"
        ).fetchall()
        reported: dict[str, int] = {month: version for month, version, *_ in filed_now}
        newer = publication.since(session.records, "monthly_profit", min(reported.values(), default=0))
        shown: dict[str, Figures] = {month: json.loads(figures) for month, *_, figures in filed_now}
        bridges, others = bridge.bridges(session.data), _digests(months.other_rows(session.data))
        newest = publication.newest(session.records, "monthly_profit")
        incomplete = {*_without_control(session.records), *_not_delivered(session.records)}
        filed = tuple(files(session.records)) if folder else ()
    changed = {
        month
        for month, version in reported.items()
        if any(one.version > version and (one.months is None or months.shows_any(month, one.months)) for one in newer)
        # Reports of earlier releases do not have these.
        or shown[month].get(BRIDGE) != _digest_of([asdict(one) for one in bridges.get(month, ())])
        or shown[month].get(OTHER) != _other(month, others)
    }
    existing = {
        (file.month, file.revision, file.language, file.kind)
        for file in filed
        if folder and (folder / file.path).exists()
    }
    wanted = _wanted(settings) if folder else set()
    missing = {
        month for month, _, revision, _ in filed_now if any((month, revision, *one) not in existing for one in wanted)
    }
    # The report of a month that is not over names the business date.
    moved = {
        month
        for month, figures in shown.items()
        if newest and not figures.get(OVER, True) and figures.get(AS_OF) != f"{newest.as_of}"
    }
    return tuple(sorted((sold - set(reported)) | (set(reported) - sold) | changed | moved | incomplete | missing))


def _without_control(records: Connection) -> list[str]:
    """Return the months whose reports lack a control total, because newer orders had arrived; a new one will follow."""
    rows = records.execute("select month from ops.monthly_report where not has_control order by month").fetchall()
    return [row[0] for row in rows]


def _not_delivered(records: Connection) -> set[str]:
    """Return the months whose last delivery failed completely or partly."""
    dags = [name for name, analysis in ANALYSES.items() if analysis.reports]
    found = {ledger.task_of(one.rule)[1] for dag in dags for one in ledger.open_incidents(records, dag)}
    return found - {""}


def _known(records: Connection, key: str) -> dict[str, Any] | None:
    with records.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from ops.monthly_report where month = %s for update", (key,)).fetchone()


def _file(
    records: Connection,
    folder: Folder,
    found: Month,
    revision: int,
    wanted: Collection[tuple[str, Kind]],
    failures: Failures,
) -> tuple[File, ...]:
    """Render and file these reports of a month. Errors are added to `failures`."""
    filed = []
    for language, kind in sorted(wanted):
        path = f"monthly/{found.key}/{file_name(found.key, language, kind)}"
        try:
            content = render_file(found, language, kind)
            write_atomically(folder / path, content)
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("%s was not filed.", path)
            failures[language, kind] = error
            continue
        records.execute(
            "insert into ops.report_file (month, language, kind, path, bytes, digest, revision)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict (month, language, kind) do update"
            " set path = excluded.path, bytes = excluded.bytes, digest = excluded.digest, revision = excluded.revision",
            (found.key, language, kind, path, len(content), hashlib.sha256(content).hexdigest(), revision),
        )
        filed.append(File(found.key, language, kind, path, len(content), revision))
    return tuple(filed)


def write_atomically(path: Any, content: bytes) -> None:
    """Write a file atomically. Object stores do so anyway."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if getattr(path, "protocol", "file") not in ("file", "", "local"):
        path.write_bytes(content)
        return
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.rename(path)
    except OSError:
        # A partial file would waste space on a full disk.
        part.unlink(missing_ok=True)
        raise


def _record(
    session: Session,
    found: Month,
    digest: str,
    revision: int,
    status: Status,
    changes: Sequence[Change],
    run_id: str,
    known: Mapping[str, Any] | None,
) -> None:
    is_news = _is_news(session.data, found, status, known)
    figures = _figures(session.data, found)
    session.records.execute(
        "insert into ops.monthly_report (month, revision, digest, figures, changes, status, is_partial, mart_version,"
        " run_id, announced, announced_figures, has_control)"
        " values (%(month)s, %(revision)s, %(digest)s, %(figures)s, %(changes)s, %(status)s, %(is_partial)s,"
        " %(version)s, %(run_id)s, %(announced)s, %(announced_figures)s, %(has_control)s)"
        " on conflict (month) do update set"
        " revision = excluded.revision, digest = excluded.digest, figures = excluded.figures,"
        " changes = excluded.changes, status = excluded.status, is_partial = excluded.is_partial,"
        " mart_version = excluded.mart_version, run_id = excluded.run_id, delivered_at = current_timestamp,"
        " announced = excluded.announced, announced_figures = excluded.announced_figures,"
        " has_control = excluded.has_control",
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
            "announced_figures": _announced_after(known, found, is_news, figures),
            "has_control": found.control_total is not None,
        },
    )


def _announced_after(known: Mapping[str, Any] | None, found: Month, is_news: bool, figures: str) -> str | None:
    """Return the figures that count as announced after this delivery.

    These are its own, unless an announcement will follow or figures of the complete month were already announced.
    """
    unchanged = is_news or (found.is_partial and known is not None and _is_reported(known))
    if not unchanged:
        return figures
    announced: str | None = known["announced_figures"] if known else None
    return announced


def _is_news(data: Data, found: Month, status: Status, known: Mapping[str, Any] | None) -> bool:
    """Return whether to announce this delivery: not for partial months, nor for history from before the first run."""
    if found.is_partial:
        return False
    if status != "new" or (known and (not known["announced"] or known["status"] == "withdrawn")):
        return True
    newest = data.execute("select max(month) from staging.sales_month where not is_partial").fetchone()
    return bool(newest and newest[0] == found.month)


def _status(known: Mapping[str, Any] | None, found: Month) -> Status:
    """Compare with the figures announced, not with the previous revision, which may never have been announced."""
    if known is None:
        return "new"
    announced = _announced(known)
    if announced and (found.is_partial or not announced.get(PARTIAL)):
        same = announced[OWN] == _own(found) if OWN in announced else not any(_changes(announced, found))
        return "refreshed" if same else "restated"
    was_partial = known["is_partial"] or known["status"] == "closed"
    return "closed" if was_partial and not found.is_partial else "new"


def _is_reported(known: Mapping[str, Any]) -> bool:
    """Return whether figures of the complete month were announced."""
    announced = _announced(known)
    return bool(announced) and not announced.get(PARTIAL)


def _announced(known: Mapping[str, Any]) -> Figures:
    """Return the figures last announced to readers; empty if none were."""
    announced: Figures = json.loads(known["announced_figures"] or "{}")
    return announced


def _changes(before: Figures, found: Month) -> Iterator[Change]:
    """Yield the differences from the figures announced to readers, totals first."""
    return _changes_to(before, _stored_figures(found))


def _changes_to(before: Figures, after: Figures) -> Iterator[Change]:
    for part in PARTS:
        old_lines, new_lines = before.get(part, {}), after.get(part, {})
        for name in dict.fromkeys([*new_lines, *old_lines]):
            old, new = old_lines.get(name, ("0", "0")), new_lines.get(name, ("0", "0"))
            for measure, was, now in zip(("revenue", "profit"), old, new, strict=True):
                if Decimal(was) != Decimal(now):
                    yield Change(part, name, measure, Decimal(was), Decimal(now))


def _stored_figures(found: Month) -> Figures:
    def of(lines: Sequence[Line]) -> dict[str, tuple[str, str]]:
        return {line.name: (str(line.now.revenue), str(line.now.profit)) for line in lines}

    return dict(zip(PARTS, map(of, ([found.total], found.regions, found.categories)), strict=True))


def _figures(data: Data, found: Month) -> str:
    """Return the `Figures` of a month, as JSON."""
    figures: Figures = {
        **_stored_figures(found),
        OWN: _own(found),
        PARTIAL: found.is_partial,
        OVER: found.is_over,
        AS_OF: f"{found.as_of}",
        BRIDGE: _digest_of([asdict(one) for one in found.bridge]),
        OTHER: _other(found.key, _digests(months.other_rows(data, found.month))),
    }
    return json.dumps(figures)


def _digests(rows: Mapping[str, Sequence[months.Row]]) -> dict[str, str]:
    """Return a digest of each month's rows."""
    return {month: _digest_of(of_month) for month, of_month in rows.items()}


def _other(key: str, digests: Mapping[str, str]) -> str:
    """Combine the digests of the months in a month's report, of what comes from elsewhere than `monthly_profit`."""
    first = first_day(key)
    return _digest_of([digests.get(key_of(shifted(first, -ago))) for ago in range(months.HISTORY_MONTHS)])


def _digest_of(content: object) -> str:
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()


def _own(found: Month) -> str:
    """Return a digest of the month's own sales, independent of other months and of product names."""
    rows = sorted((s.territory, s.category, s.product_id, *map(str, astuple(s.amounts))) for s in found.sales)
    return _digest_of(rows)


def _as_json(changes: Sequence[Change]) -> str:
    return json.dumps([asdict(change) for change in changes], default=str)


def _digest(found: Month) -> str:
    figures = {**asdict(found), OVER: found.is_over}
    # These describe the origin of the figures, not the figures; until the month is over, the story names its last day.
    for name in ("version", "sources", "control_total", *(("as_of",) if found.is_over else ())):
        del figures[name]
    return _digest_of(figures)
