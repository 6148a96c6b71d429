"""Every user-facing text and every column has a translation, and figures are formatted as usual in each language."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages.extract import extract

from adventureworks.catalog import ANALYSES, MARTS
from adventureworks.catalog.pages import has_page
from adventureworks.dictionary import definitions, grain
from adventureworks.texts import LANGUAGES, MISSING, catalogs, language, translations, with_no_break_spaces
from adventureworks.texts.analyses import view_name
from tests.conftest import REPOSITORY

PLACES = re.compile(r"{(\w+)}")


def marked() -> dict[str, str]:
    """Return every user-facing text, with a file that uses it."""
    found: dict[str, str] = {}
    sources = sorted((REPOSITORY / "src" / "adventureworks").rglob("*"))
    for path in sources:
        method = {".py": "python", ".html": "jinja2", ".txt": "jinja2"}.get(path.suffix)
        if method:
            found.update(dict.fromkeys(_texts(path, method), path.name))
    return found


def defined() -> dict[str, str]:
    """Return every English text of the data dictionary and title of a page, with a mart or analysis that uses it."""
    english = language("en")
    found = {grain(mart, english): mart.name for mart in MARTS.values()}
    found.update({view_name(name, english): name for name in MARTS if has_page(name)})
    found.update({analysis.title: dag for dag, analysis in ANALYSES.items()})
    for mart in MARTS.values():
        for column in definitions(mart, english).values():
            found.update(dict.fromkeys((column.label, column.text, column.unit), mart.name))
    return {text: mart for text, mart in found.items() if text}


def _texts(path: Path, method: str) -> list[str]:
    name = "jinja2.ext:babel_extract" if method == "jinja2" else method
    with path.open("rb") as file:
        return [
            str(message)
            for _, message, _, _ in extract(name, file, keywords={"text": None, "t": None, "phrase": None})
            if isinstance(message, str)
        ]


def messages(code: str) -> Counter[str]:
    """Return how often each text is translated in the files of a language."""
    return Counter(str(message.id) for catalog in catalogs(code) for message in catalog if message.id)


def test_code_leaves_punctuation_between_values_to_the_language() -> None:
    """French has a no-break space before a colon or semicolon: `text(": ")` and `text("; ")`."""
    in_template = re.compile(r"[}%]\}[:;!?](?=\s|\{|$)")
    literals = {".html": in_template, ".txt": in_template, ".py": re.compile(r"""["']; ["']\.join\(""")}
    written: list[str] = []
    for folder in ("charts", "dashboard", "messaging", "reports", "texts"):
        for path in sorted((REPOSITORY / "src" / "adventureworks" / folder).rglob("*")):
            if path.suffix in literals and "static" not in path.parts:
                without_styles = re.sub(r"(?s)<style\b.*?</style>|style=\"[^\"]*\"", "", path.read_text("utf-8"))
                lines = (line.strip() for line in without_styles.splitlines())
                written += [f"{path.name}: {line}" for line in lines if literals[path.suffix].search(line)]
    assert written == []


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_text_has_a_translation_with_the_same_placeholders(code: str) -> None:
    shown, known = {**marked(), **defined()}, translations(code)
    assert len(shown) > 100
    assert {text: file for text, file in shown.items() if text not in known} == {}
    assert {text for text in known if text not in shown} == set(), "unused translations"
    assert {text: count for text, count in messages(code).items() if count > 1} == {}, "translated twice"
    for text, translated in known.items():
        assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(translated)), text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("{table} : {count} lignes ; règle « {rule} ».", "{table}~: {count} lignes~; règle «~{rule}~»."),
        ("Intervalle à 80 %, {share} % : vraiment ? Oui !", "Intervalle à 80~%, {share}~%~: vraiment~? Oui~!"),
        (" ; résolu le {end}", "~; résolu le {end}"),
        ("Cause :\n{cause}", "Cause~:\n{cause}"),
        (
            "à 10:30, {share:.2f} sur http://localhost:8080/a?b=c;d",
            "à 10:30, {share:.2f} sur http://localhost:8080/a?b=c;d",
        ),
        ("Lancez `a ? b : c % d ; echo !` : c’est fait", "Lancez `a ? b : c % d ; echo !`~: c’est fait"),
        ("select a % b, c ::int from t where d != 1", "select a % b, c ::int from t where d != 1"),
    ],
)
def test_french_punctuation_is_never_separated_from_its_word(written: str, shown: str) -> None:
    assert with_no_break_spaces(written) == shown.replace("~", "\xa0")
    assert with_no_break_spaces(with_no_break_spaces(written)) == with_no_break_spaces(written)


