"""Editions of AdventureWorks other than the full database, and which of their tables fill the tables of the contracts.

A column that an edition lacks is computed from the others if its contract says how (`contracts.columns.computed`).
Every other one is listed here as not offered: it is NULL, and rules and marts that read it do not apply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Feed:
    """The table of a source that fills a table of the contracts. Column names that agree need not be given."""

    table: str
    """`schema.name`."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The contract's columns that have another name there, each with that name."""
    lacks: frozenset[str] = frozenset()
    """The contract's columns that are not offered. In a key, 0 takes the place of NULL."""
    filled: str = ""
    """A column there: only rows in which it has a value are read."""
    empty: str = ""
    """A column there: only rows in which it is NULL are read."""

    @property
    def is_partial(self) -> bool:
        """Whether only some rows of the source's table belong to the table of the contracts."""
        return bool(self.filled or self.empty)


@dataclass(frozen=True)
class Edition:
    """A database with other tables than the contracts name."""

    name: str
    sign: str
    """A table that no other database has, by which the edition is recognized."""
    feeds: Mapping[str, Feed]
    """By asset; tables of the contracts that are not listed are not offered."""
    known_defects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By asset: rules on whole tables that the published data of the edition breaks. They warn instead of blocking."""

    def identity_of(self, source: str) -> str:
        """Return the identifier of a source that is read as this edition."""
        return f"{source}{_READ_AS}{self.name}"

    def lacks(self, asset: str) -> frozenset[str]:
        """Return the columns of a table that are not offered."""
        return self.feeds[asset].lacks if asset in self.feeds else frozenset()


_READ_AS = " as "


def edition_of(identity: str) -> Edition | None:
    """Return the edition that an identifier of a source names (`Edition.identity_of`); None for the full database."""
    return next((one for one in EDITIONS if identity.endswith(f"{_READ_AS}{one.name}")), None)


def _lacks(names: str) -> frozenset[str]:
    return frozenset(names.split())


# A customer is a person there, so one number identifies both. The number also leads from addresses and orders to the
# person, which is how a forgotten person's data is found.
_PERSON = {"BusinessEntityID": "CustomerID"}

_LT = Edition(
    "AdventureWorksLT",
    sign="SalesLT.SalesOrderHeader",
    feeds={
        "Person_Address": Feed("SalesLT.Address", lacks=_lacks("StateProvinceID SpatialLocation")),
        "Person_BusinessEntityAddress": Feed("SalesLT.CustomerAddress", _PERSON, _lacks("AddressTypeID")),
        "Person_EmailAddress": Feed(
            "SalesLT.Customer", _PERSON, _lacks("EmailAddressID rowguid"), filled="EmailAddress"
        ),
        "Person_Person": Feed(
            "SalesLT.Customer",
            _PERSON,
            _lacks("PersonType EmailPromotion AdditionalContactInfo Demographics rowguid"),
        ),
        "Person_PersonPhone": Feed(
            "SalesLT.Customer", {**_PERSON, "PhoneNumber": "Phone"}, _lacks("PhoneNumberTypeID"), filled="Phone"
        ),
        "Production_Product": Feed(
            "SalesLT.Product",
            {"ProductSubcategoryID": "ProductCategoryID"},
            _lacks(
                "MakeFlag FinishedGoodsFlag SafetyStockLevel ReorderPoint SizeUnitMeasureCode WeightUnitMeasureCode"
                " DaysToManufacture ProductLine Class Style"
            ),
        ),
        # One table is the hierarchy: its roots are the categories, and the rows below them the subcategories.
        "Production_ProductCategory": Feed("SalesLT.ProductCategory", empty="ParentProductCategoryID"),
        "Production_ProductSubcategory": Feed(
            "SalesLT.ProductCategory",
            {"ProductSubcategoryID": "ProductCategoryID", "ProductCategoryID": "ParentProductCategoryID"},
            filled="ParentProductCategoryID",
        ),
        "Production_ProductDescription": Feed("SalesLT.ProductDescription"),
        "Production_ProductModel": Feed("SalesLT.ProductModel", lacks=_lacks("Instructions")),
        "Production_ProductModelProductDescriptionCulture": Feed(
            "SalesLT.ProductModelProductDescription", {"CultureID": "Culture"}
        ),
        "Sales_Customer": Feed("SalesLT.Customer", {"PersonID": "CustomerID"}, _lacks("StoreID TerritoryID")),
        "Sales_SalesOrderDetail": Feed(
            "SalesLT.SalesOrderDetail", lacks=_lacks("CarrierTrackingNumber SpecialOfferID")
        ),
        "Sales_SalesOrderHeader": Feed(
            "SalesLT.SalesOrderHeader",
            lacks=_lacks("SalesPersonID TerritoryID ShipMethodID CreditCardID CurrencyRateID"),
        ),
        "dbo_AWBuildVersion": Feed("dbo.BuildVersion"),
        "dbo_ErrorLog": Feed("dbo.ErrorLog"),
    },
    # Its orders keep the subtotals of an earlier sample, but not all of their lines.
    known_defects={"Sales_SalesOrderHeader": frozenset({"subtotal_is_the_sum_of_the_lines"})},
)

EDITIONS = (_LT,)
