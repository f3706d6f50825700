"""What the schema of the API cannot check of a TrainingJob, each problem with its field and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from gpucost.core.capacity import CAPACITY_LABELS, labelled_capacity
from gpucost.core.clock import SECOND, Instant, Micros, format_rfc3339
from gpucost.core.quantity import parse_quantity
from gpucost.core.training.placement import overrides
from gpucost.core.training.spec import PlacementPolicy, Schedule, TrainingSpec, Window
from gpucost.core.training.stopping.checks import contradictions
from gpucost.core.training.windows import cron_problem, shortest_period

GPU = "nvidia.com/gpu"
MAX_GPUS = 100_000
WORKLOADS: Mapping[str, str] = {"Job": "batch/v1", "JobSet": "jobset.x-k8s.io/v1alpha2"}
"""Kinds that `workloadRef` may name, each with its API version."""
_NAME_LIMIT = 63
RUN_SUFFIX = len("-99999999")
"""A run is named after its schedule and its minute, which has eight digits until the year 2160."""
_MAX_WORKERS = 100_000


class Problem(NamedTuple):
    """What is wrong: the path of the field, such as `spec.schedule.windows[0].start`, and what is right."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def problems(spec: TrainingSpec, *, name: str = "") -> list[Problem]:
    """All problems of a specification; `name` is the TrainingJob's, which its Job and Service share."""
    found = [*_source(spec), *_policy(spec), *_numbers(spec)]
    found += [Problem(*one) for one in contradictions(spec.stopping, spec.metrics)]
    if spec.schedule is not None:
        found += _schedule(spec.schedule)
    if spec.template is not None:
        found += [*_template(spec, spec.template), *_name(spec, name)]
    return found


def _source(spec: TrainingSpec) -> Iterator[Problem]:
    if (spec.template is None) == (spec.workload_ref is None):
        yield Problem("spec", "set exactly one of template and workloadRef")
    ref = spec.workload_ref
    if ref is not None and WORKLOADS.get(ref.kind) != ref.api_version:
        known = " or ".join(f"{version} {kind}" for kind, version in WORKLOADS.items())
        yield Problem("spec.workloadRef.kind", f"{ref.api_version} {ref.kind} cannot be taken over; use {known}")


def _policy(spec: TrainingSpec) -> Iterator[Problem]:
    scheduled = spec.placement.policy is PlacementPolicy.SCHEDULED
    if spec.placement.policy is PlacementPolicy.AUTO and spec.complete_by is None:
        yield Problem("spec.completeBy", "policy Auto needs a deadline, such as 2026-12-01T06:00:00Z")
    if spec.complete_by is not None and spec.runs is not None:
        message = "completeBy is one instant and schedule.runs makes many runs: leave one of them out"
        yield Problem("spec.completeBy", message)
    if scheduled and (spec.schedule is None or not spec.schedule.windows):
        yield Problem("spec.schedule", "policy Scheduled needs a schedule with at least one window")
    if spec.schedule is not None and spec.schedule.windows and not scheduled:
        message = f"{spec.placement.policy} does not follow a schedule; use Scheduled or remove spec.schedule"
        yield Problem("spec.placement.policy", message)
    if spec.placement.scheduling_timeout <= 0:
        yield Problem("spec.placement.schedulingTimeout", "must be longer than 0, such as 10m")


def too_late(spec: TrainingSpec, now: Instant) -> Iterator[Problem]:
    """A deadline that has passed before anything has begun is a mistake; later it is a missed deadline."""
    if spec.complete_by is not None and spec.complete_by <= now:
        message = f"{format_rfc3339(spec.complete_by)} has passed; give a time in the future, or leave it out"
        yield Problem("spec.completeBy", message)


def _numbers(spec: TrainingSpec) -> Iterator[Problem]:
    if not 1 <= spec.workers <= _MAX_WORKERS:
        yield Problem("spec.workers", f"{spec.workers} is out of range; use 1 to {_MAX_WORKERS}")
    if spec.gpus_per_worker is not None and spec.gpus_per_worker <= 0:
        yield Problem("spec.gpusPerWorker", "must be at least 1; leave it out for training on CPUs")


# --- schedule ---------------------------------------------------------------------------------------------------------


def _schedule(schedule: Schedule) -> Iterator[Problem]:
    if (problem := zone_problem(schedule.time_zone)) is not None:
        yield Problem("spec.schedule.timeZone", problem)
    if schedule.runs is not None and (problem := cron_problem(schedule.runs.cron)) is not None:
        yield Problem("spec.schedule.runs.cron", problem)
    for index, window in enumerate(schedule.windows):
        yield from _window(f"spec.schedule.windows[{index}]", window)


