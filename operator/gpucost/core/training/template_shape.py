"""Whether the parts of a pod template that are read here have the shape that Kubernetes gives them.

The schema of a TrainingJob preserves a template as it is written, so a map where a list belongs reaches the operator.
Everything that reads a template counts on its shape; whatever else is wrong with it the API server says when the Job is
made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TEXT, _TEXTS = "text", "a map from names to text"
Shape = str | Mapping[str, Any] | list[Any]
"""Text, an object with some of its fields, or a list of what its only member says."""

_CONFIG_MAP: Shape = {"name": _TEXT}
_CONTAINER: Shape = {
    "name": _TEXT,
    "image": _TEXT,
    "command": [_TEXT],
    "args": [_TEXT],
    "env": [{"name": _TEXT, "valueFrom": {"configMapKeyRef": _CONFIG_MAP}}],
    "envFrom": [{"configMapRef": _CONFIG_MAP}],
    "volumeMounts": [{"mountPath": _TEXT}],
    "resources": {"limits": {}, "requests": {}},
}
_EXPRESSION: Shape = {"key": _TEXT, "operator": _TEXT, "values": [_TEXT]}
_TEMPLATE: Shape = {
    "metadata": {"labels": _TEXTS, "annotations": _TEXTS},
    "spec": {
        "nodeSelector": _TEXTS,
        "tolerations": [{}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [_EXPRESSION]}]
                }
            }
        },
        "volumes": [{"name": _TEXT, "configMap": _CONFIG_MAP, "projected": {"sources": [{"configMap": _CONFIG_MAP}]}}],
        "restartPolicy": _TEXT,
        "initContainers": [_CONTAINER],
        "containers": [_CONTAINER],
    },
}


def misshapen(template: object, path: str = "spec.template") -> Iterator[tuple[str, str]]:
    """Field and message of every part that has another shape; what is left out or null is fine."""
    yield from _wrong(template, _TEMPLATE, path)


def _wrong(found: Any, shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    if found is None:
        return
    right, words = (Mapping, _TEXTS) if shape == _TEXTS else _EXPECTED[type(shape)]
    if not isinstance(found, right):
        yield path, f"must be {words}, not {_kind(found)}{_quoted(found) if shape == _TEXT else ''}"
    elif isinstance(shape, list):
        for index, one in enumerate(found):
            yield from _member(one, shape[0], f"{path}[{index}]")
    elif isinstance(shape, Mapping):
        for name, inner in shape.items():
            yield from _wrong(found.get(name), inner, f"{path}.{name}")
    elif shape == _TEXTS:
        for name, one in found.items():
            yield from _wrong(one, _TEXT, f"{path}[{name}]")


_EXPECTED: Mapping[type, tuple[Any, str]] = {str: (str, _TEXT), list: (list, "a list"), dict: (Mapping, "an object")}


def _member(found: Any, shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    """Of a list, in which null is no member."""
    if found is None:
        yield path, f"must be {'text' if shape == _TEXT else 'an object'}, not null"
    yield from _wrong(found, shape, path)


def _kind(found: object) -> str:
    kinds: dict[type, str] = {bool: "true or false", str: "text", list: "a list", int: "a number", float: "a number"}
    return kinds.get(type(found), "an object")


def _quoted(found: object) -> str:
    """The remedy for what YAML takes for something else than text."""
    if isinstance(found, bool):
        return f"; put it in quotes: '{str(found).lower()}'"
    return f"; put it in quotes: '{found}'" if isinstance(found, int | float) else ""
