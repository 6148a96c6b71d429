"""SQL Server's `hierarchyid`, a position in a tree: the path `/1/2/` and its binary form, as hexadecimal digits.

Each number of a path is a group of bits that begins with a prefix for its range. The bits of all groups, padded with
zeros to whole bytes, are the value; the root is empty. `/1.3/` sorts between `/1/` and `/2/`: within a level, only the
last number ends with the bit 1, and the others are stored increased by one.

The format is not documented by Microsoft. The ranges are those found by inspection:
http://www.adammil.net/blog/v100_how_the_SQL_Server_hierarchyid_data_type_works_kind_of_.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PATH = re.compile(r"^/(-?\d+(\.-?\d+)*/)*$")
DIGITS = re.compile(r"^(?:0x|\\x)?((?:[0-9A-Fa-f]{2})*)$")


@dataclass(frozen=True)
class _Range:
    """The numbers from `first` on with the same layout: each `x` is a bit of the number less `first`."""

    first: int
    layout: str

    @property
    def count(self) -> int:
        return 2 ** self.layout.count("x")

    def encoded(self, number: int) -> str:
        digits = iter(f"{number - self.first:0{self.layout.count('x')}b}")
        return "".join(next(digits) if bit == "x" else bit for bit in self.layout)

    def matches(self, bits: str) -> bool:
        fits = (bit in ("x", given) for bit, given in zip(self.layout, bits, strict=False))
        return len(bits) >= len(self.layout) and all(fits)


_RANGES = (
    _Range(0, "01xx"),
    _Range(4, "100xx"),
    _Range(8, "101xxx"),
    _Range(16, "110xx0x1xxx"),
    _Range(80, "1110xxx0xxx0x1xxx"),
    _Range(1104, "11110xxxxx0xxx0x1xxx"),
    _Range(5200, "111110xxxxxxxxxxxxxxxxxxx0xxxxxx0xxx0x1xxx"),
    _Range(4294972496, "111111xxxxxxxxxxxxxx0xxxxxxxxxxxxxxxxxxxxx0xxxxxx0xxx0x1xxx"),
    _Range(-8, "00111xxx"),
    _Range(-72, "0010xx0x1xxx"),
    _Range(-4168, "000110xxxxx0xxx0x1xxx"),
    _Range(-4294971464, "000101xxxxxxxxxxxxxxxxxxx0xxxxxx0xxx0x1xxx"),
    _Range(-281479271682120, "000100xxxxxxxxxxxxxx0xxxxxxxxxxxxxxxxxxxxx0xxxxxx0xxx0x1xxx"),
)


def encoded(path: str) -> str:
    """Return the hexadecimal form of a path. Raises `ValueError` if it is not a path, or a number is out of range."""
    if not PATH.match(path):
        raise ValueError(f"{path!r} is not the path of a hierarchyid")
    bits = ""
    for level in path.strip("/").split("/") if path != "/" else []:
        numbers = [int(number) for number in level.split(".")]
        for number in numbers[:-1]:
            bits += _layout_of(number + 1).encoded(number + 1) + "0"
        bits += _layout_of(numbers[-1]).encoded(numbers[-1]) + "1"
    return "".join(f"{int(bits[start : start + 8].ljust(8, '0'), 2):02X}" for start in range(0, len(bits), 8))


def level(text: str) -> int:
    """Return the number of levels below the root, of a path or of hexadecimal digits.

    Raises `ValueError` if the text is neither.
    """
    if PATH.match(text):
        return text.count("/") - 1
    digits = DIGITS.match(text)
    ends = list(_groups(digits[1])) if digits else [False]
    if ends and not ends[-1]:
        raise ValueError(f"{text!r} is not a hierarchyid")
    return sum(ends)


def _groups(digits: str) -> Iterator[bool]:
    """Yield, for each number, whether it is the last one of its level; at last False if the bits are not numbers."""
    bits = "".join(f"{value:08b}" for value in bytes.fromhex(digits))
    # The rest of the last byte is zeros.
    while "1" in bits or len(bits) >= 8:
        found = next((known for known in _RANGES if known.matches(bits)), None)
        if found is None or len(bits) == len(found.layout):
            yield False
            return
        yield bits[len(found.layout)] == "1"
        bits = bits[len(found.layout) + 1 :]


def _layout_of(number: int) -> _Range:
    for known in _RANGES:
        if known.first <= number < known.first + known.count:
            return known
    raise ValueError(f"{number} is out of range for a hierarchyid")
