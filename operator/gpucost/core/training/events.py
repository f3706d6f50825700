"""The Events of a TrainingJob: what is news against its stored status."""

from __future__ import annotations

from collections.abc import Iterator

from gpucost.core.actions import EventNote
from gpucost.core.clock import format_duration
from gpucost.core.model import CapacityType
from gpucost.core.training import doubts, duplicates, pins
from gpucost.core.training.case import Case
from gpucost.core.training.memory import moment
from gpucost.core.training.stopping import story
from gpucost.core.training.wish import name_of, upcoming

_REASONS = {
    "SpotAvailable": "spot capacity is worth a try",
    "WaitingForSpot": "there is time to wait for spot capacity",
    "SpotScarce": "no spot capacity was found, and waiting longer would cost more than it saves",
    "SpotNotWorthMoving": "spot capacity would not pay for the changeover",
    "DeadlineNear": "another attempt on spot could miss the deadline",
    "CostCap": "another attempt on spot could cost more than on-demand capacity alone",
    "DeadlineOutOfReach": "the deadline is out of reach",
    "WorkUnknown": "nobody knows how much work is left",
}


def news(case: Case, *, over: bool) -> tuple[EventNote, ...]:
    """Notes that the stored status does not know of yet; each tells its occurrence apart by `dedupe`."""
    while_it_runs = (*_windows(case), *_pins(case), *_moves(case), *_stops(case), *_doubts(case))
    return (*duplicates.news(case.state), *_interruptions(case), *(() if over else while_it_runs))


def _pins(case: Case) -> Iterator[EventNote]:
    pin = case.state.pin
    before = (case.state.status.get("placement") or {}).get("zonePin") or {}
    if pin is not None and pins.matters(case.spec) and (before.get("zone"), before.get("by")) != (pin.zone, pin.by):
        yield EventNote("ZonePinned", pins.described(pin), f"{pin.zone}/{pin.by}", warning=True)


def _stops(case: Case) -> Iterator[EventNote]:
    remembered = case.remembered.stop
    told = case.stop or (remembered if remembered is not None and remembered.restart else None)
    return story.events(case.spec.stopping, case.course, told, case.state.status, case.state.key)


def _interruptions(case: Case) -> Iterator[EventNote]:
    known = int((case.state.status.get("interruptions") or {}).get("count") or 0)
    for one in sorted(case.state.interruptions, key=lambda one: (one.at, one.pod_uid))[known:]:
        reason = f" ({one.reason})" if one.reason else ""
        yield EventNote("SpotInterrupted", f"spot node {one.node} was lost{reason}", one.pod_uid, warning=True)


def _windows(case: Case) -> Iterator[EventNote]:
    before = (case.state.status.get("placement") or {}).get("window") or {}
    window = case.wish.window
    start = moment(window.start) if window is not None else None
    if before.get("start") == start:
        return
    if before.get("start"):
        yield EventNote("WindowClosed", f"the window that opened at {before['start']} is over", str(before["start"]))
    if window is not None:
        message = f"runs on {name_of(window.placement)} capacity until {moment(window.end)}"
        yield EventNote("WindowOpened", message, f"{start}/{window.window}")


def _moves(case: Case) -> Iterator[EventNote]:
    """A resumption in another place than before, once; a first placement is no move."""
    mine, shown = case.memory, case.state.status.get("placement") or {}
    if mine.moved_at is None or mine.moved_at != mine.resumed_at or mine.suspended:
        return
    since = moment(mine.moved_at)
    if shown.get("since") == since or mine.placement is None or mine.previous is None:
        return
    kind = "MovedToSpot" if mine.placement is CapacityType.SPOT else "MovedToOnDemand"
    yield EventNote(kind, f"moved from {name_of(mine.previous)} to {name_of(mine.placement)}{_why(case)}", since)


def _doubts(case: Case) -> Iterator[EventNote]:
    return doubts.news(case.state.doubts or (), case.now, case.state.generation)


def _why(case: Case) -> str:
    if case.is_auto:
        return f": {_REASONS.get(case.memory.move_reason, case.memory.move_reason)}" if case.memory.move_reason else ""
    if case.is_refused:
        timeout = format_duration(case.spec.placement.scheduling_timeout)
        return f": no {name_of(case.wish.placement)} node within {timeout}"
    change = upcoming(case.spec, case.now)
    return f"; next change at {moment(change[0])}" if change is not None else ""
