"""A day in the plant and in purchasing: work orders end and start; purchases are received, approved and placed."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from adventureworks_sample.business.journal import Dice, Journal, Row, money, ten_thousandths
from adventureworks_sample.business.stock import Movement, adjust_stock, record

_DAYS_TO_MAKE = 10
_MAX_PER_DAY = 25
_WORKING_DAYS = 22
_LARGEST_ORDER = 4_000


def work_orders(journal: Journal) -> None:
    """Finish work orders that are ten days old, and start about as many as on a recent working day."""
    if journal.is_working_day:
        _finish(journal)
        _begin(journal)


def _finish(journal: Journal) -> None:
    dice = journal.dice("finish")
    open_orders = journal.rows(
        'select "WorkOrderID" as id, "ProductID" as product, "OrderQty" as quantity from "Production"."WorkOrder" '
        'where "EndDate" is null and "StartDate" <= %s order by 1',
        journal.days_ago(_DAYS_TO_MAKE),
    )
    reasons = journal.rows('select "ScrapReasonID" as id from "Production"."ScrapReason" order by 1')
    made: defaultdict[int, int] = defaultdict(int)
    changes = []
    for row in open_orders:
        scrapped = min(dice.between(1, 1 + row["quantity"] // 50), 600) if reasons and dice.chance(100) else 0
        scrapped = min(scrapped, row["quantity"])
        values = {
            "EndDate": journal.midnight,
            "StockedQty": row["quantity"] - scrapped,
            "ScrappedQty": scrapped,
            "ScrapReasonID": dice.one_of(reasons)["id"] if scrapped else None,
        }
        changes.append(({"WorkOrderID": row["id"]}, values))
        made[row["product"]] += row["quantity"] - scrapped
    journal.update("Production_WorkOrder", changes)
    _finish_routing(journal, dice, [row["id"] for row in open_orders])
    adjust_stock(journal, dict(made))


def _finish_routing(journal: Journal, dice: Dice, orders: list[int]) -> None:
    operations = journal.rows(
        'select r."WorkOrderID", r."ProductID", r."OperationSequence", r."ScheduledStartDate" as start, '
        'r."PlannedCost" as planned, l."CostRate" as rate from "Production"."WorkOrderRouting" r '
        'join "Production"."Location" l using ("LocationID") where r."WorkOrderID" = any(%s) order by 1, 3',
        orders,
    )
    changes = []
    for row in operations:
        hours = ten_thousandths(row["planned"]) * 10_000 // max(ten_thousandths(row["rate"]), 1)
        if dice.chance(1_000):
            hours = hours * dice.between(85, 120) // 100
        cost = hours * ten_thousandths(row["rate"]) // 10_000
        key = {name: row[name] for name in ("WorkOrderID", "ProductID", "OperationSequence")}
        changes.append(
            (
                key,
                {
                    "ActualStartDate": row["start"],
                    "ActualEndDate": journal.midnight,
                    "ActualResourceHrs": money(hours),
                    "ActualCost": money(max(cost, 1)),
                },
            )
        )
    journal.update("Production_WorkOrderRouting", changes)


def _begin(journal: Journal) -> None:
    dice = journal.dice("begin")
    newest = journal.value('select max("StartDate") from "Production"."WorkOrder"')
    if newest is None:
        return
    lately = journal.rows(
        'select "ProductID" as product, "OrderQty" as quantity from "Production"."WorkOrder" '
        'where "StartDate" > %s order by "WorkOrderID"',
        newest - timedelta(days=30),
    )
    orders, movements = [], []
    for template in (dice.one_of(lately) for _ in range(max(_per_working_day(dice, len(lately)), 1))):
        number = journal.next_id("Production_WorkOrder", "WorkOrderID")
        quantity = max(template["quantity"] * dice.between(80, 120) // 100, 1)
        orders.append(
            {
                "WorkOrderID": number,
                "ProductID": template["product"],
                "OrderQty": quantity,
                "StockedQty": quantity,
                "ScrappedQty": 0,
                "StartDate": journal.midnight,
                "EndDate": None,
                "DueDate": journal.midnight + timedelta(days=11),
                "ScrapReasonID": None,
            }
        )
        movements.append(Movement("W", template["product"], number, 0, quantity, Decimal(0)))
    journal.insert("Production_WorkOrder", orders)
    _plan_routing(journal, orders)
    record(journal, movements)


def _plan_routing(journal: Journal, orders: list[Row]) -> None:
    """Plan the same operations as in the last routed work order of the product."""
    steps = journal.rows(
        'select r."ProductID" as product, r."OperationSequence" as step, r."LocationID" as place, '
        'r."PlannedCost" as planned from "Production"."WorkOrderRouting" r join (select "ProductID", '
        'max("WorkOrderID") as last from "Production"."WorkOrderRouting" where "ProductID" = any(%s) '
        'group by 1) l on l."ProductID" = r."ProductID" and l.last = r."WorkOrderID" order by 1, 2',
        sorted({order["ProductID"] for order in orders}),
    )
    journal.insert(
        "Production_WorkOrderRouting",
        [
            {
                "WorkOrderID": order["WorkOrderID"],
                "ProductID": order["ProductID"],
                "OperationSequence": step["step"],
                "LocationID": step["place"],
                "ScheduledStartDate": order["StartDate"],
                "ScheduledEndDate": order["DueDate"],
                "ActualStartDate": None,
                "ActualEndDate": None,
                "ActualResourceHrs": None,
                "PlannedCost": step["planned"],
                "ActualCost": None,
            }
            for order in orders
            for step in steps
            if step["product"] == order["ProductID"]
        ],
    )


def purchases(journal: Journal) -> None:
    """Receive goods, approve or reject purchase orders, and place new ones."""
    if journal.is_working_day:
        _receive(journal)
        _approve(journal)
        _place(journal)


def _receive(journal: Journal) -> None:
    dice = journal.dice("receive")
    due = journal.rows(
        'select "PurchaseOrderID" as id, "VendorID" as vendor from "Purchasing"."PurchaseOrderHeader" '
        'where "Status" = 2 and "OrderDate" between %s and %s order by 1 limit %s',
        journal.days_ago(60),
        journal.days_ago(9),
        _MAX_PER_DAY,
    )
    vendors = {row["id"]: row["vendor"] for row in due}
    lines = journal.rows(
        'select "PurchaseOrderID", "PurchaseOrderDetailID", "ProductID" as product, "OrderQty" as quantity, '
        '"UnitPrice" as price from "Purchasing"."PurchaseOrderDetail" where "PurchaseOrderID" = any(%s) order by 1, 2',
        sorted(vendors),
    )
    pieces: defaultdict[int, int] = defaultdict(int)
    changes, terms = [], {}
    for line in lines:
        received = line["quantity"] if dice.chance(9_300) else line["quantity"] * dice.between(50, 99) // 100
        rejected = received * dice.between(1, 50) // 100 if dice.chance(250) else 0
        key = {name: line[name] for name in ("PurchaseOrderID", "PurchaseOrderDetailID")}
        stocked = received - rejected
        changes.append((key, {"ReceivedQty": received, "RejectedQty": rejected, "StockedQty": stocked}))
        pieces[line["product"]] += stocked
        terms[line["product"], vendors[line["PurchaseOrderID"]]] = line["price"]
    journal.update("Purchasing_PurchaseOrderDetail", changes)
    journal.update(
        "Purchasing_PurchaseOrderHeader",
        [({"PurchaseOrderID": row["id"]}, {"Status": 4, "ShipDate": journal.midnight}) for row in due],
    )
    journal.update(
        "Purchasing_ProductVendor",
        [
            (
                {"ProductID": product, "BusinessEntityID": vendor},
                {"LastReceiptCost": price, "LastReceiptDate": journal.midnight, "OnOrderQty": None},
            )
            for (product, vendor), price in terms.items()
            if price > 0
        ],
    )
    adjust_stock(journal, dict(pieces))


def _approve(journal: Journal) -> None:
    dice = journal.dice("approve")
    pending = journal.rows(
        'select "PurchaseOrderID" as id from "Purchasing"."PurchaseOrderHeader" where "Status" = 1 '
        'and "OrderDate" between %s and %s order by 1 limit %s',
        journal.days_ago(30),
        journal.days_ago(2),
        _MAX_PER_DAY,
    )
    decided = [({"PurchaseOrderID": row["id"]}, {"Status": 3 if dice.chance(200) else 2}) for row in pending]
    journal.update("Purchasing_PurchaseOrderHeader", decided)


def _place(journal: Journal) -> None:
    dice = journal.dice("place")
    recent = journal.value(
        'select count(*) from "Purchasing"."PurchaseOrderHeader" where "OrderDate" > (select max("OrderDate") '
        'from "Purchasing"."PurchaseOrderHeader") - interval \'30 days\''
    )
    terms = journal.rows(
        'select t."ProductID" as product, t."BusinessEntityID" as vendor, coalesce(t."LastReceiptCost", '
        't."StandardPrice") as price, t."MinOrderQty" as least, coalesce(t."OnOrderQty", 0) as on_order '
        'from "Purchasing"."ProductVendor" t join "Purchasing"."Vendor" v on '
        'v."BusinessEntityID" = t."BusinessEntityID" where v."ActiveFlag" order by 2, 1'
    )
    staff = journal.rows('select distinct "EmployeeID" as id from "Purchasing"."PurchaseOrderHeader" order by 1')
    shippers = journal.rows('select "ShipMethodID" as id from "Purchasing"."ShipMethod" order by 1')
    if not (terms and staff and shippers):
        return
    vendors = sorted({row["vendor"] for row in terms})
    wanted: dict[tuple[int, int], int] = {}
    for _ in range(min(max(_per_working_day(dice, recent), 1), _MAX_PER_DAY)):
        vendor = dice.one_of(vendors)
        chosen = dice.some_of([row for row in terms if row["vendor"] == vendor], dice.between(1, 4))
        buyer, shipper = dice.one_of(staff)["id"], dice.one_of(shippers)["id"]
        _place_order(journal, dice, {"EmployeeID": buyer, "VendorID": vendor, "ShipMethodID": shipper}, chosen)
        for row in chosen:
            place = (row["product"], vendor)
            wanted.setdefault(place, row["on_order"])
            wanted[place] += _usual_quantity(row)
    journal.update(
        "Purchasing_ProductVendor",
        [
            ({"ProductID": product, "BusinessEntityID": vendor}, {"OnOrderQty": quantity})
            for (product, vendor), quantity in wanted.items()
        ],
    )


def _per_working_day(dice: Dice, per_month: int) -> int:
    """Return the number per working day, rounded up or down at random so that the monthly number stays the same."""
    return (per_month + dice.below(_WORKING_DAYS)) // _WORKING_DAYS


def _usual_quantity(terms: Row) -> int:
    """Return three times the vendor's smallest order, within limits."""
    return int(min(max(terms["least"] * 3, 3), _LARGEST_ORDER))


