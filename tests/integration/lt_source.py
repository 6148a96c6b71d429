"""AdventureWorksLT in PostgreSQL: its twelve tables with their real names, and a few rows of every type."""

from __future__ import annotations

_ROW = '"rowguid" uuid not null default gen_random_uuid(), "ModifiedDate" timestamp not null'

SCHEMA = f"""
create schema "SalesLT";
create schema if not exists dbo;
create table "SalesLT"."Address" (
    "AddressID" int primary key, "AddressLine1" varchar(60) not null, "AddressLine2" varchar(60),
    "City" varchar(30) not null, "StateProvince" varchar(50) not null, "CountryRegion" varchar(50) not null,
    "PostalCode" varchar(15) not null, {_ROW});
create table "SalesLT"."Customer" (
    "CustomerID" int primary key, "NameStyle" boolean not null, "Title" varchar(8), "FirstName" varchar(50) not null,
    "MiddleName" varchar(50), "LastName" varchar(50) not null, "Suffix" varchar(10), "CompanyName" varchar(128),
    "SalesPerson" varchar(256), "EmailAddress" varchar(50), "Phone" varchar(25), "PasswordHash" varchar(128) not null,
    "PasswordSalt" varchar(10) not null, {_ROW});
create table "SalesLT"."CustomerAddress" (
    "CustomerID" int not null, "AddressID" int not null, "AddressType" varchar(50) not null, {_ROW},
    primary key ("CustomerID", "AddressID"));
create table "SalesLT"."ProductCategory" (
    "ProductCategoryID" int primary key, "ParentProductCategoryID" int, "Name" varchar(50) not null, {_ROW});
create table "SalesLT"."ProductModel" (
    "ProductModelID" int primary key, "Name" varchar(50) not null, "CatalogDescription" text, {_ROW});
create table "SalesLT"."ProductDescription" (
    "ProductDescriptionID" int primary key, "Description" varchar(400) not null, {_ROW});
create table "SalesLT"."ProductModelProductDescription" (
    "ProductModelID" int not null, "ProductDescriptionID" int not null, "Culture" char(6) not null, {_ROW},
    primary key ("ProductModelID", "ProductDescriptionID", "Culture"));
create table "SalesLT"."Product" (
    "ProductID" int primary key, "Name" varchar(50) not null, "ProductNumber" varchar(25) not null,
    "Color" varchar(15), "StandardCost" numeric(19, 4) not null, "ListPrice" numeric(19, 4) not null,
    "Size" varchar(5), "Weight" numeric(8, 2), "ProductCategoryID" int, "ProductModelID" int,
    "SellStartDate" timestamp not null, "SellEndDate" timestamp, "DiscontinuedDate" timestamp,
    "ThumbNailPhoto" bytea, "ThumbnailPhotoFileName" varchar(50), {_ROW});
create table "SalesLT"."SalesOrderHeader" (
    "SalesOrderID" int primary key, "RevisionNumber" smallint not null, "OrderDate" timestamp not null,
    "DueDate" timestamp not null, "ShipDate" timestamp, "Status" smallint not null,
    "OnlineOrderFlag" boolean not null, "PurchaseOrderNumber" varchar(25), "AccountNumber" varchar(15),
    "CustomerID" int not null, "ShipToAddressID" int, "BillToAddressID" int, "ShipMethod" varchar(50) not null,
    "CreditCardApprovalCode" varchar(15), "SubTotal" numeric(19, 4) not null, "TaxAmt" numeric(19, 4) not null,
    "Freight" numeric(19, 4) not null, "Comment" text, {_ROW});
create table "SalesLT"."SalesOrderDetail" (
    "SalesOrderID" int not null, "SalesOrderDetailID" int not null, "OrderQty" smallint not null,
    "ProductID" int not null, "UnitPrice" numeric(19, 4) not null, "UnitPriceDiscount" numeric(19, 4) not null, {_ROW},
    primary key ("SalesOrderID", "SalesOrderDetailID"));
create table dbo."BuildVersion" (
    "SystemInformationID" smallint primary key, "Database Version" varchar(25) not null,
    "VersionDate" timestamp not null, "ModifiedDate" timestamp not null);
create table dbo."ErrorLog" (
    "ErrorLogID" int primary key, "ErrorTime" timestamp not null, "UserName" varchar(128) not null,
    "ErrorNumber" int not null, "ErrorSeverity" int, "ErrorState" int, "ErrorProcedure" varchar(126),
    "ErrorLine" int, "ErrorMessage" varchar(4000) not null);
"""
"""`SalesOrderNumber`, `TotalDue` and `LineTotal`, which SQL Server computes, are left out, as in a port."""

