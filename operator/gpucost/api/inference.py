"""The InferenceEndpoint: an existing workload that serves a model, with as many replicas as its SLO needs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gpucost.api.fields import ApiModel, Cron, Duration, Percent, TimeZone, rule, rules
from gpucost.api.inference_behavior import ScalingBehavior
from gpucost.api.inference_fields import LabelName, Latency, Name, Query, Rate, Replicas

# --- target -----------------------------------------------------------------------------------------------------------


class ScaleTargetRef(ApiModel):
    """The workload, in the namespace of the InferenceEndpoint."""

    api_version: Annotated[str, Field(max_length=128, pattern=r"^([a-z0-9.-]+/)?v[0-9][a-z0-9]*$")] = Field(
        "apps/v1",
        description="API version of the workload, such as apps/v1 or leaderworkerset.x-k8s.io/v1.",
    )
    kind: Annotated[str, Field(max_length=63, pattern="^[A-Z][A-Za-z0-9]*$")] = Field(
        "Deployment",
        description="Kind of the workload; any that has a `scale` subresource: Deployment, StatefulSet, "
        "LeaderWorkerSet.",
    )
    name: Name = Field(description="Name of the workload, such as `llama`.")


# --- what is measured -------------------------------------------------------------------------------------------------


class Queries(ApiModel):
    """PromQL for each figure; each gives one series for every pod, or a single one for the whole endpoint."""

    requests_per_second: Query | None = Field(
        None,
        description="Requests that arrive in a second. Example: "
        '`sum by (pod) (rate(requests_total{namespace="chat"}[1m]))`.',
    )
    served_per_second: Query | None = Field(
        None, description="Requests that are completed in a second: `sum by (pod) (rate(responses_total[1m]))`."
    )
    waiting: Query | None = Field(None, description="Requests that wait for a place: `sum by (pod) (queue_length)`.")
    running: Query | None = Field(None, description="Requests that are worked on: `sum by (pod) (in_flight)`.")
    kv_cache_usage: Query | None = Field(
        None, description="Part of the KV cache that is in use, 0 to 1: `max by (pod) (kv_cache_usage)`."
    )
    prompt_tokens_per_second: Query | None = Field(
        None, description="Input tokens in a second: `sum by (pod) (rate(prompt_tokens_total[1m]))`."
    )
    generation_tokens_per_second: Query | None = Field(
        None, description="Output tokens in a second: `sum by (pod) (rate(generated_tokens_total[1m]))`."
    )


class Metrics(ApiModel):
    """Where the figures of the endpoint are."""

    queries: Queries = Field(
        default_factory=Queries,
        json_schema_extra={"default": {}},
        description="PromQL instead of the runtime's own metric names; needed with `runtime: custom`.",
    )
    namespace_label: LabelName = Field(
        "namespace", description="Label of the series that holds the pod's namespace; `exported_namespace` for some."
    )
    pod_label: LabelName = Field(
        "pod", description="Label of the series that holds the pod's name; `exported_pod` for some."
    )
    model_name: Annotated[str, Field(max_length=253)] = Field(
        "",
        description="The served model that this endpoint is about, where one server serves several: "
        "`meta-llama/Llama-3.1-8B`. Empty: all of them.",
    )
    tenant_label: Annotated[str, Field(max_length=128, pattern=r"^([a-zA-Z_][a-zA-Z0-9_]*)?$")] = Field(
        "",
        description="Label of the series that says who asked, such as `tenant`: cost is then told by it too. Empty: no "
        "such label.",
    )


class Capacity(ApiModel):
    """What one replica serves within the SLO."""

    requests_per_second: Rate | None = Field(
        None, description="Requests that one replica serves in a second, such as '12.5'."
    )
    tokens_per_second: Rate | None = Field(
        None, description="Output tokens that one replica gives in a second, such as '2400'."
    )


class Slo(ApiModel):
    """What users of the endpoint may expect."""

    ttft_p95: Latency | None = Field(
        None,
        alias="ttftP95",
        description="Within this time 95 % of the requests have their first token, such as 2s.",
    )
    itl_p95: Latency | None = Field(
        None,
        alias="itlP95",
        description="Within this time after a token comes the next one, in 95 % of the cases, such as 50ms.",
    )
    objective: Percent = Field("99.9", description="Per cent of the requests that must be in time, such as '99.9'.")


# --- limits -----------------------------------------------------------------------------------------------------------

_AT_LEAST = "behavior AtLeast needs replicas, such as 4; the number that the endpoint is raised to"
_HOLDS = "replicas goes with behavior AtLeast only"


class OnMissingMetrics(ApiModel):
    """What to do while the load is unknown."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.behavior) || self.behavior != 'AtLeast' || has(self.replicas)",
                _AT_LEAST,
                field_path=".behavior",
                reason="FieldValueRequired",
            ),
            rule(
                "!has(self.replicas) || has(self.behavior) && self.behavior == 'AtLeast'",
                _HOLDS,
                field_path=".behavior",
                reason="FieldValueForbidden",
            ),
        )
    )

    behavior: Literal["Hold", "AtLeast"] = Field(
        "Hold",
        description="Hold: the replicas stay as they are. AtLeast: after `after` they are raised to `replicas` where "
        "they are fewer. Nothing ever lowers them while the load is unknown.",
    )
    after: Duration = Field("5m", description="How long metrics must be missing before AtLeast raises, such as 5m.")
    replicas: Replicas | None = Field(None, description="The number for AtLeast, such as 4.")

    @model_validator(mode="after")
    def _consistent(self) -> OnMissingMetrics:
        if (self.behavior == "AtLeast") != (self.replicas is not None):
            raise ValueError(_AT_LEAST if self.replicas is None else _HOLDS)
        return self


