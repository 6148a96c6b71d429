"""Bills of materials: the components of bikes, and their parts in turn. No product contains itself."""

from __future__ import annotations

import numpy as np

from adventureworks_sample.build import NamedTable, day, null_where, table
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.products import MADE_PARTS, PARTS, ProductRange
from adventureworks_sample.world import Company

_COMPONENTS_PER_BIKE = {5: 1, 6: 2, 7: 1, 8: 1, 9: 2, 4: 1, 11: 1, 13: 1, 17: 2}
"""Number of different products of each subcategory in a bike, besides its frame."""
_FRAME_SUBCATEGORIES = {1: 12, 2: 14, 3: 16}
_PARTS_PER_PRODUCT = {4: 4, 5: 2, 8: 5, 9: 2, 10: 4, 11: 6, 12: 9, 14: 9, 16: 9, 17: 5}
"""Number of different parts in one product of a subcategory."""
_LEVELS = {0: 3, 1: 1, 10: 3}
"""Depth of the components of a part, a bike and a fork; for every other assembly it is 2."""
_OLD_VERSIONS = 199
_FORK = 10
_INNER_PARTS = np.arange(PARTS - 12, PARTS - 8)
"""Made parts that are components of the last four made parts."""


def bill_table(company: Company, goods: ProductRange) -> NamedTable:
    """Return one row per assembly and component; some have an older version that has ended."""
    draw = Draw(company.seed, "Production_BillOfMaterials")
    assembly, component = _pairs(draw, goods)
    number = len(assembly)
    top = assembly < 0
    level = np.where(top, 0, 2)
    for subcategory, depth in _LEVELS.items():
        level = np.where(~top & (goods.subcategory[assembly] == subcategory), depth, level)
    level = np.where(~top & (goods.category[assembly] == 1), 1, level)
    level = np.where(np.isin(assembly, _INNER_PARTS), 4, level)
    small = ~top & (goods.category[component] == 0)
    quantity = np.where(small, 1 + draw.skewed(number, 12, 4), 1)
    start = day("2010-05-26") + draw.below(number, 20) * 10
    old = np.sort(draw.shuffled(number)[:_OLD_VERSIONS])
    row = np.r_[np.arange(number), old]
    ended = np.arange(len(row)) >= number
    start = np.where(ended, day("2010-03-04"), start[row])
    end = np.where(ended, day("2010-05-03"), start)
    return table(
        "Production_BillOfMaterials",
        {
            "BillOfMaterialsID": 1 + draw.shuffled(len(row)),
            "ProductAssemblyID": null_where(goods.ids[assembly[row]], top[row]),
            "ComponentID": goods.ids[component[row]],
            "StartDate": start,
            "EndDate": null_where(end, ~ended),
            "UnitMeasureCode": np.where(small & (quantity > 8), "OZ ", "EA ")[row].tolist(),
            "BOMLevel": level[row],
            "PerAssemblyQty": quantity[row] * 100,
            "ModifiedDate": np.where(ended, end, start - np.timedelta64(14, "D")),
        },
    )


def _pairs(draw: Draw, goods: ProductRange) -> tuple[Integers, Integers]:
    """Return the positions of assembly (-1 at the top of a bill) and component."""
    pairs: list[tuple[int, int]] = []
    bought = np.arange(PARTS - MADE_PARTS)
    made = np.arange(PARTS - MADE_PARTS, PARTS)
    for part in made:
        pairs += [(int(part), int(other)) for other in draw.shuffled(len(bought))[:2]]
    pairs += [(int(part), int(inner)) for part, inner in zip(made[-4:], _INNER_PARTS, strict=True)]
    for place in np.flatnonzero((goods.category == 2) & goods.made):
        kinds = _PARTS_PER_PRODUCT[int(goods.subcategory[place])]
        choice = draw.shuffled(PARTS)[:kinds]
        pairs += [(int(place), int(part)) for part in choice]
        if goods.subcategory[place] in _FRAME_SUBCATEGORIES.values():
            pairs.append((int(place), _one_of(draw, goods, _FORK)))
    for place in np.flatnonzero(goods.category == 1):
        pairs.append((-1, int(place)))
        pairs.append((int(place), _one_of(draw, goods, _FRAME_SUBCATEGORIES[int(goods.subcategory[place])])))
        for subcategory, kinds in _COMPONENTS_PER_BIKE.items():
            members = np.flatnonzero(goods.subcategory == subcategory)
            first = int(draw.below(1, len(members))[0])
            pairs += [(int(place), int(members[(first + turn) % len(members)])) for turn in range(kinds)]
    assembly, component = np.array(pairs).T
    return assembly, component


def _one_of(draw: Draw, goods: ProductRange, subcategory: int) -> int:
    members = np.flatnonzero(goods.subcategory == subcategory)
    return int(members[draw.below(1, len(members))[0]])
