"""A run under its deadline, seen from now: work left, changeover, checkpoints, spot, and the choice that follows.

Everything is computed from what is there (annotations of the Job, pods, stays, reports), so a restart comes to the same
choice. The policy knows times and prices only; what is different in a real cluster is done here:

- whether spot is there is known by trying only, so a try that has begun is seen through until its timeout, or until the
  deadline does not allow it any more;
- a try that may fail costs its timeout and the way back, so it begins only with time for both;
- work that is not saved is at risk, so it counts as part of what losing the nodes would cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import CapacityType, Job
from gpucost.core.training import memory, observe
from gpucost.core.training.auto.changeover import Changeover, measured
from gpucost.core.training.auto.checkpointing import Advice, advised
from gpucost.core.training.auto.sightings import Market, Spot, pool_keys, wants_of
from gpucost.core.training.auto.stays import Stay, current
from gpucost.core.training.auto.work import Source, Work, work_left
from gpucost.core.training.deadline import Capacity, Choice, Outlook, Reason, Span, Zone
from gpucost.core.training.memory import Memory
from gpucost.core.training.pins import ZONE
from gpucost.core.training.spec import PlacementPolicy, TrainingSpec
from gpucost.core.training.state import TrainingContext, TrainingState

LOOK_EVERY: Micros = MINUTE
"""How often a run with policy Auto is looked at when nothing happens."""
_LEAST_PATIENCE, _TIMES = 2 * MINUTE, 3
USUAL_PRICE = Decimal("0.35")
"""Spot as a part of the on-demand price where nobody knows either."""
_CAPACITIES = {CapacityType.SPOT: Capacity.SPOT, CapacityType.ON_DEMAND: Capacity.ON_DEMAND}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the run is on, in the policy's terms."""

    running: Capacity
    changeover_left: Micros = 0
    trying: bool = False
    """Spot was asked for and may still come."""
    unmet: bool = False
    """Spot was asked for and has not come in time; the pods wait on, which costs nothing."""

    @property
    def has_spot(self) -> bool:
        """Whether it is on spot nodes."""
        return self.running is Capacity.SPOT and not self.trying


@dataclass(frozen=True)
class View:
    """Everything that is shown of a run's deadline, and decided."""

    work: Work
    changeover: Changeover
    advice: Advice
    standing: Standing
    spot: Spot | None = None
    choice: Choice | None = None
    """None: the policy is not Auto, or nothing is known of the work."""

    @property
    def placement(self) -> CapacityType:
        """Where Auto wants the run; waiting for spot is to ask for it, because pods that wait cost nothing."""
        if self.choice is None:
            return CapacityType.ON_DEMAND
        return CapacityType.ON_DEMAND if self.choice.capacity is Capacity.ON_DEMAND else CapacityType.SPOT


def view_of(state: TrainingState, context: TrainingContext, spec: TrainingSpec, mine: Memory) -> View:
    """See a run; `spec` must be free of problems."""
    now, progress, stays = context.now, state.progress, state.stays
    kind = _kind(spec, mine, stays)
    advice = advised(progress, stays, kind, now)
    every = spec.checkpoint_interval
    work = work_left(progress, stays, expected=spec.expected_duration, saves_every=every, now=now)
    changeover = measured(stays, progress, interval=every or advice.interval, saves_every=every)
    standing = _standing(state, spec, mine, changeover, now)
    if spec.placement.policy is not PlacementPolicy.AUTO:
        return View(work, changeover, advice, standing)
    spot = _spot(state, context, spec, mine)
    choice = _choice(state, context, spec, View(work, changeover, advice, standing, spot))
    return View(work, changeover, advice, standing, spot, choice)


def _kind(spec: TrainingSpec, mine: Memory, stays: tuple[Stay, ...]) -> CapacityType:
    """The capacity that the advice is for: spot for runs that may be there."""
    if spec.placement.policy in {PlacementPolicy.AUTO, PlacementPolicy.SPOT}:
        return CapacityType.SPOT
    return mine.placement or (stays[-1].capacity if stays else CapacityType.ON_DEMAND)


