"""Times, money and quantities of a scenario as exact integers.

The core's parsers are right and general; these take the forms that almost every value has first, because a scenario has
millions of them, and leave everything else to the core. All raise `ValueError` with what is wrong.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from gpucost.core.clock import DAY, SECOND, Instant, parse_rfc3339
from gpucost.core.money import parse_amount
from gpucost.core.offline import ACTIVE, PRICE_UNIT
from gpucost.core.quantity import parse_quantity

CPU_PER_CORE = 10**9
"""CPU is counted in nanocores, in which metrics report it."""

_NANO_PER_MILLI = CPU_PER_CORE // 1000
_LARGEST = 1 << 63
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - both times are read as UTC
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXPONENT = re.compile(r"[eE][+-]?(\d+)$", re.ASCII)
_LONGEST = 64
_CACHED = 1 << 16
"""Requests repeat; so do times of day, which are at most 86,400 unless there are fractions of seconds."""


def instant(text: str) -> Instant:
    """An RFC 3339 time.

    A time is the sum of its day and its time of day, and of either there are few: those seen before are looked up.
    """
    try:
        return _DAYS[text[:11]] + _CLOCKS[text[11:]]
    except KeyError:
        return _new_instant(text)


_DAYS: dict[str, Instant] = {}
_CLOCKS: dict[str, Instant] = {}
_MOST = 10_000


def _new_instant(text: str) -> Instant:
    if len(text) != 20 or text[19] != "Z" or text[10] != "T" or text[7] != "-":
        if not _RFC3339.fullmatch(text):
            raise ValueError(f"not an RFC 3339 time: {text!r} (want 2026-11-01T00:00:00Z)")
        return parse_rfc3339(text.upper())
    try:
        since = datetime.fromisoformat(text[:19]) - _EPOCH
    except ValueError:
        return parse_rfc3339(text)
    day, clock = since.days * DAY, since.seconds * SECOND
    if len(_DAYS) < _MOST:
        _DAYS[text[:11]], _CLOCKS[text[11:]] = day, clock  # there are no more than 86,400 times of day
    return day + clock


def hourly(text: str) -> tuple[int, int]:
    """A price as an integer and how many of its digits are decimals."""
    whole, _, decimals = text.partition(".")
    if len(text) > _LONGEST or not (text.isascii() and whole.isdigit() and (decimals.isdigit() or whole == text)):
        parse_amount(text)
        raise ValueError(f"not a decimal amount: {text!r} (want for example 55.04)")
    return int(whole + decimals), len(decimals)


def price_unit(decimals: int) -> int:
    """Part of a currency unit in which prices of so many decimals are whole."""
    return max(PRICE_UNIT, int(10**decimals))


@lru_cache(maxsize=_CACHED)
def cpu(text: str) -> int:
    """A quantity of CPU in nanocores, rounded up."""
    if text.isdigit() and text.isascii():
        return _limited(int(text) * CPU_PER_CORE, text)
    if text[-1:] == "m" and text[:-1].isdigit() and text.isascii():
        return _limited(int(text[:-1]) * _NANO_PER_MILLI, text)
    return _rounded_up(_quantity(text) * CPU_PER_CORE, text)


@lru_cache(maxsize=_CACHED)
def whole(text: str) -> int:
    """A quantity of bytes, rounded up."""
    if text[-2:] == "Gi" and text[:-2].isdigit() and text.isascii():
        return _limited(int(text[:-2]) << 30, text)
    return _rounded_up(_quantity(text), text)


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
    return cpu(value) if isinstance(value, str) else _number(value, CPU_PER_CORE)


def memory_used(value: str | float) -> int:
    """Memory as in `usage`: a quantity, or a number of bytes."""
    return whole(value) if isinstance(value, str) else _number(value, 1)


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
