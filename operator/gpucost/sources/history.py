"""The past from the series that kube-state-metrics and GPU exporters left in a PromQL engine.

Everything is reduced by the engine: what comes back grows with the nodes and pods of a span, not with its samples. Few
functions are used, all of which Prometheus, Thanos, Mimir and VictoriaMetrics know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from gpucost.core.backfill.activity import Track
from gpucost.core.backfill.names import resource_matcher
from gpucost.core.backfill.series import Answers, Reading, replaced_names, unstarted
from gpucost.core.backfill.spans import hole_step, hole_window, holes_of
from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, Micros
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.sampling import SPAN
from gpucost.core.signals import METRICS
from gpucost.core.timeline import Interval
from gpucost.core.usage import Sample
from gpucost.sources.promql import PromQL, RangeSeries

LONGEST: Micros = 6 * HOUR
SHORTEST: Micros = 15 * MINUTE
_STEPS = 720
"""Evaluations of a subquery in one span: with 10,000 pods, a seventh of what Prometheus allows a query to hold."""
_RENAMED = frozenset({"namespace", "pod", "node", "container"})
"""Labels that Prometheus renames to `exported_…` where it does not honour those of its targets."""
_AT_ONCE = 50


@dataclass
class HistorySource:
    """Asks for one span at a time; `matchers` narrow every series down to this cluster's, as in `cluster="prod"`."""

    engine: PromQL
    matchers: str = ""
    resources: Sequence[str] = DEFAULT_RESOURCES
    """Names or patterns of the resources that are GPUs."""

    async def interval(self, until: Instant, longest: Micros = LONGEST) -> Micros | None:
        """Time between two scrapes in the hours before an instant; None where nothing was recorded."""
        window = f"{longest // SECOND}s"
        nodes = self._series("kube_node_info")
        best = await self.engine.query(f"topk(1, count_over_time({nodes}[{window}]))", until)
        if not best:
            return None
        labels = best[0].labels
        name = "exported_node" if labels.get("exported_node") else "node"
        one = self._series("kube_node_info", f'{name}="{labels.get(name, "")}"')
        raw = await self.engine.query_raw(f"{one}[{window}]", until)
        return max((_interval(series) for series in raw), key=lambda pair: pair[0], default=(0, None))[1]

    def length(self, interval: Micros) -> Micros:
        """How long a span may be."""
        return max(SHORTEST, min(LONGEST, _STEPS * _step(interval) // MINUTE * MINUTE))

    async def read(self, span: Interval, interval: Micros, next_scrape: Instant | None) -> Reading:
        """Everything that is recorded of a span; `PrometheusError` when any of it could not be read."""
        asked = Questions(span, interval, self.matchers, self.resources)
        answers: dict[str, Sequence[Sample]] = {}
        for question, promql in asked.all().items():
            answers[question] = await self._ask(promql, span.end)
        if unstarted(answers):
            answers["pod first"] = await self._ask(asked.pod_first(), span.end)
        return Reading(
            span=span,
            interval=interval,
            answers=answers,
            holes=await self.holes(span, interval),
            replaced=await self._replaced(span, answers),
            next_scrape=next_scrape,
            resources=self.resources,
        )

    async def _ask(self, promql: str, at: Instant) -> list[Sample]:
        return [Sample(one.labels, one.value) for one in await self.engine.query(promql, at)]

    async def _replaced(self, span: Interval, answers: Answers) -> list[tuple[str, list[tuple[Instant, float]]]]:
        """Raw samples of the nodes that were replaced under their name."""
        found: dict[str, list[tuple[Instant, float]]] = {}
        names = replaced_names(answers)
        for first in range(0, len(names), _AT_ONCE):
            some = "|".join(name.replace(".", "\\\\.") for name in names[first : first + _AT_ONCE])
            selector = self._series("kube_node_created", f'node=~"{some}"')
            for series in await self.engine.query_raw(f"{selector}[{span.length // SECOND}s]", span.end):
                found.setdefault(series.labels.get("node", ""), []).extend(series.samples)
        return list(found.items())

    async def holes(self, span: Interval, interval: Micros) -> list[Interval]:
        """Parts of a span in which nothing was scraped; a single scrape that failed is one."""
        nodes = self._series("kube_node_info")
        promql = f"count(count_over_time({nodes}[{hole_window(interval) // 1000}ms]))"
        answer = await self.engine.query_range(promql, span.start, span.end, hole_step(interval))
        return holes_of({at for series in answer for at, _ in series.samples}, span, interval)

    async def newest(self, span: Interval) -> Instant | None:
        """Up to when anything was recorded in a span, in steps of `LONGEST`; None when nothing was.

        Asked only where the last hours have nothing, so that an empty past costs one query and not thousands.
        """
        window = f"[{LONGEST // SECOND}s]"
        several = self._series("", _any_of(("kube_node_info", *METRICS)))
        promql = f"count(last_over_time({several}{window}))"  # keeps names: series of one GPU differ in nothing else
        answer = await self.engine.query_range(promql, span.start, span.end, LONGEST)
        return max((at for series in answer for at, _ in series.samples), default=None)

    async def activity(self, span: Interval) -> dict[str, list[Track]]:
        """Series of GPU activity in steps of `SPAN`, by metric."""
        first, last = span.start - span.start % SPAN + SPAN, -(-span.end // SPAN) * SPAN
        found = {}
        for metric in await self._recorded(METRICS, span):
            promql = f"avg_over_time({self._series(metric)}[{SPAN // SECOND}s])"
            series = await self.engine.query_range(promql, first, last, SPAN)
            found[metric] = [Track(one.labels, dict(one.samples)) for one in series]
        return found

    async def _recorded(self, metrics: Sequence[str], span: Interval) -> list[str]:
        """Those metrics that have any series in a span."""
        several = self._series("", _any_of(metrics))
        promql = f"count by (__name__) (last_over_time({several}[{span.length // SECOND}s]))"
        names = {one.labels.get("__name__", "") for one in await self.engine.query(promql, span.end)}
        return list(metrics) if "" in names else [metric for metric in metrics if metric in names]

    def _series(self, metric: str, *matchers: str) -> str:
        return _selector(metric, self.matchers, *matchers)


def _any_of(metrics: Sequence[str]) -> str:
    return f'__name__=~"{"|".join(metrics)}"'


def _selector(metric: str, *matchers: str) -> str:
    inner = ",".join(matcher for matcher in matchers if matcher)
    return f"{metric}{{{inner}}}" if inner else metric


def _interval(series: RangeSeries) -> tuple[int, Micros | None]:
    """How many samples there are, and the usual time between two, in whole seconds."""
    times = [at for at, _ in series.samples]
    if len(times) < 2:
        return len(times), None
    usual = median(later - earlier for earlier, later in pairwise(times))
    return len(times), max(SECOND, round(usual / SECOND) * SECOND)


def _step(interval: Micros) -> Micros:
    """Step of a subquery that meets every sample: a little shorter than the time between two."""
    return max(SECOND, interval * 4 // 5 // SECOND * SECOND)


@dataclass(frozen=True)
class Questions:
    """The queries about one span, to be evaluated at its end."""

    span: Interval
    interval: Micros
    matchers: str = ""
    resources: Sequence[str] = DEFAULT_RESOURCES

    def all(self) -> dict[str, str]:
        """PromQL by question (see `core.backfill.series`)."""
        return {
            "node last": self._by("node system_uuid provider_id", self._edge("max", "kube_node_info")),
            "node first": self._by("node", self._edge("min", "kube_node_info"), "min"),
            "node created": self._created(),
            "node labels": self._edge("max", "kube_node_labels"),
            "node annotations": self._edge("max", "kube_node_annotations", 'annotation_gpucost_dev_hourly_price!=""'),
            "node capacity": self._capacity(),
            "pod last": self._by(_POD, self._edge("max", "kube_pod_info", _BOUND)),
            "pod times": " or ".join(self._times()),
            "pod requests": self._requests(),
            "pod init requests": self._by(
                "uid container resource", self._last("kube_pod_init_container_resource_requests", self._amounts)
            ),
            "pod sidecars": self._by(
                "uid container", self._last("kube_pod_init_container_info", 'restart_policy="Always"')
            ),
            "pod labels": self._last("kube_pod_labels"),
            "pod images": self._by("uid container image", self._last("kube_pod_container_info", 'image!=""')),
            "replicaset owners": self._owners("kube_replicaset_owner", "replicaset"),
            "job owners": self._owners("kube_job_owner", "job_name"),
        }

    def pod_first(self) -> str:
        """First samples of pods; asked for only where an exact start is missing."""
        return self._by("uid", self._edge("min", "kube_pod_info", _BOUND), "min")

    # --- parts ---

    @property
    def _amounts(self) -> str:
        return f'resource=~"{resource_matcher(self.resources)}"'

    @property
    def _window(self) -> str:
        return f"[{self.span.length // SECOND}s]"

    def _edge(self, choose: str, metric: str, *matchers: str) -> str:
        """The time of the first or last sample of every series."""
        steps = f"[{self.span.length // SECOND}s:{_step(self.interval) // SECOND}s]"
        return f"{choose}_over_time(timestamp({_selector(metric, self.matchers, *matchers)}){steps})"

    def _last(self, metric: str, *matchers: str) -> str:
        return f"last_over_time({_selector(metric, self.matchers, *matchers)}{self._window})"

    @staticmethod
    def _by(labels: str, promql: str, choose: str = "max") -> str:
        names = labels.split()
        names += [f"exported_{name}" for name in names if name in _RENAMED]
        return f"{choose} by ({', '.join(names)}) ({promql})"

    def _created(self) -> str:
        """The oldest and the newest creation of every name, told apart by a label."""
        series = self._series("kube_node_created")
        edges = {edge: self._by("node", f"{edge}_over_time({series})", edge) for edge in ("min", "max")}
        return " or ".join(_told_apart(promql, "edge", edge) for edge, promql in edges.items())

    def _series(self, metric: str) -> str:
        return _selector(metric, self.matchers) + self._window

    def _capacity(self) -> str:
        several = ("kube_node_status_capacity", "kube_node_status_allocatable")
        return " or ".join(self._by("node resource", self._last(metric, self._amounts)) for metric in several)

    def _requests(self) -> str:
        containers = self._by(
            "uid container resource", self._last("kube_pod_container_resource_requests", self._amounts, _BOUND)
        )
        return f"sum by (uid, resource) ({containers})"

    def _owners(self, metric: str, name: str) -> str:
        last = self._last(metric, 'owner_is_controller="true"')
        return self._by(f"namespace {name} owner_kind owner_name", last)

    def _times(self) -> list[str]:
        """Instants of pods in one answer, told apart by the label `what`; signs are there or not."""
        instants = {
            "scheduled": "kube_pod_status_scheduled_time",
            "started": "kube_pod_start_time",
            "created": "kube_pod_created",
            "completed": "kube_pod_completion_time",
            "deleting": "kube_pod_deletion_timestamp",
        }
        found = {what: self._by("uid", self._last(metric)) for what, metric in instants.items()}
        for phase in ("Succeeded", "Failed"):
            shown = self._last("kube_pod_status_phase", f'phase="{phase}"')
            found[phase] = f"{self._by('uid', shown)} == 1"
        running = self._by("uid", self._last("kube_pod_container_status_running"))
        found["running"] = f"({running} == 1) and on (uid) {found['deleting']}"
        return [_told_apart(promql, "what", what) for what, promql in found.items()]


_POD = "uid namespace pod node created_by_kind created_by_name"
_BOUND = 'node!=""'


def _told_apart(promql: str, label: str, value: str) -> str:
    """A vector with a label more, so that several fit into one answer."""
    return f'label_replace({promql}, "{label}", "{value}", "", "")'
