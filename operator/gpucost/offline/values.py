"""Times, money and quantities of a scenario as exact integers.

The core's parsers are right and general; these take the forms that almost every value has first, because a scenario has
millions of them, and leave everything else to the core. All raise `ValueError` with what is wrong.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, parse_rfc3339
from gpucost.core.money import parse_amount
from gpucost.core.offline import ACTIVE, PRICE_UNIT
from gpucost.core.quantity import parse_quantity

CPU_PER_CORE = 10**9
"""CPU is counted in nanocores, in which metrics report it."""

_NANO_PER_MILLI = CPU_PER_CORE // 1000
_LARGEST = 1 << 63
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXPONENT = re.compile(r"[eE][+-]?(\d+)$", re.ASCII)
_LONGEST = 64
_CACHED = 1 << 12
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_FEW = 9  # digits, of which no unit that is treated specially makes too large a number


def instant(text: str) -> Instant:
    """An RFC 3339 time.

    Times in UTC and whole seconds are looked up: the day among those seen before, the rest in three small tables.
    """
    try:
        return _DAYS[text[:11]] + _HOURS[text[11:13]] + _MINUTES[text[13:16]] + _SECONDS[text[16:]]
    except KeyError:
        return _new_instant(text)


_DAYS: dict[str, Instant] = {}
_HOURS = {f"{hour:02}": hour * HOUR for hour in range(24)}
_MINUTES = {f":{minute:02}": minute * MINUTE for minute in range(60)}
_SECONDS = {f":{second:02}Z": second * SECOND for second in range(60)}
_MOST = 10_000
_FIRST, _LAST = parse_rfc3339("0001-01-01T00:00:00Z"), parse_rfc3339("9999-12-31T23:59:59Z")


def _new_instant(text: str) -> Instant:
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"not an RFC 3339 time: {text!r} (want 2026-11-01T00:00:00Z)")
    moment = parse_rfc3339(text.upper())
    if not _FIRST <= moment < _LAST:
        raise ValueError(f"not a time between the years 1 and 9999 UTC: {text!r}")
    if text[10] == "T" and text[-1] == "Z" and len(_DAYS) < _MOST:
        _DAYS[text[:11]] = moment - moment % DAY
    return moment


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


def any_cpu(text: str) -> int:
    """A quantity of CPU in nanocores, rounded up."""
    digits, unit = (text[:-1], _NANO_PER_MILLI) if text[-1:] == "m" else (text, CPU_PER_CORE)
    if digits.isdigit() and digits.isascii() and len(digits) < _FEW:
        return int(digits) * unit
    return _rounded_up(_quantity(text) * CPU_PER_CORE, text)


def any_whole(text: str) -> int:
    """A quantity of bytes, rounded up."""
    unit = _BINARY.get(text[-2:])
    digits = text[:-2] if unit else text
    if digits.isdigit() and digits.isascii() and len(digits) < _FEW:
        return int(digits) * (unit or 1)
    return _rounded_up(_quantity(text), text)


cpu = lru_cache(maxsize=_CACHED)(any_cpu)
"""`any_cpu` for what repeats, as requests do and use does not."""

whole = lru_cache(maxsize=_CACHED)(any_whole)
"""`any_whole` for what repeats."""


@lru_cache(maxsize=1 << 10)
def units(text: str) -> int:
    """A quantity of devices: whole numbers only."""
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


def cpu_used(value: str | float) -> int:
    """CPU as in `usage`: a quantity, or a number of cores."""
    return any_cpu(value) if isinstance(value, str) else _number(value, CPU_PER_CORE)


def memory_used(value: str | float) -> int:
    """Memory as in `usage`: a quantity, or a number of bytes."""
    return any_whole(value) if isinstance(value, str) else _number(value, 1)


def _number(value: float, scale: int) -> int:
    text = str(value)
    return _rounded_up(Fraction(text) * scale, text)


def activity(value: str | float) -> int:
    """`gpuActive` in 1/ACTIVE."""
    if isinstance(value, str):
        value = float(parse_amount(value) if len(value) <= _LONGEST else Decimal(2))
    if not 0 <= value <= 1:
        raise ValueError(f"want a number from 0 to 1, not {value!r:.40}")
    return round(value * ACTIVE)
