"""The neighbourhood of a table or mart as a drawing: what it reads on the left, who reads it on the right.

Everything here is pure: the catalogue says what reads what, the caller how urgent the state of each node is.

A column holds what is the same number of steps away, counted along the shortest way. The lines are those of the
shortest ways; a line between two nodes of one column would lead no step closer to the asset, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from adventureworks.catalog import MARTS
from adventureworks.catalog.readers import READERS

Kind = Literal["mart", "page", "report", "digest", "source"]
KINDS: tuple[Kind, ...] = ("mart", "page", "report", "digest", "source")
"""In the order in which they are shown if there is no room for all."""
MAX_STEPS = 3

TALLEST = 780
"""The height of the tallest column, in pixels: what a laptop shows without scrolling."""
HEADING = 28
GAP = 8
ROWS = ((3, 68), (5, 88), (2 * MAX_STEPS + 1, 112))
"""The height of a row, by the greatest number of columns: in narrow columns, texts take more lines."""
WIDTH = 1000
"""The width of the drawing in its own units. On the page it is as wide as its place."""
BOX = 0.8
"""The part of a column's width that its boxes take; lines cross the rest."""


@dataclass(frozen=True)
class Node:
    """A table, a mart, or something that people read."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Box:
    """A node, or several nodes of one kind for which there is no room."""

    nodes: tuple[Node, ...]
    is_everything: bool = True
    """Whether its column has no other node of this kind."""

    @property
    def is_folded(self) -> bool:
        """Whether it stands for several nodes."""
        return len(self.nodes) > 1


@dataclass(frozen=True)
class Place:
    """A box and where it is drawn."""

    box: Box
    left: float
    """In percent of the drawing's width."""
    top: int
    """In pixels."""


@dataclass(frozen=True)
class Column:
    """What is the same number of steps away."""

    steps: int
    """Negative: upstream."""
    left: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Drawing:
    """A neighbourhood, laid out."""

    columns: tuple[Column, ...]
    lines: tuple[str, ...]
    """Paths of SVG, `WIDTH` units wide and `height` units high."""
    height: int
    box_width: float
    """In percent of the drawing's width."""
    box_height: int


def node_of(asset: str) -> Node:
    """Return the node of a table or mart."""
    return Node("mart" if asset in MARTS else "source", asset)


def inputs_of(node: Node) -> tuple[Node, ...]:
    """Return what a mart's model reads; nothing for a table."""
    return tuple(map(node_of, MARTS[node.name].inputs)) if node.kind == "mart" else ()


def readers_of(node: Node) -> tuple[Node, ...]:
    """Return the marts, reports, digests and pages that read a table or mart; nothing for what people read."""
    if node.kind not in ("mart", "source"):
        return ()
    marts = (Node("mart", mart.name) for mart in MARTS.values() if node.name in mart.inputs)
    return (*marts, *(Node(reader.kind, reader.name) for reader in READERS if node.name in reader.reads))


def neighbours_of(asset: str, steps: int) -> dict[int, tuple[Node, ...]]:
    """Return the neighbours of an asset by their distance, with itself at 0; upstream distances are negative."""
    start = node_of(asset)
    upstream = _reached(start, inputs_of, steps)
    downstream = _reached(start, readers_of, steps)
    above = {-distance: nodes for distance, nodes in reversed(list(enumerate(upstream, 1)))}
    return {**above, 0: (start,), **dict(enumerate(downstream, 1))}


def _reached(start: Node, following: Callable[[Node], Iterable[Node]], steps: int) -> list[tuple[Node, ...]]:
    seen, found = {start}, list[tuple[Node, ...]]()
    last: tuple[Node, ...] = (start,)
    for _ in range(steps):
        last = tuple(dict.fromkeys(node for before in last for node in following(before) if node not in seen))
        if not last:
            break
        seen.update(last)
        found.append(last)
    return found


def drawing(asset: str, steps: int, urgency: Callable[[Node], int]) -> Drawing:
    """Lay out the neighbourhood of an asset.

    `urgency`: 0 for a node that is as it should be. If a column is too long, the least urgent nodes are folded.
    """
    neighbours = neighbours_of(asset, steps)
    row = next(height for columns, height in ROWS if len(neighbours) <= columns)
    most = TALLEST // row
    boxes = {distance: folded(nodes, most, urgency) for distance, nodes in neighbours.items()}
    links = _links(boxes)
    order = _ordered(boxes, links)
    tallest = max(map(len, order.values()))
    width = 100 / len(order)
    places: dict[Box, Place] = {}
    columns = []
    for number, (distance, column) in enumerate(order.items()):
        first = HEADING + (tallest - len(column)) * row // 2
        shown = tuple(Place(box, number * width, first + index * row) for index, box in enumerate(column))
        places.update((place.box, place) for place in shown)
        columns.append(Column(distance, number * width, shown))
    height = row - GAP
    return Drawing(
        tuple(columns),
        tuple(_path(places[left], places[right], width * BOX, height) for left, right in links),
        HEADING + tallest * row,
        width * BOX,
        height,
    )


def folded(nodes: Sequence[Node], most: int, urgency: Callable[[Node], int]) -> tuple[Box, ...]:
    """Return at most `most` boxes: a node each, the most urgent first, and one box per kind for the others."""
    ranked = sorted(nodes, key=lambda node: (-urgency(node), KINDS.index(node.kind), node.name))
    if len(ranked) <= most:
        return tuple(Box((node,)) for node in ranked)
    kinds = [kind for kind in KINDS if any(node.kind == kind for node in ranked)]
    single, rest = ranked[: most - len(kinds)], ranked[most - len(kinds) :]
    shown = [Box((node,)) for node in single]
    for kind in kinds:
        members = tuple(node for node in rest if node.kind == kind)
        if members:
            shown.append(Box(members, is_everything=all(node.kind != kind for node in single)))
    return tuple(shown)


def _links(boxes: Mapping[int, Sequence[Box]]) -> tuple[tuple[Box, Box], ...]:
    """Return the pairs of boxes in neighbouring columns of which the right one reads the left one."""
    found = []
    for distance, left in boxes.items():
        for box in left:
            readers = {reader for node in box.nodes for reader in readers_of(node)}
            found += [(box, other) for other in boxes.get(distance + 1, ()) if readers & set(other.nodes)]
    return tuple(found)


def _ordered(boxes: Mapping[int, Sequence[Box]], links: Sequence[tuple[Box, Box]]) -> dict[int, list[Box]]:
    """Order each column by the mean position of what its boxes are linked to, so that fewer lines cross."""
    linked: dict[Box, list[Box]] = {}
    for left, right in links:
        linked.setdefault(left, []).append(right)
        linked.setdefault(right, []).append(left)
    order: dict[int, list[Box]] = {}
    position: dict[Box, int] = {}
    for distance in sorted(boxes, key=abs):
        column = boxes[distance]
        near = {box: [position[other] for other in linked.get(box, ()) if other in position] for box in column}
        # Equal positions keep the order by urgency.
        order[distance] = sorted(column, key=lambda box: fmean(near[box]) if near[box] else 0.0)
        position.update((box, index) for index, box in enumerate(order[distance]))
    return {distance: order[distance] for distance in boxes}


def _path(left: Place, right: Place, box_width: float, box_height: int) -> str:
    scale = WIDTH / 100
    start, end = (left.left + box_width) * scale, right.left * scale
    middle = (start + end) / 2
    y, z = left.top + box_height // 2, right.top + box_height // 2
    return f"M{start:.0f} {y}C{middle:.0f} {y} {middle:.0f} {z} {end:.0f} {z}"
