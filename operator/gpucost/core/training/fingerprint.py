"""Which two training runs are the same: one digest over everything that the result of a run depends on.

The canonical form holds what changes the result and nothing else: images by digest, programs, environment, resources,
dataset version, base model revision, seed, number of workers. The order of environment variables, the spelling of a
quantity and where the run is placed do not change it. `Fingerprint.missing` says why two equal digests may still be
different runs (a tag can be pushed again, a dataset without a version can be another one): nobody may reuse a result on
such a digest, so the list is part of the answer and not a flag somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from gpucost.core.quantity import parse_quantity
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.validate import GPU

FORMAT = "gpucost/run/1"

IGNORED = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GITHUB_TOKEN",
    "GPUCOST_*",
    "HF_TOKEN",
    "HOSTNAME",
    "HOST_IP",
    "HUGGING_FACE_HUB_TOKEN",
    "JOB_NAME",
    "KUBEFLOW_TRAINER_*",
    "MLFLOW_RUN_ID",
    "MLFLOW_RUN_NAME",
    "MLFLOW_TRACKING_*",
    "NODE_NAME",
    "OTEL_*",
    "POD_IP",
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "RUN_ID",
    "RUN_NAME",
    "TRACEPARENT",
    "WANDB_*",
)
"""Variables that name a run, its place or its credentials; `*` stands for anything."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Equal for two runs that are the same as far as their specifications tell."""

    digest: str
    missing: tuple[str, ...] = ()
    """What keeps two equal digests from being one run, each with its field and remedy."""

    @property
    def is_exact(self) -> bool:
        """Whether equal digests are the same run, so that its result may be used again."""
        return not self.missing


def fingerprint(spec: TrainingSpec, *, version: str = "", known: Mapping[str, str] | None = None) -> Fingerprint | None:
    """The fingerprint of a run; None for one that is made elsewhere (`workloadRef`).

    `version` is the version of the dataset where the specification does not say it; `known` gives digests of the data
    of ConfigMaps by name, as far as anybody has read them.
    """
    pod = (spec.template or {}).get("spec")
    if not isinstance(pod, Mapping):
        return None
    contents = known or {}
    text = json.dumps(canonical(spec, version=version, known=contents), sort_keys=True, separators=(",", ":"))
    return Fingerprint(
        hashlib.sha256(text.encode()).hexdigest(), (*_without_version(spec, version), *_open_ends(spec, pod, contents))
    )


