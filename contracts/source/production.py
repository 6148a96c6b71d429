"""Contracts of the tables of the source schema `Production`."""

import polars as pl
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
    Period,
    SmallInt,
    SmallMoney,
    SourceTable,
    Text,
    TinyInt,
    Xml,
    at_most_a_day_after_modified,
    code,
    computed,
    email,
    guid,
    hexadecimal,
    hierarchy,
    level_of,
    one_of,
    rule,
    shaped,
    text,
    xml,
)


class BillOfMaterials(SourceTable):
    """One row per component of an assembly and period of validity; the top of a bill is a row without an assembly."""

    BillOfMaterialsID: Int
    ProductAssemblyID: Int = Field(nullable=True, description="Assembly; NULL: the component is a finished product")
    ComponentID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    UnitMeasureCode: Text = code(3)
    BOMLevel: SmallInt = Field(description="Depth of the component, 0 for a finished product")
    PerAssemblyQty: Decimal8_2 = Field(ge=1, description="Units of the component in one assembly")
    ModifiedDate: DateTime

    @rule
    def ends_after_it_starts(cls):
        """EndDate > StartDate."""
        return pl.col("EndDate") > pl.col("StartDate")

    @rule
    def nothing_is_its_own_component(cls):
        """ProductAssemblyID <> ComponentID."""
        return pl.col("ProductAssemblyID") != pl.col("ComponentID")

    @rule
    def only_a_finished_product_is_at_the_top(cls):
        """ProductAssemblyID IS NULL, BOMLevel = 0 and PerAssemblyQty = 1, or IS NOT NULL and BOMLevel >= 1."""
        is_top = pl.col("ProductAssemblyID").is_null()
        top = (pl.col("BOMLevel") == 0) & (pl.col("PerAssemblyQty") == 1)
        return (is_top & top) | (~is_top & (pl.col("BOMLevel") >= 1))

    class Config:
        name = "Production_BillOfMaterials"
        metadata = {"version": "1.0"}
        unique = ["BillOfMaterialsID"]


class Culture(SourceTable):
    """One row per language of product texts; the blank code is the invariant one."""

    CultureID: Text = code(6, blank=True)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_Culture"
        metadata = {"version": "1.0"}
        unique = ["CultureID"]


