"""What to do about one InferenceEndpoint: the steps, in order, each a function of what is there now.

The first verdict that holds decides. Nothing is done on unknown: a target that cannot be read, a load that nobody
knows, a rival or a pause leave the replicas as they are, and the conditions say which of these it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.serving.behavior import Allowed, Limit, allowed
from gpucost.core.serving.makers import OWNER_LEAVES
from gpucost.core.serving.pausing import Pause, pause_of
from gpucost.core.serving.schedules import Open, open_window
from gpucost.core.serving.spec import EndpointSpec, Mode, OnMissing
from gpucost.core.serving.state import (
    ASLEEP,
    EndpointDecision,
    EndpointState,
    Rival,
    ScaleTarget,
    Target,
    Unresolved,
)
from gpucost.core.serving.telling import Told, tell
from gpucost.core.serving.validate import limits_in, problems
from gpucost.core.training.validate import Problem

__all__ = ["plan"]


class Verdict(NamedTuple):
    """Why the number is what it is: Ready with its reason, and whether the endpoint scales (ScalingActive)."""

    ready: bool
    reason: str
    message: str
    active: bool | None = False


@dataclass(frozen=True)
class Case:
    """One endpoint with everything that follows from its state by itself."""

    state: EndpointState
    spec: EndpointSpec
    now: Instant
    pause: Pause = field(default_factory=Pause)

    @property
    def target(self) -> Target:
        """The workload, in steps that come after it was found."""
        assert isinstance(self.state.target, Target)
        return self.state.target

    @cached_property
    def window(self) -> tuple[Open | None, Instant | None]:
        """The schedule that holds, and until when that is certain."""
        return open_window(self.spec.windows, self.now)

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Fewest and most replicas now."""
        holds = self.window[0]
        return limits_in(self.spec, self.spec.windows[holds.index] if holds is not None else None)

    @cached_property
    def missing_since(self) -> Instant | None:
        """Since when the load is unknown; without a replica there is none to be measured."""
        asleep = isinstance(self.state.target, Target) and not self.state.target.replicas
        if self.state.measured.known or asleep:
            return None
        stored, said = self.state.status.get("missingSince"), self.state.measured.since
        known = [parse_rfc3339(str(stored))] if stored else []
        return min([*known, *([said] if said is not None else [])], default=self.now)

    @cached_property
    def outcome(self) -> Allowed:
        """The number that the workload should have."""
        return _outcome(self)

    @property
    def acts(self) -> bool:
        """Whether anything may be changed at all."""
        return self.spec.mode is Mode.AUTO and not self.pause.dry_run


def plan(state: EndpointState, now: Instant) -> EndpointDecision:
    """Decide what follows for one InferenceEndpoint. Total: bad input becomes `Invalid`, never an exception."""
    found = [Problem(*one) for one in state.problems]
    if state.spec is not None:
        found += problems(state.spec, state.annotations)
    if state.spec is None or found:
        text = "; ".join(map(str, found or [Problem("spec", "could not be read")]))[:8192]
        return tell(state, now, Told(False, "Invalid", text, past=state.past))
    case = Case(state, state.spec, now, pause_of(state.annotations))
    return next(decision for step in _STEPS if (decision := step(case)) is not None)


# --- reasons to do nothing --------------------------------------------------------------------------------------------


def _off(case: Case) -> EndpointDecision | None:
    if case.spec.mode is not Mode.OFF:
        return None
    return _told(case, Verdict(True, "Off", "spec.mode is Off: nothing is recommended and nothing is changed"))


def _unresolved(case: Case) -> EndpointDecision | None:
    target = case.state.target
    if isinstance(target, Target):
        return None
    if target is None:
        target = Unresolved("Unknown", f"{case.spec.target} has not been looked at yet")
    return _told(case, Verdict(False, target.reason, target.message))


def _rivals(case: Case) -> EndpointDecision | None:
    """Two who set one number would undo each other's work for ever."""
    if case.state.rivals is None and case.spec.mode is Mode.AUTO:
        why = case.state.unseen or "autoscalers cannot be seen"
        message = f"{why}: nothing is changed before it is known that nobody else sets the replicas"
        return _told(case, Verdict(False, "RivalsUnknown", message))
    if not case.state.rivals:
        return None
    whom = " and ".join(map(str, case.state.rivals))
    verb = "sets" if len(case.state.rivals) == 1 else "set"
    if case.spec.mode is Mode.AUTO:
        message = f"{whom} {verb} the replicas of {case.spec.target}: {_remedy(case.state.rivals)}"
        return _told(case, Verdict(False, "Conflict", message))
    message = f"{whom} {verb} the replicas of {case.spec.target}; the recommendation is for comparison"
    return _told(case, Verdict(True, "Recommending", message), known=case.state.wish is not None)


