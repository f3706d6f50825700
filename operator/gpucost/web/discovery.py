"""What kube-apiserver and kubectl ask before they ask for costs: which group, which resources, which schemas.

Shapes: Kubernetes API reference, `APIGroupList`, `APIResourceList` and `apidiscovery.k8s.io/v2`
`APIGroupDiscoveryList`; OpenAPI v2 and v3 as an aggregated API server publishes them.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, NamedTuple

from pydantic.json_schema import models_json_schema

from gpucost.web.schema import API_VERSION, GROUP, VERSION, Allocation, AllocationList, Explanation
from gpucost.web.schema_estimates import Offer, OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, Saving, SavingList

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V3_PATH = f"apis/{GROUP}/{VERSION}"

_CATEGORIES = ["cost"]


class Resource(NamedTuple):
    """A resource of the group; a subresource has the name of its resource before its own."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    short: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        """Name of one; a subresource has none."""
        return "" if "/" in self.name else self.kind.lower()


RESOURCES = (
    Resource("allocations", "Allocation", ("get", "list"), ("alloc",)),
    Resource("offers", "Offer", ("list",)),
    Resource("runreports", "RunReport", ("get",)),
    Resource("runreports/simulation", "RunSimulation", ("get",)),
    Resource("savings", "Saving", ("list",)),
    Resource("unitcosts", "UnitCost", ("get", "list")),
)


def group() -> dict[str, Any]:
    """The `APIGroup`."""
    version = {"groupVersion": API_VERSION, "version": VERSION}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": [version],
        "preferredVersion": version,
    }


def group_list() -> dict[str, Any]:
    """The `APIGroupList`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}


def resource_list() -> dict[str, Any]:
    """The `APIResourceList`."""
    resources = [_listed(one) for one in RESOURCES]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION, "resources": resources}


def _listed(one: Resource) -> dict[str, Any]:
    found = {
        "name": one.name,
        "singularName": one.singular,
        "namespaced": True,
        "kind": one.kind,
        "verbs": list(one.verbs),
    }
    if "/" not in one.name:
        found |= {"shortNames": list(one.short), "categories": _CATEGORIES}
    return found


def aggregated() -> dict[str, Any]:
    """The `APIGroupDiscoveryList`: group, version and resources in one answer."""
    resources = [_aggregated(one) for one in RESOURCES if "/" not in one.name]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": GROUP},
                "versions": [{"version": VERSION, "resources": resources, "freshness": "Current"}],
            }
        ],
    }


def _aggregated(one: Resource) -> dict[str, Any]:
    parts = [
        {"subresource": sub.name.partition("/")[2], "responseKind": _response(sub.kind), "verbs": list(sub.verbs)}
        for sub in RESOURCES
        if sub.name.startswith(f"{one.name}/")
    ]
    found = {
        "resource": one.name,
        "responseKind": _response(one.kind),
        "scope": "Namespaced",
        "singularResource": one.singular,
        "verbs": list(one.verbs),
        "shortNames": list(one.short),
        "categories": _CATEGORIES,
    }
    return {**found, "subresources": parts} if parts else found


def _response(kind: str) -> dict[str, str]:
    return {"group": GROUP, "version": VERSION, "kind": kind}


# --- OpenAPI ----------------------------------------------------------------------------------------------------------


_MODELS = (
    Allocation,
    AllocationList,
    Explanation,
    Offer,
    OfferList,
    RunReport,
    RunSimulation,
    Saving,
    SavingList,
)


@cache
def openapi_v3() -> dict[str, Any]:
    """The OpenAPI document of the group, from which `kubectl explain allocations` reads."""
    _, schemas = models_json_schema(
        [(model, "serialization") for model in _MODELS],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    components = {name: _openapi_schema(schema) for name, schema in schemas["$defs"].items()}
    for name in (model.__name__ for model in _MODELS):
        components[name]["x-kubernetes-group-version-kind"] = [{"group": GROUP, "version": VERSION, "kind": name}]
    return {
        "openapi": "3.0.0",
        "info": {"title": "gpucost", "version": VERSION},
        "paths": _paths(),
        "components": {"schemas": components},
    }


def openapi_v3_index() -> dict[str, Any]:
    """Where the document is; the hash lets the API server see whether it has it already."""
    digest = hashlib.sha256(json.dumps(openapi_v3(), sort_keys=True).encode()).hexdigest()[:32].upper()
    return {"paths": {V3_PATH: {"serverRelativeURL": f"/openapi/v3/{V3_PATH}?hash={digest}"}}}


def openapi_v2() -> dict[str, Any]:
    """The older document; without definitions, because nothing that reads it needs any for a read-only API."""
    return {"swagger": "2.0", "info": {"title": "gpucost", "version": VERSION}, "paths": {}, "definitions": {}}


_OBJECTS = {
    "AllocationList": "Allocation",
    "Explanation": "Allocation",
    "OfferList": "Offer",
    "SavingList": "Saving",
    "UnitCostList": "UnitCost",
}
"""The kind of the objects that an answer holds."""


def _paths() -> dict[str, Any]:
    base = f"/apis/{GROUP}/{VERSION}"
    within = f"{base}/namespaces/{{namespace}}"
    items = {
        f"{base}/allocations": ("list", "AllocationList"),
        f"{base}/allocations/{{name}}": ("get", "Explanation"),
        f"{within}/allocations": ("list", "AllocationList"),
        f"{within}/allocations/{{name}}": ("get", "Explanation"),
        f"{base}/offers": ("list", "OfferList"),
        f"{within}/offers": ("list", "OfferList"),
        f"{within}/runreports/{{name}}": ("get", "RunReport"),
        f"{within}/runreports/{{name}}/simulation": ("get", "RunSimulation"),
        f"{base}/savings": ("list", "SavingList"),
        f"{within}/savings": ("list", "SavingList"),
        f"{base}/unitcosts": ("list", "UnitCostList"),
        f"{within}/unitcosts": ("list", "UnitCostList"),
        f"{within}/unitcosts/{{name}}": ("get", "UnitCost"),
    }
    return {path: {"get": _operation(path, action, kind)} for path, (action, kind) in items.items()}


def _operation(path: str, action: str, kind: str) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("namespace", "name")
        if f"{{{name}}}" in path
    ]
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}}
    return {
        "operationId": f"{action}{'Namespaced' if parameters else ''}{kind}",
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": GROUP, "version": VERSION, "kind": _OBJECTS.get(kind, kind)},
    }


def _openapi_schema(schema: Any) -> Any:
    """JSON Schema as OpenAPI 3.0 says it: `X | None` is `nullable`, a constant is an enumeration of one."""
    if isinstance(schema, list):
        return [_openapi_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _openapi_schema(value) for key, value in schema.items() if key not in {"const", "title"}}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "anyOf" in result:
        return _nullable(result)
    if "$ref" in result and len(result) > 1:
        return {**{k: v for k, v in result.items() if k != "$ref"}, "allOf": [{"$ref": result["$ref"]}]}
    return result


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in schema.pop("anyOf") if option.get("type") != "null"]
    return {**options[0], **schema, "nullable": True}
