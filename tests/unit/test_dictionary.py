"""The meaning of a mart's columns is complete, and what is generated from it is up to date."""

from __future__ import annotations

from collections import Counter

import pytest

from adventureworks.catalog import MARTS, Mart
from adventureworks.columns import columns_of
from adventureworks.dictionary import definition, definitions
from adventureworks.reports.definitions import definitions as report_definitions
from adventureworks.texts import LANGUAGES, language


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_a_column_has_a_meaning_and_exactly_the_quantities_have_a_unit(mart: Mart) -> None:
    columns = columns_of(mart)
    assert [column.name for column in columns if not column.description] == []
    quantities = {column.name for column in columns if column.dtype.is_numeric() and not column.name.endswith("_id")}
    assert {column.name for column in columns if column.unit} == quantities


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_no_two_columns_of_a_mart_have_the_same_label(mart: Mart, code: str) -> None:
    labels = Counter(column.label for column in definitions(mart, language(code)).values())
    assert [label for label, count in labels.items() if count > 1] == []


@pytest.mark.parametrize(
    ("mart", "column", "english", "french"),
    [
        (
            "monthly_profit",
            "discount_amount",
            "Discount – Discounts on the order lines (USD).",
            "Remise – Remises accordées sur les lignes de commande (dollars US).",
        ),
        # A number in the type of an amount that is not one.
        (
            "exchange_rates",
            "end_of_day_rate",
            "End of day rate – Rate at the end of the day (local currency per USD).",
            "Cours de fin de journée – Cours de fin de journée (devise locale pour un dollar).",
        ),
        # The unit belongs to the first clause.
        (
            "sales_person_performance",
            "gap",
            "Gap – Sales minus quota (USD); negative if the quota was missed.",
            "Écart – Ventes moins objectif (dollars US)\xa0; négatif si l’objectif n’est pas atteint.",
        ),
        ("monthly_profit", "product_id", "Product number – Product sold.", "Numéro de produit – Produit vendu."),
        ("card_usage", "orders", "Orders – Number of orders.", "Commandes – Nombre de commandes."),
    ],
)
def test_a_definition_has_label_meaning_and_unit_in_each_language(
    mart: str, column: str, english: str, french: str
) -> None:
    assert definition(mart, column, language("en")).line == english
    assert definition(mart, column, language("fr")).line == french


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_monthly_report_defines_its_figures_as_the_mart_does(code: str) -> None:
    found = definition("monthly_profit", "margin", language(code))
    assert (found.label, found.meaning) in report_definitions(language(code))
