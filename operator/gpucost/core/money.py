"""Amounts of money as integers, and the one rounding rule of the house.

Cost is a rational number while it is computed (`Fraction`), an integer of pico-units (10^-12 of the currency unit) once
it is booked, and a decimal string with six places where people or contracts read it. Parts of a sum are always rounded
together, by largest remainder, so that they add up to the rounded sum exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

Pico = int
"""Booked money: 10^-12 of the currency unit."""

Micro = int
"""Reported money: 10^-6 of the currency unit."""

PICO = 10**12
MICRO = 10**6
PICO_PER_MICRO = PICO // MICRO

_AMOUNT = re.compile(r"\d+(\.\d+)?")


def parse_amount(text: str) -> Decimal:
    """Parse a non-negative decimal string such as `55.04`; anything else (signs, exponents, NaN) is a `ValueError`."""
    if text.startswith("-"):
        raise ValueError(f"must not be negative: {text!r}")
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"not a decimal amount: {text!r} (want for example 55.04)")
    return Decimal(text)


_PLACES = 18


def exact(value: Fraction) -> Decimal:
    """A rational amount per hour as a decimal number: exact where 18 places suffice, else rounded to them (half even).

    A third of a price has no end in decimal; what is cut off is less than 10^-14 of a cent in a year.
    """
    digits, places = round(value * 10**_PLACES), _PLACES
    while places and digits % 10 == 0:
        digits, places = digits // 10, places - 1
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -places))


def half_even(value: Fraction) -> int:
    """Round to the nearest integer, ties to the even one."""
    return round(value)


def divide(numerator: int, denominator: int) -> int:
    """As `half_even` of the quotient, without rational arithmetic; the denominator is positive."""
    floor, rest = divmod(numerator, denominator)
    return floor + (2 * rest > denominator or (2 * rest == denominator and floor % 2))


def to_micro(amount: Pico) -> Micro:
    """Round booked money to micro-units, ties to even."""
    return round(Fraction(amount, PICO_PER_MICRO))


def format_micro(amount: Micro) -> str:
    """Write micro-units as a decimal string with six places."""
    sign = "-" if amount < 0 else ""
    units, rest = divmod(abs(amount), MICRO)
    return f"{sign}{units}.{rest:06d}"


def format_pico(amount: Pico) -> str:
    """Round booked money and write it with six places."""
    return format_micro(to_micro(amount))


def apportion(parts: Sequence[Fraction | int], total: int) -> list[int]:
    """Round non-negative parts to integers that add up to `total` (largest remainder; ties to the earlier part).

    `total` is the rounded sum of the parts. It may be off from the exact sum by a few units (as happens when the total
    was rounded by its own rule); the difference goes, one unit each, to the parts with the largest remainders.
    """
    floors = [part.numerator // part.denominator for part in parts]
    missing = total - sum(floors)
    if missing == 0:
        return floors
    if not floors:
        raise ValueError(f"nothing to apportion {total} to")
    order = sorted(range(len(floors)), key=lambda i: (floors[i] - parts[i], i))  # largest remainder first
    if missing < 0:
        order.reverse()
    step = 1 if missing > 0 else -1
    for turn in range(abs(missing)):
        floors[order[turn % len(order)]] += step
    return floors


def apportion_over(numerators: Sequence[int], denominator: int) -> list[int]:
    """Round parts that share a denominator to integers that add up to their rounded sum, as `apportion` does.

    The sum is rounded half to even. Integers only: this runs for every pod at every pass.
    """
    floors, remainders = [], []
    for numerator in numerators:
        floor, remainder = divmod(numerator, denominator)
        floors.append(floor)
        remainders.append(remainder)
    missing, rest = divmod(sum(remainders), denominator)
    if 2 * rest > denominator or (2 * rest == denominator and (sum(floors) + missing) % 2):
        missing += 1
    if missing:
        order = sorted(range(len(floors)), key=remainders.__getitem__, reverse=True)  # stable: ties to the earlier
        for index in order[:missing]:
            floors[index] += 1
    return floors
