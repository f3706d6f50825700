"""What GPUs do and what pods use, from any engine that speaks PromQL: one bulk query per metric and tick.

The average over the sampling window is asked for, not the last value: it describes the whole tick, and a series without
a fresh sample is absent from the answer instead of being repeated for five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpucost.core.clock import Instant
from gpucost.core.needs import CPU, MEMORY
from gpucost.core.signals import METRICS
from gpucost.core.usage import LABELS, Labels, Sample
from gpucost.sources.promql import PrometheusError, PromQL

__all__ = ["PrometheusError", "UseSource", "UtilisationSource"]

# Half of the labels are not read, and answers are the largest part of what a pass reads. Where series differ in nothing
# else (one GPU, listed once for each of its shares), the larger value counts, as it would here.
_GPUS = f"max by ({', '.join(LABELS)}) (avg_over_time({{metric}}[{{window}}s]))"
_POD_LABELS = "namespace, pod, exported_namespace, exported_pod, uid, pod_uid"
# cAdvisor names a container's cgroup, and with it the pod's UID, in `id`. The inner max joins what several scrapes, or
# the lives of a restarted container, say of one container; the pause container is POD or has no name.
_USE = (
    'sum by ({labels}) (max by ({labels}, container) (label_replace({function}({metric}{{container!="",container!="POD"'
    '}}[{window}s]), "uid", "$1", "id", '
    '".*pod([0-9a-f]{{8}}[-_][0-9a-f]{{4}}[-_][0-9a-f]{{4}}[-_][0-9a-f]{{4}}[-_][0-9a-f]{{12}}).*")))'
)


@dataclass
class UtilisationSource:
    """Reads GPU series; `window` is the averaging window in seconds."""

    engine: PromQL
    window: int = 60
    last_success: Instant | None = None
    """When it last had any series."""
    name: str = "prometheus"

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """All series of every metric, averaged over the window that ends now.

        Raises `PrometheusError` when any metric could not be read: half an answer would look like silence of the rest.
        """
        answers = await _ask(
            self.engine, {metric: _GPUS.format(metric=metric, window=self.window) for metric in METRICS}
        )
        if any(answers.values()):
            self.last_success = now
        return answers


@dataclass
class UseSource:
    """Reads CPU (cores) and memory (bytes) of every pod, summed over its containers by the engine itself."""

    engine: PromQL
    window: int = 60
    last_success: Instant | None = None
    name: str = "prometheus, pods"

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """One series for each pod; raises `PrometheusError` when either could not be read."""
        cpu = {"function": "rate", "metric": "container_cpu_usage_seconds_total"}
        memory = {"function": "avg_over_time", "metric": "container_memory_working_set_bytes"}
        more = {"labels": _POD_LABELS, "window": self.window}
        answers = await _ask(self.engine, {CPU: _USE.format(**cpu, **more), MEMORY: _USE.format(**memory, **more)})
        if any(answers.values()):
            self.last_success = now
        return answers


async def _ask(engine: PromQL, questions: Mapping[str, str]) -> dict[str, list[Sample]]:
    known: dict[tuple[str | None, ...], Labels] = {}
    found: dict[str, list[Sample]] = {}
    last: list[Sample] = []
    for name, promql in questions.items():
        last = found[name] = _with_shared_labels(await engine.query(promql), known, last)
    return found


def _with_shared_labels(
    samples: Iterable[tuple[Labels, float]], known: dict[tuple[str | None, ...], Labels], last: Iterable[Sample]
) -> list[Sample]:
    """The same samples; series that bear the same labels in several answers share them.

    Ten thousand GPUs have as many sets of labels, which are nine tenths of an answer's memory, in each of the answers.
    As a rule all answers tell the same series in the same order, so that the last answer has them at the same place.
    """
    shared, others = [], iter(last)
    for labels, value in samples:
        other = next(others, None)
        if other is not None and other.labels == labels:
            shared.append(Sample(other.labels, value))
            continue
        get = labels.get
        seen = known.setdefault((get("UUID"), get("GPU_I_ID"), get("pod"), get("instance")), labels)
        shared.append(Sample(seen if seen == labels else labels, value))
    return shared
