"""No cell that `customer_demographics` leaves out follows from those that it publishes, on the real data."""

from collections import defaultdict

import duckdb
import numpy as np
import pytest

from adventureworks.catalog import MARTS
from tests.acceptance.reference import reference_of

PERSONS = (
    *("YearlyIncome", "Education", "Occupation", "MaritalStatus", "Gender", "CommuteDistance", "HomeOwnerFlag"),
    *("TotalChildren", "NumberChildrenAtHome", "NumberCarsOwned"),
)
STORES = ("BusinessType", "Specialty", "Brands", "Internet", "BankName")
MIN_CUSTOMERS = 5

Cells = dict[tuple[str, str], set[int]]
"""The customers of each answer, by question and answer."""


@pytest.fixture(scope="module")
def answers(files: duckdb.DuckDBPyConnection) -> dict[int, Cells]:
    """All cells by territory, whether they are published or not."""
    query = reference_of(MARTS["customer_demographics"]).select
    steps = query[: query.index("biker as (")].rstrip().removesuffix(",")
    rows = files.sql(
        f"{steps} select territory_id, attribute, raw_answer, customer_id from said join bought using (customer_id)"
        " where raw_answer <> ''"
    ).fetchall()
    found: dict[int, Cells] = defaultdict(lambda: defaultdict(set))
    for territory, question, answer, customer in rows:
        found[territory][question, answer].add(customer)
    return found


@pytest.fixture(scope="module")
def published(files: duckdb.DuckDBPyConnection) -> set[tuple[int, str, str]]:
    """The territory, question and answer of each published cell."""
    query = reference_of(MARTS["customer_demographics"]).select
    rows = files.sql(f"select territory_id, attribute, band from ({query})").fetchall()
    escaped = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return {(territory, question, answer.translate(str.maketrans(escaped))) for territory, question, answer in rows}


@pytest.mark.parametrize("questions", [PERSONS, STORES], ids=["persons", "stores"])
def test_no_small_cell_is_a_sum_or_difference_of_published_cells(
    answers: dict[int, Cells], published: set[tuple[int, str, str]], questions: tuple[str, ...]
) -> None:
    """The total of a territory is known, too: from a question all of whose answers are published, or from other marts.

    A cell follows from others for certain if its customers, as a vector of zeros and ones, depend on theirs linearly.
    """
    small = []
    for territory, all_cells in answers.items():
        cells = {key: customers for key, customers in all_cells.items() if key[0] in questions}
        everybody = sorted(set().union(*cells.values()))
        known = [np.isin(everybody, everybody)]
        known += [np.isin(everybody, [*cells[key]]) for key in cells if (territory, *key) in published]
        rank = np.linalg.matrix_rank(np.array(known, dtype=float))
        small += [
            (territory, key)
            for key, customers in cells.items()
            if len(customers) < MIN_CUSTOMERS
            and np.linalg.matrix_rank(np.array([*known, np.isin(everybody, [*customers])], dtype=float)) == rank
        ]
    assert small == []
