"""Find the workload of an endpoint, of whatever kind, and read its `scale` subresource.

The API server itself says how a kind is called in URLs and whether it can be scaled (discovery). What it says is kept
for a while: kinds come and go with their definitions, seldom. The subresource is read anew for each decision, as
HorizontalPodAutoscaler does; its resourceVersion is the precondition of the write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.model import Pod
from gpucost.core.serving.spec import TargetRef
from gpucost.core.serving.state import Target, Unresolved
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

_KNOWN_FOR = 10 * MINUTE
_ABSENT_FOR = 30 * SECOND


@dataclass(frozen=True, slots=True)
class _Kind:
    """What discovery says of a kind; without a plural the cluster does not have it."""

    plural: str
    scalable: bool
    until: Instant


@dataclass
class Targets:
    """Looks workloads up."""

    client: KubeClient
    now: Callable[[], Instant]
    kinds: dict[tuple[str, str], _Kind] = field(default_factory=dict)

    async def look(self, ref: TargetRef, namespace: str) -> Target | Unresolved:
        """The workload as it is now, or why it cannot be scaled."""
        try:
            kind = await self._kind(ref)
            if isinstance(kind, Unresolved):
                return kind
            return _target(await self.client.get(f"{_path(ref, kind.plural, namespace)}/scale"))
        except ApiError as error:
            return self._unresolved(ref, namespace, error)
        except (Unreachable, TimeoutError) as error:
            return Unresolved("Unreachable", f"the API server did not answer about {ref}: {error or 'no answer'}")

    async def pods(self, namespace: str, selector: str, known: Mapping[str, Pod]) -> tuple[Pod, ...]:
        """Pods that a selector finds, of those that the caches know; none where nobody answers."""
        try:
            listing = await self.client.get(paths.pods(namespace), {"labelSelector": selector})
        except (ApiError, Unreachable):
            return ()
        found = (known.get(item["metadata"]["uid"]) for item in listing.get("items") or ())
        return tuple(pod for pod in found if pod is not None and pod.ended is None)

    def path(self, ref: TargetRef, namespace: str) -> str:
        """URL path of a workload that was found before."""
        return _path(ref, self.kinds[ref.api_version, ref.kind].plural, namespace)

    def _unresolved(self, ref: TargetRef, namespace: str, error: ApiError) -> Unresolved:
        if error.status == 404:
            self._doubt(ref)  # its definition may be gone
            message = f"there is no {ref.kind} {ref.name} in namespace {namespace}; create it or correct scaleTargetRef"
            return Unresolved("TargetNotFound", message)
        if error.status == 403:
            message = f"the operator may not read the scale of {ref}: {error.message[:500]}"
            return Unresolved("Forbidden", message)
        return Unresolved("Unreachable", f"the API server does not show the scale of {ref}: {error}"[:1000])

    def _doubt(self, ref: TargetRef) -> None:
        """Ask soon what the API server says of a kind; others of it may be written to meanwhile."""
        known = self.kinds.get((ref.api_version, ref.kind))
        if known is not None:
            until = min(known.until, self.now() + _ABSENT_FOR)
            self.kinds[ref.api_version, ref.kind] = replace(known, until=until)

    async def _kind(self, ref: TargetRef) -> _Kind | Unresolved:
        known = self.kinds.get((ref.api_version, ref.kind))
        if known is None or known.until <= self.now():
            known = self.kinds[ref.api_version, ref.kind] = await self._discover(ref)
        if not known.plural:
            message = f"the cluster has no kind {ref.kind} in {ref.api_version}; correct scaleTargetRef, or install it"
            return Unresolved("KindNotInstalled", message)
        if not known.scalable:
            message = f"{ref.kind} ({ref.api_version}) has no scale subresource: its replicas cannot be set"
            return Unresolved("NotScalable", message)
        return known

    async def _discover(self, ref: TargetRef) -> _Kind:
        try:
            listing = await self.client.get(paths.api(ref.api_version))
        except ApiError as error:
            if error.status != 404:
                raise
            listing = {}
        resources = listing.get("resources") or ()
        plural = next((r["name"] for r in resources if r.get("kind") == ref.kind and "/" not in r["name"]), "")
        scalable = any(r.get("name") == f"{plural}/scale" for r in resources)
        return _Kind(plural, scalable, self.now() + (_KNOWN_FOR if plural else _ABSENT_FOR))


def _path(ref: TargetRef, plural: str, namespace: str) -> str:
    return f"{paths.api(ref.api_version)}/namespaces/{namespace}/{plural}/{ref.name}"


def _target(scale: dict[str, object]) -> Target:
    metadata, spec, status = (_mapping(scale.get(part)) for part in ("metadata", "spec", "status"))
    return Target(
        uid=str(metadata.get("uid") or ""),
        resource_version=str(metadata.get("resourceVersion") or ""),
        replicas=int(str(spec.get("replicas") or 0)),
        selector=str(status.get("selector") or ""),
        observed=int(str(status.get("replicas") or 0)),
    )


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
