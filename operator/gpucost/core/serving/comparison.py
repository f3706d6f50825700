"""What the next token costs, and what somebody else would ask for the same work.

The average price of a token has everything in it that was paid. The marginal one is what tokens cost where replicas are
used as far as the objective allows: below that the next request is served by what is paid for already, and beyond it
another replica is needed, at that price.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from gpucost.core.clock import HOUR
from gpucost.core.money import PICO, Pico
from gpucost.core.serving.signals.model import ReplicaCapacity, Work
from gpucost.core.serving.spec import ApiPrice
from gpucost.core.serving.unit_cost import UnitCost

MILLION = 1_000_000


def marginal_per_request(replica_hourly: Pico | None, capacity: ReplicaCapacity) -> Fraction | None:
    """Price of a request on a replica that serves all it can; None while the price or the capacity is unknown."""
    if replica_hourly is None or not capacity.requests_per_second:
        return None
    return Fraction(replica_hourly) / (Fraction(capacity.requests_per_second) * 3600)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same work at somebody's price."""

    name: str
    own: Pico
    """What the time cost of which the work is known."""
    theirs: Fraction
    """What they would have asked for that work, in pico-units."""
    even_at: Fraction | None
    """Requests an hour, of the present mix, from which on the present replicas are the cheaper ones."""
    even_at_capacity: bool | None
    """Whether replicas that serve all they can are cheaper; None while that is unknown. False: never at this price."""

    @property
    def saved(self) -> Fraction:
        """What serving it oneself saved; negative when it was dearer."""
        return self.theirs - self.own


def comparison(price: ApiPrice, costs: UnitCost, marginal: Fraction | None = None) -> Comparison | None:
    """Compare with a price; None while tokens are not counted."""
    theirs = asked(price, costs.work)
    if theirs is None or not theirs:
        return None
    requests = costs.work.requests
    even = cheaper = None
    if requests:
        per_request = theirs / Fraction(requests)
        if costs.covered:
            even = Fraction(costs.split.known) * HOUR / costs.covered / per_request
        cheaper = None if marginal is None else marginal < per_request
    return Comparison(price.name, costs.split.known, theirs, even, cheaper)


def asked(price: ApiPrice, work: Work) -> Fraction | None:
    """What some work would cost elsewhere, in pico-units; None where tokens of a kind are not counted."""
    prompt, generated = work.prompt_tokens, work.generation_tokens
    if prompt is None or generated is None:
        return None
    amount = Fraction(prompt) * Fraction(price.input) + Fraction(generated) * Fraction(price.output)
    return amount * PICO / MILLION
