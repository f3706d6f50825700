"""What is known of an endpoint's past as JSON for the ledger: short keys, because there is a row for every hour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Instant
from gpucost.core.serving.quiet_times import QuietTimes
from gpucost.core.serving.ready_times import Start
from gpucost.core.serving.signals.model import WORK, Work
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval

_TIMES = ("covered", "uncertain", "busy", "idle", "starting")


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of an endpoint beside its hours."""

    starts: tuple[Start, ...] = ()
    quiet: QuietTimes = field(default_factory=QuietTimes)
    since: Instant = 0
    """Since which hour the endpoint is about the workload that it is about now."""

    @property
    def last(self) -> Instant:
        """When something was last learned."""
        return max([self.quiet.looked or 0, *(start.ready for start in self.starts)])


def hour_to_json(hour: WorkHour) -> str:
    """One hour; figures of work in the order of `WORK`, so that it may only grow at its end."""
    found = {
        "times": [getattr(hour, name) for name in _TIMES],
        "work": _work(hour.work),
        "tenants": {name: _work(work) for name, work in hour.tenants.items()},
    }
    return json.dumps(found, separators=(",", ":"))


def hour_from_json(text: str) -> WorkHour:
    """Read what `hour_to_json` wrote."""
    found: Mapping[str, Any] = json.loads(text)
    tenants = {name: Work(*values) for name, values in found["tenants"].items()}
    times: dict[str, int] = dict(zip(_TIMES, found["times"], strict=True))
    return WorkHour(**times, work=Work(*found["work"]), tenants=tenants)


def _work(work: Work) -> list[float | None]:
    return [getattr(work, name) for name in WORK]


def memory_to_json(memory: Memory) -> str:
    """Starts and quiet times."""
    times = memory.quiet
    found = {
        "starts": [[one.pod, one.created, one.bound, one.ready, one.seen] for one in memory.starts],
        "quiet": [times.watched, times.counted, times.requests, times.since, times.is_whole, times.is_busy],
        "looked": times.looked,
        "gaps": [list(gap) for gap in times.gaps],
        "since": memory.since,
    }
    return json.dumps(found, separators=(",", ":"))


def memory_from_json(text: str) -> Memory:
    """Read what `memory_to_json` wrote."""
    found: Mapping[str, Any] = json.loads(text)
    watched, counted, requests, since, is_whole, is_busy = found["quiet"]
    gaps = tuple(Interval(*gap) for gap in found["gaps"])
    quiet = QuietTimes(watched, counted, requests, gaps, since, is_whole, is_busy, found["looked"])
    return Memory(tuple(Start(*one) for one in found["starts"]), quiet, found.get("since", 0))
