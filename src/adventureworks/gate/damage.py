"""Detection of text damaged by programs: wrongly decoded, changed by a spreadsheet, or a word in place of NULL."""

from __future__ import annotations

import polars as pl

# The bytes 80 to BF as Latin-1 or Windows-1252 show them: the continuation bytes of a character in UTF-8.
_FOLLOWING = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
# Those of them that are not written after a letter, unlike dashes and quotation marks.
_UNLIKELY = "\u0080-\u009f\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bfƒ†‡ˆ‰Š‹ŒŽ˜™š›œžŸ€"

WRONGLY_DECODED = "|".join(
    (
        "\ufffd",
        "[\u0080-\u0084\u0086-\u009f]",
        f"[ÂÃ][\u00a0{_UNLIKELY}]",
        "[ÃÅ][“”„][A-Za-z]",
        f"[ÄÅ][{_UNLIKELY}]",
        f"(?:[ÎÏÐÑ×ØÙÚÛ][{_FOLLOWING}]){{2}}",
        f"[à-ï](?:[{_UNLIKELY}][{_FOLLOWING}]|[{_FOLLOWING}][{_UNLIKELY}])",
        f"[ð-ô][{_UNLIKELY}][{_FOLLOWING}]{{2}}",
        "â€",
        "ï»¿",
    )
)
"""The replacement character, control characters of Latin-1 (except the line end U+0085), and UTF-8 that was decoded as
Latin-1 or Windows-1252."""

NEVER_A_TEXT = (
    r"\N",
    "[NULL]",
    "(null)",
    "(NULL)",
    "<NULL>",
    "<null>",
    "<NA>",
    "#N/A",
    "#NULL!",
    "#REF!",
    "#VALUE!",
    "#NAME?",
)
"""Strings that programs write for NULL or for a failed formula, and that people do not write."""

IN_PLACE_OF_NULL = ("NULL", "null", "None", "NaN", "nan", "NAN", "N/A", "n/a", "NA", "nil")
"""Strings that programs write for NULL and people may write too: genuine text only in columns that are never NULL."""


_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
BY_A_SPREADSHEET = "|".join(
    (
        r"^[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+$",
        rf"^[0-9]{{1,2}}-{_MONTH}$",
        rf"^{_MONTH}-[0-9]{{2}}$",
        r"^[0-9]{3,}\.0$",
    )
)
"""A long number that was rounded, a code read as a day or month, and a code read as a number with a decimal point."""


def is_made_by_a_spreadsheet(texts: pl.Series) -> pl.Series:
    """Return which texts look as if a spreadsheet or data frame had read a code as a number or a date."""
    return texts.str.contains(BY_A_SPREADSHEET).fill_null(False)


def is_wrongly_decoded(texts: pl.Series) -> pl.Series:
    """Return which texts contain characters produced by a wrong encoding."""
    return texts.str.contains(WRONGLY_DECODED).fill_null(False)


def stands_for_null(texts: pl.Series, nullable: bool) -> pl.Series:
    """Return which texts are a word for NULL. In a column that is never NULL, `NULL` and `N/A` are ordinary text."""
    words = (*NEVER_A_TEXT, *IN_PLACE_OF_NULL) if nullable else NEVER_A_TEXT
    return texts.str.strip_chars().is_in(words).fill_null(False)
