"""Which of a preset's names a running server's `/metrics` has, and under which types and labels.

Presets are written from documentation, which lags behind servers and leaves out labels; this compares them with the
text that a server really gives.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from gpucost.core.serving.signals.presets import Preset
from servers.serving import Endpoint

_DERIVED = ("_bucket", "_count", "_sum")
_ADDED = {"namespace", "pod"}
"""Labels that the simulation adds for a scraper."""
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Metric:
    """All series of one name."""

    type: str
    labels: set[str] = field(default_factory=set)
    bounds: set[float] = field(default_factory=set)
    """Of buckets."""
    value: float = 0.0
    """The sum over all series, as a preset's `sums` are read."""


def metrics_of(text: str) -> dict[str, Metric]:
    """By the name of the samples, as PromQL sees it: `_total`, `_sum` and `_bucket` belong to the name.

    Not by prometheus_client's parser, which gives counters that lack `_total` (Triton's) the name they should have had.
    """
    found: dict[str, Metric] = {}
    types: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types |= {f"{name}{end}": kind for end in ("", *_DERIVED)} | {name: kind}
        if (match := _SAMPLE.match(line)) is None:
            continue
        name, labels, value = match.groups()
        one = found.setdefault(name, Metric(types.get(name, "untyped")))
        told = {label: text for label, text in _LABEL.findall(labels or "") if text}  # empty is the same as absent
        one.labels |= told.keys()
        if "le" in told:
            one.bounds.add(float(told["le"]))
        one.value += float(value)
    return found


@dataclass(frozen=True)
class Match:
    """One figure of a preset, and the name under which the server tells it."""

    figure: str
    name: str | None
    """None: under none of the names."""
    known: tuple[str, ...]
    before: Metric | None = None
    after: Metric | None = None

    def line(self) -> str:
        """For people."""
        if self.name is None or self.after is None:
            return f"{self.figure:<19} NOT FOUND: none of {', '.join(self.known)}"
        earlier = f"{self.before.value:g}" if self.before is not None else "absent"
        labels = ", ".join(sorted(self.after.labels))
        return f"{self.figure:<19} {self.name}  {self.after.type}  {earlier} -> {self.after.value:g}  ({labels})"


def names_of(preset: Preset) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Figures and their names, as samples have them."""
    yield from preset.sums.items()
    yield from preset.peaks.items()
    for figure, names in preset.histograms.items():
        yield figure, tuple(f"{name}_bucket" for name in names)


def compare(preset: Preset, before: str, after: str) -> list[Match]:
    """Every figure of a preset in what the server said before and after some requests."""
    earlier, later = metrics_of(before), metrics_of(after)
    matches = []
    for figure, names in names_of(preset):
        name = next((one for one in names if one in later), None)
        matches.append(Match(figure, name, names, earlier.get(name or ""), later.get(name or "")))
    return matches


def families_of(preset: Preset) -> set[str]:
    """What a preset reads, as `# TYPE` lines name it."""
    names = {name for _, those in names_of(preset) for name in those}
    return names | {name.removesuffix(end) for name in names for end in _DERIVED}


def excerpt(families: Collection[str], text: str) -> str:
    """The lines of `/metrics` about some metrics, with their types."""
    ends = ("", *_DERIVED)
    names = {f"{family}{end}" for family in families for end in ends}
    kept = []
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if (line.startswith("# TYPE ") and line.split()[2] in families) or (sample and sample[1] in names):
            kept.append(line)
    return "\n".join(kept) + "\n"


def families_in(text: str) -> set[str]:
    """Metrics as `# TYPE` lines name them."""
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def simulation() -> str:
    """What `servers.serving` says of one idle pod."""
    endpoint = Endpoint("chat")
    endpoint.set_pods({"llama-0": ""})
    return endpoint.exposition()


def differences(simulated: str, real: str) -> list[str]:
    """What the simulation says otherwise than the server that it stands for."""
    found = []
    theirs = metrics_of(real)
    for name, mine in metrics_of(simulated).items():
        if name.endswith("_created"):
            continue
        one, labels = theirs.get(name), mine.labels - _ADDED
        if one is None:
            found.append(f"{name}: the server has no such metric")
        elif (one.type, one.labels) != (mine.type, labels):
            found.append(f"{name}: {one.type} with {sorted(one.labels)}, not {mine.type} with {sorted(labels)}")
        elif one.bounds != mine.bounds:
            found.append(f"{name}: bounds {sorted(one.bounds)}, not {sorted(mine.bounds)}")
    return found
