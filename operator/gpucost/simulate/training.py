"""`gpucost simulate training` without its command line: traces and a job in, what each policy costs out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import HOUR, Micros, format_duration
from gpucost.core.training.deadline.omniscient import cells, optimum
from gpucost.core.training.deadline.policies import POLICIES
from gpucost.core.training.deadline.runs import Terms
from gpucost.simulate.play import Played, Seen, play
from gpucost.simulate.traces import Trace
from gpucost.simulate.weather import Weather, zones

OMNISCIENT = "omniscient"
REFERENCE = "greedy"
LEAST_GAP = Fraction(1, 100)
"""Of the on-demand cost: under this a share of the gap says nothing."""
_MOST_CELLS = 2_000_000

Progress = Callable[[str, float], None]
"""Told which policy is how far (0..1)."""


class BadJob(Exception):
    """The job does not fit itself or the traces; one line says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """The training to place."""

    work: Micros
    deadline: Micros
    changeover: Micros
    spot_price: Decimal
    on_demand_price: Decimal
    """Per hour, of all nodes that it takes together."""
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What to play."""

    policies: Sequence[str]
    """Without `omniscient`."""
    starts: int | None = None
    """How many random starts; None: every tick from which the deadline lies inside the trace."""
    seed: int = 0
    with_optimum: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a policy's runs, over all of them."""

    policy: str
    runs: int
    mean_cost: Fraction
    on_demand_cost: Fraction
    missed: int
    mean_switches: Fraction
    spot_hours: Fraction
    on_demand_hours: Fraction
    largest_cost: Fraction
    gap_closed: Fraction | None = None
    """Share of the gap between greedy and the optimum; None where there is hardly any, or nobody worked it out."""


def simulate(
    traces: Sequence[Trace],
    job: Job,
    question: Question,
    *,
    seen: Callable[[str], Seen] | None = None,
    progress: Progress = lambda _policy, _part: None,
) -> list[Outcome]:
    """Play every policy on the same starts; `omniscient` comes last."""
    terms, weather = _terms(traces[0], job), zones([trace.nodes for trace in traces], job.nodes, traces[0].tick)
    begins = _begins(len(weather), terms, question)
    wanted = dict.fromkeys([*question.policies, *([REFERENCE] if question.with_optimum else [])])
    outcomes = []
    for name in wanted:
        watch = seen(name) if seen is not None and name in question.policies else None
        played = play(POLICIES[name](terms), weather, terms, begins, seen=watch, progress=partial(progress, name))
        outcomes.append(_outcome(name, job, played))
    if not question.with_optimum:
        return outcomes
    best = _optimum(weather, terms, begins, job, partial(progress, OMNISCIENT))
    reference = next(one for one in outcomes if one.policy == REFERENCE)
    shown = [one for one in outcomes if one.policy in question.policies]
    return [_compared(one, reference, best) for one in (*shown, best)]


def _terms(trace: Trace, job: Job) -> Terms:
    needed = job.work + job.changeover
    if job.work > job.deadline:
        raise BadJob(
            f"--work-hours: {_hours(job.work)} h of work are longer than the deadline of {_hours(job.deadline)} h"
        )
    if needed > job.deadline:
        raise BadJob(
            f"--deadline-hours: {_hours(job.deadline)} h are too short even for on-demand capacity, which needs "
            f"{_hours(needed)} h with one changeover"
        )
    span = len(trace.nodes) * trace.tick
    if job.deadline > span:
        raise BadJob(
            f"--deadline-hours: {_hours(job.deadline)} h are longer than the trace {trace.name}, which has "
            f"{_hours(span)} h ({format_duration(span)})"
        )
    price = float(Fraction(job.spot_price) / Fraction(job.on_demand_price))
    return Terms(job.work, job.deadline, job.changeover, price, trace.tick)


def _hours(time: Micros) -> str:
    return f"{time / HOUR:.10g}"


def _begins(ticks: int, terms: Terms, question: Question) -> NDArray[np.int64]:
    possible = ticks - -(-terms.time // terms.tick) + 1
    if question.starts is None or question.starts >= possible:
        return np.arange(possible)
    return np.array(sorted(random.Random(question.seed).sample(range(possible), question.starts)))


def _optimum(
    weather: Weather, terms: Terms, begins: NDArray[np.int64], job: Job, done: Callable[[float], None]
) -> Outcome:
    if (count := cells(terms)) > _MOST_CELLS:
        raise BadJob(
            f"--changeover: with ticks of {terms.tick / 1e6:g} s and this changeover the optimum has {count:,} states "
            "of slack; round it so that both have a larger common divisor, or give --no-omniscient"
        )
    best = optimum(weather.up, terms, begins, done)
    return _outcome(OMNISCIENT, job, Played(best.spot, best.on_demand, best.starts, best.on_demand < 0))


def _outcome(policy: str, job: Job, played: Played) -> Outcome:
    runs = len(played.spot)
    spot, dear = Fraction(job.spot_price) / HOUR, Fraction(job.on_demand_price) / HOUR
    costs = [int(a) * spot + int(b) * dear for a, b in zip(played.spot, played.on_demand, strict=True)]
    return Outcome(
        policy=policy,
        runs=runs,
        mean_cost=sum(costs, Fraction(0)) / runs,
        on_demand_cost=(job.work + job.changeover) * dear,
        missed=int(played.missed.sum()),
        mean_switches=Fraction(int(played.starts.sum()), runs),
        spot_hours=Fraction(int(played.spot.sum()), runs * HOUR),
        on_demand_hours=Fraction(int(played.on_demand.sum()), runs * HOUR),
        largest_cost=max(costs),
    )


def _compared(one: Outcome, reference: Outcome, best: Outcome) -> Outcome:
    gap = reference.mean_cost - best.mean_cost
    if gap < LEAST_GAP * one.on_demand_cost:
        return one
    fields = {name: getattr(one, name) for name in Outcome.__slots__ if name != "gap_closed"}
    return Outcome(**fields, gap_closed=(reference.mean_cost - one.mean_cost) / gap)
