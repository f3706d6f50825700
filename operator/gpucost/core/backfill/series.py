"""Read the answers of a PromQL engine about one span into records; what is absurd is dropped and counted by name.

Answers are vectors: labels and one value each, already reduced by the engine, so that they grow with the nodes and pods
and not with the samples. Shards of kube-state-metrics and replicas of Prometheus may each have answered: a thing that
is there twice counts once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.backfill.names import node_labels, pod_labels, resource_name
from gpucost.core.backfill.seen import Owners, Seen, SeenNode, SeenPod
from gpucost.core.category import program_category
from gpucost.core.clock import DAY, SECOND, Instant, Micros
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.model import Resources
from gpucost.core.timeline import Interval
from gpucost.core.usage import Sample

_EARLIEST = 1_400_000_000  # seconds; Kubernetes is younger
_LARGEST: Mapping[str, float] = {"cpu": 1e5, "memory": 1e15}
_MOST_DEVICES = 1024
_UID = "uid"
_PRICE = "annotation_gpucost_dev_hourly_price"

Answers = Mapping[str, Sequence[Sample]]
"""Vectors by what was asked for; see `QUESTIONS`."""

QUESTIONS = (
    "node last", "node first", "node created", "node labels", "node annotations", "node capacity",
    "pod last", "pod times", "pod requests", "pod init requests", "pod sidecars", "pod labels", "pod images",
    "replicaset owners", "job owners",
)  # fmt: skip
"""What is asked of every span."""


@dataclass
class Reading:
    """Answers about a span, and what else is known of how they came about."""

    span: Interval
    interval: Micros
    answers: Answers
    holes: Sequence[Interval] = ()
    replaced: Sequence[tuple[str, Sequence[tuple[Instant, float]]]] = ()
    """Raw samples of `kube_node_created` of the nodes that were replaced under their name in the span."""
    next_scrape: Instant | None = None
    resources: Sequence[str] = DEFAULT_RESOURCES
    """Names or patterns of the resources that are GPUs."""
    dropped: Counter[str] = field(default_factory=Counter)

    def rows(self, question: str) -> Sequence[Sample]:
        """An answer; nothing where nobody exports the series."""
        return [Sample(own_labels(row.labels), row.value) for row in self.answers.get(question, ())]

    def instant(self, value: float) -> Instant | None:
        """A time in seconds; one that cannot be is dropped."""
        if math.isfinite(value) and _EARLIEST <= value <= (self.span.end + DAY) / SECOND:
            return round(value * 1000) * 1000
        self.dropped["time that cannot be"] += 1
        return None

    def amount(self, resource: str, value: float) -> float | None:
        """An amount of a resource; one that cannot be is dropped."""
        if math.isfinite(value) and 0 <= value <= _LARGEST.get(resource, _MOST_DEVICES):
            return value
        self.dropped["amount that cannot be"] += 1
        return None


def read(reading: Reading) -> Seen:
    """Records of everything that was answered about a span."""
    nodes, pods = _nodes(reading), _pods(reading)
    return Seen(
        span=reading.span,
        interval=reading.interval,
        holes=reading.holes,
        nodes=nodes,
        pods=pods,
        replicasets=_owners(reading, "replicaset owners", "replicaset"),
        jobs=_owners(reading, "job owners", "job_name"),
        dropped=dict(reading.dropped),
        next_scrape=reading.next_scrape,
        resources=reading.resources,
    )


def own_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Labels as kube-state-metrics gave them: where Prometheus does not honour them, they are renamed `exported_…`."""
    renamed = {key.removeprefix("exported_"): value for key, value in labels.items() if key.startswith("exported_")}
    return {**labels, **renamed} if renamed else labels


def unstarted(answers: Answers) -> bool:
    """Whether some pod has no exact start, so that its first sample must be asked for too."""
    timed = {row.labels.get(_UID) for row in answers.get("pod times", ()) if row.labels.get("what") in _STARTS}
    return any(row.labels.get(_UID) not in timed for row in answers.get("pod last", ()))


def replaced_names(answers: Answers) -> list[str]:
    """Nodes of which the span shows more than one creation."""
    times: dict[str, set[float]] = {}
    for row in answers.get("node created", ()):
        if math.isfinite(row.value):
            times.setdefault(row.labels.get("node", ""), set()).add(row.value)
    return sorted(name for name, found in times.items() if name and len(found) > 1)


# --- nodes ------------------------------------------------------------------------------------------------------------


