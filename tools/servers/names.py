"""Which of a preset's names a running server's `/metrics` has, and under which types and labels.

Presets are written from documentation, which lags behind servers and leaves out labels; this compares them with the
text that a server really gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpucost.core.serving.signals.presets import Preset

_DERIVED = ("_bucket", "_count", "_sum")
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')


@dataclass
class Metric:
    """All series of one name."""

    type: str
    labels: set[str] = field(default_factory=set)
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
        one.labels |= set(_LABEL.findall(labels or ""))
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


def excerpt(preset: Preset, text: str) -> str:
    """The lines of `/metrics` that a preset reads, with their types."""
    names = {name for _, those in names_of(preset) for name in those}
    families = names | {name.removesuffix(end) for name in names for end in _DERIVED}
    kept = []
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if (line.startswith("# TYPE ") and line.split()[2] in families) or (sample and sample[1] in names):
            kept.append(line)
    return "\n".join(kept) + "\n"


def differences(simulated: str, real: str, added: Mapping[str, str]) -> list[str]:
    """What a simulation of a server says otherwise than the server; `added` are labels that a scraper would add."""
    found = []
    theirs = metrics_of(real)
    for name, mine in metrics_of(simulated).items():
        if name.endswith("_created"):
            continue
        one, labels = theirs.get(name), mine.labels - added.keys()
        if one is None:
            found.append(f"{name}: the server has no such metric")
        elif (one.type, one.labels) != (mine.type, labels):
            found.append(f"{name}: {one.type} with {sorted(one.labels)}, not {mine.type} with {sorted(labels)}")
    return found
