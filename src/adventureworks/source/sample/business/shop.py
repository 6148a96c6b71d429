"""The day's orders: what is on sale and at which price, who buys, what ships, what is called off."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from adventureworks.source.sample.business.journal import Dice, Journal, Row, money, ten_thousandths
from adventureworks.source.sample.business.newcomers import Buyer, newcomer
from adventureworks.source.sample.business.stock import Movement, record, shift

_DEALER_SHARE = 6_000
_TAXES = {True: (800, 250), False: (965, 302)}
"""Tax and freight in ten-thousandths of the subtotal, online and not."""
_SHIPPERS = {True: 0, False: -1}
"""The first shipping company brings parcels, the last one pallets."""
_NEW_BUYERS = 3_000
_BIKE = 1


@dataclass(frozen=True)
class Shelf:
    """What is sold today: products with their list price, the offers for each, the currencies."""

    bikes: list[Row]
    others: list[Row]
    offers: dict[int, list[Row]]
    rates: dict[int, int]
    """CurrencyRateID of a territory's own money."""
    shippers: list[int]
    reasons: list[int]


@dataclass
class Day:
    """The orders of a day, to be written at its end."""

    heads: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    reasons: list[Row] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    sold: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def sell(journal: Journal) -> None:
    """Takes the day's orders, of customers old and new."""
    shelf = _shelf(journal)
    if not (shelf.others or shelf.bikes) or not shelf.shippers:
        return
    day = Day()
    known = _web_customers(journal)
    dice = journal.dice("web orders")
    for _ in range(_online_orders(journal, dice)):
        again = known and not dice.chance(_NEW_BUYERS)
        buyer = _known_buyer(journal, dice.one_of(known)) if again else newcomer(journal, dice)
        _order(journal, day, shelf, dice, buyer, _web_basket(shelf, dice))
    dice = journal.dice("shop orders")
    for buyer in _resellers(journal, dice):
        _order(journal, day, shelf, dice, buyer, _shop_basket(shelf, dice))
    journal.insert("Sales_SalesOrderHeader", day.heads)
    journal.insert("Sales_SalesOrderDetail", day.lines)
    journal.insert("Sales_SalesOrderHeaderSalesReason", day.reasons)
    record(journal, day.movements)
    shift(journal, {product: -pieces for product, pieces in day.sold.items()})


def ship(journal: Journal) -> None:
    """Orders of a week ago leave the house; a few of the last days are called off or refused."""
    dice = journal.dice("ship")
    # Set on a day of its own: an order that is a week old was never late.
    week_old = journal.rows(
        'select "SalesOrderID" from "Sales"."SalesOrderHeader" where "Status" = 1 and "OrderDate" <= %s order by 1',
        journal.days_ago(7),
    )
    journal.update("Sales_SalesOrderHeader", [(row, {"Status": 5, "ShipDate": journal.midnight}) for row in week_old])
    fresh = journal.rows(
        'select "SalesOrderID" from "Sales"."SalesOrderHeader" where "Status" = 1 and "OrderDate" = %s order by 1',
        journal.days_ago(2),
    )
    refused = [(row, {"Status": 6 if dice.chance(7_000) else 4}) for row in fresh if dice.chance(150)]
    journal.update("Sales_SalesOrderHeader", refused)


def _web_customers(journal: Journal) -> list[int]:
    """Persons of the web shop who can order: with a territory and a home."""
    rows = journal.rows(
        'select distinct c."CustomerID" as id from "Sales"."Customer" c join "Person"."BusinessEntityAddress" a on '
        'a."BusinessEntityID" = c."PersonID" where c."StoreID" is null and c."TerritoryID" is not null order by 1'
    )
    return [row["id"] for row in rows]


