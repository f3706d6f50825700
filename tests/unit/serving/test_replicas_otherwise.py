"""What replicas would have cost otherwise: worked out by hand, and for any timeline."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND
from gpucost.core.money import PICO
from gpucost.core.serving import shadow
from gpucost.core.serving.counterfactual import LONGEST, Hour, Look, compared, stretches
from gpucost.core.serving.shadow import Shadow, follow

T0 = 20_000 * DAY


def look(at: int, replicas: int, **more: object) -> Look:
    return Look(T0 + at, replicas, PICO, applied=bool(more.pop("applied", True)), **more)  # type: ignore[arg-type]


def hours_of(*looks: Look) -> list[Hour]:
    """Looked at every minute; the last one only ends the time."""
    return [one for this, after in pairwise(looks) for one in stretches(this, after.at)]


def test_an_hour_by_hand() -> None:
    """One dollar a replica-hour: half an hour with 5, half an hour with 3. Before: 6; an HPA would have had 4; the most
    that was ever needed is 5. Paid 4; before 6, peak 5, HPA 4.
    """
    looks = [look(m * MINUTE, 5 if m < 30 else 3, before=6, wanted=5 if m < 30 else 3, hpa=4) for m in range(61)]
    applied, others = compared(hours_of(*looks))
    assert others is None
    assert applied is not None
    assert (applied.known, applied.paid) == (HOUR, 4 * PICO)
    assert (applied.against_before, applied.against_peak, applied.against_hpa) == (2 * PICO, PICO, 0)
    assert applied.possible is None


def test_while_nothing_is_applied_it_is_what_could_have_been() -> None:
    looks = [look(m * MINUTE, 5, wanted=3, applied=False) for m in range(61)]
    applied, others = compared(hours_of(*looks))
    assert applied is None
    assert others is not None
    assert (others.possible, others.possible_time, others.against_before) == (2 * PICO, HOUR, None)


def test_what_nobody_saw_is_not_counted() -> None:
    """Ten minutes without a look: two of them are, at what was seen last."""
    found = hours_of(look(0, 5, before=6), look(10 * MINUTE, 3, before=6), look(11 * MINUTE, 3, before=6))
    assert sum(one.known for one in found) == LONGEST + MINUTE
    unpriced = Look(T0, 5, None, applied=True, before=6)
    assert list(stretches(unpriced, T0 + MINUTE)) == []


def test_a_dearer_number_is_a_loss_and_shown_as_one() -> None:
    applied, _ = compared(hours_of(*(look(m * MINUTE, 8, before=2, wanted=8) for m in range(61))))
    assert applied is not None
    assert applied.against_before == -6 * PICO


def test_stretches_end_where_hours_end() -> None:
    (first, second) = stretches(look(HOUR - 30 * SECOND, 2), T0 + HOUR + 30 * SECOND)
    assert (first.hour, first.known, second.hour, second.known) == (T0, 30 * SECOND, T0 + HOUR, 30 * SECOND)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20)), min_size=2, max_size=30))
def test_courses_that_are_the_real_one_save_nothing_and_the_peak_is_never_cheaper(
    course: list[tuple[int, int, int]],
) -> None:
    looks = [look(i * MINUTE, n, before=n, wanted=w, hpa=n) for i, (n, w, _) in enumerate(course)]
    applied, _ = compared(hours_of(*looks))
    assert applied is not None
    assert applied.against_before in {0, None}
    assert applied.against_hpa in {0, None}
    assert applied.against_peak is None or applied.against_peak >= 0


# --- the autoscaler that nobody sees ----------------------------------------------------------------------------------


def test_it_rises_by_its_rules() -> None:
    """2 replicas and a load of 10: busy 1/0.8, so ceil(2.5) = 3, then ceil(3.75) = 4, 5, …, until 10/13 < 0.8 x 1.1."""
    one, seen = Shadow(2, T0), []
    for step in range(1, 12):
        one = follow(one, 10, (1, 100), T0 + step * 15 * SECOND)
        seen.append(one.replicas)
    assert seen[:4] == [3, 4, 5, 7]
    assert seen[-1] == seen[-2] == 12
    assert follow(one, 10, (1, 100), one.at + SECOND) == one, "every 15 s"


def test_it_falls_after_five_minutes() -> None:
    one = follow(Shadow(10, T0), 8, (1, 100), T0 + 15 * SECOND)
    for step in range(2, 21):
        one = follow(one, 1, (1, 100), T0 + step * 15 * SECOND)
        assert one.replicas == 10
    one = follow(one, 1, (1, 100), T0 + 21 * 15 * SECOND)
    assert one.replicas == 2


@given(st.lists(st.floats(0, 50, allow_nan=False), max_size=60), st.integers(1, 5), st.integers(5, 20))
def test_it_keeps_its_limits_and_comes_back_after_a_restart(loads: list[float], least: int, most: int) -> None:
    one = Shadow(least, T0)
    for step, load in enumerate(loads):
        again = shadow.restored(json.loads(json.dumps(shadow.stored(one))))
        one = follow(one, load, (least, most), T0 + (step + 1) * 15 * SECOND)
        assert one == follow(again, load, (least, most), T0 + (step + 1) * 15 * SECOND)
        assert least <= one.replicas <= most
