"""The arithmetic behind a workload's cost: stretches of time x share x price, which add up to exactly what is reported.

Cost is booked by node and hour; a line of an explanation spans many hours when nothing changes. Each booked unit is
handed to the stretches inside it by largest remainder, and a line is the sum of what it got.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

from gpucost.core.activity import PPM
from gpucost.core.allocate import Lane, Stay, Stretch, known_hourly
from gpucost.core.booking import IDLE, NOBODY, Booking, hours
from gpucost.core.books import Books
from gpucost.core.clock import HOUR, floor_to
from gpucost.core.model import CapacityType, Gpus, NodeFact, NodeKind, Resources
from gpucost.core.money import Pico, apportion
from gpucost.core.report import Amounts, Line
from gpucost.core.timeline import Interval


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Lines by pod and time, and their sum."""

    lines: tuple[Line, ...]
    total: Amounts


def arithmetic(books: Books, pod_uids: Collection[str], span: Interval) -> Arithmetic:
    """Explain what some pods cost in a span; `books` holds everything that the span needs."""
    return _explained(books, {books.pods[uid].node_uid for uid in pod_uids}, pod_uids, span)


def of_nodes(books: Books, node_uids: Collection[str], span: Interval) -> Arithmetic:
    """Explain what some nodes cost in a span: what each pod on them paid, what nobody held, what was stranded."""
    pods = {uid for node_uid in node_uids for uid in books.pods_of.get(node_uid, ())}
    return _explained(books, node_uids, {*pods, *NOBODY}, span)


def _explained(books: Books, node_uids: Collection[str], holders: Collection[str], span: Interval) -> Arithmetic:
    total = Amounts()
    pieces: list[_Piece] = []
    for node_uid in sorted(books.nodes.keys() & set(node_uids)):
        for part in hours(span):
            booking = books.book(node_uid, part)
            lane = books.lane(node_uid, floor_to(part.start, HOUR))
            pieces += _pieces(lane, booking, holders, part)
            total = sum((c.amounts for c in booking.charges if c.pod_uid in holders), total)
    pieces.sort(key=lambda piece: (piece.line.pod, piece.uid, piece.line.span.start))
    lines = [_with_activity(books, uid, line) for uid, line in _merged(pieces)]
    return Arithmetic(tuple(sorted(lines, key=lambda line: (line.span.start, line.pod, line.node))), total)


@dataclass(frozen=True, slots=True)
class _Piece:
    uid: str
    line: Line


_Cut = tuple[Stay, Stretch, Interval]


def _pieces(lane: Lane, booking: Booking, holders: Collection[str], part: Interval) -> Iterator[_Piece]:
    booked: dict[str, Pico] = {}
    for charge in booking.charges:
        booked[charge.pod_uid] = booked.get(charge.pod_uid, 0) + charge.values[0]
    for uid, cuts in _cuts(lane, holders, part).items():
        priced = [Fraction(s.weight * stay.units * span.length, lane.denominator) for stay, s, span in cuts]
        for (stay, stretch, span), cost in zip(cuts, _shared_out(priced, booked[uid]), strict=True):
            yield _Piece(uid, _line(lane, stay, stretch, span, cost if stretch.priced else None))
    for who in NOBODY:
        if who in holders and who in booked:
            yield from _nobody(lane, who, booked[who], part)


def _nobody(lane: Lane, who: str, booked: Pico, part: Interval) -> Iterator[_Piece]:
    """Times in which nobody held, or nobody could be given, a part of the node."""
    cuts = [(s, _left(lane, who, s), Interval(start, end)) for s, start, end in lane.over(*part)]
    cuts = [cut for cut in cuts if cut[1]]
    priced = [Fraction(stretch.weight and rate * span.length, lane.denominator) for stretch, rate, span in cuts]
    for (stretch, _, span), cost in zip(cuts, _shared_out(priced, booked), strict=True):
        yield _Piece(f"{who}/{lane.node.uid}", _rest(lane, who, stretch, span, cost if stretch.priced else None))


def _left(lane: Lane, who: str, stretch: Stretch) -> int:
    """What it costs for one microsecond, over the lane's denominator; 1 where there is some of it without a price."""
    if who == IDLE:
        units = max(0, stretch.room - stretch.demand)
        return units * stretch.weight if stretch.priced else min(units, 1)
    return stretch.lost if stretch.priced else min(lane.unit - stretch.room, 1)


