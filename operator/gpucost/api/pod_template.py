"""The part of a pod template that is worth checking at `kubectl apply`; everything else in it is preserved as it is.

A copy of the whole PodTemplateSpec would be 400 kB of schema and wrong with the next Kubernetes release. The API server
checks the complete template when the Job is made from it (a dry run first); here stands only what would otherwise be
found late: no container, a container without a name, an absurd number of GPUs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gpucost.api.fields import ApiModel, OpenModel, rule, rules

GPU_LIMIT = 64
"""Most GPUs of one container: four times the largest machine that clouds rent out."""

_GPUS = rule(
    "!('nvidia.com/gpu' in self) || (string(self['nvidia.com/gpu']).matches('^[1-9][0-9]?$')"
    f" && int(string(self['nvidia.com/gpu'])) <= {GPU_LIMIT})",
    f"nvidia.com/gpu must be a whole number from 1 to {GPU_LIMIT}; leave it out for a container without GPUs",
)

Quantities = Annotated[
    dict[str, Annotated[int | str, Field(json_schema_extra={"maxLength": 32})]],
    Field(max_length=32, json_schema_extra=rules(_GPUS)),
]


class Resources(OpenModel):
    """Compute resources of a container."""

    limits: Quantities | None = Field(
        None, description="Most the container may use. GPUs are given here: `nvidia.com/gpu: 8`."
    )
    requests: Quantities | None = Field(
        None, description="What the scheduler reserves. For GPUs it equals the limit and can be left out."
    )


class Container(OpenModel):
    """A container, as in any pod; fields that are not listed here are preserved."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Name of the container, unique in the pod."
    )
    resources: Resources | None = Field(None, description="Compute resources, such as `limits: {nvidia.com/gpu: 8}`.")


def _containers(least: int) -> Any:
    return Field(
        min_length=least,
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class PodSpec(OpenModel):
    """Specification of the pods, as in any workload; fields that are not listed here are preserved."""

    containers: Annotated[tuple[Container, ...], _containers(1)] = Field(
        description="Containers of a worker; at least one. The first one gets `gpusPerWorker`."
    )
    init_containers: Annotated[tuple[Container, ...], _containers(0)] | None = Field(
        None, description="Containers that run to their end before the others start."
    )


class TemplateMetadata(OpenModel):
    """Labels and annotations of the pods."""


class PodTemplate(OpenModel):
    """A pod template, as in a Job."""

    metadata: TemplateMetadata | None = Field(None, description="Labels and annotations of the pods.")
    spec: PodSpec = Field(description="Specification of the pods, as in a Job's `spec.template.spec`.")


class Toleration(ApiModel):
    """A taint that the pods tolerate."""

    key: Annotated[str, Field(max_length=316)] | None = Field(
        None, description="Key of the taint; empty for every key."
    )
    operator: Annotated[str, Field(json_schema_extra={"enum": ["Exists", "Equal"]})] = Field(
        "Equal", description="Exists matches every value of the key, Equal only `value`."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(None, description="Value of the taint, with Equal.")
    effect: (
        Annotated[str, Field(json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})] | None
    ) = Field(None, description="Effect of the taint; empty for every effect.")
    toleration_seconds: Annotated[int, Field(ge=0)] | None = Field(
        None, description="With NoExecute: how long the pod stays; without it, for ever."
    )
