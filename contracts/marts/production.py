"""Contracts of the production marts. Money is USD, stock is in pieces as counted by the source."""

import polars as pl

from contracts.columns import (
    CHANNEL,
    CHANNELS,
    COGS,
    IS_PARTIAL,
    MARGIN,
    PROFIT,
    REVENUE,
    BigInt,
    Bit,
    Date,
    Int,
    LineAmount,
    MartTable,
    Money,
    Ratio,
    SmallInt,
    Statistic,
    Text,
    Total,
    described,
    rule,
)

STATES = ["ok", "low", "reorder", "out", "unknown", "discontinued"]
LIMITS = ["none", "minimum", "maximum"]
STATE = (
    "The first that applies: discontinued (no longer sold); unknown (no inventory row); out (none on hand); reorder (at"
    " or below the reorder point); low (below the safety stock); ok"
)
DAYS_OF_SUPPLY = (
    "Stock on hand divided by average daily sales and use; empty if the stock is unknown, or nothing was used"
)
ON_ORDER = (
    "Quantity ordered from vendors up to as_of and not received yet; a unit of unknown content counts as one piece"
)
ORDER_UNIT = (
    "Unit of the quantity to order, as in the source: EA (piece, also if made in house), DZ (dozen), CS (case), CTN"
    " (container), CAN (canister), GAL (gallon), PAK (pack); empty without a vendor"
)
ORDER_PIECES = "Pieces in the quantity to order; empty if the source does not say how many pieces the unit holds"
LIMITED_BY = (
    "What limits the quantity to order: maximum (the vendor's largest order is smaller than what is needed, at one"
    " piece per unit if the unit's content is unknown), minimum (the vendor's smallest order is larger), none; empty if"
    " the quantity is unknown"
)


def _pieces(quantity: str) -> pl.Expr:
    """Return how many pieces a quantity of `order_unit` holds; NULL if the unit's content is unknown."""
    content = pl.col("order_unit").replace_strict({"EA": 1, "DZ": 12}, default=None, return_dtype=pl.Int64)
    return pl.col(quantity) * content


class InventoryStatus(MartTable):
    """One product, with its stock, its rate of use, and the quantity to order.

    Stock on hand is an undated snapshot: the current stock of the source, regardless of as_of. In the source the
    reorder point of every product is below its safety stock; both are kept as given, so a product is low before it
    reaches its reorder point. A product without an inventory row has an unknown stock, not an empty one.

    velocity_90d counts the pieces sold and the pieces used as components by work orders, over the last three booking
    months that are complete in all channels (89 to 92 days); work orders count by their start. Resellers order once a
    month, so a period of 90 days may contain two of their waves, or four. A work order uses its whole quantity times
    the bill of materials valid at its start, including scrapped pieces, since they used up their components too.

    needed fills the stock up to the safety stock plus the use during the lead time and one week until the next review,
    less the stock on hand and on order. The lead time is the vendor's for bought products and the days to manufacture
    for made ones. The vendor is the active one with the lowest last price, ties by credit rating.

    suggested_order is a single order for what is needed, in the vendor's unit, raised to the vendor's smallest or
    limited to the vendor's largest order; limited_by says which. Besides single pieces and dozens, vendors sell in
    cases, containers, canisters, gallons and packs, and the source does not say how many pieces these hold. For such a
    unit suggested_pieces is empty, and suggested_order is what is needed at one piece per unit. Where the vendor's
    maximum applies, the need may or may not be covered: check the content before ordering. A bill of materials measures
    some products in inches or ounces, so what they need is not in pieces either.
    """

    product_id: Int = described("Product")
    as_of: Date = described("Business date up to which use and orders are counted")
    product: Text = described("Name of the product")
    is_made: Bit = described("Whether the product is made in house; otherwise it is bought")
    on_hand: BigInt = described("Stock at all locations; empty without an inventory row", unit="pieces", nullable=True)
    safety_stock_level: SmallInt = described("Level below which the stock is low", unit="pieces", gt=0)
    reorder_point: SmallInt = described(
        "Level at which the product should be reordered; in the source it is below the safety stock",
        unit="pieces",
        gt=0,
    )
    velocity_90d: Ratio = described(
        "Average daily sales and use by work orders in the last three complete booking months; empty while no month is"
        " complete",
        unit="pieces per day",
        ge=0,
        nullable=True,
    )
    days_of_supply: Ratio = described(DAYS_OF_SUPPLY, unit="days", nullable=True)
    on_order: Total = described(ON_ORDER, unit="pieces", ge=0)
    lead_time_days: Int = described(
        "Days from order to receipt, or days to manufacture; empty without an active vendor",
        unit="days",
        ge=0,
        nullable=True,
    )
    vendor_id: Int = described(
        "Vendor to order from; empty if the product is made in house, or has no active vendor", nullable=True
    )
    needed: BigInt = described(
        "Safety stock plus the use during the lead time and one week, minus what is on hand and on order;"
        " empty if unknown",
        unit="pieces",
        ge=0,
        nullable=True,
    )
    suggested_order: BigInt = described(
        "Quantity to order or make now: what is needed, in the vendor's unit and within the vendor's limits; empty if"
        " unknown",
        unit="order units",
        ge=0,
        nullable=True,
    )
    order_unit: Text = described(ORDER_UNIT, nullable=True)
    suggested_pieces: BigInt = described(ORDER_PIECES, unit="pieces", ge=0, nullable=True)
    limited_by: Text = described(LIMITED_BY, isin=LIMITS, nullable=True)
    state: Text = described(STATE, isin=STATES)

    @rule
    def nothing_is_ordered_without_need(cls):
        """suggested_order > 0 exactly where needed > 0."""
        return (pl.col("suggested_order") > 0) == (pl.col("needed") > 0)

    @rule
    def pieces_are_known_of_pieces_and_dozens(cls):
        """suggested_pieces = suggested_order × 1 (EA) or 12 (DZ), NULL for any other unit."""
        return _pieces("suggested_order").eq_missing(pl.col("suggested_pieces"))

    @rule
    def stock_is_unknown_only_where_the_state_says_so(cls):
        """on_hand IS NOT NULL OR state IN ('unknown', 'discontinued')."""
        return pl.col("on_hand").is_not_null() | pl.col("state").is_in(["unknown", "discontinued"])

    class Config:
        """The key."""

        name = "inventory_status"
        metadata = {"version": "2.0"}
        unique = ["product_id"]


