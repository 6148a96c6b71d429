"""`adventureworks tour`: show on sample data how the platform reacts to changes and faults.

The tour has a home of its own. Settings, connections and the source of the user are not used, so none of the user's
data is read or changed, and no message is sent to anybody.
"""

from __future__ import annotations

import io
import os
import select
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import psycopg

from adventureworks.cli.progress import Progress
from adventureworks.cli.run import RETRIES_WITHIN, SAMPLE, UNAVAILABLE, Outcome, bring_up_to_date, stop
from adventureworks.cli.tour_steps import STEPS, Part, Snapshot, Step, command_for, look, tidy
from adventureworks.embedded.home import Home
from adventureworks.embedded.platform import Platform
from adventureworks.embedded.services import services
from adventureworks.errors import COMMAND_VARIABLE, PlatformError
from adventureworks.errors import Step as NextStep
from adventureworks.settings import Settings
from adventureworks.source.embedded import prepare

FOLDER = "tour"
"""The tour's home, in the home of the user."""
MARK = "made_for_tour"
"""File that marks a home created by the tour."""
SCALE = 0.02
"""Size of the sample: enough for every figure."""
LIMIT_SECONDS = 600.0
"""Timeout for the platform to react to a part of a step."""
FOREIGN = ("ADVENTUREWORKS_", "AIRFLOW_", "OPENLINEAGE_", "OTEL_")
"""Prefixes of the variables that hold settings and connections of the user, and name the collectors of lineage and
metrics."""
KEPT = frozenset({"ADVENTUREWORKS_DAGS_FOLDER", "ADVENTUREWORKS_CHECKS_FOLDER"})
"""Settings that locate the program itself."""


@dataclass(frozen=True)
class TourContext:
    """What the steps share: a running platform, the screen and the clock."""

    settings: Settings
    url: str
    look: Callable[[], Snapshot]
    progress: Progress
    rest: Callable[[], None]
    """Wait for one second."""
    pause: Callable[[], None]
    """Return when the user wants to continue."""
    clock: Callable[[], float] = time.monotonic


def tour(settings: Settings, only: int | None, yes: bool) -> None:
    """Play all steps, or only one, on a platform that is started for them and stopped at the end.

    `yes`: do not wait for Enter. Raises `PlatformError` if the tour cannot start, or if the platform does not react as
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
            _play_all(numbers, _start(platform, progress, yes))
        finally:
            progress.clear()
            stop(platform, progress)


def run_command(settings: Settings, command: Sequence[str]) -> NoReturn:
    """Replace this process with an `adventureworks` command that uses the tour's data and none of the user's settings.

    Raises `PlatformError` if there was no tour yet.
    """
    home = Home(settings.home / FOLDER)
    if not home.remembered(MARK):
        raise PlatformError(f"There is no tour in {home.path} yet.", NextStep("Start it:", command_for(home.path)))
    own_settings(settings)
    os.environ["ADVENTUREWORKS_HOME"] = str(home.path)
    os.execv(sys.executable, [sys.executable, "-m", "adventureworks.cli", *command])  # noqa: S606 - the user's command


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

    From then on, messages show commands as they are typed to run on the tour's data. Raises `PlatformError` if the
    tour's home was not created by a tour, or reads another source than the sample.
    """
    home = Home(settings.home / FOLDER)
    source = home.remembered("source") or SAMPLE
    if source != SAMPLE or (home.postgres.exists() and not home.remembered(MARK)):
        raise PlatformError(
            f"{home.path} was used for something other than the tour, which changes and breaks data.",
            "Move it away, or choose another folder: ADVENTUREWORKS_HOME=DIR",
        )
    for name in [name for name in os.environ if name.startswith(FOREIGN) and name not in KEPT]:
        del os.environ[name]
    os.environ[COMMAND_VARIABLE] = command_for(home.path)
    home.prepare()
    home.remember(MARK, True)
    return Settings(home=home.path)


def play(number: int, step: Step, context: TourContext) -> None:
    """Play a step: say what is done, wait until the platform has reacted, and say where to look.

    Raises `PlatformError` if something cannot be done, or if the platform does not react in time.
    """
    note, home = context.progress.note, context.settings.home
    note(f"\nStep {number} of {len(STEPS)}: {step.title}")
    for part in step.parts:
        before = wait_for(context, "the platform answers", lambda _: True)
        note(f"\n{part.what}")
        if part.command:
            note(f"  The command: {command_for(home, part.command)}")
        _act(part, context)
        began = context.clock()
        now = wait_for(context, part.wait_for, partial(part.is_reached, before))
        note(f"{part.seen(before, now)} This took {context.clock() - began:.0f} seconds.")
        for place in part.where_to_look:
            note(f"  {place.shown(context.url, home)}")
        context.pause()


