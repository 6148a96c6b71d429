"""The words of a search, and how letters are compared."""

from __future__ import annotations

import pytest

from adventureworks.dashboard.search import _MARKED, LONGEST, folded, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Vélo ÉTÉ", "velo ete"), ("Chiffre d’affaires", "chiffre d'affaires"), ("Łódź Straße", "łodz strasse")],
)
def test_case_accents_and_apostrophes_do_not_matter(text: str, expected: str) -> None:
    assert folded(text) == expected


def test_sql_folds_each_letter_into_one_letter() -> None:
    assert len(folded(_MARKED)) == len(_MARKED) == len(set(_MARKED))
    assert {"é", "É", "ç", "ø".upper(), "’"} <= set(_MARKED)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ()),
        ("a", ()),
        (" é ", ()),
        ("a b", ("a", "b")),
        ("Road  BIKE", ("road", "bike")),
        ("a\0b", ("a\ufffdb",)),
        ("x" * 5000, ("x" * LONGEST,)),
    ],
)
def test_a_query_is_cut_and_needs_two_characters(query: str, words: tuple[str, ...]) -> None:
    assert words_of(query) == words
