"""The results of a run, as a table in docs/chaos.md."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from adventureworks.settings import PROJECT_ROOT
from tests.chaos.faults import Kind
from tests.chaos.rounds import Result

PAGE = PROJECT_ROOT / "docs" / "chaos.md"
BEGIN = "<!-- The results follow; `make chaos TABLE=1` writes them. -->\n"


def write(results: Sequence[Result], seconds: float) -> None:
    """Replace the results in the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(BEGIN) + len(BEGIN)] + "\n" + table(results, seconds), encoding="utf-8")


def table(results: Sequence[Result], seconds: float) -> str:
    """Return the results as Markdown: the totals, then by kind of fault how often it struck and in how many rounds."""
    failed = [result for result in results if result.violations]
    struck = sum((result.struck for result in results), Counter[Kind]())
    lines = [
        f"{len(results)} rounds with the seeds {results[0].seed} to {results[-1].seed}, {struck.total():,} faults,"
        f" {sum(result.versions for result in results):,} versions, {sum(result.reads for result in results):,} reads:"
        f" {len(failed)} round{'s' * (len(failed) != 1)} failed."
        f" {seconds / 60:.0f} minutes on a machine with {os.cpu_count()} processors.",
        "",
        "| fault | struck | in rounds | of these failed |",
        "|---|---:|---:|---:|",
    ]
    for kind in Kind:
        hit = [result for result in results if result.struck[kind]]
        lines.append(
            f"| {kind} | {struck[kind]:,} | {len(hit):,} | {sum(bool(result.violations) for result in hit):,} |"
        )
    if failed:
        seeds = ", ".join(str(result.seed) for result in failed)
        lines += ["", f"Failed seeds: {seeds}."]
    return "\n".join(lines) + "\n"
