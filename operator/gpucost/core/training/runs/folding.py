"""Old records of what was not made, added up: a schedule of minutes must not grow its books for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpucost.core.training.runs.run import REUSED, Saving

MOST = 200
KEPT = 100


def fold(records: Sequence[Saving]) -> tuple[list[Saving], list[Saving]]:
    """Records of one schedule by due time, as kept and as dropped: sums are what they were.

    Beyond `MOST` records all but the newest `KEPT` become one of each kind, priced and unpriced apart, which carries
    the latest due time of those that it stands for. A run that was not started has one record, which stays.
    """
    dated = [one for one in records if one.kind != REUSED]
    if len(dated) <= MOST:
        return list(records), []
    old, rest = dated[:-KEPT], [one for one in records if one.kind == REUSED] + dated[-KEPT:]
    groups: dict[tuple[str, bool], list[Saving]] = {}
    for one in old:
        groups.setdefault((one.kind, one.saved is None), []).append(one)
    sums = [_sum(group) for group in groups.values()]
    stays = {(one.due, one.kind) for one in sums}
    return sorted((*sums, *rest), key=lambda one: one.due), [one for one in old if (one.due, one.kind) not in stays]


def _sum(group: Iterable[Saving]) -> Saving:
    each = list(group)
    last = max(each, key=lambda one: one.due)
    saved = None if last.saved is None else sum(one.saved or 0 for one in each)
    return replace(last, times=sum(one.times for one in each), saved=saved)
