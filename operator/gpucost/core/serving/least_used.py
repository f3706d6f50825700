"""Which pods should go when replicas are taken away: the least used ones, and none that is answering somebody.

A ReplicaSet asks itself the same question, and of two ready pods it takes the one with the lower
`controller.kubernetes.io/pod-deletion-cost` first; pods that are not ready go before all others. So only the pods that
shall go are marked, just before the number changes, and a pod that answers requests is never marked. Where fewer pods
are free than shall go, fewer are taken away now and the others when they are free: every look decides anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MARK = "gpucost.dev/marked-to-go"
"""Beside our own mark, so that one that a user has set is told from it."""
COST = -1000
"""Below the 0 that counts for pods without a mark."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that a scale-down may remove."""

    uid: str
    name: str
    ready: bool
    running: float | None = None
    """Requests that it answers now; None: nobody can tell."""
    waiting: float | None = None
    used: float | None = None
    """How much of it was used lately, such as the part of its KV cache."""
    own_cost: str | None = None
    """What stands in its annotation."""
    ours: bool = False
    """Whether that was written here."""

    @property
    def is_streaming(self) -> bool:
        """Whether it is known to answer somebody."""
        return self.ready and ((self.running or 0) > 0 or (self.waiting or 0) > 0)

    @property
    def is_spoken_for(self) -> bool:
        """Whether somebody else has said how much it is worth."""
        return self.own_cost is not None and not self.ours


@dataclass(frozen=True, slots=True)
class Choice:
    """What to write, and how many may go."""

    going: int
    """Replicas that may be taken away now; fewer than asked for where the others are in use."""
    mark: tuple[Candidate, ...] = ()
    unmark: tuple[Candidate, ...] = ()
    """Those that were marked for an earlier change that did not come."""


def choose(pods: Iterable[Candidate], count: int) -> Choice:
    """Which of the pods of one ReplicaSet shall go when their number falls by `count`."""
    known = sorted(pods, key=_rank)
    by_themselves = sum(not pod.ready for pod in known)
    free = [pod for pod in known if pod.ready and not pod.is_streaming and not pod.is_spoken_for]
    going = min(count, by_themselves + len(free))
    chosen = free[: max(0, going - by_themselves)]
    wanted = {pod.uid for pod in chosen}
    return Choice(
        going=going,
        mark=tuple(pod for pod in chosen if not pod.ours),
        unmark=tuple(pod for pod in known if pod.ours and pod.uid not in wanted),
    )


def _rank(pod: Candidate) -> tuple[bool, float, str]:
    """Pods that are known to be free come first, then the less used ones."""
    return pod.running is None, pod.used if pod.used is not None else 1.0, pod.name
