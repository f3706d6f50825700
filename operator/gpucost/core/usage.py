"""From the series of GPU exporters to one activity per pod, with everything doubtful left unknown.

Series name pods in several spellings and by names that are used again; several exporters may describe one GPU; any
value may be absurd. All of that is settled here, before `core.signals` judges each GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gpucost.core.model import Gpus, Unknown
from gpucost.core.quiet import all_quiet, quiet
from gpucost.core.signals import ENGINE_ACTIVE, GPU_UTIL, METRICS, Device, checked, judge

__all__ = ["ENGINE_ACTIVE", "GPU_UTIL", "METRICS", "Activity", "Held", "PodName", "Sample", "activity"]

PodName = tuple[str, str]
Exporter = tuple[str, str]
"""Its job and its instance."""
Labels = Mapping[str, str]

DUPLICATE = "second exporter of one GPU"
NOT_THIS_POD = "earlier pod of the same name"
NOT_THAT_NODE = "exporter of another node"

SCRAPED_NODE = "scraped_node"
"""Label that our own scraping adds: an exporter that was found by its pod's labels speaks for its own node only."""

LABELS = (
    *("namespace", "pod", "pod_uid", "exported_namespace", "exported_pod", "exported_pod_uid"),
    *("UUID", "uuid", "Hostname", "hostname", "gpu", "GPU_I_ID", "GPU_I_PROFILE", "modelName", "job", "instance"),
)
"""Everything that is read of a series' labels here, in all spellings: a source need not hand on the others."""


class Sample(NamedTuple):
    """One series of one metric, averaged over the sampling window; a tuple, because tens of thousands are read."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Held:
    """What a pod holds: its UID, GPUs' worth, and how many devices should report."""

    uid: str
    gpus: Gpus
    units: int = 0
    """Devices (GPUs or slices); 0: as many as `gpus`."""
    shared: bool = False
    """Replicas of shared GPUs: several may be of one GPU, so that fewer devices than `units` report."""
    node: str = ""
    """Name of the node that it runs on."""

    @property
    def most(self) -> int:
        """As many devices as can report at most."""
        return self.units or max(1, int(self.gpus))

    @property
    def least(self) -> int:
        """As many devices as have to report."""
        return 1 if self.shared else self.most


