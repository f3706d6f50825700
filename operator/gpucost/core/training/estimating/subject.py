"""From a TrainingJob to what is estimated: how many GPUs of which model, on which capacity, from when on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpucost.core.capacity import traits
from gpucost.core.clock import Instant
from gpucost.core.quantity import parse_quantity
from gpucost.core.training.estimating.chips import INSTANCES
from gpucost.core.training.estimating.estimate import Placing, Setup
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.validate import gpu_limit


def can_be_estimated(spec: TrainingSpec) -> bool:
    """Whether the specification says enough to say anything about time."""
    return spec.model is not None or spec.expected_duration is not None


def setup_of(spec: TrainingSpec, *, start: Instant, gpus: int | None = None, models: Iterable[str] = ()) -> Setup:
    """The setup of a valid specification.

    `gpus` are those of a Job that is taken over, `models` the GPU models that the cluster has: where there is only one,
    it is that.
    """
    selected = _selected(spec)
    instance_type = selected.get("instance", "")
    placing = Placing(str(spec.placement.policy))
    budget = spec.stopping.budget
    return Setup(
        gpus=gpus_of(spec) if gpus is None else gpus,
        gpu_model=_model(spec, selected, instance_type, models),
        instance_type=instance_type,
        placing=placing,
        schedule=spec.schedule if placing is Placing.SCHEDULED else None,
        work=spec.model.work if spec.model is not None else None,
        duration=spec.expected_duration,
        start=start,
        complete_by=spec.complete_by,
        most_cost=budget.cost if budget is not None else None,
        most_gpu_hours=budget.gpu_hours if budget is not None else None,
        is_based=spec.base_model is not None,
        adopts=f"{spec.workload_ref.kind}/{spec.workload_ref.name}" if spec.workload_ref is not None else "",
    )


def gpus_of(spec: TrainingSpec) -> int:
    """GPUs of all workers."""
    pod = _pod(spec)
    limits = [gpu_limit(container) for container in pod.get("containers") or ()]
    named = sum(int(parse_quantity(limit)) for limit in limits if limit is not None)
    return (named or spec.gpus_per_worker or 0) * spec.workers


def _pod(spec: TrainingSpec) -> Mapping[str, Any]:
    pod = (spec.template or {}).get("spec")
    return pod if isinstance(pod, Mapping) else {}


def _model(spec: TrainingSpec, selected: Mapping[str, str], instance_type: str, models: Iterable[str]) -> str:
    if spec.model is not None and spec.model.gpu:
        return spec.model.gpu
    if selected.get("gpu"):
        return selected["gpu"]
    if instance_type:
        return INSTANCES[instance_type][0] if instance_type in INSTANCES else ""
    there = set(models)
    return there.pop() if len(there) == 1 else ""


def _selected(spec: TrainingSpec) -> dict[str, str]:
    """Instance type and GPU model that the pods select; what two places say differently says nothing."""
    found: dict[str, set[str]] = {"instance": set(), "gpu": set()}
    for labels in _selectors(spec):
        told = traits(labels)
        if told.instance_type:
            found["instance"].add(told.instance_type)
        if told.gpu_model:
            found["gpu"].add(told.gpu_model)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _selectors(spec: TrainingSpec) -> Iterator[Mapping[str, str]]:
    pod = _pod(spec)
    yield pod.get("nodeSelector") or {}
    yield dict(_required(pod))
    for pool in (spec.placement.spot, spec.placement.on_demand):
        if pool is not None:
            yield pool.node_selector


def _required(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels with exactly one value that the node affinity requires, where there is one alternative."""
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    for term in terms if len(terms) == 1 else ():
        for expression in term.get("matchExpressions") or ():
            values = expression.get("values") or ()
            if expression.get("operator") == "In" and len(values) == 1:
                yield str(expression["key"]), str(next(iter(values)))
