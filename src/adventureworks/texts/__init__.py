"""The languages in which people are told something: texts, numbers, money, dates.

The code holds the English texts; `<language>/*.po` hold their translations, one file for each part of the house. A
text is marked by the call that shows it, `language.text("Revenue")` in Python and `{{ text("Revenue") }}` in a
template, so that `missing` can find what has no translation yet.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

from babel import Locale, dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

LANGUAGES = ("en", "fr")
CURRENCY = "USD"
MISSING = "–"
"""How a figure is shown that there is none of."""

Number = Decimal | int | float


class Language:
    """One language. Every method gives a text to show; a figure that is None is shown as a dash."""

    def __init__(self, code: str) -> None:
        if code not in LANGUAGES:
            raise ValueError(f"There is no language {code!r}; there are {', '.join(LANGUAGES)}.")
        self.code = code
        self._locale = Locale.parse({"en": "en_US", "fr": "fr_FR"}[code])
        self._texts = translations(code)

    def text(self, english: str, **values: object) -> str:
        """The text in this language, with `{name}` filled in; in English where it has no translation."""
        found = self._texts.get(english) or english
        return found.format(**values) if values else found

    def number(self, value: Number | None, digits: int = 0, signed: bool = False) -> str:
        """A number with this many decimals, rounded half to even; `signed` shows the plus sign too."""
        if value is None:
            return MISSING
        amount = _rounded(value, digits)
        shown = str(numbers.format_decimal(amount, format=_pattern(digits), locale=self._locale))
        return f"+{shown}" if signed and amount > 0 else shown

    def money(self, value: Number | None, digits: int = 0) -> str:
        """US dollars."""
        if value is None:
            return MISSING
        pattern = _with_decimals(self._locale.currency_formats["standard"].pattern, digits)
        amount = _rounded(value, digits)
        return str(pattern.apply(amount, self._locale, currency=CURRENCY, currency_digits=False))

    def short_money(self, value: Number | None) -> str:
        """US dollars to two or three digits, for charts and headlines: $5.4M."""
        if value is None:
            return MISSING
        if abs(_rounded(value, 0)) < 1_000:
            return self.money(value)
        # The unit follows from the rounded amount: 999,950 is a million, not a thousand thousands.
        thousands = Decimal(str(value)) / 1_000
        if abs(_rounded(thousands, 0)) < 1_000:
            return self._with_unit(thousands, "k")
        return self._with_unit(thousands / 1_000, "M")

    def _with_unit(self, amount: Decimal, unit: str) -> str:
        shown = self.money(amount, 1 if abs(_rounded(amount, 1)) < 100 else 0)
        symbol = numbers.get_currency_symbol(CURRENCY, locale=self._locale)
        # The unit stands behind the number, wherever the language puts the currency.
        return f"{shown}{unit}" if not shown.endswith(symbol) else shown.replace(symbol, f"{unit}{symbol}")

    def short_month(self, value: date) -> str:
        """The month of a date, for the axis of a chart."""
        return str(dates.format_date(value, format="MMM yy", locale=self._locale))

    def vega_locale(self) -> dict[str, Any]:
        """How a Vega chart writes numbers in this language."""
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
        """A share of 1 as a percentage; `signed` shows the plus sign too, as a change needs it."""
        if share is None:
            return MISSING
        pattern = _with_decimals(self._locale.percent_formats[None].pattern, digits)
        amount = _rounded(share, digits + 2)
        shown = str(pattern.apply(amount, self._locale))
        return f"+{shown}" if signed and amount > 0 else shown

    def change(self, share: Number | None) -> str:
        """A change as a signed percentage; what grew tenfold from next to nothing is not counted out."""
        if share is not None and share >= 10:
            return f"> +{self.percent(Decimal('9.99'), 0)}"
        return self.percent(share, signed=True)

    def name_of(self, code: str) -> str:
        """What another language is called in this one."""
        return str(Locale.parse(code).get_display_name(self._locale) or code)

    def day(self, value: date | None) -> str:
        """A date, with the month's name."""
        return MISSING if value is None else str(dates.format_date(value, format="long", locale=self._locale))

    def month(self, value: date | None) -> str:
        """The month of a date, and its year."""
        return MISSING if value is None else str(dates.format_skeleton("yMMMM", value, locale=self._locale))

    def moment(self, value: datetime | None) -> str:
        """A point in time to the minute, in the time zone that it carries."""
        if value is None:
            return MISSING
        day = dates.format_date(value, format="medium", locale=self._locale)
        clock = dates.format_time(value, format="short", tzinfo=value.tzinfo, locale=self._locale)
        return f"{day}, {clock} {value.tzname() or ''}".rstrip()


@lru_cache(maxsize=len(LANGUAGES))
def language(code: str) -> Language:
    """The language of this code; ValueError if there is none."""
    return Language(code)


def translations(code: str) -> dict[str, str]:
    """English text -> its translation. Empty for English itself."""
    return {
        str(message.id): str(message.string)
        for catalog in catalogs(code)
        for message in catalog
        if message.id and message.string
    }


def catalogs(code: str) -> list[Catalog]:
    """The translations of a language, file by file."""
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
    """As it is shown, half to even; what rounds to nothing has no sign."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN) + 0


@lru_cache
def _with_decimals(pattern: str, digits: int) -> numbers.NumberPattern:
    """A pattern of the Unicode locale data with this many decimals instead of its own."""
    parsed = numbers.parse_pattern(pattern)
    parsed.frac_prec = (digits, digits)
    return parsed


def _pattern(digits: int) -> str:
    return f"#,##0.{'0' * digits}" if digits else "#,##0"
