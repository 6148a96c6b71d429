"""The drawing of an asset's neighbourhood: which nodes it shows, where, and what it folds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.dashboard import neighbourhood
from adventureworks.dashboard.neighbourhood import HEADING, MAX_STEPS, TALLEST, Box, Node, drawing, folded, node_of

EVERY = [*SOURCE_TABLES, *MARTS]
TABLES = tuple(Node("source", f"t{number:02}") for number in range(71))
MARTS_OF_ALL = tuple(Node("mart", f"m{number}") for number in range(3))


def calm(node: Node) -> int:
    return 0


def names(nodes: tuple[Node, ...]) -> list[str]:
    return [node.name for node in nodes]


def test_neighbours_are_what_the_asset_reads_and_who_reads_it_by_distance() -> None:
    found = neighbourhood.neighbours_of("territory_sales", 2)
    assert list(found) == [-2, -1, 0, 1, 2]
    assert names(found[-1]) == ["fact_sales", "Sales_SalesTerritory"]
    assert "Sales_SalesOrderDetail" in names(found[-2])
    assert Node("mart", "sales_forecast") in found[1]
    assert Node("page", "overview") in found[1], "people who read it are its neighbours, too"
    assert Node("page", "sales_territory_analysis") in found[1]


def test_a_neighbour_is_shown_once_at_its_shortest_distance() -> None:
    for asset in EVERY:
        found = neighbourhood.neighbours_of(asset, MAX_STEPS)
        nodes = [node for column in found.values() for node in column]
        assert len(nodes) == len(set(nodes)), asset


@pytest.mark.parametrize("steps", range(1, MAX_STEPS + 1))
def test_every_drawing_fits_the_screen_and_its_boxes_do_not_overlap(steps: int) -> None:
    for asset in EVERY:
        drawn = drawing(asset, steps, calm)
        assert drawn.height <= TALLEST + HEADING, asset
        assert len(drawn.columns) <= 2 * steps + 1
        for column in drawn.columns:
            tops = [place.top for place in column.places]
            assert all(after - before > drawn.box_height for before, after in pairwise(tops)), asset
            assert min(tops) >= HEADING
            assert column.left + drawn.box_width <= 100


def test_each_neighbour_has_a_line_towards_the_asset() -> None:
    for asset in ("data_quality", "fact_sales", "Sales_SalesTerritory"):
        drawn = drawing(asset, 2, calm)
        boxes = sum(len(column.places) for column in drawn.columns)
        assert len(drawn.lines) >= boxes - 1, asset


def test_what_has_no_room_is_folded_by_kind() -> None:
    boxes = folded((*MARTS_OF_ALL, *TABLES), 6, calm)
    assert len(boxes) <= 6
    assert [box.nodes[0].name for box in boxes[:4]] == ["m0", "m1", "m2", "t00"]
    assert (boxes[-1].nodes, boxes[-1].is_everything) == (TABLES[1:], False)


def test_a_kind_without_room_is_one_box() -> None:
    drawn = drawing("data_quality", 1, calm)
    boxes = [place.box for place in drawn.columns[0].places if place.box.is_folded]
    assert Box(tuple(node_of(name) for name in sorted(SOURCE_TABLES))) in boxes


def test_what_needs_attention_is_not_folded() -> None:
    urgent = {"Sales_Store": 1, "Person_Person": 2}
    drawn = drawing("data_quality", 1, lambda node: urgent.get(node.name, 0))
    single = {place.box.nodes[0].name for place in drawn.columns[0].places if not place.box.is_folded}
    assert urgent.keys() <= single
    boxes = folded(TABLES, 3, lambda node: node.name == "t70")
    assert boxes[0].nodes == (TABLES[70],)


def test_a_short_column_is_not_folded() -> None:
    assert all(len(box.nodes) == 1 for box in folded(TABLES[:3], 3, calm))