ROWS = """
insert into "SalesLT"."Address" values
    (9, '8713 Yosemite Ct.', null, 'Bothell', 'Washington', 'United States', '98011', default, '2006-07-01'),
    (11, '1318 Lasalle Street', 'Floor 2', 'Bothell', 'Washington', 'United States', '98011', default, '2007-04-01');
insert into "SalesLT"."Customer" values
    (1, false, 'Mr.', 'Orlando', 'N.', 'Gee', null, 'A Bike Store', 'shop\\pamela0', 'orlando0@shop.example',
     '245-555-0173', 'hash', 'salt', default, '2005-08-01'),
    (2, false, 'Mr.', 'Keith', null, 'Harris', 'Jr.', null, null, 'keith0@shop.example', null, 'hash', 'salt',
     default, '2006-08-01');
insert into "SalesLT"."CustomerAddress" values
    (1, 9, 'Main Office', default, '2006-09-01'), (1, 11, 'Shipping', default, '2006-09-01');
insert into "SalesLT"."ProductCategory" values
    (1, null, 'Bikes', default, '2002-06-01'), (2, null, 'Components', default, '2002-06-01'),
    (5, 1, 'Mountain Bikes', default, '2002-06-01'), (18, 2, 'Road Frames', default, '2002-06-01');
insert into "SalesLT"."ProductModel" values
    (6, 'HL Road Frame', null, default, '2002-05-02'), (7, 'Mountain-100', '<p>Fast</p>', default, '2002-05-02');
insert into "SalesLT"."ProductDescription" values
    (8, 'Light aluminium frame.', default, '2007-06-01'), (9, 'Cadre léger en aluminium.', default, '2007-06-01');
insert into "SalesLT"."ProductModelProductDescription" values
    (6, 8, 'en', default, '2007-06-01'), (6, 9, 'fr', default, '2007-06-01');
insert into "SalesLT"."Product" values
    (680, 'HL Road Frame, 58', 'FR-R92B-58', 'Black', 1059.31, 1431.50, '58', 1016.04, 18, 6, '2002-06-01', null,
     null, decode('4749', 'hex'), 'no_image.gif', default, '2008-03-11'),
    (771, 'Mountain-100, 38', 'BK-M82S-38', null, 1912.1544, 3399.99, null, null, 5, 7, '2005-07-01', '2006-06-30',
     null, null, null, default, '2008-03-11');
insert into "SalesLT"."SalesOrderHeader" values
    (71774, 2, '2008-06-01', '2008-06-13', '2008-06-08', 5, false, 'PO348', '10-4020-000609', 1, 11, 9,
     'CARGO TRANSPORT 5', null, 3500.0000, 70.4279, 22.0087, null, default, '2008-06-08'),
    (71776, 2, '2008-06-01', '2008-06-13', null, 1, true, null, null, 2, 9, 9,
     'CARGO TRANSPORT 5', null, 715.7500, 6.3048, 1.9703, 'Ring twice', default, '2008-06-08');
insert into "SalesLT"."SalesOrderDetail" values
    (71774, 110562, 2, 680, 356.8980, 0.05, default, '2008-06-01'),
    (71774, 110563, 1, 771, 2039.994, 0, default, '2008-06-01'),
    (71776, 110567, 1, 680, 715.7500, 0, default, '2008-06-01');
insert into dbo."BuildVersion" values (1, '10.00.80404.00', '2008-04-04', '2008-04-04');
insert into dbo."ErrorLog" values (1, '2008-06-01', 'dbo', 547, 16, 0, 'uspLogError', 12, 'It conflicts.');
"""
"""The subtotal of order 71774 is not the sum of its lines, as in the published sample."""
