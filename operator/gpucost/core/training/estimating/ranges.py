"""A quantity of which only the bounds are sure: the least, what to expect, and the most."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

Number = int | Fraction | Decimal


class Range(NamedTuple):
    """`low <= typical <= high`, exact."""

    low: Fraction
    typical: Fraction
    high: Fraction

    @classmethod
    def of(cls, low: Number, typical: Number | None = None, high: Number | None = None) -> Range:
        """From bounds; one number alone is sure. Raises `ValueError` for bounds that are not in order."""
        middle = low if typical is None else typical
        found = cls(Fraction(low), Fraction(middle), Fraction(middle if high is None else high))
        if not found.low <= found.typical <= found.high:
            raise ValueError(f"not in order: {low}, {typical}, {high}")
        return found

    def scaled(self, factor: Number) -> Range:
        """Times a factor that is not negative."""
        return Range(*(part * Fraction(factor) for part in self))

    def times(self, other: Range) -> Range:
        """Times another quantity, neither of them negative."""
        return Range(self.low * other.low, self.typical * other.typical, self.high * other.high)

    def under(self, other: Range) -> bool:
        """Whether it is less in each of the three cases."""
        return all(mine < theirs for mine, theirs in zip(self, other, strict=True))
