"""Which pods nobody can tell the part of: until that is known, their node has no price that could be shared out.

It is written in the pod's note, so that a start finds the doubts of pods that have ended meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gpucost.core.allocate import FOREVER
from gpucost.core.doubt import UNKNOWN, Doubt, masked
from gpucost.core.dra import Holding
from gpucost.core.model import Pod, PodFact, PriceFact, Resources, Unknown
from gpucost.core.timeline import Interval


@dataclass
class Doubts:
    """Doubts by UID of the node and of the pod."""

    by_node: dict[str, dict[str, Doubt]] = field(default_factory=dict)
    resolved: set[str] = field(default_factory=set)
    """UIDs of pods of which it was not known what they hold, and now is: from the beginning."""

    @staticmethod
    def held(found: Holding | Unknown, known: PodFact | None, reserved: Resources | None) -> Holding:
        """GPUs' worth that a pod holds: what was known of it does not become unknown, what never was is none."""
        if not isinstance(found, Unknown):
            return found
        if known is not None and known.requests.gpus and reserved is not None:
            return Holding(reserved.gpus, known.note)
        return Holding(0, f"{UNKNOWN}{found.reason}")

    def note(self, node_uid: str, pod: Pod, holding: Holding) -> bool:
        """Remember whether there is doubt about a pod; whether that is news."""
        doubts, doubt = self.by_node.get(node_uid, {}), None
        if holding.note.startswith(UNKNOWN):
            assert pod.bound is not None
            end = FOREVER if pod.ended is None else max(pod.ended, pod.bound)
            doubt = _doubt(pod, holding.note, Interval(pod.bound, end))
        if doubts.get(pod.uid) == doubt:
            return False
        if doubt is not None:
            self.by_node.setdefault(node_uid, {})[pod.uid] = doubt
        else:
            del doubts[pod.uid]
            self.resolved.add(pod.uid)
        return True

    def recall(self, facts: Iterable[PodFact]) -> bool:
        """Know from the ledger of which pods nobody could tell what they held; whether there are any."""
        doubted = [fact for fact in facts if fact.note.startswith(UNKNOWN)]
        for fact in doubted:
            span = Interval(fact.start, FOREVER if fact.end is None else fact.end)
            self.by_node.setdefault(fact.node_uid, {})[fact.uid] = _doubt(fact, fact.note, span)
        return bool(doubted)

    def masked(self, node_uid: str, prices: list[PriceFact]) -> list[PriceFact]:
        """A node's price timeline, unknown where there is doubt."""
        return masked(prices, list(self.by_node.get(node_uid, {}).values()))

    def forget_node(self, uid: str) -> None:
        """A node is gone."""
        self.by_node.pop(uid, None)


def _doubt(pod: Pod | PodFact, note: str, span: Interval) -> Doubt:
    return Doubt(span, f"{pod.namespace}/{pod.name}: {note.removeprefix(UNKNOWN)}")
