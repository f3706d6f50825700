"""What a run has paid for and not got: idle GPUs, and work that was lost and done again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpucost.core.clock import Instant
from gpucost.core.money import Pico
from gpucost.core.report import Amounts
from gpucost.core.training.accounts import Ledgered
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.progress import Progress
from gpucost.core.training.state import Interruption
from gpucost.core.training.waste import lost_by_cause


@dataclass(frozen=True, slots=True)
class Loss:
    """Money by cause; `cost` None when a part of the time has no price."""

    cause: str
    about: str
    cost: Pico | None
    count: int | None = None
    gpu_time: int | None = None


_ABOUT = {
    Cause.SPOT: "work since the last checkpoint, lost with a spot node",
    Cause.CONSOLIDATION: "work lost when an autoscaler emptied the node",
    Cause.PREEMPTION: "work lost to more important pods",
    Cause.CRASH: "work lost when the program failed",
    Cause.MOVE: "work lost when the run was moved",
    Cause.PAUSE: "work lost when the run was suspended",
    Cause.NODE: "work lost with a node that was no spot capacity",
}


def losses(
    money: Ledgered,
    progress: Progress,
    interruptions: Sequence[Interruption],
    total: Amounts,
    stays: Sequence[Stay] = (),
) -> tuple[Loss, ...]:
    """By cause, the dearest first. Of runs whose stays on nodes were never recorded only lost spot nodes are known."""
    lost = _booked(stays) if stays else _interrupted(money, progress, interruptions)
    return tuple(sorted([*_idle(total), *lost], key=lambda one: -(one.cost or 0)))


def _booked(stays: Sequence[Stay]) -> Iterator[Loss]:
    """What the operator has booked when stays ended; a stay that it could not price makes its cause unpriced."""
    costs = lost_by_cause(stays)
    for cause, about in _ABOUT.items():
        ended = [one for one in stays if one.cause is cause and one.lost_since is not None]
        if ended:
            unpriced = any(one.lost_cost is None for one in ended)
            yield Loss(str(cause), about, None if unpriced else costs.get(str(cause), 0), count=len(ended))


def _idle(total: Amounts) -> Iterator[Loss]:
    if total.held:
        idle = total.known_gpu_time - total.active_gpu_time
        yield Loss("idle", "GPUs were held and measured as not computing", total.held, gpu_time=idle)


def _interrupted(money: Ledgered, progress: Progress, interruptions: Iterable[Interruption]) -> Iterator[Loss]:
    """From the last checkpoint before a spot node was lost to the loss, or from the beginning without one."""
    span = money.span
    moments = sorted({one.at for one in interruptions})
    if span is None or not moments:
        return
    saved = [one.at for one in progress.checkpoints]
    cost: Pico | None = 0
    before = span.start
    for moment in moments:
        since = max(before, _last_before(saved, moment) or span.start)
        part = money.between(min(since, moment), moment)
        cost = None if cost is None or part is None else cost + part
        before = moment
    yield Loss(str(Cause.SPOT), _ABOUT[Cause.SPOT], cost, count=len(moments))


def _last_before(saved: Sequence[Instant], moment: Instant) -> Instant | None:
    index = bisect_right(saved, moment)
    return saved[index - 1] if index else None
