"""`adventureworks tour`: show on sample data how the platform reacts to changes and faults.

The tour has a home of its own. Settings, connections and the source of the user are not used, so nothing of the user is
read or changed, and no message is sent to anybody.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from adventureworks.cli.progress import Progress
from adventureworks.cli.run import RETRIES_WITHIN, SAMPLE, bring_up_to_date, stop
from adventureworks.cli.tour_steps import STEPS, Condition, Snapshot, Step, command_for, look, tidy
from adventureworks.embedded.home import Home
from adventureworks.embedded.platform import Platform
from adventureworks.embedded.services import services
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.errors import Step as NextStep
from adventureworks.settings import Settings
from adventureworks.source.embedded import prepare

FOLDER = "tour"
"""The tour's home, in the home of the user."""
MARK = "made_for_tour"
"""Under this name, the tour's home remembers that the tour created it."""
SCALE = 0.02
"""Size of the sample: enough for every figure, and a minute to publish."""
LIMIT_SECONDS = 600.0
"""How long a step waits for the platform."""
FOREIGN = ("ADVENTUREWORKS_", "AIRFLOW_")
"""Prefixes of the variables that hold settings and connections of the user."""
KEPT = frozenset({"ADVENTUREWORKS_DAGS_FOLDER", "ADVENTUREWORKS_CHECKS_FOLDER"})
"""Settings that say where the program itself is."""


@dataclass(frozen=True)
class Stage:
    """What the steps are played on: a running platform and a screen."""

    settings: Settings
    url: str
    look: Callable[[], Snapshot]
    progress: Progress
    rest: Callable[[], None]
    """Let a second pass."""
    pause: Callable[[], None]
    """Return when the user wants to go on."""
    clock: Callable[[], float] = time.monotonic


def tour(settings: Settings, only: int | None, yes: bool) -> None:
    """Play all steps, or only one, on a platform that is started for them and stopped at the end.

    `yes`: do not wait for Enter. Raises `PlatformError` if the tour cannot be given, or the platform does not react as
    expected.
    """
    if not yes and not sys.stdin.isatty():
        raise PlatformError(
            "There is no terminal on which to press Enter.", NextStep("Without pauses:", "adventureworks tour --yes")
        )
    numbers = numbers_of(only)
    here = own_settings(settings)
    restore_source(here)
    with Progress() as progress:
        platform = Platform(here, progress.note)
        try:
            _play_all(platform, progress, numbers, yes)
        except SystemExit:
            progress.clear()
            progress.note("Stopping. The next tour repairs what this one has broken: adventureworks tour")
            raise
        finally:
            progress.clear()
            stop(platform, progress)


def numbers_of(only: int | None) -> list[int]:
    """Return the numbers of the steps to play. Raises `PlatformError` if there is no such step."""
    known = list(range(1, len(STEPS) + 1))
    if only is None:
        return known
    if only not in known:
        raise PlatformError(f"There is no step {only}.", f"Choose one from 1 to {len(STEPS)}.")
    return [only]


def own_settings(settings: Settings) -> Settings:
    """Return the settings of the tour, and remove those of the user from the environment, which services inherit.

    Raises `PlatformError` if the tour's home was not created by a tour, or reads another source than the sample.
    """
    home = Home(settings.home / FOLDER)
    source = home.remembered("source") or SAMPLE
    if source != SAMPLE or (home.postgres.exists() and not home.remembered(MARK)):
        raise PlatformError(
            f"{home.path} was used for something else than the tour, which changes and breaks data.",
            "Move it away, or choose another folder: ADVENTUREWORKS_HOME=DIR",
        )
    for name in [name for name in os.environ if name.startswith(FOREIGN) and name not in KEPT]:
        del os.environ[name]
    home.prepare()
    home.remember(MARK, True)
    return Settings(home=home.path)


def play(number: int, step: Step, stage: Stage) -> None:
    """Play a step: say what was done, wait until the platform has reacted, and say where to look.

    Raises `PlatformError` if it does not react in time.
    """
    note = stage.progress.note
    note(f"\nStep {number} of {len(STEPS)}: {step.title}")
    for part in step.parts:
        before = stage.look()
        note(f"\n{part.what}")
        part.act(stage.settings)
        began = stage.clock()
        now = wait_for(stage, part.wait_for, part.is_reached, before)
        stage.progress.clear()
        note(f"{part.seen(before, now)} This took {stage.clock() - began:.0f} seconds.")
        for place in part.where_to_look:
            note(f"  {place.shown(stage.url, stage.settings.home)}")
        stage.pause()


def wait_for(stage: Stage, what: str, is_reached: Condition, before: Snapshot) -> Snapshot:
    """Return the first snapshot in which a condition holds. Raises `PlatformError` after `LIMIT_SECONDS`.

    `what` is the end of a sentence that begins with "Waiting until".
    """
    stage.progress.restart()
    deadline = stage.clock() + LIMIT_SECONDS
    now = before
    while True:
        try:
            now = stage.look()
        except (ServiceUnavailable, psycopg.OperationalError):
            # The supervisor restarts a database that has died.
            pass
        else:
            if is_reached(before, now):
                return now
        if stage.clock() > deadline:
            raise PlatformError(
                f"In {LIMIT_SECONDS / 60:.0f} minutes, this did not happen: {what}."
                f" Airflow: {now.working or 'no run is active'}.",
                NextStep("See what is wrong:", command_for(stage.settings.home, "status")),
            )
        stage.progress.show(f"Waiting until {what}{f' ({now.working})' if now.working else ''}")
        stage.rest()


def _play_all(platform: Platform, progress: Progress, numbers: list[int], yes: bool) -> None:
    home = platform.settings.home
    progress.note(f"The tour uses sample data in {home}. Your own settings, source and connections are not used.")
    outcome = bring_up_to_date(platform, SAMPLE, None, progress, RETRIES_WITHIN, SCALE)
    if not outcome.states:
        raise PlatformError("The sample data was not published.", f"The logs: {platform.home.logs}")
    addresses = platform.endpoints

    def rest() -> None:
        platform.tick()
        time.sleep(1)

    def pause() -> None:
        if not yes:
            progress.note("Press Enter to go on, or Ctrl-C to stop.")
            _wait_for_enter(platform.tick)

    stage = Stage(platform.settings, platform.url, lambda: look(platform.settings, addresses), progress, rest, pause)
    wait_for(stage, "everything is published", lambda _, now: now.is_settled, stage.look())
    progress.clear()
    for number in numbers:
        play(number, STEPS[number - 1], stage)
    progress.note(
        f"\nThe tour is over: everything is published, and nothing is broken. To go on with its data:"
        f" {command_for(home, 'run')}. To free the space, delete {home}."
    )


def restore_source(settings: Settings) -> None:
    """Repair the source of an earlier tour before anything reads it. Raises `PlatformError` if a tour is going on."""
    home = Home(settings.home)
    if owner := home.holder("run"):
        raise PlatformError(f"The platform of the tour is already running: process {owner['pid']}.", "Stop it first.")
    if home.postgres.exists():
        with services(settings) as addresses:
            prepare(addresses.source_owner_url)
            tidy(settings)


def _wait_for_enter(tick: Callable[[], None]) -> None:
    """Return once a line was typed, and look after the services meanwhile."""
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        tick()
    sys.stdin.readline()
