"""A generated company: all 71 source tables, and a simulation of its daily business.

`generate` makes the tables. Each domain has a module; all of them take random numbers from `draw` and build columns
with `build`. `simulate` advances the data in a database day by day.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from adventureworks_sample import (
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
from adventureworks_sample.business.days import simulate
from adventureworks_sample.homes import homes
from adventureworks_sample.world import Company

__all__ = ["generate", "simulate"]


def generate(scale: float = 1.0, seed: int = 1) -> Iterator[tuple[str, pa.Table]]:
    """Yield all 71 tables as (asset name, Arrow table with the contract's columns and types), parents before children.

    Scale 1 is the size of the real company, about 760,000 rows; code tables and the product range have the same size at
    every scale. The same scale and seed produce the same data on every machine. Raises `ValueError` if the scale is not
    above 0.
    """
    if scale <= 0:
        raise ValueError(f"The scale is {scale}; it must be above 0.")
    company = Company(scale, seed)
    entities = company.entities()
    goods = products.line_up(company)
    buyers = customers.customers(company, entities)
    exchange_rates = rates.exchange_rates(company)
    sold = orders.orders(company, goods, buyers)
    made = production.work_orders(company, goods)
    terms = purchasing.terms(company, goods)
    bought = purchasing.purchases(company, terms)
    first_days = sold.first_days(len(buyers.ids))
    web = first_days[buyers.first_buyer : buyers.first_reseller]
    persons = people.persons(company, entities, staff.entry_days(company, entities, web))
    address_book = homes(company, entities, buyers, persons)

    yield from system.tables()
    yield from places.tables(company)
    yield salesforce.territory_table(company, sold)
    yield from places.states_and_taxes(company)
    yield people.entity_table(company, entities, persons)
    yield from people.tables(company, entities, persons, web)
    yield from address_book.tables(company)
    yield from staff.tables(company, persons)
    yield from catalogue.before_products(company)
    yield from products.tables(company, goods)
    yield from catalogue.tables(company, goods)
    yield assembly.bill_table(company, goods)
    yield from production.tables(company, goods, made)
    yield from purchasing.before_orders(company)
    yield from purchasing.tables(company, goods, entities, terms, bought)
    yield from salesforce.tables(company, sold)
    yield from customers.tables(company, entities, buyers)
    yield from customers.cards(company, buyers, first_days)
    yield rates.rate_table(exchange_rates)
    yield from offers.tables(company, goods)
    yield from orders.tables(company, goods, buyers, sold, exchange_rates, address_book.of_customer)
    yield from ledger.tables(goods, sold, bought, made)
    yield ledger.carts(goods)
