"""What one row of each table of the source schema `Production` must be."""

from pandera.polars import Field

from contracts.columns import (
    Bit,
    DateTime,
    Decimal8_2,
    Decimal9_4,
    Guid,
    Hex,
    Int,
    Money,
    SmallInt,
    SmallMoney,
    SourceTable,
    Text,
    TinyInt,
    Xml,
    guid,
    text,
)


class BillOfMaterials(SourceTable):
    """One row per BillOfMaterials."""

    BillOfMaterialsID: Int
    ProductAssemblyID: Int = Field(nullable=True)
    ComponentID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    UnitMeasureCode: Text = text(3)
    BOMLevel: SmallInt
    PerAssemblyQty: Decimal8_2
    ModifiedDate: DateTime

    class Config:
        name = "Production_BillOfMaterials"
        unique = ["BillOfMaterialsID"]


class Culture(SourceTable):
    """One row per Culture."""

    CultureID: Text = text(6)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_Culture"
        unique = ["CultureID"]


class Document(SourceTable):
    """One row per Document."""

    DocumentNode: Hex = Field(nullable=True)
    DocumentLevel: SmallInt = Field(nullable=True)
    Title: Text = text(50)
    Owner: Int
    FolderFlag: Bit
    FileName: Text = text(400)
    FileExtension: Text = text(8, nullable=True)
    Revision: Text = text(5)
    ChangeNumber: Int
    Status: TinyInt
    DocumentSummary: Text = Field(nullable=True)
    Document: Hex = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_Document"
        unique = ["DocumentNode"]


class Illustration(SourceTable):
    """One row per Illustration."""

    IllustrationID: Int
    Diagram: Xml = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_Illustration"
        unique = ["IllustrationID"]


class Location(SourceTable):
    """One row per Location."""

    LocationID: SmallInt
    Name: Text = text(50)
    CostRate: SmallMoney
    Availability: Decimal8_2
    ModifiedDate: DateTime

    class Config:
        name = "Production_Location"
        unique = ["LocationID"]


class Product(SourceTable):
    """One row per Product."""

    ProductID: Int
    Name: Text = text(50)
    ProductNumber: Text = text(25)
    MakeFlag: Bit
    FinishedGoodsFlag: Bit
    Color: Text = text(15, nullable=True)
    SafetyStockLevel: SmallInt
    ReorderPoint: SmallInt
    StandardCost: Money
    ListPrice: Money
    Size: Text = text(5, nullable=True)
    SizeUnitMeasureCode: Text = text(3, nullable=True)
    WeightUnitMeasureCode: Text = text(3, nullable=True)
    Weight: Decimal8_2 = Field(nullable=True)
    DaysToManufacture: Int
    ProductLine: Text = text(2, nullable=True)
    Class: Text = text(2, nullable=True)
    Style: Text = text(2, nullable=True)
    ProductSubcategoryID: Int = Field(nullable=True)
    ProductModelID: Int = Field(nullable=True)
    SellStartDate: DateTime
    SellEndDate: DateTime = Field(nullable=True)
    DiscontinuedDate: DateTime = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_Product"
        unique = ["ProductID"]


class ProductCategory(SourceTable):
    """One row per ProductCategory."""

    ProductCategoryID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductCategory"
        unique = ["ProductCategoryID"]


class ProductCostHistory(SourceTable):
    """One row per ProductCostHistory."""

    ProductID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    StandardCost: Money
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductCostHistory"
        unique = ["ProductID", "StartDate"]


class ProductDescription(SourceTable):
    """One row per ProductDescription."""

    ProductDescriptionID: Int
    Description: Text = text(400)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductDescription"
        unique = ["ProductDescriptionID"]


class ProductDocument(SourceTable):
    """One row per ProductDocument."""

    ProductID: Int
    DocumentNode: Hex
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductDocument"
        unique = ["ProductID", "DocumentNode"]


class ProductInventory(SourceTable):
    """One row per ProductInventory."""

    ProductID: Int
    LocationID: SmallInt
    Shelf: Text = text(10)
    Bin: TinyInt
    Quantity: SmallInt
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductInventory"
        unique = ["ProductID", "LocationID"]


class ProductListPriceHistory(SourceTable):
    """One row per ProductListPriceHistory."""

    ProductID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    ListPrice: Money
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductListPriceHistory"
        unique = ["ProductID", "StartDate"]


