"""The marts, in the order in which an analysis builds them, and the analyses, one per downstream DAG."""

from datetime import timedelta

from adventureworks.catalog import source
from adventureworks.catalog.entries import Analysis, History, Mart, Newest, Part, Period

_COMPLETE_CUSTOMER_DAYS = Part(
    "customer_days",
    "complete_customer_days",
    ("channel", "last_month", "booking_month", "customer_id", "revenue", "cogs"),
)
_RECENT_BASKETS = Part(
    "fact_sales", "recent_baskets", ("channel", "last_month", "booking_month", "sales_order_id", "product_id")
)
_COMPLETE_TERRITORY_SALES = Part(
    "territory_sales", "complete_territory_sales", ("channel", "territory_id", "month", "is_partial", "revenue")
)

_SALES = (
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
        dated="order_date",
        by_month=("Sales_SalesOrderHeader", "Sales_SalesOrderDetail"),
    ),
    Mart(
        "daily_sales",
        domain="sales",
        dag="daily_sales_etl",
        owner="sales",
        inputs=("fact_sales", "Sales_SalesOrderHeader"),
        dated="order_date",
        by_month=("fact_sales", "Sales_SalesOrderHeader"),
    ),
    Mart(
        "customer_days",
        domain="sales",
        dag="daily_sales_etl",
        owner="sales",
        inputs=("fact_sales", "Production_Product", "Production_ProductSubcategory", "Production_ProductCategory"),
        dated="order_date",
        by_month=("fact_sales",),
    ),
    Mart(
        "territory_sales",
        domain="sales",
        dag="sales_territory_analysis",
        owner="sales",
        inputs=("fact_sales", "Sales_SalesTerritory"),
        dated="month",
        by_month=("fact_sales",),
        # Orders of the first days of a month may count towards the month before; growth shows both a year later.
        echoes=(-1, 11, 12),
    ),
    Mart(
        "sales_person_performance",
        domain="sales",
        dag="sales_person_performance",
        owner="sales",
        inputs=("fact_sales", "Sales_SalesOrderHeader", "Sales_SalesPerson", "Sales_SalesPersonQuotaHistory"),
        dated="quota_date",
    ),
    Mart(
        "quota_pace",
        domain="sales",
        dag="sales_person_performance",
        owner="sales",
        inputs=("fact_sales", "sales_person_performance", "Sales_SalesOrderHeader"),
        dated="quota_date",
    ),
    Mart(
        "exchange_rates",
        domain="sales",
        dag="currency_exchange_rates",
        owner="sales",
        inputs=("Sales_CurrencyRate",),
        dated="rate_date",
        periods=(Period("Sales_CurrencyRate", "CurrencyRateDate"),),
    ),
    Mart(
        "currency_sales",
        domain="sales",
        dag="currency_exchange_rates",
        owner="sales",
        inputs=("fact_sales", "Sales_SalesOrderHeader", "Sales_CurrencyRate"),
        dated="month",
        by_month=("fact_sales", "Sales_SalesOrderHeader"),
    ),
    Mart(
        "sales_forecast",
        domain="sales",
        dag="sales_forecasting",
        owner="sales",
        inputs=("territory_sales",),
        dated="trained_until",
        history=History(("channel", "trained_until"), keeps="months"),
        part=_COMPLETE_TERRITORY_SALES,
    ),
    Mart(
        "forecast_accuracy",
        domain="sales",
        dag="sales_forecasting",
        owner="sales",
        inputs=("territory_sales", "sales_forecast"),
        dated="trained_until",
        part=_COMPLETE_TERRITORY_SALES,
    ),
)

_CUSTOMERS: tuple[Mart, ...] = (
    Mart(
        "customer_value",
        domain="customers",
        dag="customer_analytics",
        owner="marketing",
        inputs=("fact_sales", "customer_days"),
        dated="as_of",
    ),
    Mart(
        "customer_retention",
        domain="customers",
        dag="customer_retention",
        owner="marketing",
        inputs=("customer_days",),
        dated="cohort_month",
        part=_COMPLETE_CUSTOMER_DAYS,
    ),
    Mart(
        "customer_cohort_value",
        domain="customers",
        dag="customer_retention",
        owner="marketing",
        inputs=("customer_days", "customer_retention"),
        dated="cohort_month",
        part=_COMPLETE_CUSTOMER_DAYS,
    ),
    Mart(
        "customer_churn",
        domain="customers",
        dag="customer_retention",
        owner="marketing",
        inputs=("fact_sales", "customer_days"),
        dated="as_of",
    ),
    Mart(
        "customer_demographics",
        domain="customers",
        dag="customer_demographics",
        owner="marketing",
        inputs=("customer_days", "Sales_Customer", "Sales_Store", "Person_Person"),
        dated="as_of",
    ),
)