# --- what it is on ----------------------------------------------------------------------------------------------------


def _standing(state: TrainingState, spec: TrainingSpec, mine: Memory, changeover: Changeover, now: Instant) -> Standing:
    job, timeout = state.job, spec.placement.scheduling_timeout
    if job is None:
        return Standing(Capacity.NONE)
    if job.suspend:
        return _between(mine, changeover, timeout, now)
    kind = mine.placement or (state.stays[-1].capacity if state.stays else None)
    if kind is None:
        return Standing(Capacity.NONE)
    if observe.is_settled(job, state.pods):
        return Standing(_CAPACITIES.get(kind, Capacity.ON_DEMAND), _until_warm(state, changeover, now))
    return _asked(state, mine, changeover, kind, now - patience(changeover, timeout))


def patience(changeover: Changeover, timeout: Micros) -> Micros:
    """How long a try of spot may take: some times as long as nodes take otherwise, for a market that has none says so
    at once, and a try that finds nothing has cost this much of the slack."""
    return min(timeout, max(_LEAST_PATIENCE, _TIMES * changeover.scheduling))


def _asked(state: TrainingState, mine: Memory, changeover: Changeover, kind: CapacityType, late: Instant) -> Standing:
    """Nodes are asked for and not all there yet; a try that began before `late` has failed."""
    if kind is not CapacityType.SPOT:
        return Standing(Capacity.ON_DEMAND, changeover.start)
    since = observe.unscheduled_since(state.pods) or mine.resumed_at or _created(state)
    if since > late:
        return Standing(Capacity.SPOT, changeover.start, trying=True)
    return Standing(Capacity.NONE, unmet=True)


def _created(state: TrainingState) -> Instant:
    return state.job.created if state.job is not None else 0


def _between(mine: Memory, changeover: Changeover, timeout: Micros, now: Instant) -> Standing:
    """Suspended for a move: where it is going, for as long as a try may take."""
    if not mine.suspended or mine.reason != memory.MOVE or now >= (mine.suspended_at or 0) + timeout:
        return Standing(Capacity.NONE)
    if mine.destination is CapacityType.SPOT:
        return Standing(Capacity.SPOT, changeover.start, trying=True)
    if mine.destination is CapacityType.ON_DEMAND:
        return Standing(Capacity.ON_DEMAND, changeover.start)
    return Standing(Capacity.NONE)


def _until_warm(state: TrainingState, changeover: Changeover, now: Instant) -> Micros:
    """What is left of the changeover to the nodes that it has; 0 as soon as it reports from there."""
    here = current(state.stays)
    bound = here.bound if here is not None and here.bound is not None else _bound(state)
    latest = state.progress.latest
    if here is not None and here.running is not None and latest is not None and latest.at >= here.running:
        return 0
    return max(0, bound + changeover.starting + changeover.restoring - now)


def _bound(state: TrainingState) -> Instant:
    return max((pod.bound for pod in observe.alive(state.pods) if pod.bound is not None), default=0)


# --- spot -------------------------------------------------------------------------------------------------------------


def wants(job: Job, state: TrainingState, spec: TrainingSpec) -> str:
    """What a run's nodes have to be, as stays of other runs tell it."""
    return wants_of(job.node_selector, state.requests, pool_keys(spec.placement.selectors))


def refusal(mine: Memory) -> tuple[Instant, int] | None:
    """When the run's own last try of spot failed, and how many had in a row."""
    return (mine.spot_refused_at, max(1, mine.spot_refusals)) if mine.spot_refused_at is not None else None


