"""Deliveries of the real data with one fault each, and harmless changes made by the business.

Each function takes the tables and returns the changed ones. `REDELIVERED` changes rows of published tables, `ARRIVING`
the new rows of a day, `SILENT` those of a week.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import columns_of, key_of

Frames = dict[str, pl.DataFrame]
Change = Callable[[Frames], Frames]

HEADER, LINE, RATE = "Sales_SalesOrderHeader", "Sales_SalesOrderDetail", "Sales_CurrencyRate"
PRODUCT, PERSON, CUSTOMER = "Production_Product", "Person_Person", "Sales_Customer"
RESELLER = pl.col("OnlineOrderFlag").not_()
ALL = pl.lit(True)


def emptied(asset: str, column: str, where: pl.Expr = ALL) -> Change:
    return lambda tables: {
        asset: tables[asset].filter(where).with_columns(pl.lit(None, tables[asset][column].dtype).alias(column))
    }


def constant(asset: str, column: str, value: object, where: pl.Expr = ALL) -> Change:
    return lambda tables: {
        asset: tables[asset].filter(where).with_columns(pl.lit(value).cast(tables[asset][column].dtype).alias(column))
    }


def swapped(asset: str, one: str, other: str, where: pl.Expr = ALL) -> Change:
    return lambda tables: {
        asset: tables[asset]
        .filter(where)
        .with_columns(
            pl.col(other).cast(tables[asset][one].dtype).alias(one),
            pl.col(one).cast(tables[asset][other].dtype).alias(other),
        )
    }


def times(asset: str, column: str, factor: str, where: pl.Expr = ALL) -> Change:
    def change(tables: Frames) -> Frames:
        frame, dtype = tables[asset].filter(where), tables[asset][column].dtype
        exact = pl.Decimal(38, 8) if isinstance(dtype, pl.Decimal) else pl.Float64()
        factor_of = pl.lit(Decimal(factor)) if isinstance(dtype, pl.Decimal) else pl.lit(float(factor))
        return {asset: frame.with_columns((pl.col(column).cast(exact) * factor_of.cast(exact)).cast(dtype))}

    return change


def rewritten(asset: str, column: str, values: pl.Expr) -> Change:
    return lambda tables: {asset: tables[asset].with_columns(values.alias(column))}


def duplicated(asset: str, *keys: str, where: pl.Expr = ALL) -> Change:
    """Return every row, and every row again under new keys and UUIDs."""

    def change(tables: Frames) -> Frames:
        frame, entry = tables[asset].filter(where), SOURCE_TABLES[asset]
        names = [c.name for c in columns_of(entry) if c.is_guid]
        again = frame.with_columns(
            *[(pl.col(key) + 10_000_000).cast(frame[key].dtype) for key in keys or key_of(entry)],
            *[("f" + pl.col(name).str.slice(1)).alias(name) for name in names],
        )
        return {asset: pl.concat([frame, again])}

    return change


def without(asset: str, where: pl.Expr) -> Change:
    return lambda tables: {asset: tables[asset].filter(where.not_())}


NEXT = 9_000_000


def _as_new(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    return frame.with_columns((pl.col(key) + NEXT).cast(frame[key].dtype))


def _grown(tables: Frames) -> Frames:
    methods = tables["Purchasing_ShipMethod"]
    more = methods.with_columns(
        (pl.col("ShipMethodID") + 5).cast(methods["ShipMethodID"].dtype), ("NEW " + pl.col("Name")).alias("Name")
    )
    return {"Purchasing_ShipMethod": pl.concat([methods, more])}


def _territory(tables: Frames) -> Frames:
    orders = tables[HEADER].tail(40)
    return {
        HEADER: _as_new(orders, "SalesOrderID").with_columns(
            pl.lit(11).cast(orders["TerritoryID"].dtype).alias("TerritoryID")
        )
    }


def _category(tables: Frames) -> Frames:
    products = tables[PRODUCT].tail(30)
    dtype = products["ProductSubcategoryID"].dtype
    new = _as_new(products, "ProductID").with_columns(
        ("Kayak " + pl.col("Name")).alias("Name"),
        pl.lit(38).cast(dtype).alias("ProductSubcategoryID"),
        pl.lit(None, pl.String).alias("Class"),
    )
    return {PRODUCT: new}


HARMLESS: dict[str, Change] = {
    "prices rise by 5 %": times(PRODUCT, "ListPrice", "1.05"),
    "some prices are halved": times(PRODUCT, "ListPrice", "0.5", pl.col("ProductSubcategoryID") == 1),
    "costs in another currency": times(PRODUCT, "StandardCost", "0.92"),
    "a sale": constant(LINE, "UnitPriceDiscount", "0.3", pl.col("SalesOrderID") > 74_000),
    "a table grows from 5 to 10": _grown,
    "a new territory": _territory,
    "a new category": _category,
    "a new year of sales": constant("Sales_SalesTerritory", "SalesYTD", 0),
    "middle initials get a point": rewritten(PERSON, "MiddleName", pl.col("MiddleName") + "."),
    "a stock count": rewritten(
        "Production_ProductInventory", "Quantity", pl.col("Quantity") + (pl.col("ProductID") % 7).cast(pl.Int16)
    ),
    "email addresses move to another domain": rewritten(
        "Person_EmailAddress", "EmailAddress", pl.col("EmailAddress").str.replace("adventure-works.com", "aw.example")
    ),
    "no change": lambda tables: {HEADER: tables[HEADER], RATE: tables[RATE]},
}

REDELIVERED: dict[str, Change] = {
    "all sales persons are NULL": emptied(HEADER, "SalesPersonID"),
    "all cards are NULL": emptied(HEADER, "CreditCardID"),
    "all territories are NULL": emptied(HEADER, "TerritoryID"),
    "no currency rates on orders": emptied(HEADER, "CurrencyRateID"),
    "freight is zero": constant(HEADER, "Freight", 0),
    "colours are NULL": emptied(PRODUCT, "Color"),
    "weights are NULL": emptied(PRODUCT, "Weight"),
    "subcategories are NULL": emptied(PRODUCT, "ProductSubcategoryID"),
    "persons of customers are NULL": emptied(CUSTOMER, "PersonID", pl.col("StoreID").is_not_null()),
    "tracking numbers are NULL": emptied(LINE, "CarrierTrackingNumber"),
    "territories of sales persons are NULL": emptied("Sales_SalesPerson", "TerritoryID"),
    "middle names are empty": constant(PERSON, "MiddleName", ""),
    "end dates of work orders are NULL": emptied("Production_WorkOrder", "EndDate"),
    "tax and freight swapped": swapped(HEADER, "TaxAmt", "Freight"),
    "addresses swapped": swapped(HEADER, "BillToAddressID", "ShipToAddressID"),
    "names swapped": swapped(PERSON, "FirstName", "LastName"),
    "cost and price swapped": swapped(PRODUCT, "StandardCost", "ListPrice"),
    "currencies swapped": swapped(RATE, "FromCurrencyCode", "ToCurrencyCode"),
    "rates swapped": swapped(RATE, "AverageRate", "EndOfDayRate"),
    "due and ship date swapped": swapped(HEADER, "DueDate", "ShipDate"),
    "sales of two years swapped": swapped("Sales_SalesTerritory", "SalesYTD", "SalesLastYear"),
    "reorder point and safety stock swapped": swapped(PRODUCT, "ReorderPoint", "SafetyStockLevel"),
    "one territory for all": constant(HEADER, "TerritoryID", 1),
    "territory 5 becomes 4": constant(HEADER, "TerritoryID", 4, pl.col("TerritoryID") == 5),
    "all orders are online": constant(HEADER, "OnlineOrderFlag", True),
    "one product line for all": constant(PRODUCT, "ProductLine", "R"),
    "rates a hundred times too high": times(RATE, "AverageRate", "100", pl.col("CurrencyRateDate").dt.day() == 1),
    "rates a hundred times too low": times(RATE, "AverageRate", "0.01", pl.col("CurrencyRateDate").dt.day() == 1),
    "prices in cents": times(LINE, "UnitPrice", "100"),
    "cost of transactions in cents": times("Production_TransactionHistory", "ActualCost", "100"),
    "purchase prices in cents": times("Purchasing_PurchaseOrderDetail", "UnitPrice", "100"),
    "accents are question marks": rewritten(
        PERSON, "LastName", pl.col("LastName").str.replace_all(r"[^\x00-\x7f]", "?")
    ),
    "names in capitals": rewritten(PERSON, "LastName", pl.col("LastName").str.to_uppercase()),
    "names cut to ten letters": rewritten(PRODUCT, "Name", pl.col("Name").str.slice(0, 10)),
    "names shifted by one row": rewritten(PRODUCT, "Name", pl.col("Name").shift(1, fill_value="None before")),
    "hours of another time zone": rewritten(HEADER, "OrderDate", pl.col("OrderDate").dt.offset_by("-5h")),
    "weights in another unit": times(PRODUCT, "Weight", "0.1", pl.col("Weight") % 1 == 0),
    "quantities multiplied by ten": times("Production_ProductInventory", "Quantity", "10"),
    "orders duplicated": duplicated(HEADER),
    "lines duplicated": duplicated(LINE, "SalesOrderDetailID"),
    "transactions duplicated": duplicated("Production_TransactionHistory"),
    "products duplicated": duplicated(PRODUCT),
    "customers duplicated": duplicated(CUSTOMER),
    "purchase lines duplicated": duplicated("Purchasing_PurchaseOrderDetail", "PurchaseOrderDetailID"),
    "rates duplicated": duplicated(RATE),
    "work orders duplicated": duplicated("Production_WorkOrder"),
    "tax rates duplicated": duplicated("Sales_SalesTaxRate"),
}

ARRIVING: dict[str, Change] = {
    "a day without sales persons": emptied(HEADER, "SalesPersonID"),
    "a day without territories": emptied(HEADER, "TerritoryID"),
    "a day of online orders without cards": emptied(HEADER, "CreditCardID", pl.col("OnlineOrderFlag")),
    "a day without tax": constant(HEADER, "TaxAmt", 0),
    "a day without tracking numbers": emptied(LINE, "CarrierTrackingNumber"),
    "a day with tax and freight swapped": swapped(HEADER, "TaxAmt", "Freight"),
    "a day with due and ship date swapped": swapped(HEADER, "DueDate", "ShipDate"),
    "a day of rates a hundred times too high": times(RATE, "AverageRate", "100"),
    "one rate a hundred times too high": times(RATE, "EndOfDayRate", "100", pl.col("ToCurrencyCode") == "JPY"),
    "one rate a hundred times too low": times(RATE, "EndOfDayRate", "0.01", pl.col("ToCurrencyCode") == "JPY"),
    "a day of prices in cents": times(LINE, "UnitPrice", "100"),
    "a day of orders duplicated": duplicated(HEADER),
    "a day of lines duplicated": duplicated(LINE, "SalesOrderDetailID"),
    "a day of transactions duplicated": duplicated("Production_TransactionHistory"),
    "a day in one territory": constant(HEADER, "TerritoryID", 1),
}

SILENT: dict[str, Change] = {
    "territory 1 silent for a week": without(HEADER, pl.col("TerritoryID") == 1),
    "territory 9 silent for a week": without(HEADER, pl.col("TerritoryID") == 9),
    "no sales transactions for a week": without("Production_TransactionHistory", pl.col("TransactionType") == "S"),
}
