"""Kubernetes quantities as exact integers.

The parser of the official client lives in a package that costs 50 MiB to import, which the operator avoids; the grammar
is small and given in the Kubernetes API reference (`Quantity`).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?")
_MOST_DIGITS = 64
"""Of a number, and of its exponent's value: `1e999999999` is short, and the integer that it stands for is not."""
_SUFFIX: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Fraction:
    """Parse a quantity such as `500m`, `128Gi`, `1e3` or `8`; malformed text is a `ValueError`."""
    match = _QUANTITY.fullmatch(text)
    if match is None or len(match[1]) > _MOST_DIGITS or _exponent(match[2]) > _MOST_DIGITS:
        text = text if len(text) <= _MOST_DIGITS else text[:_MOST_DIGITS] + "…"
        raise ValueError(f"not a Kubernetes quantity: {text!r} (want for example 500m, 8 or 128Gi)")
    number, suffix = Fraction(match[1]), match[2]
    if not suffix:
        return number
    if suffix in _SUFFIX:
        return number * _SUFFIX[suffix]
    return number * Fraction(10) ** int(suffix[1:])


def _exponent(suffix: str | None) -> int:
    """How large an exponent is, whatever its sign; 0 where there is none."""
    if not suffix or suffix in _SUFFIX:
        return 0
    return abs(int(suffix[1:])) if len(suffix) < 8 else _MOST_DIGITS + 1


def milli(text: str) -> int:
    """Parse a quantity into thousandths, rounded up as the scheduler does."""
    return -int(-parse_quantity(text) * 1000 // 1)


def whole(text: str) -> int:
    """Parse a quantity into whole units (bytes, devices), rounded up as the scheduler does."""
    return -int(-parse_quantity(text) // 1)
