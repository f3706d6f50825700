"""How booked amounts become six decimals: always together with their siblings, so that what is written adds up."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gpucost.core.clock import HOUR, Micros
from gpucost.core.money import MICRO, PICO_PER_MICRO, Micro, Pico, apportion, format_micro, to_micro


def round_together(parts: Sequence[Pico], total: Pico) -> list[Micro]:
    """Round booked amounts to micro-units so that they add up to the rounded total (largest remainder)."""
    return apportion([Fraction(part, PICO_PER_MICRO) for part in parts], to_micro(total)) if parts else []


def parts_of(parts: Sequence[Pico], cost: Micro) -> list[Micro]:
    """Parts of a row, made to add up to its rounded cost where they are parts of that cost at all."""
    if abs(Fraction(sum(parts), PICO_PER_MICRO) - cost) >= 1:
        return [to_micro(part) for part in parts]
    return apportion([Fraction(part, PICO_PER_MICRO) for part in parts], cost)


def read_micro(text: str) -> Micro:
    """Read back what `format_micro` wrote."""
    return int(text.replace(".", ""))


def hours(time: Micros | Fraction) -> str:
    """Something-microseconds as something-hours with six decimals."""
    return format_micro(round(Fraction(time) * MICRO / HOUR))


def ratio(value: Fraction | None) -> float | None:
    """A share from 0 to 1 with six decimals."""
    return None if value is None else float(round(min(max(value, Fraction(0)), Fraction(1)), 6))
