"""Who asked: what was paid for serving, handed to tenants by the time or the tokens of their own requests.

A runtime that labels its series by tenant (a namespace, a team, a customer) tells whose the work was. What no series
names a tenant for stays visible as nobody's, so that the shares always add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from gpucost.core.money import Pico, apportion
from gpucost.core.serving.signals.model import WORK, Work

_EXACT = 1e-9
"""Less than this part of a whole is left over by the arithmetic, and not by somebody."""
NOBODY = ""
"""The tenant of requests that no series names one of."""


class Share(NamedTuple):
    """What was paid for serving: all of an hour, or for one tenant's requests."""

    input: Pico = 0
    output: Pico = 0
    unsplit: Pico = 0

    @property
    def total(self) -> Pico:
        """All of it."""
        return sum(self)


def shares(paid: Share, work: Work, tenants: Mapping[str, Work]) -> dict[str, tuple[Share, Work]]:
    """What each tenant's requests cost, and its work; the shares add up to `paid`."""
    names = sorted(tenants)
    everyone = [*(tenants[name] for name in names), _rest(work, list(tenants.values()))]
    weights = (
        _weights(everyone, "prefill_seconds", "prompt_tokens"),
        _weights(everyone, "decode_seconds", "generation_tokens"),
        _weights(everyone, "generation_tokens", "requests"),
    )
    parts = [_handed_out(amount, of) for amount, of in zip(paid, weights, strict=True)]
    found = [Share(*amounts) for amounts in zip(*parts, strict=True)]
    result = {name: (share, one) for name, share, one in zip(names, found, everyone, strict=False)}
    if found[-1].total or _is_something(everyone[-1]):
        result[NOBODY] = found[-1], everyone[-1]
    return result


def _weights(everyone: Sequence[Work], *names: str) -> list[Fraction]:
    """By the first figure that is known of everyone; without any, it is all the last one's, who is nobody."""
    for name in names:
        found = [getattr(one, name) for one in everyone]
        if all(value is not None for value in found) and sum(found) > 0:
            return [Fraction(value) for value in found]
    return [Fraction(0)] * (len(everyone) - 1) + [Fraction(1)]


def _handed_out(amount: Pico, weights: Sequence[Fraction]) -> list[Pico]:
    whole = sum(weights)
    return apportion([amount * weight / whole for weight in weights], amount)


def _rest(work: Work, parts: Sequence[Work]) -> Work:
    """What is left of the whole; series that are scraped at different moments may make it less than nothing."""
    return Work(*(_left(getattr(work, name), [getattr(part, name) for part in parts]) for name in WORK))


def _left(whole: float | None, parts: Sequence[float | None]) -> float | None:
    if whole is None:
        return None
    left = whole - sum(part or 0.0 for part in parts)
    return left if left > whole * _EXACT else 0.0


def _is_something(work: Work) -> bool:
    return any(getattr(work, name) for name in ("requests", "prompt_tokens", "generation_tokens"))