def _remedy(rivals: Sequence[Rival]) -> str:
    """What a person can do about rivals."""
    makers = [one for one in rivals if one.made]
    if not makers:
        return "delete it, or use mode Recommend here"
    told = f"{' and '.join(map(str, makers))} has made it: set the number there, or use mode Recommend here"
    if len(makers) < len(rivals):
        others = " and ".join(str(one) for one in rivals if not one.made)
        told = f"{told}, and delete {others}"
    if all(one.certain for one in makers):
        return told
    return f"{told}; where it leaves the number to others, say so by the annotation {OWNER_LEAVES}: 'true'"


def _paused(case: Case) -> EndpointDecision | None:
    if not case.pause.all or case.pause.at is not None:
        return None
    message = f"paused by the annotation {case.pause.annotation}: the replicas stay as they are"
    return _told(case, Verdict(True, "Paused", message), known=case.state.wish is not None)


def _paused_at(case: Case) -> EndpointDecision | None:
    number = case.pause.at
    if number is None:
        return None
    message = f"held at {number} by the annotation {case.pause.annotation}"
    return _set(case, Verdict(True, "Paused", message), number, "Paused", message)


def _demanded(case: Case) -> EndpointDecision | None:
    demand = case.state.demand
    if demand is None:
        return None
    if demand.replicas > case.target.replicas and case.pause.up:
        message = f"paused by an annotation: {demand.replicas} are not set, though {demand.message}"
        return _told(case, Verdict(True, "Paused", message), desired=demand.replicas)
    verdict = Verdict(True, demand.reason, demand.message, True)
    if not case.acts and demand.replicas != case.target.replicas:
        verdict = _recommending(case)
    return _set(case, verdict, demand.replicas, demand.reason, demand.message)


def _at_zero(case: Case) -> EndpointDecision | None:
    """Without scaleToZero only a person sets it to 0, and knows why."""
    if case.target.replicas:
        return None
    last = case.state.past.steps[-1] if case.state.past.steps else None
    if last is not None and (last.after, last.reason) == (0, ASLEEP) and case.spec.zero is None and not case.pause.up:
        why = "it was asleep, and spec.scaleToZero is there no more: nobody would wake it up"
        return _set(case, Verdict(True, "Woken", why, True), case.limits[0], "Woken", why)
    message = f"{case.spec.target} is set to 0 replicas: scale it up by hand, and it is looked after again"
    return _told(case, Verdict(True, ASLEEP, message))


def _unknown_load(case: Case) -> EndpointDecision | None:
    """While the load is unknown nothing is taken away; more may be asked for, by the specification alone."""
    if case.state.wish is not None and case.state.measured.known:
        return None
    current, (wanted, why) = case.target.replicas, _floor(case)
    if wanted > current and not case.pause.up:
        reason = "MetricsMissing" if not case.state.measured.known else "CapacityUnknown"
        return _set(case, Verdict(False, reason, why), wanted, reason, why)
    if case.state.measured.known:
        why = case.state.measured.lacking or "no number is recommended yet"
        return _told(case, Verdict(False, "CapacityUnknown", f"the replicas stay as they are: {why}"), desired=current)
    why = "the load is unknown: the replicas stay as they are"
    return _told(case, Verdict(False, "MetricsMissing", why), desired=current)


def _floor(case: Case) -> tuple[int, str]:
    """The number below which the replicas must not be while the load is unknown."""
    missing, least, since = case.spec.missing, case.limits[0], case.missing_since
    if since is None:
        return least, f"what a replica serves is not known, and at least {least} replicas are asked for"
    overdue = not _is_waking(case) and case.now >= max(since, case.state.ready_since or 0) + missing.after
    raised = min(missing.replicas or 0, case.limits[1])
    if missing.behavior is OnMissing.AT_LEAST and overdue and least < raised:
        return raised, f"the load is unknown: at least {raised} replicas, as onMissingMetrics says"
    return least, f"the load is unknown, and at least {least} replicas are asked for"


