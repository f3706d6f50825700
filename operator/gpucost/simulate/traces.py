"""Traces of spot capacity as files: read, checked, and put together as zones.

Whatever is wrong is said with its place, `FILE: $.data[3]: ...`, for all files at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import SECOND, Micros
from gpucost.simulate.problems import BadTrace

_MOST = 2**31


@dataclass(frozen=True, slots=True)
class Trace:
    """Spot nodes that were available in one zone, tick by tick."""

    name: str
    tick: Micros
    nodes: NDArray[np.int64]


def read(files: Sequence[tuple[str, bytes]]) -> list[Trace]:
    """Traces of zones, of one length and one tick, from names and contents."""
    problems: list[str] = []
    traces = [trace for name, data in files if (trace := _trace(name, data, problems)) is not None]
    if traces and not problems:
        _compare(traces, problems)
    if problems:
        raise BadTrace(problems)
    return traces


def _compare(traces: Sequence[Trace], problems: list[str]) -> None:
    first = traces[0]
    for other in traces[1:]:
        if len(other.nodes) != len(first.nodes):
            problems.append(
                f"{other.name}: $.data: {len(other.nodes):,} values, but {first.name} has {len(first.nodes):,}; "
                "traces of zones have the same length"
            )
        if other.tick != first.tick:
            problems.append(
                f"{other.name}: $.metadata.gap_seconds: {_seconds(other.tick)}, but {first.name} has "
                f"{_seconds(first.tick)}; traces of zones have the same"
            )


def _seconds(tick: Micros) -> str:
    return f"{tick / SECOND:g}"


def _trace(name: str, data: bytes, problems: list[str]) -> Trace | None:
    before = len(problems)
    try:
        document = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        problems.append(f"{name}: $: not JSON: {error}")
        return None
    if not isinstance(document, dict):
        problems.append(f'{name}: $: not an object such as {{"metadata": {{"gap_seconds": 600}}, "data": [0, 1]}}')
        return None
    tick = _tick(document.get("metadata"), name, problems)
    nodes = _nodes(document.get("data"), name, problems)
    if len(problems) > before:
        return None
    return Trace(PurePath(name).name, tick, np.array(nodes, dtype=np.int64))


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _tick(metadata: Any, name: str, problems: list[str]) -> Micros:
    if not isinstance(metadata, dict) or "gap_seconds" not in metadata:
        problems.append(f"{name}: $.metadata.gap_seconds: missing; the seconds from value to value")
        return 0
    gap = metadata["gap_seconds"]
    if not _is_number(gap) or not math.isfinite(gap) or not 1e-6 <= gap <= 1e7:
        problems.append(f"{name}: $.metadata.gap_seconds: {_shown(gap)} is not a positive number of seconds")
        return 0
    return round(float(gap) * SECOND)


def _nodes(data: Any, name: str, problems: list[str]) -> list[int]:
    if not isinstance(data, list) or not data:
        problems.append(f"{name}: $.data: a list with the number of spot nodes at each tick is expected")
        return []
    for place, value in enumerate(data):
        if not _is_number(value) or not 0 <= value < _MOST or value != int(value):
            problems.append(f"{name}: $.data[{place}]: {_shown(value)} is not a number of nodes (0, 1, 2, …)")
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
