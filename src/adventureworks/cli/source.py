"""`adventureworks source …`: fill or change the embedded source database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adventureworks.cli.output import console
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, Step
from adventureworks.settings import Settings


def generate(settings: Settings, scale: float, seed: int) -> None:
    """Replace the contents of the embedded source with generated data."""
    from adventureworks.source.embedded import load_tables, prepare
    from adventureworks_sample import generate as tables

    if scale <= 0:
        raise PlatformError(f"The scale is {scale}; it must be greater than 0.", "For example: --scale 1")
    with services(settings) as addresses:
        prepare(addresses.source_owner_url)
        _report(load_tables(addresses.source_owner_url, tables(scale, seed), _progress), "generated")


def load(settings: Settings, folder: Path, allow_missing: bool) -> None:
    """Replace the contents of the embedded source with the files of a folder."""
    from adventureworks.source.embedded import load_folder, prepare

    if not folder.is_dir():
        raise PlatformError(
            f"{folder} is not a folder.", Step("Give a folder of files:", "adventureworks source load DIR")
        )
    with services(settings) as addresses:
        prepare(addresses.source_owner_url)
        _report(load_folder(addresses.source_owner_url, folder, _progress, allow_missing), "loaded")


def simulate(settings: Settings, days: int, seed: int | None) -> None:
    """Simulate days of business in the embedded source."""
    from adventureworks.source.embedded import is_empty, prepare
    from adventureworks_sample import simulate as simulate_days

    with services(settings) as addresses:
        prepare(addresses.source_owner_url)
        if is_empty(addresses.source_owner_url):
            raise PlatformError(
                "The embedded source is empty.", Step("Fill it first:", "adventureworks source generate")
            )
        url = addresses.source_owner_url.get_secret_value()
        _report(simulate_days(url, days, seed, lambda day, rows: print(f"{day}: {rows:,} rows", flush=True)), "changed")


def change(settings: Settings, statements: Sequence[str]) -> None:
    """Run SQL statements on the embedded source, all in one transaction."""
    import psycopg

    with services(settings) as addresses, psycopg.connect(addresses.source_owner_url.get_secret_value()) as connection:
        try:
            for statement in statements:
                done = connection.execute(statement.encode())
                console().print(done.statusmessage or "done", markup=False)
        except psycopg.Error as error:
            message = (error.diag.message_primary or str(error).strip().splitlines()[0]).rstrip(".")
            raise PlatformError(f"The source rejected the statement: {message}.", "Nothing was changed.") from None


def _progress(asset: str, rows: int) -> None:
    print(f"{asset}: {rows:,} rows", flush=True)


def _report(rows: Mapping[str, int], what: str) -> None:
    console().print(f"{sum(rows.values()):,} rows in {len(rows)} tables {what}.")
