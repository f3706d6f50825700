"""The large metric families as text, made once for a pass instead of once for a scrape.

With ten thousand workloads there are tens of thousands of series, which change only at a pass; a registry that makes an
object of each of them costs about a second of processor time for every scrape. Format: Prometheus' text exposition
format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[str, ...]


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
    """Text of families, kept until they change; `version` tells when that is."""

    _version: int | None = None
    _text: bytes = b""
    _shown: dict[tuple[str, Labels], str] = field(default_factory=dict)

    def of(self, families: Iterable[Family], version: int) -> bytes:
        """The families as text; the same as last time while the version is the same."""
        if version != self._version:
            shown: dict[tuple[str, Labels], str] = {}
            self._text = "".join(line for family in families for line in self._lines(family, shown)).encode()
            self._version, self._shown = version, shown
        return self._text

    def _lines(self, family: Family, shown: dict[tuple[str, Labels], str]) -> Iterator[str]:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        known, name, scale = self._shown, family.name, family.scale
        for labels, value in family.values.items():
            key = (name, labels)
            series = shown[key] = known.get(key) or series_name(name, family.labels, labels)
            yield f"{series} {value / scale!r}\n"


def series_name(name: str, keys: Labels, values: Labels) -> str:
    """A metric with its labels, escaped as the format says."""
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in zip(keys, values, strict=True))
    return f"{name}{{{pairs}}}" if pairs else name


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
