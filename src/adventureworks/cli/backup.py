"""`adventureworks backup`, `restore`, `restored` and `migrate`: the embedded databases, and records after a restore."""

from __future__ import annotations

from pathlib import Path

from adventureworks.cli.output import console
from adventureworks.cli.reading import writing
from adventureworks.embedded import backup as embedded
from adventureworks.errors import PlatformError, as_typed
from adventureworks.recovery import NOTHING, reconcile
from adventureworks.settings import Settings
from adventureworks.warehouse.layout import set_revision
from adventureworks.warehouse.state import is_laid_out


def save(settings: Settings, folder: Path) -> None:
    """Back the home up into a new folder, and print what the backup contains."""
    done = embedded.back_up(settings, folder.expanduser().absolute())
    console().print(
        f"Saved the databases as of {done.made_at:%Y-%m-%d %H:%M:%S} UTC, the secrets and the reports in {done.folder},"
        f" {done.bytes / 1e6:,.0f} MB. The backup contains passwords: keep it as safe as the home.",
        markup=False,
    )
    if settings.warehouse_url is not None:
        console().print(
            "It does not contain the warehouse at ADVENTUREWORKS_WAREHOUSE_URL: see docs/operate/backup.md."
        )


def restore(settings: Settings, folder: Path, send_waiting: bool) -> None:
    """Restore a backup into the home, and reconcile the records if the backup holds the warehouse."""
    done = embedded.restore(settings, folder.expanduser().absolute())
    console().print(f"Restored the backup of {done.made_at:%Y-%m-%d %H:%M:%S} UTC to {settings.home}", markup=False)
    if settings.warehouse_url is None:
        restored(settings, send_waiting)
        console().print(f"Next: {as_typed('adventureworks run')}", markup=False)
    else:
        console().print(f"Once the warehouse is restored too: {as_typed('adventureworks restored')}", markup=False)


def restored(settings: Settings, send_waiting: bool) -> None:
    """Reconcile the restored records of every environment."""
    done, on_snowflake = NOTHING, settings.warehouse == "snowflake"
    with writing(settings) as records:
        # A dump holds the records of all environments.
        for name in ("", *sorted(records.environments())):
            records.environment = name
            if is_laid_out(records):
                done += reconcile(records, send_waiting, data_elsewhere=on_snowflake)
    if done.released:
        console().print(f"{done.released:,} {_messages(done.released)} will be sent after all.")
    if done.held:
        console().print(
            f"{done.held:,} waiting {_messages(done.held)} may have been sent since the backup, and"
            " will not be sent (--send-waiting sends them). Open incidents:"
            f" {as_typed('adventureworks incident list')}",
            markup=False,
        )
    if not done.announced_again:
        console().print("Nothing has been published yet.")
        return
    console().print(f"The next ingestion announces {done.announced_again:,} tables again.")
    if on_snowflake:
        console().print(
            "It reads them completely, and every mart is recomputed: the data in Snowflake is from another moment."
        )


def migrate(settings: Settings, revision: str) -> None:
    """Bring the records of every environment to a revision. Raises `PlatformError` if there is no such revision."""
    with writing(settings) as records:
        for name in ("", *sorted(records.environments())):
            records.environment = name
            if is_laid_out(records):
                try:
                    reached = set_revision(records, revision)
                except PlatformError as error:
                    raise PlatformError(f"{name or 'Production'}: {error.cause}", error.next_step) from None
                # Each environment by itself: one that another version keeps must not hold back production.
                records.commit()
                console().print(f"{name or 'Production'}: the records have revision {reached}.", markup=False)


def _messages(count: int) -> str:
    return "message" if count == 1 else "messages"