def test_translations_are_written_with_plain_spaces_and_shown_with_no_break_spaces() -> None:
    written = [str(message.string) for catalog in catalogs("fr") for message in catalog]
    assert [text for text in written if "\xa0" in text or "\u202f" in text] == []
    broken = re.compile(r" [:;!?%»]|« |\w[:;!?»](?= |$)")
    # A new mart has texts to be translated.
    shown = [text for text in translations("fr").values() if not text.startswith("TODO: ")]
    assert [text for text in shown if broken.search(text)] == []


def test_figures_are_formatted_as_usual_in_each_language() -> None:
    english, french = language("en"), language("fr")
    amount = Decimal("-1234567.895")
    assert english.money(amount, 2) == "-$1,234,567.90"
    assert french.money(amount, 2) == "-1\u202f234\u202f567,90\xa0$US"
    assert [french.days(days, 1) for days in (Decimal("1.9"), Decimal("1.96"))] == ["1,9\xa0jour", "2,0\xa0jours"]
    assert (english.days(1), english.days(45)) == ("1\xa0day", "45\xa0days")
    assert (english.short_money(Decimal(5366674)), french.short_money(Decimal(5366674))) == ("$5.4M", "5,4\xa0M$US")
    assert (english.percent(Decimal("0.1234"), signed=True), french.percent(Decimal("0.1234"))) == (
        "+12.3%",
        "12,3\xa0%",
    )
    assert english.change(Decimal(2484)) == "> +999%"
    assert (english.month(date(2014, 5, 1)), french.month(date(2014, 5, 1))) == ("May 2014", "mai 2014")
    assert (english.day(date(2014, 6, 30)), french.day(date(2014, 6, 30))) == ("June 30, 2014", "30 juin 2014")
    assert (english.day(date(2014, 7, 1)), french.day(date(2014, 7, 1))) == ("July 1, 2014", "1er juillet 2014")
    assert french.day(date(2014, 7, 11)) == "11 juillet 2014"
    assert french.moment(datetime(2014, 7, 1, 9, 5, tzinfo=UTC)) == "1er juil. 2014, 09:05 UTC"
    assert {english.money(None), english.percent(None), french.number(None), french.month(None)} == {MISSING}
    assert (english.ago(timedelta(hours=3)), french.ago(timedelta(hours=3))) == ("3 hours ago", "il y a 3 heures")
    assert english.ago(timedelta(seconds=-2)) == "1 second ago"
    assert (english.duration(timedelta(seconds=40)), french.duration(None)) == ("40 sec", MISSING)
    assert english.duration(timedelta(seconds=5500)) == "92 min"


@pytest.mark.parametrize(
    ("amount", "english"),
    [
        ("999.4", "$999"),
        ("999.6", "$1.0k"),
        ("99949", "$99.9k"),
        ("99951", "$100k"),
        ("999499", "$999k"),
        ("999950", "$1.0M"),
        ("-999950", "-$1.0M"),
        ("123456789", "$123M"),
        ("-0.4", "$0"),
    ],
)
def test_short_amounts_keep_two_or_three_digits_when_the_unit_changes(amount: str, english: str) -> None:
    assert language("en").short_money(Decimal(amount)) == english
    assert language("en").short_money(float(amount)) == english


def test_amount_that_rounds_to_zero_has_no_sign() -> None:
    english, french = language("en"), language("fr")
    for tiny in (Decimal("-0.0004"), Decimal("0.0004"), -0.0004):
        assert english.money(tiny) == "$0"
        assert english.number(tiny, 2, signed=True) == "0.00"
        assert english.percent(tiny, signed=True) == english.change(tiny) == "0.0%"
        assert french.change(tiny) == "0,0\xa0%"
    assert english.change(Decimal("-0.0006")) == "-0.1%"


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="en, fr"):
        language("de")
