"""What no policy may do: miss a deadline that on-demand capacity can still meet, or cost a run more than it may.

Both are exact and look at the worst case only: spot that is taken is lost at the moment that hurts most, and the rest
is done on on-demand capacity. They hold for whatever a policy expects of the future.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.training.deadline.runs import NONE, ON_DEMAND, SPOT, Floats, Mask, Runs, Terms


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which of the choices are safe, by run. Going to, and staying on, on-demand always is."""

    wait: Mask
    """Be on nothing for a tick."""
    start_spot: Mask
    """Start on other spot nodes than those that it has."""
    in_time: Mask
    """`start_spot` as far as the deadline goes."""
    affordable: Mask
    """`start_spot` as far as the cost goes."""


def allowed(runs: Runs, terms: Terms) -> Allowed:
    """What is safe for each run.

    A changeover is needed once more after the worst case, so that waiting needs slack for a tick and a changeover,
    and a new attempt of spot slack for two changeovers. Spot nodes that a run has may always be kept.
    """
    slack, delay = runs.slack, terms.changeover
    in_time = slack >= 2 * delay
    affordable = committed(runs, terms) + terms.price * delay <= terms.most
    wait = (slack - terms.tick >= delay) & (committed(runs, terms) <= terms.most)
    return Allowed(wait, in_time & affordable, in_time, affordable)


def committed(runs: Runs, terms: Terms) -> Floats:
    """Cost of a run that gives up what it has and does the rest on on-demand capacity."""
    total: Floats = runs.spent + runs.work_left + terms.changeover
    return total


def is_warm(runs: Runs) -> Mask:
    """On nodes, with the changeover behind it."""
    found: Mask = (runs.mode != NONE) & (runs.changeover_left == 0)
    return found


def on_spot(runs: Runs) -> Mask:
    """On spot nodes."""
    found: Mask = runs.mode == SPOT
    return found


def on_demand(runs: Runs) -> Mask:
    """On on-demand nodes."""
    found: Mask = runs.mode == ON_DEMAND
    return found