def canonical(spec: TrainingSpec, *, version: str = "", known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The canonical form that is digested."""
    pod = (spec.template or {}).get("spec") or {}
    assert isinstance(pod, Mapping)
    dataset, model = spec.dataset, spec.base_model
    return {
        "format": FORMAT,
        "containers": _containers(spec, pod),
        "initContainers": [_container(one, spec.ignored_env) for one in _listed(pod.get("initContainers"))],
        "workers": spec.workers,
        "dataset": None if dataset is None else [dataset.name, dataset.version or version],
        "baseModel": None if model is None else [model.name, model.revision],
        "seed": spec.seed,
        "files": {name: (known or {}).get(name, "") for name in sorted(config_maps(spec))},
    }


def config_maps(spec: TrainingSpec) -> frozenset[str]:
    """ConfigMaps whose data reaches the program."""
    pod = (spec.template or {}).get("spec")
    if not isinstance(pod, Mapping):
        return frozenset()
    return frozenset(name for _, name in _config_maps(pod, spec.ignored_env))


# --- canonical form ---------------------------------------------------------------------------------------------------


def _containers(spec: TrainingSpec, pod: Json) -> list[dict[str, Any]]:
    shown = [_container(one, spec.ignored_env) for one in _listed(pod.get("containers"))]
    if spec.gpus_per_worker is not None and shown and not any(GPU in one["resources"] for one in shown):
        shown[0]["resources"][GPU] = _amount(str(spec.gpus_per_worker))
    return shown


def _container(container: Json, ignored: tuple[str, ...]) -> dict[str, Any]:
    return {
        "image": _image(str(container.get("image", ""))),
        "command": _texts(container.get("command")),
        "args": _texts(container.get("args")),
        "env": _environment(container, ignored),
        "envFrom": [_plain(one) for one in _listed(container.get("envFrom"))],
        "resources": _resources(container.get("resources")),
    }


def _image(reference: str) -> str:
    """By digest, which says it all: tag and registry are only ways to it."""
    _, found, digest = reference.partition("@")
    return digest if found else reference


def _environment(container: Json, ignored: tuple[str, ...]) -> dict[str, Any]:
    """By name: of two of one name the last one counts, as in Kubernetes."""
    found: dict[str, Any] = {}
    for variable in _listed(container.get("env")):
        name = str(variable.get("name", ""))
        if not is_ignored(name, ignored):
            source = variable.get("valueFrom")
            found[name] = str(variable.get("value") or "") if source is None else _plain(source)
    return found


@lru_cache(maxsize=8192)
def is_ignored(name: str, more: tuple[str, ...] = ()) -> bool:
    """Whether a variable says nothing about the result."""
    return any(fnmatchcase(name, pattern) for pattern in (*IGNORED, *more))


def _resources(given: Any) -> dict[str, str]:
    """What the container may use: its limits, and requests where there is no limit."""
    if not isinstance(given, Mapping):
        return {}
    amounts = {**(given.get("requests") or {}), **(given.get("limits") or {})}
    return {str(name): _amount(str(amount)) for name, amount in amounts.items() if amount is not None}


def _amount(text: str) -> str:
    try:
        return str(parse_quantity(text))
    except ValueError:
        return text


def _plain(value: Any) -> Any:
    """JSON without anything that is there and says nothing."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items() if one not in (None, "", {}, [])}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else []


def _listed(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []


# --- what the digest cannot hold --------------------------------------------------------------------------------------


def _without_version(spec: TrainingSpec, version: str) -> Iterator[str]:
    if spec.dataset is None or not (spec.dataset.version or version):
        yield "spec.dataset.version: unknown; say which version of the data is trained on"
    if spec.base_model is not None and not spec.base_model.revision:
        yield "spec.baseModel.revision: unknown; name the commit or digest of the base model"


def _open_ends(spec: TrainingSpec, pod: Json, known: Mapping[str, str]) -> Iterator[str]:
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(_listed(pod.get(kind))):
            image = str(container.get("image", ""))
            if "@sha256:" not in image:
                field = f"spec.template.spec.{kind}[{index}].image"
                yield f"{field}: {image or 'an image'} is a tag that may come to mean another image; use @sha256:…"
    for field, name in sorted(set(_config_maps(pod, spec.ignored_env))):
        if name not in known:
            yield f"spec.template.spec.{field}: what ConfigMap {name} holds is not known"


def _config_maps(pod: Json, ignored: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Field and name of each ConfigMap that reaches the program."""
    for index, volume in enumerate(_listed(pod.get("volumes"))):
        for source in (volume, *_listed((volume.get("projected") or {}).get("sources"))):
            if name := (source.get("configMap") or {}).get("name"):
                yield f"volumes[{index}]", str(name)
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(_listed(pod.get(kind))):
            yield from ((f"{kind}[{index}].{field}", name) for field, name in _of_environment(container, ignored))


def _of_environment(container: Json, ignored: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for source in _listed(container.get("envFrom")):
        if name := (source.get("configMapRef") or {}).get("name"):
            yield "envFrom", str(name)
    for variable in _listed(container.get("env")):
        reference = (variable.get("valueFrom") or {}).get("configMapKeyRef") or {}
        if reference.get("name") and not is_ignored(str(variable.get("name", "")), ignored):
            yield "env", str(reference["name"])
