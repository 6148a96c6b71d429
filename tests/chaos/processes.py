"""Plays rounds in several processes at a time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

from tests.chaos.platform import Platform
from tests.chaos.rounds import Result, draw, play
from tests.conftest import TEMPORARY
from tests.integration.channels import receiving


def played(seeds: Sequence[int], workers: int) -> Iterator[Result]:
    """Play rounds in several processes, each with a platform of its own, and yield their results as they end.

    A single round is played in this process, with its log. Raises RuntimeError if a process ends before its rounds.
    """
    if len(seeds) == 1:
        yield from _play(seeds, print)
        return
    context = multiprocessing.get_context("spawn")
    playing: dict[Connection, SpawnProcess] = {}
    broken = []
    for share in range(workers):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(seeds[share::workers], sender))
        process.start()
        sender.close()
        playing[receiver] = process
    try:
        while playing:
            for receiver in cast("list[Connection]", wait(list(playing))):
                try:
                    yield receiver.recv()
                except EOFError:
                    process = playing.pop(receiver)
                    process.join()
                    if process.exitcode:
                        broken.append(process.exitcode)
    finally:
        # After Ctrl-C, which each of them got as well.
        for process in playing.values():
            process.join()
    if broken:
        raise RuntimeError(f"processes ended before their rounds, with the codes {broken}")


def _send(seeds: Sequence[int], sender: Connection) -> None:
    """Play rounds and send their results."""
    with suppress(KeyboardInterrupt):
        for result in _play(seeds):
            sender.send(result)


def _play(seeds: Sequence[int], log: Callable[[str], None] | None = None) -> Iterator[Result]:
    """Play rounds with one platform and yield their results. With a `log`, the output of tasks is shown too."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=TEMPORARY) as folder, receiving() as inbox:
        # PostgreSQL's account passes through the folder.
        Path(folder).chmod(0o711)
        # Airflow writes its configuration there when it is imported.
        os.environ["AIRFLOW_HOME"] = f"{folder}/airflow"
        platform = Platform(Path(folder), inbox, shows_tasks=log is not None)
        with platform.running():
            logging.getLogger("mail.log").setLevel(logging.WARNING)
            print(f"prepared in {time.monotonic() - begun:.0f} s", flush=True)
            if not platform.has_disk:
                print("No disk can be made full here: that takes the right to mount a file system.")
            for seed in seeds:
                yield play(platform, draw(seed), log or (lambda line: None))
