"""Which texts the font of reports and charts can show, and what stands in place of those that it cannot.

Typst refuses to write a PDF for assistive technology (PDF/UA) if one character has no glyph. Its fallback fonts are no
way out: they have ligatures for which it then refuses the whole document. So only the project's own font is used.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from adventureworks.charts.theme import FONTS
from adventureworks.texts.plain import plain

MISSING = "□"
"""Shown for a character that the font lacks; a sequence that makes one picture is one character."""

_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
"""Two of them make one flag."""
_FORMAT_4, _FORMAT_12 = 4, 12


def displayable(text: str) -> str:
    """The text with a visible sign in place of each character that the font lacks, and without invisible ones."""
    text = plain(text)
    # Nearly every text is of this kind: a report has thousands of them.
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
    """The text in parts of one character each, with the marks, joiners and selectors that belong to it."""
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
    """The characters that are shown as they are where all others of their text are of these, too."""
    shown = {character for character in map(chr, _repertoire()) if unicodedata.category(character) != "Cf"}
    return frozenset(shown.union(map(chr, range(128))))


@lru_cache(maxsize=1)
def _repertoire() -> frozenset[int]:
    """The code points that the font has in every weight, without private ones: those do not mean what was written."""
    shared = set.intersection(*(set(_code_points(file.read_bytes())) for file in sorted(FONTS.glob("*.ttf"))))
    return frozenset(code for code in shared if unicodedata.category(chr(code)) != "Co")


def _code_points(font: bytes) -> Iterator[int]:
    """What the character map of a TrueType font names: https://learn.microsoft.com/typography/opentype/spec/cmap."""
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
