"""One run of the operator, put to the policies: the outlook as columns of one row, the decision in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gpucost.core.clock import HOUR, MINUTE, Instant, format_duration, format_rfc3339
from gpucost.core.training.deadline.availability import LEARN_EVERY, Climate, Sky, Spans, climate, from_history
from gpucost.core.training.deadline.guard import Allowed, allowed
from gpucost.core.training.deadline.outlook import Capacity, Choice, Outlook, Reason, Span, Zone
from gpucost.core.training.deadline.policies import POLICIES
from gpucost.core.training.deadline.runs import ALLOWANCE, NONE, ON_DEMAND, SPOT, Runs, Terms

_CODES = {Capacity.NONE: NONE, Capacity.SPOT: SPOT, Capacity.ON_DEMAND: ON_DEMAND}
_UNSEEN = 2 * HOUR
"""Age of what nobody saw begin: whoever looks at any moment meets long spans more often than short ones."""
_CAPACITIES = {code: capacity for capacity, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the words are made from."""

    outlook: Outlook
    terms: Terms
    runs: Runs
    sky: Sky
    safe: Allowed


Decide = Callable[[Situation], tuple[int, int]]
"""Mode and zone of a run."""
Look = Callable[[Sequence[Zone], Instant], Sky]
"""Spot as it was seen until an instant."""


def choose(outlook: Outlook, policy: str = "auto") -> Choice:
    """Where the run should be now, why, and when to ask again."""

    def decide(here: Situation) -> tuple[int, int]:
        modes, zones = POLICIES[policy](here.terms).decide(here.runs, here.sky)
        return int(modes[0]), int(zones[0])

    return chosen(outlook, decide, observed)


def chosen(outlook: Outlook, decide: Decide, look: Look) -> Choice:
    """The choice that a decision comes to, within what the guard allows, in words."""
    if outlook.work_left <= 0:
        return Choice(Capacity.NONE, Reason.FINISHED, "no work is left", outlook.deadline)
    if outlook.slack < _needed(outlook):
        return _too_late(outlook)
    here = situation(outlook, look(outlook.zones, outlook.now))
    mode, zone = within(here.runs, here.safe, *decide(here))
    reason = _reason(here, mode)
    return Choice(
        capacity=_CAPACITIES[mode],
        reason=reason,
        message=_message(here, reason),
        look_again=_look_again(outlook, mode),
        zone=outlook.zones[zone].name if mode == SPOT else None,
        on_demand_by=None if mode == ON_DEMAND else max(outlook.now, outlook.now + outlook.slack - outlook.changeover),
    )


def _needed(outlook: Outlook) -> int:
    """The slack that even the surest way needs: a changeover, or what is left of it on the nodes that it has."""
    return outlook.changeover if outlook.running is Capacity.NONE else outlook.changeover_left


# --- the outlook in columns -------------------------------------------------------------------------------------------


def situation(outlook: Outlook, sky: Sky) -> Situation:
    """An outlook in columns of one row."""
    price = float(outlook.spot_price / outlook.on_demand_price) if outlook.on_demand_price else 1.0
    terms = Terms(
        max(outlook.total_work, 1), max(outlook.total_time, 1), outlook.changeover, price, max(outlook.interval, 1)
    )
    names = [zone.name for zone in outlook.zones]
    in_place = outlook.zone in names
    running = outlook.running
    spent = float(outlook.spent / outlook.on_demand_price) * 3.6e9 if outlook.on_demand_price else 0.0
    runs = Runs(
        np.array([outlook.work_left]),
        np.array([outlook.time_left]),
        np.array([outlook.changeover_left if running is not Capacity.NONE else 0]),
        np.array([_CODES[running]], dtype=np.int8),
        np.array([names.index(outlook.zone) if in_place and outlook.zone is not None else 0], dtype=np.int16),
        np.array([spent]),
    )
    return Situation(outlook, terms, runs, sky, allowed(runs, terms))


def observed(zones: Sequence[Zone], now: Instant) -> Sky:
    """Spot as it was seen until now. Where nobody knows, the last that was seen goes on; else it is worth a try."""
    histories, together, found = _habits(tuple(tuple(zone.history) for zone in zones), now - now % MINUTE)
    up = np.array([_is_up(zone, spans) for zone, spans in zip(zones, histories, strict=True)])
    age = np.array([_age(spans, now, is_up) for spans, is_up in zip(histories, up, strict=True)], dtype=np.int64)
    some = _age(together, now, bool(up.any()))
    return Sky(up, age, some, found)


@lru_cache(maxsize=512)
def _habits(zones: tuple[tuple[Span, ...], ...], minute: Instant) -> tuple[tuple[Spans, ...], Spans, Climate]:
    """What is learned from histories up to a minute: runs that want the same nodes have them in common."""
    histories = tuple(from_history(history, minute) for history in zones)
    together = from_history(_union(histories), minute) if len(zones) > 1 else histories[0]
    return histories, together, climate(histories, together, minute - minute % LEARN_EVERY)


def _is_up(zone: Zone, spans: Spans) -> bool:
    if zone.available is not None:
        return zone.available
    return bool(spans.up[-1]) if len(spans.up) else True


