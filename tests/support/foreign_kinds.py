"""Kinds of other projects on the real API server: definitions as far as anybody here looks at them.

Their controllers do not run: what these would make, a test makes with the same owners and labels.
"""

from __future__ import annotations

from typing import Any

from local import wait_for
from support.operator_world import Json, Team

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCALE = {
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
    "status": {},
}


def define(team: Team, kind: str, version: str, *, scale: bool = False) -> None:
    """A definition that takes anything; one that is there already stays. `version` is such as `keda.sh/v1alpha1`."""
    group, _, served = version.partition("/")
    plural = f"{kind.lower()}s"
    api = team.cluster.api
    if api.find(f"{CRDS}/{plural}.{group}") is None:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        shown: Json = {
            "name": served,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": SCALE if scale else {},
        }
        spec = {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [shown],
        }
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": spec,
        }
        team.cluster.apply([body])
    wait_for(lambda: api.find(f"/apis/{version}") is not None and _is_served(team, version, kind), 20, f"{kind} served")


def _is_served(team: Team, version: str, kind: str) -> bool:
    found = team.cluster.api.get(f"/apis/{version}").get("resources", ())
    return any(one["kind"] == kind for one in found)


def path(team: Team, kind: str, version: str, name: str = "") -> str:
    """Where objects of a kind are."""
    return f"/apis/{version}/namespaces/{team.namespace}/{kind.lower()}s" + (f"/{name}" if name else "")


def make(team: Team, kind: str, version: str, name: str, *, query: str = "", **parts: Any) -> Json:
    """Create one; `parts` are what stands beside its metadata."""
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": team.namespace}, **parts}
    return team.cluster.api.create(path(team, kind, version) + query, body)


def owner(body: Json) -> Json:
    """A reference to an object as the controller of another one."""
    metadata = body["metadata"]
    named = {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**named, "controller": True, "blockOwnerDeletion": True}