def zone_problem(name: str) -> str | None:
    """What is wrong with a time zone, and which one may be meant."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder's name is an OSError
        folded = {zone.lower(): zone for zone in available_timezones()}
        near = difflib.get_close_matches(name.lower().replace(" ", "_"), folded, n=1)
        hint = f"did you mean {folded[near[0]]}?" if near else "use an IANA name such as Europe/Berlin or UTC"
        return f"{name!r} is not a known time zone; {hint}"
    return None


def _window(path: str, window: Window) -> Iterator[Problem]:
    if window.duration <= 0:
        yield Problem(f"{path}.duration", "must be longer than 0, such as 10h")
    if (problem := cron_problem(window.start)) is not None:
        yield Problem(f"{path}.start", problem)
        return
    period = shortest_period(window.start)
    if period is not None and window.duration > period:
        given, most = _as_written(window.duration), _as_written(period)
        message = f"{given} is longer than the {most} until the window opens again; use at most {most}"
        yield Problem(f"{path}.duration", message)


def _as_written(duration: Micros) -> str:
    """A duration as the field takes it: in hours, minutes and seconds, without days."""
    minutes, seconds = divmod(duration // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


# --- template ---------------------------------------------------------------------------------------------------------

_CONTAINERS = "spec.template.spec.containers"


def _template(spec: TrainingSpec, template: Mapping[str, Any]) -> Iterator[Problem]:
    pod = template.get("spec")
    containers = pod.get("containers") if isinstance(pod, Mapping) else None
    if not isinstance(pod, Mapping) or not isinstance(containers, list) or not containers:
        yield Problem(_CONTAINERS, "needs at least one container with a name and an image")
        return
    if pod.get("restartPolicy") not in {None, "Never", "OnFailure"}:
        yield Problem("spec.template.spec.restartPolicy", f"{pod['restartPolicy']!r}; a Job takes Never or OnFailure")
    yield from _gpus(spec, containers)
    yield from _selector(spec, pod.get("nodeSelector") or {})


def _gpus(spec: TrainingSpec, containers: list[Any]) -> Iterator[Problem]:
    total = 0
    for index, container in enumerate(containers):
        path = f"{_CONTAINERS}[{index}].resources.limits[{GPU}]"
        amount = gpu_limit(container)
        if amount is None:
            continue
        try:
            count = parse_quantity(amount)
        except ValueError as error:
            yield Problem(path, str(error))
            continue
        if count <= 0 or count.denominator != 1:
            yield Problem(path, f"{amount} GPUs; use a whole number from 1 on, or leave the limit out")
        total += int(count)
    total = max(total, spec.gpus_per_worker or 0) * spec.workers
    if total > MAX_GPUS:
        yield Problem("spec.workers", f"{total} GPUs in all, more than {MAX_GPUS}; fewer workers or GPUs per worker")


def gpu_limit(container: Any) -> str | None:
    """The GPUs that a raw container is limited to, as written; None when it says nothing."""
    resources = container.get("resources") if isinstance(container, Mapping) else None
    if not isinstance(resources, Mapping):
        return None
    for part in ("limits", "requests"):
        amounts = resources.get(part)
        if isinstance(amounts, Mapping) and amounts.get(GPU) is not None:
            return str(amounts[GPU])
    return None


def _selector(spec: TrainingSpec, selector: Mapping[str, str]) -> Iterator[Problem]:
    """A template that chooses the capacity type itself must choose what the policy always chooses."""
    fixed = labelled_capacity(selector, overrides(spec.placement))
    policy = spec.placement.policy
    if fixed is None or fixed is policy.always:
        return
    own = (key for labels in spec.placement.selectors for key in labels)
    key = next(key for key in (*CAPACITY_LABELS, *own) if key in selector)
    message = f"selects {fixed} nodes, spec.placement.policy is {policy}; remove it and let the policy choose"
    yield Problem(f"spec.template.spec.nodeSelector[{key}]", message)


def _name(spec: TrainingSpec, name: str) -> Iterator[Problem]:
    """Pods, host names and the Service are named after the TrainingJob; with several workers as host names."""
    suffix = len(f"-{spec.workers - 1}") if spec.workers > 1 else 0
    suffix += RUN_SUFFIX if spec.runs is not None else 0
    if len(name) > _NAME_LIMIT - suffix:
        message = f"{len(name)} characters; at most {_NAME_LIMIT - suffix}, because pods are named after it"
        yield Problem("metadata.name", message)
    if spec.workers > 1 and name and (not name[0].isalpha() or "." in name):
        message = "several workers find each other by host name; begin with a letter and leave out dots"
        yield Problem("metadata.name", message)