class PurchaseProposal(MartTable):
    """One bought product that is running out, and one active vendor of it, with what to order there.

    A product is listed if it is out of stock, at its reorder point or below its safety stock, or if its stock lasts no
    longer than the lead time of its preferred vendor and two weeks. Discontinued products, and products without an
    active vendor, are not listed; inventory_status has all products.

    Every active vendor of a product has a row, for comparison: order from one of them. preferred marks the one that
    inventory_status suggests. All rows of a product have the same needed_pieces, which covers the lead time of the
    preferred vendor.

    The last price is that of the last receipt, or the vendor's standard price if there was none; it is per unit of
    order_unit, and so are the smallest, the largest and the proposed order. The source does not say how many pieces a
    case, a container, a canister, a gallon or a pack holds: order_pieces is empty for them, and order_quantity is what
    is needed at one piece per unit. Where the vendor's maximum applies, the need may or may not be covered.

    On order_by the stock lasts exactly for the lead time, at the present velocity and without what is on order. A day
    before as_of means that the order is late.
    """

    product_id: Int = described("Product to order")
    vendor_id: Int = described("Active vendor of the product")
    as_of: Date = described("Business date up to which use and orders are counted")
    product: Text = described("Name of the product")
    vendor: Text = described("Name of the vendor")
    preferred: Bit = described(
        "Whether the vendor has the lowest last price among the active ones; of equally cheap ones, the one with the"
        " better credit rating"
    )
    state: Text = described(STATE, isin=["ok", "low", "reorder", "out"])
    on_hand: BigInt = described("Stock at all locations", unit="pieces")
    days_of_supply: Ratio = described(DAYS_OF_SUPPLY, unit="days", nullable=True)
    lead_time_days: Int = described("Days from order to receipt, on average", unit="days", ge=0)
    order_by: Date = described(
        "Last day to order so that the delivery arrives before the stock is used up, without what is on order; empty if"
        " nothing was used",
        nullable=True,
    )
    on_order: Total = described(ON_ORDER, unit="pieces", ge=0)
    needed_pieces: BigInt = described(
        "Safety stock plus the use during the lead time of the preferred vendor and one week, minus what is on hand and"
        " on order; empty while no month is complete",
        unit="pieces",
        ge=0,
        nullable=True,
    )
    order_unit: Text = described(ORDER_UNIT)
    minimum_order: Int = described("Smallest order that the vendor accepts", unit="order units", ge=1)
    maximum_order: Int = described("Largest order that the vendor accepts", unit="order units", ge=1)
    order_quantity: BigInt = described(
        "Quantity to order: what is needed, in the vendor's unit and within the vendor's limits; empty if unknown",
        unit="order units",
        ge=0,
        nullable=True,
    )
    order_pieces: BigInt = described(ORDER_PIECES, unit="pieces", ge=0, nullable=True)
    limited_by: Text = described(LIMITED_BY, isin=LIMITS, nullable=True)
    last_price: Money = described("Price of the last receipt; the standard price if there was none", gt=0)
    amount: Total = described("Quantity to order × last price; empty if the quantity is unknown", ge=0, nullable=True)
    rejected_share: Ratio = described(
        "Rejected pieces divided by received pieces of the product from the vendor, in the orders of the last twelve"
        " months; empty if none were received",
        unit="share",
        ge=0,
        le=1,
        nullable=True,
    )

    @rule
    def amount_is_quantity_times_price(cls):
        """Amount = order_quantity × last_price."""
        return pl.col("amount").eq_missing((pl.col("order_quantity") * pl.col("last_price")).cast(pl.Decimal(38, 4)))

    @rule
    def pieces_are_known_of_pieces_and_dozens(cls):
        """order_pieces = order_quantity × 1 (EA) or 12 (DZ), NULL for any other unit."""
        return _pieces("order_quantity").eq_missing(pl.col("order_pieces"))

    class Config:
        """The key."""

        name = "purchase_proposal"
        metadata = {"version": "1.0"}
        unique = ["product_id", "vendor_id"]


