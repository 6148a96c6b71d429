"""The one registry: every source table and every mart, with what the platform must know of it.

Columns, types, keys and row rules live in the contracts, table rules in the checks; this module says who owns a table,
which tables are published together, which month a row belongs to, which columns hold personal data, and what a mart is
made of. It imports neither Airflow nor pandera, so a DAG file may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from contracts.columns import MartTable as MartContract
    from contracts.columns import SourceTable as SourceContract

Protection = Literal["last_four", "withheld"]
"""How a secret column reaches the warehouse: its last four characters, or only the word `withheld`."""


@dataclass(frozen=True)
class MonthOf:
    """Where the business month of a row is found: a date column of the row, or of the row's parent."""

    column: str
    parent: str | None = None
    parent_key: str | None = None


@dataclass(frozen=True)
class SourceTable:
    """One of the 71 tables of the AdventureWorks database."""

    schema: str
    name: str
    owner: str
    unit: str | None = None
    """Tables of one unit are read from one snapshot and published together or not at all."""
    month: MonthOf | None = None
    modified: str = "ModifiedDate"
    """The column that tells when a row was last changed."""
    protected: Mapping[str, Protection] = field(default_factory=dict)
    personal: tuple[str, ...] = ()
    """Columns that tell something of a natural person; protected columns are personal too."""
    large: bool = False
    """Loaded in a task of its own."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table, e.g. `Sales_SalesOrderHeader`."""
        return f"{self.schema}_{self.name}"

    @property
    def group(self) -> str:
        """The asset group in Airflow's UI."""
        return self.schema

    @cached_property
    def contract(self) -> type[SourceContract]:
        """The pandera model of one row (imports pandera)."""
        module = import_module(f"contracts.source.{self.schema.lower()}")
        model: type[SourceContract] = getattr(module, self.name)
        return model


@dataclass(frozen=True)
class Mart:
    """A table that readers use, computed from source tables and other marts."""

    name: str
    domain: str
    dag: str
    owner: str
    inputs: tuple[str, ...]
    month: MonthOf | None = None
    """None: the mart is always computed whole."""

    @property
    def asset(self) -> str:
        """The name of the asset and of the warehouse table."""
        return self.name

    @property
    def group(self) -> str:
        """The asset group in Airflow's UI."""
        return self.domain

    @cached_property
    def contract(self) -> type[MartContract]:
        """The pandera model of one row (imports pandera)."""
        module = import_module(f"contracts.marts.{self.domain}")
        model: type[MartContract] = getattr(module, "".join(part.title() for part in self.name.split("_")))
        return model


@dataclass(frozen=True)
class Analysis:
    """One downstream DAG: its marts in the order in which they are built, and its calendar as a safety net."""

    dag: str
    title: str
    calendar: str


ORDER_MONTH = MonthOf("OrderDate")
ORDER_LINE_MONTH = MonthOf("OrderDate", parent="Sales_SalesOrderHeader", parent_key="SalesOrderID")
PURCHASE_LINE_MONTH = MonthOf("OrderDate", parent="Purchasing_PurchaseOrderHeader", parent_key="PurchaseOrderID")
ROUTING_MONTH = MonthOf("StartDate", parent="Production_WorkOrder", parent_key="WorkOrderID")

