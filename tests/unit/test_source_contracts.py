"""Every rule of every source contract rejects a row that breaks only it, and accepts the closest valid value.

A row consists of default values per type and of `VALID`; `CASES` lists for each rule a change that breaks it and a
valid one. Lengths, blanks, uniqueidentifiers, NULLs and implausible dates are tested on all columns that forbid them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from adventureworks.catalog import SOURCE_TABLES, entry
from adventureworks.gate.contract import keeps_every_rule
from contracts.columns import EMAIL_PATTERN, GUID_PATTERN, HEX_PATTERN, PHONE_PATTERN, XML_PATTERN

Row = dict[str, Any]
Case = tuple[str, Row, Row]
"""A rule, a change that breaks it, and a similar change that is valid."""

SIGNS = {
    "greater_than": ">",
    "greater_than_or_equal_to": ">=",
    "less_than": "<",
    "less_than_or_equal_to": "<=",
    "isin": "in",
    "is_one_of": "one of",
    "has_the_form": "form",
    "is_a_hierarchyid": "hierarchyid",
    "is_not_blank": "not blank",
    "str_length": "length",
}

PLAIN_FORMS = {
    GUID_PATTERN: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    HEX_PATTERN: "5AC0",
    XML_PATTERN: "<a/>",
    EMAIL_PATTERN: "ann@example.com",
    PHONE_PATTERN: "555-0100",
    "^[0-9]{1,}$": "7",
    "^[0-9]{12,}$": "333326646953",
    r"^[A-Z]{2}$": "GB",
    r"^[A-Z]{3}$": "GBP",
}

INTEGERS: dict[Any, tuple[int, int]] = {
    pl.UInt8: (0, 2**8 - 1),
    pl.Int16: (-(2**15), 2**15 - 1),
    pl.Int32: (-(2**31), 2**31 - 1),
}

TOTALS: Row = {"SubTotal": 10, "TaxAmt": 2, "Freight": 1, "TotalDue": 13}

VALID: dict[str, Row] = {
    "HumanResources_Employee": {
        "BirthDate": "1990-05-01",
        "MaritalStatus": "M",
        "Gender": "F",
        "HireDate": "2020-05-01",
    },
    "HumanResources_EmployeePayHistory": {"Rate": 10},
    "HumanResources_Shift": {"EndTime": "16:00"},
    "Person_BusinessEntityContact": {"PersonID": 2},
    "Person_Person": {
        "PersonType": "IN",
        "SurveyMaritalStatus": "M",
        "SurveyYearlyIncome": "0-25000",
        "SurveyGender": "F",
    },
    "Production_BillOfMaterials": {"ComponentID": 2, "StartDate": "2024-04-01"},
    "Production_Document": {"FolderFlag": False},
    "Production_Product": {"ProductLine": "M ", "Class": "M ", "Style": "M "},
    "Production_TransactionHistory": {"TransactionType": "W"},
    "Production_TransactionHistoryArchive": {"TransactionType": "W"},
    "Production_WorkOrder": {"OrderQty": 10, "ScrappedQty": 1, "StockedQty": 9},
    "Purchasing_PurchaseOrderDetail": {
        "OrderQty": 2,
        "UnitPrice": "1.5005",
        "LineTotal": "3.001",
        "ReceivedQty": 2,
        "RejectedQty": "0.5",
        "StockedQty": "1.5",
    },
    "Purchasing_PurchaseOrderHeader": TOTALS,
    "Sales_CreditCard": {"ExpYear": 2030},
    "Sales_CurrencyRate": {"FromCurrencyCode": "USD"},
    "Sales_Customer": {"AccountNumber": "AW00000001"},
    "Sales_SalesOrderDetail": {
        "OrderQty": 3,
        "UnitPrice": "10.0033",
        "UnitPriceDiscount": "0.15",
        "LineTotal": "25.508415",
    },
    "Sales_SalesOrderHeader": {"OnlineOrderFlag": False, "SalesOrderNumber": "SO1", **TOTALS},
}


def not_below(column: str, smallest: Any, below: Any, **others: Any) -> Case:
    return f"{column} >=", {column: below, **others}, {column: smallest, **others}


def not_above(column: str, largest: Any, above: Any, **others: Any) -> Case:
    return f"{column} <=", {column: above, **others}, {column: largest, **others}


def above(column: str, limit: Any, smallest: Any, **others: Any) -> Case:
    return f"{column} >", {column: limit, **others}, {column: smallest, **others}


def one_of(column: str, invalid: str, valid: str) -> Case:
    return f"{column} one of", {column: invalid}, {column: valid}


def form(column: str, invalid: str, valid: str) -> Case:
    return f"{column} form", {column: invalid}, {column: valid}


def hierarchy(column: str) -> list[Case]:
    return [form(column, "/1/", "5AC0"), (f"{column} hierarchyid", {column: "01"}, {column: "0x58"})]


PERIOD: Case = (
    "ends_not_before_it_starts",
    {"StartDate": "2024-04-02", "EndDate": "2024-04-01"},
    {"StartDate": "2024-04-02", "EndDate": "2024-04-02"},
)
ORDER: list[Case] = [
    ("total_adds_up", {"TotalDue": "13.0001"}, {"TotalDue": "13.0001", "TaxAmt": "2.0001"}),
    (
        "ships_not_before_it_is_ordered",
        {"OrderDate": "2024-04-02", "ShipDate": "2024-04-01"},
        {"OrderDate": "2024-04-02", "ShipDate": "2024-04-02"},
    ),
    ("SubTotal >=", {"SubTotal": "-0.0001", "TotalDue": "2.9999"}, {"SubTotal": 0, "TotalDue": 3}),
    ("TaxAmt >=", {"TaxAmt": "-0.0001", "TotalDue": "10.9999"}, {"TaxAmt": 0, "TotalDue": 11}),
    ("Freight >=", {"Freight": "-0.0001", "TotalDue": "11.9999"}, {"Freight": 0, "TotalDue": 12}),
]
MOVEMENT: list[Case] = [
    not_below("ReferenceOrderLineID", 0, -1),
    one_of("TransactionType", "X", "s"),
    above("Quantity", 0, 1),
    not_below("ActualCost", 0, "-0.0001"),
    ("happens_by_tomorrow", {"TransactionDate": "2024-05-03"}, {"TransactionDate": "2024-05-02"}),
]
NO_ASSEMBLY: Row = {"ProductAssemblyID": None, "BOMLevel": 0, "PerAssemblyQty": 1}
NO_SCRAP: Row = {"ScrappedQty": 0, "StockedQty": 10, "ScrapReasonID": None}

CASES: dict[str, list[Case]] = {
    "dbo_DatabaseLog": [form("XmlEvent", "no XML", "\ufeff <EVENT/>")],
    "dbo_ErrorLog": [
        not_below("ErrorSeverity", 0, -1),
        not_above("ErrorSeverity", 25, 26),
        not_below("ErrorLine", 0, -1),
    ],
    "HumanResources_Employee": [
        form("NationalIDNumber", "2.95848E+08", "007"),
        *hierarchy("OrganizationNode"),
        not_below("OrganizationLevel", 0, -1),
        not_below("BirthDate", "1930-01-01", "1929-12-31"),
        one_of("MaritalStatus", "D", "s"),
        one_of("Gender", "X", "m"),
        not_below("HireDate", "1996-07-01", "1996-06-30", BirthDate="1960-01-01"),
        not_below("VacationHours", -40, -41),
        not_above("VacationHours", 240, 241),
        not_below("SickLeaveHours", 0, -1),
        not_above("SickLeaveHours", 120, 121),
        (
            "is_of_age",
            {"BirthDate": "2006-05-02", "HireDate": "2024-04-01", "ModifiedDate": "2024-05-01"},
            {"BirthDate": "2006-05-01", "HireDate": "2024-04-01", "ModifiedDate": "2024-05-01"},
        ),
        (
            "was_hired_at_sixteen_or_older",
            {"BirthDate": "2004-05-02", "HireDate": "2020-05-01"},
            {"BirthDate": "2004-05-01", "HireDate": "2020-05-01"},
        ),
        ("is_hired_by_tomorrow", {"HireDate": "2024-05-03"}, {"HireDate": "2024-05-02"}),
    ],
    "HumanResources_EmployeeDepartmentHistory": [PERIOD],
    "HumanResources_EmployeePayHistory": [
        not_below("Rate", "6.50", "6.4999"),
        not_above("Rate", 200, "200.0001"),
        ("PayFrequency in", {"PayFrequency": 3}, {"PayFrequency": 2}),
    ],
    "HumanResources_JobCandidate": [form("Resume", "John Smith", "<Resume/>")],
    "HumanResources_Shift": [("lasts_some_time", {"EndTime": "08:00"}, {"EndTime": "07:00"})],
    "Person_Address": [form("SpatialLocation", "47.6,-122.3", "E6100000010C")],
    "Person_BusinessEntityContact": [("nobody_is_their_own_contact", {"PersonID": 1}, {"PersonID": 3})],
    "Person_CountryRegion": [form("CountryRegionCode", "gb", "XK")],
    "Person_EmailAddress": [form("EmailAddress", "ann.example.com", "o'neil+news@post.example.museum")],
    "Person_Person": [
        one_of("PersonType", "XX", "sp"),
        not_below("EmailPromotion", 0, -1),
        not_above("EmailPromotion", 2, 3),
        form("AdditionalContactInfo", "call at noon", "<AdditionalContactInfo/>"),
        form("Demographics", "cyclist", ""),
        not_below("SurveyBirthDate", "1900-01-01", "1899-12-31"),
        one_of("SurveyMaritalStatus", "X", "s"),
        ("SurveyYearlyIncome in", {"SurveyYearlyIncome": "60000"}, {"SurveyYearlyIncome": "greater than 100000"}),
        one_of("SurveyGender", "X", "m"),
    ],
    "Person_PersonPhone": [form("PhoneNumber", "call me", "+44 (0)20 7946-0958 x1")],
    "Person_StateProvince": [form("CountryRegionCode", "G1", "DE")],
    "Production_BillOfMaterials": [
        not_below("PerAssemblyQty", 1, "0.99"),
        (
            "ends_after_it_starts",
            {"StartDate": "2024-04-01", "EndDate": "2024-04-01"},
            {"StartDate": "2024-04-01", "EndDate": None},
        ),
        ("nothing_is_its_own_component", {"ComponentID": 1}, {"ComponentID": 3}),
        ("only_a_finished_product_is_at_the_top", {"BOMLevel": 0}, {"BOMLevel": 1}),
        ("only_a_finished_product_is_at_the_top", NO_ASSEMBLY | {"BOMLevel": 1}, NO_ASSEMBLY),
        ("only_a_finished_product_is_at_the_top", NO_ASSEMBLY | {"PerAssemblyQty": "1.01"}, NO_ASSEMBLY),
    ],
    "Production_Document": [
        *hierarchy("DocumentNode"),
        form("Document", "a text", "0xD0CF"),
        not_below("DocumentLevel", 0, -1),
        not_below("ChangeNumber", 0, -1),
        not_below("Status", 1, 0),
        not_above("Status", 3, 4),
        ("a_folder_has_no_content", {"FolderFlag": True}, {"FolderFlag": True, "Document": None}),
    ],
    "Production_Illustration": [form("Diagram", "a drawing", "<Canvas/>")],
    "Production_Location": [not_below("CostRate", 0, "-0.0001"), not_below("Availability", 0, "-0.01")],
    "Production_Product": [
        above("SafetyStockLevel", 0, 1),
        above("ReorderPoint", 0, 1),
        not_below("StandardCost", 0, "-0.0001"),
        ("ListPrice >=", {"ListPrice": "-0.0001", "StandardCost": None}, {"ListPrice": 0, "StandardCost": 0}),
        above("Weight", 0, "0.01"),
        not_below("DaysToManufacture", 0, -1),
        one_of("ProductLine", "X ", "t "),
        one_of("Class", "X ", "h"),
        one_of("Style", "X ", "u "),
        (
            "sale_ends_not_before_it_starts",
            {"SellStartDate": "2024-04-02", "SellEndDate": "2024-04-01"},
            {"SellStartDate": "2024-04-02", "SellEndDate": "2024-04-02"},
        ),
        (
            "is_discontinued_after_its_sale_starts",
            {"SellStartDate": "2024-04-02", "DiscontinuedDate": "2024-04-01"},
            {"SellStartDate": "2024-04-02", "DiscontinuedDate": "2024-04-02"},
        ),
        ("list_price_covers_the_cost", {"ListPrice": 5, "StandardCost": "5.0001"}, {"ListPrice": 5, "StandardCost": 5}),
        (
            "list_price_covers_the_cost",
            {"ListPrice": 0, "StandardCost": 5},
            {"ListPrice": 0, "StandardCost": 5, "FinishedGoodsFlag": False},
        ),
        ("weight_has_a_unit", {"WeightUnitMeasureCode": None}, {"WeightUnitMeasureCode": None, "Weight": None}),
        ("unit_of_size_has_a_size", {"Size": None}, {"Size": None, "SizeUnitMeasureCode": None}),
    ],
    "Production_ProductCostHistory": [PERIOD, not_below("StandardCost", 0, "-0.0001")],
    "Production_ProductDocument": hierarchy("DocumentNode"),
    "Production_ProductInventory": [
        form("Shelf", "AB", "N/A"),
        form("Shelf", "1", "z"),
        not_above("Bin", 100, 101),
        not_below("Quantity", 0, -1),
    ],
    "Production_ProductListPriceHistory": [PERIOD, above("ListPrice", 0, "0.0001")],
    "Production_ProductModel": [
        form("CatalogDescription", "a bike", "<?xml?><p/>"),
        form("Instructions", "turn left", "<root/>"),
    ],
    "Production_ProductPhoto": [form("ThumbNailPhoto", "GIF89a", "\\x4749"), form("LargePhoto", "GIF89a", "")],
    "Production_ProductReview": [
        form("EmailAddress", "nobody", "a@b.co"),
        not_below("Rating", 1, 0),
        not_above("Rating", 5, 6),
        ("is_written_by_tomorrow", {"ReviewDate": "2024-05-03"}, {"ReviewDate": "2024-05-02"}),
    ],
    "Production_TransactionHistory": MOVEMENT,
    "Production_TransactionHistoryArchive": MOVEMENT,
    "Production_WorkOrder": [
        PERIOD,
        ("OrderQty >", NO_SCRAP | {"OrderQty": 0, "StockedQty": 0}, NO_SCRAP | {"OrderQty": 1, "StockedQty": 1}),
        ("ScrappedQty >=", NO_SCRAP | {"ScrappedQty": -1, "StockedQty": 11}, NO_SCRAP),
        (
            "is_due_not_before_it_starts",
            {"StartDate": "2024-04-02", "DueDate": "2024-04-01"},
            {"StartDate": "2024-04-02", "DueDate": "2024-04-02"},
        ),
        ("scraps_no_more_than_it_makes", {"ScrappedQty": 11, "StockedQty": -1}, {"ScrappedQty": 10, "StockedQty": 0}),
        ("stocks_what_is_not_scrapped", {"StockedQty": 10}, {"StockedQty": 8, "ScrappedQty": 2}),
        ("scrap_has_a_reason", {"ScrapReasonID": None}, {"ScrapReasonID": 2}),
        ("scrap_has_a_reason", NO_SCRAP | {"ScrapReasonID": 1}, NO_SCRAP),
        ("happens_by_tomorrow", {"EndDate": "2024-05-03"}, {"EndDate": "2024-05-02"}),
    ],
    "Production_WorkOrderRouting": [
        not_below("OperationSequence", 1, 0),
        not_below("ActualResourceHrs", 0, "-0.0001"),
        above("PlannedCost", 0, "0.0001"),
        above("ActualCost", 0, "0.0001"),
        (
            "schedule_ends_not_before_it_starts",
            {"ScheduledStartDate": "2024-05-02"},
            {"ScheduledStartDate": "2024-05-02", "ScheduledEndDate": "2024-05-02"},
        ),
        (
            "work_ends_not_before_it_starts",
            {"ActualStartDate": "2024-04-02", "ActualEndDate": "2024-04-01"},
            {"ActualStartDate": "2024-04-02", "ActualEndDate": None},
        ),
        ("what_has_ended_had_started", {"ActualStartDate": None}, {"ActualStartDate": None, "ActualEndDate": None}),
        ("happens_by_tomorrow", {"ActualEndDate": "2024-05-03"}, {"ActualEndDate": "2024-05-02"}),
    ],
    "Purchasing_ProductVendor": [
        not_below("AverageLeadTime", 1, 0),
        above("StandardPrice", 0, "0.0001"),
        above("LastReceiptCost", 0, "0.0001"),
        not_below("MinOrderQty", 1, 0),
        ("MaxOrderQty >=", {"MaxOrderQty": 0, "MinOrderQty": None}, {"MaxOrderQty": 1}),
        not_below("OnOrderQty", 0, -1),
        ("smallest_order_is_not_above_the_largest", {"MinOrderQty": 2}, {"MinOrderQty": 2, "MaxOrderQty": 2}),
        ("is_received_by_tomorrow", {"LastReceiptDate": "2024-05-03"}, {"LastReceiptDate": "2024-05-02"}),
    ],
    "Purchasing_PurchaseOrderDetail": [
        ("OrderQty >", {"OrderQty": 0, "LineTotal": 0}, {"OrderQty": 1, "LineTotal": "1.5005"}),
        ("UnitPrice >=", {"UnitPrice": "-0.0001", "LineTotal": "-0.0002"}, {"UnitPrice": 0, "LineTotal": 0}),
        (
            "ReceivedQty >=",
            {"ReceivedQty": "-0.01", "RejectedQty": None},
            {"ReceivedQty": 0, "RejectedQty": 0, "StockedQty": 0},
        ),
        ("RejectedQty >=", {"RejectedQty": "-0.01", "StockedQty": "2.01"}, {"RejectedQty": 0, "StockedQty": 2}),
        ("line_total_adds_up", {"LineTotal": "3.0011"}, {"LineTotal": "3.0012", "UnitPrice": "1.5006"}),
        (
            "rejects_no_more_than_it_receives",
            {"RejectedQty": "2.01", "StockedQty": "-0.01"},
            {"RejectedQty": 2, "StockedQty": 0},
        ),
        ("stocks_what_is_not_rejected", {"StockedQty": 2}, {"StockedQty": 2, "RejectedQty": 0}),
    ],
    "Purchasing_PurchaseOrderHeader": [
        *ORDER,
        not_below("Status", 1, 0),
        not_above("Status", 4, 5),
        (
            "is_ordered_by_tomorrow",
            {"OrderDate": "2024-05-03", "ShipDate": None},
            {"OrderDate": "2024-05-02", "ShipDate": "2024-06-01"},
        ),
    ],
    "Purchasing_ShipMethod": [above("ShipBase", 0, "0.0001"), above("ShipRate", 0, "0.0001")],
    "Purchasing_Vendor": [not_below("CreditRating", 1, 0), not_above("CreditRating", 5, 6)],
    "Sales_CountryRegionCurrency": [form("CountryRegionCode", "GBR", "XK"), form("CurrencyCode", "gbp", "XAU")],
    "Sales_CreditCard": [
        form("CardNumber", "3.33327E+13", "33332664695310"),
        not_below("ExpMonth", 1, 0),
        not_above("ExpMonth", 12, 13),
        not_below("ExpYear", 2000, 30),
        not_above("ExpYear", 2099, 2100),
    ],
    "Sales_Currency": [form("CurrencyCode", "US$", "XBT")],
    "Sales_CurrencyRate": [
        form("FromCurrencyCode", "usd", "EUR"),
        form("ToCurrencyCode", "GB", "JPY"),
        above("AverageRate", 0, "0.0001"),
        above("EndOfDayRate", 0, "0.0001"),
        (
            "a_currency_is_worth_itself",
            {"ToCurrencyCode": "USD", "EndOfDayRate": "1.0001"},
            {"ToCurrencyCode": "USD", "EndOfDayRate": 1},
        ),
    ],
    "Sales_Customer": [
        ("is_a_person_or_a_store", {"PersonID": None, "StoreID": None}, {"PersonID": None}),
        ("account_number_is_the_id", {"AccountNumber": "AW1"}, {"CustomerID": 29485, "AccountNumber": "AW00029485"}),
    ],
    "Sales_SalesOrderDetail": [
        ("OrderQty >", {"OrderQty": 0, "LineTotal": 0}, {"OrderQty": 1, "LineTotal": "8.502805"}),
        ("UnitPrice >=", {"UnitPrice": "-0.0001", "LineTotal": "-0.000255"}, {"UnitPrice": 0, "LineTotal": 0}),
        (
            "UnitPriceDiscount >=",
            {"UnitPriceDiscount": "-0.0001", "LineTotal": "30.0099"},
            {"UnitPriceDiscount": 0, "LineTotal": "30.0099"},
        ),
        (
            "UnitPriceDiscount <=",
            {"UnitPriceDiscount": "1.0001", "LineTotal": 0},
            {"UnitPriceDiscount": 1, "LineTotal": 0},
        ),
        # 10.0033 * 0.6667 = 6.66920011: SQL Server rounds the unit price to six decimals before multiplying.
        ("line_total_adds_up", {"LineTotal": "25.508419"}, {"UnitPriceDiscount": "0.3333", "LineTotal": "20.0076"}),
    ],
    "Sales_SalesOrderHeader": [
        *ORDER,
        not_above("Status", 8, 9),
        (
            "is_due_not_before_it_is_ordered",
            {"OrderDate": "2024-04-02", "DueDate": "2024-04-01"},
            {"OrderDate": "2024-04-02", "DueDate": "2024-04-02"},
        ),
        ("shipped_orders_have_a_ship_date", {"Status": 5, "ShipDate": None}, {"Status": 1, "ShipDate": None}),
        ("happens_by_tomorrow", {"ShipDate": "2024-05-03"}, {"ShipDate": "2024-05-02", "DueDate": "2024-06-01"}),
        ("number_is_the_id", {"SalesOrderNumber": "SO2"}, {"SalesOrderNumber": "SO75124", "SalesOrderID": 75124}),
        (
            "online_orders_have_no_sales_person",
            {"OnlineOrderFlag": True},
            {"OnlineOrderFlag": True, "SalesPersonID": None},
        ),
        (
            "approval_code_has_a_card",
            {"CreditCardID": None},
            {"CreditCardID": None, "CreditCardApprovalCode": None},
        ),
    ],
    "Sales_SalesPerson": [
        above("SalesQuota", 0, "0.0001"),
        not_below("Bonus", 0, "-0.0001"),
        not_below("CommissionPct", 0, "-0.0001"),
        not_above("CommissionPct", 1, "1.0001"),
        not_below("SalesYTD", 0, "-0.0001"),
        not_below("SalesLastYear", 0, "-0.0001"),
    ],
    "Sales_SalesPersonQuotaHistory": [above("SalesQuota", 0, "0.0001")],
    "Sales_SalesTaxRate": [
        not_below("TaxType", 1, 0),
        not_above("TaxType", 3, 4),
        not_below("TaxRate", 0, "-0.0001"),
        not_above("TaxRate", 100, "100.0001"),
    ],
    "Sales_SalesTerritory": [
        form("CountryRegionCode", "Germany", "DE"),
        not_below("SalesYTD", 0, "-0.0001"),
        not_below("SalesLastYear", 0, "-0.0001"),
        not_below("CostYTD", 0, "-0.0001"),
        not_below("CostLastYear", 0, "-0.0001"),
    ],
    "Sales_SalesTerritoryHistory": [PERIOD],
    "Sales_ShoppingCartItem": [
        not_below("Quantity", 1, 0),
        ("is_filled_by_tomorrow", {"DateCreated": "2024-05-03"}, {"DateCreated": "2024-05-02"}),
    ],
    "Sales_SpecialOffer": [
        PERIOD,
        not_below("DiscountPct", 0, "-0.0001"),
        not_above("DiscountPct", 1, "1.0001"),
        not_below("MinQty", 0, -1),
        ("smallest_quantity_is_not_above_the_largest", {"MinQty": 2}, {"MinQty": 2, "MaxQty": None}),
    ],
    "Sales_Store": [
        form("Demographics", "large", "<StoreSurvey/>"),
        not_below("SurveyAnnualSales", 0, "-0.0001"),
        not_below("SurveySquareFeet", 0, -1),
        not_below("SurveyNumberEmployees", 0, -1),
    ],
}


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_each_rule_rejects_a_row_that_breaks_only_it_and_accepts_a_similar_valid_row(asset: str) -> None:
    cases = [*CASES.get(asset, []), *generic_cases(asset)]
    outcomes = broken_rules(asset, [row(asset), *(row(asset) | change for _, *changes in cases for change in changes)])
    assert outcomes[0] == set(), "the valid row itself is rejected"
    for (rule, invalid, valid), from_invalid, from_valid in zip(cases, outcomes[1::2], outcomes[2::2], strict=True):
        nulls = {f"{column} not null" for column, value in invalid.items() if value is None}
        assert from_invalid - nulls == {rule}, f"{invalid} should break only {rule}"
        assert from_valid == set(), f"{valid} should break no rule"


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_every_rule_has_a_case_and_every_case_a_rule(asset: str) -> None:
    tested = {rule for rule, _, _ in [*CASES.get(asset, []), *generic_cases(asset)]}
    assert tested == rules_of(asset)


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_null_is_rejected_exactly_in_columns_that_are_not_nullable(asset: str) -> None:
    columns = schema_of(asset).columns
    outcomes = broken_rules(asset, [row(asset) | {name: None} for name in columns])
    for (name, column), rules in zip(columns.items(), outcomes, strict=True):
        assert (f"{name} not null" in rules) is not column.nullable, name


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_the_query_over_all_rules_accepts_a_valid_row_and_no_invalid_one(asset: str) -> None:
    """Pandera only sees batches that this query does not accept."""
    table = SOURCE_TABLES[asset]
    changes = [invalid for _, invalid, _ in [*CASES.get(asset, []), *generic_cases(asset)]]
    changes += [{name: None} for name, column in schema_of(asset).columns.items() if not column.nullable]
    assert keeps_every_rule(table, frame(asset, [row(asset)]))
    assert [change for change in changes if keeps_every_rule(table, frame(asset, [row(asset) | change]))] == []
    assert not keeps_every_rule(table, frame(asset, [row(asset)] * 2)), "the key occurs twice"


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_an_implausible_date_is_rejected_in_every_column(asset: str) -> None:
    dates = [name for name, column in schema_of(asset).columns.items() if is_date(column) and not column.checks]
    implausible = ["0001-01-01", "1900-01-01", "1970-01-01", "9999-12-31"]
    for rules in broken_rules(asset, [row(asset) | {name: day} for name in dates for day in implausible]):
        assert "dates_can_be_true" in rules


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_a_duplicate_key_is_rejected(asset: str) -> None:
    duplicates = frame(asset, [row(asset), row(asset)])
    with pytest.raises(SchemaErrors, match="not unique"):
        SOURCE_TABLES[asset].contract.validate(duplicates, lazy=True)


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_extreme_values_raise_no_error_in_a_rule(asset: str) -> None:
    """A rule that overflows would fail the whole batch because of one row."""
    columns = schema_of(asset).columns
    least = {name: extreme(column.dtype.type, -1) for name, column in columns.items()}
    largest = {name: extreme(column.dtype.type, 1) for name, column in columns.items()}
    mixed = {name: (least if index % 2 else largest)[name] for index, name in enumerate(columns)}
    inverse = {name: (largest if index % 2 else least)[name] for index, name in enumerate(columns)}
    broken_rules(asset, [least, largest, mixed, inverse])


@pytest.mark.parametrize("asset", SOURCE_TABLES)
def test_a_contract_names_its_table_key_and_grain_and_describes_its_rules(asset: str) -> None:
    contract = SOURCE_TABLES[asset].contract
    schema = contract.to_schema()
    assert schema.name == asset
    assert schema.unique, "every table has a key"
    assert set(schema.unique) <= set(schema.columns)
    assert (contract.__doc__ or "").startswith("One row")
    for rule in contract.to_schema().checks:
        assert rule.description, f"{rule.name} is shown to users without a description"


def schema_of(asset: str) -> Any:
    return entry(asset).contract.to_schema()


def is_date(column: Any) -> bool:
    return column.dtype.type in (pl.Date, pl.Datetime)


def rules_of(asset: str) -> set[str]:
    schema = schema_of(asset)
    of_columns = {rule_id(column, check) for column in schema.columns.values() for check in column.checks}
    return of_columns | {check.name for check in schema.checks}


def rule_id(column: Any, check: Any) -> str:
    return f"{column.name} {SIGNS[check.name]}"


def generic_cases(asset: str) -> list[Case]:
    """Return cases for lengths, blanks, uniqueidentifiers and implausible dates, which follow from the contract."""
    cases: list[Case] = [("dates_can_be_true", all_dates(asset, "1989-12-31"), all_dates(asset, "1990-01-01"))]
    if asset == "HumanResources_Employee":
        cases = [("dates_can_be_true", {"ModifiedDate": "2100-01-01"}, {"ModifiedDate": "2099-12-31"})]
    for name, column in schema_of(asset).columns.items():
        for check in column.checks:
            if check.name == "is_not_blank":
                cases.append((rule_id(column, check), {name: " "}, {name: " Ä"}))
            elif check.name == "str_length":
                cases.append((rule_id(column, check), *too_long(name, plain(column), check.statistics["max_value"])))
            elif check.name == "has_the_form" and check.statistics["pattern"] == GUID_PATTERN:
                upper = PLAIN_FORMS[GUID_PATTERN].upper()
                cases.append((rule_id(column, check), {name: upper}, {name: "ffffffff-ffff-ffff-ffff-ffffffffffff"}))
    return cases


def too_long(name: str, value: str, longest: int) -> tuple[Row, Row]:
    """Repeat the value's first character to make it one character too long, and exactly as long as allowed."""
    return {name: value[0] * (longest + 1 - len(value)) + value}, {name: value[0] * (longest - len(value)) + value}


