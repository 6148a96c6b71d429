"""Employees: the organization tree, departments, shifts, pay, and job candidates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from typing import NamedTuple

import numpy as np

from adventureworks_sample.build import Days, NamedTable, day, digits, joined, null_where, rows, table
from adventureworks_sample.draw import Draw, Integers
from adventureworks_sample.people import Persons
from adventureworks_sample.selling import ASSIGNMENTS, FIRST_SELLER, MANAGERS, SELLERS
from adventureworks_sample.world import EMPLOYEES, SET_UP, Company, Entities

_DEPARTMENTS = (
    ("Engineering", "Research and Development"),
    ("Tool Making", "Research and Development"),
    ("Sales", "Market"),
    ("Marketing", "Market"),
    ("Purchasing", "Goods"),
    ("Research", "Research and Development"),
    ("Production", "Plant"),
    ("Planning", "Plant"),
    ("Personnel", "Administration"),
    ("Finance", "Administration"),
    ("Information Services", "Administration"),
    ("Records", "Quality"),
    ("Inspection", "Quality"),
    ("Facilities", "Administration"),
    ("Shipping and Receiving", "Goods"),
    ("Management", "Administration"),
)


class Role(NamedTuple):
    """A job title, and the number of employees who hold it. `cents` is the hourly pay."""

    title: str
    above: str | None
    holders: int
    department: int
    cents: int
    by_shift: bool = False


_ROLES: tuple[Role, ...] = (
    Role("Chief Executive", None, 1, 16, 12_550),
    Role("Head of Engineering", "Chief Executive", 1, 1, 6_300),
    Role("Head of Production", "Chief Executive", 1, 7, 8_400),
    Role("Head of Finance", "Chief Executive", 1, 10, 6_000),
    Role("Head of Sales", "Chief Executive", 1, 3, 7_200),
    Role("Head of Information Services", "Chief Executive", 1, 11, 5_000),
    Role("Head of Marketing", "Chief Executive", 1, 4, 3_700),
    Role("Engineering Manager", "Head of Engineering", 1, 1, 4_300),
    Role("Planning Manager", "Head of Production", 1, 8, 2_400),
    Role("Plant Manager", "Head of Production", 1, 7, 4_000),
    Role("Quality Manager", "Head of Production", 1, 13, 2_800),
    Role("Facilities Manager", "Head of Production", 1, 14, 2_400),
    Role("Accounting Manager", "Head of Finance", 1, 10, 3_400),
    Role("Personnel Manager", "Head of Finance", 1, 9, 2_700),
    Role("Purchasing Manager", "Head of Finance", 1, 5, 3_000),
    Role("Network Manager", "Head of Information Services", 1, 11, 3_900),
    Role("Database Administrator", "Head of Information Services", 2, 11, 3_800),
    Role("Application Specialist", "Head of Information Services", 4, 11, 2_700),
    Role("Marketing Specialist", "Head of Marketing", 5, 4, 1_400),
    Role("Marketing Assistant", "Head of Marketing", 3, 4, 1_300),
    Role("Design Engineer", "Engineering Manager", 6, 1, 3_300),
    Role("Tool Designer", "Engineering Manager", 4, 2, 2_500),
    Role("Research Engineer", "Engineering Manager", 4, 6, 4_100),
    Role("Scheduler", "Planning Manager", 5, 8, 1_600),
    Role("Shift Supervisor", "Plant Manager", 21, 7, 2_500, by_shift=True),
    Role("Quality Supervisor", "Quality Manager", 2, 13, 2_100),
    Role("Records Keeper", "Quality Manager", 3, 12, 1_050),
    Role("Maintenance Supervisor", "Facilities Manager", 1, 14, 2_050),
    Role("Shipping Supervisor", "Facilities Manager", 1, 15, 1_900),
    Role("Accountant", "Accounting Manager", 7, 10, 2_600),
    Role("Personnel Officer", "Personnel Manager", 5, 9, 1_800),
    Role("Buyer", "Purchasing Manager", 12, 5, 1_800),
    Role("Network Administrator", "Network Manager", 2, 11, 3_200),
    Role("Technician", "Shift Supervisor", 156, 7, 1_250, by_shift=True),
    Role("Inspector", "Quality Supervisor", 4, 13, 1_050),
    Role("Janitor", "Maintenance Supervisor", 4, 14, 925),
    Role("Stocker", "Shipping Supervisor", 4, 15, 900),
    Role("Shipping Clerk", "Shipping Supervisor", 2, 15, 950),
)
_SALES_MANAGER = Role("Sales Manager", "Head of Sales", 3, 3, 4_800)
_SALES_PERSON = Role("Sales Person", "Sales Manager", 14, 3, 2_300)
_RESUME = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works/Resume"


def _roles_by_employee() -> list[Role]:
    """Return the role of each employee, in the order of BusinessEntityID; sales persons come last."""
    inside = [role for role in _ROLES for _ in range(role.holders)]
    outside = [_SALES_MANAGER if seller in MANAGERS else _SALES_PERSON for seller in range(SELLERS)]
    return inside + outside


def holders(title: str) -> Integers:
    """Return the BusinessEntityIDs of the employees with a job title."""
    return np.flatnonzero([role.title == title for role in _roles_by_employee()]) + 1


def hire_days(company: Company) -> Days:
    """Return the hire date of each employee; for sales persons, a week before their first assignment."""
    draw = Draw(company.seed, "hire days")
    days = day("2006-06-30") + draw.below(EMPLOYEES, 1_400)
    came = [
        min(day(assignment.start) for assignment in ASSIGNMENTS if assignment.person == seller)
        for seller in range(SELLERS)
    ]
    days[FIRST_SELLER - 1 :] = np.array(came) - np.timedelta64(7, "D")
    return days


def entry_days(company: Company, entities: Entities, first_orders: Days) -> Days:
    """Return the day on which each person was recorded, in the order of `entities.persons()`.

    A week before the hire date for employees, the day of the first order for web shop customers, any day for contacts.
    """
    met = len(entities.contacts) + len(entities.vendor_contacts) + len(entities.general)
    draw = Draw(company.seed, "recorded")
    return np.r_[hire_days(company) - np.timedelta64(7, "D"), day("2011-04-25") + draw.below(met, 1_100), first_orders]


def tables(company: Company, people: Persons) -> Iterator[NamedTable]:
    """Yield the tables of departments, shifts, employees with their histories, and job candidates."""
    yield rows(
        "HumanResources_Department",
        ("DepartmentID", "Name", "GroupName"),
        [(number, name, group) for number, (name, group) in enumerate(_DEPARTMENTS, start=1)],
        ModifiedDate=SET_UP,
    )
    yield rows(
        "HumanResources_Shift",
        ("ShiftID", "Name", "StartTime", "EndTime"),
        [(1, "Morning", time(7), time(15)), (2, "Afternoon", time(15), time(23)), (3, "Night", time(23), time(7))],
        ModifiedDate=SET_UP,
    )
    roles = _roles_by_employee()
    hired = hire_days(company)
    yield _employees(company, people, roles, hired)
    yield _departments(roles, hired)
    yield _pay(company, roles, hired)
    yield _candidates(company)


def _employees(company: Company, people: Persons, roles: list[Role], hired: Days) -> NamedTable:
    draw = Draw(company.seed, "HumanResources_Employee")
    nodes, levels = _tree(roles)
    age_in_days = 7_200 + draw.skewed(EMPLOYEES, 12_000, 1)
    return table(
        "HumanResources_Employee",
        {
            "BusinessEntityID": np.arange(1, EMPLOYEES + 1),
            "NationalIDNumber": digits(100_000_000 + draw.shuffled(900_000)[:EMPLOYEES] * 1_000 + 7),
            "LoginID": joined("adventure-works\\", people.login.slice(0, EMPLOYEES)),
            "OrganizationNode": nodes,
            "OrganizationLevel": levels,
            "JobTitle": [role.title for role in roles],
            "BirthDate": hired - age_in_days,
            "MaritalStatus": np.where(draw.chance(EMPLOYEES, 5_000), "M", "S").tolist(),
            "Gender": np.where(people.female[:EMPLOYEES], "F", "M").tolist(),
            "HireDate": hired,
            "SalariedFlag": [role.cents >= 2_600 for role in roles],
            "VacationHours": draw.below(EMPLOYEES, 100),
            "SickLeaveHours": draw.between(EMPLOYEES, 20, 80),
            "CurrentFlag": True,
            "rowguid": draw.guids(EMPLOYEES),
            "ModifiedDate": day("2014-06-30"),
        },
    )


def _tree(roles: list[Role]) -> tuple[list[str | None], list[int | None]]:
    """Return each employee's hierarchyid, as SQL Server writes it, and its depth; None for the chief executive."""
    paths: list[tuple[int, ...]] = []
    by_title: dict[str, list[tuple[int, ...]]] = {}
    children: dict[tuple[int, ...], int] = {}
    for role in (*roles[: FIRST_SELLER - 1], *(_SALES_MANAGER for _ in MANAGERS), *(_SALES_PERSON for _ in range(14))):
        held = by_title.setdefault(role.title, [])
        if role.above is None:
            held.append(())
        else:
            above = by_title[role.above][len(held) % len(by_title[role.above])]
            children[above] = children.get(above, 0) + 1
            held.append((*above, children[above]))
    turn = {title: iter(found) for title, found in by_title.items()}
    paths = [next(turn[role.title]) for role in roles]
    return [hierarchy_id(path) or None for path in paths], [len(path) or None for path in paths]


