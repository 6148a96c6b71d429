"""The product range: categories, subcategories, products, and their costs and list prices over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, moment, null_where, rows, table
from adventureworks_sample.draw import Draw, Flags, Integers
from adventureworks_sample.lineup import CATEGORIES, LINE_UP, PART_WORDS, SUBCATEGORIES, Family
from adventureworks_sample.world import ERA_STARTS, SET_UP, Company

PARTS = 209
MADE_PARTS = 27
"""Number of parts, the last ones, that the plant makes; all others are bought."""
_PRICE_STEPS = np.array((9_200, 9_650, 10_000))
"""Price level of each era, in ten-thousandths of today's price."""
_COST_SHARE = ((5_450, 6_250), (4_440, 5_900), (3_740, 4_125), (3_740, 3_741))
"""Cost as a share of the list price, in ten-thousandths, by category: least, and upper bound (exclusive)."""
_STYLES = {"Men's": "M ", "Women's": "W "}
_COMPONENTS_BOUGHT = (6, 7, 13, 15)
_MOUNTAIN, _ROAD, _TOURING = (1, 12), (2, 14), (3, 16)


@dataclass(frozen=True)
class ProductRange:
    """All products, parts first; other modules identify a product by its position in these arrays."""

    ids: Integers
    subcategory: Integers
    """0 for a part that is not for sale."""
    category: Integers
    model: Integers
    family: tuple[Family | None, ...]
    colour: tuple[str | None, ...]
    size: tuple[str | None, ...]
    first_era: Integers
    last_era: Integers
    list_price: Integers
    """Price in the product's last era, in ten-thousandths of a dollar; likewise the cost."""
    cost: Integers
    history: Flags
    """Whether the product has rows in the histories of cost and list price."""

    def __len__(self) -> int:
        return len(self.ids)

    def price_in(self, era: int) -> Integers:
        """Return the list prices in an era; meaningful for products that are sold in it."""
        return self._in_era(self.list_price, era)

    def cost_in(self, era: int) -> Integers:
        """Return the standard costs in an era."""
        return self._in_era(self.cost, era)

    def on_sale(self, era: int) -> Flags:
        """Return flags of the products that are sold in an era."""
        return self.history & (self.first_era <= era) & (self.last_era >= era)

    def named(self, family: str) -> Flags:
        """Return flags of the products of a family."""
        return np.array([entry is not None and entry.name == family for entry in self.family])

    @property
    def made(self) -> Flags:
        """Flags of the products that the plant makes."""
        bike_part = (self.category == 2) & ~np.isin(self.subcategory, _COMPONENTS_BOUGHT)
        made_part = (self.subcategory == 0) & (np.arange(len(self)) >= PARTS - MADE_PARTS)
        return (self.category == 1) | bike_part | made_part

    def _in_era(self, amount: Integers, era: int) -> Integers:
        then = np.minimum(era, self.last_era)
        earlier = amount * _PRICE_STEPS[then] // _PRICE_STEPS[self.last_era] // 100 * 100
        return np.where(then == self.last_era, amount, earlier)