def _nodes(reading: Reading) -> list[SeenNode]:
    last, first = _edges(reading, "node last", "node", max), _edges(reading, "node first", "node", min)
    created = _edges(reading, "node created", "node", max)
    machines = {row.labels["node"]: _machine(row.labels) for row in reading.rows("node last") if row.labels.get("node")}
    unreadable: set[str] = set()
    capacities = _amounts(reading, "node capacity", "node", unreadable)
    found = []
    for name, until in last.items():
        if until <= reading.span.start:  # an engine looks back; that is an older span's
            continue
        known = name in capacities and name not in unreadable
        capacity, devices = _resources(capacities[name], reading.resources) if known else (None, {})
        node = SeenNode(
            name=name,
            created=created.get(name),
            first=min(first.get(name, until), until),
            last=until,
            capacity=capacity,
            devices=devices,
            machine=machines.get(name, ""),
        )
        found += _lives(reading, node)
    labels, annotations = _dated(reading, "node labels"), _dated(reading, "node annotations")
    return [
        replace(
            node,
            labels=node_labels(_in_life(labels, node, reading.interval)),
            price_annotation=_in_life(annotations, node, reading.interval).get(_PRICE),
        )
        for node in found
    ]


_Dated = Mapping[str, list[tuple[Instant, Mapping[str, str]]]]


def _dated(reading: Reading, question: str) -> _Dated:
    """Sets of labels by name of the node, each with the time when it was last seen: a change makes a second one."""
    found: dict[str, list[tuple[Instant, Mapping[str, str]]]] = {}
    for row in reading.rows(question):
        at = reading.instant(row.value)
        if at is not None:
            found.setdefault(row.labels.get("node", ""), []).append((at, row.labels))
    return found


def _in_life(sets: _Dated, node: SeenNode, slack: Micros) -> Mapping[str, str]:
    """The last set of labels that was seen while a node lived."""
    fitting = [one for one in sets.get(node.name, ()) if node.first - slack <= one[0] <= node.last + slack]
    return max(fitting, key=lambda one: one[0])[1] if fitting else {}


def _machine(labels: Mapping[str, str]) -> str:
    return labels.get("provider_id") or labels.get("system_uuid") or ""


def _lives(reading: Reading, node: SeenNode) -> list[SeenNode]:
    """One record for each creation that the raw samples of a name show; sizes are those of the last."""
    lives: dict[Instant, list[Instant]] = {}
    for at, value in dict(reading.replaced).get(node.name, ()):
        created = reading.instant(value)
        if created is not None:
            lives.setdefault(created, []).append(at)
    if len(lives) < 2:
        return [node]
    newest = max(lives)
    return [
        replace(
            node,
            created=created,
            first=min(times),
            last=max(*times, node.last) if created == newest else max(times),
            machine=node.machine if created == newest else "",
        )
        for created, times in sorted(lives.items())
    ]


# --- pods -------------------------------------------------------------------------------------------------------------

_STARTS = frozenset({"scheduled", "started"})


def _pods(reading: Reading) -> list[SeenPod]:
    latest: dict[str, tuple[Instant, Sample]] = {}
    for row in reading.rows("pod last"):
        uid, at = row.labels.get(_UID, ""), reading.instant(row.value)
        if not uid or at is None or at <= reading.span.start:  # an engine looks back; that is an older span's
            continue
        if uid in latest and latest[uid][1].labels.get("node") != row.labels.get("node"):
            reading.dropped["one pod on two nodes"] += 1
        if uid not in latest or at > latest[uid][0]:
            latest[uid] = (at, row)
    details = _Details(reading)
    return [details.pod(uid, at, row.labels) for uid, (at, row) in latest.items()]


class _Details:
    """What the other answers say about pods, by UID."""

    def __init__(self, reading: Reading) -> None:
        self.patterns = reading.resources
        self.times = _times(reading)
        self.first = _edges(reading, "pod first", _UID, min)
        self.labels = _labels(reading, "pod labels", _UID)
        self.images: dict[str, list[str]] = {}
        for row in sorted(reading.rows("pod images"), key=lambda row: row.labels.get("container", "")):
            self.images.setdefault(row.labels.get(_UID, ""), []).append(row.labels.get("image", ""))
        self.recorded = bool(reading.rows("pod requests"))
        self.unreadable: set[str] = set()
        self.requests = _amounts(reading, "pod requests", _UID, self.unreadable)
        self.sidecars, self.peaks = _init(reading, self.unreadable)

    def pod(self, uid: str, last: Instant, labels: Mapping[str, str]) -> SeenPod:
        times = self.times.get(uid, {})
        requests, devices = self._requests(uid)
        kind, owner = labels.get("created_by_kind", ""), labels.get("created_by_name", "")
        return SeenPod(
            uid=uid,
            namespace=labels.get("namespace", ""),
            name=labels.get("pod", ""),
            node=labels.get("node", ""),
            last=last,
            owner=(kind, owner) if _given(kind) and _given(owner) else None,
            first=self.first.get(uid),
            scheduled=times.get("scheduled"),
            started=times.get("started"),
            created=times.get("created"),
            completed=times.get("completed"),
            deleting="deleting" in times,
            running="running" in times,
            phase=next((phase for phase in ("Succeeded", "Failed") if phase in times), ""),
            requests=requests,
            labels=pod_labels(self.labels.get(uid, {})),
            devices=devices,
            program=program_category(self.images.get(uid, ()), pod_labels(self.labels.get(uid, {}))),
        )

    def _requests(self, uid: str) -> tuple[Resources | None, Mapping[str, int]]:
        """What the scheduler counts: containers and sidecars, or an init container where that is more.

        The order of init containers is not recorded; sidecars are taken to start first, as they mostly do. A pod
        without any request is told from one whose requests nobody recorded by whether others have some.
        """
        if not self.recorded or uid in self.unreadable:
            return None, {}
        side = self.sidecars.get(uid, {})
        running, peak = _sum(self.requests.get(uid, {}), side), _sum(self.peaks.get(uid, {}), side)
        most = {name: max(running.get(name, 0), peak.get(name, 0)) for name in running.keys() | peak.keys()}
        return _resources(most, self.patterns)