_SOURCE = (
    SourceTable("dbo", "AWBuildVersion", "platform"),
    SourceTable("dbo", "DatabaseLog", "platform", modified="PostTime"),
    SourceTable("dbo", "ErrorLog", "platform", modified="ErrorTime"),
    SourceTable("HumanResources", "Department", "people"),
    SourceTable(
        "HumanResources",
        "Employee",
        "people",
        personal=("NationalIDNumber", "LoginID", "BirthDate", "MaritalStatus", "Gender"),
    ),
    SourceTable("HumanResources", "EmployeeDepartmentHistory", "people"),
    SourceTable("HumanResources", "EmployeePayHistory", "people", personal=("Rate",)),
    SourceTable("HumanResources", "JobCandidate", "people", personal=("Resume",)),
    SourceTable("HumanResources", "Shift", "people"),
    SourceTable("Person", "Address", "people", personal=("AddressLine1", "AddressLine2", "SpatialLocation")),
    SourceTable("Person", "AddressType", "people"),
    SourceTable("Person", "BusinessEntity", "people"),
    SourceTable("Person", "BusinessEntityAddress", "people"),
    SourceTable("Person", "BusinessEntityContact", "people"),
    SourceTable("Person", "ContactType", "people"),
    SourceTable("Person", "CountryRegion", "people"),
    SourceTable("Person", "EmailAddress", "people", personal=("EmailAddress",)),
    SourceTable("Person", "Password", "people", protected={"PasswordHash": "withheld", "PasswordSalt": "withheld"}),
    SourceTable(
        "Person",
        "Person",
        "people",
        personal=("FirstName", "MiddleName", "LastName", "AdditionalContactInfo", "Demographics"),
        large=True,
    ),
    SourceTable("Person", "PersonPhone", "people", personal=("PhoneNumber",)),
    SourceTable("Person", "PhoneNumberType", "people"),
    SourceTable("Person", "StateProvince", "people"),
    SourceTable("Production", "BillOfMaterials", "production"),
    SourceTable("Production", "Culture", "production"),
    SourceTable("Production", "Document", "production"),
    SourceTable("Production", "Illustration", "production"),
    SourceTable("Production", "Location", "production"),
    SourceTable("Production", "Product", "production"),
    SourceTable("Production", "ProductCategory", "production"),
    SourceTable("Production", "ProductCostHistory", "production"),
    SourceTable("Production", "ProductDescription", "production"),
    SourceTable("Production", "ProductDocument", "production"),
    SourceTable("Production", "ProductInventory", "production"),
    SourceTable("Production", "ProductListPriceHistory", "production"),
    SourceTable("Production", "ProductModel", "production"),
    SourceTable("Production", "ProductModelIllustration", "production"),
    SourceTable("Production", "ProductModelProductDescriptionCulture", "production"),
    SourceTable("Production", "ProductPhoto", "production"),
    SourceTable("Production", "ProductProductPhoto", "production"),
    SourceTable("Production", "ProductReview", "production", personal=("ReviewerName", "EmailAddress")),
    SourceTable("Production", "ProductSubcategory", "production"),
    SourceTable("Production", "ScrapReason", "production"),
    SourceTable("Production", "TransactionHistory", "production", month=MonthOf("TransactionDate"), large=True),
    SourceTable("Production", "TransactionHistoryArchive", "production", month=MonthOf("TransactionDate"), large=True),
    SourceTable("Production", "UnitMeasure", "production"),
    SourceTable("Production", "WorkOrder", "production", unit="work order", month=MonthOf("StartDate")),
    SourceTable("Production", "WorkOrderRouting", "production", unit="work order", month=ROUTING_MONTH),
    SourceTable("Purchasing", "ProductVendor", "purchasing"),
    SourceTable("Purchasing", "PurchaseOrderDetail", "purchasing", unit="purchase", month=PURCHASE_LINE_MONTH),
    SourceTable("Purchasing", "PurchaseOrderHeader", "purchasing", unit="purchase", month=ORDER_MONTH),
    SourceTable("Purchasing", "ShipMethod", "purchasing"),
    SourceTable("Purchasing", "Vendor", "purchasing"),
    SourceTable("Sales", "CountryRegionCurrency", "sales"),
    SourceTable("Sales", "CreditCard", "sales", protected={"CardNumber": "last_four"}),
    SourceTable("Sales", "Currency", "sales"),
    SourceTable("Sales", "CurrencyRate", "sales", month=MonthOf("CurrencyRateDate")),
    SourceTable("Sales", "Customer", "sales"),
    SourceTable("Sales", "PersonCreditCard", "sales"),
    SourceTable("Sales", "SalesOrderDetail", "sales", unit="sales order", month=ORDER_LINE_MONTH),
    SourceTable("Sales", "SalesOrderHeader", "sales", unit="sales order", month=ORDER_MONTH),
    SourceTable("Sales", "SalesOrderHeaderSalesReason", "sales", unit="sales order", month=ORDER_LINE_MONTH),
    SourceTable("Sales", "SalesPerson", "sales"),
    SourceTable("Sales", "SalesPersonQuotaHistory", "sales"),
    SourceTable("Sales", "SalesReason", "sales"),
    SourceTable("Sales", "SalesTaxRate", "sales"),
    SourceTable("Sales", "SalesTerritory", "sales"),
    SourceTable("Sales", "SalesTerritoryHistory", "sales"),
    SourceTable("Sales", "ShoppingCartItem", "sales"),
    SourceTable("Sales", "SpecialOffer", "sales"),
    SourceTable("Sales", "SpecialOfferProduct", "sales"),
    SourceTable("Sales", "Store", "sales"),
)

_MARTS = (
    Mart(
        "fact_sales",
        domain="sales",
        dag="daily_sales_etl",
        owner="sales",
        inputs=(
            "Sales_SalesOrderHeader",
            "Sales_SalesOrderDetail",
            "Production_Product",
            "Production_ProductCostHistory",
        ),
        month=MonthOf("order_date"),
    ),
    Mart(
        "daily_sales",
        domain="sales",
        dag="daily_sales_etl",
        owner="sales",
        inputs=("fact_sales", "Sales_SalesOrderHeader"),
        month=MonthOf("order_date"),
    ),
)

_ANALYSES = (Analysis("daily_sales_etl", "Daily sales", calendar="0 5 * * *"),)

SOURCE_TABLES: Mapping[str, SourceTable] = {table.asset: table for table in _SOURCE}
MARTS: Mapping[str, Mart] = {mart.name: mart for mart in _MARTS}
ANALYSES: Mapping[str, Analysis] = {analysis.dag: analysis for analysis in _ANALYSES}


def entry(asset: str) -> SourceTable | Mart:
    """The catalogue's entry of an asset; KeyError if there is none."""
    return SOURCE_TABLES[asset] if asset in SOURCE_TABLES else MARTS[asset]


def marts_of(dag: str) -> tuple[Mart, ...]:
    """The marts that a DAG builds, in the order in which they are built."""
    return tuple(mart for mart in MARTS.values() if mart.dag == dag)


def outside_inputs(dag: str) -> tuple[str, ...]:
    """The assets that a DAG reads and does not build itself: those whose change starts it."""
    own = {mart.name for mart in marts_of(dag)}
    inputs = [name for mart in marts_of(dag) for name in mart.inputs if name not in own]
    return tuple(dict.fromkeys(inputs))


def unit_of(asset: str) -> frozenset[str]:
    """The source tables that are published together with this one, itself among them."""
    unit = SOURCE_TABLES[asset].unit
    if unit is None:
        return frozenset({asset})
    return frozenset(name for name, table in SOURCE_TABLES.items() if table.unit == unit)