class ProductPerformance(MartTable):
    """One month and product with at least one sale.

    The classes follow from the twelve booking months that end with the month or, if it is not complete in every
    channel, with the newest complete one of the three before it. abc_class depends on the share of their revenue that
    the better products make up together: A while it is below 80 %, B below 95 %, then C. A product without revenue in
    these months is C. xyz_class is the coefficient of variation of the units per month, from the sample standard
    deviation, in which a month without sales of the product counts as 0: X up to 0.5, Y up to 1, then Z.

    average_price is the average price paid per unit, list_price the list price on the last day of the month; resellers
    pay less than the list price, so the difference is not a discount. A partial month ranks the sales so far.
    """

    month: Date = described("First day of the month")
    product_id: Int = described("Product sold")
    product: Text = described("Name of the product")
    category: Text = described("Category of the product; Unassigned: no category")
    subcategory: Text = described("Subcategory of the product; Unassigned: no subcategory")
    units: BigInt = described("Units sold", unit="pieces", gt=0)
    revenue: LineAmount = described(REVENUE, ge=0)
    cogs: Total = described(COGS, ge=0)
    profit: LineAmount = described(PROFIT)
    margin: Ratio = described(MARGIN, unit="ratio", le=1, nullable=True)
    average_price: Ratio = described("Revenue divided by units", unit="USD", ge=0)
    list_price: Money = described(
        "List price on the last day of the month; empty if none was valid", ge=0, nullable=True
    )
    discount_rate: Ratio = described(
        "Discount divided by gross amount; empty without a gross amount", unit="share", ge=0, le=1, nullable=True
    )
    abc_class: Text = described(
        "A: the products that make up the first 80 % of the revenue of twelve months; B: the next 15 %; C: the rest",
        isin=["A", "B", "C"],
    )
    xyz_class: Text = described(
        "Units per month over the same twelve months (X: steady; Y: varying; Z: irregular); empty unless the company"
        " sold something in each of these months, or if the product had no sales in them",
        isin=["X", "Y", "Z"],
        nullable=True,
    )
    rank: BigInt = described("Rank in the month by revenue, ties by product_id; 1 is best", unit="ordinal", gt=0)
    is_partial: Bit = described(IS_PARTIAL)

    @rule
    def profit_is_revenue_less_cost(cls):
        """Profit = revenue - cogs."""
        return pl.col("profit") == pl.col("revenue") - pl.col("cogs").cast(pl.Decimal(38, 6))

    class Config:
        """The key."""

        name = "product_performance"
        metadata = {"version": "1.1"}
        unique = ["month", "product_id"]


