"""Whatever becomes of a server's series, no more is counted than was done, and what is known is a number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import SECOND
from gpucost.core.serving.signals.model import FIGURES, Known, Signals
from support.signals_world import SignalsWorld, vllm

REQUESTS = "vllm:request_success_total"


@dataclass(frozen=True)
class Step:
    """What happens between two looks at a pod with two engines, whose counters Prometheus adds up."""

    seconds: int
    done: tuple[int, int]
    sees_both: bool
    """Whether the series of the second engine are there too."""
    restarts: bool
    is_scraped: bool


STEPS = st.lists(
    st.builds(
        Step,
        seconds=st.sampled_from([5, 15, 30, 90, 200, 700]),
        done=st.tuples(st.integers(0, 500), st.integers(0, 500)),
        sees_both=st.sampled_from([True, True, True, False]),
        restarts=st.sampled_from([False] * 7 + [True]),
        is_scraped=st.sampled_from([True, True, True, False]),
    ),
    max_size=30,
)


class Pod:
    """The pod, and all that it has really done."""

    def __init__(self) -> None:
        self.world = SignalsWorld([vllm("llama-0")])
        self.counts = [1000, 3000]
        self.done = 0

    def take(self, step: Step) -> Signals:
        server, world = self.world.servers[0], self.world
        if step.restarts:
            server.started = world.now + 2 * SECOND
            self.counts = [0, 0]
        self.counts = [count + more for count, more in zip(self.counts, step.done, strict=True)]
        self.done += sum(step.done)
        told = sum(self.counts) if step.sees_both else self.counts[0]
        server.series[REQUESTS] = float(told)
        world.unscraped = set() if step.is_scraped else {"llama-0"}
        return world.look(step.seconds)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_more_is_counted_than_was_done(steps: list[Step]) -> None:
    pod = Pod()
    pod.take(Step(15, (0, 0), sees_both=True, restarts=False, is_scraped=True))
    counted = 0.0
    for step in steps:
        signals = pod.take(step)
        counted += (signals.work.requests or 0.0) if signals.work is not None else 0.0
        assert counted <= pod.done
        assert signals.availability.available or signals.frozen
        for name in FIGURES:
            one = getattr(signals, name)
            assert not isinstance(one, Known) or (math.isfinite(one.value) and one.value >= 0)
