"""Whether the parts of a pod template that the operator reads have the shape that Kubernetes gives them.

The API server keeps what a TrainingJob's template holds beyond the few fields of our schema without looking at it, and
checks it only when the Job is made. The operator reads some of it before: a template with an object in place of a list
must become one clear problem there, and not a failure of every pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpucost.core.training.validate import Problem


class _Texts:
    """An object whose values are all text."""


_TEXTS = _Texts()
_NAMED = {"name": str}
_EXPRESSIONS = [{"key": str, "operator": str, "values": [str]}]
_VOLUME = {
    "name": str,
    "configMap": _NAMED,
    "persistentVolumeClaim": {"claimName": str, "readOnly": bool},
    "projected": {"sources": [{"configMap": _NAMED}]},
}
_CONTAINER = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"name": str, "value": str, "valueFrom": {"configMapKeyRef": {"name": str, "key": str}}}],
    "envFrom": [{"prefix": str, "configMapRef": _NAMED}],
    "resources": {"limits": {}, "requests": {}, "claims": [_NAMED]},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
_TEMPLATE = {
    "metadata": {"labels": _TEXTS, "annotations": _TEXTS},
    "spec": {
        "nodeSelector": _TEXTS,
        "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": _EXPRESSIONS, "matchFields": _EXPRESSIONS}]
                }
            }
        },
        "volumes": [_VOLUME],
        "containers": [_CONTAINER],
        "initContainers": [_CONTAINER],
        "resourceClaims": [_NAMED],
        "terminationGracePeriodSeconds": int,
        "restartPolicy": str,
        "schedulerName": str,
        "priorityClassName": str,
    },
}
_KEYS: Mapping[str, str] = {"matchExpressions": "key", "env": "name", "volumes": "name", "volumeMounts": "name"}
"""What every item of a list must have, for those lists of which an item without it would be read."""
_WORDS: Mapping[Any, str] = {str: "text", int: "a whole number", bool: "true or false"}


def template_problems(template: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What in a pod template has another shape than in a Job, each with its place; null stands for nothing."""
    return tuple(_problems(template, _TEMPLATE, "spec.template"))


def _problems(found: Any, shape: Any, place: str) -> Iterator[Problem]:
    if found is None:
        return
    if isinstance(shape, Mapping | _Texts):
        yield from _in_object(found, shape, place)
    elif isinstance(shape, list):
        yield from _in_list(found, shape[0], place)
    elif not isinstance(found, shape) or (shape is int and isinstance(found, bool)):
        quotes = "; put it in quotes" if shape is str and isinstance(found, int | float) else ""
        yield Problem(place, f"must be {_WORDS[shape]}, not {_shown(found)}{quotes}")


def _in_object(found: Any, shape: Mapping[str, Any] | _Texts, place: str) -> Iterator[Problem]:
    if not isinstance(found, Mapping):
        yield Problem(place, f"must be an object, as in any pod, not {_shown(found)}")
    elif isinstance(shape, Mapping):
        for key in (key for key in shape if key in found):
            yield from _problems(found[key], shape[key], f"{place}.{key}")
    else:
        for key, value in found.items():
            yield from _problems(value if value is not None else "", str, f"{place}[{key}]")


def _in_list(found: Any, shape: Any, place: str) -> Iterator[Problem]:
    if not isinstance(found, list | tuple):
        yield Problem(place, f"must be a list, as in any pod, not {_shown(found)}")
        return
    required = _KEYS.get(place.rpartition(".")[2])
    for index, one in enumerate(found):
        where = f"{place}[{index}]"
        if one is None:
            yield Problem(where, "is empty")
            continue
        yield from _problems(one, shape, where)
        if required is not None and isinstance(one, Mapping) and one.get(required) is None:
            yield Problem(f"{where}.{required}", "is missing")


def _shown(found: Any) -> str:
    names: Mapping[type, str] = {dict: "an object", list: "a list", tuple: "a list", bool: str(found).lower()}
    return names.get(type(found), repr(found)[:60])
