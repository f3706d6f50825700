"""What becomes of a node's fact when the node shows another size: the past stays as it was.

GPUs are cut up anew, replicas are configured, a device plugin that restarts shows no GPUs for a while. Booking a whole
life by what is shown last would change what is settled and was right, so a size holds until the next one.
"""

from __future__ import annotations

from dataclasses import replace

from gpucost.core.clock import MINUTE, Instant
from gpucost.core.model import EarlierSize, Gpus, NodeFact, NodeKind, Resources

SETUP = 10 * MINUTE
"""Drivers, device plugin and labels come after the node: what is shown so soon was true from its beginning."""
_MOMENT = MINUTE
"""Labels follow units, and slices are published one by one: a size that lasts no longer was none."""
_TRAITS = ("instance_type", "gpu_model", "region", "zone")


def resized(known: NodeFact | None, shown: NodeFact, now: Instant) -> NodeFact:
    """The fact of a node that shows itself so now.

    A machine keeps its GPUs while nobody offers them, and has had those that are offered first from its beginning; what
    a label has told stays known when the label goes.
    """
    if known is None:
        return shown
    if known.capacity.gpus and not shown.capacity.gpus:
        shown = replace(
            shown,
            capacity=replace(shown.capacity, gpus=known.capacity.gpus),
            physical_gpus=known.physical_gpus,
            stranded_gpus=known.stranded_gpus,
        )
    traits = {name: getattr(shown, name) or getattr(known, name) for name in _TRAITS}
    new = replace(shown, start=min(known.start, shown.start), earlier=known.earlier, **traits)
    came = not known.capacity.gpus and bool(new.capacity.gpus) and not known.earlier
    being_set_up = new.kind is NodeKind.NODE and now < new.start + SETUP
    if _size(known) == _size(new) or came or being_set_up:
        return new
    if known.earlier and now < known.earlier[-1].until + _MOMENT:
        back = known.earlier[-1] == EarlierSize(known.earlier[-1].until, *_size(new))
        return replace(new, earlier=known.earlier[:-1] if back else known.earlier)
    until = max([now, *(size.until for size in known.earlier)])  # clocks go back
    return replace(new, earlier=(*known.earlier, EarlierSize(until, *_size(known))))


def _size(fact: NodeFact) -> tuple[Resources, Gpus, Gpus]:
    return fact.capacity, fact.physical_gpus, fact.stranded_gpus
