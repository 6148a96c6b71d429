"""Orders of customers: heads, lines, reasons. Taxes, freight and totals follow from the lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adventureworks.source.sample.baskets import Lines, baskets
from adventureworks.source.sample.build import (
    Days,
    Named,
    blank,
    digits,
    joined,
    missing,
    rows,
    running_number,
    share,
    table,
)
from adventureworks.source.sample.customers import Customers, bookings, returning
from adventureworks.source.sample.demand import booking_days, online_days
from adventureworks.source.sample.draw import Draw, Flags, Integers
from adventureworks.source.sample.products import Range
from adventureworks.source.sample.rates import Rates
from adventureworks.source.sample.selling import FIRST_SELLER, takers
from adventureworks.source.sample.world import FIRST_DAY, SET_UP, Company

FIRST_ORDER_ID = 43_659
_TO_SHIP = np.timedelta64(7, "D")
_TO_PAY = np.timedelta64(12, "D")
_MONEY_OF_TERRITORIES = {6: ("CAD", "CAD"), 7: ("FRF", "EUR"), 8: ("DEM", "EUR"), 9: ("AUD", "AUD"), 10: ("GBP", "GBP")}
"""Local currency of a territory, before and after the euro."""
_LOCAL_SHARE = {6: 9_300, 7: 330, 8: 310, 9: 9_750, 10: 9_700}
"""Orders of the web shop that are paid in it, in ten-thousandths; resellers all do, the French seldom."""
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
    """Orders in the order of their numbers; positions stand for orders in the lines. Money in ten-thousandths."""

    days: Days
    online: Flags
    customer: Integers
    """Position among the customers."""
    territory: Integers
    seller: Integers
    """0 to 16; -1 in the web shop."""
    lines: Lines
    subtotal: Integers
    tax: Integers
    freight: Integers

    @property
    def ids(self) -> Integers:
        """SalesOrderIDs."""
        return FIRST_ORDER_ID + np.arange(len(self.days))

    def first_days(self, customers: int) -> Days:
        """The day of each customer's first order; the first day of all for those without any."""
        first = np.full(customers, FIRST_DAY)
        customer, place = np.unique(self.customer, return_index=True)
        first[customer] = self.days[place]
        return first


def orders(company: Company, goods: Range, buyers: Customers) -> Orders:
    """Everything sold from the first day to the last."""
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
    seller[~online] = takers(
        Draw(company.seed, "takers"),
        buyers.territory[customer[~online]],
        customer[~online] - buyers.first_reseller,
        days[~online],
    )
    tax = share(subtotal, np.where(online, 800, 965))
    freight = share(subtotal, np.where(online, 250, 302))
    return Orders(days, online, customer, buyers.territory[customer], seller, lines, subtotal, tax, freight)


def tables(
    company: Company, goods: Range, buyers: Customers, sold: Orders, rates: Rates, address: Integers
) -> Iterator[Named]:
    """Heads, lines, reasons. `address` is the AddressID of each customer."""
    yield _heads(company, buyers, sold, rates, address)
    yield _lines(company, goods, sold)
    yield from _reasons(company, sold)


def _heads(company: Company, buyers: Customers, sold: Orders, rates: Rates, address: Integers) -> Named:
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
            "PurchaseOrderNumber": blank(reference, sold.online),
            "AccountNumber": account,
            "CustomerID": buyers.ids[sold.customer],
            "SalesPersonID": missing(FIRST_SELLER + sold.seller, sold.online),
            "TerritoryID": sold.territory,
            "BillToAddressID": home,
            "ShipToAddressID": home,
            "ShipMethodID": np.where(sold.online, 1, 5),
            "CreditCardID": missing(card, card == 0),
            "CreditCardApprovalCode": blank(approval, card == 0),
            "CurrencyRateID": missing(currency, currency == 0),
            "SubTotal": sold.subtotal,
            "TaxAmt": sold.tax,
            "Freight": sold.freight,
            "TotalDue": sold.subtotal + sold.tax + sold.freight,
            "Comment": blank(account, np.ones(number, dtype=bool)),
            "rowguid": draw.guids(number),
            "ModifiedDate": sold.days + _TO_SHIP,
        },
    )


def _currency_rate(draw: Draw, sold: Orders, rates: Rates) -> Integers:
    """CurrencyRateID of each order, 0 for dollars."""
    rate = np.zeros(len(sold.days), dtype=np.int64)
    for territory, (early, late) in _MONEY_OF_TERRITORIES.items():
        here = sold.territory == territory
        reseller_share = 1_800 if territory == 7 else 10_000
        local = here & draw.chance(len(rate), np.where(sold.online, _LOCAL_SHARE[territory], reseller_share))
        found = rates.latest(early, sold.days)
        later = rates.latest(late, sold.days)
        rate = np.where(local, np.where(found > 0, found, later), rate)
    return rate


def _lines(company: Company, goods: Range, sold: Orders) -> Named:
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
            "CarrierTrackingNumber": blank(parcel, sold.online).take(pa.array(lines.order)),
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


def _reasons(company: Company, sold: Orders) -> Iterator[Named]:
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
    # A second and third reason follow the first in a fixed round of those that are given at all.
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