def _act(part: Part, context: TourContext) -> None:
    """Do what a part does, without its output: the part itself says what was done."""
    try:
        with redirect_stdout(io.StringIO()):
            part.act(context.settings)
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0]
        raise PlatformError(
            f"This failed: {part.what} The database answered: {reason}.", _next_step(context.settings.home)
        ) from error
    except PlatformError as error:
        raise PlatformError(f"This failed: {part.what} {error.cause}", error.next_step) from error


def _next_step(home: Path) -> NextStep:
    return NextStep("See what is wrong:", command_for(home, "status"))


def wait_for(context: TourContext, what: str, is_reached: Callable[[Snapshot], bool]) -> Snapshot:
    """Return the first snapshot in which a condition holds. Raises `PlatformError` after `LIMIT_SECONDS`.

    `what` is the end of a sentence that begins with "Waiting until".
    """
    context.progress.restart()
    deadline = context.clock() + LIMIT_SECONDS
    working = ""
    while True:
        try:
            now = context.look()
        except UNAVAILABLE:
            working = "a database does not answer"
        else:
            if is_reached(now):
                context.progress.clear()
                return now
            working = now.working
        if context.clock() > deadline:
            raise PlatformError(
                f"After {LIMIT_SECONDS / 60:.0f} minutes, this has not happened yet: {what}."
                f" Airflow: {working or 'no run is active'}.",
                _next_step(context.settings.home),
            )
        context.progress.show(f"Waiting until {what}", working)
        context.rest()


def _start(platform: Platform, progress: Progress, yes: bool) -> TourContext:
    """Start the platform, and return once everything is published."""
    home = platform.settings.home
    progress.note(
        f"The tour uses sample data in {home}. Your own settings, source and connections are not used.\n"
        f"To run a command on its data, write tour before it: {command_for(home, 'status')}"
    )
    outcome = bring_up_to_date(platform, SAMPLE, None, progress, RETRIES_WITHIN, SCALE)
    if problem := _problem(outcome):
        raise PlatformError(problem, _next_step(home))
    addresses = platform.endpoints

    def rest() -> None:
        platform.tick()
        time.sleep(1)

    def pause() -> None:
        if not yes:
            progress.note("Press Enter to continue, or Ctrl-C to stop.")
            _wait_for_enter(platform.tick)

    context = TourContext(
        platform.settings, platform.url, lambda: look(platform.settings, addresses), progress, rest, pause
    )
    wait_for(context, "everything is published", lambda now: now.is_settled)
    return context


def _problem(outcome: Outcome) -> str:
    """Return why the steps cannot be played on what is published; empty if they can."""
    problems = []
    if outcome.failed:
        problems.append(f"These tasks failed: {', '.join(f'{one.task} of {one.dag}' for one in outcome.failed)}.")
    if outcome.stale:
        problems.append(f"These marts are not fresh: {', '.join(outcome.stale)}.")
    if not outcome.states:
        problems.append("The sample data was not published.")
    return " ".join(problems)


def _play_all(numbers: Sequence[int], context: TourContext) -> None:
    note, home = context.progress.note, context.settings.home
    try:
        for number in numbers:
            play(number, STEPS[number - 1], context)
    except BaseException:
        context.progress.clear()
        note(f"If the source was left broken, the next tour repairs it: {command_for(home)}")
        raise
    note(
        "\nThe tour is over: everything is published, and nothing is broken."
        f" To continue with its data: {command_for(home, 'run')}. To free the space, delete {home}."
    )


def restore_source(settings: Settings) -> None:
    """Repair the source of an earlier tour before anything reads it.

    Raises `PlatformError` if a tour is in progress.
    """
    home = Home(settings.home)
    if owner := home.holder("run"):
        raise PlatformError(f"The platform of the tour is already running: process {owner['pid']}.", "Stop it first.")
    if home.postgres.exists():
        with services(settings) as addresses:
            prepare(addresses.source_owner_url)
            tidy(settings)


def _wait_for_enter(tick: Callable[[], None]) -> None:
    """Return once a line was typed, keeping the services alive. What was typed before does not count."""
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        tick()
    sys.stdin.readline()
