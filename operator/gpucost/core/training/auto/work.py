"""How much work of a run is left, and where that is known from: its reports, else its checkpoints, else time.

Work is time of training on the run's nodes. What is not saved counts as done only while the nodes are there: once they
are gone, the run goes on from its last checkpoint, and a run that never told of one is taken to have none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.training.auto.stays import Cause, Stay, current
from gpucost.core.training.progress import Checkpoint, Progress, Report

_LEAST_LEFT = 20
"""A run that has outlived its expected duration is taken to need a twentieth of it more."""
_FULL_TRUST = 0.05
"""Part of the work after which the run's own speed is believed wholly, rather than the expected duration."""
_LEAST_SEEN = 0.005
_LONGEST_SILENCE = 10 * MINUTE
"""How far progress is extrapolated beyond the last report."""
RESTORING: Micros = MINUTE
"""From running containers to training, where nobody tells: until then the next checkpoint has not even begun."""
_CURVE = 64
"""Reports of one stay that the speed is measured on, at its end."""


class Source(StrEnum):
    """Where the work left is known from."""

    REPORTS = "Reports"
    CHECKPOINTS = "Checkpoints"
    TIME = "Time"
    EXPECTED = "ExpectedDuration"
    """Nothing has run yet."""
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Work:
    """Work of a run at an instant; None is unknown."""

    total: Micros | None
    left: Micros | None
    source: Source
    as_of: Instant | None = None
    """Of the report or checkpoint that it rests on."""
    at_risk: Micros | None = None
    """Training time that would be lost with the nodes now; None when nobody knows."""


def work_left(
    progress: Progress,
    stays: Sequence[Stay],
    *,
    expected: Micros | None,
    saves_every: Micros | None,
    now: Instant,
) -> Work:
    """The work of a run now."""
    here, telling = current(stays), _telling(progress)
    if telling is not None and telling.progress is not None:
        found = _by_reports(telling, progress, stays, expected, now)
        if found is not None:
            return found
    if telling is not None and telling.remaining is not None:
        return _by_own_estimate(telling, progress, here, expected, now)
    if expected is None:
        return Work(None, None, Source.UNKNOWN, at_risk=_since_saved(progress, here, saves_every, now))
    return _by_time(progress, stays, expected, saves_every, now)


# --- reports ----------------------------------------------------------------------------------------------------------


def _telling(progress: Progress) -> Report | None:
    """The newest report that says how far the run is; many tell of a metric only."""
    reports = reversed(progress.reports)
    return next((one for one in reports if one.progress is not None or one.remaining is not None), None)


def _by_reports(
    latest: Report, progress: Progress, stays: Sequence[Stay], expected: Micros | None, now: Instant
) -> Work | None:
    assert latest.progress is not None
    total, here = _total(progress, stays, expected), current(stays)
    if total is None:
        return None
    saved = _part_saved(progress)
    if here is None or latest.at < here.start:
        return Work(total, round((1 - saved) * total), Source.REPORTS, latest.at, at_risk=0)
    since = min(max(0, now - latest.at), _LONGEST_SILENCE) if here.running is not None else 0
    done = min(1.0, latest.progress + since / max(1, total)) if latest.progress < 1 else 1.0
    lost = max(0.0, done - saved)
    return Work(total, max(0, round((1 - done) * total)), Source.REPORTS, latest.at, at_risk=round(lost * total))


def _total(progress: Progress, stays: Sequence[Stay], expected: Micros | None) -> Micros | None:
    """Duration of the whole work at the speed that was seen, as far as enough of it was seen."""
    seen, took = _speed(progress.reports, stays)
    if seen < _LEAST_SEEN or not took:
        return expected
    measured = took / seen
    if expected is None:
        return round(measured)
    trust = min(1.0, seen / _FULL_TRUST)
    return round(trust * measured + (1 - trust) * expected)


def _speed(reports: Sequence[Report], stays: Sequence[Stay]) -> tuple[float, Micros]:
    """Progress made within the latest stays and the time that it took; between stays nothing is learned."""
    starts = [stay.start for stay in stays]
    seen, took, last = 0.0, 0, len(reports)
    for start in reversed(starts or [0]):
        first = bisect_right(reports, start, hi=last, key=lambda one: one.at)
        told = [one for one in reports[max(first, last - _CURVE) : last] if one.progress is not None]
        if len(told) > 1 and told[-1].progress > told[0].progress:  # type: ignore[operator]
            seen += told[-1].progress - told[0].progress  # type: ignore[operator]
            took += told[-1].at - told[0].at
        last = first
        if seen >= _FULL_TRUST:
            break
    return seen, took


def _part_saved(progress: Progress) -> float:
    """Progress at the newest checkpoint; 0 when there is none."""
    saved = progress.saved
    return 0.0 if saved is None else _part_at(progress.reports, saved)