def _place_order(journal: Journal, dice: Dice, parties: Row, chosen: list[Row]) -> None:
    """Insert one purchase order with its lines."""
    number = journal.next_id("Purchasing_PurchaseOrderHeader", "PurchaseOrderID")
    lines, movements = [], []
    for place, row in enumerate(chosen, start=1):
        quantity = _usual_quantity(row)
        lines.append(
            {
                "PurchaseOrderID": number,
                "PurchaseOrderDetailID": journal.next_id("Purchasing_PurchaseOrderDetail", "PurchaseOrderDetailID"),
                "DueDate": journal.midnight + timedelta(days=14),
                "OrderQty": quantity,
                "ProductID": row["product"],
                "UnitPrice": row["price"],
                "LineTotal": row["price"] * quantity,
                "ReceivedQty": 0,
                "RejectedQty": 0,
                "StockedQty": 0,
            }
        )
        movements.append(Movement("P", row["product"], number, place, quantity, row["price"]))
    subtotal = sum(ten_thousandths(line["LineTotal"]) for line in lines)
    tax, freight = subtotal * 8 // 100, subtotal * 25 // 1_000
    head = {
        "PurchaseOrderID": number,
        "RevisionNumber": 1,
        "Status": 2 if dice.chance(5_000) else 1,
        **parties,
        "OrderDate": journal.midnight,
        "ShipDate": None,
        "SubTotal": money(subtotal),
        "TaxAmt": money(tax),
        "Freight": money(freight),
        "TotalDue": money(subtotal + tax + freight),
    }
    journal.insert("Purchasing_PurchaseOrderHeader", [head])
    journal.insert("Purchasing_PurchaseOrderDetail", lines)
    record(journal, movements)
