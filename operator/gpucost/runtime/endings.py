"""Workloads of which a pod has ended, for those who decide and publish: which lost a spot node, which ended lately."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpucost.core.clock import MINUTE, Instant
from gpucost.core.model import Category, PodFact, Workload
from gpucost.core.training.state import Interruption

_ORDERLY = frozenset({"", "Succeeded", "Failed", "Deleted", "vanished"})
_KEEP: Instant = 15 * MINUTE


@dataclass
class Endings:
    """What is remembered of pods that are gone."""

    interruptions: dict[tuple[str, Workload], dict[str, Interruption]] = field(default_factory=dict)
    """Pods of TrainingJobs that lost their spot node, by UID."""
    ended: dict[tuple[str, Workload], tuple[Instant, Category]] = field(default_factory=dict)
    """Workloads of which a pod has ended lately: when that was written, and what they were."""

    def note(self, fact: PodFact, node: str) -> None:
        """A pod of a TrainingJob ended on a spot node: an interruption, unless it ended in good order."""
        if fact.end is not None and fact.end_reason not in _ORDERLY:
            note = Interruption(fact.uid, fact.end, node, fact.end_reason)
            self.interruptions.setdefault((fact.namespace, fact.workload), {})[fact.uid] = note

    def interruptions_of(self, namespace: str, workload: Workload) -> tuple[Interruption, ...]:
        """Pods of a workload that lost their spot node, in order of time."""
        found = self.interruptions.get((namespace, workload), {})
        return tuple(sorted(found.values(), key=lambda one: (one.at, one.pod_uid)))

    def lately(self, now: Instant) -> dict[tuple[str, Workload], Category]:
        """Workloads of which a pod has ended: asked for a while longer, so that their final figures are seen."""
        self.ended = {key: (at, category) for key, (at, category) in self.ended.items() if at > now - _KEEP}
        return {key: category for key, (_, category) in self.ended.items()}
