"""Order lines: products, quantities, prices and offers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, day
from adventureworks_sample.draw import Draw, Flags, Integers
from adventureworks_sample.offers import OFFERS, SALES, TIERS, in_tier, of_sale
from adventureworks_sample.products import ProductRange
from adventureworks_sample.world import ERA_STARTS, Company

_FULL_WEB_RANGE_SINCE = day("2013-06-24")
"""From this day on, the web shop also sells clothing and accessories."""
_NO_WEB_BIKES_SINCE = day("2014-06-01")
"""In its last, partial month the web shop sells no bikes."""
_DEALER_SHARE = 6_000
"""Share of the list price that a reseller pays, in ten-thousandths."""
_RESELLER_MIX = ((0, 0, 0), (52, 44, 34), (24, 33, 36), (16, 16, 21), (8, 7, 9))
"""Share of the lines in each era, in per cent, for parts, bikes, components, clothing and accessories."""


@dataclass(frozen=True)
class Lines:
    """Order lines, sorted by order; money in ten-thousandths of a dollar."""

    order: Integers
    product: Integers
    """Position in the product range."""
    quantity: Integers
    price: Integers
    discount: Integers
    offer: Integers

    @property
    def total(self) -> Integers:
        """Exact amount net of discount, in millionths of a dollar."""
        return self.price * (10_000 - self.discount) * self.quantity // 100


def era_of(days: Days) -> Integers:
    """Return the price era of each day: 0, 1 or 2."""
    return np.searchsorted(np.array(ERA_STARTS), days, side="right") - 1


def baskets(company: Company, goods: ProductRange, days: Days, online: Flags) -> Lines:
    """Return the lines of every order."""
    web, shops = np.flatnonzero(online), np.flatnonzero(~online)
    web_order, web_product = _web_products(company, goods, days[web])
    shop_order, shop_product = _shop_products(company, goods, days[shops])
    order = np.r_[web[web_order], shops[shop_order]]
    product = np.r_[web_product, shop_product]
    # A product appears in an order only once.
    pair, first = np.unique(order * len(goods) + product, return_index=True)
    order, product = pair // len(goods), pair % len(goods)
    mixed = np.lexsort((first, order))
    return _priced(company, goods, days, online, order[mixed], product[mixed])


def _web_products(company: Company, goods: ProductRange, days: Days) -> tuple[Integers, Integers]:
    draw = Draw(company.seed, "web baskets")
    number = len(days)
    everything = days >= _FULL_WEB_RANGE_SINCE
    biking = ~everything | (draw.chance(number, 5_200) & (days < _NO_WEB_BIKES_SINCE))
    biking[-1] = False
    extras = np.where(biking, draw.index(number, (20, 26, 29, 18, 7)), 1 + draw.index(number, (24, 33, 27, 11, 5)))
    extras = np.where(everything, extras, 0)
    era = era_of(days)
    bikes = np.zeros(number, dtype=np.int64)
    for period in range(3):
        here = era == period
        bikes[here] = draw.index(int(here.sum()), _web_bike_weights(goods, period))
    small = draw.index(int(extras.sum()), _extras_weights(goods))
    order = np.r_[np.flatnonzero(biking), np.repeat(np.arange(number), extras)]
    return order, np.r_[bikes[biking], small]


def _web_bike_weights(goods: ProductRange, era: int) -> Integers:
    """Return the weights of bikes in the web shop: mostly expensive ones at first, all kinds later."""
    bikes = goods.on_sale(era) & (goods.category == 1)
    dear = goods.list_price > 15_000_000
    return np.where(bikes, np.where(dear, (10, 6, 4)[era], (1, 3, 3)[era]), 0)


def _extras_weights(goods: ProductRange) -> Integers:
    """Return the weights of clothing and accessories: accessories more often than clothing, and cheap ones most."""
    dollars = goods.list_price // 10_000
    weight = np.where(goods.category == 4, 40 + 3_000 // (dollars + 10), np.where(goods.category == 3, 24, 0))
    return np.where(goods.on_sale(2), weight, 0)


def _shop_products(company: Company, goods: ProductRange, days: Days) -> tuple[Integers, Integers]:
    draw = Draw(company.seed, "shop baskets")
    number = 1 + draw.skewed(len(days), 62, 3)
    order = np.repeat(np.arange(len(days)), number)
    era = era_of(days)[order]
    product = np.zeros(len(order), dtype=np.int64)
    for period in range(3):
        here = era == period
        sold = goods.on_sale(period)
        sizes = np.bincount(goods.category[sold], minlength=5).clip(1)
        weight = np.array(_RESELLER_MIX)[goods.category, period] * 10_000 // sizes[goods.category]
        product[here] = draw.index(int(here.sum()), np.where(sold, weight, 0))
    # A few products are sold after the end of their sale, so without a cost valid on that day.
    old = np.flatnonzero(goods.history & (goods.last_era == 1))
    late = np.flatnonzero(era == 2)
    late = late[draw.shuffled(len(late))[: company.count(64)]]
    product[late] = old[draw.below(len(late), len(old))]
    return order, product


def _priced(
    company: Company, goods: ProductRange, days: Days, online: Flags, order: Integers, product: Integers
) -> Lines:
    draw = Draw(company.seed, "lines")
    number = len(order)
    dates, web = days[order], online[order]
    prices = np.stack([goods.price_in(period) for period in range(3)])[era_of(dates), product]
    prices = np.where(web, prices, prices * _DEALER_SHARE // 10_000)
    quantity = np.where(web, 1, 1 + draw.skewed(number, 10, 3))
    offer = np.ones(number, dtype=np.int64)
    for sale in SALES:
        offered = of_sale(goods, sale)[product] & _valid(sale, dates) & ~web
        offer[offered & ~draw.chance(number, 600)] = sale
    tier = np.array(TIERS)[draw.index(number, (650, 300, 48, 2))]
    many = draw.chance(number, 1_000) & ~web & (offer == 1)
    for number_of_tier in TIERS:
        terms = OFFERS[number_of_tier - 1]
        bulk = many & (tier == number_of_tier) & in_tier(goods, number_of_tier)[product] & _valid(number_of_tier, dates)
        width = (terms.most or terms.least) - terms.least + 1
        offer[bulk] = number_of_tier
        quantity[bulk] = terms.least + draw.below(int(bulk.sum()), width)
    discount = np.array([terms.per_10000 for terms in OFFERS])[offer - 1]
    # A known defect of such data: some lines name an offer but were sold without its discount.
    named = web & in_tier(goods, 2)[product] & draw.chance(number, 620)
    launched = web & np.any([of_sale(goods, sale)[product] & _valid(sale, dates) for sale in (13, 14)], axis=0)
    offer[named & _valid(2, dates)] = 2
    for sale in (13, 14):
        offer[launched & of_sale(goods, sale)[product] & draw.chance(number, 1_500)] = sale
    return Lines(order, product, quantity, prices, discount, offer)


def _valid(offer: int, dates: Days) -> Flags:
    terms = OFFERS[offer - 1]
    return (dates >= day(terms.start)) & (dates <= day(terms.end))
