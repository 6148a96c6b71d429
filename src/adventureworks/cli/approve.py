"""`adventureworks approve`: publish a blocked table or a refused mart once, despite its failed checks."""

from __future__ import annotations

from adventureworks.catalog import MARTS, SOURCE_TABLES, entry_named
from adventureworks.cli.environment import published
from adventureworks.cli.output import console, who
from adventureworks.due import NothingToDo
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.gate import approval as of_tables
from adventureworks.incidents.privacy import plain_line
from adventureworks.marts import approval as of_marts
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse


def approve(settings: Settings, asset: str, reason: str, by: str | None) -> None:
    """Approve what was refused of an asset. Raises `PlatformError` if there is nothing that can be approved."""
    entry_named(asset)
    if not reason.strip():
        raise PlatformError(
            "An approval needs a reason.", Step("Give it:", f'adventureworks approve {asset} --reason "…"')
        )
    let_through = of_marts.approve if asset in MARTS else of_tables.approve
    with published(settings, "approve") as here:
        rules = let_through(here, asset, who(by), plain_line(reason))
        not_due = _why_no_run_computes(here, asset)
    follows = not_due or f"The platform publishes {asset} with its next run, unless its content changes first."
    console().print(
        f"Approved for one publication despite these failed rules: {', '.join(rules)}. {follows}"
        f" See: {as_typed(f'adventureworks status {asset}')}",
        markup=False,
    )


def _why_no_run_computes(here: Settings, asset: str) -> str:
    """Return why no run computes an approved mart, and what to do, as sentences; empty if a run does."""
    if asset in SOURCE_TABLES:
        return ""
    with open_warehouse(here).connect("approve") as session:
        step = decide_now(here, session).steps[MARTS[asset].dag]
    if not isinstance(step, NothingToDo):
        return ""
    return f"No run will compute {asset} now: {step.reason}. If a backfill was refused, repeat it."
