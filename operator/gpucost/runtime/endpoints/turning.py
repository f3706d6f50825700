"""Notices that an endpoint is about another workload than before, whose load and replicas are not the old one's.

What is remembered of an endpoint is kept by its UID, and `scaleTargetRef` may be corrected: a number that was right for
the old workload must not be set on the new one.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from gpucost.core.serving.spec import TargetRef

Identity = tuple[str, str, str]
"""Group, kind and name: versions of a group are views of one object."""


def identity(target: TargetRef) -> Identity:
    """What makes a workload another one, within a namespace."""
    return target.group, target.kind, target.name


@dataclass
class Turns:
    """Remembers what each endpoint was about."""

    _known: dict[str, Identity] = field(default_factory=dict)

    def is_new(self, uid: str, target: TargetRef) -> bool:
        """Whether an endpoint was about another workload when this was asked last."""
        before, now = self._known.get(uid), identity(target)
        self._known[uid] = now
        return before is not None and before != now

    def is_about(self, uid: str, target: TargetRef) -> bool:
        """Whether what is remembered is about this workload."""
        return self._known.get(uid, identity(target)) == identity(target)

    def forget(self, living: Container[str]) -> None:
        """Endpoints that are gone."""
        self._known = {uid: about for uid, about in self._known.items() if uid in living}