def _rest(lane: Lane, who: str, stretch: Stretch, span: Interval, cost: Pico | None) -> Line:
    node = stretch.node
    free = (node.physical_gpus or node.capacity.gpus) - node.stranded_gpus - stretch.used.gpus
    units = stretch.room - stretch.demand if who == IDLE else lane.unit - stretch.room
    return Line(
        pod="(idle)" if who == IDLE else "(stranded)",
        node=node.name,
        span=span,
        share=Fraction(units, lane.unit),
        share_of="held by nobody" if who == IDLE else "cannot be given to anybody",
        gpus=max(0, free) if who == IDLE else node.stranded_gpus,
        hourly=stretch.price.hourly if stretch.price is not None and known_hourly(stretch.price) else None,
        capacity_type=lane.capacity_type(stretch),
        price_source=stretch.price.source if stretch.price is not None else "",
        cost=cost,
    )


def _cuts(lane: Lane, pod_uids: Collection[str], part: Interval) -> dict[str, list[_Cut]]:
    """Times of each pod in which neither its needs nor its share nor the price changes."""
    cuts: dict[str, list[_Cut]] = {}
    for stay in lane.stays:
        here = Interval(stay.start, stay.end).clip(*part)
        if stay.pod.uid in pod_uids and here is not None:
            found = ((stay, stretch, Interval(start, end)) for stretch, start, end in lane.over(*here))
            cuts.setdefault(stay.pod.uid, []).extend(found)
    return cuts


def _shared_out(parts: list[Fraction], total: Pico) -> list[Pico]:
    """Hand out a booked sum; what has no price gets nothing of the rounding either."""
    costs = iter(apportion([part for part in parts if part], total))
    return [next(costs) if part else 0 for part in parts]


def _line(lane: Lane, stay: Stay, stretch: Stretch, span: Interval, cost: Pico | None) -> Line:
    return Line(
        pod=stay.pod.name,
        node=lane.node.name,
        span=span,
        share=lane.share(stay.units, stretch),
        share_of=share_of(stay, lane, stretch),
        gpus=stay.needs.gpus,
        hourly=stretch.price.hourly if stretch.price is not None and known_hourly(stretch.price) else None,
        capacity_type=lane.capacity_type(stretch),
        price_source=stretch.price.source if stretch.price is not None else "",
        cost=cost,
    )


def share_of(stay: Stay, lane: Lane, stretch: Stretch) -> str:
    """What made the share, such as `4 of 8 GPUs`; says so when the node is overcommitted."""
    text = _largest(stay.needs, stretch.node)
    if stay.pod.note:
        text += f", {stay.pod.note}"
    if stretch.demand > stretch.room:
        text += f", scaled down because the pods ask for {float(Fraction(stretch.demand, lane.unit)):.2f} of the node"
    return text


def _largest(needs: Resources, node: NodeFact) -> str:
    if node.kind is not NodeKind.NODE:
        return f"{size_text(node.capacity.storage)} of storage" if node.capacity.storage else "all of it"
    size = node.capacity
    names = (
        (needs.gpus, size.gpus, f"{gpus_text(needs.gpus)} of {gpus_text(size.gpus)} GPUs"),
        (needs.cpu_milli, size.cpu_milli, f"{needs.cpu_milli / 1000:g} of {size.cpu_milli / 1000:g} CPUs"),
        (needs.memory, size.memory, f"{needs.memory / 2**30:.4g} of {size.memory / 2**30:.5g} GiB memory"),
    )
    shares = [(Fraction(need) / whole, -rank, text) for rank, (need, whole, text) in enumerate(names) if need and whole]
    return max(shares)[2] if shares else "no requests"


def gpus_text(gpus: Gpus) -> str:
    """Whole GPUs as a number, parts of one as the fraction that they are: `3/7`, `1 1/2`."""
    whole, rest = divmod(gpus, 1)
    if not rest:
        return str(whole)
    return f"{whole} {rest}" if whole else str(rest)


def size_text(size: int) -> str:
    """Bytes in GiB: `100 GiB`."""
    return f"{size / 2**30:.5g} GiB"


_Same = tuple[str, str, Fraction, str, object, CapacityType, str]


def _sameness(piece: _Piece) -> _Same:
    line = piece.line
    return (piece.uid, line.node, line.share, line.share_of, line.hourly, line.capacity_type, line.price_source)


def _merged(pieces: list[_Piece]) -> Iterator[tuple[str, Line]]:
    """Join pieces that differ in nothing and touch each other."""
    for (uid, *_), group in groupby(pieces, _sameness):
        current: Line | None = None
        for piece in group:
            line = piece.line
            if current is not None and current.span.end == line.span.start:
                cost = None if line.cost is None or current.cost is None else current.cost + line.cost
                current = replace(current, span=Interval(current.span.start, line.span.end), cost=cost)
                continue
            if current is not None:
                yield uid, current
            current = line
        if current is not None:
            yield uid, current


def _with_activity(books: Books, uid: str, line: Line) -> Line:
    activity = books.activities.get(uid)
    if activity is None or not line.gpus:
        return line
    known, active = activity.integral(*line.span)
    return replace(line, gpu_active=active / (known * PPM)) if known else line
