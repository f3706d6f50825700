"""Times, money and quantities of a scenario as exact integers.

The core's parsers are right and general; these take the forms that almost every value has first, because a scenario has
millions of them, and leave everything else to the core. Where texts repeat they are looked up, which costs no call of a
Python function: that is what `Known` is for. All raise `ValueError` with what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, parse_rfc3339
from gpucost.core.money import parse_amount
from gpucost.core.offline import ACTIVE, PRICE_UNIT, UNKNOWN
from gpucost.core.quantity import parse_quantity

CPU_PER_CORE = 10**9
"""CPU is counted in nanocores, in which metrics report it."""

_NANO_PER_MILLI = CPU_PER_CORE // 1000
_LARGEST = 1 << 63
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXPONENT = re.compile(r"[eE][+-]?(\d+)$", re.ASCII)
_LONGEST = 64
_POWERS = [10**places for places in range(_LONGEST + 1)]
_CACHED = 1 << 14
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_PLAIN = 1 << 40
_FEW = 9  # digits, of which no unit that is treated specially makes too large a number


class Known(dict[Any, int]):
    """What texts say: read once, then looked up. Bounded, so that a file without repetition does not fill memory.

    Large numbers are read every time: there an integer and a float may be equal as keys and differ in their digits.
    """

    def __init__(self, parse: Callable[[Any], int], given: Mapping[Any, int] | None = None) -> None:
        super().__init__(given or {})
        self.parse = parse

    def __missing__(self, value: Any) -> int:
        """Read what is new; whatever the parser raises goes on to the caller, and is raised again next time."""
        found = self.parse(value)
        if len(self) < _CACHED and (type(value) is str or -_PLAIN < value < _PLAIN):
            self[value] = found
        return found


def instant(text: str) -> Instant:
    """An RFC 3339 time.

    Times in UTC and whole seconds are put together: the hour among those seen before, the rest in two small tables.
    """
    try:
        return _HOURS[text[:13]] + _MINUTES[text[13:16]] + _SECONDS[text[16:]]
    except KeyError:
        return _new_instant(text)


_HOURS: dict[str, Instant] = {}
_MINUTES = {f":{minute:02}": minute * MINUTE for minute in range(60)}
_SECONDS = {f":{second:02}Z": second * SECOND for second in range(60)}
_MOST = 100_000
_FIRST, _LAST = parse_rfc3339("0001-01-01T00:00:00Z"), parse_rfc3339("9999-12-31T23:59:59Z")


def _new_instant(text: str) -> Instant:
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"not an RFC 3339 time: {text!r} (want 2026-11-01T00:00:00Z)")
    moment = parse_rfc3339(text.upper())
    if not _FIRST <= moment < _LAST:
        raise ValueError(f"not a time between the years 1 and 9999 UTC: {text!r}")
    if text[10] == "T" and text[-1] == "Z" and len(_HOURS) < _MOST:
        _HOURS[text[:13]] = moment - moment % HOUR
    return moment


TIMES = Known(instant)
"""RFC 3339 times of prices and samples, which many have in common; pods come and go at times of their own."""


def hourly(text: str) -> tuple[int, int]:
    """A price as an integer and how many of its digits are decimals."""
    whole, dot, decimals = text.partition(".")
    digits = whole + decimals
    if not (digits.isdigit() and digits.isascii() and whole and (decimals or not dot) and len(text) <= _LONGEST):
        parse_amount(text)
        raise ValueError(f"not a decimal amount: {text!r} (want for example 55.04)")
    return int(digits), len(decimals)


def price_unit(decimals: int) -> int:
    """Part of a currency unit in which prices of so many decimals are whole."""
    return max(PRICE_UNIT, int(10**decimals))


def cpu_used(text: str | float) -> int:
    """A quantity of CPU, or a number of cores, in nanocores, rounded up."""
    if not isinstance(text, str):
        return _number(text, CPU_PER_CORE)
    digits, unit = (text[:-1], _NANO_PER_MILLI) if text[-1:] == "m" else (text, CPU_PER_CORE)
    if digits.isdigit() and digits.isascii() and len(digits) < _FEW:
        return int(digits) * unit
    return _rounded_up(_quantity(text) * CPU_PER_CORE, text)


def _whole(text: str | float) -> int:
    """A quantity or number of bytes, rounded up."""
    if not isinstance(text, str):
        return _number(text, 1)
    unit = _BINARY.get(text[-2:])
    digits = text[:-2] if unit else text
    if digits.isdigit() and digits.isascii() and len(digits) < _FEW:
        return int(digits) * (unit or 1)
    return _rounded_up(_quantity(text), text)


def _units(text: str) -> int:
    amount = _quantity(text)
    if amount.denominator != 1:
        raise ValueError(f"not a whole number of devices: {text!r}")
    return _rounded_up(amount, text)


def _quantity(text: str) -> Fraction:
    exponent = _EXPONENT.search(text)
    if len(text) > _LONGEST or not text.isascii() or (exponent and len(exponent[1]) > 2):
        raise ValueError(f"not a Kubernetes quantity: {text!r} (want for example 500m, 8 or 128Gi)")
    return parse_quantity(text)


def _rounded_up(amount: Fraction, text: str) -> int:
    if amount < 0:
        raise ValueError(f"must not be negative: {text!r}")
    return _limited(-(-amount.numerator // amount.denominator), text)


def _limited(amount: int, text: str) -> int:
    if amount >= _LARGEST:
        raise ValueError(f"too large: {text!r}")
    return amount


def _number(value: float, scale: int) -> int:
    """A number as it would be written, times a scale and rounded up."""
    text = str(value)
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if digits.isdigit() and len(digits) <= _LONGEST:
        return _limited(-(-int(digits) * scale // _POWERS[len(decimals)]), text)
    return _rounded_up(Fraction(text) * scale, text)


def _activity(value: str | float) -> int:
    if isinstance(value, str):
        value = float(parse_amount(value) if len(value) <= _LONGEST else Decimal(2))
    if not 0 <= value <= 1:
        raise ValueError(f"want a number from 0 to 1, not {value!r:.40}")
    return round(value * ACTIVE)


CPU = Known(cpu_used, {None: 0})
"""CPU in nanocores: a quantity, or as in `usage` a number of cores, or None, which is unknown and does not count."""

MEMORY = Known(_whole, {None: 0})
"""Memory in bytes: a quantity, or as in `usage` a number or None."""

ACTIVITY = Known(_activity, {None: UNKNOWN})
"""`gpuActive` in 1/ACTIVE."""

UNITS = Known(_units)
"""Quantities of devices: whole numbers only."""

cpu: Callable[[str], int] = CPU.__getitem__
whole: Callable[[str], int] = MEMORY.__getitem__
units: Callable[[str], int] = UNITS.__getitem__