def all_dates(asset: str, day: str) -> Row:
    """Return the same day for all date columns, but no end date where it must be later than the start date."""
    columns = schema_of(asset).columns
    same: Row = {name: day for name, column in columns.items() if is_date(column)}
    return same | ({"EndDate": None} if asset == "Production_BillOfMaterials" else {})


def row(asset: str) -> Row:
    """Return a row that breaks no rule."""
    return {name: plain(column) for name, column in schema_of(asset).columns.items()} | VALID.get(asset, {})


def plain(column: Any) -> Any:
    """Return a value that most columns of the type accept."""
    dtype = column.dtype.type
    if dtype == pl.String:
        patterns = [check.statistics["pattern"] for check in column.checks if check.name == "has_the_form"]
        return PLAIN_FORMS.get(patterns[0], "A") if patterns else "A"
    if dtype == pl.Boolean:
        return True
    if dtype == pl.Time:
        return "08:00"
    return "2024-05-01" if is_date(column) else 1


def extreme(dtype: pl.DataType, sign: int) -> Any:
    """Return the smallest (`sign` -1) or largest (1) value of a type."""
    if isinstance(dtype, pl.Decimal):
        return Decimal((sign < 0, (9,) * dtype.precision, -dtype.scale))
    if dtype in INTEGERS:
        return INTEGERS[dtype][sign > 0]
    if dtype == pl.String:
        return "" if sign < 0 else "\U0010ffff" * 200
    if dtype == pl.Boolean:
        return sign > 0
    if dtype == pl.Time:
        return "00:00" if sign < 0 else "23:59:59.999999"
    return "0001-01-01" if sign < 0 else "9999-12-31"