class ProductAffinity(MartTable):
    """One channel and pair of products that at least 20 orders of the last twelve months contain together.

    The months are the channel's last twelve complete booking months. A pair is listed once; the product with the
    smaller number comes first. The lift compares the orders with both products with the number to be expected if the
    two were bought independently. Its lower bound comes from a normal approximation of its logarithm, pair by pair: of
    many pairs without a connection, 2.5 % have a bound above 1 by chance.

    A lift above 1 does not say why. Resellers order many products at once, and products that were on sale in the same
    months, or fit the same bike, are found in the same orders.
    """

    product_id: Int = described("First product of the pair")
    other_product_id: Int = described("Second product of the pair; its number is greater")
    channel: Text = described(CHANNEL, isin=CHANNELS)
    product: Text = described("Name of the first product")
    other_product: Text = described("Name of the second product")
    orders_together: BigInt = described("Number of orders with both products", ge=20)
    support: Statistic = described(
        "Orders with both products divided by all orders of the channel", unit="share", gt=0, le=1
    )
    confidence: Statistic = described(
        "Share of the orders with the first product that contain the second one, too", unit="share", gt=0, le=1
    )
    other_confidence: Statistic = described(
        "Share of the orders with the second product that contain the first one, too", unit="share", gt=0, le=1
    )
    lift: Statistic = described(
        "Orders with both products divided by the number to be expected if they were bought independently; above 1"
        " they are bought together more often",
        unit="ratio",
        gt=0,
    )
    lift_lower_95: Statistic = described(
        "Lower bound of the 95 % interval of the lift; above 1, chance is an unlikely explanation", unit="ratio", gt=0
    )
    last_month: Date = described("First day of the last of the twelve months")

    @rule
    def the_product_with_the_smaller_number_comes_first(cls):
        """product_id < other_product_id."""
        return pl.col("product_id") < pl.col("other_product_id")

    @rule
    def the_bound_is_below_the_lift(cls):
        """lift_lower_95 <= lift."""
        return pl.col("lift_lower_95") <= pl.col("lift")

    class Config:
        """The key."""

        name = "product_affinity"
        metadata = {"version": "2.0"}
        unique = ["product_id", "other_product_id", "channel"]


class ProductionCosts(MartTable):
    """One month (in which work orders started) and product with at least one work order.

    Routing costs are those of the routed work orders of the cell. Many work orders have no routing, so their cost is
    unknown: the figures are NULL if no order of the cell is routed, and unrouted_orders is the number of orders that
    are missing. The actual cost and the variance are also NULL while an operation of the cell has no actual cost yet.

    In the source's history the actual cost of every operation equals the planned one, so a variance of 0 is not
    meaningful.

    An order is late if it ended after its due date; an order without an end is not counted as late.

    Most scrapped parts have a standard cost of 0 in the source, so read scrap_cost together with scrap_cost_coverage.
    """

    month: Date = described("First day of the month in which the work orders started")
    product_id: Int = described("Product made")
    work_orders: BigInt = described("Number of work orders", gt=0)
    ordered: BigInt = described("Pieces ordered", unit="pieces", gt=0)
    stocked: BigInt = described("Pieces that passed inspection", unit="pieces", ge=0)
    scrapped: BigInt = described("Pieces that failed inspection", unit="pieces", ge=0)
    scrap_rate: Ratio = described("Scrapped pieces divided by ordered pieces", unit="share", ge=0, le=1)
    scrap_cost: Total = described(
        "Scrapped pieces × standard cost on the start day of the work order; read it together with scrap_cost_coverage",
        ge=0,
    )
    routing_cost_planned: Total = described(
        "Planned cost of the operations of the work orders with a routing; empty if none has one, which means"
        " unknown, not zero",
        ge=0,
        nullable=True,
    )
    routing_cost_actual: Total = described(
        "Actual cost of these operations; empty if no order has a routing, or one operation has no actual cost yet",
        ge=0,
        nullable=True,
    )
    variance: Total = described("Actual cost minus planned cost; empty if one of them is unknown", nullable=True)
    late_orders: BigInt = described("Number of work orders that ended after their due date", ge=0)
    unrouted_orders: BigInt = described("Number of work orders without a routing, whose cost is unknown", ge=0)
    scrap_cost_coverage: Ratio = described(
        "Share of the scrapped pieces with a standard cost above 0; empty without scrap",
        unit="share",
        ge=0,
        le=1,
        nullable=True,
    )

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
        metadata = {"version": "1.1"}
        unique = ["month", "product_id"]


