"""A past that is known exactly, and what kube-state-metrics would have exported of it at every scrape.

From it come OpenMetrics text for a real Prometheus (`exposition`) and answers as an engine would reduce them
(`SampledSource`, which stands in for the engine where a test needs thousands of worlds a minute).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpucost.core.backfill.activity import Track
from gpucost.core.backfill.series import Reading
from gpucost.core.backfill.spans import hole_step, hole_window, holes_of
from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, Micros, floor_to
from gpucost.core.timeline import Interval
from gpucost.core.usage import Sample
from gpucost.sources.promql import PromQL

GIB = 2**30
T0: Instant = 1_790_000_000 * SECOND // HOUR * HOUR


@dataclass(frozen=True)
class TrueNode:
    """A node as it was; a second node may bear the name of one that is gone."""

    name: str
    created: Instant
    gone: Instant | None = None
    gpus: int = 8
    instance_type: str = "p5.48xlarge"
    price: str = "55.04"

    def shown(self, at: Instant) -> bool:
        """Whether the API server showed it at an instant."""
        return self.created <= at and (self.gone is None or at < self.gone)


@dataclass(frozen=True)
class TruePod:
    """A pod as it was; it held its node's GPUs in `[bound, ended)`."""

    uid: str
    node: TrueNode
    bound: Instant
    ended: Instant | None = None
    gpus: int = 4
    namespace: str = "research"
    name: str = ""
    owner: tuple[str, str] = ("Job", "bert")
    lingers: Micros | None = None
    """How long it stayed visible after it had succeeded; None: it was deleted, and gone when it ended."""
    active: float | None = None
    """Activity of its GPUs, where an exporter was there."""

    def shown(self, at: Instant) -> bool:
        """Whether the API server showed it at an instant; with its node, what is left of it goes too."""
        left = self.ended is None or at < self.ended + (self.lingers or 0)
        return self.bound <= at and left and self.node.shown(at)

    def over(self, at: Instant) -> bool:
        """Whether it had ended by then."""
        return self.ended is not None and self.ended <= at

    @property
    def shown_name(self) -> str:
        """Its name, by its UID unless it was given one."""
        return self.name or f"pod-{self.uid}"


