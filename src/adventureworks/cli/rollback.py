"""`adventureworks rollback`: give readers an earlier version of a table or mart, and release it later."""

from __future__ import annotations

from adventureworks import rollback as rolling_back
from adventureworks.catalog import MARTS, upstream_of
from adventureworks.cli.environment import published
from adventureworks.cli.output import console, table, who
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.incidents.privacy import plain_line
from adventureworks.settings import Settings


def rollback(settings: Settings, asset: str, to: int, reason: str, by: str | None) -> None:
    """Give readers an earlier version of a table or mart. Raises `PlatformError` if that is not possible."""
    if not reason.strip():
        raise PlatformError(
            "A rollback needs a reason.", Step("Give it:", f'adventureworks rollback {asset} --to {to} --reason "…"')
        )
    with published(settings, "rollback") as here:
        versions = rolling_back.roll_back(here, asset, to, who(by), plain_line(reason))
    out = console()
    rows = [
        (name, str(found.version), f"{found.rows:,}", f"{found.changed_rows:,}") for name, found in versions.items()
    ]
    out.print(table(("table or mart", "version", "rows", "changed"), rows, right=("version", "rows", "changed")))
    readers = [name for name in MARTS if versions.keys() & upstream_of(name)]
    out.print(
        f"Readers see version {to} of {asset} again, and nothing newer is published until:"
        f" {as_typed(f'adventureworks rollback {asset} --release')}",
        markup=False,
    )
    out.print(
        f"While the platform runs, it computes what reads from it: {', '.join(readers) or 'nothing'}.", markup=False
    )


def release(settings: Settings, asset: str, reason: str, by: str | None) -> None:
    """End a rollback. Raises `PlatformError` if the asset is not rolled back."""
    with published(settings, "rollback") as here:
        rolling_back.release(here, asset, who(by), plain_line(reason))
    console().print(f"{asset} is released: the platform publishes what is due.", markup=False)