class Document(SourceTable):
    """One row per maintenance document or folder. The root has no node, and folders have no extension (NULL)."""

    DocumentNode: Hex = hierarchy(nullable=True, description="Position in the folder tree")
    DocumentLevel: SmallInt = Field(
        nullable=True, ge=0, description="Depth of that position", metadata=computed(level_of("DocumentNode"))
    )
    Title: Text = text(50)
    Owner: Int = Field(description="Employee in charge of it")
    FolderFlag: Bit
    FileName: Text = text(400)
    FileExtension: Text = text(8, nullable=True)
    Revision: Text = code(5)
    ChangeNumber: Int = Field(ge=0)
    Status: TinyInt = Field(ge=1, le=3, description="1 pending approval, 2 approved, 3 obsolete")
    DocumentSummary: Text = Field(nullable=True)
    Document: Hex = hexadecimal(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def a_folder_has_no_content(cls):
        """NOT FolderFlag OR Document IS NULL."""
        return ~pl.col("FolderFlag") | (pl.col("Document").fill_null("") == "")

    class Config:
        name = "Production_Document"
        metadata = {"version": "1.0"}
        unique = ["DocumentNode"]


class Illustration(SourceTable):
    """One row per drawing of how a bicycle is assembled."""

    IllustrationID: Int
    Diagram: Xml = xml(nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_Illustration"
        metadata = {"version": "1.0"}
        unique = ["IllustrationID"]


class Location(SourceTable):
    """One row per place in the plant where products are made or stored."""

    LocationID: SmallInt
    Name: Text = text(50)
    CostRate: SmallMoney = Field(ge=0, description="USD per hour")
    Availability: Decimal8_2 = Field(ge=0, description="Available hours of work")
    ModifiedDate: DateTime

    class Config:
        name = "Production_Location"
        metadata = {"version": "1.0"}
        unique = ["LocationID"]


class Product(SourceTable):
    """One row per product that is sold, or used to make products that are sold."""

    ProductID: Int
    Name: Text = text(50)
    ProductNumber: Text = text(25)
    MakeFlag: Bit = Field(description="True: made in house; false: bought")
    FinishedGoodsFlag: Bit = Field(description="True: for sale")
    Color: Text = text(15, nullable=True)
    SafetyStockLevel: SmallInt = Field(gt=0)
    ReorderPoint: SmallInt = Field(gt=0)
    StandardCost: Money = Field(ge=0)
    ListPrice: Money = Field(ge=0)
    Size: Text = text(5, nullable=True)
    SizeUnitMeasureCode: Text = code(3, nullable=True)
    WeightUnitMeasureCode: Text = code(3, nullable=True)
    Weight: Decimal8_2 = Field(nullable=True, gt=0)
    DaysToManufacture: Int = Field(ge=0)
    ProductLine: Text = one_of(
        "S", "T", "M", "R", nullable=True, description="R road, M mountain, T touring, S standard"
    )
    Class: Text = one_of("L", "M", "H", nullable=True, description="H high, M medium, L low")
    Style: Text = one_of("W", "M", "U", nullable=True, description="W women's, M men's, U universal")
    ProductSubcategoryID: Int = Field(nullable=True)
    ProductModelID: Int = Field(nullable=True)
    SellStartDate: DateTime
    SellEndDate: DateTime = Field(nullable=True)
    DiscontinuedDate: DateTime = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def sale_ends_not_before_it_starts(cls):
        """SellEndDate >= SellStartDate."""
        return pl.col("SellEndDate") >= pl.col("SellStartDate")

    @rule
    def is_discontinued_after_its_sale_starts(cls):
        """DiscontinuedDate >= SellStartDate."""
        return pl.col("DiscontinuedDate") >= pl.col("SellStartDate")

    @rule
    def list_price_covers_the_cost(cls):
        """ListPrice >= StandardCost, or ListPrice = 0 for products that are not for sale."""
        not_for_sale = ~pl.col("FinishedGoodsFlag") & (pl.col("ListPrice") == 0)
        return not_for_sale | (pl.col("ListPrice") >= pl.col("StandardCost"))

    @rule
    def weight_has_a_unit(cls):
        """Weight IS NULL OR WeightUnitMeasureCode IS NOT NULL."""
        return pl.col("Weight").is_null() | pl.col("WeightUnitMeasureCode").is_not_null()

    @rule
    def unit_of_size_has_a_size(cls):
        """SizeUnitMeasureCode IS NULL OR Size IS NOT NULL."""
        return pl.col("SizeUnitMeasureCode").is_null() | pl.col("Size").is_not_null()

    class Config:
        name = "Production_Product"
        metadata = {"version": "1.0"}
        unique = ["ProductID"]


class ProductCategory(SourceTable):
    """One row per category of products: bikes, components, clothing, accessories."""

    ProductCategoryID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductCategory"
        metadata = {"version": "1.0"}
        unique = ["ProductCategoryID"]


class ProductCostHistory(Period):
    """One row per product and period, with the standard cost."""

    ProductID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    StandardCost: Money = Field(ge=0)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductCostHistory"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "StartDate"]


class ProductDescription(SourceTable):
    """One row per text about a product, in one language."""

    ProductDescriptionID: Int
    Description: Text = text(400)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductDescription"
        metadata = {"version": "1.0"}
        unique = ["ProductDescriptionID"]


class ProductDocument(SourceTable):
    """One row per document about a product."""

    ProductID: Int
    DocumentNode: Hex = hierarchy()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductDocument"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "DocumentNode"]


class ProductInventory(SourceTable):
    """One row per product and place: the stock on hand."""

    ProductID: Int
    LocationID: SmallInt
    Shelf: Text = shaped(r"^([A-Za-z]|N/A)$", "a letter, or N/A")
    Bin: TinyInt = Field(le=100)
    Quantity: SmallInt = Field(ge=0)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductInventory"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "LocationID"]


class ProductListPriceHistory(Period):
    """One row per product and period, with the list price."""

    ProductID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    ListPrice: Money = Field(gt=0)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductListPriceHistory"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "StartDate"]


class ProductModel(SourceTable):
    """One row per product model; its products differ in size and colour."""

    ProductModelID: Int
    Name: Text = text(50)
    CatalogDescription: Xml = xml(nullable=True)
    Instructions: Xml = xml(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModel"
        metadata = {"version": "1.0"}
        unique = ["ProductModelID"]


class ProductModelIllustration(SourceTable):
    """One row per drawing of a model."""

    ProductModelID: Int
    IllustrationID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModelIllustration"
        metadata = {"version": "1.0"}
        unique = ["ProductModelID", "IllustrationID"]


class ProductModelProductDescriptionCulture(SourceTable):
    """One row per model and language, with the text that describes it."""

    ProductModelID: Int
    ProductDescriptionID: Int
    CultureID: Text = code(6, blank=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductModelProductDescriptionCulture"
        metadata = {"version": "1.0"}
        unique = ["ProductModelID", "ProductDescriptionID", "CultureID"]


class ProductPhoto(SourceTable):
    """One row per picture, small and large."""

    ProductPhotoID: Int
    ThumbNailPhoto: Hex = hexadecimal(nullable=True)
    ThumbnailPhotoFileName: Text = text(50, nullable=True)
    LargePhoto: Hex = hexadecimal(nullable=True)
    LargePhotoFileName: Text = text(50, nullable=True)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductPhoto"
        metadata = {"version": "1.0"}
        unique = ["ProductPhotoID"]


class ProductProductPhoto(SourceTable):
    """One row per picture of a product."""

    ProductID: Int
    ProductPhotoID: Int
    Primary: Bit = Field(description="True: the main picture")
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductProductPhoto"
        metadata = {"version": "1.0"}
        unique = ["ProductID", "ProductPhotoID"]


class ProductReview(SourceTable):
    """One row per review that a customer wrote."""

    ProductReviewID: Int
    ProductID: Int
    ReviewerName: Text = text(50)
    ReviewDate: DateTime
    EmailAddress: Text = email(50)
    Rating: Int = Field(ge=1, le=5, description="5 is best")
    Comments: Text = text(3850, nullable=True)
    ModifiedDate: DateTime

    @rule
    def is_written_by_tomorrow(cls):
        """ReviewDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("ReviewDate")

    class Config:
        name = "Production_ProductReview"
        metadata = {"version": "1.0"}
        unique = ["ProductReviewID"]


class ProductSubcategory(SourceTable):
    """One row per subcategory of products."""

    ProductSubcategoryID: Int
    ProductCategoryID: Int
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Production_ProductSubcategory"
        metadata = {"version": "1.0"}
        unique = ["ProductSubcategoryID"]


class ScrapReason(SourceTable):
    """One row per reason for scrapping the output of a work order."""

    ScrapReasonID: SmallInt
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_ScrapReason"
        metadata = {"version": "1.0"}
        unique = ["ScrapReasonID"]


class TransactionHistory(SourceTable):
    """One row per line of a work order, sale or purchase that moved stock, this year and last year."""

    TransactionID: Int
    ProductID: Int
    ReferenceOrderID: Int = Field(description="The work order, sales order or purchase order, depending on the type")
    ReferenceOrderLineID: Int = Field(ge=0, description="The order's line; 0 for a work order")
    TransactionDate: DateTime
    TransactionType: Text = one_of("W", "S", "P", description="W work order, S sale, P purchase")
    Quantity: Int = Field(gt=0)
    ActualCost: Money = Field(ge=0)
    ModifiedDate: DateTime

    @rule
    def happens_by_tomorrow(cls):
        """TransactionDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("TransactionDate")

    class Config:
        name = "Production_TransactionHistory"
        metadata = {"version": "1.0"}
        unique = ["TransactionID"]


class TransactionHistoryArchive(TransactionHistory):
    """One row per stock movement of earlier years, with the same columns and rules."""

    class Config:
        name = "Production_TransactionHistoryArchive"
        metadata = {"version": "1.0"}
        unique = ["TransactionID"]


class UnitMeasure(SourceTable):
    """One row per unit of measure."""

    UnitMeasureCode: Text = code(3)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Production_UnitMeasure"
        metadata = {"version": "1.0"}
        unique = ["UnitMeasureCode"]


class WorkOrder(Period):
    """One row per order to the plant to make a quantity of one product."""

    WorkOrderID: Int
    ProductID: Int
    OrderQty: Int = Field(gt=0)
    StockedQty: Int = Field(
        description="Pieces that were made and passed inspection",
        metadata=computed(pl.col("OrderQty").cast(pl.Int64) - pl.col("ScrappedQty")),
    )
    ScrappedQty: SmallInt = Field(ge=0, description="Pieces that failed inspection")
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    DueDate: DateTime
    ScrapReasonID: SmallInt = Field(nullable=True)
    ModifiedDate: DateTime

    @rule
    def is_due_not_before_it_starts(cls):
        """DueDate >= StartDate."""
        return pl.col("DueDate") >= pl.col("StartDate")

    @rule
    def scraps_no_more_than_it_makes(cls):
        """ScrappedQty <= OrderQty."""
        return pl.col("ScrappedQty") <= pl.col("OrderQty")

    @rule
    def stocks_what_is_not_scrapped(cls):
        """StockedQty = OrderQty - ScrappedQty."""
        return pl.col("StockedQty").cast(pl.Int64) == pl.col("OrderQty").cast(pl.Int64) - pl.col("ScrappedQty")

    @rule
    def scrap_has_a_reason(cls):
        """ScrapReasonID IS NOT NULL exactly where ScrappedQty > 0."""
        return pl.col("ScrapReasonID").is_not_null() == (pl.col("ScrappedQty") > 0)

    @rule
    def happens_by_tomorrow(cls):
        """StartDate and EndDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("StartDate", "EndDate")

    class Config:
        name = "Production_WorkOrder"
        metadata = {"version": "1.0"}
        unique = ["WorkOrderID"]


class WorkOrderRouting(SourceTable):
    """One row per operation of a work order at a place in the plant."""

    WorkOrderID: Int
    ProductID: Int
    OperationSequence: SmallInt = Field(ge=1)
    LocationID: SmallInt
    ScheduledStartDate: DateTime
    ScheduledEndDate: DateTime
    ActualStartDate: DateTime = Field(nullable=True)
    ActualEndDate: DateTime = Field(nullable=True)
    ActualResourceHrs: Decimal9_4 = Field(nullable=True, ge=0, description="Hours of work")
    PlannedCost: Money = Field(gt=0)
    ActualCost: Money = Field(nullable=True, gt=0)
    ModifiedDate: DateTime

    @rule
    def schedule_ends_not_before_it_starts(cls):
        """ScheduledEndDate >= ScheduledStartDate."""
        return pl.col("ScheduledEndDate") >= pl.col("ScheduledStartDate")

    @rule
    def work_ends_not_before_it_starts(cls):
        """ActualEndDate >= ActualStartDate."""
        return pl.col("ActualEndDate") >= pl.col("ActualStartDate")

    @rule
    def what_has_ended_had_started(cls):
        """ActualEndDate IS NULL OR ActualStartDate IS NOT NULL."""
        return pl.col("ActualEndDate").is_null() | pl.col("ActualStartDate").is_not_null()

    @rule
    def happens_by_tomorrow(cls):
        """ActualStartDate and ActualEndDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("ActualStartDate", "ActualEndDate")

    class Config:
        name = "Production_WorkOrderRouting"
        metadata = {"version": "1.0"}
        unique = ["WorkOrderID", "ProductID", "OperationSequence"]