def hierarchy_id(path: tuple[int, ...]) -> str:
    """Return the bytes of a hierarchyid in hexadecimal; each step is from 1 to 79. The root is empty."""
    bits = ""
    for step in path:
        if step < 4:
            bits += f"01{step:02b}1"
        elif step < 8:
            bits += f"100{step - 4:02b}1"
        elif step < 16:
            bits += f"101{step - 8:03b}1"
        else:
            high, low = divmod(step - 16, 8)
            bits += f"110{high >> 1:02b}0{high & 1}1{low:03b}1"
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return "".join(f"{int(padded[at : at + 8], 2):02X}" for at in range(0, len(padded), 8))


def _departments(roles: list[Role], hired: Days) -> NamedTable:
    """Return the department of each employee; a few have an earlier one."""
    moved = np.arange(3, 3 + 6 * 35, 35)
    employee = np.r_[np.arange(EMPLOYEES), moved]
    former = np.arange(len(employee)) >= EMPLOYEES
    change = hired[moved] + np.timedelta64(420, "D")
    start = hired.copy()
    start[moved] = change
    department = np.array([role.department for role in roles])
    shift = np.array([1 + place % 3 if role.by_shift else 1 for place, role in enumerate(roles)])
    ends = np.r_[hired, change - np.timedelta64(1, "D")]
    order = np.lexsort((~former, employee))
    starts = np.r_[start, hired[moved]]
    return table(
        "HumanResources_EmployeeDepartmentHistory",
        {
            "BusinessEntityID": employee[order] + 1,
            "DepartmentID": np.where(former, department[employee] % len(_DEPARTMENTS) + 1, department[employee])[order],
            "ShiftID": shift[employee][order],
            "StartDate": starts[order],
            "EndDate": null_where(ends, ~former)[order],
            "ModifiedDate": np.where(former, ends, starts)[order],
        },
    )


