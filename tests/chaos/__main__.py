"""Plays rounds of the chaos suite: python -m tests.chaos [--rounds N] [--seed N] [--workers N] [--table]."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from tests.chaos.faults import Kind
from tests.chaos.platform import Platform
from tests.chaos.report import write
from tests.chaos.rounds import Result, draw, play
from tests.conftest import TEMPORARY
from tests.integration.channels import receiving


def main() -> int:
    """Play the rounds, print one line for each, and return 1 if one of them failed, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others have the numbers after it")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many rounds are played at a time")
    parser.add_argument("--table", action="store_true", help="write the results to docs/chaos.md")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.rounds)
    results: list[Result] = []
    begun = time.monotonic()
    try:
        for result in _played(seeds, min(options.workers, options.rounds)):
            results.append(result)
            _tell(result, len(results), options.rounds)
    except KeyboardInterrupt:
        print(f"Stopped after {len(results)} rounds.", file=sys.stderr)
        return 130
    results.sort(key=lambda result: result.seed)
    failed = [result for result in results if result.violations]
    struck = sum((result.struck for result in results), Counter[Kind]())
    print("".join(f"{count:6}  {kind}\n" for kind, count in struck.most_common()), end="")
    print(f"{len(results)} rounds in {time.monotonic() - begun:.0f} s, {len(failed)} failed")
    if options.table:
        write(results, time.monotonic() - begun)
    return 1 if failed else 0


def _played(seeds: Sequence[int], workers: int) -> Iterator[Result]:
    """Play rounds in several processes, each with a platform of its own, and yield their results as they end.

    A single round is played in this process, with its log. Raises RuntimeError if a process ends before its rounds.
    """
    if len(seeds) == 1:
        yield from _play(seeds, print)
        return
    context = multiprocessing.get_context("spawn")
    playing: dict[Connection, BaseProcess] = {}
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


def _tell(result: Result, number: int, rounds: int) -> None:
    state = "FAILED" if result.violations else "ok"
    print(
        f"round {number}/{rounds}, seed {result.seed}: {state} in {result.seconds:.1f} s,"
        f" {sum(result.struck.values())} faults, {result.versions} versions, {result.reads} reads",
        flush=True,
    )
    if result.violations and rounds > 1:
        print("\n".join(result.log))
        print(f"Replay: make chaos ROUNDS=1 SEED={result.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
