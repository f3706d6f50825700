"""Compares frontiers of replica policies: GPU-hours at equal late fraction, and a picture of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

Point = tuple[float, float]
"""Late fraction, GPU-hours."""
_LEAST = 1e-5
"""Late fractions below it are drawn and interpolated as this."""


def envelope(points: Sequence[Point]) -> list[Point]:
    """What no other point beats in both, from cheap to safe."""
    found: list[Point] = []
    for late, hours in sorted(points, key=lambda point: (point[1], point[0])):
        if not found or late < found[-1][0]:
            found.append((late, hours))
    return found


def hours_at(points: Sequence[Point], late: float) -> float | None:
    """GPU-hours at a late fraction, linear in its logarithm; None where the frontier does not get there."""
    line = envelope(points)
    if not line or line[-1][0] > late:
        return None
    if line[0][0] <= late:
        return line[0][1]
    for (more, cheap), (less, dear) in pairwise(line):
        if less <= late < more:
            low, high = math.log(max(less, _LEAST)), math.log(max(more, _LEAST))
            part = 1.0 if high == low else (high - math.log(max(late, _LEAST))) / (high - low)
            return cheap + part * (dear - cheap)
    return line[-1][1]


# --- the picture ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    lines: Mapping[str, Sequence[Point]]


_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 300, 240, 54, 34, 40
_COLOURS = {"gpucost": "#0b6e4f", "hpa": "#c1292e", "kpa": "#235789", "keda": "#e08e0b", "static": "#777777"}
_FONT = 'font-family="sans-serif"'
_LATE = (1e-4, 1e-3, 1e-2, 1e-1)


def svg(panels: Sequence[Panel]) -> str:
    """Panels side by side: late fraction to the right, GPU-hours upward, a line for each policy."""
    width = len(panels) * (_WIDTH + _LEFT + _GAP) + _GAP
    height = _TOP + _HEIGHT + 76
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-size="11" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_panel(panel, place * (_WIDTH + _LEFT + _GAP) + _LEFT) for place, panel in enumerate(panels)),
        _legend(panels, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, left: float) -> str:
    shown = {name: [p for p in envelope(line) if p[0] <= _LATE[-1]] for name, line in panel.lines.items()}
    hours = [point[1] for line in shown.values() for point in line]
    low, high = 0.9 * min(hours), min(1.05 * max(hours), 3.2 * min(hours))
    parts = [f'<text x="{left}" y="{_TOP - 12}" font-weight="bold">{escape(panel.title)}</text>']
    parts.append(f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#bbb"/>')
    for late in _LATE:
        x = left + _across(late)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + _HEIGHT}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 15}" text-anchor="middle">{late:.2%}</text>')
    for part in range(5):
        value = low + part * (high - low) / 4
        y = _TOP + _HEIGHT * (1 - part / 4)
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
    for name, line in shown.items():
        inside = [(late, value) for late, value in line if value <= high]
        places = [f"{left + _across(late):.1f},{_TOP + _HEIGHT * (high - v) / (high - low):.1f}" for late, v in inside]
        colour, bold = _COLOURS.get(name, "#000"), 2.4 if name == "gpucost" else 1.3
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="{bold}"/>')
    return "\n".join(parts)


def _across(late: float) -> float:
    low, high = math.log(_LATE[0]), math.log(_LATE[-1])
    return _WIDTH * (min(max(math.log(max(late, _LEAST)), low), high) - low) / (high - low)


def _legend(panels: Sequence[Panel], height: float) -> str:
    names = dict.fromkeys(name for panel in panels for name in panel.lines)
    parts = [f'<text x="{_LEFT}" y="{height - 34}">Late fraction to the right, GPU-hours upward.</text>']
    for place, name in enumerate(names):
        x = _LEFT + 90 * place
        parts.append(f'<rect x="{x}" y="{height - 21}" width="14" height="4" fill="{_COLOURS.get(name, "#000")}"/>')
        parts.append(f'<text x="{x + 19}" y="{height - 15}">{escape(name)}</text>')
    return "\n".join(parts)
