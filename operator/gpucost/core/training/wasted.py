"""What a run has paid for and not got: idle GPUs, and work that was lost and done again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpucost.core.clock import Instant
from gpucost.core.money import Pico
from gpucost.core.report import Amounts
from gpucost.core.training.accounts import Ledgered
from gpucost.core.training.progress import Progress
from gpucost.core.training.state import Interruption


@dataclass(frozen=True, slots=True)
class Loss:
    """Money by cause; `cost` None when a part of the time has no price."""

    cause: str
    about: str
    cost: Pico | None
    count: int | None = None
    gpu_time: int | None = None


def losses(
    money: Ledgered, progress: Progress, interruptions: Sequence[Interruption], total: Amounts
) -> tuple[Loss, ...]:
    """By cause, the dearest first."""
    found = [*_idle(total), *_interrupted(money, progress, interruptions)]
    return tuple(sorted(found, key=lambda one: -(one.cost or 0)))


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
    yield Loss("spot", "work since the last checkpoint was lost with a spot node", cost, count=len(moments))


def _last_before(saved: Sequence[Instant], moment: Instant) -> Instant | None:
    index = bisect_right(saved, moment)
    return saved[index - 1] if index else None
