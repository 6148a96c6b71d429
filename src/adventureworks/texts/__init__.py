"""Localization of user-facing texts, numbers, money and dates.

The code contains the English texts; `<language>/*.po` hold their translations. A text is marked by the call that shows
it, `language.text("Revenue")` in Python and `{{ text("Revenue") }}` in a template, so that a test can find texts
without a translation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from babel import Locale, dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

LANGUAGES = ("en", "fr")
CURRENCY = "USD"
MISSING = "–"
"""Shown in place of a missing figure."""
NO_BREAK = "\u00a0"
"""The no-break space, at which a line is never broken. Babel puts the same character before a percent sign."""

_CODE_OR_SPACE = re.compile(r"`[^`]*`| (?=[:;!?](?:\s|$))| (?=»)|(?<=«) |(?<=[\d}]) (?=%)")
"""Code, or a space of French punctuation. Times, addresses and placeholders (`10:30`, `{x:d}`) have no such space."""

Number = Decimal | int | float


class Language:
    """A language. Every method returns text for display; None is shown as a dash."""

    def __init__(self, code: str) -> None:
        if code not in LANGUAGES:
            raise ValueError(f"There is no language {code!r}. Choose from {', '.join(LANGUAGES)}.")
        self.code = code
        self._locale = Locale.parse({"en": "en_US", "fr": "fr_FR"}[code])
        self._texts = translations(code)

    def text(self, english: str, **values: object) -> str:
        """Return a text in this language with `{name}` placeholders filled in; English if there is no translation."""
        found = self._texts.get(english) or english
        return found.format(**values) if values else found

    def number(self, value: Number | None, digits: int = 0, signed: bool = False) -> str:
        """Return a number with this many decimals, rounded half to even; `signed` adds a plus sign if positive."""
        if value is None:
            return MISSING
        amount = _rounded(value, digits)
        shown = str(numbers.format_decimal(amount, format=_pattern(digits), locale=self._locale))
        return f"+{shown}" if signed and amount > 0 else shown

    def money(self, value: Number | None, digits: int = 0) -> str:
        """Return an amount in US dollars."""
        if value is None:
            return MISSING
        pattern = _with_decimals(self._locale.currency_formats["standard"].pattern, digits)
        amount = _rounded(value, digits)
        return str(pattern.apply(amount, self._locale, currency=CURRENCY, currency_digits=False))

    def short_money(self, value: Number | None, signed: bool = False) -> str:
        """Return US dollars with two or three digits, for charts and headlines: $5.4M; `signed`: +$5.4M."""
        if value is None:
            return MISSING
        if signed and _rounded(value, 0) > 0:
            return f"+{self.short_money(value)}"
        if abs(_rounded(value, 0)) < 1_000:
            return self.money(value)
        # The unit depends on the rounded amount: 999,950 is shown as $1.0M, not as $1000k.
        thousands = Decimal(str(value)) / 1_000
        if abs(_rounded(thousands, 0)) < 1_000:
            return self._with_unit(thousands, "k")
        return self._with_unit(thousands / 1_000, "M")

    def _with_unit(self, amount: Decimal, unit: str) -> str:
        shown = self.money(amount, 1 if abs(_rounded(amount, 1)) < 100 else 0)
        symbol = numbers.get_currency_symbol(CURRENCY, locale=self._locale)
        # The unit follows the number, wherever the language puts the currency symbol.
        return f"{shown}{unit}" if not shown.endswith(symbol) else shown.replace(symbol, f"{unit}{symbol}")

    def short_month(self, value: date) -> str:
        """Return the month of a date in short form, for the axis of a chart."""
        return str(dates.format_date(value, format="MMM yy", locale=self._locale))

    def vega_locale(self) -> dict[str, Any]:
        """Return Vega's number format for this language."""
        symbols = self._locale.number_symbols["latn"]
        before = self.money(0).startswith(numbers.get_currency_symbol(CURRENCY, locale=self._locale))
        symbol = numbers.get_currency_symbol(CURRENCY, locale=self._locale)
        return {
            "number": {
                "decimal": symbols["decimal"],
                "thousands": symbols["group"],
                "grouping": [3],
                "currency": [symbol, ""] if before else ["", f"\u00a0{symbol}"],
            }
        }

    def percent(self, share: Number | None, digits: int = 1, signed: bool = False) -> str:
        """Return a fraction as a percentage; `signed` adds a plus sign if positive, for changes."""
        if share is None:
            return MISSING
        pattern = _with_decimals(self._locale.percent_formats[None].pattern, digits)
        amount = _rounded(share, digits + 2)
        shown = str(pattern.apply(amount, self._locale))
        return f"+{shown}" if signed and amount > 0 else shown

    def change(self, share: Number | None) -> str:
        """Return a change as a signed percentage; growth of 1000 % or more is shown as `> +999%`."""
        if share is not None and share >= 10:
            return f"> +{self.percent(Decimal('9.99'), 0)}"
        return self.percent(share, signed=True)

    def points(self, change: Number | None, signed: bool = False) -> str:
        """Return a difference of two shares in percentage points; `signed` adds a plus sign if positive."""
        if change is None:
            return MISSING
        amount = _rounded(Decimal(str(change)) * 100, 1)
        number = self.number(amount, 1, signed)
        # French uses the singular below 2: 1,5 point.
        is_one = self._locale.plural_form(abs(amount)) == "one"
        return self.text("{number} point", number=number) if is_one else self.text("{number} points", number=number)

    def days(self, number: Number | None, digits: int = 0) -> str:
        """Return a number of days with this many decimals; no line is broken within it."""
        if number is None:
            return MISSING
        shown = self.number(number, digits)
        # French uses the singular below 2: 1,5 jour.
        is_one = self._locale.plural_form(_rounded(number, digits)) == "one"
        found = self.text("{number} day", number=shown) if is_one else self.text("{number} days", number=shown)
        return found.replace(" ", NO_BREAK)

    def language_name(self, code: str) -> str:
        """Return the name of another language in this one."""
        return str(Locale.parse(code).get_display_name(self._locale) or code)

    def day(self, value: date | None) -> str:
        """Return a date, with the month's name."""
        return MISSING if value is None else self._date(value, "long")

    def month(self, value: date | None) -> str:
        """Return the month and year of a date."""
        return MISSING if value is None else str(dates.format_skeleton("yMMMM", value, locale=self._locale))

    def ago(self, age: timedelta) -> str:
        """Return how long ago something was, in its largest unit: 3 hours ago. Clocks may differ a little."""
        return str(dates.format_timedelta(-max(age, timedelta(seconds=1)), add_direction=True, locale=self._locale))

    def duration(self, value: timedelta | None) -> str:
        """Return a length of time in its largest unit of which it has three or more: 95 sec."""
        if value is None:
            return MISSING
        return str(dates.format_timedelta(value, format="short", threshold=3, locale=self._locale))

    def moment(self, value: datetime | None) -> str:
        """Return a point in time to the minute, in its own time zone."""
        if value is None:
            return MISSING
        clock = dates.format_time(value, format="short", tzinfo=value.tzinfo, locale=self._locale)
        return f"{self._date(value, 'medium')}, {clock} {value.tzname() or ''}".rstrip()

    def _date(self, value: date, style: Literal["medium", "long"]) -> str:
        shown = str(dates.format_date(value, format=style, locale=self._locale))
        # In French, only the first of a month is an ordinal number. Babel does not know that.
        return f"1er{shown[1:]}" if self.code == "fr" and value.day == 1 else shown


