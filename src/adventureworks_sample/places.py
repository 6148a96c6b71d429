"""Countries, states, territories, taxes, towns and the addresses in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adventureworks_sample import codes
from adventureworks_sample.build import Days, NamedTable, digits, joined, null_text_where, rows, table, words
from adventureworks_sample.draw import Draw, Integers, hexadecimal
from adventureworks_sample.words import STREET_KINDS, STREETS, TOWN_ENDINGS, TOWN_ROOTS
from adventureworks_sample.world import SET_UP, Company

_TOWNS_PER_TERRITORY = (110, 40, 50, 120, 50, 60, 55, 45, 45, 35)
_CENTRES = ((47, -121), (41, -74), (41, -89), (33, -107), (33, -84), (50, -98), (47, 2), (51, 10), (-33, 148), (52, -1))
"""Latitude and longitude of the centre of each territory, in degrees."""

_CANADIAN = (("ON", 130_000, "Ontario"), ("QC", 149_750, "Quebec"), ("AB", 50_000, "Alberta"))
_AMERICAN = (
    *(("AZ", 77_500), ("CA", 87_500), ("FL", 80_000), ("MA", 70_000), ("MI", 72_500)),
    *(("MN", 67_500), ("TN", 72_500), ("TX", 75_000), ("UT", 50_000), ("WA", 88_000)),
)
_TAXES = (
    *((2, "CA", code, rate, f"{name} wholesale tax") for code, rate, name in _CANADIAN),
    *((1, "CA", code, rate, f"{name} retail tax") for code, rate, name in _CANADIAN),
    *((3, "CA", code, 50_000, f"{code} goods tax") for code in ["MB", "NB", "NL", "NT", "NU", "PE", "SK", "YT", "BC"]),
    *((1, "US", code, rate, f"{code} state sales tax") for code, rate in _AMERICAN),
    (3, "AU", "VIC", 100_000, "Australian goods tax"),
    (3, "DE", "HH", 190_000, "German value added tax"),
    (3, "FR", "75", 196_000, "French value added tax"),
    (3, "GB", "ENG", 175_000, "British value added tax"),
)
"""Tax type, country, state, rate in ten-thousandths of a per cent, name."""

_HOUSE_NUMBERS = 9_000


@dataclass(frozen=True)
class Addresses:
    """Locations of addresses: territory, position in the list of towns, and StateProvinceID."""

    territory: Integers
    town: Integers
    state: Integers


@dataclass(frozen=True)
class Towns:
    """All towns, with names, states, territories, post codes and coordinates."""

    names: pa.Array
    state: Integers
    territory: Integers
    post_codes: pa.Array
    latitude: Integers
    """In units of 2⁻²⁰ degrees."""
    longitude: Integers


def towns(company: Company) -> Towns:
    """Return some 600 towns, a fixed number in each territory."""
    draw = Draw(company.seed, "towns")
    territory = np.repeat(np.arange(1, 11), _TOWNS_PER_TERRITORY)
    number = len(territory)
    choices = draw.shuffled(len(TOWN_ROOTS) * len(TOWN_ENDINGS))[:number]
    names = [TOWN_ROOTS[c // len(TOWN_ENDINGS)] + TOWN_ENDINGS[c % len(TOWN_ENDINGS)] for c in choices.tolist()]
    state_territory = np.array([state[0] for state in codes.STATES])
    home = np.array([state[1] == codes.TERRITORIES[state[0] - 1][1] for state in codes.STATES])
    state = np.empty(number, dtype=np.int64)
    for place in range(1, 11):
        here = territory == place
        candidates = np.flatnonzero((state_territory == place) & home) + 1
        state[here] = candidates[draw.below(int(here.sum()), len(candidates))]
    centres = np.array(_CENTRES, dtype=np.int64)[territory - 1] << 20
    jitter = np.stack([draw.bell(number, 2 << 20), draw.bell(number, 2 << 20)], axis=1)
    spots = centres + jitter
    codes_of_towns = digits(10_000 + draw.shuffled(90_000)[:number], 5)
    return Towns(pa.array(names), state, territory, codes_of_towns, spots[:, 0], spots[:, 1])


def addresses(company: Company, known: Towns, territory: Integers) -> Addresses:
    """Choose a town for each address, within its territory."""
    draw = Draw(company.seed, "addresses")
    starts = np.searchsorted(known.territory, np.arange(1, 12))
    first, sizes = starts[territory - 1], np.diff(starts)[territory - 1]
    town = first + draw.below(len(territory), sizes)
    return Addresses(territory, town, known.state[town])


def address_table(company: Company, known: Towns, homes: Addresses, modified: Days) -> NamedTable:
    """Return the table with one row per address, AddressID from 1 on."""
    number = len(homes.town)
    draw = Draw(company.seed, "Person_Address")
    # A house number is reused only with another kind of street, so that all addresses are distinct. When all kinds have
    # been used, the numbers continue.
    block = np.arange(number) // _HOUSE_NUMBERS
    higher = _HOUSE_NUMBERS * (block * 2 // len(STREET_KINDS))
    house = draw.shuffled(_HOUSE_NUMBERS)[np.arange(number) % _HOUSE_NUMBERS] + 1 + higher
    kind = (block * 2 + draw.below(number, 2)) % len(STREET_KINDS)
    street = words(STREETS, draw.below(number, len(STREETS)))
    flat = joined("Apt. ", digits(draw.between(number, 1, 99)))
    return table(
        "Person_Address",
        {
            "AddressID": np.arange(1, number + 1),
            "AddressLine1": joined(digits(house), " ", street, " ", words(STREET_KINDS, kind)),
            "AddressLine2": null_text_where(flat, ~draw.chance(number, 180)),
            "City": known.names.take(pa.array(homes.town)),
            "StateProvinceID": homes.state,
            "PostalCode": known.post_codes.take(pa.array(homes.town)),
            "SpatialLocation": _points(draw, known, homes.town),
            "rowguid": draw.guids(number),
            "ModifiedDate": modified,
        },
    )


def tables(company: Company) -> Iterator[NamedTable]:
    """Yield the code tables of places; the sales territories are in `salesforce`."""
    draw = Draw(company.seed, "places")
    yield rows("Person_CountryRegion", ("CountryRegionCode", "Name"), codes.COUNTRIES, ModifiedDate=SET_UP)
    yield rows("Sales_Currency", ("CurrencyCode", "Name"), codes.CURRENCIES, ModifiedDate=SET_UP)
    yield rows(
        "Sales_CountryRegionCurrency",
        ("CountryRegionCode", "CurrencyCode"),
        codes.COUNTRY_CURRENCIES,
        ModifiedDate=SET_UP,
    )
    names = ("Billing", "Home", "Main Office", "Primary", "Shipping", "Archive")
    yield rows(
        "Person_AddressType",
        ("AddressTypeID", "Name"),
        list(enumerate(names, start=1)),
        rowguid=draw.guids(len(names)),
        ModifiedDate=SET_UP,
    )


def states_and_taxes(company: Company) -> Iterator[NamedTable]:
    """Yield the states and provinces, which refer to territories, and their taxes."""
    draw = Draw(company.seed, "states")
    yield table(
        "Person_StateProvince",
        {
            "StateProvinceID": np.arange(1, len(codes.STATES) + 1),
            "StateProvinceCode": [state[2].ljust(3) for state in codes.STATES],
            "CountryRegionCode": [state[1] for state in codes.STATES],
            "IsOnlyStateProvinceFlag": [state[1] == state[2] for state in codes.STATES],
            "Name": [state[3] for state in codes.STATES],
            "TerritoryID": [state[0] for state in codes.STATES],
            "rowguid": draw.guids(len(codes.STATES)),
            "ModifiedDate": SET_UP,
        },
    )
    numbers = {(country, code): number for number, (_, country, code, _) in enumerate(codes.STATES, start=1)}
    yield table(
        "Sales_SalesTaxRate",
        {
            "SalesTaxRateID": np.arange(1, len(_TAXES) + 1),
            "StateProvinceID": [numbers[country, code] for _, country, code, _, _ in _TAXES],
            "TaxType": [kind for kind, *_ in _TAXES],
            "TaxRate": [rate for *_, rate, _ in _TAXES],
            "Name": [name for *_, name in _TAXES],
            "rowguid": draw.guids(len(_TAXES)),
            "ModifiedDate": SET_UP,
        },
    )


def _points(draw: Draw, known: Towns, town: Integers) -> pa.Array:
    """Return points (SRID 4326) in SQL Server's binary format: six fixed bytes, latitude, longitude."""
    number = len(town)
    north = known.latitude[town] + draw.bell(number, 1 << 15)
    east = known.longitude[town] + draw.bell(number, 1 << 15)
    degrees = np.ascontiguousarray(np.stack([north, east], axis=1) / float(1 << 20)).astype("<f8")
    head = np.tile(np.frombuffer(bytes.fromhex("E6100000010C"), dtype=np.uint8), (number, 1))
    return hexadecimal(np.hstack([head, degrees.view(np.uint8)]))
