"""What a token and a request cost: the money of the pods, hour by hour, handed to what they did in it.

Each hour's cost is the ledger's, and its parts add up to it to the last pico-unit: what was paid for reading prompts,
for writing answers, for pods that waited for requests, for pods that were starting, and for time of which nobody knows
what it was spent on. Prices per unit are quotients of sums over the same hours, so that unit price times units is the
cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from operator import add
from typing import NamedTuple

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.money import Pico, apportion
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.tenants import Share, shares
from gpucost.core.serving.work_hours import NO_WORK, WorkHour


@dataclass(frozen=True, slots=True)
class HourCost:
    """What the endpoint's pods cost in (the part so far of) one hour, by the ledger."""

    hour: Instant
    cost: Pico
    held: Micros
    """Pod-microseconds that were paid for."""
    unpriced: Micros = 0
    """The part of them that has no price: then the cost is not all there was, and no price per unit follows from it."""


Phases = tuple[Fraction, Fraction]
"""Shares of prefill and decode in the time of work."""


class Split(NamedTuple):
    """Parts of a cost, which add up to it."""

    input: Pico = 0
    """Reading prompts, by measured prefill time."""
    output: Pico = 0
    """Writing answers, by measured decode time."""
    unsplit: Pico = 0
    """Serving, where the runtime does not tell prefill from decode."""
    idle: Pico = 0
    """Pods without a request."""
    starting: Pico = 0
    """Pods that were not ready yet."""
    unknown: Pico = 0
    """Time of which nobody knows what it was spent on, or which lacks a price."""

    @property
    def total(self) -> Pico:
        """All of it."""
        return sum(self)

    @property
    def serving(self) -> Pico:
        """What was paid for work."""
        return self.input + self.output + self.unsplit

    @property
    def known(self) -> Pico:
        """Of the time in which the work is known."""
        return self.total - self.unknown

    def plus(self, other: Split) -> Split:
        """Part by part."""
        return Split(*map(add, self, other))


@dataclass(frozen=True, slots=True)
class UnitCost:
    """Costs of a window and what was done for them."""

    split: Split = field(default_factory=Split)
    work: Work = NO_WORK
    """Of the hours whose cost is handed to work; None where the runtime does not tell."""
    tenants: Mapping[str, tuple[Share, Work]] = field(default_factory=dict)
    """Their shares add up to what was paid for serving."""
    uncertain: Micros = 0
    """Time in which some of the work is missing: tokens seem dearer there than they were."""
    covered: Micros = 0
    """Time of which the work is known, in the hours whose cost is handed to it."""

    # --- all in: every known cost is spread over the work -------------------------------------------------------------

    @property
    def per_token(self) -> Fraction | None:
        """Of any kind."""
        return _over(Fraction(self.split.known), self.work.tokens)

    @property
    def per_input_token(self) -> Fraction | None:
        """With its part of what idle and starting pods cost; None where serving could not be split."""
        return self._loaded(self.split.input, self.work.prompt_tokens)

    @property
    def per_output_token(self) -> Fraction | None:
        """As `per_input_token`."""
        return self._loaded(self.split.output, self.work.generation_tokens)

    @property
    def per_request(self) -> Fraction | None:
        """Of everything that is known."""
        return _over(Fraction(self.split.known), self.work.requests)

    def _loaded(self, part: Pico, units: float | None) -> Fraction | None:
        split = self.split
        if split.unsplit or not split.serving:
            return None
        return _over(Fraction(split.known) * part / split.serving, units)

    # --- while serving ------------------------------------------------------------------------------------------------

    @property
    def serving_per_input_token(self) -> Fraction | None:
        """Without idle and starting pods."""
        return None if self.split.unsplit else _over(Fraction(self.split.input), self.work.prompt_tokens)

    @property
    def serving_per_output_token(self) -> Fraction | None:
        """As `serving_per_input_token`."""
        return None if self.split.unsplit else _over(Fraction(self.split.output), self.work.generation_tokens)

    @property
    def serving_per_token(self) -> Fraction | None:
        """Of any kind, without idle and starting pods."""
        return _over(Fraction(self.split.serving), self.work.tokens)

    @property
    def serving_per_request(self) -> Fraction | None:
        """As `serving_per_token`."""
        return _over(Fraction(self.split.serving), self.work.requests)

    @property
    def cache_hits(self) -> Fraction | None:
        """Share of the prompt tokens that were found in the prefix cache; None: unknown, or nothing was asked."""
        hits, asked = self.work.cache_hits, self.work.cache_queries
        if asked is None:  # who counts no look-ups looks all of them up
            asked = self.work.prompt_tokens
        return None if hits is None else _over(Fraction(hits), asked)


