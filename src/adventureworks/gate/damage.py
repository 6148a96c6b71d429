"""Texts that a program on their way has damaged: decoded in the wrong encoding, or changed by a spreadsheet,
or a word in the place of NULL."""

from __future__ import annotations

import polars as pl

# A byte from 80 to BF as Latin-1 or Windows-1252 show it: what follows the first byte of a character in UTF-8.
_FOLLOWING = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
# Those of them that nobody writes behind a letter, as people do dashes and quotation marks.
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
"""The replacement character, control characters of Latin-1 (but the line end U+0085), and UTF-8 that was read as
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
"""What programs write for NULL, or for a failed formula, and nobody else does."""

IN_PLACE_OF_NULL = ("NULL", "null", "None", "NaN", "nan", "NAN", "N/A", "n/a", "NA", "nil")
"""What programs write for NULL, and people may write too: a word of its own only where a column has no NULL."""


_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
BY_A_SPREADSHEET = "|".join(
    (
        r"^[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+$",
        rf"^[0-9]{{1,2}}-{_MONTH}$",
        rf"^{_MONTH}-[0-9]{{2}}$",
        r"^[0-9]{3,}\.0$",
    )
)
"""A long number rounded, a code taken for a day or month, a code taken for a number with a decimal point."""


def is_made_by_a_spreadsheet(texts: pl.Series) -> pl.Series:
    """Which texts are what a spreadsheet or data frame shows after it took a code for a number or a date."""
    return texts.str.contains(BY_A_SPREADSHEET).fill_null(False)


def is_wrongly_decoded(texts: pl.Series) -> pl.Series:
    """Which texts hold characters that no one wrote."""
    return texts.str.contains(WRONGLY_DECODED).fill_null(False)


def stands_for_null(texts: pl.Series, nullable: bool) -> pl.Series:
    """Which texts are a word for NULL. In a column that is never NULL, `NULL` and `N/A` are texts like others."""
    words = (*NEVER_A_TEXT, *IN_PLACE_OF_NULL) if nullable else NEVER_A_TEXT
    return texts.str.strip_chars().is_in(words).fill_null(False)
