"""Daily changes other than orders: exchange rates, prices and costs, offers, quotas, carts, corrections."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from adventureworks_sample.business.journal import Journal, money, ten_thousandths

_CENT = 100
_QUARTER_DAYS = 92
_KEPT_DAYS = 300
"""Stock movements older than this are moved to the archive, a few each day."""


def exchange_rates(journal: Journal) -> None:
    """Insert the day's rate of every currency with a rate in the 60 days before the newest one."""
    dice = journal.dice("rates")
    known = journal.rows(
        'select distinct on ("ToCurrencyCode") "FromCurrencyCode" as base, "ToCurrencyCode" as code, '
        '"EndOfDayRate" as rate, "CurrencyRateDate" as day from "Sales"."CurrencyRate" '
        'where "CurrencyRateDate" >= (select max("CurrencyRateDate") from "Sales"."CurrencyRate") '
        "- interval '60 days' "
        'order by "ToCurrencyCode", "CurrencyRateDate" desc, "CurrencyRateID"'
    )
    rows = []
    for row in known:
        if row["day"] >= journal.midnight:
            continue
        before = ten_thousandths(row["rate"])
        step = 0 if row["code"] == row["base"] else 60
        average = max(before + before * dice.between(-step, step) // 10_000, 1)
        closing = max(average + average * dice.between(-step, step) // 20_000, 1)
        rows.append(
            {
                "CurrencyRateID": journal.next_id("Sales_CurrencyRate", "CurrencyRateID"),
                "CurrencyRateDate": journal.midnight,
                "FromCurrencyCode": row["base"],
                "ToCurrencyCode": row["code"],
                "AverageRate": money(average),
                "EndOfDayRate": money(closing),
            }
        )
    journal.insert("Sales_CurrencyRate", rows)


def new_prices(journal: Journal) -> None:
    """Change the price and cost of a few products from today on, mainly on Mondays."""
    dice = journal.dice("prices")
    number = 3 if journal.today.weekday() == 0 else int(dice.chance(4_000))
    on_sale = journal.rows(
        'select p."ProductID" as id, p."ListPrice" as price, p."StandardCost" as cost, l."StartDate" as price_since, '
        'c."StartDate" as cost_since from "Production"."Product" p '
        'join "Production"."ProductListPriceHistory" l on l."ProductID" = p."ProductID" and l."EndDate" is null '
        'join "Production"."ProductCostHistory" c on c."ProductID" = p."ProductID" and c."EndDate" is null '
        'where p."SellEndDate" is null and l."StartDate" < %s and c."StartDate" < %s order by 1',
        journal.days_ago(1),
        journal.days_ago(1),
    )
    for row in dice.some_of(on_sale, number):
        step = dice.one_of((-4, -3, -2, 2, 3, 4, 5, 6))
        price = _changed(row["price"], step)
        cost = min(_changed(row["cost"], step // 2), price)
        for asset, column, since, amount in (
            ("Production_ProductListPriceHistory", "ListPrice", row["price_since"], price),
            ("Production_ProductCostHistory", "StandardCost", row["cost_since"], cost),
        ):
            key = {"ProductID": row["id"], "StartDate": since}
            journal.update(asset, [(key, {"EndDate": journal.days_ago(1)})])
            journal.insert(
                asset,
                [{"ProductID": row["id"], "StartDate": journal.midnight, "EndDate": None, column: amount}],
            )
        journal.update("Production_Product", [({"ProductID": row["id"]}, {"ListPrice": price, "StandardCost": cost})])


def _changed(amount: Decimal, per_cent: int) -> Decimal:
    """Return the amount changed by this percentage, in whole cents, at least one cent."""
    return money(max(ten_thousandths(amount) * (100 + per_cent) // 100 // _CENT * _CENT, _CENT))


def offers(journal: Journal) -> None:
    """Start a sale of one subcategory on the first of a month, and extend the permanent offer without a discount."""
    dice = journal.dice("offers")
    standing = journal.rows(
        'select "SpecialOfferID" as id, "EndDate" as ends from "Sales"."SpecialOffer" '
        'where "DiscountPct" = 0 order by 1 limit 1'
    )
    if standing and standing[0]["ends"] < journal.midnight + timedelta(days=30):
        later = journal.midnight + timedelta(days=365)
        journal.update("Sales_SpecialOffer", [({"SpecialOfferID": standing[0]["id"]}, {"EndDate": later})])
    if journal.today.day != 1:
        return
    subcategories = journal.rows(
        'select distinct s."ProductSubcategoryID" as id, s."Name" as name from "Production"."ProductSubcategory" s '
        'join "Production"."Product" p using ("ProductSubcategoryID") where p."SellEndDate" is null '
        'and p."FinishedGoodsFlag" order by 1'
    )
    chosen = dice.one_of(subcategories)
    number = journal.next_id("Sales_SpecialOffer", "SpecialOfferID")
    journal.insert(
        "Sales_SpecialOffer",
        [
            {
                "SpecialOfferID": number,
                "Description": f"{chosen['name']} of the month, {journal.today:%Y-%m}",
                "DiscountPct": money(dice.one_of((500, 1_000, 1_500, 2_000))),
                "Type": "Seasonal Discount",
                "Category": "Reseller",
                "StartDate": journal.midnight,
                "EndDate": journal.midnight + timedelta(days=34),
                "MinQty": 0,
                "MaxQty": None,
                "rowguid": dice.guid(),
            }
        ],
    )
    products = journal.rows(
        'select "ProductID" as id from "Production"."Product" where "ProductSubcategoryID" = %s '
        'and "SellEndDate" is null order by 1',
        chosen["id"],
    )
    journal.insert(
        "Sales_SpecialOfferProduct",
        [{"SpecialOfferID": number, "ProductID": row["id"], "rowguid": dice.guid()} for row in products],
    )


def quotas(journal: Journal) -> None:
    """Insert new quotas for all sales persons with a quota, a quarter after the last ones."""
    newest = journal.value('select max("QuotaDate") from "Sales"."SalesPersonQuotaHistory"')
    if newest is None or journal.midnight < newest + timedelta(days=_QUARTER_DAYS):
        return
    dice = journal.dice("quotas")
    before = journal.rows(
        'select "BusinessEntityID" as id, "SalesQuota" as quota from "Sales"."SalesPersonQuotaHistory" '
        'where "QuotaDate" = %s order by 1',
        newest,
    )
    journal.insert(
        "Sales_SalesPersonQuotaHistory",
        [
            {
                "BusinessEntityID": row["id"],
                "QuotaDate": journal.midnight,
                "SalesQuota": max(row["quota"] * dice.between(85, 120) // 100_000 * 1_000, Decimal(1_000)),
                "rowguid": dice.guid(),
            }
            for row in before
        ],
    )


def carts(journal: Journal) -> None:
    """Empty half of the carts from before today, and fill new ones."""
    dice = journal.dice("carts")
    old = journal.rows(
        'select "ShoppingCartItemID" as id, "ShoppingCartID" as cart from "Sales"."ShoppingCartItem" '
        'where "DateCreated" < %s order by 1',
        journal.midnight,
    )
    left = sorted({row["cart"] for row in old})
    emptied = set(dice.some_of(left, (len(left) + 1) // 2))
    gone = [{"ShoppingCartItemID": row["id"]} for row in old if row["cart"] in emptied]
    journal.delete("Sales_ShoppingCartItem", gone)
    wanted = journal.rows(
        'select "ProductID" as id from "Production"."Product" where "FinishedGoodsFlag" '
        'and "SellEndDate" is null order by 1'
    )
    filled = []
    for _ in range(dice.between(1, 3)):
        cart = str(dice.between(10_000, 99_999))
        filled += [
            {
                "ShoppingCartItemID": journal.next_id("Sales_ShoppingCartItem", "ShoppingCartItemID"),
                "ShoppingCartID": cart,
                "Quantity": dice.between(1, 4),
                "ProductID": row["id"],
                "DateCreated": journal.midnight + timedelta(hours=9),
            }
            for row in dice.some_of(wanted, dice.between(1, 3))
        ]
    journal.insert("Sales_ShoppingCartItem", filled)


def corrections(journal: Journal) -> None:
    """Change some addresses and e-mail preferences, and sometimes add a product review."""
    dice = journal.dice("corrections")
    for asset, column, values in (
        ("Person_Address", "AddressID", {"AddressLine2": f"Apt. {dice.between(1, 99)}"}),
        ("Person_Person", "BusinessEntityID", {"EmailPromotion": dice.below(3)}),
    ):
        schema, name = asset.split("_")
        ids = journal.rows(f'select "{column}" as id from "{schema}"."{name}" order by 1')
        chosen = dice.some_of(ids, 2)
        journal.update(asset, [({column: row["id"]}, values) for row in chosen])
    if dice.chance(3_000):
        _review(journal)


def _review(journal: Journal) -> None:
    dice = journal.dice("reviews")
    sold = journal.rows(
        'select distinct "ProductID" as id from "Sales"."SalesOrderDetail" where "ModifiedDate" >= %s order by 1',
        journal.days_ago(60),
    )
    if sold:
        journal.insert(
            "Production_ProductReview",
            [
                {
                    "ProductReviewID": journal.next_id("Production_ProductReview", "ProductReviewID"),
                    "ProductID": dice.one_of(sold)["id"],
                    "ReviewerName": dice.one_of(("Ada", "Bruno", "Ines", "Milo")),
                    "ReviewDate": journal.midnight,
                    "EmailAddress": f"reader{dice.between(1, 9_999)}@example.com",
                    "Rating": dice.between(1, 5),
                    "Comments": None,
                }
            ],
        )


def archive(journal: Journal) -> None:
    """Move the oldest stock movements to the archive."""
    columns = (
        '"TransactionID", "ProductID", "ReferenceOrderID", "ReferenceOrderLineID", "TransactionDate", '
        '"TransactionType", "Quantity", "ActualCost"'
    )
    oldest = journal.rows(
        f'select {columns} from "Production"."TransactionHistory" t where "TransactionDate" < %s and not exists '
        '(select from "Production"."TransactionHistoryArchive" a where a."TransactionID" = t."TransactionID") '
        'order by "TransactionDate", "TransactionID" limit 20',
        journal.days_ago(_KEPT_DAYS),
    )
    journal.delete("Production_TransactionHistory", oldest)
    journal.insert("Production_TransactionHistoryArchive", oldest)
