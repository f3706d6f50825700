"""How much work is left, by hand: from reports, from checkpoints, from time, and when nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.auto.work import Source, Work, lost_span, work_left
from gpucost.core.training.progress import Checkpoint, Progress, Report

SPOT = CapacityType.SPOT
FIRST = Stay(0, SPOT, bound=MINUTE, running=2 * MINUTE, ended=122 * MINUTE, cause=Cause.SPOT)
HERE = Stay(130 * MINUTE, SPOT, bound=131 * MINUTE, running=132 * MINUTE)


def left(progress: Progress = Progress(), stays: tuple[Stay, ...] = (), **given: int | None) -> Work:  # noqa: B008
    values = {"expected": 10 * HOUR, "saves_every": None, "now": 192 * MINUTE, **given}
    return work_left(progress, stays, **values)  # type: ignore[arg-type]


def test_before_anything_has_run_all_of_it_is_left() -> None:
    assert left() == Work(10 * HOUR, 10 * HOUR, Source.EXPECTED, None, 0)
    assert left(expected=None).source is Source.UNKNOWN
    assert left(expected=None).left is None


def test_time_counts_as_long_as_the_nodes_are_there() -> None:
    found = left(stays=(HERE,))
    assert (found.left, found.source) == (9 * HOUR, Source.TIME)
    assert found.at_risk is None  # it never told of a checkpoint: nobody knows


def test_of_a_run_that_never_told_of_a_checkpoint_nothing_is_kept() -> None:
    assert left(stays=(FIRST, HERE)).left == 9 * HOUR


def test_what_its_owner_says_of_its_checkpoints_is_kept() -> None:
    found = left(stays=(FIRST, HERE), saves_every=50 * MINUTE)
    assert found.left == 10 * HOUR - 100 * MINUTE - HOUR
    assert found.at_risk == 10 * MINUTE


def test_a_checkpoint_that_nobody_told_of_counts_when_it_must_have_been_complete() -> None:
    """Training begins some time after the containers run: two hours and half a minute are not yet two hours of it."""
    lost = replace(FIRST, ended=2 * MINUTE + 2 * HOUR + MINUTE // 2)
    assert left(stays=(lost,), saves_every=HOUR).left == 9 * HOUR
    assert left(stays=(replace(lost, ended=2 * MINUTE + 2 * HOUR + MINUTE),), saves_every=HOUR).left == 8 * HOUR
    assert left(stays=(HERE,), saves_every=HOUR, now=192 * MINUTE + MINUTE // 2).at_risk == HOUR + MINUTE // 2
    assert left(stays=(HERE,), saves_every=HOUR, now=193 * MINUTE).at_risk == MINUTE


def test_work_is_kept_up_to_the_last_checkpoint_of_a_stay() -> None:
    told = Progress((), (Checkpoint(92 * MINUTE), Checkpoint(180 * MINUTE)))
    found = left(told, (FIRST, HERE))
    assert (found.left, found.source) == (10 * HOUR - 90 * MINUTE - HOUR, Source.CHECKPOINTS)
    assert (found.as_of, found.at_risk) == (180 * MINUTE, 12 * MINUTE)


def test_a_run_that_outlives_its_expected_duration_needs_a_little_more() -> None:
    assert left(stays=(HERE,), now=132 * MINUTE + 40 * HOUR).left == HOUR // 2


def reports(*points: tuple[int, float]) -> Progress:
    return Progress(tuple(Report(at * MINUTE, progress=part) for at, part in points))


def test_the_speed_that_is_seen_corrects_what_was_expected() -> None:
    """A tenth in 30 minutes: five hours in all, whatever the specification says."""
    told = reports((132, 0.0), (162, 0.1), (192, 0.2))
    found = left(told, (HERE,))
    assert found.total == 5 * HOUR
    assert found.left == 4 * HOUR
    assert found.source is Source.REPORTS
    assert left(told, (HERE,), expected=None).left == 4 * HOUR


def test_a_little_progress_says_little_of_the_speed() -> None:
    """A hundredth of the work is a fifth of what the speed is believed wholly for: 0.2 x 5 h + 0.8 x 10 h."""
    assert left(reports((189, 0.0), (192, 0.01)), (HERE,)).total == pytest.approx(9 * HOUR)


def test_a_run_without_nodes_goes_on_from_its_last_checkpoint() -> None:
    told = Progress(reports((2, 0.0), (62, 0.2), (122, 0.4)).reports, (Checkpoint(63 * MINUTE),))
    gone = left(told, (FIRST,))
    assert gone.total == 5 * HOUR
    assert gone.left == 4 * HOUR
    assert gone.at_risk == 0


def test_a_checkpoint_is_found_by_its_step() -> None:
    steps = tuple(Report(at * MINUTE, step=at, progress=at / 300) for at in range(2, 123, 10))
    told = Progress(steps, (Checkpoint(121 * MINUTE, step=52),))
    assert left(told, (FIRST,), expected=5 * HOUR).left == pytest.approx((1 - 52 / 300) * 5 * HOUR, rel=0.01)


def test_silence_is_filled_in_for_some_minutes_only() -> None:
    told = reports((132, 0.0), (162, 0.1))
    assert left(told, (HERE,), now=167 * MINUTE).left == 5 * HOUR - 35 * MINUTE
    assert left(told, (HERE,), now=400 * MINUTE).left == 5 * HOUR - 40 * MINUTE


def test_the_runs_own_estimate_counts_where_it_does_not_say_how_far_it_is() -> None:
    told = Progress((Report(190 * MINUTE, remaining=3 * HOUR),))
    assert left(told, (HERE,), expected=None).left == 3 * HOUR - 2 * MINUTE


def test_a_report_that_does_not_tell_how_far_the_run_is_takes_nothing_back() -> None:
    """Such as a new loss beside an answer to a query for the progress that is the same as before."""
    told = reports((132, 0.0), (162, 0.1), (190, 0.2))
    more = Progress((*told.reports, Report(191 * MINUTE, metrics={"loss": 0.3})))
    assert left(more, (HERE,), expected=None) == left(told, (HERE,), expected=None)
    own = Progress((Report(190 * MINUTE, remaining=3 * HOUR), Report(191 * MINUTE, step=7)))
    assert left(own, (HERE,), expected=None).left == 3 * HOUR - 2 * MINUTE


def test_what_was_kept_of_a_stay_stays_known_when_its_checkpoints_are_forgotten() -> None:
    """A history holds the newest checkpoints only; what was lost with a stay was noted when it ended."""
    noted = replace(FIRST, booked=True, lost_since=92 * MINUTE)
    later = Progress((), (Checkpoint(180 * MINUTE),))
    assert left(later, (noted, HERE)).left == 10 * HOUR - 90 * MINUTE - HOUR
    later_told = Progress((), (Checkpoint(102 * MINUTE), Checkpoint(180 * MINUTE)))
    assert left(later_told, (noted, HERE)).left == 10 * HOUR - 100 * MINUTE - HOUR


def test_lost_work_begins_at_the_last_checkpoint() -> None:
    saved = Progress((), (Checkpoint(100 * MINUTE),))
    assert lost_span(FIRST, saved, None) == (100 * MINUTE, 122 * MINUTE)
    assert lost_span(FIRST, Progress(), 50 * MINUTE) == (102 * MINUTE, 122 * MINUTE)
    assert lost_span(FIRST, Progress(), None) is None  # nobody knows
    assert lost_span(HERE, saved, None) is None  # nothing is lost yet


def test_lost_work_is_what_was_found_out_when_the_stay_ended() -> None:
    later = Progress((), (Checkpoint(180 * MINUTE),))
    noted = replace(FIRST, booked=True, lost_since=92 * MINUTE)
    assert lost_span(noted, later, None) == (92 * MINUTE, 122 * MINUTE)
    assert lost_span(replace(FIRST, booked=True), later, None) is None
