"""The steps of the tour on a running platform."""

from __future__ import annotations

import os
import time

from adventureworks.cli.progress import Progress
from adventureworks.cli.tour import TourContext, play, wait_for
from adventureworks.cli.tour_steps import STEPS, look
from adventureworks.embedded.services import services
from adventureworks.settings import Settings
from tests import command_line
from tests.e2e.running import RunningPlatform


def test_each_step_is_reached_and_leaves_everything_published(platform: RunningPlatform) -> None:
    settings = Settings(home=platform.home)
    with services(settings) as addresses:
        context = TourContext(
            settings,
            platform.ui,
            look=lambda: look(settings, addresses),
            progress=Progress(),
            rest=lambda: time.sleep(0.5),
            pause=lambda: None,
        )
        wait_for(context, "everything is published", lambda now: now.is_settled)
        for number, step in enumerate(STEPS, 1):
            play(number, step, context)
            assert context.look().is_settled, step.title
    assert platform.sql("warehouse", "select asset, rule from ops.incident where resolved_at is null") == []

    places = [place for step in STEPS for part in step.parts for place in part.where_to_look]
    for command in {place.command for place in places if place.command}:
        done = command_line.run(*command.split(), environment={**os.environ, "ADVENTUREWORKS_HOME": str(platform.home)})
        assert (done.returncode, done.stderr) == (0, ""), command
    for path in {place.path for place in places if place.path.startswith("/dags/")}:
        platform.api(f"/api/v2{path}")
