"""A day's sales orders: new orders at current prices and offers, shipments and cancellations."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from adventureworks_sample.business.journal import Dice, Journal, Row, money, ten_thousandths
from adventureworks_sample.business.newcomers import Buyer, new_customer
from adventureworks_sample.business.stock import Movement, adjust_stock, record

_DEALER_SHARE = 6_000
_TAXES = {True: (800, 250), False: (965, 302)}
"""Tax and freight in ten-thousandths of the subtotal, online and not."""
_SHIPPERS = {True: 0, False: -1}
"""Position of the shipping company: the first one ships parcels, the last one pallets."""
_NEW_BUYERS = 3_000
_BIKE = 1


@dataclass(frozen=True)
class Assortment:
    """Everything on sale today: products with their list prices, the offers for each, and exchange rates."""

    bikes: list[Row]
    others: list[Row]
    offers: dict[int, list[Row]]
    rates: dict[int, int]
    """CurrencyRateID of the local currency by territory."""
    shippers: list[int]
    reasons: list[int]


@dataclass
class Day:
    """Orders of a day, inserted together at its end."""

    headers: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    reasons: list[Row] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    sold: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def sell(journal: Journal) -> None:
    """Insert the day's orders, from existing and new customers."""
    assortment = _load_assortment(journal)
    if not (assortment.others or assortment.bikes) or not assortment.shippers:
        return
    day = Day()
    known = _web_customers(journal)
    dice = journal.dice("web orders")
    for _ in range(_online_orders(journal, dice)):
        again = known and not dice.chance(_NEW_BUYERS)
        buyer = _known_buyer(journal, dice.one_of(known)) if again else new_customer(journal, dice)
        _order(journal, day, assortment, dice, buyer, _web_basket(assortment, dice))
    dice = journal.dice("shop orders")
    for buyer in _resellers(journal, dice):
        _order(journal, day, assortment, dice, buyer, _shop_basket(assortment, dice))
    journal.insert("Sales_SalesOrderHeader", day.headers)
    journal.insert("Sales_SalesOrderDetail", day.lines)
    journal.insert("Sales_SalesOrderHeaderSalesReason", day.reasons)
    record(journal, day.movements)
    adjust_stock(journal, {product: -pieces for product, pieces in day.sold.items()})


def ship(journal: Journal) -> None:
    """Ship the orders of a week ago, and cancel or reject a few recent ones."""
    dice = journal.dice("ship")
    # Orders ship after a week, before they are due, so none is late.
    week_old = journal.rows(
        'select "SalesOrderID" from "Sales"."SalesOrderHeader" where "Status" = 1 and "OrderDate" <= %s order by 1',
        journal.days_ago(7),
    )
    journal.update("Sales_SalesOrderHeader", [(row, {"Status": 5, "ShipDate": journal.midnight}) for row in week_old])
    fresh = journal.rows(
        'select "SalesOrderID" from "Sales"."SalesOrderHeader" where "Status" = 1 and "OrderDate" = %s order by 1',
        journal.days_ago(2),
    )
    stopped = [(row, {"Status": 6 if dice.chance(7_000) else 4}) for row in fresh if dice.chance(150)]
    journal.update("Sales_SalesOrderHeader", stopped)


def _web_customers(journal: Journal) -> list[int]:
    """Return the web shop customers who can order, because they have a territory and an address."""
    rows = journal.rows(
        'select distinct c."CustomerID" as id from "Sales"."Customer" c join "Person"."BusinessEntityAddress" a on '
        'a."BusinessEntityID" = c."PersonID" where c."StoreID" is null and c."TerritoryID" is not null order by 1'
    )
    return [row["id"] for row in rows]


def _online_orders(journal: Journal, dice: Dice) -> int:
    """Return about the average number per day over the 60 days before the newest order."""
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
    """Return the resellers who order: at a month's end those due after a quarter, on other working days up to two."""
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


def _load_assortment(journal: Journal) -> Assortment:
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
    return Assortment(
        bikes=[row for row in products if row["category"] == _BIKE],
        others=[row for row in products if row["category"] != _BIKE],
        offers=dict(by_product),
        rates={row["territory"]: row["id"] for row in rates},
        shippers=[row["id"] for row in shippers],
        reasons=[row["id"] for row in reasons],
    )


def _web_basket(assortment: Assortment, dice: Dice) -> list[tuple[Row, int]]:
    """Return a basket with a bike in four of ten orders, and some small products; one piece of each."""
    bikes = dice.some_of(assortment.bikes, int(dice.chance(4_000)))
    small = [row for row in assortment.others if row["price"] < 200] or assortment.others
    extras = dice.some_of(small, dice.weighted((25, 35, 25, 15)) if bikes else 1 + dice.weighted((35, 40, 25)))
    return [(row, 1) for row in [*bikes, *extras] or dice.some_of(assortment.bikes, 1)]


def _shop_basket(assortment: Assortment, dice: Dice) -> list[tuple[Row, int]]:
    """Return a basket of up to some forty products, a few pieces of each, occasionally many."""
    number = 1 + dice.below(8) + (dice.below(35) if dice.chance(3_500) else 0)
    chosen = dice.some_of(assortment.bikes, number // 3) + dice.some_of(assortment.others, number - number // 3)
    return [(row, dice.between(11, 25) if dice.chance(400) else dice.between(1, 6)) for row in chosen]


def _order(
    journal: Journal, day: Day, assortment: Assortment, dice: Dice, buyer: Buyer, basket: list[tuple[Row, int]]
) -> None:
    """Add one order to the day: the lines first, then the header with their sum."""
    number = journal.next_id("Sales_SalesOrderHeader", "SalesOrderID")
    online = buyer.seller is None
    parcel = None if online else f"{dice.below(65_536):04X}-{dice.below(65_536):04X}-{dice.below(256):02X}"
    total = Decimal(0)
    for place, (product, quantity) in enumerate(basket, start=1):
        list_price = ten_thousandths(product["price"])
        price = money(list_price if online else list_price * _DEALER_SHARE // 10_000)
        offer, discount = _best_offer(assortment, product["id"], quantity, online)
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
    day.headers.append(_header(journal, assortment, dice, buyer, number, total))
    if online and assortment.reasons and dice.chance(8_000):
        reason = {"SalesOrderID": number, "SalesReasonID": dice.one_of(assortment.reasons)}
        day.reasons.append(reason)


def _best_offer(assortment: Assortment, product: int, quantity: int, online: bool) -> tuple[int, Decimal]:
    """Return today's best offer, as id and discount, for this kind of customer and this quantity."""
    wrong_audience = "Reseller" if online else "Customer"
    for offer in assortment.offers.get(product, []):
        fits = offer["least"] <= quantity and (offer["most"] is None or quantity <= offer["most"])
        if fits and offer["audience"] != wrong_audience:
            return offer["id"], offer["discount"]
    return 1, Decimal(0)


def _header(journal: Journal, assortment: Assortment, dice: Dice, buyer: Buyer, number: int, total: Decimal) -> Row:
    online = buyer.seller is None
    subtotal = int(total.scaleb(4).quantize(Decimal(1)))
    tax, freight = (subtotal * part // 10_000 for part in _TAXES[online])
    local = assortment.rates.get(buyer.territory) if dice.chance(9_500) else None
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
        "ShipMethodID": assortment.shippers[_SHIPPERS[online]],
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
