"""Plays rounds of the chaos suite: python -m tests.chaos [--rounds N] [--seed N] [--workers N] [--table]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.chaos.faults import Kind
from tests.chaos.processes import played
from tests.chaos.report import write
from tests.chaos.rounds import Result


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
        for result in played(seeds, max(1, min(options.workers, options.rounds))):
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