@dataclass(frozen=True, slots=True)
class Activity:
    """Activity by pod UID, and what was dropped on the way, by metric and reason."""

    by_pod: Mapping[str, float | Unknown]
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    renamed: bool = False
    """Whether pods were found under `exported_pod`: Prometheus scrapes without `honor_labels`."""
    quiet: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether all GPUs of a pod did nothing, by pod UID; None is unknown (`core.quiet`)."""


@dataclass(slots=True)
class _Reading:
    """What is known of one device of one pod, and which exporter said it."""

    device: Device
    weight: int
    exporter: Exporter
    """Whose signals these are, but for `others`."""
    signals: dict[str, float] = field(default_factory=dict)
    others: dict[str, Exporter] = field(default_factory=dict)
    """Whose a signal is, where another exporter told it: as a rule one tells everything of a device."""


def pod_of(labels: Labels) -> PodName | None:
    """Namespace and name of the pod that uses the GPU.

    Without `honor_labels`, Prometheus keeps the exporter's own pod under `pod` and renames ours to `exported_pod`.
    """
    if pod := labels.get("exported_pod"):
        namespace = labels.get("exported_namespace")
    else:
        pod, namespace = labels.get("pod"), labels.get("namespace")
    return (namespace, pod) if namespace and pod else None


def device_of(labels: Labels) -> str:
    """Identity of the GPU or MIG slice, in either spelling of the labels."""
    device = labels.get("UUID") or labels.get("uuid")
    if not device:
        host = labels.get("Hostname") or labels.get("hostname") or ""
        device = f"{host}/{labels.get('gpu', '')}"
    instance = labels.get("GPU_I_ID")
    return f"{device}/{instance}" if instance else device


def activity(samples: Mapping[str, Iterable[Sample]], held: Mapping[PodName, Held]) -> Activity:
    """Mean activity (0..1) of each pod over the devices that it holds, slices weighted by their size.

    `samples` maps metrics of `METRICS` to their series. A pod of which not every GPU is known is unknown, not idle; so
    is one without any series. A GPU seen by two exporters counts once. Pods that share a GPU each have its activity:
    exporters cannot tell whose kernels ran.
    """
    readings, dropped, renamed = _readings(samples, held)
    by_pod = {holder.uid: _of_pod(readings.get(holder.uid, {}), holder) for holder in held.values()}
    silent = {holder.uid: _quiet(readings.get(holder.uid, {}), holder) for holder in held.values()}
    return Activity(by_pod, dict(dropped), renamed, silent)


def _quiet(devices: Mapping[str, _Reading], holder: Held) -> bool | None:
    """A GPU that reports nothing may be at work."""
    found = all_quiet(quiet(reading.signals, reading.device) for reading in devices.values())
    return found if found is False or len(devices) == holder.most else None


def _readings(
    samples: Mapping[str, Iterable[Sample]], held: Mapping[PodName, Held]
) -> tuple[dict[str, dict[str, _Reading]], Counter[tuple[str, str]], bool]:
    """Sound signals by pod UID and device."""
    dropped: Counter[tuple[str, str]] = Counter()
    readings: dict[str, dict[str, _Reading]] = {holder.uid: {} for holder in held.values()}
    known: dict[int, tuple[Labels, _Origin | None]] = {}
    for metric in METRICS:
        for labels, value in samples.get(metric, ()):
            seen = known.get(id(labels))
            if seen is None:  # series of one GPU share their labels, so most are read once for all metrics
                seen = known[id(labels)] = labels, _origin(labels, held)
            origin = seen[1]
            if origin is None:
                continue
            problem = origin.objection or _take(readings[origin.uid], metric, value, origin)
            if problem:
                dropped[metric, problem] += 1
    renamed = any(origin is not None and origin.renamed for _, origin in known.values())
    return readings, dropped, renamed


class _Origin(NamedTuple):
    """What the labels of a series say."""

    uid: str
    """Of the pod."""
    objection: str
    """Why it is not about that pod after all; empty when it is."""
    renamed: bool
    device: str
    exporter: Exporter
    labels: Labels


def _origin(labels: Labels, held: Mapping[PodName, Held]) -> _Origin | None:
    name = pod_of(labels)
    holder = held.get(name) if name is not None else None
    if holder is None:
        return None
    objection = _objection(labels, holder)
    renamed = not objection and "exported_pod" in labels
    return _Origin(holder.uid, objection, renamed, device_of(labels), _exporter(labels), labels)


def _objection(labels: Labels, holder: Held) -> str:
    """Why a sample that bears the name of a pod is not about it; empty when it is."""
    if (uid := labels.get("exported_pod_uid") or labels.get("pod_uid")) and uid != holder.uid:
        return NOT_THIS_POD
    return NOT_THAT_NODE if labels.get(SCRAPED_NODE, holder.node) != holder.node else ""


def _take(devices: dict[str, _Reading], metric: str, value: float, origin: _Origin) -> str:
    """Keep a signal of a device, or say why not.

    When two exporters tell it, the first by name counts, and not the one that answered first. One exporter may list a
    device several times, once for each of its shares.
    """
    sound = checked(metric, value)
    if isinstance(sound, str):
        return sound
    exporter = origin.exporter
    reading = devices.get(origin.device)
    if reading is None:
        labels = origin.labels
        profile = labels.get("GPU_I_PROFILE", "")
        device = Device(labels.get("modelName", ""), mig=bool(labels.get("GPU_I_ID") or profile))
        reading = devices[origin.device] = _Reading(device, _slices(profile), exporter)
    before = reading.others.get(metric, reading.exporter) if metric in reading.signals else None
    if before is None or exporter < before or (exporter == before and sound > reading.signals[metric]):
        reading.signals[metric] = sound
        if exporter != reading.exporter:
            reading.others[metric] = exporter
        else:
            reading.others.pop(metric, None)
    return "" if before is None or before == exporter else DUPLICATE


def _exporter(labels: Labels) -> Exporter:
    return labels.get("job", ""), labels.get("instance", "")


def _slices(profile: str) -> int:
    """Compute slices of a MIG profile such as `3g.40gb`; 1 for anything else."""
    count = profile.partition("g")[0]
    return int(count) if count.isascii() and count.isdigit() and count != "0" else 1


def _of_pod(devices: Mapping[str, _Reading], holder: Held) -> float | Unknown:
    if not devices:
        return Unknown("no series")
    if len(devices) > holder.most:
        return Unknown(f"{len(devices)} GPUs report for {holder.most} held")
    if len(devices) < holder.most:
        least = holder.most if all(reading.device.mig for reading in devices.values()) else holder.least
        if len(devices) < least:
            return Unknown(f"{len(devices)} of {least} GPUs report")
    total, weight = 0.0, 0
    for _, reading in sorted(devices.items()):  # whoever answered first, the reason is the same
        share = judge(reading.signals, reading.device)
        if isinstance(share, Unknown):
            return share
        total += share * reading.weight
        weight += reading.weight
    return total / weight
