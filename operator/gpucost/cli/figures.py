"""Numbers as people read them. Everything that is not known has a word of its own, never a zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from gpucost.core.clock import DAY, HOUR, Instant, format_rfc3339

UNPRICED = "unpriced"
UNKNOWN = "?"
NOT_APPLICABLE = "-"

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_CENT = Decimal("0.01")
_HOURS_PER = {"hour": 1, "day": 24, "month": 730}
"""A month of a rate is 730 hours, a twelfth of a year, as cloud price lists have it."""


def symbol(currency: str) -> str:
    """What stands in front of an amount: `$`, or the code and a space."""
    return _SYMBOLS.get(currency, f"{currency} ")


def money(amount: Decimal | None, currency: str, *, at_least: bool = False, places: int = 2) -> str:
    """An amount such as `$1,030.12`; `at_least` appends a plus, because a part of it is not known."""
    if amount is None:
        return UNPRICED
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    suffix = "+" if at_least else ""
    if places == 2 and 0 < amount < _CENT / 2:
        return f"<{sign}{symbol(currency)}0.01{suffix}"
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{sign}{symbol(currency)}{rounded:,.{places}f}{suffix}"


def quantity(text: str, places: int = 1) -> str:
    """Hours of something such as `1,412.0`; a trace of it is `<0.1`."""
    amount = Decimal(text)
    smallest = Decimal(1).scaleb(-places)
    if 0 < amount < smallest / 2:
        return f"<{smallest}"
    return f"{amount.quantize(smallest, rounding=ROUND_HALF_UP):,.{places}f}"


def percent(ratio: float | Decimal | None, *, none: str = NOT_APPLICABLE) -> str:
    """A share such as `61%`; what is above nothing is never shown as 0 %, what is below all never as 100 %."""
    if ratio is None:
        return none
    if 0 < ratio < Decimal("0.005"):
        return "<1%"
    if Decimal("0.995") <= ratio < 1:
        return ">99%"
    return f"{ratio:.0%}"


@dataclass(frozen=True, slots=True)
class Rate:
    """Turns sums over a span into a mean per hour, day or month (730 hours)."""

    unit: str
    hours: Fraction
    """Length of the span."""

    def of_sum(self, amount: Decimal) -> Decimal:
        """A sum over the span, per unit."""
        exact = Fraction(amount) * _HOURS_PER[self.unit] / self.hours
        return Decimal(round(exact * 10**6)).scaleb(-6)

    def of_hourly(self, amount: Decimal) -> Decimal:
        """A rate per hour, per unit."""
        return amount * _HOURS_PER[self.unit]


def moment(instant: Instant, *, seconds: bool = False) -> str:
    """A UTC time such as `2026-11-24 02:30`."""
    text = format_rfc3339(instant)[:19].replace("T", " ").rstrip("Z")
    return text if seconds else text[:16]


def span(start: Instant, end: Instant) -> str:
    """A span such as `2026-11-24 00:00 to 02:30 UTC`; a date is not said twice."""
    last = moment(end)
    return f"{moment(start)} to {last[11:] if last[:10] == moment(start)[:10] else last} UTC"


def age(seconds: float) -> str:
    """An age such as `40 s`, `12 min`, `3 h`, `2 d`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (2 * DAY // 10**6, HOUR // 10**6, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds * 10**6 / DAY:.0f} d"