def frame(asset: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the rows in the contract's types."""
    columns = schema_of(asset).columns
    return pl.DataFrame(
        [
            pl.Series(name, [typed(each[name], c.dtype.type) for each in rows], c.dtype.type)
            for name, c in columns.items()
        ]
    )


def typed(value: Any, dtype: pl.DataType) -> Any:
    if value is None:
        return None
    if isinstance(dtype, pl.Decimal):
        return Decimal(str(value))
    parsers = {pl.Datetime: datetime.fromisoformat, pl.Date: date.fromisoformat, pl.Time: time.fromisoformat}
    parse = parsers.get(dtype.base_type())
    return parse(value) if parse else value


def broken_rules(asset: str, rows: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """Return the rules that each row breaks, except for uniqueness."""
    schema = deepcopy(schema_of(asset))
    schema.unique = None
    for column in schema.columns.values():
        column.unique = False
    broken: list[set[str]] = [set() for _ in rows]
    try:
        schema.validate(frame(asset, rows), lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            assert isinstance(error.check_output, pl.DataFrame), f"{error.check} raised an error: {error}"
            for index in error.check_output["check_output"].eq_missing(False).arg_true():
                broken[index].add(name_of(error))
    return broken


def name_of(error: Any) -> str:
    if error.check == "not_nullable":
        return f"{error.schema.name} not null"
    return rule_id(error.schema, error.check) if error.check.name in SIGNS else error.check.name
