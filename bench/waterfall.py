"""Draws a cycle of `new_day`: when each task waited and ran."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from adventureworks.catalog import MARTS
from adventureworks.warehouse.steps import REFRESH
from bench.new_day import Cycle, Task

ROW, LABEL, WIDTH, TOP = 17, 230, 960, 70
"""Pixels: height of a line, width of the names, total width, height of the heading."""
ANALYSES, OTHERS, WAITED, INK, GRID = "#3b6fb6", "#7b6fb0", "#cfd6dd", "#1f2933", "#e3e8ed"


def picture(cycle: Cycle) -> str:
    """Return the cycle as SVG, with one line per DAG that shows its tasks one after the other."""
    runs: dict[str, list[Task]] = {}
    for task in cycle.tasks:
        runs.setdefault(task.name.partition(".")[0], []).append(task)
    end = max([task.ended for task in cycle.tasks] + [cycle.last_mart])
    step = 5 if end <= 60 else 20
    height = TOP + ROW * len(runs) + 40

    def x(seconds: float) -> float:
        return round(LABEL + seconds / end * (WIDTH - LABEL - 30), 1)

    shapes = [f'<rect width="{WIDTH}" height="{height}" rx="12" fill="#ffffff"/>']
    for second in range(0, int(end) + 1, step):
        shapes.append(f'<path d="M{x(second)} {TOP - 8}V{height - 34}" stroke="{GRID}"/>')
        shapes.append(_text(x(second), height - 18, f"{second} s", "middle"))
    for number, (dag, tasks) in enumerate(runs.items()):
        y = TOP + ROW * number
        shapes.append(_text(LABEL - 10, y + 11, dag, "end"))
        for task in tasks:
            kind = ANALYSES if task.name.endswith(f".{REFRESH}") else OTHERS
            shapes += [
                _bar(x, y + 4, 5, task.queued, task.started, WAITED),
                _bar(x, y, 13, task.started, task.ended, kind),
            ]
    keys = {"waits for a worker": WAITED, "analyses": ANALYSES, "ingestion and reports": OTHERS}
    for place, (name, colour) in enumerate(keys.items()):
        shapes.append(f'<rect x="{LABEL + 140 * place}" y="40" width="11" height="11" fill="{colour}"/>')
        shapes.append(_text(LABEL + 140 * place + 16, 50, name))
    published = len({name for name, _, _ in cycle.published if name in MARTS})
    title = f"One new business day: {published} marts published, the last after {cycle.last_mart:.0f} s"
    shapes.append(f'<text x="20" y="26" font-size="15" font-weight="600" fill="{INK}">{escape(title)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif"'
        f' font-size="11" role="img" aria-label="{escape(title)}">\n' + "\n".join(filter(None, shapes)) + "\n</svg>\n"
    )


def _bar(x: Callable[[float], float], y: int, height: int, start: float, end: float, colour: str) -> str:
    """Return a bar between two times, or an empty string if it would be too short to see."""
    width = x(end) - x(start)
    return (
        f'<rect x="{x(start)}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>' if width > 0.5 else ""
    )


def _text(x: float, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'
