"""Names from the data in any script: every report is rendered, with a placeholder for unsupported characters."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from pypdf import PdfReader

from adventureworks.charts.glyphs import displayable
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing, render
from adventureworks.reports.delivery import render_file
from adventureworks.reports.month import Amounts, Line, Month, Past, Sale
from adventureworks.texts import language

AMOUNTS = Amounts(Decimal("10.5"), Decimal(1), Decimal(7), Decimal(0))
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=50)
TRICKY = st.sampled_from("aé€Ω\u202f\u200b\u0301\u1ab0\u200d\u00ad🇫🇷🏽👩□漢")
"""Characters with and without a glyph in the font: some are invisible, combine with others, or are part of an emoji."""
SCRIPTS = (
    "Vélo 🚲",
    "👩🏽‍🔧",
    "🇫🇷",
    "漢字",
    "שלום",
    "مرحبا",
    "हिन्दी",
    "q\u1ab0",
    "\ue000",
    "\x00\x0b\ud800\ufffe",
    "\u202eabc",
)


def month(names: list[str]) -> Month:
    """Return a month in which products, categories and territories have these names."""
    lines = tuple(Line(name, name, AMOUNTS, AMOUNTS, None, AMOUNTS) for name in names)
    first = date(2014, 5, 1)
    return Month(
        month=first,
        is_partial=False,
        fiscal_year=2014,
        as_of=date(2014, 6, 30),
        version=1,
        total=Line("", "", AMOUNTS, None, None, AMOUNTS),
        regions=lines,
        categories=lines,
        products=lines,
        channels=(),
        bridge=(),
        sales=tuple(Sale(name, name, 1, name, AMOUNTS) for name in names),
        history=(Past(first, AMOUNTS, False),),
        control_total=None,
        sources=(("fact_sales", 1),),
    )


def pdf_text(found: Month) -> str:
    return "".join(page.extract_text() for page in PdfReader(BytesIO(render_file(found, "en", "document"))).pages)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(ANY_TEXT, min_size=6, max_size=12))
def test_reports_can_be_rendered_with_any_names(names: list[str]) -> None:
    found = month(names)
    assert PdfReader(BytesIO(render_file(found, "fr", "document"))).pages
    assert load_workbook(BytesIO(render_file(found, "fr", "workbook")))["Détail"].max_row == len(names) + 2


def test_unsupported_characters_are_replaced_and_others_are_shown() -> None:
    text = pdf_text(month([f"{name} Tour-3000" for name in SCRIPTS]))
    # Once in each of the tables of regions, categories and products.
    assert text.count("Tour-3000") >= 3 * len(SCRIPTS)
    assert "Vélo □" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Café Ørsted Łódź Ελλάδα Київ", "Café Ørsted Łódź Ελλάδα Київ"),
        ("Vélo 🚲", "Vélo □"),
        ("👩🏽‍🔧 and 🇫🇷", "□ and □"),
        ("漢字 שלום مرحبا", "□□ □□□□ □□□□□"),
        ("e\u0301q\u1ab0", "e\u0301q□"),
        ("\ue000", "□"),
        ("a\x00\ud800\ufffeb", "a□□□b"),
        ("a\u202eb", "ab"),
        ("a\r\nb\u2028c", "a\nb\nc"),
    ],
)
def test_each_character_without_a_glyph_becomes_one_placeholder(text: str, shown: str) -> None:
    assert displayable(text) == shown


@given(st.text(TRICKY).filter(lambda text: text[-1:] != "\u200d"))
def test_replacement_is_independent_of_the_following_text(text: str) -> None:
    # The following character has no glyph, so that the fast path for supported texts is not taken.
    assert displayable(f"{text} 漢") == f"{displayable(text)} □"


def test_long_text_is_truncated_to_excels_limit() -> None:
    long = month([f"{'🚲' * 20_000}"])
    sheet = load_workbook(BytesIO(render_file(long, "en", "workbook")))["Detail"]
    cell = sheet["C2"].value
    assert cell.endswith("🚲…")
    assert len(cell.encode("utf-16-le")) // 2 <= 32_767


def test_message_with_any_characters_can_be_stored_and_sent() -> None:
    name = "".join(SCRIPTS) + "\r\nBcc: all@example.com"
    bulletin = Bulletin(
        title=name, about=name, figures=(Figure(name, name),), listings=(Listing(name, (name,), ((name,),)),)
    )
    found = render(bulletin, language("en"), "http://ui")
    for text in (found.subject, found.html, found.text, found.summary, str(found.blocks)):
        assert "\x00" not in text.encode().decode()
        assert "\u202e" not in text
    assert "\n" not in found.subject
    assert "🚲" in found.html, "mail clients use their own fonts"