def line_up(company: Company) -> ProductRange:
    """Return the product range: the same products at every scale, with prices that vary slightly with the seed."""
    draw = Draw(company.seed, "products")
    variants = [
        (model, family, colour, size)
        for model, family in enumerate(LINE_UP, start=1)
        for colour in family.colours
        for size in family.sizes
    ]
    models = np.array([model for model, *_ in variants])
    price, cost = _prices(draw)
    part_cost = np.where(draw.chance(PARTS, 400), draw.between(PARTS, 50_000, 900_000), 0)
    subcategory = np.array([family.subcategory for _, family, _, _ in variants])
    category = np.array([SUBCATEGORIES[number - 1][0] for number in subcategory])
    none = np.zeros(PARTS, dtype=np.int64)
    return ProductRange(
        ids=np.r_[np.arange(1, 5), np.arange(316, 312 + PARTS), 680 + np.arange(len(variants))],
        subcategory=np.r_[none, subcategory],
        category=np.r_[none, category],
        model=np.r_[none, models],
        family=(*(None for _ in none), *(family for _, family, _, _ in variants)),
        colour=(*(None for _ in none), *(colour for _, _, colour, _ in variants)),
        size=(*(None for _ in none), *(size for _, _, _, size in variants)),
        first_era=np.r_[none, [family.eras[0] for _, family, _, _ in variants]],
        last_era=np.r_[none + 2, [family.eras[1] for _, family, _, _ in variants]],
        list_price=np.r_[part_cost * 16 // 10, price[models - 1]],
        cost=np.r_[part_cost, cost[models - 1]],
        history=np.r_[none > 0, [not family.shelved for _, family, _, _ in variants]],
    )


def _prices(draw: Draw) -> tuple[Integers, Integers]:
    """Return the list price (ending in .99) and cost of each family, in ten-thousandths of a dollar."""
    dollars = np.array([family.price for family in LINE_UP], dtype=np.int64)
    price = (dollars * (10_000 + draw.below(len(dollars), 600)) // 10_000) * 10_000 + 9_900
    category = np.array([SUBCATEGORIES[family.subcategory - 1][0] for family in LINE_UP])
    least, most = np.array(_COST_SHARE)[category - 1].T
    return price, price * (least + draw.below(len(price), most - least)) // 10_000


def tables(company: Company, goods: ProductRange) -> Iterator[NamedTable]:
    """Yield the tables of categories, subcategories, products and their histories. They refer to models and units."""
    draw = Draw(company.seed, "Production_Product")
    yield rows(
        "Production_ProductCategory",
        ("ProductCategoryID", "Name"),
        list(enumerate(CATEGORIES, start=1)),
        rowguid=draw.guids(len(CATEGORIES)),
        ModifiedDate=SET_UP,
    )
    yield rows(
        "Production_ProductSubcategory",
        ("ProductSubcategoryID", "ProductCategoryID", "Name"),
        [(number, category, name) for number, (category, name, _) in enumerate(SUBCATEGORIES, start=1)],
        rowguid=draw.guids(len(SUBCATEGORIES)),
        ModifiedDate=SET_UP,
    )
    yield _product_table(draw, goods)
    yield _history("Production_ProductCostHistory", "StandardCost", goods, [goods.cost_in(era) for era in range(3)])
    yield _history("Production_ProductListPriceHistory", "ListPrice", goods, [goods.price_in(era) for era in range(3)])


def _product_table(draw: Draw, goods: ProductRange) -> NamedTable:
    number = len(goods)
    finished = goods.subcategory > 0
    weighed = np.isin(goods.subcategory, (1, 2, 3, 8, 12, 14, 16, 17))
    measured = [size is not None and size.isdigit() for size in goods.size]
    ended = goods.last_era < 2
    starts = np.array([SET_UP, *ERA_STARTS])
    ends = np.array([start - np.timedelta64(1, "D") for start in (*ERA_STARTS[1:], ERA_STARTS[0])])
    safety, reorder, days = _stock_levels(goods)
    return table(
        "Production_Product",
        {
            "ProductID": goods.ids,
            "Name": names(goods),
            "ProductNumber": _numbers(goods),
            "MakeFlag": goods.made,
            "FinishedGoodsFlag": finished,
            "Color": list(goods.colour),
            "SafetyStockLevel": safety,
            "ReorderPoint": reorder,
            "StandardCost": goods.cost,
            "ListPrice": goods.list_price,
            "Size": list(goods.size),
            "SizeUnitMeasureCode": ["CM " if flag else None for flag in measured],
            "WeightUnitMeasureCode": ["LB " if flag else None for flag in weighed],
            "Weight": null_where(draw.between(number, 212, 3_000), ~weighed),
            "DaysToManufacture": days,
            "ProductLine": [
                _product_line(sub, family) for sub, family in zip(goods.subcategory, goods.family, strict=True)
            ],
            "Class": [
                _class(category, price) for category, price in zip(goods.category, goods.list_price, strict=True)
            ],
            "Style": [_style(category, family) for category, family in zip(goods.category, goods.family, strict=True)],
            "ProductSubcategoryID": null_where(goods.subcategory, ~finished),
            "ProductModelID": null_where(goods.model, ~finished),
            "SellStartDate": starts[np.where(finished, goods.first_era + 1, 0)],
            "SellEndDate": null_where(ends[goods.last_era], ~ended),
            "DiscontinuedDate": null_where(np.full(number, SET_UP), np.ones(number, dtype=bool)),
            "rowguid": draw.guids(number),
            "ModifiedDate": moment("2014-02-08T10:01:36"),
        },
    )


def names(goods: ProductRange) -> list[str]:
    """Return unique names: a word and a number for parts; family, colour and size for products."""
    parts = [f"{PART_WORDS[place % len(PART_WORDS)]} {place // len(PART_WORDS) + 1}" for place in range(PARTS)]
    finished = [
        ", ".join(filter(None, (" ".join(filter(None, (family.name, colour))), size)))
        for family, colour, size in zip(goods.family, goods.colour, goods.size, strict=True)
        if family is not None
    ]
    return parts + finished


def _numbers(goods: ProductRange) -> list[str]:
    finished = [
        f"{SUBCATEGORIES[sub - 1][2]}-{model:03}{(colour or 'N')[0]}-{size or '00'}"
        for sub, model, colour, size in zip(goods.subcategory, goods.model, goods.colour, goods.size, strict=True)
        if sub
    ]
    return [f"PT-{place + 1001}" for place in range(PARTS)] + _distinct(finished)


def _distinct(numbers: list[str]) -> list[str]:
    """Append a letter to repeated product numbers, since two colours may have the same initial."""
    seen: dict[str, int] = {}
    result = []
    for number in numbers:
        seen[number] = seen.get(number, 0) + 1
        result.append(number if seen[number] == 1 else f"{number}-{'ABCDE'[seen[number] - 2]}")
    return result


def _stock_levels(goods: ProductRange) -> tuple[Integers, Integers, Integers]:
    """Return safety stock, reorder point (always below it, as in the real source) and days to manufacture."""
    safety = np.select([goods.category == 0, goods.category == 1, goods.category == 2], [1_000, 100, 500], 4)
    safety = np.where((goods.category == 0) & (np.arange(len(goods)) % 7 == 0), 800, safety)
    days = np.select(
        [goods.category == 1, np.isin(goods.subcategory, (12, 14)), goods.made], [4, 2, 1], np.zeros(len(goods))
    )
    return safety.astype(np.int64), (safety * 3 // 4).astype(np.int64), days.astype(np.int64)


def _product_line(subcategory: int, family: Family | None) -> str | None:
    if family is None:
        return None
    for letter, word, subcategories in (("M ", "Mountain", _MOUNTAIN), ("R ", "Road", _ROAD), ("T ", "Tour", _TOURING)):
        if subcategory in subcategories or word in family.name:
            return letter
    return "S "


def _class(category: int, price: int) -> str | None:
    if category not in (1, 2):
        return None
    low, high = (10_000_000, 20_000_000) if category == 1 else (500_000, 1_500_000)
    return "L " if price < low else "M " if price < high else "H "


def _style(category: int, family: Family | None) -> str | None:
    if family is None or category not in (1, 3):
        return None
    return next((letter for word, letter in _STYLES.items() if family.name.startswith(word)), "U ")


def _history(asset: str, column: str, goods: ProductRange, amounts: list[Integers]) -> NamedTable:
    """Return one row per product and era in which it is sold; the last one is open unless its sale has ended."""
    place, era = _sold_eras(goods)
    starts = np.array(ERA_STARTS)
    ends: Days = np.append(starts[1:] - np.timedelta64(1, "D"), day("2014-06-30"))
    still_open = era == 2
    return table(
        asset,
        {
            "ProductID": goods.ids[place],
            "StartDate": starts[era],
            "EndDate": null_where(ends[era], still_open),
            column: np.stack(amounts)[era, place],
            "ModifiedDate": np.where(still_open, starts[era], ends[era]),
        },
    )


def _sold_eras(goods: ProductRange) -> tuple[Integers, Integers]:
    """Return product positions and the eras in which they are sold, ordered by product."""
    sold = np.stack([goods.on_sale(era) for era in range(3)], axis=1)
    place, era = np.nonzero(sold)
    return place, era
