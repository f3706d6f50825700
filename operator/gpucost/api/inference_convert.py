"""From an InferenceEndpoint as it is stored to the terms of the core, without ever failing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gpucost.api.convert import Converted, read_model
from gpucost.api.inference import InferenceEndpointSpec, Metrics, OnMissingMetrics, ReplicaSchedule, ScaleToZero
from gpucost.api.inference_behavior import ScalingRules
from gpucost.core.clock import SECOND, parse_duration
from gpucost.core.quantity import parse_quantity
from gpucost.core.serving import spec as core


def endpoint_spec(body: Mapping[str, Any]) -> Converted[core.EndpointSpec]:
    """Convert an InferenceEndpoint (`{"metadata": …, "spec": …}`); all or nothing."""
    model, problems = read_model(InferenceEndpointSpec, body.get("spec"), "spec")
    return Converted(None if model is None else _endpoint(model), problems)


def _endpoint(model: InferenceEndpointSpec) -> core.EndpointSpec:
    ref = model.scale_target_ref
    compared = model.compared_to
    return core.EndpointSpec(
        target=core.TargetRef(ref.kind, ref.name, ref.api_version),
        runtime=core.Runtime(model.runtime),
        least=model.min_replicas,
        most=model.max_replicas,
        mode=core.Mode(model.mode),
        slo=core.Slo(_span(model.slo.ttft_p95), _span(model.slo.itl_p95), Decimal(model.slo.objective)),
        behavior=core.Behavior()
        if model.behavior is None
        else core.Behavior(
            up=_direction(model.behavior.scale_up, core.Direction(), core.HPA_UP),
            down=_direction(model.behavior.scale_down, core.OWN_DOWN, core.HPA_DOWN),
        ),
        missing=_missing(model.on_missing_metrics),
        metrics=_metrics(model.metrics),
        capacity=core.Capacity(_number(model.capacity.requests_per_second), _number(model.capacity.tokens_per_second)),
        zero=_zero(model.scale_to_zero),
        windows=tuple(map(_window, model.schedules)),
        compared_to=None
        if compared is None
        else core.ApiPrice(
            compared.name, Decimal(compared.input_per_million_tokens), Decimal(compared.output_per_million_tokens)
        ),
        least_used_first=model.pod_deletion_cost,
    )


def _span(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _direction(model: ScalingRules | None, absent: core.Direction, default: core.Direction) -> core.Direction:
    """A direction that is given has the defaults of autoscaling/v2; one that is not given has `absent`."""
    if model is None:
        return absent
    seconds = model.stabilization_window_seconds
    tolerance = default.tolerance
    if model.tolerance is not None:
        exact = parse_quantity(model.tolerance)
        tolerance = Decimal(exact.numerator) / Decimal(exact.denominator)
    policies = tuple(
        core.RatePolicy(one.type == "Percent", one.value, one.period_seconds * SECOND) for one in model.policies
    )
    return core.Direction(
        stabilization=default.stabilization if seconds is None else seconds * SECOND,
        select=core.SelectPolicy(model.select_policy),
        policies=policies or default.policies,
        tolerance=tolerance,
    )


def _missing(model: OnMissingMetrics) -> core.MissingMetrics:
    return core.MissingMetrics(core.OnMissing(model.behavior), parse_duration(model.after), model.replicas)


def _metrics(model: Metrics) -> core.MetricSettings:
    return core.MetricSettings(
        queries=model.queries.model_dump(by_alias=True, exclude_none=True),
        namespace_label=model.namespace_label,
        pod_label=model.pod_label,
        model_name=model.model_name,
        tenant_label=model.tenant_label,
    )


def _zero(model: ScaleToZero) -> core.ScaleToZero | None:
    holder = model.holder
    if not model.enabled or holder is None:
        return None
    kind = core.HolderKind(holder.type)
    return core.ScaleToZero(core.Holder(kind, holder.name, holder.namespace), _span(model.idle_after))


def _window(model: ReplicaSchedule) -> core.ReplicaWindow:
    return core.ReplicaWindow(
        start=model.start,
        duration=parse_duration(model.duration),
        time_zone=model.time_zone,
        least=model.min_replicas,
        most=model.max_replicas,
    )
