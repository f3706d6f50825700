"""Problems of a TrainingJob: each names its field and says what is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.clock import DAY, HOUR
from gpucost.core.training.spec import (
    PlacementPolicy,
    PlacementSpec,
    PoolSelector,
    Schedule,
    TrainingSpec,
    Window,
    WorkloadRef,
)
from gpucost.core.training.validate import problems


def template(*, gpus: Any = None, **pod: Any) -> dict[str, Any]:
    limits = {} if gpus is None else {"resources": {"limits": {"nvidia.com/gpu": gpus}}}
    return {"spec": {"containers": [{"name": "train", "image": "x", **limits}], **pod}}


GOOD = TrainingSpec(template=template(gpus=8), workers=2)


def scheduled(zone: str = "UTC", start: str = "0 20 * * *", duration: int = 10 * HOUR) -> TrainingSpec:
    plan = Schedule(zone, (Window(start, duration),))
    return replace(GOOD, placement=PlacementSpec(PlacementPolicy.SCHEDULED), schedule=plan)


@pytest.mark.parametrize(
    "spec",
    [
        GOOD,
        scheduled(),
        scheduled(duration=24 * HOUR, zone="Europe/Berlin"),  # a day, though one day in March has 23 hours
        TrainingSpec(template=template()),
        TrainingSpec(workload_ref=WorkloadRef("bert")),
        TrainingSpec(
            template=template(nodeSelector={"karpenter.sh/capacity-type": "spot"}),
            placement=PlacementSpec(PlacementPolicy.SPOT),
        ),
    ],
)
def test_a_good_specification_has_no_problem(spec: TrainingSpec) -> None:
    assert problems(spec, name="bert") == []


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (scheduled(start="61 * * * *"), "spec.schedule.windows[0].start", "not a cron expression: bad minute"),
        (scheduled(zone="Europe/Berln"), "spec.schedule.timeZone", "did you mean Europe/Berlin?"),
        (scheduled(zone="america/new york"), "spec.schedule.timeZone", "did you mean America/New_York?"),
        (scheduled(zone="Mars"), "spec.schedule.timeZone", "not a known time zone"),
        (scheduled(zone="../etc"), "spec.schedule.timeZone", "not a known time zone"),
        (scheduled(zone="Europe"), "spec.schedule.timeZone", "not a known time zone"),
        (scheduled(zone=""), "spec.schedule.timeZone", "not a known time zone"),
        (scheduled(duration=25 * HOUR), "spec.schedule.windows[0].duration", "use at most 24h"),
        (scheduled(start="0 6 * * 1,2", duration=2 * DAY), "spec.schedule.windows[0].duration", "use at most 24h"),
        (scheduled(duration=0), "spec.schedule.windows[0].duration", "longer than 0"),
        (replace(scheduled(), schedule=None), "spec.schedule", "needs a schedule"),
        (replace(scheduled(), placement=PlacementSpec()), "spec.placement.policy", "use Scheduled or remove"),
        (replace(GOOD, template={"spec": {}}), "spec.template.spec.containers", "at least one container"),
        (replace(GOOD, template={}), "spec.template.spec.containers", "at least one container"),
        (replace(GOOD, template=None), "spec", "exactly one"),
        (
            replace(GOOD, template=template(gpus=0)),
            "spec.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
            "0 GPUs",
        ),
        (
            replace(GOOD, template=template(gpus="eight")),
            "spec.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
            "not a Kubernetes quantity",
        ),
        (
            replace(GOOD, template=template(gpus="500m")),
            "spec.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
            "whole number",
        ),
        (replace(GOOD, gpus_per_worker=0), "spec.gpusPerWorker", "at least 1"),
        (replace(GOOD, workers=50_000), "spec.workers", "400000 GPUs"),
        (replace(GOOD, template=template(restartPolicy="Always")), "spec.template.spec.restartPolicy", "'Always'"),
        (TrainingSpec(workload_ref=WorkloadRef("x", "CronJob")), "spec.workloadRef.kind", "use batch/v1 Job"),
        (
            replace(scheduled(), template=template(nodeSelector={"eks.amazonaws.com/capacityType": "ON_DEMAND"})),
            "spec.template.spec.nodeSelector[eks.amazonaws.com/capacityType]",
            "policy is Scheduled",
        ),
        (
            TrainingSpec(
                template=template(nodeSelector={"pool": "cheap"}),
                placement=PlacementSpec(spot=PoolSelector({"pool": "cheap"})),
            ),
            "spec.template.spec.nodeSelector[pool]",
            "selects spot nodes",
        ),
    ],
)
def test_a_problem_names_its_field_and_its_remedy(spec: TrainingSpec, field: str, words: str) -> None:
    found = problems(spec, name="bert")
    assert [problem.field for problem in found] == [field]
    assert words in found[0].message


@pytest.mark.parametrize(
    ("name", "workers", "good"),
    [
        ("a" * 63, 1, True),
        ("a" * 64, 1, False),
        ("a" * 61, 10, True),  # a pod is named NAME-9
        ("a" * 62, 10, False),
        ("7b-run", 1, True),
        ("7b-run", 2, False),
        ("bert.v2", 1, True),
        ("bert.v2", 2, False),
    ],
)
def test_names_that_pods_and_hosts_cannot_have_are_refused(name: str, workers: int, good: bool) -> None:
    found = problems(replace(GOOD, workers=workers), name=name)
    assert [problem.field for problem in found] == ([] if good else ["metadata.name"])
