"""Turn HorizontalPodAutoscalers and KEDA's ScaledObjects into slim records: who sets the replicas of what."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpucost.core.model import Owner
from gpucost.core.serving.spec import TargetRef
from gpucost.sources.records import owner_of

HPA = "HorizontalPodAutoscaler"
SCALED_OBJECT = "ScaledObject"


@dataclass(frozen=True, slots=True)
class Scaler:
    """Somebody who sets the replicas of a workload."""

    uid: str
    kind: str
    name: str
    namespace: str
    target: TargetRef
    owner: Owner | None = None
    """Who has made it; a ScaledObject makes an autoscaler of its own."""


def hpa_record(body: Mapping[str, Any]) -> Scaler:
    """Read a HorizontalPodAutoscaler of any version."""
    return _scaler(HPA, body)


def scaled_object_record(body: Mapping[str, Any]) -> Scaler:
    """Read a ScaledObject; KEDA takes a target without a kind for a Deployment."""
    return _scaler(SCALED_OBJECT, body)


def _scaler(kind: str, body: Mapping[str, Any]) -> Scaler:
    metadata, ref = body["metadata"], (body.get("spec") or {}).get("scaleTargetRef") or {}
    return Scaler(
        uid=metadata["uid"],
        kind=kind,
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        target=TargetRef(
            kind=sys.intern(str(ref.get("kind") or "Deployment")),
            name=str(ref.get("name") or ""),
            api_version=sys.intern(str(ref.get("apiVersion") or "apps/v1")),
        ),
        owner=owner_of(metadata),
    )
