"""Which months have something new to report.

A monthly analysis is started once for each of them. That is only an alarm clock, as any event is: what a run computes
is planned from the versions, and what it delivers is compared with what was delivered.
"""

from __future__ import annotations

from adventureworks.catalog import ANALYSES
from adventureworks.due import Plan
from adventureworks.marts.plan import plan_now
from adventureworks.reports.delivery import months_not_delivered, months_without_control
from adventureworks.reports.month import shows
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse
from adventureworks.warehouse.postgres import Connection

_ALL_MONTHS = """
    select to_char(month, 'YYYY-MM') from staging.sales_month
    union select to_char(month, 'YYYY-MM') from marts.monthly_profit
"""


def months_due(settings: Settings) -> tuple[str, ...]:
    """The months ('YYYY-MM', oldest first) whose reports show something new; none while their analysis has to wait.

    That is each month to compute anew, and those that are compared with it, sum it up or chart it.
    """
    with open_warehouse(settings).connect("months due") as connection:
        layout.prepare(connection)
        months: set[str] = set()
        for dag, analysis in ANALYSES.items():
            if analysis.monthly:
                months |= _months(connection, plan_now(settings, connection, dag))
    return tuple(sorted(months))


def _months(connection: Connection, step: object) -> set[str]:
    if not isinstance(step, Plan):
        return set()
    known = {row[0] for row in connection.execute(_ALL_MONTHS).fetchall()}
    if None in step.months.values():
        return known
    changed = {month for months in step.months.values() for month in months or ()}
    readers = {month for month in known if shows(month, changed)}
    return changed | readers | set(months_without_control(connection)) | months_not_delivered(connection)