class RequestHolder(ApiModel):
    """Who keeps requests while no replica runs."""

    type: Literal["Knative", "KedaHttp", "Gateway"] = Field(
        description="Knative: a Knative Service in front of the workload. KedaHttp: an HTTPScaledObject of KEDA's HTTP "
        "add-on. Gateway: a Service whose fallback answers meanwhile."
    )
    name: Name = Field(description="Name of that object, such as `llama`.")
    namespace: Annotated[str, Field(max_length=63)] = Field(
        "", description="Its namespace, such as `gateway`; empty: that of the InferenceEndpoint."
    )


_NEEDS_HOLDER = (
    "scaling to zero loses requests unless somebody holds them: name the holder, such as {type: KedaHttp, name: llama}"
)


class ScaleToZero(ApiModel):
    """No replica while nobody asks for anything."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.enabled) || !self.enabled || has(self.holder)",
                _NEEDS_HOLDER,
                field_path=".holder",
                reason="FieldValueRequired",
            )
        )
    )

    enabled: bool = Field(False, description="true allows it.")
    idle_after: Duration | None = Field(
        None,
        description="Time without any request, such as 30m. Left out: as soon as it costs less than to keep a replica, "
        "by the ready time that was measured.",
    )
    holder: RequestHolder | None = Field(
        None, description="Who keeps requests while no replica runs; looked at before the last replica goes."
    )

    @model_validator(mode="after")
    def _held(self) -> ScaleToZero:
        if self.enabled and self.holder is None:
            raise ValueError(_NEEDS_HOLDER)
        return self


_EMPTY_WINDOW = "says nothing: give minReplicas, maxReplicas or both"
_ORDER = "minReplicas must not be above maxReplicas"


class ReplicaSchedule(ApiModel):
    """A recurring time with limits of its own."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.minReplicas) || has(self.maxReplicas)", _EMPTY_WINDOW),
            rule(
                "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                _ORDER,
                field_path=".minReplicas",
            ),
        )
    )

    start: Cron = Field(
        description="When the window opens: a cron expression of five fields in `timeZone`. Example: `0 8 * * 1-5` is "
        "08:00 from Monday to Friday."
    )
    duration: Duration = Field(description="How long it stays open, such as 10h; elapsed time.")
    time_zone: TimeZone = Field("UTC", description="IANA time zone of `start`, such as Europe/Berlin.")
    min_replicas: Replicas | None = Field(None, description="Fewest replicas while the window is open, such as 4.")
    max_replicas: Replicas | None = Field(None, description="Most replicas while the window is open, such as 20.")

    @model_validator(mode="after")
    def _says_something(self) -> ReplicaSchedule:
        if self.min_replicas is None and self.max_replicas is None:
            raise ValueError(_EMPTY_WINDOW)
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise ValueError(_ORDER)
        return self


class ComparedPrice(ApiModel):
    """What somebody else asks for the same work."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Its name, such as `gpt-4o-mini`.")
    input_per_million_tokens: Rate = Field(description="Price of a million input tokens, such as '0.15'.")
    output_per_million_tokens: Rate = Field(description="Price of a million output tokens, such as '0.60'.")


# --- the whole --------------------------------------------------------------------------------------------------------

_MISSING_RANGE = "onMissingMetrics.replicas must be within minReplicas and maxReplicas"
_NEEDS_QUERIES = (
    "runtime custom needs metrics.queries.requestsPerSecond, such as 'sum by (pod) (rate(requests_total[1m]))'"
)
_SPEC_RULES = rules(
    rule("self.minReplicas <= self.maxReplicas", _ORDER, field_path=".minReplicas"),
    rule(
        "!has(self.onMissingMetrics.replicas) || (self.onMissingMetrics.replicas >= self.minReplicas"
        " && self.onMissingMetrics.replicas <= self.maxReplicas)",
        _MISSING_RANGE,
        field_path=".onMissingMetrics",
    ),
    rule(
        "self.runtime != 'custom' || has(self.metrics.queries.requestsPerSecond)",
        _NEEDS_QUERIES,
        field_path=".metrics",
        reason="FieldValueRequired",
    ),
    rule(
        "!has(self.schedules) || self.schedules.all(s, (has(s.minReplicas) ? s.minReplicas : self.minReplicas)"
        " <= (has(s.maxReplicas) ? s.maxReplicas : self.maxReplicas))",
        "a schedule's minReplicas must not be above its maxReplicas, and where it gives one only, not cross the other "
        "of the endpoint: give both",
        field_path=".schedules",
    ),
)
_SCHEDULES = """\
Times with limits of their own, at most 32. Where two are open at once, the first one listed counts. Example: at least \
four replicas in office hours.