def _age(spans: Spans, now: Instant, is_up: bool) -> int:
    """For how long it has been so; what began while nobody looked may have begun at any time since."""
    if not len(spans.up):
        return _UNSEEN
    if bool(spans.up[-1]) == is_up:
        return int(max(0, now - spans.start[-1]))
    return int(min(_UNSEEN, max(0, now - spans.end[-1])))


def _union(zones: Sequence[Spans]) -> list[Span]:
    """Times in which some zone was known to have spot, or every zone was known to have none."""
    edges = np.unique(np.concatenate([edge for spans in zones for edge in (spans.start, spans.end)]))
    begins = edges[:-1]
    there, none = np.zeros(len(begins), dtype=bool), np.ones(len(begins), dtype=bool)
    for spans in zones:
        at = np.searchsorted(spans.start, begins, side="right") - 1
        seen = (at >= 0) & (begins < spans.end[at]) if len(spans.end) else np.zeros(len(begins), dtype=bool)
        up = seen & spans.up[at] if len(spans.end) else seen
        there |= up
        none &= seen & ~up
    known = there | none
    pairs = zip(begins[known].tolist(), edges[1:][known].tolist(), there[known].tolist(), strict=True)
    return [Span(start, end, up) for start, end, up in pairs]


# --- the decision in words --------------------------------------------------------------------------------------------


def within(runs: Runs, safe: Allowed, mode: int, zone: int) -> tuple[int, int]:
    """The decision, unless it could miss the deadline: an operator looks at other moments than a simulator does."""
    staying = mode == SPOT == int(runs.mode[0]) and zone == int(runs.zone[0])
    if mode == SPOT and not staying and not safe.start_spot[0]:
        return ON_DEMAND, zone
    if mode == NONE and not safe.wait[0]:
        return ON_DEMAND, zone
    return mode, zone


def _look_again(outlook: Outlook, mode: int) -> Instant:
    soon = outlook.now + outlook.interval
    if mode != NONE:
        return soon
    return min(soon, max(outlook.now, outlook.now + outlook.slack - outlook.changeover))


def _reason(here: Situation, mode: int) -> Reason:
    if mode == NONE:
        return Reason.WAITING_FOR_SPOT
    if mode == SPOT:
        return Reason.KEEPING_SPOT if here.outlook.running is Capacity.SPOT else Reason.SPOT_AVAILABLE
    safe = here.safe
    if here.sky.up.any():
        if not safe.in_time[0]:
            return Reason.DEADLINE_NEAR
        return Reason.SPOT_NOT_WORTH_MOVING if safe.affordable[0] else Reason.COST_CAP
    return Reason.SPOT_SCARCE if safe.wait[0] else Reason.DEADLINE_NEAR


def _message(here: Situation, reason: Reason) -> str:
    outlook = here.outlook
    left = (
        f"{_long(outlook.work_left)} of work in {_long(outlook.time_left)} until {format_rfc3339(outlook.deadline)} "
        f"({_long(outlook.slack)} to spare, a changeover takes {_long(outlook.changeover)})"
    )
    part = f"spot at {here.terms.price:.0%} of the on-demand price"
    seen = _seen(here)
    return {
        Reason.SPOT_AVAILABLE: f"{part} is there: {left}",
        Reason.KEEPING_SPOT: f"stays on {part}: {left}",
        Reason.WAITING_FOR_SPOT: f"waits for {part}: {left}{seen}",
        Reason.SPOT_SCARCE: f"no spot, and waiting longer would probably cost more than it saves: {left}{seen}",
        Reason.SPOT_NOT_WORTH_MOVING: f"spot is there, but would hardly pay for the changeover: {left}{seen}",
        Reason.DEADLINE_NEAR: f"another attempt on spot could miss the deadline: {left}",
        Reason.COST_CAP: f"another attempt on spot could take the run over {float(ALLOWANCE):.0%} of what on-demand "
        f"alone costs: {left}",
    }[reason]


def _seen(here: Situation) -> str:
    """How often there was spot while somebody looked."""
    spans = [span for zone in here.outlook.zones for span in zone.history]
    looked = sum(span.end - span.start for span in spans)
    if not looked:
        return "; nobody has watched spot here yet"
    there = sum(span.end - span.start for span in spans if span.available)
    return f"; spot was there {there / looked:.0%} of the {_long(looked)} watched"


def _long(duration: int) -> str:
    return format_duration(max(0, duration))


def _too_late(outlook: Outlook) -> Choice:
    late = _needed(outlook) - outlook.slack
    keep = outlook.running is Capacity.SPOT
    return Choice(
        capacity=Capacity.SPOT if keep else Capacity.ON_DEMAND,
        reason=Reason.DEADLINE_OUT_OF_REACH,
        message=f"{_long(outlook.work_left)} of work do not fit into {_long(outlook.time_left)} until "
        f"{format_rfc3339(outlook.deadline)}; at best it will be {_long(late)} late",
        look_again=outlook.now + outlook.interval,
        zone=outlook.zone if keep else None,
        on_demand_by=outlook.now if keep else None,
        deadline_at_risk=True,
    )