@dataclass(frozen=True)
class Phrases:
    """Texts that are put into a language only where they are shown; `str` gives them in English."""

    parts: tuple[tuple[str, tuple[tuple[str, str | date], ...]], ...] = ()
    """English texts, each with the names and values of its placeholders."""

    @classmethod
    def restored(cls, stored: list[Any]) -> Phrases:
        """Return the texts that `stored` returned."""
        return cls(
            tuple(
                (english, tuple((name, _restored(value)) for name, value in values.items()))
                for english, values in stored
            )
        )

    @property
    def stored(self) -> list[Any]:
        """The texts as JSON can hold them: [[text, {name: value}], ...], where a date is {"date": "2014-06-30"}."""
        return [
            [
                english,
                {name: {"date": f"{value}"} if isinstance(value, date) else value for name, value in values},
            ]
            for english, values in self.parts
        ]

    def __add__(self, other: Phrases) -> Phrases:
        """Return both, without repetitions."""
        return Phrases(tuple(dict.fromkeys(self.parts + other.parts)))

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __str__(self) -> str:
        return self.shown(language("en"))

    def shown(self, language: Language) -> str:
        """Return the texts in a language, separated by semicolons."""
        return language.text("; ").join(
            language.text(
                english, **{name: language.day(value) if isinstance(value, date) else value for name, value in values}
            )
            for english, values in self.parts
        )


def _restored(value: Any) -> str | date:
    return date.fromisoformat(value["date"]) if isinstance(value, dict) else str(value)


def phrase(english: str, **values: object) -> Phrases:
    """Return a text that is put into a language later. Its values, except dates, are the same in every language."""
    return Phrases(
        ((english, tuple((name, value if isinstance(value, date) else str(value)) for name, value in values.items())),)
    )


def verbatim(text: str) -> Phrases:
    """Return a text that is the same in every language."""
    return Phrases(((text, ()),))


@lru_cache(maxsize=len(LANGUAGES))
def language(code: str) -> Language:
    """Return the language with this code. Raises ValueError if there is none."""
    return Language(code)


def translations(code: str) -> dict[str, str]:
    """Return a map of English texts to their translations, with no-break spaces; empty for English."""
    return {
        str(message.id): with_no_break_spaces(str(message.string))
        for catalog in catalogs(code)
        for message in catalog
        if message.id and message.string
    }


def with_no_break_spaces(french: str) -> str:
    """Return a French text in which no line can begin with a punctuation mark or end with an opening quotation mark."""
    return _CODE_OR_SPACE.sub(lambda found: NO_BREAK if found[0] == " " else found[0], french)


def catalogs(code: str) -> list[Catalog]:
    """Return the translation catalogues of a language, one per file."""
    folder = files("adventureworks.texts") / code
    if not folder.is_dir():
        return []
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".po"):
            with file.open("rb") as lines:
                found.append(read_po(lines, locale=code))
    return found


def _rounded(value: Number, digits: int) -> Decimal:
    """Round half to even; a result of zero has no sign."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN) + 0


@lru_cache
def _with_decimals(pattern: str, digits: int) -> numbers.NumberPattern:
    """Return a Unicode locale pattern with its number of decimals replaced."""
    parsed = numbers.parse_pattern(pattern)
    parsed.frac_prec = (digits, digits)
    return parsed


def _pattern(digits: int) -> str:
    return f"#,##0.{'0' * digits}" if digits else "#,##0"