def _spot(state: TrainingState, context: TrainingContext, spec: TrainingSpec, mine: Memory) -> Spot:
    market, job = context.market or Market(), state.job
    selector = dict(job.node_selector if job is not None else _selector(spec))
    if state.pin is not None:
        selector[ZONE] = state.pin.zone
    return market.spot(
        wants_of(selector, state.requests, pool_keys(spec.placement.selectors)),
        selector,
        state.requests,
        workers=job.parallelism if job is not None else spec.workers,
        refused=refusal(mine),
        now=context.now,
        pools=pool_keys(spec.placement.selectors),
    )


def _selector(spec: TrainingSpec) -> dict[str, str]:
    pod = (spec.template or {}).get("spec")
    found = pod.get("nodeSelector") if isinstance(pod, dict) else None
    return dict(found) if isinstance(found, dict) else {}


# --- the choice -------------------------------------------------------------------------------------------------------


def _choice(state: TrainingState, context: TrainingContext, spec: TrainingSpec, view: View) -> Choice | None:
    if view.work.left is None or view.work.total is None or spec.complete_by is None:
        return None
    outlook = _outlook(state, context, spec, view)
    if view.standing.running is Capacity.ON_DEMAND and outlook.work_left <= view.changeover.start:
        message = "less work is left than a changeover would take"
        return Choice(Capacity.ON_DEMAND, Reason.SPOT_NOT_WORTH_MOVING, message, outlook.now + LOOK_EVERY)
    chosen = _as_it_is(outlook, view, spec) or context.choose(outlook)
    if chosen.capacity is Capacity.SPOT and (against := _against_spot(outlook, view, spec)):
        message = f"{against}: {chosen.message}"
        return Choice(Capacity.ON_DEMAND, Reason.DEADLINE_NEAR, message, outlook.now + LOOK_EVERY)
    return chosen


def _against_spot(outlook: Outlook, view: View, spec: TrainingSpec) -> str:
    if not _may_try(outlook, view, spec):
        return "another attempt on spot could miss the deadline if it found no nodes"
    if _must_leave(outlook, view, spec):
        return "losing its nodes just before a checkpoint would miss the deadline, and going now does not"
    return ""


def _as_it_is(outlook: Outlook, view: View, spec: TrainingSpec) -> Choice | None:
    """The choice where it is clear without a policy, which is so for most runs in most passes: weighing costs some ms.

    A run that works on spot stays there until its nodes are lost, and one on on-demand capacity stays while there is
    no spot, or no time for a try.
    """
    standing, soon = view.standing, outlook.now + LOOK_EVERY
    if outlook.slack < standing.changeover_left:
        return None
    if standing.has_spot:
        latest = max(outlook.now, outlook.now + outlook.slack - outlook.changeover)
        return Choice(Capacity.SPOT, Reason.KEEPING_SPOT, "it works on spot capacity", soon, "", latest)
    if standing.running is not Capacity.ON_DEMAND:
        return None
    if outlook.zones[0].available is False:
        return Choice(Capacity.ON_DEMAND, Reason.SPOT_SCARCE, "no spot capacity was found lately", soon)
    if not _may_try(outlook, view, spec):
        message = "an attempt on spot could miss the deadline if it found no nodes"
        return Choice(Capacity.ON_DEMAND, Reason.DEADLINE_NEAR, message, soon)
    return None


def _must_leave(outlook: Outlook, view: View, spec: TrainingSpec) -> bool:
    """Whether spot nodes can be given up in time now, and cannot be lost in time at the worst moment.

    What a loss costs grows until the next checkpoint, and the policy knows one figure for it. Slack does not change
    while a run trains, so this is found out right after the loss that left so little, when going costs least.
    """
    every, start = spec.checkpoint_interval, view.changeover.start
    if every is None or not view.standing.has_spot or outlook.work_left <= start:
        return False
    least = start + (view.work.at_risk or 0) + LOOK_EVERY
    return least <= outlook.slack < start + min(every, outlook.work_left) + 2 * LOOK_EVERY


