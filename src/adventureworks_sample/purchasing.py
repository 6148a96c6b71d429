"""Vendors, the products they supply, and purchase orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, joined, null_where, rows, share, table, words
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.products import ProductRange
from adventureworks_sample.staff import holders
from adventureworks_sample.words import LAST_NAMES
from adventureworks_sample.world import LAST_DAY, SET_UP, VENDORS, Company, Entities

_SHIPPERS = (
    ("ROAD - BY TRUCK", 39_500, 9_900),
    ("ROAD - QUICK", 99_500, 19_900),
    ("SEA - CONTAINER", 299_500, 29_900),
    ("AIR - OVERNIGHT", 219_500, 12_900),
    ("RAIL - FREIGHT", 89_900, 14_900),
)
_TRADES = ("Parts", "Metals", "Bearings", "Components", "Supply", "Manufacturing", "Cycle Parts", "Trading")
_UNITS = ("EA ", "CS ", "CTN", "PAK", "CAN", "DZ ", "BOX")
_QUARTERS = (8, 20, 8, 108, 64, 56, 24, 16, 108, 592, 600, 900, 1_508)
"""Weights of the quarters since April 2011 among the orders; the last one ends with June 2014."""
_FIRST_ORDER = day("2011-04-16")
_SUPPLIED_PRODUCTS = 265
_SUPPLYING_VENDORS = 86


@dataclass(frozen=True)
class Terms:
    """Supply terms: positions of product and vendor, price in ten-thousandths of a dollar, usual quantity."""

    product: Integers
    vendor: Integers
    price: Integers
    quantity: Integers


@dataclass(frozen=True)
class Purchases:
    """Purchase orders and their lines; PurchaseOrderID is the position + 1."""

    days: Days
    vendor: Integers
    status: Integers
    order: Integers
    """Order of each line; the following fields are per line, too."""
    product: Integers
    quantity: Integers
    price: Integers
    received: Integers
    rejected: Integers


def terms(company: Company, goods: ProductRange) -> Terms:
    """Return the terms of one to three vendors for each product that is bought."""
    draw = Draw(company.seed, "terms")
    bought = np.flatnonzero(~goods.made)[:_SUPPLIED_PRODUCTS]
    vendors = 1 + draw.index(len(bought), (42, 42, 16))
    product = np.repeat(bought, vendors)
    turn = np.concatenate([np.arange(count) for count in vendors])
    vendor = (np.repeat(draw.below(len(bought), _SUPPLYING_VENDORS), vendors) + turn * 29) % _SUPPLYING_VENDORS
    cost = goods.cost[product]
    price = np.where(
        cost > 0, cost * draw.between(len(product), 90, 105) // 100, draw.between(len(product), 20, 7_800) * 100
    )
    usual = np.array((3, 60, 150, 550, 1_250))[draw.index(len(product), (45, 10, 3, 38, 4))]
    return Terms(product, vendor, price, usual)


def purchases(company: Company, known: Terms) -> Purchases:
    """Return purchase orders since spring 2011, many more since summer 2013."""
    draw = Draw(company.seed, "purchases")
    number = company.count(4_012, 60)
    quarter = draw.index(number, _QUARTERS)
    offset = np.sort(quarter * 91 + draw.below(number, 91))
    days = np.minimum(_FIRST_ORDER + offset, LAST_DAY)
    vendor = known.vendor[draw.below(number, len(known.vendor))]
    by_vendor = np.argsort(known.vendor, kind="stable")
    starts = np.searchsorted(known.vendor[by_vendor], np.arange(_SUPPLYING_VENDORS + 1))
    offered = np.diff(starts)[vendor]
    lines = np.minimum(1 + draw.index(number, (36, 30, 17, 8, 5, 4)), offered)
    order = np.repeat(np.arange(number), lines)
    turn = np.concatenate([np.arange(count) for count in lines])
    place = by_vendor[starts[vendor[order]] + (np.repeat(draw.below(number, offered), lines) + turn) % offered[order]]
    status = _status(draw, days)
    quantity = known.quantity[place]
    price = known.price[place] * 105 // 100
    whole = draw.chance(len(order), 9_300)
    received = np.where(whole, quantity, quantity * draw.between(len(order), 40, 99) // 100) * 100
    rejected = np.where(draw.chance(len(order), 250), received * draw.between(len(order), 1, 60) // 10_000 * 100, 0)
    state = status[order]
    received = np.where(state <= 2, np.where(draw.chance(len(order), 6_000), 0, received // 200 * 100), received)
    rejected = np.select([state <= 2, state == 3], [np.zeros_like(rejected), received], rejected)
    return Purchases(days, vendor, status, order, known.product[place], quantity, price, received, rejected)


def _status(draw: Draw, days: Days) -> Integers:
    """Return the status of each order: usually complete, sometimes rejected; recent orders are pending or approved."""
    fate = draw.index(len(days), (25, 10, 22, 943))
    recent = days > LAST_DAY - np.timedelta64(21, "D")
    young = draw.index(len(days), (45, 55)) + 1
    status = np.where(recent & draw.chance(len(days), 7_500), young, fate + 1)
    status[[0, 1, 2, 3]] = (4, 3, 4, 4)
    status[[-1, -2]] = (1, 2)
    return status


def before_orders(company: Company) -> Iterator[NamedTable]:
    """Yield the shipping companies, which sales orders need too."""
    draw = Draw(company.seed, "Purchasing_ShipMethod")
    yield rows(
        "Purchasing_ShipMethod",
        ("ShipMethodID", "Name", "ShipBase", "ShipRate"),
        [(number, *shipper) for number, shipper in enumerate(_SHIPPERS, start=1)],
        rowguid=draw.guids(len(_SHIPPERS)),
        ModifiedDate=SET_UP,
    )


def tables(
    company: Company, goods: ProductRange, entities: Entities, known: Terms, bought: Purchases
) -> Iterator[NamedTable]:
    """Yield the tables of vendors, terms, purchase orders and lines."""
    yield _vendor_table(company, entities)
    yield _terms_table(company, goods, entities, known, bought)
    yield from _order_tables(company, goods, entities, bought)


def _vendor_table(company: Company, entities: Entities) -> NamedTable:
    draw = Draw(company.seed, "Purchasing_Vendor")
    family = np.array(LAST_NAMES, dtype=object)[draw.shuffled(len(LAST_NAMES))[:VENDORS]]
    trade = draw.below(VENDORS, len(_TRADES))
    web = [f"www.{name.lower()}.example.com/" if place % 17 == 0 else None for place, name in enumerate(family)]
    return table(
        "Purchasing_Vendor",
        {
            "BusinessEntityID": entities.vendors,
            "AccountNumber": [f"{name.upper()[:9]}{place + 1:04}" for place, name in enumerate(family)],
            "Name": joined(words(family.tolist(), np.arange(VENDORS)), " ", words(_TRADES, trade)),
            "CreditRating": 1 + draw.index(VENDORS, (80, 12, 4, 2, 2)),
            "PreferredVendorStatus": ~draw.chance(VENDORS, 900),
            "ActiveFlag": ~draw.chance(VENDORS, 400),
            "PurchasingWebServiceURL": web,
            "ModifiedDate": day("2011-04-25") + draw.below(VENDORS, 300),
        },
    )


def _terms_table(
    company: Company, goods: ProductRange, entities: Entities, known: Terms, bought: Purchases
) -> NamedTable:
    draw = Draw(company.seed, "Purchasing_ProductVendor")
    number = len(known.product)
    received = day("2011-07-22") + draw.below(number, 60)
    open_line = bought.status[bought.order] <= 2
    wanted: dict[tuple[int, int], int] = {}
    for product, vendor, quantity in zip(
        bought.product[open_line], bought.vendor[bought.order][open_line], bought.quantity[open_line], strict=True
    ):
        wanted[int(product), int(vendor)] = wanted.get((int(product), int(vendor)), 0) + int(quantity)
    pairs = zip(known.product.tolist(), known.vendor.tolist(), strict=True)
    return table(
        "Purchasing_ProductVendor",
        {
            "ProductID": goods.ids[known.product],
            "BusinessEntityID": entities.vendors[known.vendor],
            "AverageLeadTime": draw.between(number, 10, 60),
            "StandardPrice": known.price,
            "LastReceiptCost": known.price * 105 // 100,
            "LastReceiptDate": received,
            "MinOrderQty": (known.quantity // 5).clip(1),
            "MaxOrderQty": known.quantity * 4,
            "OnOrderQty": [wanted.get(pair) for pair in pairs],
            "UnitMeasureCode": words(_UNITS, draw.index(number, (30, 20, 20, 12, 6, 8, 4))),
            "ModifiedDate": received,
        },
    )


def _order_tables(company: Company, goods: ProductRange, entities: Entities, bought: Purchases) -> Iterator[NamedTable]:
    draw = Draw(company.seed, "Purchasing_PurchaseOrderHeader")
    number = len(bought.days)
    line_total = bought.price * bought.quantity
    subtotal = np.zeros(number, dtype=np.int64)
    np.add.at(subtotal, bought.order, line_total)
    tax, freight = share(subtotal, 800), share(subtotal, 250)
    buyers = holders("Buyer")
    shipped = bought.days + np.where(draw.chance(number, 9_500), 9, 25)
    yield table(
        "Purchasing_PurchaseOrderHeader",
        {
            "PurchaseOrderID": np.arange(1, number + 1),
            "RevisionNumber": draw.between(number, 4, 8),
            "Status": bought.status,
            "EmployeeID": buyers[draw.below(number, len(buyers))],
            "VendorID": entities.vendors[bought.vendor],
            "ShipMethodID": draw.between(number, 1, len(_SHIPPERS)),
            "OrderDate": bought.days,
            "ShipDate": null_where(shipped, bought.status == 1),
            "SubTotal": subtotal,
            "TaxAmt": tax,
            "Freight": freight,
            "TotalDue": subtotal + tax + freight,
            "ModifiedDate": np.where(bought.status == 4, shipped, bought.days),
        },
    )
    lines = len(bought.order)
    yield table(
        "Purchasing_PurchaseOrderDetail",
        {
            "PurchaseOrderID": bought.order + 1,
            "PurchaseOrderDetailID": np.arange(1, lines + 1),
            "DueDate": bought.days[bought.order] + np.timedelta64(14, "D"),
            "OrderQty": bought.quantity,
            "ProductID": goods.ids[bought.product],
            "UnitPrice": bought.price,
            "LineTotal": line_total,
            "ReceivedQty": bought.received,
            "RejectedQty": bought.rejected,
            "StockedQty": bought.received - bought.rejected,
            "ModifiedDate": bought.days[bought.order] + np.timedelta64(7, "D"),
        },
    )
