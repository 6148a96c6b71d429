"""Sales orders: headers, lines and reasons. Tax, freight and totals are computed from the lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adventureworks_sample.baskets import Lines, baskets
from adventureworks_sample.build import (
    Days,
    NamedTable,
    digits,
    joined,
    null_text_where,
    null_where,
    rows,
    running_number,
    share,
    table,
)
from adventureworks_sample.customers import Customers, bookings, returning
from adventureworks_sample.demand import booking_days, online_days
from adventureworks_sample.draw import Draw, Flags, Integers
from adventureworks_sample.products import ProductRange
from adventureworks_sample.rates import Rates
from adventureworks_sample.selling import FIRST_SELLER, order_takers
from adventureworks_sample.world import FIRST_DAY, SET_UP, Company

FIRST_ORDER_ID = 43_659
_TO_SHIP = np.timedelta64(7, "D")
_TO_PAY = np.timedelta64(12, "D")
_TERRITORY_CURRENCIES = {6: ("CAD", "CAD"), 7: ("FRF", "EUR"), 8: ("DEM", "EUR"), 9: ("AUD", "AUD"), 10: ("GBP", "GBP")}
"""Local currency of a territory, before and since the euro."""
_LOCAL_SHARE = {6: 9_300, 7: 330, 8: 310, 9: 9_750, 10: 9_700}
"""Share of web shop orders in the local currency, in ten-thousandths; resellers always pay in it, in France rarely."""
_REASONS = (
    ("Price", "Other"),
    ("Discount campaign", "Promotion"),
    ("Magazine", "Marketing"),
    ("Television spot", "Marketing"),
    ("Brand", "Other"),
    ("Test report", "Other"),
    ("Trial ride", "Marketing"),
    ("Sponsored team", "Marketing"),
    ("Workmanship", "Other"),
    ("No answer", "Other"),
)
_REASON_WEIGHTS = (630, 127, 0, 26, 63, 45, 0, 0, 56, 53)


@dataclass(frozen=True)
class Orders:
    """Orders, sorted by SalesOrderID; lines refer to an order by its position. Money in ten-thousandths of a dollar."""

    days: Days
    online: Flags
    customer: Integers
    """Position in `Customers`."""
    territory: Integers
    seller: Integers
    """Sales person, 0 to 16; -1 in the web shop."""
    lines: Lines
    subtotal: Integers
    tax: Integers
    freight: Integers

    @property
    def ids(self) -> Integers:
        """The SalesOrderID of each order."""
        return FIRST_ORDER_ID + np.arange(len(self.days))

    def first_days(self, customers: int) -> Days:
        """Return the day of each customer's first order; the company's first day for customers without orders."""
        first = np.full(customers, FIRST_DAY)
        customer, place = np.unique(self.customer, return_index=True)
        first[customer] = self.days[place]
        return first


def orders(company: Company, goods: ProductRange, buyers: Customers) -> Orders:
    """Return all sales orders."""
    web_days = online_days(company)
    _, known = returning(company, len(web_days))
    reseller, month = bookings(company, buyers)
    days = np.r_[booking_days(company)[month], web_days]
    customer = np.r_[buyers.first_reseller + reseller, buyers.first_buyer + known]
    online = np.arange(len(days)) >= len(reseller)
    by_day = np.argsort(days, kind="stable")
    days, customer, online = days[by_day], customer[by_day], online[by_day]
    lines = baskets(company, goods, days, online)
    subtotal = np.zeros(len(days), dtype=np.int64)
    np.add.at(subtotal, lines.order, lines.total)
    subtotal = (subtotal + 50) // 100
    seller = np.full(len(days), -1)
    seller[~online] = order_takers(
        Draw(company.seed, "takers"),
        buyers.territory[customer[~online]],
        customer[~online] - buyers.first_reseller,
        days[~online],
    )
    tax = share(subtotal, np.where(online, 800, 965))
    freight = share(subtotal, np.where(online, 250, 302))
    return Orders(days, online, customer, buyers.territory[customer], seller, lines, subtotal, tax, freight)


def tables(
    company: Company, goods: ProductRange, buyers: Customers, sold: Orders, rates: Rates, address: Integers
) -> Iterator[NamedTable]:
    """Yield the tables of headers, lines and reasons. `address` is the AddressID of each customer."""
    yield _headers(company, buyers, sold, rates, address)
    yield _lines(company, goods, sold)
    yield from _reasons(company, sold)


def _headers(company: Company, buyers: Customers, sold: Orders, rates: Rates, address: Integers) -> NamedTable:
    draw = Draw(company.seed, "Sales_SalesOrderHeader")
    number = len(sold.days)
    card = np.where(draw.chance(number, np.where(sold.online, 405, 20)), 0, buyers.card[sold.customer])
    approval = joined(digits(draw.between(number, 10_000, 999_999)), "Ok", digits(draw.between(number, 100, 99_999)))
    currency = _currency_rate(draw, sold, rates)
    home = address[sold.customer]
    reference = joined("PO", digits(draw.between(number, 100_000, 999_999)), digits(draw.between(number, 1_000, 9_999)))
    account = joined(pa.array(np.where(sold.online, "10-4030-", "10-4020-")), digits(buyers.ids[sold.customer], 6))
    return table(
        "Sales_SalesOrderHeader",
        {
            "SalesOrderID": sold.ids,
            "RevisionNumber": np.where(draw.chance(number, 10), 9, 8),
            "OrderDate": sold.days,
            "DueDate": sold.days + _TO_PAY,
            "ShipDate": sold.days + _TO_SHIP,
            "Status": 5,
            "OnlineOrderFlag": sold.online,
            "SalesOrderNumber": joined("SO", digits(sold.ids)),
            "PurchaseOrderNumber": null_text_where(reference, sold.online),
            "AccountNumber": account,
            "CustomerID": buyers.ids[sold.customer],
            "SalesPersonID": null_where(FIRST_SELLER + sold.seller, sold.online),
            "TerritoryID": sold.territory,
            "BillToAddressID": home,
            "ShipToAddressID": home,
            "ShipMethodID": np.where(sold.online, 1, 5),
            "CreditCardID": null_where(card, card == 0),
            "CreditCardApprovalCode": null_text_where(approval, card == 0),
            "CurrencyRateID": null_where(currency, currency == 0),
            "SubTotal": sold.subtotal,
            "TaxAmt": sold.tax,
            "Freight": sold.freight,
            "TotalDue": sold.subtotal + sold.tax + sold.freight,
            "Comment": null_text_where(account, np.ones(number, dtype=bool)),
            "rowguid": draw.guids(number),
            "ModifiedDate": sold.days + _TO_SHIP,
        },
    )


def _currency_rate(draw: Draw, sold: Orders, rates: Rates) -> Integers:
    """Return the CurrencyRateID of each order; 0 for US dollars."""
    rate = np.zeros(len(sold.days), dtype=np.int64)
    for territory, (early, late) in _TERRITORY_CURRENCIES.items():
        here = sold.territory == territory
        reseller_share = 1_800 if territory == 7 else 10_000
        local = here & draw.chance(len(rate), np.where(sold.online, _LOCAL_SHARE[territory], reseller_share))
        found = rates.latest(early, sold.days)
        later = rates.latest(late, sold.days)
        rate = np.where(local, np.where(found > 0, found, later), rate)
    return rate


def _lines(company: Company, goods: ProductRange, sold: Orders) -> NamedTable:
    draw = Draw(company.seed, "Sales_SalesOrderDetail")
    lines = sold.lines
    number = len(lines.order)
    parcel = joined(
        *(
            draw.letters(len(sold.days), "0123456789ABCDEF", 4),
            "-",
            draw.letters(len(sold.days), "0123456789ABCDEF", 4),
        ),
        *("-", draw.letters(len(sold.days), "0123456789ABCDEF", 2)),
    )
    return table(
        "Sales_SalesOrderDetail",
        {
            "SalesOrderID": sold.ids[lines.order],
            "SalesOrderDetailID": np.arange(1, number + 1),
            "CarrierTrackingNumber": null_text_where(parcel, sold.online).take(pa.array(lines.order)),
            "OrderQty": lines.quantity,
            "ProductID": goods.ids[lines.product],
            "SpecialOfferID": lines.offer,
            "UnitPrice": lines.price,
            "UnitPriceDiscount": lines.discount,
            "LineTotal": lines.total,
            "rowguid": draw.guids(number),
            "ModifiedDate": sold.days[lines.order],
        },
    )


def _reasons(company: Company, sold: Orders) -> Iterator[NamedTable]:
    draw = Draw(company.seed, "Sales_SalesOrderHeaderSalesReason")
    yield rows(
        "Sales_SalesReason",
        ("SalesReasonID", "Name", "ReasonType"),
        [(number, name, kind) for number, (name, kind) in enumerate(_REASONS, start=1)],
        ModifiedDate=SET_UP,
    )
    asked = np.flatnonzero(sold.online & draw.chance(len(sold.days), 8_320))
    given = 1 + draw.index(len(asked), (795, 195, 10))
    order = np.repeat(asked, given)
    first = np.repeat(draw.index(len(asked), _REASON_WEIGHTS), given)
    # Second and third reasons follow the first in a fixed cycle through the reasons in use.
    used = np.flatnonzero(_REASON_WEIGHTS)
    place = np.searchsorted(used, first) + running_number(order) - 1
    yield table(
        "Sales_SalesOrderHeaderSalesReason",
        {
            "SalesOrderID": sold.ids[order],
            "SalesReasonID": used[place % len(used)] + 1,
            "ModifiedDate": sold.days[order],
        },
    )