def _is_waking(case: Case) -> bool:
    """Whether the first replica after none is not ready yet: until then nobody can know the load."""
    steps = case.state.past.steps
    return case.state.ready == 0 and bool(steps) and steps[-1].before == 0


# --- the recommendation -----------------------------------------------------------------------------------------------


def _follow(case: Case) -> EndpointDecision:
    found, recommended = case.outcome, case.state.wish
    assert recommended is not None
    current, number = case.target.replicas, found.replicas
    if (number < current and case.pause.down) or (number > current and case.pause.up):
        which = "fewer" if number < current else "more"
        message = f"paused by an annotation: {which} than {current} replicas are not set"
        return _told(case, Verdict(True, "Paused", message, True), desired=number, limit=found.limit, known=True)
    if number < current and case.state.measured.frozen:
        message = f"no replica is taken away: {case.state.measured.frozen}"
        return _told(case, Verdict(True, "Frozen", message, True), desired=current, known=True)
    if not case.acts:
        return _told(case, _recommending(case), desired=number, limit=found.limit, known=True)
    free = case.state.free
    if free is not None and 0 < number < current and number < current - free:
        number = current - free
        if number == current:
            message = "no replica is taken away: each is answering somebody (spec.podDeletionCost)"
            return _told(case, Verdict(True, "Frozen", message, True), desired=current, known=True)
    if number == current:
        verdict = Verdict(True, "Scaled", f"{case.spec.target} has the replicas that it needs", True)
        return _told(case, verdict, desired=number, limit=found.limit, known=True)
    reason = str(found.limit) if found.limit in {Limit.MIN, Limit.MAX} else recommended.reason
    verdict = Verdict(True, "Scaling", f"{case.spec.target} is being changed", True)
    return _set(case, verdict, number, reason, recommended.message, limit=found.limit)


def _recommending(case: Case) -> Verdict:
    if case.pause.dry_run and case.spec.mode is Mode.AUTO:
        return Verdict(True, "Recommending", "dry run by annotation: nothing is changed")
    return Verdict(True, "Recommending", "spec.mode is Recommend: set it to Auto to have the number set")


def _outcome(case: Case) -> Allowed:
    recommended = case.state.wish
    assert recommended is not None
    least, most = case.limits
    return allowed(
        recommended.replicas,
        case.target.replicas,
        least=least,
        most=most,
        behavior=case.spec.behavior,
        past=case.state.past,
        now=case.now,
    )


# --- decisions --------------------------------------------------------------------------------------------------------


def _set(
    case: Case, verdict: Verdict, number: int, reason: str, why: str, *, limit: Limit = Limit.NONE
) -> EndpointDecision:
    """Set the number, where anything may be set and it is another one."""
    current, action = case.target.replicas, None
    if case.acts and number != current:
        action = ScaleTarget(
            endpoint=case.state.key,
            ref=case.spec.target,
            uid=case.target.uid,
            resource_version=case.target.resource_version,
            before=current,
            replicas=number,
            reason=reason,
            message=why,
        )
    return _told(case, verdict, desired=number, limit=limit, action=action, known=True)


def _told(
    case: Case,
    verdict: Verdict,
    *,
    desired: int | None = None,
    limit: Limit = Limit.NONE,
    action: ScaleTarget | None = None,
    known: bool = False,
) -> EndpointDecision:
    past = case.state.past
    if known and case.state.wish is not None and case.state.measured.known:
        past = case.outcome.past
        if desired is None:
            desired, limit = case.outcome.replicas, case.outcome.limit
    told = Told(
        verdict.ready,
        verdict.reason,
        verdict.message,
        active=verdict.active,
        desired=desired,
        limit=limit,
        window=case.window[0],
        wake_at=case.window[1],
        missing_since=case.missing_since if case.spec.mode is not Mode.OFF else None,
        action=action,
        past=past,
    )
    return tell(case.state, case.now, told)


Action = Callable[[Case], EndpointDecision | None]
_STEPS: tuple[Action, ...] = (
    _off,
    _unresolved,
    _rivals,
    _paused,
    _paused_at,
    _demanded,
    _at_zero,
    _unknown_load,
    _follow,
)
