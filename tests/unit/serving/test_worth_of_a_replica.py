"""The operator's policy for one endpoint: what it recommends, why, and what it knows after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.serving.replicas import Limits, Observation, Params, Reason, Recommendation, decide, restored, stored
from gpucost.core.serving.replicas.deciding import BadParams
from gpucost.core.serving.replicas.level import Level
from gpucost.core.serving.replicas.season import DAY, SLOT, Season

STEP = 15 * SECOND
CALM = Observation(
    now=0, measured=-30 * SECOND, arrived=200.0, served=200.0, queue=0.0, ready=6, pending=(), throughput=40.0,
    ready_time=3 * MINUTE,
)  # fmt: skip

DEFAULT = Params()


def at(step: int, **changes: Any) -> Observation:
    return replace(CALM, now=step * STEP, measured=step * STEP - 30 * SECOND, **changes)


def watch(loads: Sequence[float], params: Params = DEFAULT, **changes: Any) -> tuple[Any, list[Recommendation]]:
    """Recommendations that are followed at once: replicas are ready in the next step."""
    state, found, ready = None, [], 6
    for step, load in enumerate(loads):
        state, answer = decide(state, at(step, **{"arrived": load, "served": load, "ready": ready, **changes}), params)
        found.append(answer)
        ready = answer.replicas
    return state, found


def noisy(load: float, steps: int, seed: int = 1) -> list[float]:
    return list(load * np.random.default_rng(seed).gamma(70, 1 / 70, steps))


def test_a_calm_load_needs_little_more_than_it_takes() -> None:
    _, found = watch(noisy(200, 3000))
    assert {one.replicas for one in found[-1000:]} <= {6, 7}
    assert found[-1].load == pytest.approx(5, rel=0.1)


def test_a_rise_is_followed_when_it_is_seen() -> None:
    state, _ = watch(noisy(200, 1500))
    answers = []
    for step in range(1500, 1504):
        state, answer = decide(state, at(step, arrived=400.0, served=240.0, queue=0.0))
        answers.append(answer)
    assert answers[1].replicas >= 10
    assert answers[1].reason is Reason.DRAINING_QUEUE
    assert "requests would wait when a replica asked for now is ready in 3m" in answers[1].message


def test_replicas_that_serve_more_than_they_should_have_no_queue_to_empty() -> None:
    """One replica that is worth 40 requests/s serves 140 and nothing waits: about four do, and none for a queue."""
    state = None
    for step in range(60):
        state, answer = decide(state, at(step, arrived=140.0, served=140.0, ready=1))
    assert 4 <= answer.replicas <= 7
    assert answer.reason is Reason.RISING_LOAD
    _, answer = decide(state, at(60, arrived=140.0, served=140.0, ready=1, queue=40.0 * 15 * 5))
    assert answer.reason is Reason.DRAINING_QUEUE


def test_a_queue_is_drained_after_the_start_of_what_is_asked_for() -> None:
    state, _ = watch(noisy(200, 1500))
    _, answer = decide(state, at(1500, queue=40.0 * 15 * 5))  # 5 replica-steps of work wait
    assert answer.reason is Reason.STEADY
    assert answer.replicas == 6  # the replicas that are there drain it before another could be ready
    _, answer = decide(state, at(1500, queue=40.0 * 15 * 60))
    # In 15 steps from the metrics on: 60 and 15 x the load (5.0 or a little more), less 15 x 6 of the replicas.
    assert answer.reason is Reason.DRAINING_QUEUE
    assert answer.backlog == pytest.approx((60 + 15 * (answer.load or 0) - 15 * 6) * 600)
    assert answer.replicas > 20


def test_pending_replicas_are_counted() -> None:
    state, _ = watch(noisy(200, 1500))
    alone = decide(state, at(1500, arrived=400.0, queue=9000.0))[1]
    helped = decide(state, at(1500, arrived=400.0, queue=9000.0, pending=(2 * MINUTE,) * 6))[1]
    assert (helped.backlog or 0) < (alone.backlog or 0)
    assert helped.replicas < alone.replicas


def test_nothing_is_removed_while_requests_wait() -> None:
    state, _ = watch(noisy(200, 1500))
    quiet = decide(state, at(1500, ready=12))[1]
    waiting = decide(state, at(1500, ready=12, queue=40.0 * 15 * 12))[1]
    assert quiet.replicas < 12
    assert quiet.reason is Reason.FALLING_LOAD
    assert "would be needed" in quiet.message
    assert waiting.replicas == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrived": None}, "arrived is not known"),
        ({"queue": None}, "queue is not known"),
        ({"served": float("nan")}, "served of nan is absurd"),
        ({"arrived": -1.0}, "arrived of -1 is absurd"),
        ({"throughput": 0.0}, "throughput of 0 is absurd"),
    ],
)
def test_without_metrics_the_number_stays(changes: dict[str, Any], message: str) -> None:
    state, _ = watch(noisy(200, 50))
    after, answer = decide(state, at(60, ready=40, **changes), Params(limits=Limits(1, 20)))
    assert (answer.replicas, answer.reason) == (40, Reason.METRICS_MISSING)
    assert answer.message == f"{message}: the number of replicas stays"
    assert decide(state, at(60, **changes))[1].replicas == 6
    assert after is not None


def test_the_same_metrics_are_taken_in_once() -> None:
    state, _ = watch(noisy(200, 50))
    state, first = decide(state, at(50))
    again, second = decide(state, at(50))
    assert second.reason is Reason.METRICS_MISSING
    assert "no newer metrics" in second.message
    assert stored(again) == stored(state)
    assert first.reason is not Reason.METRICS_MISSING


def test_limits_bind_and_say_so() -> None:
    state, _ = watch(noisy(200, 50), Params(limits=Limits(1, 8)))
    _, answer = decide(state, at(50, arrived=4000.0), Params(limits=Limits(1, 8)))
    state, answer = decide(state, at(51, arrived=4000.0), Params(limits=Limits(1, 8)))
    assert (answer.replicas, answer.reason) == (8, Reason.LIMITED)
    assert answer.wanted > 8
    assert "at most 8 are allowed" in answer.message
    few, _ = watch(noisy(200, 50), Params(limits=Limits(9, 20)))
    assert decide(few, at(50), Params(limits=Limits(9, 20)))[1].replicas == 9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (Params("vpa"), "policy: 'vpa' is none of gpucost, hpa, kpa, keda, static"),
        (Params("hpa", {"keep": 1}), "values: keep: hpa has target, window, down, queue"),
        (Params("hpa", {"target": float("nan")}), "every value is a number above 0"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params: Params, message: str) -> None:
    with pytest.raises(BadParams, match=message):
        decide(None, CALM, params)


def test_a_state_survives_a_restart() -> None:
    state, _ = watch(noisy(200, 900))
    document = json.loads(json.dumps(stored(state)))
    again = restored(document)
    for step, load in enumerate(noisy(260, 300, seed=2), 900):
        state, one = decide(state, at(step, arrived=load, served=load))
        again, other = decide(again, at(step, arrived=load, served=load))
        assert one == other
    assert restored({**document, "form": 0}) is None


def test_a_question_does_not_change_the_state() -> None:
    state, _ = watch(noisy(200, 300))
    before = json.dumps(stored(state))
    first = decide(state, at(300, arrived=390.0))[1]
    assert json.dumps(stored(state)) == before
    assert decide(state, at(300, arrived=390.0))[1] == first


@pytest.mark.parametrize("name", ["hpa", "kpa", "keda", "static"])
def test_the_published_policies_answer_too(name: str) -> None:
    values = {"replicas": 5.0} if name == "static" else {}
    _, found = watch(noisy(200, 60), Params(name, values))
    assert found[-1].replicas in range(5, 12)
    assert found[-1].load is not None


# --- what it is made of -----------------------------------------------------------------------------------------------


def test_the_level_averages_noise_and_follows_jumps() -> None:
    level = Level()
    means = [level.update(rate)[0] for rate in [*noisy(100, 400), *noisy(180, 400, seed=3)]]
    assert np.std(np.log(np.array(means[200:400]) / 100)) < 0.05
    assert means[401] == pytest.approx(180, rel=0.2)
    assert np.mean(means[500:]) == pytest.approx(180, rel=0.03)


def test_the_level_finds_its_way_over_any_distance_and_through_nothing() -> None:
    level = Level()
    rates = [*noisy(100, 50), *([0.0] * 20), *noisy(5e6, 50), *[2e6 * 0.97**n for n in range(400)]]
    told = [level.update(rate) for rate in rates]
    assert told[60][0] < 1e-6
    assert told[119][0] == pytest.approx(5e6, rel=0.2)
    assert told[-1][0] == pytest.approx(rates[-1], rel=0.3)
    assert all(np.isfinite(mean) and mean <= upper * 2 for mean, upper in told)


def season_of(rate: Callable[[int], float], days: int) -> Season:
    season = Season(DAY // 24 * SLOT)
    for step in range(days * DAY * SLOT):
        season.update(rate(step))
    return season


def test_a_day_that_repeats_proves_itself() -> None:
    season = season_of(lambda step: float(np.exp(np.sin(2 * np.pi * step / (DAY * SLOT)))), 4)
    assert season.name == "day"
    assert season.shift == pytest.approx(np.sin(2 * np.pi / 24), abs=0.05)


def test_noise_proves_nothing() -> None:
    levels = np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.05, 6 * DAY)))
    season = season_of(lambda step: float(levels[step // SLOT]), 6)
    assert (season.name, season.shift) == ("none", 0.0)