def _pay(company: Company, roles: list[Role], hired: Days) -> NamedTable:
    """Return the initial pay of each employee, and two raises for some."""
    draw = Draw(company.seed, "HumanResources_EmployeePayHistory")
    raised = np.sort(draw.shuffled(EMPLOYEES)[:13])
    employee = np.r_[np.arange(EMPLOYEES), raised, raised]
    step = np.r_[np.zeros(EMPLOYEES, dtype=np.int64), np.full(13, 1), np.full(13, 2)]
    order = np.lexsort((step, employee))
    employee, step = employee[order], step[order]
    cents = np.array([role.cents for role in roles])[employee] * (100 + 6 * step) // 100
    changed = hired[employee] + 365 * step
    return table(
        "HumanResources_EmployeePayHistory",
        {
            "BusinessEntityID": employee + 1,
            "RateChangeDate": changed,
            "Rate": cents * 100,
            "PayFrequency": np.where(np.array([role.cents >= 1_300 for role in roles])[employee], 2, 1),
            "ModifiedDate": changed,
        },
    )


def _candidates(company: Company) -> NamedTable:
    draw = Draw(company.seed, "HumanResources_JobCandidate")
    trades = ("welder", "machinist", "bookkeeper", "sales person", "designer")
    resumes = [
        f'<ns:Resume xmlns:ns="{_RESUME}"><ns:Name><ns:Name.First>Applicant</ns:Name.First>'
        f"<ns:Name.Last>Number {number}</ns:Name.Last></ns:Name><ns:Skills>Trained {trades[number % 5]}.</ns:Skills>"
        f"<ns:Employment><ns:Emp.StartDate>{1995 + number}-03-01Z</ns:Emp.StartDate><ns:Emp.JobTitle>"
        f"{trades[number % 5].title()}</ns:Emp.JobTitle></ns:Employment></ns:Resume>"
        for number in range(1, 14)
    ]
    hired = {4: int(FIRST_SELLER), 8: int(holders("Technician")[5])}
    return table(
        "HumanResources_JobCandidate",
        {
            "JobCandidateID": np.arange(1, 14),
            "BusinessEntityID": [hired.get(number) for number in range(1, 14)],
            "Resume": resumes,
            "ModifiedDate": day("2007-06-23") + draw.below(13, 2_300),
        },
    )
