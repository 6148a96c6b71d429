"""`adventureworks backup`, `restore` and `restored`: the embedded databases saved, and life after a restore."""

from __future__ import annotations

from pathlib import Path

from adventureworks.cli.output import console
from adventureworks.cli.reading import writing
from adventureworks.embedded import backup as embedded
from adventureworks.recovery import NOTHING, reconcile
from adventureworks.settings import Settings
from adventureworks.warehouse.state import is_laid_out


def save(settings: Settings, folder: Path) -> None:
    """Backs the home up into a new folder, and says what is in it."""
    done = embedded.back_up(settings, folder.expanduser().absolute())
    console().print(
        f"Saved the databases as of {done.made_at:%Y-%m-%d %H:%M:%S} UTC, secrets and reports: {done.folder},"
        f" {done.bytes / 1e6:,.0f} MB. It holds passwords: keep it as safe as the home.",
        markup=False,
    )
    if settings.warehouse_url is not None:
        console().print("Not in it is the warehouse of ADVENTUREWORKS_WAREHOUSE_URL: see docs/operate/backup.md.")


def restore(settings: Settings, folder: Path, send_waiting: bool) -> None:
    """Makes a home of a back-up, and tells the platform that it is one."""
    done = embedded.restore(settings, folder.expanduser().absolute())
    console().print(f"Restored what was saved at {done.made_at:%Y-%m-%d %H:%M:%S} UTC: {settings.home}", markup=False)
    if settings.warehouse_url is None:
        restored(settings, send_waiting)
        console().print("Go on: adventureworks run")
    else:
        console().print("When the warehouse is restored too: adventureworks restored")


def restored(settings: Settings, send_waiting: bool) -> None:
    """Tells the platform, in every environment, that its records were restored."""
    done, on_snowflake = NOTHING, settings.warehouse == "snowflake"
    with writing(settings) as connection:
        # A dump holds the records of all.
        for name in ("", *sorted(connection.environments())):
            connection.environment = name
            if is_laid_out(connection):
                done += reconcile(connection, send_waiting, data_elsewhere=on_snowflake)
    if done.released:
        console().print(f"Will be sent after all: {done.released:,} {_messages(done.released)}.")
    if done.held:
        console().print(
            f"{done.held:,} {_messages(done.held)} that waited may have been sent since, and"
            " will not be sent (--send-waiting sends them). What is open: adventureworks incident list"
        )
    if not done.announced_again:
        console().print("Nothing was published yet.")
        return
    console().print(f"The next ingestion announces {done.announced_again:,} tables again.")
    if on_snowflake:
        console().print("It reads them whole, and every mart is computed anew: Snowflake is of another moment.")


def _messages(count: int) -> str:
    return "message" if count == 1 else "messages"
