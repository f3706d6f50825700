"""What it costs when 2,000 runs with policy Auto have to be weighed at once, as after a start in a new cluster.

Two thirds of them have no nodes yet, the others are on on-demand capacity and nobody knows whether spot is there. Work,
deadline, changeover, price and history differ as in a real cluster. Time passes by itself: a run that is put off is
looked at again when its turn comes, all of them every minute.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bench.deadlines import NOW, RUNS, Clock, Run, controller_of
from bench.figures import Figure
from bench.scene import say
from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.deadline import PutOff
from gpucost.runtime.training import TrainingController
from gpucost.runtime.weighing import Weighing
from gpucost.runtime.world import Custom

NAME = "undecided runs under a deadline"
PASSES = 10
SPOT = {"a100": Decimal("0.35"), "h100": Decimal("0.42"), "l4": Decimal("0.28")}
"""Spot as a part of the on-demand price, by kind of GPU."""
GONE = "l4"
"""Of which there was no spot when somebody asked last."""
KINDS = tuple(SPOT)
"""Of GPUs: what one kind's runs have seen of spot tells nothing about the others."""


@dataclass
class _Play:
    """Passes, and what was put off between them."""

    controller: TrainingController
    clock: Clock
    put_off: list[tuple[Instant, int]] = field(default_factory=list)
    records: list[Custom] = field(default_factory=list)

    def full_pass(self) -> float:
        """CPU seconds of a look at everything."""
        self.put_off.clear()
        begun = time.process_time()
        for number in range(len(self.records)):
            self._look(number)
        return time.process_time() - begun

    def until(self, instant: Instant) -> float:
        """CPU seconds of what had been put off until an instant."""
        begun = time.process_time()
        while self.put_off and self.put_off[0][0] < instant:
            self.clock.at = max(self.clock.at, self.put_off[0][0])
            self._look(heapq.heappop(self.put_off)[1])
        spent = time.process_time() - begun
        self.clock.at = instant
        return spent

    def _look(self, number: int) -> None:
        try:
            self.controller.decide(self.records[number])
        except PutOff as later:
            heapq.heappush(self.put_off, (later.until, number))


def measure() -> Iterator[Figure]:
    """CPU seconds of the first pass, of all passes until the last is decided, and of those that follow."""
    say(f"{RUNS:,} undecided runs under a deadline")
    chance, clock = random.Random(11), Clock(NOW)
    controller = controller_of(clock, [_run(number, chance) for number in range(RUNS)])
    assert controller.surroundings is not None
    known = {f"t{number}": (SPOT[KINDS[number % len(KINDS)]], Decimal(1)) for number in range(RUNS)}
    controller.surroundings.rates = replace(controller.surroundings.rates, _last=known)
    controller.decide(next(iter(controller.world.trainingjobs.values())))  # imports the policy
    controller.choose = Weighing(clock, clock=lambda: clock.at / SECOND).choose
    play = _Play(controller, clock, records=list(controller.world.trainingjobs.values()))
    first = play.full_pass()
    yield _figure(f"the first pass over {RUNS:,} undecided runs", "s CPU", first, promise=3.0)
    yield _figure("of these left for later", "runs", len(play.put_off))
    spent, waited = first, 0
    while play.put_off:
        waited = clock.at - NOW
        spent += play.until(min(play.put_off[0][0] + 1, NOW + HOUR))
    yield _figure("until the last is decided", "s", waited / SECOND)
    yield _figure("until then", "s CPU", spent)
    later, between = [], []
    for _ in range(PASSES):
        clock.at += MINUTE
        later.append(play.full_pass())
        between.append(play.until(clock.at + MINUTE - 1))
    yield _figure("a pass over them from then on", "s CPU", *later, promise=1.0)
    yield _figure("between two passes", "s CPU", *between)


def _figure(name: str, unit: str, *samples: float, promise: float | None = None) -> Figure:
    return Figure(bench=NAME, name=name, unit=unit, samples=samples, promise=promise)


def _run(number: int, chance: random.Random) -> Run:
    kind = KINDS[number % len(KINDS)]
    work = round(10 ** chance.uniform(0.3, 2.0) * HOUR)
    begun = NOW - round(chance.uniform(0.05, 0.4) * work)
    slack = round(work * chance.choice([0.1, 0.25, 0.5, 1, 2]) * chance.uniform(0.8, 1.25)) + HOUR
    placed = "on-demand" if number % 3 == 0 else None
    seen = _tries(kind, random.Random(kind)) if number < len(KINDS) else ()
    own = tuple(_earlier(begun, kind, chance) for _ in range(placed is not None))
    return Run(
        number,
        begun=begun if placed else NOW - MINUTE,
        deadline=NOW + work + slack,
        work=work,
        placed=placed,
        wants={"gpu": kind},
        stays=(*seen, *own),
    )


def _earlier(begun: Instant, kind: str, chance: random.Random) -> Stay:
    """The run's present stay, which took some time to begin."""
    waited, start_up = round(chance.uniform(1, 8) * MINUTE), round(chance.uniform(0.5, 6) * MINUTE)
    return Stay(
        begun - waited, CapacityType.ON_DEMAND, "a", begun, begun + start_up, begun + 2 * start_up,
        wants=f"gpus=8,gpu={kind}",
    )  # fmt: skip


def _tries(kind: str, chance: random.Random) -> tuple[Stay, ...]:
    """Three days of spot, as somebody's runs have seen it."""
    at, found = NOW - 70 * HOUR, []
    while at < NOW - HOUR:
        span = round(chance.expovariate(1 / 3.0) * HOUR) + 10 * MINUTE
        end = min(at + span, NOW - 5 * MINUTE)
        if chance.random() < 0.6 and (end < NOW - 5 * MINUTE or kind != GONE):
            cause, times = Cause.SPOT, (at + MINUTE, at + 2 * MINUTE, at + 3 * MINUTE)
            found.append(Stay(at, CapacityType.SPOT, "a", *times, end, cause, f"gpus=8,gpu={kind}"))
        else:
            cause = Cause.UNAVAILABLE
            found.append(Stay(at, CapacityType.SPOT, ended=end, cause=cause, wants=f"gpus=8,gpu={kind}"))
        at = end
    return tuple(found)
