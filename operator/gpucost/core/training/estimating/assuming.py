"""What an estimate takes for granted, in words: whoever reads the number reads these beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpucost.core.clock import HOUR
from gpucost.core.training.estimating.counts import format_count
from gpucost.core.training.estimating.work import ACTIVATIONS, MFU, OPERATIONS, STATE, Method, Work

if TYPE_CHECKING:
    from gpucost.core.training.estimating.chips import Chip
    from gpucost.core.training.estimating.estimate import Setup

_WHY = {
    Method.FULL: "all weights are trained",
    Method.LORA: "LoRA: base weights frozen",
    Method.QLORA: "QLoRA: base weights frozen, 4 bits",
}


def assumptions(setup: Setup) -> tuple[str, ...]:
    """One sentence each."""
    return tuple(_assumed(setup))


def _assumed(setup: Setup) -> Iterator[str]:
    if setup.duration is not None:
        yield f"expectedDuration: it runs for {float(setup.duration / HOUR):.4g} h, without interruptions"
    elif setup.work is not None:
        yield from _computing(setup, setup.work)
    if setup.work is not None and setup.chip is not None:
        per = float(STATE[setup.work.method])
        yield (
            f"memory: {per:g} bytes per parameter, spread over all GPUs; "
            f"{float(ACTIVATIONS):.0%} of each is left for activations"
        )
    if setup.placing in {"Spot", "Auto", "Scheduled"}:
        yield "interruptions of spot capacity cost 0 - 10 % more time, and there is a checkpoint to go on from"
    if setup.placing == "Auto":
        yield "Auto decides as it goes: from all spot to all on-demand"
    yield "prices stay as they are; nobody waits for nodes; storage and network are not counted"


def _computing(setup: Setup, work: Work) -> Iterator[str]:
    size = f"{format_count(work.parameters)} parameters x {format_count(work.tokens)} tokens"
    yield f"{size} x {OPERATIONS[work.method]} FLOPs ({_WHY[work.method]})"
    if setup.chip is not None:
        yield from _speed(setup.chip, work)


def _speed(chip: Chip, work: Work) -> Iterator[str]:
    precision = chip.precision(work.precision)
    if precision is None:
        return
    least, _, most = MFU
    what = f"{chip.name} ({chip.note})" if chip.note else chip.name
    yield (
        f"{what}: {float(chip.peaks[precision]):g} TFLOP/s in {precision}, of which "
        f"{float(least):.0%} - {float(most):.0%} are used (MFU)"
    )
