"""Contracts of the production marts. Money is USD, stock is pieces as the source counts them."""

import polars as pl

from contracts.columns import (
    BigInt,
    Bit,
    Date,
    Int,
    LineAmount,
    MartTable,
    Money,
    Ratio,
    SmallInt,
    Text,
    Total,
    described,
    rule,
)

STATES = ["ok", "low", "reorder", "out", "unknown", "discontinued"]


class InventoryStatus(MartTable):
    """One product, with its stock, how fast it is used, and what to order.

    Stock on hand is a snapshot without a date: it is as the source holds it now, whatever as_of says. The source stores
    the reorder point below the safety stock for every product; both are kept as given, so a product is low before it
    is at its reorder point. A product without an inventory row has an unknown stock, not an empty one.

    velocity_90d counts what was sold and what work orders took as components, over the 90 days that end at as_of. A
    work order takes its whole quantity times the bill of materials that was valid at its start, scrapped pieces
    included, since they used up their components too.

    suggested_order fills the stock up to safety stock plus the use of the lead time and of one week until the next
    review, less what is on hand and on order. Lead time is the vendor's for bought products, the days to manufacture
    for made ones. The vendor is an active one: preferred before others, then the cheapest, then the quickest. The
    suggestion is one order, so it is raised to the vendor's smallest and cut at the vendor's largest order; needed says
    what it would be without them. Vendors sell in cartons, cases and dozens as well, and the source does not say how
    many pieces these hold: like the source's own ledger, the mart counts one ordered unit as one piece. Compare needed
    with suggested_order before ordering such products, and those that a bill of materials measures in inches or ounces.
    """

    product_id: Int = described("Product")
    as_of: Date = described("Business date: use and orders are counted up to it")
    product: Text = described("Name of the product")
    is_made: Bit = described("Whether it is made here; else it is bought")
    on_hand: BigInt = described("Pieces in stock at all locations; NULL: no inventory row", nullable=True)
    safety_stock_level: SmallInt = described("Pieces below which the stock is low", gt=0)
    reorder_point: SmallInt = described("Pieces at which the product is to be reordered", gt=0)
    velocity_90d: Ratio = described("Pieces sold and used by work orders, a day, over 90 days", ge=0)
    days_of_supply: Ratio = described(
        "Days that the stock lasts at that velocity; NULL: stock unknown, or nothing is used", nullable=True
    )
    on_order: Total = described("Pieces ordered and not received, of open purchase orders up to as_of", ge=0)
    lead_time_days: Int = described(
        "Days from order to receipt, or to manufacture; NULL: no active vendor", ge=0, nullable=True
    )
    vendor_id: Int = described("Vendor to order from; NULL: the product is made, or no vendor is active", nullable=True)
    needed: BigInt = described("Pieces missing to the level to fill up to; NULL: unknown", ge=0, nullable=True)
    suggested_order: BigInt = described(
        "Pieces to order or to make now, within the vendor's limits; NULL: unknown", ge=0, nullable=True
    )
    state: Text = described(
        "First that applies: discontinued; unknown (no inventory row); out; reorder (at the reorder point or below);"
        " low (below the safety stock); ok",
        isin=STATES,
    )

    @rule
    def nothing_is_ordered_without_need(cls):
        """suggested_order > 0 exactly where needed > 0."""
        return (pl.col("suggested_order") > 0) == (pl.col("needed") > 0)

    @rule
    def stock_is_unknown_only_where_the_state_says_so(cls):
        """on_hand IS NOT NULL OR state IN ('unknown', 'discontinued')."""
        return pl.col("on_hand").is_not_null() | pl.col("state").is_in(["unknown", "discontinued"])

    class Config:
        """The key."""

        name = "inventory_status"
        unique = ["product_id"]


class ProductPerformance(MartTable):
    """One month and product with at least one sale.

    The class tells how much of a month's revenue the better products make up together: A while that is below 80 %, B
    below 95 %, C after that. Where nothing was earned in a month, every product is C.

    average_price is what was really paid for a unit, list_price what was asked on the last day of the month; resellers
    pay less than the list price, so the difference is no discount. A month that is partial ranks what was sold so far.
    """

    month: Date = described("First day of the month")
    product_id: Int = described("Product sold")
    product: Text = described("Name of the product")
    category: Text = described("Category of the product; Unassigned: it has none")
    subcategory: Text = described("Subcategory of the product; Unassigned: it has none")
    units: BigInt = described("Units sold", gt=0)
    revenue: LineAmount = described("Net of discount, without tax and freight, USD", ge=0)
    cogs: Total = described("Cost of goods sold, at the standard cost of the day of the order, USD", ge=0)
    profit: LineAmount = described("Revenue less cost of goods sold, USD")
    margin: Ratio = described("Profit per USD of revenue; NULL: no revenue", le=1, nullable=True)
    average_price: Ratio = described("Revenue of a unit, USD", ge=0)
    list_price: Money = described(
        "List price on the last day of the month, USD; NULL: none was valid", ge=0, nullable=True
    )
    discount_rate: Ratio = described(
        "Discount per USD of gross amount; NULL: no gross amount", ge=0, le=1, nullable=True
    )
    abc_class: Text = described("A, B or C by the revenue of the month", isin=["A", "B", "C"])
    rank: BigInt = described("Place in the month by revenue, ties by product_id; 1 is best", gt=0)
    is_partial: Bit = described("Whether the month is only partly covered by orders; keep it out of trends")

    @rule
    def profit_is_revenue_less_cost(cls):
        """Profit = revenue - cogs."""
        return pl.col("profit") == pl.col("revenue") - pl.col("cogs").cast(pl.Decimal(38, 6))

    class Config:
        """The key."""

        name = "product_performance"
        unique = ["month", "product_id"]


