"""Large round numbers as people write them: `7B` parameters, `140B` tokens, `350M`, `1.5T`."""

from __future__ import annotations

import re
from fractions import Fraction

_COUNT = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?([KMBT]?)")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
EXAMPLE = "such as 350M, 7B or 1.5T (K, M, B and T are powers of a thousand)"


def parse_count(text: str) -> int:
    """Read a whole number above zero; anything else is a `ValueError` that says what is right."""
    found = _COUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"not a count: {text!r}; write a number {EXAMPLE}")
    value = Fraction(f"{found[1]}.{found[2] or 0}") * _UNITS[found[3]]
    if value <= 0 or value.denominator != 1:
        raise ValueError(f"not a whole number above zero: {text!r}; write a number {EXAMPLE}")
    return int(value)


def format_count(count: int) -> str:
    """Write a number with three digits at most: 7B, 1.5T, 140B, 999."""
    for unit in ("T", "B", "M", "K"):
        if count >= _UNITS[unit]:
            return f"{float(Fraction(count, _UNITS[unit])):.3g}{unit}"
    return str(count)