schedules:
- {start: "0 8 * * 1-5", duration: 10h, timeZone: Europe/Berlin, minReplicas: 4}"""
_BEHAVIOR = """\
Limits of how fast the number changes, with the fields and the meaning of autoscaling/v2. Where it is left out, \
or a direction of it, there are none: the recommendation itself waits before it goes down. In a direction that is \
given, what is left out has the default of autoscaling/v2. Example: at most one pod a minute away.

behavior:
  scaleDown:
    stabilizationWindowSeconds: 300
    policies:
    - {type: Pods, value: 1, periodSeconds: 60}"""


class InferenceEndpointSpec(ApiModel):
    """Which workload, between which limits, and for what."""

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    scale_target_ref: ScaleTargetRef = Field(
        description="The workload that serves the model. Nobody else may change its replicas: no "
        "HorizontalPodAutoscaler, no ScaledObject, no other InferenceEndpoint. Example: `{name: llama}` for a "
        "Deployment."
    )
    runtime: Literal["vllm", "sglang", "tgi", "triton", "nim", "custom"] = Field(
        description="The inference server, which decides what its metrics are called. custom: as `metrics.queries` say."
    )
    mode: Literal["Off", "Recommend", "Auto"] = Field(
        "Recommend",
        description="Off: nothing is looked at. Recommend: the number that would do is told, nothing is changed. Auto: "
        "it is set.",
    )
    min_replicas: Replicas = Field(1, description="Fewest replicas; see `scaleToZero` for none at all.")
    max_replicas: Replicas = Field(10, description="Most replicas.")
    slo: Slo = Field(
        default_factory=Slo,
        json_schema_extra={"default": {}},
        description="What users may expect; the replicas are as few as keep it. Example: "
        "`{ttftP95: 2s, itlP95: 50ms, objective: '99.9'}`.",
    )
    behavior: ScalingBehavior | None = Field(None, description=_BEHAVIOR)
    on_missing_metrics: OnMissingMetrics = Field(
        default_factory=OnMissingMetrics,
        json_schema_extra={"default": {}},
        description="What to do while the load is unknown. Example: `{behavior: AtLeast, after: 5m, replicas: 4}`.",
    )
    metrics: Metrics = Field(
        default_factory=Metrics, json_schema_extra={"default": {}}, description="Where the figures are."
    )
    capacity: Capacity = Field(
        default_factory=Capacity,
        json_schema_extra={"default": {}},
        description="What one replica serves within the SLO, where that is known; else it is learned from the "
        "endpoint's own metrics. Example: `{requestsPerSecond: '12.5'}`.",
    )
    scale_to_zero: ScaleToZero = Field(
        default_factory=ScaleToZero,
        json_schema_extra={"default": {}},
        description="No replica while nobody asks. Example: "
        "`{enabled: true, idleAfter: 30m, holder: {type: KedaHttp, name: llama}}`.",
    )
    schedules: Annotated[tuple[ReplicaSchedule, ...], Field(max_length=32)] = Field(
        default=(), description=_SCHEDULES, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    compared_to: ComparedPrice | None = Field(
        None,
        description="A price to compare with: the status tells from how much traffic on the endpoint is cheaper. "
        "Example: `{name: gpt-4o-mini, inputPerMillionTokens: '0.15', outputPerMillionTokens: '0.60'}`.",
    )
    pod_deletion_cost: bool = Field(
        False,
        description="true marks the pods of a Deployment just before a scale-down (annotation "
        "controller.kubernetes.io/pod-deletion-cost), so that the least used ones go.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> InferenceEndpointSpec:
        """The rules above once more, for objects that were stored before them."""
        if self.min_replicas > self.max_replicas:
            raise ValueError(_ORDER)
        raised = self.on_missing_metrics.replicas
        if raised is not None and not self.min_replicas <= raised <= self.max_replicas:
            raise ValueError(_MISSING_RANGE)
        if self.runtime == "custom" and self.metrics.queries.requests_per_second is None:
            raise ValueError(_NEEDS_QUERIES)
        return self
