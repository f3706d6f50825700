"""What the schema of the API cannot check of an InferenceEndpoint, each problem with its field and its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpucost.core.clock import format_duration
from gpucost.core.serving.pausing import PAUSED_REPLICAS, is_number
from gpucost.core.serving.spec import EndpointSpec, ReplicaWindow
from gpucost.core.training.validate import Problem, zone_problem
from gpucost.core.training.windows import cron_problem, shortest_period

_MOST_REPLICAS = 10_000


def problems(spec: EndpointSpec, annotations: Mapping[str, str] | None = None) -> list[Problem]:
    """All problems of a specification, and of the annotations that go with it."""
    return [*_limits(spec), *_windows(spec), *_annotations(annotations or {})]


def _limits(spec: EndpointSpec) -> Iterator[Problem]:
    if not 1 <= spec.least <= spec.most:
        message = f"{spec.least} is not between 1 and maxReplicas ({spec.most})"
        yield Problem("spec.minReplicas", message)
    raised = spec.missing.replicas
    if raised is not None and not spec.least <= raised <= spec.most:
        message = f"{raised} is not within minReplicas and maxReplicas ({spec.least} to {spec.most})"
        yield Problem("spec.onMissingMetrics.replicas", message)


def _windows(spec: EndpointSpec) -> Iterator[Problem]:
    for index, window in enumerate(spec.windows):
        path = f"spec.schedules[{index}]"
        least, most = limits_in(spec, window)
        if least > most:
            message = f"with the endpoint's own limits it means at least {least} and at most {most}: give both"
            yield Problem(f"{path}.minReplicas", message)
        if (problem := zone_problem(window.time_zone)) is not None:
            yield Problem(f"{path}.timeZone", problem)
        yield from _times(path, window)


def _times(path: str, window: ReplicaWindow) -> Iterator[Problem]:
    if (problem := cron_problem(window.start)) is not None:
        yield Problem(f"{path}.start", problem)
        return
    period = shortest_period(window.start)
    if period is not None and window.duration > period:
        longest = format_duration(period)
        message = f"longer than the {longest} until the window opens again; use at most {longest}"
        yield Problem(f"{path}.duration", message)


def limits_in(spec: EndpointSpec, window: ReplicaWindow | None) -> tuple[int, int]:
    """Fewest and most replicas while a window is open; None is outside of all."""
    if window is None:
        return spec.least, spec.most
    least = spec.least if window.least is None else window.least
    return least, spec.most if window.most is None else window.most


def _annotations(annotations: Mapping[str, str]) -> Iterator[Problem]:
    text = annotations.get(PAUSED_REPLICAS)
    if text is None:
        return
    if not is_number(text) or int(text) > _MOST_REPLICAS:
        message = f"{text[:32]!r}; a whole number from 0 to {_MOST_REPLICAS}, such as '3', or take the annotation away"
        yield Problem(f"metadata.annotations[{PAUSED_REPLICAS}]", message)
