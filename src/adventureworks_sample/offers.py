"""Special offers: volume discounts for resellers, and sales of single product families for some weeks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from adventureworks_sample.build import NamedTable, day, table
from adventureworks_sample.draw import Draw, Flags, Integers
from adventureworks_sample.products import ProductRange
from adventureworks_sample.world import Company


class Offer(NamedTuple):
    """A special offer. `families` are the products of a sale; if `most` is None, there is no upper limit."""

    description: str
    per_10000: int
    kind: str
    audience: str
    start: str
    end: str
    least: int = 0
    most: int | None = None
    families: tuple[str, ...] = ()


_VOLUME = ("Volume Discount", "Reseller", "2011-05-31", "2014-05-30")

OFFERS: tuple[Offer, ...] = (
    Offer("No Discount", 0, "No Discount", "No Discount", "2011-05-01", "2014-11-30"),
    Offer("Volume 11 to 14 pieces", 200, *_VOLUME, 11, 14),
    Offer("Volume 15 to 24 pieces", 500, *_VOLUME, 15, 24),
    Offer("Volume 25 to 40 pieces", 1_000, *_VOLUME, 25, 40),
    Offer("Volume 41 to 60 pieces", 1_500, *_VOLUME, 41, 60),
    Offer("Volume above 60 pieces", 2_000, *_VOLUME, 61),
    Offer(
        *("Boulder Pro farewell", 3_500, "Discontinued Product", "Reseller", "2012-04-15", "2012-05-29"),
        families=("Boulder Pro",),
    ),
    Offer(
        *("Helmet weeks 2012", 1_000, "Seasonal Discount", "Reseller", "2012-05-30", "2012-07-05"),
        families=("City Helmet",),
    ),
    Offer(
        *("Milestone overstock", 3_000, "Excess Inventory", "Reseller", "2012-06-15", "2012-08-05"),
        families=("Milestone",),
    ),
    Offer(
        *("Mountain tire weeks", 5_000, "Excess Inventory", "Customer", "2013-05-30", "2013-07-29"),
        families=("Basic Mountain Tire", "Fine Mountain Tire", "Top Mountain Tire"),
    ),
    Offer(
        *("Helmet weeks 2013", 1_500, "Seasonal Discount", "Reseller", "2013-05-30", "2013-07-05"),
        families=("City Helmet",),
    ),
    Offer(
        *("Milestone frame sale", 3_500, "Excess Inventory", "Reseller", "2013-06-10", "2013-07-15"),
        families=("Milestone Frame",),
    ),
    Offer(
        *("Rambler launch", 1_500, "New Product", "Reseller", "2013-05-30", "2013-08-29"),
        families=("Rambler",),
    ),
    Offer(
        *("Voyage launch", 2_000, "New Product", "Reseller", "2013-05-30", "2013-08-29"),
        families=("Voyage",),
    ),
    Offer(
        *("Half-price pedals", 5_000, "Seasonal Discount", "Customer", "2013-07-14", "2013-08-14"),
        families=("Flat Pedal", "Clip Pedal"),
    ),
    Offer(
        *("Foothill clearance", 4_000, "Discontinued Product", "Reseller", "2014-03-10", "2014-05-30"),
        families=("Foothill",),
    ),
)
"""Offers in the order of SpecialOfferID, from 1 on. Volume above 60 and the two for customers are never used."""

TIERS = (2, 3, 4, 5)
"""Volume offers that are used."""
_PRODUCTS_OF_TIERS = {2: 110, 3: 60, 4: 26, 5: 6}
SALES = tuple(number for number, offer in enumerate(OFFERS, start=1) if offer.families and offer.audience == "Reseller")
"""Offers of single families for resellers."""


def volume_rank(goods: ProductRange) -> Integers:
    """Rank products by sales in large quantities, 0 is best: clothing and accessories first, then components."""
    order = np.lexsort((goods.ids, (goods.ids * 7_919) % 211, np.array([9, 3, 2, 0, 1])[goods.category]))
    rank = np.empty(len(goods), dtype=np.int64)
    rank[order] = np.arange(len(goods))
    return rank


def in_tier(goods: ProductRange, tier: int) -> Flags:
    """Return flags of the products of a volume tier; each tier is a subset of the one below."""
    return volume_rank(goods) < _PRODUCTS_OF_TIERS[tier]


def of_sale(goods: ProductRange, number: int) -> Flags:
    """Return flags of the products of a sale."""
    return np.any([goods.named(family) for family in OFFERS[number - 1].families], axis=0)


def tables(company: Company, goods: ProductRange) -> Iterator[NamedTable]:
    """Yield the tables of offers and their products."""
    draw = Draw(company.seed, "offers")
    starts = [day(offer.start) for offer in OFFERS]
    announced = [start - np.timedelta64(30, "D") for start in starts]
    yield table(
        "Sales_SpecialOffer",
        {
            "SpecialOfferID": np.arange(1, len(OFFERS) + 1),
            "Description": [offer.description for offer in OFFERS],
            "DiscountPct": [offer.per_10000 for offer in OFFERS],
            "Type": [offer.kind for offer in OFFERS],
            "Category": [offer.audience for offer in OFFERS],
            "StartDate": np.array(starts),
            "EndDate": np.array([day(offer.end) for offer in OFFERS]),
            "MinQty": [offer.least for offer in OFFERS],
            "MaxQty": [offer.most for offer in OFFERS],
            "rowguid": draw.guids(len(OFFERS)),
            "ModifiedDate": np.array(announced),
        },
    )
    offered: dict[int, Flags] = {1: goods.subcategory > 0}
    offered |= {tier: in_tier(goods, tier) for tier in TIERS}
    offered |= {number: of_sale(goods, number) for number, offer in enumerate(OFFERS, start=1) if offer.families}
    places = [np.flatnonzero(offered[number]) for number in sorted(offered)]
    numbers = np.repeat(sorted(offered), [len(place) for place in places])
    yield table(
        "Sales_SpecialOfferProduct",
        {
            "SpecialOfferID": numbers,
            "ProductID": goods.ids[np.concatenate(places)],
            "rowguid": draw.guids(len(numbers)),
            "ModifiedDate": np.array(announced)[numbers - 1],
        },
    )