def _part_at(reports: Sequence[Report], saved: Checkpoint) -> float:
    """Progress that the run had when it saved: that of the report for the same step, else of the last one before."""
    index = bisect_right(reports, saved.at, key=lambda one: one.at)
    if saved.step is not None:
        near = reports[max(0, index - _CURVE) : index + 2]
        found = [one for one in near if one.step is not None and one.step <= saved.step and one.progress is not None]
        if found:
            return max(found, key=lambda one: (one.step, one.at)).progress or 0.0
    before = [one.progress for one in reports[max(0, index - _CURVE) : index] if one.progress is not None]
    return before[-1] if before else 0.0


def _by_own_estimate(
    latest: Report, progress: Progress, here: Stay | None, expected: Micros | None, now: Instant
) -> Work:
    """The run says itself how long it still needs, without saying how far it is."""
    assert latest.remaining is not None
    saved = progress.saved
    unsaved = max(0, latest.at - saved.at) if saved is not None else None
    if here is None or latest.at < here.start:
        lost = unsaved if unsaved is not None else max(0, (expected or 0) - latest.remaining)
        left = latest.remaining + lost
        return Work(max(left, expected or 0), left, Source.REPORTS, latest.at, at_risk=0)
    since = min(max(0, now - latest.at), _LONGEST_SILENCE)
    left = max(0, latest.remaining - since)
    risk = None if saved is None else max(0, now - max(saved.at, here.running or here.start))
    return Work(max(left, expected or 0), left, Source.REPORTS, latest.at, at_risk=risk)


# --- time -------------------------------------------------------------------------------------------------------------


def _by_time(
    progress: Progress, stays: Sequence[Stay], expected: Micros, saves_every: Micros | None, now: Instant
) -> Work:
    """Time of training that still counts: up to the last checkpoint of each stay, and all of the present one."""
    here = current(stays)
    kept = sum(_kept(stay, progress, saves_every, untold=RESTORING) for stay in stays if stay is not here)
    present = max(0, now - here.running) if here is not None and here.running is not None else 0
    left = max(expected - kept - present, expected // _LEAST_LEFT)
    saved = progress.saved
    if saved is not None:
        source, as_of = Source.CHECKPOINTS, saved.at
    else:
        source, as_of = (Source.TIME if stays else Source.EXPECTED), None
    return Work(expected, left, source, as_of, at_risk=_since_saved(progress, here, saves_every, now))


def _kept(stay: Stay, progress: Progress, saves_every: Micros | None, *, untold: Micros = 0) -> Micros:
    """Training time of a stay that is over that its checkpoints have kept, those too that are not remembered now.

    Of a run that tells of none, `untold` is the time before training that may have gone by: a checkpoint counts only
    when it must have been complete.
    """
    if stay.running is None or stay.ended is None:
        return 0
    if stay.cause is None:
        return max(0, stay.ended - stay.running)
    saved = _saved_until(stay, progress, stay.running, stay.ended)
    if saved is not None:
        return max(0, min(saved, stay.ended) - stay.running)
    return max(0, stay.ended - stay.running - untold) // saves_every * saves_every if saves_every else 0


def _saved_until(stay: Stay, progress: Progress, running: Instant, ended: Instant) -> Instant | None:
    """Until when the training of a stay was kept, as far as anybody knows or knew when it ended."""
    known = (last_saved(progress, running, ended), stay.lost_since)
    return max((at for at in known if at is not None), default=None)


def last_saved(progress: Progress, start: Instant, end: Instant) -> Instant | None:
    """When the newest checkpoint of a span was complete."""
    index = bisect_right(progress.checkpoints, end, key=lambda one: one.at)
    found = progress.checkpoints[index - 1].at if index else None
    return found if found is not None and found >= start else None


def _since_saved(progress: Progress, here: Stay | None, saves_every: Micros | None, now: Instant) -> Micros | None:
    if here is None or here.running is None:
        return 0
    saved = last_saved(progress, here.running, now)
    if saved is not None:
        return max(0, now - saved)
    if saves_every is not None:
        trained = now - here.running
        doubtful = saves_every if trained >= saves_every and trained % saves_every < RESTORING else 0
        return trained % saves_every + doubtful
    return max(0, now - here.running) if progress.checkpoints else None


def lost_span(stay: Stay, progress: Progress, saves_every: Micros | None) -> tuple[Instant, Instant] | None:
    """The training of a stay that has to be done again; None when nothing is lost or nobody knows.

    What was found out when it ended holds when its checkpoints are not remembered any more.
    """
    if stay.running is None or stay.ended is None or stay.cause in {None, Cause.UNAVAILABLE}:
        return None
    saved = _saved_until(stay, progress, stay.running, stay.ended)
    if saved is None:
        if stay.booked:
            return None
        if saves_every is not None:
            saved = stay.running + _kept(stay, progress, saves_every)
        elif not progress.checkpoints and not progress.reports:
            return None
        else:
            saved = stay.running
    return (saved, stay.ended) if saved < stay.ended else None
