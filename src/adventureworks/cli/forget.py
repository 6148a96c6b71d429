"""`adventureworks forget`: remove a person from the warehouse and keep the person from being read again."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import typer

from adventureworks.cli.environment import locked, named, published
from adventureworks.cli.output import console, moment, table, who
from adventureworks.errors import PlatformError, Step
from adventureworks.gate import forget as forgetting
from adventureworks.incidents.privacy import plain_line
from adventureworks.reports import delivery
from adventureworks.settings import Settings
from adventureworks.warehouse import forgotten, open_records, open_warehouse
from adventureworks.warehouse.forgotten import Record
from adventureworks.warehouse.state import is_laid_out

FILES = "filed reports"


@dataclass(frozen=True)
class _Found:
    """What an environment holds of a person."""

    settings: Settings
    places: Mapping[str, int]
    """The number of rows, or of filed reports, by place."""
    reports: Sequence[str]
    """The months whose filed reports name the person."""
    record: Record | None
    """None: the person is not forgotten there yet."""


def forget(settings: Settings, person: int, by: str | None, reason: str, dry_run: bool, yes: bool) -> None:
    """Forget a person in production and in every environment, or print what is found there.

    Raises `PlatformError` if there is no such person, or unless there is a reason and a confirmation.
    """
    if not dry_run and not reason.strip():
        raise PlatformError(
            "A reason is needed.", Step("For example:", f'adventureworks forget {person} --reason "request 17"')
        )
    with published(named(settings, ""), "forget", changes=not dry_run) as production:
        found = [one for here in _environments(production) if (one := _look(here, person))]
        if not found:
            raise PlatformError(
                f"There is no person with the id {person}.",
                Step("Look it up:", "adventureworks sql 'select * from raw.\"Person_Person\"'"),
            )
        _print(person, found)
        if dry_run:
            console().print("Nothing was changed.")
            return
        if not yes:
            _confirm(person)
        for one in found:
            _forget(one, person, who(by), plain_line(reason))
    console().print(
        f"Person {person} is forgotten, and stays so whatever the source delivers. The platform computes the marts that"
        " read the changed tables. Earlier backups still hold the person: see docs/operate/forget.md",
        markup=False,
    )


def _environments(production: Settings) -> Iterator[Settings]:
    """Yield the settings of production and of each environment, if they have tables."""
    with open_records(production).connect("forget") as records:
        names = ["", *sorted(records.environments())]
    for name in names:
        here = named(production, name)
        with open_records(here).connect("forget") as records:
            has_tables = is_laid_out(records)
        if has_tables:
            yield here


def _look(here: Settings, person: int) -> _Found | None:
    """Return what an environment holds of a person, or None if it does not know the person."""
    with open_warehouse(here).connect("forget") as session:
        if not forgetting.is_known(session, person):
            return None
        erasure = forgetting.look(session, person)
        record = forgotten.record_of(session.records, person)
        filed = list(delivery.files(session.records))
    reports = [file for file in filed if _mentions(here, file, erasure.replacements(person))]
    places = {**erasure.places, **({FILES: len(reports)} if reports else {})}
    return _Found(here, places, sorted({file.month for file in reports}), record)


def _mentions(here: Settings, file: delivery.File, texts: Collection[str]) -> bool:
    # Imports Airflow, which is slow, and needless if no report is filed.
    from adventureworks.orchestration.storage import report_folder

    path = report_folder(here) / file.path
    return bool(texts) and path.exists() and forgetting.mentions(path.read_bytes(), texts)


def _print(person: int, found: Sequence[_Found]) -> None:
    out = console()
    rows = [
        (one.settings.environment or "production", place, f"{number:,}")
        for one in found
        for place, number in sorted(one.places.items())
    ]
    for one in found:
        if one.record:
            where = f" in {one.settings.environment}" if one.settings.environment else ""
            out.print(
                f"Person {person} was forgotten{where} on {moment(one.record.forgotten_at)} by"
                f" {one.record.forgotten_by}.",
                markup=False,
            )
    if rows:
        out.print(table(("environment", "place", "rows"), rows, right=("rows",)))
    else:
        out.print(f"Nothing is found that identifies person {person}.", markup=False)


def _confirm(person: int) -> None:
    if not sys.stdin.isatty() or not typer.confirm(f"Forget person {person}? This cannot be taken back."):
        raise PlatformError("Nothing was changed.", "To forget without a question: add --yes")


def _forget(found: _Found, person: int, by: str, reason: str) -> None:
    here = found.settings
    # Production is locked already.
    with locked(here, "forget") if here.environment else nullcontext():
        if found.reports:
            from adventureworks.orchestration.storage import report_folder

            folder = report_folder(here)
            with open_records(here).connect("forget") as records:
                for file in delivery.files(records):
                    if file.month in found.reports:
                        # The next run of `financial_reporting` files what is missing.
                        (folder / file.path).unlink(missing_ok=True)
        forgetting.forget(here, person, by, reason)