_PRODUCTION = (
    Mart(
        "inventory_status",
        domain="production",
        dag="inventory_management",
        owner="production",
        inputs=(
            "fact_sales",
            "Production_Product",
            "Production_ProductInventory",
            "Production_WorkOrder",
            "Production_BillOfMaterials",
            "Purchasing_PurchaseOrderHeader",
            "Purchasing_PurchaseOrderDetail",
            "Purchasing_ProductVendor",
            "Purchasing_Vendor",
        ),
        dated="as_of",
        announces="adventureworks.marts.production.stock_alerts",
    ),
    Mart(
        "purchase_proposal",
        domain="production",
        dag="inventory_management",
        owner="purchasing",
        inputs=(
            "inventory_status",
            "Purchasing_ProductVendor",
            "Purchasing_Vendor",
            "Purchasing_PurchaseOrderHeader",
            "Purchasing_PurchaseOrderDetail",
        ),
        dated="as_of",
    ),
    Mart(
        "product_performance",
        domain="production",
        dag="product_performance",
        owner="production",
        inputs=(
            "fact_sales",
            "Production_Product",
            "Production_ProductSubcategory",
            "Production_ProductCategory",
            "Production_ProductListPriceHistory",
        ),
        dated="month",
        by_month=("fact_sales",),
        # The classes are those of twelve booking months, which end up to three months before a month that is not
        # complete. Orders of the first days of a month may count towards the month before.
        echoes=(-1, *range(1, 15)),
    ),
    Mart(
        "product_affinity",
        domain="production",
        dag="product_performance",
        owner="production",
        inputs=("fact_sales", "Production_Product"),
        dated="last_month",
        part=_RECENT_BASKETS,
    ),
    Mart(
        "production_costs",
        domain="production",
        dag="production_costs",
        owner="production",
        inputs=(
            "Production_WorkOrder",
            "Production_WorkOrderRouting",
            "Production_Product",
            "Production_ProductCostHistory",
        ),
        dated="month",
        by_month=("Production_WorkOrder", "Production_WorkOrderRouting"),
    ),
    Mart(
        "late_work_orders",
        domain="production",
        dag="production_costs",
        owner="production",
        inputs=("Production_WorkOrder", "Production_WorkOrderRouting", "Production_Location"),
        dated="month",
        by_month=("Production_WorkOrder", "Production_WorkOrderRouting"),
    ),
    Mart(
        "bill_of_materials_cost",
        domain="production",
        dag="production_costs",
        owner="production",
        inputs=(
            "Production_BillOfMaterials",
            "Production_Product",
            "Production_ProductCostHistory",
            "Production_WorkOrder",
            "Production_WorkOrderRouting",
        ),
        dated="as_of",
        periods=(
            Period("Production_BillOfMaterials", "StartDate", "EndDate"),
            Period("Production_ProductCostHistory", "StartDate", "EndDate"),
            Period("Production_WorkOrder", "StartDate"),
        ),
    ),
)

_FINANCE = (
    Mart(
        "monthly_profit",
        domain="finance",
        dag="financial_reporting",
        owner="finance",
        inputs=("fact_sales", "Production_Product", "Production_ProductSubcategory", "Production_ProductCategory"),
        dated="month",
        by_month=("fact_sales",),
    ),
    Mart(
        "profit_bridge",
        domain="finance",
        dag="financial_reporting",
        owner="finance",
        inputs=("fact_sales", "Production_Product", "Production_ProductSubcategory", "Production_ProductCategory"),
        dated="month",
        by_month=("fact_sales",),
        # Booking months, compared with the year before, as in territory_sales.
        echoes=(-1, 11, 12),
        compares="profit_year_before",
    ),
    Mart(
        "card_usage",
        domain="finance",
        dag="credit_card_analysis",
        owner="finance",
        inputs=("fact_sales", "Sales_SalesOrderHeader", "Sales_CreditCard"),
        dated="month",
        by_month=("fact_sales", "Sales_SalesOrderHeader"),
    ),
)

_QUALITY: tuple[Mart, ...] = (
    Mart(
        "campaign_performance",
        domain="quality",
        dag="marketing_campaigns",
        owner="marketing",
        inputs=(
            "fact_sales",
            "Sales_SpecialOffer",
            "Production_Product",
            "Production_ProductSubcategory",
            "Production_ProductCategory",
        ),
        dated="as_of",
    ),
)

_ALL_BUT_QUALITY = (*_SALES, *_CUSTOMERS, *_PRODUCTION, *_FINANCE, *_QUALITY)

_DATA_QUALITY = Mart(
    "data_quality",
    domain="quality",
    dag="data_quality_control",
    owner="quality",
    # It reports on the results of all checks, so it comes last.
    inputs=(*(table.asset for table in source.TABLES), *(mart.name for mart in _ALL_BUT_QUALITY)),
    dated="as_of",
    # A run has about 800 rows, and a source that changes all the time causes one every few minutes.
    history=History(("run_id",), keeps=Newest("run_number", 365)),
    tolerant=True,
    # It follows everything else.
    fresh_within=timedelta(hours=2),
)

TABLES = (*_ALL_BUT_QUALITY, _DATA_QUALITY)

_DAILY, _WEEKLY = "0 5 * * *", "0 6 * * 1"

FRESH_WITHIN = {_DAILY: timedelta(minutes=30), _WEEKLY: timedelta(hours=2)}
"""By calendar, how soon a mart is published after its inputs, unless its entry promises something else."""

DAGS = (
    Analysis("daily_sales_etl", "Daily sales", calendar=_DAILY),
    Analysis("sales_territory_analysis", "Sales by territory", calendar=_WEEKLY),
    Analysis("sales_person_performance", "Quotas and sales people", calendar=_WEEKLY),
    Analysis("currency_exchange_rates", "Currencies", calendar=_DAILY),
    Analysis("sales_forecasting", "Sales forecast", calendar=_WEEKLY),
    Analysis("customer_analytics", "Customer value", calendar=_WEEKLY, is_long=True),
    Analysis("customer_retention", "Customer loyalty", calendar=_WEEKLY, is_long=True),
    Analysis("customer_demographics", "Customer surveys", calendar=_WEEKLY),
    Analysis("inventory_management", "Stock and purchases", calendar=_DAILY),
    Analysis("product_performance", "Sales by product", calendar=_WEEKLY),
    Analysis("production_costs", "Production", calendar=_WEEKLY),
    Analysis("financial_reporting", "Profit", calendar=_DAILY, reports=True),
    Analysis("credit_card_analysis", "Credit cards", calendar=_DAILY),
    Analysis("data_quality_control", "Data quality", calendar=_DAILY),
    Analysis("marketing_campaigns", "Special offers", calendar=_WEEKLY),
)
