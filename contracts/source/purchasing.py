"""Contracts of the tables of the source schema `Purchasing`."""

import polars as pl
from pandera.polars import Field

from contracts.columns import (
    TOTAL_DUE,
    Bit,
    DateTime,
    Decimal8_2,
    Decimal9_2,
    Guid,
    Int,
    Money,
    Order,
    SmallInt,
    SourceTable,
    Text,
    TinyInt,
    at_most_a_day_after_modified,
    code,
    computed,
    guid,
    rule,
    text,
)

_LINE_TOTAL = pl.col("UnitPrice") * pl.col("OrderQty").cast(pl.Decimal(19, 4))


class ProductVendor(SourceTable):
    """One row per product that a vendor supplies, with the terms."""

    ProductID: Int
    BusinessEntityID: Int = Field(description="The vendor")
    AverageLeadTime: Int = Field(ge=1, description="Days from order to receipt")
    StandardPrice: Money = Field(gt=0)
    LastReceiptCost: Money = Field(nullable=True, gt=0)
    LastReceiptDate: DateTime = Field(nullable=True)
    MinOrderQty: Int = Field(ge=1)
    MaxOrderQty: Int = Field(ge=1)
    OnOrderQty: Int = Field(nullable=True, ge=0)
    UnitMeasureCode: Text = code(3)
    ModifiedDate: DateTime

    @rule
    def smallest_order_is_not_above_the_largest(cls):
        """MinOrderQty <= MaxOrderQty."""
        return pl.col("MinOrderQty") <= pl.col("MaxOrderQty")

    @rule
    def is_received_by_tomorrow(cls):
        """LastReceiptDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("LastReceiptDate")

    class Config:
        name = "Purchasing_ProductVendor"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "BusinessEntityID"]


class PurchaseOrderDetail(SourceTable):
    """One row per product of a purchase order."""

    PurchaseOrderID: Int
    PurchaseOrderDetailID: Int
    DueDate: DateTime
    OrderQty: SmallInt = Field(gt=0)
    ProductID: Int
    UnitPrice: Money = Field(ge=0)
    LineTotal: Money = Field(metadata=computed(_LINE_TOTAL))
    ReceivedQty: Decimal8_2 = Field(ge=0)
    RejectedQty: Decimal8_2 = Field(ge=0, description="Received, but failed inspection")
    StockedQty: Decimal9_2 = Field(
        description="Received and put into stock", metadata=computed(pl.col("ReceivedQty") - pl.col("RejectedQty"))
    )
    ModifiedDate: DateTime

    @rule
    def line_total_adds_up(cls):
        """LineTotal = OrderQty * UnitPrice."""
        return pl.col("LineTotal") == _LINE_TOTAL

    @rule
    def rejects_no_more_than_it_receives(cls):
        """RejectedQty <= ReceivedQty."""
        return pl.col("RejectedQty") <= pl.col("ReceivedQty")

    @rule
    def stocks_what_is_not_rejected(cls):
        """StockedQty = ReceivedQty - RejectedQty."""
        return pl.col("StockedQty") == pl.col("ReceivedQty") - pl.col("RejectedQty")

    class Config:
        name = "Purchasing_PurchaseOrderDetail"
        metadata = {"version": "1.0"}
        unique = ["PurchaseOrderID", "PurchaseOrderDetailID"]


class PurchaseOrderHeader(Order):
    """One row per order to a vendor."""

    PurchaseOrderID: Int
    RevisionNumber: TinyInt
    Status: TinyInt = Field(ge=1, le=4, description="1 pending, 2 approved, 3 rejected, 4 complete")
    EmployeeID: Int = Field(description="Employee who placed the order")
    VendorID: Int
    ShipMethodID: Int
    OrderDate: DateTime
    ShipDate: DateTime = Field(nullable=True, description="When the vendor expects to ship")
    SubTotal: Money = Field(ge=0)
    TaxAmt: Money = Field(ge=0)
    Freight: Money = Field(ge=0)
    TotalDue: Money = Field(metadata=computed(TOTAL_DUE))
    ModifiedDate: DateTime

    @rule
    def is_ordered_by_tomorrow(cls):
        """OrderDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("OrderDate")

    class Config:
        name = "Purchasing_PurchaseOrderHeader"
        metadata = {"version": "1.0"}
        unique = ["PurchaseOrderID"]


class ShipMethod(SourceTable):
    """One row per shipping company and service."""

    ShipMethodID: Int
    Name: Text = text(50)
    ShipBase: Money = Field(gt=0, description="Smallest charge")
    ShipRate: Money = Field(gt=0, description="Charge per pound")
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_ShipMethod"
        metadata = {"version": "1.0"}
        unique = ["ShipMethodID"]


class Vendor(SourceTable):
    """One row per company that sells to AdventureWorks."""

    BusinessEntityID: Int
    AccountNumber: Text = text(15)
    Name: Text = text(50)
    CreditRating: TinyInt = Field(
        ge=1, le=5, description="1 superior, 2 excellent, 3 above average, 4 average, 5 below"
    )
    PreferredVendorStatus: Bit
    ActiveFlag: Bit
    PurchasingWebServiceURL: Text = text(1024, nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_Vendor"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]
