"""Reproducible random numbers: the same seed and name produce the same numbers on every machine.

Only the raw output of PCG64, which numpy guarantees to keep stable, and integer arithmetic on it are used. Numpy's
distributions and floating-point functions may differ between versions and processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_DASHES = (8, 13, 18, 23)


class Draw:
    """An independent random stream, so that one table's numbers do not depend on another's."""

    def __init__(self, seed: int, name: str) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, crc32(name.encode())]))

    def raw(self, n: int) -> npt.NDArray[np.uint64]:
        """Return n random 64-bit numbers."""
        return self._bits.random_raw(n)

    def below(self, n: int, high: int | Integers) -> Integers:
        """Return whole numbers from 0 to `high` − 1; `high` is at most 2³¹, one value for all or one per number."""
        span = np.asarray(high).astype(np.uint64)
        return (((self.raw(n) >> np.uint64(32)) * span) >> np.uint64(32)).astype(np.int64)

    def between(self, n: int, low: int, high: int) -> Integers:
        """Return whole numbers from `low` to `high`, both included."""
        return low + self.below(n, high - low + 1)

    def chance(self, n: int, per_10000: int | Integers) -> Flags:
        """Return flags that are True with the given probability in ten-thousandths."""
        return self.below(n, 10_000) < per_10000

    def index(self, n: int, weights: Sequence[int] | Integers) -> Integers:
        """Return positions in `weights`, each with a probability in proportion to its weight."""
        steps = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(steps, self.below(n, int(steps[-1])), side="right").astype(np.int64)

    def skewed(self, n: int, high: int, power: int) -> Integers:
        """Return whole numbers from 0 to `high` − 1; a greater `power` favours small ones (1: evenly distributed)."""
        unit = self.below(n, 1 << 16)
        value = unit
        for _ in range(power - 1):
            value = (value * unit) >> 16
        return (value * high) >> 16

    def bell(self, n: int, spread: int) -> Integers:
        """Return whole numbers around 0 with about the given standard deviation, never beyond 3.5 times it."""
        bits = self.raw(n)
        pieces = [((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48)]
        return (sum(pieces, np.zeros(n, dtype=np.int64)) - 131_070) * spread // 37_837

    def shuffled(self, n: int) -> Integers:
        """Return the numbers 0 to n − 1 in random order."""
        return np.argsort(self.raw(n), kind="stable").astype(np.int64)

    def chosen(self, n: int, count: int) -> Flags:
        """Return n flags, exactly `count` of them True."""
        flags = np.zeros(n, dtype=bool)
        flags[self.shuffled(n)[:count]] = True
        return flags

    def guids(self, n: int) -> pa.Array:
        """Return version 4 UUIDs as lower-case text."""
        octets = self.raw(2 * n).view(np.uint8).reshape(n, 16).copy()
        octets[:, 6] = (octets[:, 6] & 0x0F) | 0x40
        octets[:, 8] = (octets[:, 8] & 0x3F) | 0x80
        digits = _hex_digits(octets)
        letters = np.full((n, 36), ord("-"), dtype=np.uint8)
        letters[:, [place for place in range(36) if place not in _DASHES]] = digits
        return fixed_width(letters)

    def letters(self, n: int, alphabet: str, length: int) -> pa.Array:
        """Return texts of `length` characters from an ASCII alphabet."""
        choice = np.frombuffer(alphabet.encode("ascii"), dtype=np.uint8)
        return fixed_width(choice[self.below(n * length, len(choice))].reshape(n, length))


def fixed_width(letters: npt.NDArray[np.uint8]) -> pa.Array:
    """Return a column of texts from a matrix of ASCII characters, one text per row."""
    rows, width = letters.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(letters)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def hexadecimal(octets: npt.NDArray[np.uint8]) -> pa.Array:
    """Return a column of upper-case hexadecimal texts from a matrix of bytes."""
    digits = _hex_digits(octets)
    return fixed_width(np.where(digits >= ord("a"), digits - 32, digits).astype(np.uint8))


def _hex_digits(octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    digits = np.empty((octets.shape[0], octets.shape[1] * 2), dtype=np.uint8)
    digits[:, 0::2] = _HEX[octets >> 4]
    digits[:, 1::2] = _HEX[octets & 15]
    return digits
