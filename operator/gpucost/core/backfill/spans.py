"""Arithmetic of unknown time: when something ended that was last seen at an instant, and what of a gap is left."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from gpucost.core.backfill.seen import Seen
from gpucost.core.clock import SECOND, Instant, Micros, floor_to
from gpucost.core.model import Gap
from gpucost.core.timeline import Interval

SLACK = 2 * SECOND
"""The API server's times have whole seconds, and scrapes do not come to the millisecond."""


def next_scrape(seen: Seen, last: Instant) -> Instant:
    """By when something had ended whose last sample is of an instant: the first scrape that lacks it.

    A hole (nobody scraped) moves that to the first scrape behind it. Targets are scraped at different moments, so a
    whole interval and the slack are added rather than the exact scrape looked up.
    """
    usual = last + seen.interval + SLACK
    for hole in seen.holes:
        if hole.start <= usual and hole.end > last:
            usual = max(usual, hole.end + SLACK)
    if seen.next_scrape is not None and usual >= seen.span.end - seen.interval:
        usual = max(usual, seen.next_scrape + SLACK)
    return usual


def holes_of(present: Container[Instant], span: Interval, interval: Micros) -> list[Interval]:
    """Parts of a span without a scrape, from a look every `hole_step` at whether the last `hole_window` had one.

    The last scrape before a hole is only known to lie between two looks: the hole begins with the earlier one.
    """
    step, window = hole_step(interval), hole_window(interval)
    holes: list[Interval] = []
    for at in range(floor_to(span.start, SECOND), span.end + 1, step):
        hole = Interval(at - window - step, at + step).clip(*span)
        if at in present or hole is None:
            continue
        if holes and hole.start <= holes[-1].end:
            hole = Interval(holes.pop().start, hole.end)
        holes.append(hole)
    return holes


def hole_window(interval: Micros) -> Micros:
    """How far a look reaches back: a little more than the time between two scrapes, so that one that failed shows."""
    return interval * 6 // 5


def hole_step(interval: Micros) -> Micros:
    """Time between two looks."""
    return max(SECOND, floor_to(interval // 2, SECOND))


def subtract(spans: Iterable[Interval], taken: Interval) -> list[Interval]:
    """What is left of spans without another."""
    left = []
    for span in spans:
        for piece in (Interval(span.start, min(span.end, taken.start)), Interval(max(span.start, taken.end), span.end)):
            if piece.length > 0:
                left.append(piece)
    return left


def joined(spans: Iterable[Interval]) -> list[Interval]:
    """Spans in order, those that touch made one."""
    found: list[Interval] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(found[-1].end, span.end))
        elif span.length > 0:
            found.append(span)
    return found


def changed(uid: str, old: Sequence[Gap], new: Sequence[Interval], reason: str) -> tuple[list[Gap], list[Gap]]:
    """Gaps to write and gaps to take away, so that the old ones of a reason become the new ones."""
    wanted = [Gap(uid, span, reason) for span in new]
    starts = {span.start for span in new}
    return [gap for gap in wanted if gap not in old], [gap for gap in old if gap.span.start not in starts]
