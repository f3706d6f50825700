"""The question and the answer of a placement under a deadline, in the operator's terms.

Times are integer microseconds, prices exact decimals per hour of the whole gang (only their ratio matters). Nothing
here is guessed silently: what nobody has observed is None or an empty history, and a choice says in its evidence what
it took for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gpucost.core.clock import MINUTE, Instant, Micros


class Capacity(StrEnum):
    """What a run is on."""

    NONE = "none"
    SPOT = "spot"
    ON_DEMAND = "onDemand"


class Reason(StrEnum):
    """Why a choice was made; stable words for conditions and Events."""

    FINISHED = "Finished"
    """No work is left."""
    SPOT_AVAILABLE = "SpotAvailable"
    """Spot is there and worth its changeover."""
    KEEPING_SPOT = "KeepingSpot"
    """It runs on spot already."""
    WAITING_FOR_SPOT = "WaitingForSpot"
    """There is no spot, and time enough to wait for it."""
    SPOT_SCARCE = "SpotScarce"
    """On-demand, because waiting longer would probably cost more than it saves."""
    SPOT_NOT_WORTH_MOVING = "SpotNotWorthMoving"
    """Spot is there, but will probably not last or not pay for the changeover."""
    DEADLINE_NEAR = "DeadlineNear"
    """On-demand, because another try of spot could miss the deadline."""
    COST_CAP = "CostCap"
    """On-demand, because another try of spot could cost the run more than on-demand alone and the allowance."""
    DEADLINE_OUT_OF_REACH = "DeadlineOutOfReach"
    """Even on-demand from now on ends too late; it runs there, to be as little late as possible."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which spot capacity for the whole gang was known to be there, or known not to be."""

    start: Instant
    end: Instant
    available: bool


@dataclass(frozen=True, slots=True)
class Zone:
    """Spot capacity in one zone (or in one pool of several zones that the run does not choose between)."""

    name: str
    available: bool | None = None
    """Whether the whole gang would get spot nodes now; None: nobody knows, so that trying is how to learn it."""
    history: Sequence[Span] = ()
    """What has been seen, in any order; gaps are times when nobody looked. Empty: a weak prior decides."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that a choice depends on."""

    now: Instant
    work_left: Micros
    """At the speed that the run has, without the changeover."""
    deadline: Instant
    total_work: Micros
    """Work of the whole run, as expected when it began."""
    total_time: Micros
    """From the run's beginning to its deadline."""
    changeover: Micros
    """From asking for nodes to the first new progress, lost work included."""
    spot_price: Decimal
    on_demand_price: Decimal
    zones: Sequence[Zone] = (Zone(""),)
    """Where spot may be had; one without a name when zones do not matter."""
    running: Capacity = Capacity.NONE
    zone: str | None = None
    """Where its spot nodes are."""
    changeover_left: Micros = 0
    """Of the changeover to the nodes that it has; 0: it makes progress."""
    spent: Decimal = Decimal(0)
    """What the run has cost so far, in the currency of the prices."""
    gang: int = 1
    """Nodes that must all be there at once; the zones' availability is already that of the whole gang."""
    interval: Micros = 5 * MINUTE
    """At the latest after this time somebody looks again."""

    @property
    def time_left(self) -> Micros:
        """Until the deadline; negative when it has passed."""
        return self.deadline - self.now

    @property
    def slack(self) -> Micros:
        """Time left beyond the work left."""
        return self.time_left - self.work_left


@dataclass(frozen=True, slots=True)
class Choice:
    """Where the run should be now."""

    capacity: Capacity
    reason: Reason
    message: str
    """Plain words with the numbers that decided."""
    look_again: Instant
    """At the latest; losing or gaining spot, and every change of the outlook, is a reason to ask before."""
    zone: str | None = None
    """Of spot capacity."""
    on_demand_by: Instant | None = None
    """The last instant at which on-demand capacity must be asked for, if nothing is gained before; None: it is asked
    for, or no work is left."""
    deadline_at_risk: bool = False
    """On-demand capacity from now on would not be in time."""


class PutOff(Exception):
    """Nothing is chosen yet, because weighing has to wait for its turn. Nothing is lost by asking again then."""

    def __init__(self, until: Instant) -> None:
        super().__init__("the choice is weighed in its turn")
        self.until = until