class LateWorkOrders(MartTable):
    """One month (in which work orders started), location and product with at least one operation.

    An operation is a step of a work order at a location. Only routed work orders have operations; a work order without
    a routing is in production_costs only. An operation is late if it ended on a later day than scheduled. An operation
    without an end is not counted as late, so the delays of a month are final only once none is unfinished.

    In the source's history all operations of a work order have the same scheduled and actual dates. The figures of a
    location therefore show which late orders it worked on, not where the time was lost.

    The source plans an operation by its cost, so hours_planned is the planned cost divided by the hourly rate that the
    location has now. In the source's history the hours worked equal the planned ones, so a difference of 0 is not
    meaningful.
    """

    month: Date = described("First day of the month in which the work orders started")
    location_id: SmallInt = described("Location of the operations")
    product_id: Int = described("Product made")
    location: Text = described("Name of the location")
    operations: BigInt = described("Number of operations of routed work orders", gt=0)
    late: BigInt = described("Number of operations that ended on a later day than scheduled", ge=0)
    unfinished: BigInt = described("Number of operations that have not ended yet", ge=0)
    late_share: Ratio = described("Operations that ended late divided by all operations", unit="share", ge=0, le=1)
    mean_days_late: Ratio = described(
        "Average delay of the late operations; empty if none is late", unit="days", ge=1, nullable=True
    )
    hours_planned: Ratio = described(
        "Planned cost of the operations divided by the current hourly rate of the location; empty if the rate is 0",
        unit="hours",
        ge=0,
        nullable=True,
    )
    hours_actual: Total = described(
        "Hours worked on the operations; empty while one of them has none yet", unit="hours", ge=0, nullable=True
    )

    @rule
    def days_are_known_exactly_where_operations_are_late(cls):
        """mean_days_late IS NULL exactly where late = 0."""
        return pl.col("mean_days_late").is_null() == (pl.col("late") == 0)

    class Config:
        """The key."""

        name = "late_work_orders"
        metadata = {"version": "1.0"}
        unique = ["month", "location_id", "product_id"]


class BillOfMaterialsCost(MartTable):
    """One assembly that has a bill of materials valid at as_of.

    Check cost_coverage before using material_cost: most raw parts have a standard cost of 0 in the source, so the
    material cost of an assembly is understated if the coverage is below 1, and must not be compared with standard_cost.

    A leaf is a component without a valid bill of its own, whether bought or made. Quantities of a bill are as given, a
    few in inches or ounces, while a standard cost is that of one piece.

    routing_cost covers only the assembly's own operations, not those of its parts: the planned cost of all routed work
    orders up to as_of over the pieces they ordered. The source plans an operation at the same cost whether an order is
    for one piece or for a thousand; routing_cost_per_order is that cost, and the cost of a single piece ordered alone.

    An assembly that contains itself, directly or through others, is refused: then nothing of the mart is published, and
    the broken rule shows the path of products.
    """

    product_id: Int = described("Assembly")
    as_of: Date = described("Business date on which the bills and costs are valid")
    product: Text = described("Name of the assembly")
    material_cost: Total = described(
        "Quantity × standard cost of all leaves in the bill of materials, for one piece; read it together"
        " with cost_coverage",
        ge=0,
    )
    routing_cost: Ratio = described(
        "Planned cost per piece of the assembly's own operations; empty if no work order has a routing",
        unit="USD",
        ge=0,
        nullable=True,
    )
    routing_cost_per_order: Ratio = described(
        "Planned cost per work order of the assembly's own operations; empty if no work order has a routing",
        unit="USD",
        ge=0,
        nullable=True,
    )
    standard_cost: Money = described("Standard cost of the assembly as given by the source", ge=0)
    leaves: BigInt = described("Number of distinct leaves: components without a bill of materials of their own", ge=0)
    leaves_with_cost: BigInt = described("Number of distinct leaves with a standard cost above 0", ge=0)
    cost_coverage: Ratio = described(
        "Share of the distinct leaves with a standard cost above 0; empty without leaves",
        unit="share",
        ge=0,
        le=1,
        nullable=True,
    )
    levels: Int = described("Levels of components below the assembly", gt=0)
    own_part_path: Text = described(
        "Product ids on the path from the assembly to itself; always empty in a published version", nullable=True
    )

    class Config:
        """The key."""

        name = "bill_of_materials_cost"
        metadata = {"version": "1.0"}
        unique = ["product_id"]