class ProductModel(SourceTable):
    """One row per ProductModel."""

    ProductModelID: Int
    Name: Text = text(50)
    CatalogDescription: Xml = Field(nullable=True)
    Instructions: Xml = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModel"
        unique = ["ProductModelID"]


class ProductModelIllustration(SourceTable):
    """One row per ProductModelIllustration."""

    ProductModelID: Int
    IllustrationID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModelIllustration"
        unique = ["ProductModelID", "IllustrationID"]


class ProductModelProductDescriptionCulture(SourceTable):
    """One row per ProductModelProductDescriptionCulture."""

    ProductModelID: Int
    ProductDescriptionID: Int
    CultureID: Text = text(6)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModelProductDescriptionCulture"
        unique = ["ProductModelID", "ProductDescriptionID", "CultureID"]


class ProductPhoto(SourceTable):
    """One row per ProductPhoto."""

    ProductPhotoID: Int
    ThumbNailPhoto: Hex = Field(nullable=True)
    ThumbnailPhotoFileName: Text = text(50, nullable=True)
    LargePhoto: Hex = Field(nullable=True)
    LargePhotoFileName: Text = text(50, nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductPhoto"
        unique = ["ProductPhotoID"]


class ProductProductPhoto(SourceTable):
    """One row per ProductProductPhoto."""

    ProductID: Int
    ProductPhotoID: Int
    Primary: Bit
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductProductPhoto"
        unique = ["ProductID", "ProductPhotoID"]


class ProductReview(SourceTable):
    """One row per ProductReview."""

    ProductReviewID: Int
    ProductID: Int
    ReviewerName: Text = text(50)
    ReviewDate: DateTime
    EmailAddress: Text = text(50)
    Rating: Int
    Comments: Text = text(3850, nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductReview"
        unique = ["ProductReviewID"]


class ProductSubcategory(SourceTable):
    """One row per ProductSubcategory."""

    ProductSubcategoryID: Int
    ProductCategoryID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductSubcategory"
        unique = ["ProductSubcategoryID"]


class ScrapReason(SourceTable):
    """One row per ScrapReason."""

    ScrapReasonID: SmallInt
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ScrapReason"
        unique = ["ScrapReasonID"]


class TransactionHistory(SourceTable):
    """One row per TransactionHistory."""

    TransactionID: Int
    ProductID: Int
    ReferenceOrderID: Int
    ReferenceOrderLineID: Int
    TransactionDate: DateTime
    TransactionType: Text = text(1)
    Quantity: Int
    ActualCost: Money
    ModifiedDate: DateTime

    class Config:
        name = "Production_TransactionHistory"
        unique = ["TransactionID"]


class TransactionHistoryArchive(SourceTable):
    """One row per TransactionHistoryArchive."""

    TransactionID: Int
    ProductID: Int
    ReferenceOrderID: Int
    ReferenceOrderLineID: Int
    TransactionDate: DateTime
    TransactionType: Text = text(1)
    Quantity: Int
    ActualCost: Money
    ModifiedDate: DateTime

    class Config:
        name = "Production_TransactionHistoryArchive"
        unique = ["TransactionID"]


class UnitMeasure(SourceTable):
    """One row per UnitMeasure."""

    UnitMeasureCode: Text = text(3)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_UnitMeasure"
        unique = ["UnitMeasureCode"]


class WorkOrder(SourceTable):
    """One row per WorkOrder."""

    WorkOrderID: Int
    ProductID: Int
    OrderQty: Int
    StockedQty: Int
    ScrappedQty: SmallInt
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    DueDate: DateTime
    ScrapReasonID: SmallInt = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_WorkOrder"
        unique = ["WorkOrderID"]


class WorkOrderRouting(SourceTable):
    """One row per WorkOrderRouting."""

    WorkOrderID: Int
    ProductID: Int
    OperationSequence: SmallInt
    LocationID: SmallInt
    ScheduledStartDate: DateTime
    ScheduledEndDate: DateTime
    ActualStartDate: DateTime = Field(nullable=True)
    ActualEndDate: DateTime = Field(nullable=True)
    ActualResourceHrs: Decimal9_4 = Field(nullable=True)
    PlannedCost: Money
    ActualCost: Money = Field(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_WorkOrderRouting"
        unique = ["WorkOrderID", "ProductID", "OperationSequence"]