@dataclass(frozen=True)
class Past:
    """Everything that was, and when it was scraped."""

    nodes: Sequence[TrueNode]
    pods: Sequence[TruePod]
    scrapes: Sequence[Instant]
    interval: Micros
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Controllers of Jobs by name."""


def scrapes(span: Interval, interval: Micros, outages: Sequence[Interval] = ()) -> list[Instant]:
    """Instants of scrapes, none of them in an outage."""
    return [
        at
        for at in range(span.start + interval // 3, span.end, interval)
        if not any(outage.start <= at < outage.end for outage in outages)
    ]


def random_past(seed: int, span: Interval, interval: Micros, *, nodes: int, outages: int = 0) -> Past:
    """Nodes that come, go and are replaced under their name, each with two places of four GPUs held in turn."""
    rng = random.Random(seed)
    machines = [node for number in range(nodes) for node in _lives(rng, f"node-{number}", span)]
    pods = [pod for node in machines for place in range(2) for pod in _turns(rng, node, place, span)]
    dark = [_moment(rng, span) for _ in range(outages)]
    off = [Interval(at, at + rng.randrange(interval, span.length // 4)) for at in dark]
    owners = {"bert": ("TrainingJob", "bert")}
    return Past(machines, pods, scrapes(span, interval, off), interval, owners)


def _moment(rng: random.Random, span: Interval) -> Instant:
    return rng.randrange(span.start // SECOND, span.end // SECOND) * SECOND


def _lives(rng: random.Random, name: str, span: Interval) -> Iterator[TrueNode]:
    """One life of a name, or two with some time between them; the last may go on."""
    created = min(_moment(rng, span), _moment(rng, span)) - rng.choice((0, 3 * HOUR))
    gone = rng.choice((None, _moment(rng, span)))
    if gone is None or gone <= created + MINUTE:
        yield TrueNode(name, created)
        return
    yield TrueNode(name, created, gone)
    again = gone + rng.randrange(2, 3600) * SECOND
    if again < span.end and rng.random() < 0.6:
        yield TrueNode(name, again, price="21.96")


def _turns(rng: random.Random, node: TrueNode, place: int, span: Interval) -> Iterator[TruePod]:
    at, number = node.created + rng.randrange(5, 600) * SECOND, 0
    end = node.gone or span.end
    while at < end:
        life = rng.choice((5, 45, 300, 1800, 9000)) + rng.randrange(60)
        ended = min(at + life * SECOND, end)
        goes_on = node.gone is None and ended >= span.end
        yield TruePod(
            uid=f"{node.name}-{node.created // SECOND}-{place}-{number}",
            node=node,
            bound=at,
            ended=None if goes_on else ended,
            lingers=rng.choice((None, None, 3 * HOUR)) if ended < end else None,
            owner=rng.choice((("Job", "bert"), ("ReplicaSet", "web-5d8f7c9b6d"), ("StatefulSet", "db"))),
        )
        at, number = ended + rng.randrange(1, 900) * SECOND, number + 1


# --- as kube-state-metrics exports it --------------------------------------------------------------------------------

Row = tuple[str, dict[str, str], float]


def node_rows(node: TrueNode) -> Iterator[Row]:
    """Series of one node."""
    who = {"node": node.name}
    yield "kube_node_info", {**who, "system_uuid": f"u-{node.name}", "provider_id": ""}, 1
    yield "kube_node_created", who, node.created // SECOND
    labels = {"label_node_kubernetes_io_instance_type": node.instance_type}
    yield "kube_node_labels", {**who, **labels}, 1
    yield "kube_node_annotations", {**who, "annotation_gpucost_dev_hourly_price": node.price}, 1
    sizes = (("cpu", "core", 192), ("memory", "byte", 2048 * GIB), ("nvidia_com_gpu", "integer", node.gpus))
    for resource, unit, value in sizes:
        yield "kube_node_status_capacity", {**who, "resource": resource, "unit": unit}, value


def pod_rows(pod: TruePod, at: Instant) -> Iterator[Row]:
    """Series of one pod at an instant."""
    who = {"namespace": pod.namespace, "pod": pod.shown_name, "uid": pod.uid}
    kind, owner = pod.owner
    yield "kube_pod_info", {**who, "node": pod.node.name, "created_by_kind": kind, "created_by_name": owner}, 1
    yield "kube_pod_created", who, pod.bound // SECOND - 1
    yield "kube_pod_status_scheduled_time", who, pod.bound // SECOND
    over = pod.over(at)
    for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
        yield "kube_pod_status_phase", {**who, "phase": phase}, phase == ("Succeeded" if over else "Running")
    container = {**who, "container": "train"}
    yield "kube_pod_container_status_running", container, not over
    if over:
        assert pod.ended is not None
        yield "kube_pod_completion_time", who, pod.ended // SECOND
    for resource, unit, value in (("cpu", "core", 4), ("memory", "byte", GIB), ("nvidia_com_gpu", "integer", pod.gpus)):
        more = {"node": pod.node.name, "resource": resource, "unit": unit}
        yield "kube_pod_container_resource_requests", {**container, **more}, value


def owner_rows(past: Past) -> Iterator[Row]:
    """Series of the Jobs."""
    for name, (kind, owner) in past.owners.items():
        labels = {"owner_kind": kind, "owner_name": owner, "owner_is_controller": "true"}
        yield "kube_job_owner", {"namespace": "research", "job_name": name, **labels}, 1


def gpu_rows(pod: TruePod) -> Iterator[Row]:
    """Series of dcgm-exporter."""
    for number in range(pod.gpus):
        labels = {"UUID": f"GPU-{pod.node.name}-{pod.uid}-{number}", "modelName": "NVIDIA H100 80GB HBM3"}
        labels |= {"namespace": pod.namespace, "pod": pod.shown_name, "container": "train"}
        yield "DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, pod.active or 0.0


def rows(past: Past, at: Instant) -> Iterator[Row]:
    """Everything that a scrape shows."""
    for node in past.nodes:
        if node.shown(at):
            yield from node_rows(node)
    for pod in past.pods:
        if pod.shown(at):
            yield from pod_rows(pod, at)
            if pod.active is not None and not pod.over(at):
                yield from gpu_rows(pod)
    yield from owner_rows(past)


def exposition(past: Past) -> Iterator[str]:
    """OpenMetrics text with a time on every sample, one family after the other, as promtool wants it."""
    families: dict[str, list[str]] = {}
    for at in past.scrapes:
        for metric, labels, value in rows(past, at):
            inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
            families.setdefault(metric, []).append(
                f"{metric}{{{inner}}} {float(value):g} {at / SECOND:.3f}\n"
                if value < 1e5
                else f"{metric}{{{inner}}} {int(value)} {at / SECOND:.3f}\n"
            )
    for metric, lines in families.items():
        yield f"# TYPE {metric} gauge\n"
        yield from lines
    yield "# EOF\n"


# --- as an engine would reduce it ------------------------------------------------------------------------------------


class SampledSource:
    """Stands in for `HistorySource`: the same answers, worked out from the past itself."""

    def __init__(self, past: Past, longest: Micros = 6 * HOUR) -> None:
        self.past, self.longest, self.engine = past, longest, PromQL("http://127.0.0.1:1")

    async def interval(self, until: Instant, longest: Micros) -> Micros | None:
        near = [
            at
            for at in self.past.scrapes
            if until - longest < at <= until and any(n.shown(at) for n in self.past.nodes)
        ]
        return self.past.interval if len(near) > 1 else None

    def length(self, _interval: Micros) -> Micros:
        return self.longest

    async def newest(self, span: Interval) -> Instant | None:
        """Up to when anything was scraped."""
        return max((at for at in self.past.scrapes if span.start < at <= span.end), default=None)

    async def activity(self, _span: Interval) -> dict[str, list[Track]]:
        return {}

    async def read(self, span: Interval, interval: Micros, next_scrape: Instant | None) -> Reading:
        seen = [at for at in self.past.scrapes if span.start < at <= span.end]
        step, window = hole_step(interval), hole_window(interval)
        looks = range(floor_to(span.start, SECOND), span.end + 1, step)
        noded = [at for at in self.past.scrapes if any(node.shown(at) for node in self.past.nodes)]
        present = {look for look in looks if any(look - window < at <= look for at in noded)}
        return Reading(
            span=span,
            interval=interval,
            answers=answers(self.past, seen),
            holes=holes_of(present, span, interval),
            replaced=replaced(self.past, seen),
            next_scrape=next_scrape,
        )


def answers(past: Past, seen: Sequence[Instant]) -> dict[str, list[Sample]]:
    """Vectors by question, from the scrapes of a span."""
    found: dict[str, list[Sample]] = {}

    def say(question: str, value: float, **labels: str) -> None:
        found.setdefault(question, []).append(Sample(labels, float(value)))

    for node in past.nodes:
        times = [at for at in seen if node.shown(at)]
        if times:
            _node(say, node, times)
    for pod in past.pods:
        times = [at for at in seen if pod.shown(at)]
        if times:
            _pod(say, pod, times)
    for name, (kind, owner) in past.owners.items():
        say("job owners", 1, namespace="research", job_name=name, owner_kind=kind, owner_name=owner)
    return found


def _node(say, node: TrueNode, times: Sequence[Instant]) -> None:  # type: ignore[no-untyped-def]
    say("node last", max(times) / SECOND, node=node.name)
    say("node first", min(times) / SECOND, node=node.name)
    say("node created", node.created // SECOND, node=node.name)
    for metric, labels, value in node_rows(node):
        question = {
            "kube_node_labels": "node labels",
            "kube_node_annotations": "node annotations",
            "kube_node_status_capacity": "node capacity",
        }.get(metric)
        if question:
            say(question, value if question == "node capacity" else max(times) / SECOND, **labels)


def _pod(say, pod: TruePod, times: Sequence[Instant]) -> None:  # type: ignore[no-untyped-def]
    last = max(times)
    for metric, labels, value in pod_rows(pod, last):
        match metric:
            case "kube_pod_info":
                say("pod last", last / SECOND, **labels)
            case "kube_pod_status_scheduled_time":
                say("pod times", value, uid=pod.uid, what="scheduled")
            case "kube_pod_completion_time":
                say("pod times", value, uid=pod.uid, what="completed")
                say("pod times", 1, uid=pod.uid, what="Succeeded")
            case "kube_pod_container_resource_requests":
                say("pod requests", value, uid=pod.uid, resource=labels["resource"])


def replaced(past: Past, seen: Sequence[Instant]) -> list[tuple[str, list[tuple[Instant, float]]]]:
    """Raw samples of the creation of nodes whose name bore more than one in a span."""
    found: dict[str, list[tuple[Instant, float]]] = {}
    for node in past.nodes:
        found.setdefault(node.name, []).extend((at, node.created // SECOND) for at in seen if node.shown(at))
    return [(name, samples) for name, samples in found.items() if len({value for _, value in samples}) > 1]
