"""`gpucost simulate serving` without its command line: a trace and an endpoint in, what each policy costs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpucost.core.serving.replicas.policies import Times, columns, settings
from gpucost.core.serving.replicas.seen import STEP_SECONDS
from gpucost.simulate.arrivals import DAY_SECONDS, Requests
from gpucost.simulate.fleet import AGE, Fleet, Span, Told
from gpucost.simulate.problems import BadTrace
from gpucost.simulate.tuning import for_target, frontier

POLICIES = ("gpucost", "hpa", "kpa", "keda", "static")
MOST = 2.0
"""The largest number of replicas that any policy may have, as a multiple of what the highest rate of the training days
needs: the `maxReplicas` that every autoscaler is given."""
_MOST_REPLICAS = 2000

Progress = Callable[[str, float], None]
"""Told which policy is how far (0..1)."""


class BadQuestion(Exception):
    """The endpoint does not fit the trace; one line says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of one setting, in requests and replicas."""

    step: int
    arrived: float
    served: float
    ready: int
    billed: int


class Timeline(Protocol):
    """Told of every step of the results of one setting."""

    def step(self, one: Step, late_before: float) -> None:
        """A step, and what was late of the step before it."""
        ...

    def last(self, late: float) -> None:
        """What was late of the last step."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is served with."""

    throughput: float
    """Requests a second of a ready replica."""
    ready_seconds: float
    price: Decimal
    """Of a replica, per hour."""

    @property
    def ready_steps(self) -> int:
        """A replica begins to serve at the beginning of a step."""
        return -int(-self.ready_seconds // STEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Question:
    """What to play."""

    policies: Sequence[str]
    target: float = 0.001
    train_days: float = 7.0
    frontier: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a setting of a policy did after the training days."""

    policy: str
    hours: float
    cost: float
    late: float
    changes: int
    params: Mapping[str, float]
    late_in_training: float
    hours_in_training: float
    chosen: bool
    """It is the one that was tuned for the target."""


def simulate(
    trace: Requests,
    endpoint: Endpoint,
    question: Question,
    *,
    timeline: Callable[[str], Timeline] | None = None,
    progress: Progress = lambda _policy, _part: None,
) -> list[Outcome]:
    """Tune every policy on the training days and play the rest with what was chosen."""
    train = _train_steps(trace, question)
    arrivals = trace.arrivals(question.seed)
    most = _most(trace, endpoint, train)
    found = []
    for name in question.policies:
        run = _Run(name, arrivals, endpoint, most, lambda part, name=name: progress(name, part))  # type: ignore[misc]
        found += run.play(train, question, None if timeline is None else timeline(name))
    return found


def _train_steps(trace: Requests, question: Question) -> int:
    days = trace.seconds / DAY_SECONDS
    train = round(question.train_days * DAY_SECONDS / STEP_SECONDS)
    if train >= trace.steps:
        raise BadTrace(
            [
                (
                    f"{trace.name}: {days:.4g} days are not longer than the {question.train_days:g} training days "
                    "(--train-days); give a longer trace or fewer training days"
                )
            ]
        )
    if train < 1:
        raise BadQuestion("--train-days: less than one step of 15 s; policies are tuned on these days")
    return train


def _most(trace: Requests, endpoint: Endpoint, train: int) -> int:
    seen = trace.rates[: max(1, int(train * STEP_SECONDS / trace.step))]
    needed = MOST * float(seen.max()) / endpoint.throughput
    if needed > _MOST_REPLICAS:
        raise BadQuestion(
            f"--replica-throughput: {endpoint.throughput:g} requests/s would take {needed / MOST:,.0f} replicas at the "
            f"highest rate of {trace.name}, {float(seen.max()):g} requests/s; the most is {_MOST_REPLICAS / MOST:,.0f}"
        )
    return max(2, int(np.ceil(needed)))


class _Run:
    """One policy: all its settings over the training days, those that were chosen over the rest."""

    def __init__(
        self, name: str, arrivals: NDArray[np.float64], endpoint: Endpoint, most: int, progress: Callable[[float], None]
    ) -> None:
        self.name, self.endpoint, self.progress = name, endpoint, progress
        self.steps = len(arrivals)
        self.settings = settings(name) if name != "static" else [{"replicas": float(n + 1)} for n in range(most)]
        self.policy = columns(name, self.settings, Times(endpoint.ready_steps, AGE))
        self.fleet = Fleet(arrivals, endpoint.throughput, endpoint.ready_steps, len(self.settings), most)

    def play(self, train: int, question: Question, timeline: Timeline | None) -> list[Outcome]:
        """The outcomes of what was chosen, from cheap to safe."""
        before = self._pass(train)
        chosen = for_target(before, question.target)
        kept = frontier(before) if question.frontier else []
        kept = sorted({*kept, chosen}, key=lambda index: (float(before.hours[index]), index))
        self.fleet.take(np.array(kept))
        self.policy.take(np.array(kept))
        place = kept.index(chosen)
        after = self._pass(self.steps, None if timeline is None else _told(timeline, place))
        if timeline is not None:
            timeline.last(float(self.fleet.last_late()[place]) * self.fleet.unit)
        rows = [self._outcome(before, after, index, row, index == chosen) for row, index in enumerate(kept)]
        return sorted(rows, key=lambda row: (row.hours, -row.late))

    def _pass(self, until: int, told: Told | None = None) -> Span:
        return self.fleet.play(self.policy, until, told, lambda step: self.progress(step / self.steps))

    def _outcome(self, before: Span, after: Span, index: int, row: int, chosen: bool) -> Outcome:
        hours = float(after.hours[row])
        return Outcome(
            policy=self.name,
            hours=hours,
            cost=hours * float(self.endpoint.price),
            late=float(after.late[row]),
            changes=int(after.changes[row]),
            params=self.settings[index],
            late_in_training=float(before.late[index]),
            hours_in_training=float(before.hours[index]),
            chosen=chosen,
        )


def _told(timeline: Timeline, place: int) -> Told:
    def tell(
        step: int, arrived: float, served: NDArray[np.float64], late: NDArray[np.float64], *counts: object
    ) -> None:
        ready, billed = (int(np.asarray(one)[place]) for one in counts)
        timeline.step(Step(step, arrived, float(served[place]), ready, billed), float(late[place]))

    return tell
