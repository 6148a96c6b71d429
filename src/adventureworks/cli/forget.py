"""`adventureworks forget`: remove a person from the warehouse and keep the person from being read again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import typer

from adventureworks.cli.environment import locked, named, published
from adventureworks.cli.output import console, moment, table, who
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.gate import forget as forgetting
from adventureworks.gate.forget import Erasure
from adventureworks.incidents.privacy import plain_line
from adventureworks.reports import delivery
from adventureworks.settings import Settings
from adventureworks.warehouse import forgotten, open_records, open_warehouse
from adventureworks.warehouse.forgotten import Record, Replacements
from adventureworks.warehouse.state import is_laid_out

FILES = "filed reports"


@dataclass(frozen=True)
class _Found:
    """What an environment holds of a person."""

    settings: Settings
    places: Mapping[str, int]
    """The number of rows, or of filed reports, by place."""
    erasure: Erasure
    reports: Sequence[str]
    """The months whose filed reports name the person."""
    record: Record | None
    """None: the person is not forgotten there yet."""


def forget(settings: Settings, person: int, by: str | None, reason: str, dry_run: bool, yes: bool) -> None:
    """Forget a person in production and in every environment, or print what is found there.

    Raises `PlatformError` if there is no such person, unless there is a reason and a confirmation, or if filed reports
    are in an object store that only the environment of an embedded Airflow reaches.
    """
    if settings.warehouse_url is None and delivery.local_folder(settings) is None:
        raise PlatformError(
            "The reports are in an object store, and the connection to it is in this home's Airflow.",
            Step("Run the command there:", f"adventureworks shell adventureworks forget {person} …"),
        )
    if not dry_run and not reason.strip():
        raise PlatformError(
            "A reason is needed.", Step("For example:", f'adventureworks forget {person} --reason "request 17"')
        )
    with published(named(settings, ""), "forget", changes=not dry_run) as production:
        found: list[_Found] = []
        known = None
        for here in _environments(production):
            if one := _look(here, person, known):
                found.append(one)
                if not here.environment:
                    # Production comes first. An environment that reads its tables has copies of texts about the person.
                    known = one.erasure
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
        # Production comes last, so that a repetition after a crash still finds there which texts to search for.
        for one in reversed(found):
            _forget(one, known, person, who(by), plain_line(reason))
        # Environments that were built meanwhile. Those that are built from now on consult production's list.
        done = {one.settings.environment for one in found}
        for here in _environments(production):
            if here.environment not in done and (late := _look(here, person, known)):
                _forget(late, known, person, who(by), plain_line(reason))
    console().print(
        f"Person {person} is forgotten, and stays so whatever the source delivers. The platform computes the marts that"
        " read the changed tables. Earlier backups still hold the person: see docs/operate/forget.md",
        markup=False,
    )


def _environments(production: Settings) -> Iterator[Settings]:
    """Yield the settings of production and of each environment, if they have tables and records."""
    with open_warehouse(production).connect("forget") as session:
        names = ["", *sorted(session.data.environments() | session.records.environments())]
    for name in names:
        here = named(production, name)
        with open_warehouse(here).connect("forget") as session:
            if is_laid_out(session.records):
                yield here
            elif name and session.data.columns_in("raw"):
                console().print(
                    f"The environment {name} is not searched: it has tables, but its records are not here."
                    f" If nothing keeps it fresh: {as_typed(f'adventureworks environment drop {name} --force')}",
                    markup=False,
                )


def _look(here: Settings, person: int, known: Erasure | None) -> _Found | None:
    """Return what an environment holds of a person, or None if it does not know the person."""
    with open_warehouse(here).connect("forget") as session:
        if not forgetting.is_known(session, person):
            return None
        erasure = forgetting.look(session, person, known)
        record = forgotten.record_of(session.records, person)
        filed = list(delivery.files(session.records))
    reports = [file for file in filed if _mentions(here, file, erasure.replacements(person))]
    places = {**erasure.places, **({FILES: len(reports)} if reports else {})}
    return _Found(here, places, erasure, sorted({file.month for file in reports}), record)


def _mentions(here: Settings, file: delivery.File, replacements: Replacements) -> bool:
    path = _folder(here) / file.path
    return bool(replacements.texts) and path.exists() and forgetting.mentions(path.read_bytes(), replacements)


def _folder(here: Settings) -> delivery.Folder:
    if folder := delivery.local_folder(here):
        return folder
    # Imports Airflow, which knows the connections to object stores.
    from adventureworks.orchestration.storage import report_folder

    return report_folder(here)


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
        out.print(f"Nothing that identifies person {person} was found.", markup=False)


def _confirm(person: int) -> None:
    if not sys.stdin.isatty() or not typer.confirm(f"Forget person {person}? This cannot be taken back."):
        raise PlatformError("Nothing was changed.", "To skip the confirmation, add --yes.")


def _forget(found: _Found, known: Erasure | None, person: int, by: str, reason: str) -> None:
    here = found.settings
    # Production is locked already.
    with locked(here, "forget") if here.environment else nullcontext():
        if found.reports:
            folder = _folder(here)
            with open_records(here).connect("forget") as records:
                for file in delivery.files(records):
                    if file.month in found.reports:
                        # The next run of `financial_reporting` files what is missing.
                        (folder / file.path).unlink(missing_ok=True)
        forgetting.forget(here, person, by, reason, known)