def unit_cost(hours: Iterable[tuple[HourCost, WorkHour | None]], rest: Pico = 0) -> UnitCost:
    """Costs and work of some hours; `rest` is a cost of the window of which no hour is told any more."""
    split, work, uncertain, covered = Split(unknown=rest), NO_WORK, 0, 0
    tenants: dict[str, tuple[Share, Work]] = {}
    for cost, done, part in split_hours(hours):
        split = split.plus(part)
        if done is None or not _counts(cost, part):
            continue
        work, uncertain, covered = work + done.work, uncertain + done.uncertain, covered + done.covered
        for name, (share, units) in shares(Share(*part[:3]), done.work, done.tenants).items():
            before, known = tenants.get(name, (Share(), NO_WORK))
            tenants[name] = Share(*map(add, before, share)), known + units
    return UnitCost(split, work, tenants, uncertain, covered)


def _counts(cost: HourCost, part: Split) -> bool:
    """Whether an hour's work has a cost: where pods had no price, a quotient would say that tokens were cheaper."""
    return not cost.unpriced and part.known > 0


def split_hours(
    hours: Iterable[tuple[HourCost, WorkHour | None]],
) -> Iterator[tuple[HourCost, WorkHour | None, Split]]:
    """Each hour with the parts of its cost."""
    hours = list(hours)
    usual = _phases(sum((done.work for _, done in hours if done is not None), NO_WORK))
    for cost, done in hours:
        yield cost, done, split_hour(cost, done, usual)


def split_hour(cost: HourCost, done: WorkHour | None, usual: Phases | None = None) -> Split:
    """Hand out what an hour cost by pod time, and what was paid for serving by measured time of work.

    Servers tell prefill and decode of requests that have ended. Where none has, and still something was written,
    `usual` says how such time is spent: one answer that goes on over the hour must not leave the day without a price.
    """
    if done is None or not cost.cost or cost.unpriced:
        return Split(unknown=cost.cost)
    told = done.busy + done.idle + done.starting
    whole = max(cost.held, told, 1)
    at_work = done.busy or min(done.idle, _processing(done.work))
    times = [at_work, done.idle - (at_work - done.busy), done.starting, whole - told]
    busy, idle, starting, unknown = apportion([Fraction(cost.cost * time, whole) for time in times], cost.cost)
    phases = _phases(done.work)
    if phases is None and done.work.decode_seconds == 0 and done.work.generation_tokens:
        phases = usual
    if phases is not None:
        reading, writing = apportion([busy * phase for phase in phases], busy)
        return Split(input=reading, output=writing, idle=idle, starting=starting, unknown=unknown)
    if not any((done.work.prompt_tokens, done.work.generation_tokens, done.work.requests)):
        return Split(idle=idle, starting=starting, unknown=unknown + busy)
    return Split(unsplit=busy, idle=idle, starting=starting, unknown=unknown)


def _processing(work: Work) -> Micros:
    """Time that requests were worked on: no look met any of the few of them, and still the pod was busy that long."""
    return int(((work.prefill_seconds or 0) + (work.decode_seconds or 0)) * SECOND)


def _phases(work: Work) -> Phases | None:
    """Shares of prefill and decode in the measured time of work; None: the runtime does not tell, or did nothing."""
    if work.prefill_seconds is None or work.decode_seconds is None:
        return None
    prefill, decode = Fraction(work.prefill_seconds), Fraction(work.decode_seconds)
    return (prefill / (prefill + decode), decode / (prefill + decode)) if prefill + decode > 0 else None


def _over(amount: Fraction, units: float | Fraction | None) -> Fraction | None:
    """A price per unit; None without units, or where nobody counts them."""
    return amount / Fraction(units) if units else None
