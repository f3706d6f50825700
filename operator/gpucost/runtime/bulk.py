"""The large metric families as text, made for each scrape in pieces that nobody keeps.

With ten thousand workloads there are sixty thousand series; a registry that makes an object of each of them costs
about a second of processor time for every scrape. What takes time in making the text, the labels and their escapes, is
kept; the text itself, of 10 MiB, is not. Format: Prometheus' text exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

Labels = tuple[str, ...]

_LINES = 2_000
"""Lines in a piece: large enough to be given back to the system once it is sent."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its series."""

    name: str
    """As it is exposed, with `_total` for a counter."""
    kind: str
    """counter or gauge."""
    help: str
    labels: Labels
    values: Mapping[Labels, float]
    scale: int = 1
    """Values are exposed divided by this."""


@dataclass
class BulkText:
    """Makes the text of families, and remembers labels from one time to the next."""

    _known: dict[Labels, dict[Labels, str]] = field(default_factory=dict)
    """All labels of a series but its last, as text: by their names, and by their values. Of a workload, only the state
    is different from series to series.
    """

    def pieces(self, families: Iterable[Family]) -> Iterator[bytes]:
        """The families, in pieces of some hundred kilobytes; all of them are to be taken."""
        shown: dict[Labels, dict[Labels, str]] = {}
        for family in families:
            lines = self._lines(family, shown.setdefault(family.labels, {}))
            while piece := "".join(islice(lines, _LINES)):
                yield piece.encode()
        self._known = shown

    def _lines(self, family: Family, shown: dict[Labels, str]) -> Iterator[str]:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        known, name, keys, scale = self._known.get(family.labels, {}), family.name, family.labels[:-1], family.scale
        last: dict[str, str] = {}
        for labels, value in family.values.items():
            values, end = labels[:-1], labels[-1]
            text = shown.get(values)
            if text is None:
                text = shown[values] = known.get(values) or "".join(map(_pair, keys, values))
            tail = last.get(end)
            if tail is None:
                tail = last[end] = _pair(family.labels[-1], end).removesuffix(",")
            yield f"{name}{{{text}{tail}}} {value / scale!r}\n"


def _pair(key: str, value: str) -> str:
    """A label and a comma."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{key}="{escaped}",'