class ProductionCosts(MartTable):
    """One month (of the start of work orders) and product with at least one work order.

    Routing costs are those of the routed work orders of the cell. Many work orders have no routing: what they cost is
    unknown, so the figures are NULL where no order of the cell is routed, and unrouted_orders says how many are
    missing. The actual cost and the variance are NULL, too, while an operation of the cell has no actual cost yet.

    In the source's history every operation's actual cost is exactly the planned one: a variance of 0 says nothing.

    Late is an order that ended after it was due; one without an end is not counted as late.
    """

    month: Date = described("First day of the month in which the work orders started")
    product_id: Int = described("Product made")
    work_orders: BigInt = described("Number of work orders", gt=0)
    ordered: BigInt = described("Pieces ordered", gt=0)
    stocked: BigInt = described("Pieces that passed inspection", ge=0)
    scrapped: BigInt = described("Pieces that failed inspection", ge=0)
    scrap_rate: Ratio = described("Scrapped pieces per piece ordered, 0 to 1", ge=0, le=1)
    scrap_cost: Total = described("Scrapped pieces × standard cost on the day of the start, USD", ge=0)
    routing_cost_planned: Total = described(
        "Planned cost of the operations of the routed work orders, USD; NULL: none is routed", ge=0, nullable=True
    )
    routing_cost_actual: Total = described(
        "Actual cost of these operations, USD; NULL: none is routed, or one is not booked yet", ge=0, nullable=True
    )
    variance: Total = described("Actual less planned cost, USD; NULL: one of them is unknown", nullable=True)
    late_orders: BigInt = described("Work orders that ended after they were due", ge=0)
    unrouted_orders: BigInt = described("Work orders without a routing, whose cost is unknown", ge=0)

    @rule
    def orders_are_at_least_their_parts(cls):
        """late_orders <= work_orders AND unrouted_orders <= work_orders."""
        orders = pl.col("work_orders")
        return (pl.col("late_orders") <= orders) & (pl.col("unrouted_orders") <= orders)

    @rule
    def what_is_ordered_is_stocked_or_scrapped(cls):
        """Ordered = stocked + scrapped."""
        return pl.col("ordered") == pl.col("stocked") + pl.col("scrapped")

    @rule
    def routing_is_unknown_exactly_without_a_routed_order(cls):
        """routing_cost_planned IS NULL exactly where unrouted_orders = work_orders."""
        return pl.col("routing_cost_planned").is_null() == (pl.col("unrouted_orders") == pl.col("work_orders"))

    class Config:
        """The key."""

        name = "production_costs"
        unique = ["month", "product_id"]


class BillOfMaterialsCost(MartTable):
    """One assembly that has a bill of materials valid at as_of.

    Mind cost_coverage before material_cost: most raw parts have a standard cost of 0 in the source, so the material of
    an assembly is understated wherever the coverage is below 1, and it may not be compared with standard_cost.

    A leaf is a component without a valid bill of its own, whether bought or made. Quantities of a bill are as given, a
    few in inches or ounces, while a standard cost is that of one piece.

    routing_cost holds the assembly's own operations only, not those of its parts: planned cost of all routed work
    orders up to as_of over the pieces ordered with them. The source plans an operation at the same cost whether an
    order is for one piece or for a thousand; routing_cost_per_order is that cost, and what a single piece would cost.

    An assembly that is part of itself, directly or through others, is refused: nothing of the mart is published then,
    and the broken rule shows the products on the way.
    """

    product_id: Int = described("Assembly")
    as_of: Date = described("Business date: the bills and costs are those valid on it")
    product: Text = described("Name of the assembly")
    material_cost: Total = described("Quantity × standard cost of all leaves over all paths, for one piece, USD", ge=0)
    routing_cost: Ratio = described(
        "Planned cost of one piece's own operations, USD; NULL: no work order was routed", ge=0, nullable=True
    )
    routing_cost_per_order: Ratio = described(
        "Planned cost of one work order's own operations, USD; NULL: no work order was routed", ge=0, nullable=True
    )
    standard_cost: Money = described("Standard cost of the assembly as the source gives it, USD", ge=0)
    leaves: BigInt = described("Distinct leaves", ge=0)
    leaves_with_cost: BigInt = described("Distinct leaves whose standard cost is above 0", ge=0)
    cost_coverage: Ratio = described(
        "Share of the distinct leaves that have a cost above 0, 0 to 1; NULL: no leaf", ge=0, le=1, nullable=True
    )
    levels: Int = described("Levels of components below the assembly", gt=0)
    own_part_path: Text = described(
        "Product ids on the way from the assembly to itself; always NULL in a published version", nullable=True
    )

    class Config:
        """The key."""

        name = "bill_of_materials_cost"
        unique = ["product_id"]
