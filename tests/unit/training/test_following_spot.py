"""Which zones a run would have used: known answers, and what holds in any history."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR
from gpucost.core.training.deadline.availability import AGES, climate, from_ticks
from gpucost.core.training.deadline.following import UpSpans, followed

FLAT = (1.0,) * len(AGES)
LONG = (9.0,) * len(AGES)


def hours(*spans: tuple[int, int]) -> UpSpans:
    return [a * HOUR for a, _ in spans], [b * HOUR for _, b in spans], [True] * len(spans)


def test_spot_is_kept_until_it_is_lost_and_then_the_most_promising_zone_is_taken() -> None:
    first, second, third = hours((0, 4), (9, 10)), hours((1, 6)), hours((2, 5))
    stays = followed([first, second, third], AGES, [FLAT, FLAT, LONG])
    assert (stays.end // HOUR).tolist() == [4, 5, 6, 10]
    assert (stays.came // HOUR).tolist() == [0, 2, 4, 0]
    assert (stays.left // HOUR).tolist() == [4, 3, 5, 1]
    assert stays.saved.tolist() == [True, True, False, False]
    assert stays.ended.all()


def test_nothing_was_seen() -> None:
    assert len(followed([([], [], []), ([], [], [])], AGES, [FLAT, FLAT]).end) == 0


def test_a_zone_that_flickers_does_not_spoil_what_is_expected_of_one_that_lasts() -> None:
    """One zone is there for days, the other comes for ten minutes every hour."""
    ticks = np.arange(6 * 24 * 20)
    lasting, flickering = np.asarray(ticks % (6 * 48) < 6 * 46), np.asarray(ticks % 6 == 0)
    both = np.column_stack([lasting, flickering])
    tick = HOUR // 6
    zones = [from_ticks(column, tick) for column in both.T]
    end = len(ticks) * tick
    together = from_ticks(np.asarray(both.any(axis=1)), tick)
    found = climate(zones, together, end)
    alone = climate(zones[:1], zones[0], end)
    assert found.used.up[5] < 2 * alone.used.up[5]
    assert found.used.up[2] < found.zones[1].up[2]


@given(st.lists(st.lists(st.booleans(), min_size=40, max_size=40), min_size=1, max_size=4), st.data())
def test_stays_follow_each_other_and_are_where_spot_was(columns: list[list[bool]], data: st.DataObject) -> None:
    up = np.array(columns).T
    rates = st.tuples(*[st.floats(0.1, 50)] * len(AGES))
    lives = [data.draw(rates) for _ in columns]
    zones = [from_ticks(column, HOUR) for column in up.T]
    spans = [(z.start[z.up].tolist(), z.end[z.up].tolist(), z.ended[z.up].tolist()) for z in zones]
    stays = followed(spans, AGES, lives)
    begins, ends = stays.end - (stays.left - stays.came), stays.end
    used = sum(ends - begins) // HOUR
    assert used == int(up.any(axis=1).sum())
    gaps = begins[1:] - ends[:-1]
    assert (gaps >= 0).all()
    assert (stays.saved[:-1] == (gaps == 0)).all()
