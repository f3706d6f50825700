"""From a wish to the number that may be set: limits, tolerance, stabilization and rates as autoscaling/v2 means them.

Follows the documentation of HorizontalPodAutoscaler ("Configurable scaling behavior"): of the recommendations of a
window the smallest counts upwards and the largest downwards; a rate policy looks at what was changed within its period.
What was recommended and changed before is `Past`; it is a value, so the same question has the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.serving.spec import Behavior, Direction, RatePolicy, SelectPolicy

_STEPS_KEPT: Micros = 30 * MINUTE
"""The longest period that a rate policy may have."""


class Limit(StrEnum):
    """Why the number is not the one that was wished for; the words of the condition ScalingLimited."""

    NONE = "DesiredWithinRange"
    MIN = "TooFewReplicas"
    MAX = "TooManyReplicas"
    TOLERANCE = "WithinTolerance"
    UP_STABILIZED = "ScaleUpStabilized"
    DOWN_STABILIZED = "ScaleDownStabilized"
    UP_RATE = "ScaleUpLimit"
    DOWN_RATE = "ScaleDownLimit"


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the number of replicas that we have made."""

    at: Instant
    before: int
    after: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """What was recommended and done before, the oldest first."""

    begun: Instant = 0
    """When the endpoint was first looked at: its past of before is unknown."""
    recommendations: tuple[tuple[Instant, int], ...] = ()
    steps: tuple[Step, ...] = ()

    def with_step(self, step: Step) -> Past:
        """After a change was made."""
        kept = (one for one in self.steps if one.at > step.at - _STEPS_KEPT)
        return replace(self, steps=(*kept, step))


@dataclass(frozen=True, slots=True)
class Allowed:
    """The number that may be set now."""

    replicas: int
    limit: Limit
    past: Past


def allowed(
    wanted: int, current: int, *, least: int, most: int, behavior: Behavior, past: Past, now: Instant
) -> Allowed:
    """What a wish becomes. A number outside of its limits is brought within at once, whatever the behaviour says."""
    past = _remember(past, wanted, current, behavior, now)
    if current > most:
        return Allowed(most, Limit.MAX, past)
    if current < least:
        return Allowed(least, Limit.MIN, past)
    limited = min(max(wanted, least), most)
    limit = Limit.NONE if limited == wanted else Limit.MIN if limited > wanted else Limit.MAX
    steady = _stabilized(limited, current, behavior, past, now)
    if steady != limited:
        limit = Limit.UP_STABILIZED if limited > steady else Limit.DOWN_STABILIZED
    steady = min(max(steady, least), most)
    direction = behavior.up if steady > current else behavior.down
    if steady != current and abs(steady - current) <= direction.tolerance * current:
        return Allowed(current, Limit.TOLERANCE, past)
    found = _rated(steady, current, behavior, past, now)
    if found != steady:
        limit = Limit.UP_RATE if steady > current else Limit.DOWN_RATE
    return Allowed(found, limit, past)


def _remember(past: Past, wanted: int, current: int, behavior: Behavior, now: Instant) -> Past:
    """Note the wish; the first look counts as a wish for what is there, as an autoscaler that was restarted does."""
    begun = past.begun or now
    kept = max(behavior.up.stabilization, behavior.down.stabilization)
    if not kept:
        return replace(past, begun=begun, recommendations=())
    before = past.recommendations or ((now, current),)
    if before[-1][0] > now:  # the clock was set back: what is said to come is no past
        before = ((now, current),)
    # Of equal wishes the last one says all: the smallest and the largest of a window are asked for, and no other.
    recent = tuple(one for one in before if one[0] > now - kept and one[1] != wanted)
    return replace(past, begun=begun, recommendations=(*recent, (now, wanted)))


def _stabilized(wanted: int, current: int, behavior: Behavior, past: Past, now: Instant) -> int:
    up = down = wanted
    for at, number in past.recommendations:
        if at > now - behavior.up.stabilization:
            up = min(up, number)
        if at > now - behavior.down.stabilization:
            down = max(down, number)
    if now < past.begun + behavior.down.warm_up:
        down = max(down, current)
    return min(max(current, up), down)


def _rated(wanted: int, current: int, behavior: Behavior, past: Past, now: Instant) -> int:
    if wanted > current:
        return max(current, min(wanted, _up_to(behavior.up, current, past, now)))
    if wanted < current:
        return min(current, max(wanted, _down_to(behavior.down, current, past, now)))
    return current


def _up_to(direction: Direction, current: int, past: Past, now: Instant) -> int:
    if direction.select is SelectPolicy.DISABLED:
        return current
    reach = [
        (start + policy.value if not policy.is_percent else -(-start * (100 + policy.value) // 100))
        for policy in direction.policies
        for start in [_at_start(policy, current, past, now)]
    ]
    if not reach:
        return 2**31
    return max(reach) if direction.select is SelectPolicy.MAX else min(reach)


def _down_to(direction: Direction, current: int, past: Past, now: Instant) -> int:
    if direction.select is SelectPolicy.DISABLED:
        return current
    reach = [
        max(0, start - policy.value if not policy.is_percent else start * (100 - policy.value) // 100)
        for policy in direction.policies
        for start in [_at_start(policy, current, past, now)]
    ]
    if not reach:
        return 0
    return min(reach) if direction.select is SelectPolicy.MAX else max(reach)


def _at_start(policy: RatePolicy, current: int, past: Past, now: Instant) -> int:
    """Replicas at the start of a policy's period: those of now, without what was changed since."""
    return current - sum(step.after - step.before for step in past.steps if step.at > now - policy.period)
