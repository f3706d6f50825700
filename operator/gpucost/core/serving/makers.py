"""Whether whoever has made a workload sets its replicas, too.

A controller that owns a workload brings its specification back to what it wants, the number of replicas included; some
leave that number to others. Nobody can tell from outside, so the owner counts as somebody who sets it until a person
says that it does not. Kinds that always do are known.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpucost.core.model import Owner
from gpucost.core.serving.pausing import PREFIX
from gpucost.core.serving.state import Rival

OWNER_LEAVES = PREFIX + "owner-leaves-replicas"
"""On an InferenceEndpoint, `true`: the owner of its target leaves the number of replicas to others."""
_ALWAYS = frozenset({"apps", "argoproj.io", "leaderworkerset.x-k8s.io", "serving.knative.dev"})
"""API groups of owners that set the replicas of what they own in any case."""


def maker_of(owner: Owner, annotations: Mapping[str, str]) -> Rival | None:
    """The owner of a target as somebody who sets its replicas; None where it is said that it does not."""
    certain = owner.api_version.partition("/")[0] in _ALWAYS
    if not certain and annotations.get(OWNER_LEAVES, "").strip().lower() == "true":
        return None
    return Rival(owner.kind, owner.name, made=True, certain=certain)