def _online_orders(journal: Journal, dice: Dice) -> int:
    """About as many as on a day of the sixty before the newest."""
    lately = journal.value(
        'select count(*) from "Sales"."SalesOrderHeader" where "OnlineOrderFlag" and "OrderDate" > '
        '(select max("OrderDate") from "Sales"."SalesOrderHeader") - interval \'60 days\''
    )
    return int(max((lately * dice.between(85, 115) + dice.below(6_000)) // 6_000, 2))


def _known_buyer(journal: Journal, customer: int) -> Buyer:
    row = journal.rows(
        'select c."TerritoryID" as territory, min(a."AddressID") as address, min(k."CreditCardID") as card '
        'from "Sales"."Customer" c join "Person"."BusinessEntityAddress" a on a."BusinessEntityID" = c."PersonID" '
        'left join "Sales"."PersonCreditCard" k on k."BusinessEntityID" = c."PersonID" '
        'where c."CustomerID" = %s group by 1',
        customer,
    )[0]
    return Buyer(customer, row["territory"], row["address"], row["card"], None)


def _resellers(journal: Journal, dice: Dice) -> list[Buyer]:
    """At a month's end those whose last order is a quarter old; on other working days now and then one."""
    tomorrow = journal.today + timedelta(days=1)
    rows = journal.rows(
        'select c."CustomerID" as id, c."TerritoryID" as territory, min(a."AddressID") as address, '
        'min(k."CreditCardID") as card, s."SalesPersonID" as seller, b.last from "Sales"."Customer" c '
        'join "Sales"."Store" s on s."BusinessEntityID" = c."StoreID" join "Person"."BusinessEntityAddress" a on '
        'a."BusinessEntityID" = c."StoreID" left join "Sales"."PersonCreditCard" k on k."BusinessEntityID" = '
        'c."PersonID" left join (select "CustomerID", max("OrderDate") as last from "Sales"."SalesOrderHeader" '
        'where not "OnlineOrderFlag" group by 1) b on b."CustomerID" = c."CustomerID" where c."PersonID" is not null '
        'and s."SalesPersonID" is not null and c."TerritoryID" is not null group by 1, 2, 5, 6 order by 1'
    )
    if tomorrow.day == 1:
        quarter, long_ago = journal.days_ago(80), journal.days_ago(140)
        rows = [row for row in rows if row["last"] is None or long_ago <= row["last"] <= quarter]
    else:
        rows = dice.some_of(rows, dice.below(3) if journal.is_working_day else 0)
    return [Buyer(row["id"], row["territory"], row["address"], row["card"], row["seller"]) for row in rows]


def _shelf(journal: Journal) -> Shelf:
    products = journal.rows(
        'select distinct on (p."ProductID") p."ProductID" as id, l."ListPrice" as price, '
        's."ProductCategoryID" as category from "Production"."Product" p join "Production"."ProductSubcategory" s '
        'using ("ProductSubcategoryID") join "Production"."ProductListPriceHistory" l on l."ProductID" = p."ProductID" '
        'and l."StartDate" <= %s and (l."EndDate" is null or l."EndDate" >= %s) join "Sales"."SpecialOfferProduct" o '
        'on o."ProductID" = p."ProductID" and o."SpecialOfferID" = 1 where p."FinishedGoodsFlag" and '
        'p."SellStartDate" <= %s and (p."SellEndDate" is null or p."SellEndDate" >= %s) order by p."ProductID"',
        *(journal.midnight,) * 4,
    )
    offers = journal.rows(
        'select p."ProductID" as product, o."SpecialOfferID" as id, o."DiscountPct" as discount, o."MinQty" as least, '
        'o."MaxQty" as most, o."Category" as audience from "Sales"."SpecialOffer" o join "Sales"."SpecialOfferProduct" '
        'p using ("SpecialOfferID") where %s between o."StartDate" and o."EndDate" order by o."DiscountPct" desc, 2, 1',
        journal.midnight,
    )
    by_product: dict[int, list[Row]] = defaultdict(list)
    for offer in offers:
        by_product[offer["product"]].append(offer)
    rates = journal.rows(
        'select distinct on (t."TerritoryID") t."TerritoryID" as territory, r."CurrencyRateID" as id from '
        '"Sales"."SalesTerritory" t join "Sales"."CountryRegionCurrency" c using ("CountryRegionCode") join '
        '"Sales"."CurrencyRate" r on r."ToCurrencyCode" = c."CurrencyCode" and r."CurrencyRateDate" = %s and '
        'r."ToCurrencyCode" <> r."FromCurrencyCode" order by 1, 2 desc',
        journal.midnight,
    )
    shippers = journal.rows('select "ShipMethodID" as id from "Purchasing"."ShipMethod" order by 1')
    reasons = journal.rows('select "SalesReasonID" as id from "Sales"."SalesReason" order by 1')
    return Shelf(
        bikes=[row for row in products if row["category"] == _BIKE],
        others=[row for row in products if row["category"] != _BIKE],
        offers=dict(by_product),
        rates={row["territory"]: row["id"] for row in rates},
        shippers=[row["id"] for row in shippers],
        reasons=[row["id"] for row in reasons],
    )


def _web_basket(shelf: Shelf, dice: Dice) -> list[tuple[Row, int]]:
    """A bike in four of ten orders, and some small things; one piece of each."""
    bikes = dice.some_of(shelf.bikes, int(dice.chance(4_000)))
    small = [row for row in shelf.others if row["price"] < 200] or shelf.others
    extras = dice.some_of(small, dice.weighted((25, 35, 25, 15)) if bikes else 1 + dice.weighted((35, 40, 25)))
    return [(row, 1) for row in [*bikes, *extras] or dice.some_of(shelf.bikes, 1)]


def _shop_basket(shelf: Shelf, dice: Dice) -> list[tuple[Row, int]]:
    """Up to some forty products, a few pieces of each, now and then many."""
    number = 1 + dice.below(8) + (dice.below(35) if dice.chance(3_500) else 0)
    chosen = dice.some_of(shelf.bikes, number // 3) + dice.some_of(shelf.others, number - number // 3)
    return [(row, dice.between(11, 25) if dice.chance(400) else dice.between(1, 6)) for row in chosen]


def _order(journal: Journal, day: Day, shelf: Shelf, dice: Dice, buyer: Buyer, basket: list[tuple[Row, int]]) -> None:
    """One order: lines first, then the head that sums them."""
    number = journal.next_id("Sales_SalesOrderHeader", "SalesOrderID")
    online = buyer.seller is None
    parcel = None if online else f"{dice.below(65_536):04X}-{dice.below(65_536):04X}-{dice.below(256):02X}"
    total = Decimal(0)
    for place, (product, quantity) in enumerate(basket, start=1):
        list_price = ten_thousandths(product["price"])
        price = money(list_price if online else list_price * _DEALER_SHARE // 10_000)
        offer, discount = _best_offer(shelf, product["id"], quantity, online)
        amount = price * (1 - discount) * quantity
        total += amount
        day.lines.append(
            {
                "SalesOrderID": number,
                "SalesOrderDetailID": journal.next_id("Sales_SalesOrderDetail", "SalesOrderDetailID"),
                "CarrierTrackingNumber": parcel,
                "OrderQty": quantity,
                "ProductID": product["id"],
                "SpecialOfferID": offer,
                "UnitPrice": price,
                "UnitPriceDiscount": discount,
                "LineTotal": amount,
                "rowguid": dice.guid(),
            }
        )
        day.movements.append(Movement("S", product["id"], number, place, quantity, price))
        day.sold[product["id"]] += quantity
    day.heads.append(_head(journal, shelf, dice, buyer, number, total))
    if online and shelf.reasons and dice.chance(8_000):
        reason = {"SalesOrderID": number, "SalesReasonID": dice.one_of(shelf.reasons)}
        day.reasons.append(reason)


def _best_offer(shelf: Shelf, product: int, quantity: int, online: bool) -> tuple[int, Decimal]:
    """The largest discount of today that is for such a customer and such a quantity."""
    wrong_audience = "Reseller" if online else "Customer"
    for offer in shelf.offers.get(product, []):
        fits = offer["least"] <= quantity and (offer["most"] is None or quantity <= offer["most"])
        if fits and offer["audience"] != wrong_audience:
            return offer["id"], offer["discount"]
    return 1, Decimal(0)


def _head(journal: Journal, shelf: Shelf, dice: Dice, buyer: Buyer, number: int, total: Decimal) -> Row:
    online = buyer.seller is None
    subtotal = int(total.scaleb(4).quantize(Decimal(1)))
    tax, freight = (subtotal * part // 10_000 for part in _TAXES[online])
    local = shelf.rates.get(buyer.territory) if dice.chance(9_500) else None
    card = buyer.card if dice.chance(9_600) else None
    return {
        "SalesOrderID": number,
        "RevisionNumber": 1,
        "OrderDate": journal.midnight,
        "DueDate": journal.midnight + timedelta(days=12),
        "ShipDate": None,
        "Status": 1,
        "OnlineOrderFlag": online,
        "SalesOrderNumber": f"SO{number}",
        "PurchaseOrderNumber": None if online else f"PO{dice.between(10_000_000, 99_999_999)}",
        "AccountNumber": f"10-40{30 if online else 20}-{buyer.customer:06}",
        "CustomerID": buyer.customer,
        "SalesPersonID": buyer.seller,
        "TerritoryID": buyer.territory,
        "BillToAddressID": buyer.address,
        "ShipToAddressID": buyer.address,
        "ShipMethodID": shelf.shippers[_SHIPPERS[online]],
        "CreditCardID": card,
        "CreditCardApprovalCode": None if card is None else f"{dice.between(10_000, 999_999)}Ok{dice.below(99_999)}",
        "CurrencyRateID": local,
        "SubTotal": money(subtotal),
        "TaxAmt": money(tax),
        "Freight": money(freight),
        "TotalDue": money(subtotal + tax + freight),
        "Comment": None,
        "rowguid": dice.guid(),
    }
