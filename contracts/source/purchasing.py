"""What one row of each table of the source schema `Purchasing` must be."""

from pandera.polars import Field

from contracts.columns import (
    Bit,
    DateTime,
    Decimal8_2,
    Decimal9_2,
    Guid,
    Int,
    Money,
    SmallInt,
    SourceTable,
    Text,
    TinyInt,
    guid,
    text,
)


class ProductVendor(SourceTable):
    """One row per ProductVendor."""

    ProductID: Int
    BusinessEntityID: Int
    AverageLeadTime: Int
    StandardPrice: Money
    LastReceiptCost: Money = Field(nullable=True)
    LastReceiptDate: DateTime = Field(nullable=True)
    MinOrderQty: Int
    MaxOrderQty: Int
    OnOrderQty: Int = Field(nullable=True)
    UnitMeasureCode: Text = text(3)
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_ProductVendor"
        unique = ["ProductID", "BusinessEntityID"]


class PurchaseOrderDetail(SourceTable):
    """One row per PurchaseOrderDetail."""

    PurchaseOrderID: Int
    PurchaseOrderDetailID: Int
    DueDate: DateTime
    OrderQty: SmallInt
    ProductID: Int
    UnitPrice: Money
    LineTotal: Money
    ReceivedQty: Decimal8_2
    RejectedQty: Decimal8_2
    StockedQty: Decimal9_2
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_PurchaseOrderDetail"
        unique = ["PurchaseOrderID", "PurchaseOrderDetailID"]


class PurchaseOrderHeader(SourceTable):
    """One row per PurchaseOrderHeader."""

    PurchaseOrderID: Int
    RevisionNumber: TinyInt
    Status: TinyInt
    EmployeeID: Int
    VendorID: Int
    ShipMethodID: Int
    OrderDate: DateTime
    ShipDate: DateTime = Field(nullable=True)
    SubTotal: Money
    TaxAmt: Money
    Freight: Money
    TotalDue: Money
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_PurchaseOrderHeader"
        unique = ["PurchaseOrderID"]


class ShipMethod(SourceTable):
    """One row per ShipMethod."""

    ShipMethodID: Int
    Name: Text = text(50)
    ShipBase: Money
    ShipRate: Money
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_ShipMethod"
        unique = ["ShipMethodID"]


class Vendor(SourceTable):
    """One row per Vendor."""

    BusinessEntityID: Int
    AccountNumber: Text = text(15)
    Name: Text = text(50)
    CreditRating: TinyInt
    PreferredVendorStatus: Bit
    ActiveFlag: Bit
    PurchasingWebServiceURL: Text = text(1024, nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Purchasing_Vendor"
        unique = ["BusinessEntityID"]
