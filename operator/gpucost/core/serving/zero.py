"""Taking the last replica away, and bringing it back: the number that goes before every recommendation.

Nobody's request may be lost for it. So there is no zero without somebody who is known, by a look of moments ago, to
hold requests meanwhile, and none on an unknown load. The way back is the other way round: any sign of a request, and
any doubt about the holder or about what it holds, wakes the endpoint up.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import MINUTE, Instant, Micros, format_duration
from gpucost.core.serving.cold_start import Advice, Choice
from gpucost.core.serving.pausing import PREFIX, Pause
from gpucost.core.serving.spec import EndpointSpec, Mode
from gpucost.core.serving.state import ASLEEP, Demand

WAKE = PREFIX + "wake"
"""Annotation by which a gateway or a person wakes an endpoint up: the present time, RFC 3339."""
FRESH: Micros = MINUTE
"""How old a look at the holder may be."""
_DOUBT: Micros = MINUTE
"""For how long nobody may know what the holder holds before the endpoint is woken up."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is known of whoever is declared to hold requests."""

    at: Instant
    """When it was looked at."""
    problem: str = ""
    """Why it does not hold requests for this endpoint; empty: it does."""
    held: float | None = None
    """Requests that it holds; None: nobody knows."""
    known_at: Instant | None = None
    """When it was known last how many it holds."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the decision looks at."""

    replicas: int
    holding: Holding | None
    """None: nobody has looked yet."""
    advice: Advice
    idle_since: Instant | None = None
    """For at least how long nobody has asked; None: somebody does, or nobody knows."""
    serving_since: Instant | None = None
    """Since when the newest of the replicas serves; None: none does yet, and whoever woke it up has not been served."""
    frozen: str = ""
    """Why no replica may be taken away; empty: nothing speaks against it."""
    woken: Instant | None = None
    """When somebody asked to be woken up."""
    scaled: Instant | None = None
    """When the number was changed last."""
    window_keeps: bool = False
    """Whether a schedule that is open asks for replicas."""


def zero_or_wake(spec: EndpointSpec, case: Situation, pause: Pause, now: Instant) -> Demand | None:
    """The number that is due; None: nothing of this kind is."""
    if spec.zero is None or spec.mode is Mode.OFF:
        return None
    return _asleep(case, now) if case.replicas == 0 else _awake(case, pause, now)


# --- without a replica ------------------------------------------------------------------------------------------------


def _asleep(case: Situation, now: Instant) -> Demand | None:
    why = reason_to_wake(case, now)
    if why is not None:
        return Demand(1, "Woken", why)
    return Demand(0, ASLEEP, "nobody asks; requests are held, and the first one wakes it up")


def reason_to_wake(case: Situation, now: Instant) -> str | None:
    """Why an endpoint without replicas must have one; None while nothing asks for it."""
    holding = case.holding
    if case.window_keeps:
        return "a schedule that is open asks for replicas"
    if case.woken is not None and (case.scaled is None or case.woken >= case.scaled):
        return f"the annotation {WAKE} asks for it"
    return None if holding is None else _doubt(holding, case.scaled, now)  # a process that has just begun looks first


def _doubt(holding: Holding, scaled: Instant | None, now: Instant) -> str | None:
    """What the holder holds, or why nobody can rely on it."""
    if holding.held:
        return f"{holding.held:g} requests are held"
    if now - holding.at > FRESH:
        return f"nobody has been able to look at the holder for {format_duration(now - holding.at)}"
    if holding.problem:
        return f"requests are not held any more: {holding.problem}"
    if holding.held is None and now - (holding.known_at or scaled or 0) > _DOUBT:
        return "nobody knows whether requests are held"
    return None


# --- with replicas ----------------------------------------------------------------------------------------------------


def _awake(case: Situation, pause: Pause, now: Instant) -> Demand | None:
    advice = case.advice
    if advice.choice is not Choice.ZERO or advice.idle_after is None:
        return None
    if case.frozen or case.window_keeps or pause.down or case.idle_since is None or case.serving_since is None:
        return None
    idle = now - max(case.idle_since, case.serving_since, case.woken or 0)  # who wakes it up is about to ask
    if idle < advice.idle_after or refusal(case.holding, now):
        return None
    return Demand(0, ASLEEP, f"no request for {format_duration(idle)}; {advice.message}")


def refusal(holding: Holding | None, now: Instant) -> str:
    """Why the last replica may not go as far as the holder is concerned; empty: it may."""
    if holding is None or now - holding.at > FRESH:
        return "the holder of requests has not been looked at lately"
    if holding.problem:
        return holding.problem
    if holding.held is None:
        return "nobody knows how many requests are held, so none could wake it up"
    return f"{holding.held:g} requests are held" if holding.held else ""
