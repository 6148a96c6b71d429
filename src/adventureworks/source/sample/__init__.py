"""A company that never was: all 71 tables, generated, and business that goes on.

`generate` makes the tables; each domain has a module, and all of them draw chance from `draw` and build columns with
`build`. `simulate` lets days pass in a database.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from adventureworks.source.sample import (
    assembly,
    catalogue,
    customers,
    ledger,
    offers,
    orders,
    people,
    places,
    production,
    products,
    purchasing,
    rates,
    salesforce,
    staff,
    system,
)
from adventureworks.source.sample.business.days import simulate
from adventureworks.source.sample.homes import homes
from adventureworks.source.sample.world import Company

__all__ = ["generate", "simulate"]


def generate(scale: float = 1.0, seed: int = 1) -> Iterator[tuple[str, pa.Table]]:
    """All 71 tables as (asset name, Arrow table with the contract's columns and types), parents before children.

    Scale 1 has the size of the real company, about 760,000 rows; code tables and the range of products have the same
    size at every scale. The same scale and seed give the same data everywhere. Raises ValueError for a scale of 0 or
    less.
    """
    if scale <= 0:
        raise ValueError(f"The scale is {scale}; it must be above 0.")
    company = Company(scale, seed)
    who = company.entities()
    goods = products.line_up(company)
    buyers = customers.customers(company, who)
    money = rates.exchange(company)
    sold = orders.orders(company, goods, buyers)
    made = production.work_orders(company, goods)
    terms = purchasing.terms(company, goods)
    bought = purchasing.purchases(company, terms)
    first_days = sold.first_days(len(buyers.ids))
    web = first_days[buyers.first_buyer : buyers.first_reseller]
    crowd = people.persons(company, who, staff.recorded(company, who, web))
    living = homes(company, who, buyers, crowd)

    yield from system.tables()
    yield from places.tables(company)
    yield salesforce.territory_table(company, sold)
    yield from places.states_and_taxes(company)
    yield people.entity_table(company, who, crowd)
    yield from people.tables(company, who, crowd, web)
    yield from living.tables(company)
    yield from staff.tables(company, crowd)
    yield from catalogue.before_products(company)
    yield from products.tables(company, goods)
    yield from catalogue.tables(company, goods)
    yield assembly.bill_table(company, goods)
    yield from production.tables(company, goods, made)
    yield from purchasing.before_orders(company)
    yield from purchasing.tables(company, goods, who, terms, bought)
    yield from salesforce.tables(company, sold)
    yield from customers.tables(company, who, buyers)
    yield from customers.cards(company, buyers, first_days)
    yield rates.rate_table(money)
    yield from offers.tables(company, goods)
    yield from orders.tables(company, goods, buyers, sold, money, living.of_customer)
    yield from ledger.tables(goods, sold, bought, made)
    yield ledger.carts(goods)
