"""Whoever holds requests while an endpoint has no replica, read from its own objects: does it, and for this workload?

KEDA's HTTP add-on holds requests in its interceptor; it may route to the workload without scaling it (an
InterceptorRoute, or an HTTPScaledObject with `skip-scaledobject-creation`). A gateway says of itself, by an annotation
on its Service, for which endpoints it holds requests or has another model answer. Knative scales its own workloads, so
nothing may be done beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpucost.core.model import Key
from gpucost.core.serving.spec import Holder, HolderKind, TargetRef
from gpucost.kube.paths import api

Json = Mapping[str, Any]

HOLDS = "gpucost.dev/holds"
"""Annotation on a gateway's Service: the endpoints (`namespace/name`, commas between) for which it holds requests."""
SKIP = "httpscaledobject.keda.sh/skip-scaledobject-creation"
_GAUGES = (
    "interceptor_pending_request_count",
    "interceptor_pending_requests",
    "interceptor_request_concurrency",
)
"""Of the interceptor, from old to new: requests that wait or run. The first one names an HTTPScaledObject in `host`, as
`namespace/name` (the host itself in early versions); the others name a route of either kind in two labels.
"""
_ROUTE_LABELS = ("host", "route_namespace", "route_name")
PENDING = f'sum by ({", ".join(_ROUTE_LABELS)}) ({{__name__=~"{"|".join(_GAUGES)}"}})'
"""What all interceptors hold, by route."""
CANDIDATES: Mapping[HolderKind, Sequence[tuple[str, str, str]]] = {
    HolderKind.KEDA_HTTP: (
        ("http.keda.sh/v1beta1", "interceptorroutes", "InterceptorRoute"),
        ("http.keda.sh/v1alpha1", "httpscaledobjects", "HTTPScaledObject"),
    ),
    HolderKind.GATEWAY: (("v1", "services", "Service"),),
    HolderKind.KNATIVE: (("serving.knative.dev/v1", "services", "Service of Knative"),),
}
"""API version, plural and words of the objects that a holder may be, in the order in which they are looked for."""


def paths(holder: Holder, namespace: str) -> list[tuple[str, str]]:
    """Where a holder's object may be, and what it is called."""
    where = holder.namespace or namespace
    found = []
    for version, plural, words in CANDIDATES[holder.kind]:
        found.append((f"{api(version)}/namespaces/{where}/{plural}/{holder.name}", words))
    return found


def missing(holder: Holder, namespace: str) -> str:
    """What is wrong when none of them is there."""
    words = " or ".join(words for _, _, words in CANDIDATES[holder.kind])
    return f"there is no {words} {holder.name} in namespace {holder.namespace or namespace}"


def problem_of(body: Json, words: str, target: TargetRef, endpoint: Key) -> str:
    """Why an object does not hold requests for a workload; empty: it does, as far as it shows."""
    checks = {"InterceptorRoute": _route, "HTTPScaledObject": _scaled, "Service": _service}
    check = checks.get(words)
    if check is None:
        return "Knative sets the replicas of its own workloads and takes them to zero itself: use mode Recommend here"
    return check(body, target, endpoint)


def _route(body: Json, _target: TargetRef, _endpoint: Key) -> str:
    return _not_ready(body, "InterceptorRoute")


def _scaled(body: Json, target: TargetRef, _endpoint: Key) -> str:
    ref = (body.get("spec") or {}).get("scaleTargetRef") or {}
    name = body["metadata"]["name"]
    if (ref.get("kind") or "Deployment", ref.get("name")) != (target.kind, target.name):
        there = f"{ref.get('kind') or 'Deployment'}/{ref.get('name')}"
        return f"HTTPScaledObject {name} is about {there} and not about {target}"
    if (body["metadata"].get("annotations") or {}).get(SKIP) != "true":
        return f"HTTPScaledObject {name} scales {target} itself: annotate it with {SKIP}: 'true'"
    return _not_ready(body, "HTTPScaledObject")


def _not_ready(body: Json, kind: str) -> str:
    """A condition that says so; one that is not there says nothing."""
    for one in (body.get("status") or {}).get("conditions") or ():
        if one.get("type") == "Ready" and one.get("status") == "False":
            return f"{kind} {body['metadata']['name']} is not ready: {one.get('message') or one.get('reason') or ''}"
    return ""


def _service(body: Json, _target: TargetRef, endpoint: Key) -> str:
    metadata = body["metadata"]
    text = (metadata.get("annotations") or {}).get(HOLDS, "")
    if f"{endpoint.namespace}/{endpoint.name}" in {part.strip() for part in text.split(",")}:
        return ""
    wanted = f"annotate it with {HOLDS}: {endpoint.namespace}/{endpoint.name} once it does"
    return f"Service {metadata['name']} does not say that it holds requests for this endpoint; {wanted}"


def routes_of(body: Json) -> tuple[str, ...]:
    """What the interceptor calls a route: `namespace/name` of its object, and in early versions its hosts."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    found = [f"{metadata.get('namespace') or ''}/{metadata['name']}"]
    found += [str(one) for one in spec.get("hosts") or ()]
    for rule in spec.get("rules") or ():
        found += [str(one) for one in rule.get("hosts") or ()]
    return tuple(dict.fromkeys(found))


def route_told(labels: Mapping[str, str]) -> str:
    """The route that a series of `PENDING` is about, as `routes_of` writes it; empty where none is named."""
    if name := labels.get("route_name"):
        return f"{labels.get('route_namespace') or ''}/{name}"
    return labels.get("host") or ""


def has_ready(slices: Iterable[Json]) -> bool:
    """Whether a Service has an endpoint that is ready; one that does not say so is."""
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                return True
    return False