def _given(name: str) -> bool:
    return name not in {"", "<none>"}


def _times(reading: Reading) -> dict[str, dict[str, Instant]]:
    """Instants by UID and name; `Succeeded`, `Failed` and `running` are signs whose value says nothing."""
    found: dict[str, dict[str, Instant]] = {}
    for row in reading.rows("pod times"):
        uid, what = row.labels.get(_UID, ""), row.labels.get("what", "")
        if what in {"Succeeded", "Failed", "running"}:
            found.setdefault(uid, {})[what] = 0
        elif (at := reading.instant(row.value)) is not None:
            known = found.setdefault(uid, {})
            known[what] = max(at, known.get(what, at))
    return found


def _init(reading: Reading, unreadable: set[str]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Requests of sidecars added up, and the largest of any other init container, by UID."""
    sidecars = {(row.labels.get(_UID), row.labels.get("container")) for row in reading.rows("pod sidecars")}
    side: dict[str, dict[str, float]] = {}
    peak: dict[str, dict[str, float]] = {}
    for row in reading.rows("pod init requests"):
        uid, resource = row.labels.get(_UID, ""), row.labels.get("resource", "")
        value = reading.amount(resource, row.value)
        if value is None:
            unreadable.add(uid)
        elif (uid, row.labels.get("container")) in sidecars:
            known = side.setdefault(uid, {})
            known[resource] = known.get(resource, 0) + value
        else:
            known = peak.setdefault(uid, {})
            known[resource] = max(known.get(resource, 0), value)
    return side, peak


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


# --- both -------------------------------------------------------------------------------------------------------------


Choice = Callable[[Instant, Instant], Instant]


def _edges(reading: Reading, question: str, key: str, choose: Choice) -> dict[str, Instant]:
    found: dict[str, Instant] = {}
    for row in reading.rows(question):
        name, at = row.labels.get(key, ""), reading.instant(row.value)
        if name and at is not None:
            found[name] = choose(at, found.get(name, at))
    return found


def _labels(reading: Reading, question: str, key: str) -> dict[str, Mapping[str, str]]:
    return {row.labels[key]: row.labels for row in reading.rows(question) if row.labels.get(key)}


def _amounts(
    reading: Reading, question: str, key: str, unreadable: set[str] | None = None
) -> dict[str, dict[str, float]]:
    """Amounts by holder and resource; the largest where several are given (replicas of a recorder)."""
    found: dict[str, dict[str, float]] = {}
    for row in reading.rows(question):
        name, resource = row.labels.get(key, ""), row.labels.get("resource", "")
        value = reading.amount(resource, row.value)
        if value is None:
            if unreadable is not None:
                unreadable.add(name)
            continue
        known = found.setdefault(name, {})
        known[resource] = max(value, known.get(resource, value))
    return found


def _resources(amounts: Mapping[str, float], patterns: Iterable[str]) -> tuple[Resources, dict[str, int]]:
    """CPU and memory, and units of devices: how many GPUs those are worth depends on the node."""
    devices = {
        resource_name(name, patterns): math.ceil(value)
        for name, value in amounts.items()
        if name not in {"cpu", "memory"} and value > 0
    }
    cpu = math.ceil(round(amounts.get("cpu", 0.0) * 1000, 3))
    return Resources(cpu, math.ceil(amounts.get("memory", 0.0))), devices


def _owners(reading: Reading, question: str, key: str) -> Owners:
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for row in reading.rows(question):
        kind, name = row.labels.get("owner_kind", ""), row.labels.get("owner_name", "")
        if _given(kind) and _given(name):
            found[row.labels.get("namespace", ""), row.labels.get(key, "")] = (kind, name)
    return found
