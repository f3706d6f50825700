"""HPA, Knative, KEDA and static against answers worked out by hand from their rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucost.core.serving.replicas.policies import AXES, DEFAULTS, Times, columns, settings
from gpucost.core.serving.replicas.seen import Largest, Mean, Policy, Seen


def seen(step: int = 0, *, load: float, ready: int, total: int | None = None, queue: float = 0.0) -> Seen:
    """Replicas serve what arrives, as far as they can; loads are in replicas' worth."""
    return Seen(
        step=step,
        arrived=load,
        served=np.array([min(load, ready)], dtype=np.float64),
        queue=np.array([queue]),
        ready=np.array([ready]),
        total=np.array([ready if total is None else total]),
        coming=np.array([0.0]),
    )


def one(name: str, **values: float) -> Policy:
    return columns(name, [{**DEFAULTS[name], **values}], Times(4, 3))


def answers(policy: Policy, *moments: Seen) -> list[int]:
    return [int(policy.decide(moment)[0]) for moment in moments]


NOW: dict[str, Any] = {"window": 1, "down": 1}


@pytest.mark.parametrize(
    ("moment", "replicas"),
    [
        (seen(load=3.5, ready=5), 5),  # 70 % busy is the target
        (seen(load=3.84, ready=5), 5),  # 9.7 % over it is within the tolerance
        (seen(load=3.9, ready=5), 6),  # 3.9 / 0.7 = 5.6
        (seen(load=2.0, ready=5), 3),  # 2.0 / 0.7 = 2.9
        (seen(load=0.0, ready=5), 1),
        (seen(load=5.0, ready=5, total=8), 8),  # 5.0 / 0.7 = 7.1, and with three idle ones it is no rise
        (seen(load=3.0, ready=5, total=8), 8),  # a fall to 0.6 of 5; three on target make it 7.3 of 8, in tolerance
        (seen(load=1.0, ready=5, total=8), 5),  # ceil((1 + 3 x 0.7) / 0.7)
        (seen(load=5.0, ready=5, queue=9.0), 9),  # one step of work a replica: 9 of them
    ],
)
def test_an_hpa_asks_for_the_larger_of_utilisation_and_queue(moment: Seen, replicas: int) -> None:
    assert answers(one("hpa", **NOW), moment) == [replicas]


def test_an_hpa_rises_by_100_percent_or_four_pods_at_most() -> None:
    assert answers(one("hpa", **NOW), seen(load=2, ready=2, queue=90)) == [6]
    assert answers(one("hpa", **NOW), seen(load=9, ready=9, queue=90)) == [18]


def test_an_hpa_falls_to_the_largest_recommendation_of_its_window() -> None:
    policy = one("hpa", window=1, down=3)
    moments = [seen(0, load=4.2, ready=6), *(seen(step, load=0.7, ready=6) for step in (1, 2, 3))]
    assert answers(policy, *moments) == [6, 6, 6, 1]


def test_keda_looks_every_30_seconds_and_divides_what_is_in_flight() -> None:
    policy = one("keda", **NOW)
    moments = [seen(0, load=2.1, ready=3), seen(1, load=7.0, ready=3, queue=4), seen(2, load=7.0, ready=3, queue=4)]
    assert answers(policy, *moments) == [
        3,
        3,
        7,
    ]  # (3 served + 4 waiting) / 0.7 = 10, and 3 + 4 pods at once is the limit


def test_keda_on_the_rate_has_a_second_trigger_on_the_queue() -> None:
    assert answers(one("keda", rate=1, **NOW), seen(load=7.0, ready=7)) == [10]
    assert answers(one("keda", rate=1, **NOW), seen(load=1.4, ready=20, queue=24)) == [12]


def test_knative_averages_its_window() -> None:
    policy = one("kpa", window=4)
    moments = [seen(step, load=load, ready=4) for step, load in enumerate((2.8, 2.8, 2.8, 2.8, 3.5, 3.5))]
    assert answers(policy, *moments) == [4, 4, 4, 4, 5, 5]  # 2.8 / 0.7 = 4; means of 2.975 and 3.15 ask for 5


def test_knative_panics_at_twice_what_is_ready_and_does_not_fall_until_a_window_has_passed() -> None:
    policy = one("kpa", window=2)
    quiet, burst = seen(0, load=1.4, ready=2), seen(1, load=2.0, ready=2, queue=1.0)
    assert answers(policy, quiet, burst) == [2, 5]  # 3 in flight / 0.7 = 4.3; the mean of the window alone says 4
    assert answers(policy, seen(2, load=0.7, ready=5)) == [5]
    assert answers(policy, seen(3, load=0.7, ready=5)) == [2]  # at most halved: floor(5 / 2)


def test_knative_waits_before_it_falls_when_told_to() -> None:
    policy = one("kpa", window=1, delay=3)
    loads = (2.8, 0.7, 0.7, 0.7)
    assert answers(policy, *(seen(step, load=load, ready=3) for step, load in enumerate(loads))) == [4, 4, 4, 1]


def test_static_stays() -> None:
    assert answers(one("static", replicas=7), seen(load=50, ready=7), seen(1, load=0, ready=7)) == [7, 7]


@pytest.mark.parametrize("name", ["hpa", "kpa", "keda", "gpucost"])
def test_a_column_alone_decides_as_it_does_among_others(name: str) -> None:
    chosen = settings(name)[:: max(1, len(settings(name)) // 7)]
    together, alone = columns(name, chosen, Times(4, 3)), columns(name, [chosen[3]], Times(4, 3))
    narrowed = columns(name, chosen, Times(4, 3))
    random = np.random.default_rng(3)
    total, lone = np.full(len(chosen), 5), np.array([5])
    for step in range(150):
        load, queue = float(random.gamma(9, 0.5)), float(random.exponential(0.3))
        many = Seen(step, load, np.minimum(load, total), np.full(len(chosen), queue), total, total, total * 4.0)
        single = Seen(step, load, np.minimum(load, lone), np.array([queue]), lone, lone, lone * 4.0)
        total, lone = together.decide(many), alone.decide(single)
        assert total[3] == lone[0]
        if step < 70:
            narrow = narrowed.decide(many)
        else:
            if step == 70:
                narrowed.take(np.array([3]))
            narrow = narrowed.decide(single)
            assert narrow[0] == lone[0]


def test_windows_forget() -> None:
    mean, largest = Mean(np.array([1, 3])), Largest(np.array([1, 3]))
    values = [6.0, 3.0, 3.0, 0.0, 9.0]
    assert [mean.add(value).tolist() for value in values] == [[6, 6], [3, 4.5], [3, 4], [0, 2], [9, 4]]
    counts = [np.array([v, v]) for v in (5, 2, 3, 1, 1)]
    assert [largest.add(value).tolist() for value in counts] == [[5, 5], [2, 5], [3, 5], [1, 3], [1, 3]]


def test_every_policy_has_defaults_within_what_is_tuned() -> None:
    assert {name: set(axes) for name, axes in AXES.items()} == {name: set(one) for name, one in DEFAULTS.items()}
