"""The plant: locations, work orders and their routing, scrap, and the stock on hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, null_where, rows, table
from adventureworks_sample.draw import Draw, Integers, fixed_width
from adventureworks_sample.products import PARTS, ProductRange
from adventureworks_sample.world import SET_UP, Company

_LOCATIONS = (
    (1, "Tool Store", 0, 0),
    (2, "Sheet Racks", 0, 0),
    (3, "Paint Shop", 0, 0),
    (4, "Paint Store", 0, 0),
    (5, "Metal Store", 0, 0),
    (6, "General Store", 0, 0),
    (7, "Goods for Sale", 0, 0),
    (10, "Tube Forming", 225_000, 9_600),
    (20, "Welding", 250_000, 10_800),
    (30, "Grinding", 145_000, 12_000),
    (40, "Painting", 157_500, 12_000),
    (45, "Special Painting", 180_000, 8_000),
    (50, "Preassembly", 122_500, 12_000),
    (60, "Assembly", 122_500, 12_000),
)
"""Number, name, cost per hour in ten-thousandths of a dollar, available hours in hundredths."""
_OPERATIONS = ((10, 41_000), (20, 35_000), (30, 10_000), (40, 20_000), (45, 20_000), (50, 30_000), (60, 40_000))
"""Location and planned hours (in ten-thousandths) of operations 1 to 7."""
_SCRAP_REASONS = (
    *(
        "Wrong colour",
        "Dent",
        "Hole drilled off",
        "Weld porous",
        "Weld cracked",
        "Thread stripped",
        "Too long",
        "Too short",
    ),
    *("Paint ran", "Paint thin", "Bearing tight", "Rim out of true", "Spoke tension", "Bent tube", "Scratched", "Lost"),
)
_ROUTES = {
    **dict.fromkeys((1, 2, 3), (7,)),
    **dict.fromkeys((5, 8, 9, 11, 17), (6,)),
    **dict.fromkeys((10, 16), (1, 6)),
    4: (1, 2, 6),
}
"""Operations by subcategory. Most parts and frames have no routing."""
_ROUTED_FRAMES = {12: (1, 2, 3, 4, 6, 7), 14: (1, 2, 3, 5, 6, 7)}
_FIRST_START = day("2011-06-03")
_QUARTERS = (56, 60, 67, 67, 74, 81, 84, 83, 104, 135, 150, 150, 168)
"""Weights of the thirteen equal periods in which work orders start."""
_STARTING_DAYS = 1_096
_DAYS_WITHOUT_ROUTING = 10
_DAYS_WHEN_ROUTED = (11, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32)
_SHARE_OF_DAYS = (46, 6, 6, 11, 7, 6, 4, 3, 3, 3, 3, 2)
_FRAMES = (12, 14, 16)
_LOT_SIZES = ((16, 1_800, 14), (2, 150, 9), (2, 190, 9), (9, 560, 14))
"""Usual and largest quantity, and how rare the largest is, for parts, bikes, frames and other components."""


@dataclass(frozen=True)
class WorkOrders:
    """Work orders in the order of their numbers; WorkOrderID is the position + 1."""

    product: Integers
    quantity: Integers
    start: Days
    end: Days


def work_orders(company: Company, goods: ProductRange) -> WorkOrders:
    """Return all work orders."""
    draw = Draw(company.seed, "work orders")
    number = company.count(72_591, 300)
    span = _STARTING_DAYS // len(_QUARTERS) + 1
    start = np.sort(draw.index(number, _QUARTERS) * span + draw.below(number, span)).clip(0, _STARTING_DAYS - 1)
    product = draw.index(number, _weights(goods))
    days = np.array(_DAYS_WHEN_ROUTED)[draw.index(number, _SHARE_OF_DAYS)]
    end = _FIRST_START + start + np.where(_routed(goods)[product], days, _DAYS_WITHOUT_ROUTING)
    return WorkOrders(product, _quantities(draw, goods, product), _FIRST_START + start, end)


def _quantities(draw: Draw, goods: ProductRange, product: Integers) -> Integers:
    """Return the ordered quantities: few bikes and frames, about a dozen parts, occasionally ten times as many."""
    number = len(product)
    kind = np.select([goods.category == 0, goods.category == 1, np.isin(goods.subcategory, _FRAMES)], [0, 1, 2], 3)
    usual, most, power = np.array(_LOT_SIZES)[kind[product]].T
    rare = np.zeros(number, dtype=np.int64)
    for exponent in np.unique(power):
        unit = draw.skewed(number, 1 << 16, int(exponent))
        rare = np.where(power == exponent, (unit * most) >> 16, rare)
    quantity = 1 + ((draw.skewed(number, 1 << 16, 2) * usual) >> 16) + rare
    return np.where(draw.chance(number, 30), quantity * 10, quantity)


def tables(company: Company, goods: ProductRange, made: WorkOrders) -> Iterator[NamedTable]:
    """Yield the tables of locations, scrap reasons, work orders, routing and inventory."""
    yield rows(
        "Production_Location",
        ("LocationID", "Name", "CostRate", "Availability"),
        _LOCATIONS,
        ModifiedDate=SET_UP,
    )
    yield rows(
        "Production_ScrapReason",
        ("ScrapReasonID", "Name"),
        list(enumerate(_SCRAP_REASONS, start=1)),
        ModifiedDate=SET_UP,
    )
    yield _work_order_table(company, goods, made)
    yield _routing_table(company, goods, made)
    yield _inventory(company, goods)


def _weights(goods: ProductRange) -> Integers:
    """Return how often each product is made, as weights: parts and wheels much more often than bikes and frames."""
    by_subcategory = {0: 850, 1: 120, 2: 154, 3: 92, 4: 554, 5: 890, 8: 670, 9: 1_100, 10: 846, 11: 670}
    by_subcategory |= {12: 150, 14: 203, 16: 112, 17: 585}
    weight = np.array([by_subcategory.get(int(number), 0) for number in goods.subcategory])
    return np.where(goods.made, weight, 0)


def _routed(goods: ProductRange) -> np.ndarray:
    routed = np.isin(goods.subcategory, list(_ROUTES)) & (goods.subcategory != 16)
    some_frames = np.isin(goods.subcategory, list(_ROUTED_FRAMES)) & (goods.ids % 8 == 0)
    some_parts = (goods.subcategory == 0) & (np.arange(len(goods)) >= PARTS - 5)
    return routed | some_frames | some_parts


def _work_order_table(company: Company, goods: ProductRange, made: WorkOrders) -> NamedTable:
    draw = Draw(company.seed, "Production_WorkOrder")
    number = len(made.product)
    failed = draw.chosen(number, company.count(729, 5))
    scrapped = np.where(
        failed, np.minimum(made.quantity, 1 + made.quantity * draw.between(number, 40, 300) // 1_000), 0
    )
    return table(
        "Production_WorkOrder",
        {
            "WorkOrderID": np.arange(1, number + 1),
            "ProductID": goods.ids[made.product],
            "OrderQty": made.quantity,
            "StockedQty": made.quantity - scrapped,
            "ScrappedQty": scrapped,
            "StartDate": made.start,
            "EndDate": made.end,
            "DueDate": made.start + np.timedelta64(11, "D"),
            "ScrapReasonID": null_where(draw.between(number, 1, len(_SCRAP_REASONS)), scrapped == 0),
            "ModifiedDate": made.end,
        },
    )


def _routing_table(company: Company, goods: ProductRange, made: WorkOrders) -> NamedTable:
    draw = Draw(company.seed, "Production_WorkOrderRouting")
    routed = np.flatnonzero(_routed(goods)[made.product])
    routes = _ROUTES | _ROUTED_FRAMES | {0: (6, 7)}
    lengths = np.array([len(routes.get(int(number), ())) for number in goods.subcategory])
    steps = np.array([(routes.get(int(number), ()) + (0,) * 6)[:6] for number in goods.subcategory])
    order = np.repeat(routed, lengths[made.product[routed]])
    turn = np.concatenate([np.arange(length) for length in lengths[made.product[routed]]])
    sequence = steps[made.product[order], turn]
    places = np.array([place for place, _ in _OPERATIONS])
    hours = np.array([planned for _, planned in _OPERATIONS])[sequence - 1]
    rate = np.array([{place: cost for place, _, cost, _ in _LOCATIONS}[place] for place, _ in _OPERATIONS])[
        sequence - 1
    ]
    # Nine in ten operations take the planned time.
    worked = np.where(
        draw.chance(len(order), 1_000), hours * (10_000 + draw.bell(len(order), 700)) // 1_000_000 * 100, hours
    )
    begun = made.start[order] + draw.skewed(len(order), 12, 3)
    ended = np.maximum(begun, made.end[order]) + draw.skewed(len(order), 6, 2)
    return table(
        "Production_WorkOrderRouting",
        {
            "WorkOrderID": order + 1,
            "ProductID": goods.ids[made.product[order]],
            "OperationSequence": sequence,
            "LocationID": places[sequence - 1],
            "ScheduledStartDate": made.start[order],
            "ScheduledEndDate": made.start[order] + np.timedelta64(11, "D"),
            "ActualStartDate": begun,
            "ActualEndDate": ended,
            "ActualResourceHrs": worked,
            "PlannedCost": hours * rate // 10_000,
            "ActualCost": worked * rate // 10_000,
            "ModifiedDate": ended,
        },
    )


def _inventory(company: Company, goods: ProductRange) -> NamedTable:
    """Return the stock of most products in one to four locations: sufficient, low, below the reorder point, or none."""
    draw = Draw(company.seed, "Production_ProductInventory")
    number = len(goods)
    unknown = (np.arange(number) % 7 == 3) & (goods.last_era == 2)
    held = np.flatnonzero(~unknown)
    safety = np.select([goods.category == 0, goods.category == 1, goods.category == 2], [1_000, 100, 500], 4)[held]
    state = draw.index(len(held), (800, 170, 15, 15))
    state[:4] = (0, 1, 2, 3)
    share = np.select(
        [state == 0, state == 1, state == 2],
        [draw.between(len(held), 105, 190), draw.between(len(held), 76, 98), draw.between(len(held), 5, 70)],
        0,
    )
    stock = safety * share // 100 + np.where((state == 0) & (safety < 50), 20 + draw.below(len(held), 300), 0)
    places = np.where(
        goods.category[held] == 0, 3, np.where(goods.category[held] <= 2, 2 + draw.below(len(held), 2), 1)
    )
    product = np.repeat(held, places)
    turn = np.concatenate([np.arange(count) for count in places])
    part = np.repeat(stock // places, places) + np.where(turn == 0, np.repeat(stock % places, places), 0)
    storage = np.array(((1, 6, 50, 5), (7, 60, 50, 20), (6, 50, 10, 5), (7, 7, 7, 7), (7, 7, 7, 7)))
    place = storage[goods.category[product], turn]
    letters = np.frombuffer(b"ABCDEFGHJKLMNPRSTUVW", dtype=np.uint8)[draw.below(len(product), 20)]
    shelf = fixed_width(letters.reshape(-1, 1)).to_pylist()
    counted = day("2014-06-30") - draw.skewed(len(product), 400, 2)
    return table(
        "Production_ProductInventory",
        {
            "ProductID": goods.ids[product],
            "LocationID": place,
            "Shelf": ["N/A" if at == 7 else letter for at, letter in zip(place, shelf, strict=True)],
            "Bin": draw.below(len(product), 62),
            "Quantity": part,
            "rowguid": draw.guids(len(product)),
            "ModifiedDate": counted,
        },
    )