def _may_try(outlook: Outlook, view: View, spec: TrainingSpec) -> bool:
    """Whether there is time for a try of spot to find nothing, and for the way back."""
    standing = view.standing
    if standing.has_spot:
        return True
    if standing.trying:
        return outlook.slack >= outlook.changeover + 2 * LOOK_EVERY
    if standing.running is Capacity.NONE:
        return outlook.slack >= outlook.changeover + 2 * LOOK_EVERY
    waits = patience(view.changeover, spec.placement.scheduling_timeout)
    return outlook.slack >= 2 * outlook.changeover + waits + 2 * LOOK_EVERY


def _outlook(state: TrainingState, context: TrainingContext, spec: TrainingSpec, view: View) -> Outlook:
    work, standing, now = view.work, view.standing, context.now
    assert work.left is not None
    assert work.total is not None
    assert spec.complete_by is not None
    begun = state.job.created if state.job is not None else now
    spot_price, on_demand = state.rates or (USUAL_PRICE, Decimal(1))
    return Outlook(
        now=now,
        work_left=max(work.left, 1),
        deadline=spec.complete_by,
        total_work=max(work.total, work.left, 1),
        total_time=max(spec.complete_by - begun, 1),
        changeover=_changeover(view, state, now),
        spot_price=spot_price,
        on_demand_price=on_demand,
        zones=(Zone("", _available(view, float(spot_price / on_demand) if on_demand else 1.0), _history(view.spot)),),
        running=standing.running,
        zone="" if standing.running is Capacity.SPOT else None,
        changeover_left=standing.changeover_left,
        spent=state.spent if state.rates else Decimal(0),
        gang=state.job.parallelism if state.job is not None else spec.workers,
        interval=LOOK_EVERY,
    )


def _changeover(view: View, state: TrainingState, now: Instant) -> Micros:
    """What losing, or leaving, the nodes would cost: at least what is not saved now."""
    risk = view.work.at_risk
    here = current(state.stays)
    if risk is None and here is not None and here.running is not None:
        risk = max(0, now - here.running)  # it never told of a checkpoint: all of it may be lost
    return max(view.changeover.safe, view.changeover.start + (risk or 0))


def _available(view: View, price: float) -> bool | None:
    standing = view.standing
    if standing.running is Capacity.SPOT:
        return True
    if standing.unmet:
        return False
    spot = view.spot
    if spot is None or spot.available is not None or not spot.spans or spot.spans[-1].available:
        return None if spot is None else spot.available
    return _is_worth_a_try(view, spot, price)


def _is_worth_a_try(view: View, spot: Spot, price: float) -> bool:
    """Whether a move to spot pays that may find none: it was refused last, some time ago.

    Each span that was seen counts as a try, with one success and one failure before them. A success saves the price
    difference until the nodes are lost, less a changeover; a failure costs the changeover back.
    """
    found = 1 + sum(one.available for one in spot.spans)
    chance = found / (2 + len(spot.spans))
    lasts = min(view.work.left or 0, view.advice.between_losses)
    cost = view.changeover.total
    if view.standing.running is Capacity.NONE:
        return True
    return chance * ((1 - price) * lasts - price * cost) > (1 - chance) * cost


def _history(spot: Spot | None) -> Sequence[Span]:
    """As it was gathered: runs that share a history are known by its being the same object."""
    return spot.spans if spot is not None else ()


# --- what it comes to -------------------------------------------------------------------------------------------------


def expected_finish(view: View, now: Instant) -> Instant | None:
    """When the run will be complete if it goes on as it is; None when nobody knows."""
    if view.work.left is None:
        return None
    standing = view.standing
    start = standing.changeover_left if standing.running is not Capacity.NONE else view.changeover.start
    losses = view.work.left / view.advice.between_losses if standing.running is not Capacity.ON_DEMAND else 0.0
    return now + start + view.work.left + round(losses * view.changeover.total)


def is_known(view: View) -> bool:
    """Whether anything tells how much work is left."""
    return view.work.source is not Source.UNKNOWN
