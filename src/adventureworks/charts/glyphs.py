"""Replacement of characters for which the font of reports and charts has no glyph.

Typst refuses to write an accessible PDF (PDF/UA) if a single character has no glyph. Fallback fonts do not help: their
ligatures make it refuse the whole document. So only the project's own font is used.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from adventureworks.charts.theme import FONTS
from adventureworks.texts.plain import plain

MISSING = "□"
"""Replaces a character without a glyph; an emoji sequence counts as one character."""

_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
"""Two of them make one flag."""
_FORMAT_4, _FORMAT_12 = 4, 12


def displayable(text: str) -> str:
    """Return the text with `MISSING` for each character that the font lacks, and without invisible characters."""
    text = plain(text)
    # A fast path for nearly all texts: a report has thousands of them.
    if text.isascii() or _visible().issuperset(text):
        return text
    return "".join(_shown(cluster) for cluster in _clusters(text))


def _shown(cluster: str) -> str:
    visible = [character for character in cluster if unicodedata.category(character) != "Cf"]
    shown = "".join(character for character in visible if character.isascii() or ord(character) in _repertoire())
    if not visible or len(shown) == len(visible):
        return shown
    return f"{shown}{MISSING}" if visible[0] == shown[:1] else MISSING


def _clusters(text: str) -> Iterator[str]:
    """Yield the text's characters, each with the marks, joiners and selectors that belong to it."""
    cluster = ""
    for character in text:
        category = unicodedata.category(character)
        belongs = category[0] == "M" or category == "Cf" or ord(character) in _SKIN_TONES or cluster.endswith(_JOINER)
        is_flag = len(cluster) == 1 and ord(cluster) in _FLAG_LETTERS and ord(character) in _FLAG_LETTERS
        if cluster and (belongs or is_flag):
            cluster += character
            continue
        if cluster:
            yield cluster
        cluster = character
    if cluster:
        yield cluster


@lru_cache(maxsize=1)
def _visible() -> frozenset[str]:
    """Return the visible characters: a text of these only is shown unchanged."""
    shown = {character for character in map(chr, _repertoire()) if unicodedata.category(character) != "Cf"}
    return frozenset(shown.union(map(chr, range(128))))


@lru_cache(maxsize=1)
def _repertoire() -> frozenset[int]:
    """Return the code points that every weight of the font has, except private ones, whose glyphs are arbitrary."""
    shared = set.intersection(*(set(_code_points(file.read_bytes())) for file in sorted(FONTS.glob("*.ttf"))))
    return frozenset(code for code in shared if unicodedata.category(chr(code)) != "Co")


def _code_points(font: bytes) -> Iterator[int]:
    """Yield the code points of a TrueType font: https://learn.microsoft.com/typography/opentype/spec/cmap."""
    tables = struct.unpack_from(">H", font, 4)[0]
    records = (struct.unpack_from(">4sIII", font, 12 + 16 * place) for place in range(tables))
    start = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    for place in range(struct.unpack_from(">H", font, start + 2)[0]):
        at = start + struct.unpack_from(">HHI", font, start + 4 + 8 * place)[2]
        kind = struct.unpack_from(">H", font, at)[0]
        if kind == _FORMAT_12:
            for group in range(struct.unpack_from(">I", font, at + 12)[0]):
                first, last, glyph = struct.unpack_from(">III", font, at + 16 + 12 * group)
                yield from range(first + (not glyph), last + 1)
        elif kind == _FORMAT_4:
            doubled = struct.unpack_from(">H", font, at + 6)[0]
            ends = struct.unpack_from(f">{doubled // 2}H", font, at + 14)
            starts = struct.unpack_from(f">{doubled // 2}H", font, at + 16 + doubled)
            for first, last in zip(starts, ends, strict=True):
                yield from range(first, last + (last != 0xFFFF))
