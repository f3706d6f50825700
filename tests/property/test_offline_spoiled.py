"""However a scenario is spoiled: it is computed and adds up, or it is refused with places; never anything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.shares import SplitKind
from gpucost.offline.allocate import Answer, Question, allocate
from gpucost.offline.document import as_csv, as_json
from gpucost.offline.problems import BadScenario
from support.offline_world import node, pod, scenario, time

USAGE = {"cpu": "2", "memory": [{"from": time(1), "value": "1Gi"}], "gpuActive": 0.5}
GPU = {"model": "H100", "count": 8, "memoryGiB": 80, "replicasPerGpu": 1}
SOUND = scenario(
    [node(gpus=8, cpu="64", memory="256Gi", prices={0: "1", 5: "2"}, gpu=GPU)],
    [pod("p0", gpus=1, cpu="1"), pod("p1", (0, 2), gpus=1, usage=USAGE, workload="Job/b")],
    window=(0, 10),
)
SPOILERS: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e300, 10**30, float("nan"), float("inf"), [], {}, [[]], [None], {"a": 1}),
    *("", "x", "/", "1", "-1", "1e9", "1e999999999", "NaN", "\ud800", "²", "1_0", " 5", "+3", "9" * 70, "1e-400", "."),
    *("2026-11-01T24:00:00Z", "2026-11-01T23:59:60Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
]


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, child in items:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def spoiled(draw) -> bytes:
    document = copy.deepcopy(SOUND)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        *path, last = draw(st.sampled_from(found))
        target = document
        for step in path:
            target = target[step]
        if draw(st.integers(0, 5)):
            target[last] = draw(st.sampled_from(SPOILERS))
        else:
            del target[last]
    raw = json.dumps(document).encode()
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(raw) - 1))
        raw = raw[:cut] + bytes([draw(st.integers(0, 255))]) + raw[cut + 1 :]
    return raw


def outcome(raw: bytes, question: Question) -> Answer | list[str]:
    """The answer, or what is said instead."""
    try:
        return allocate(raw, question)
    except BadScenario as refusal:
        return refusal.lines


@settings(max_examples=300, deadline=None)
@given(spoiled(), st.sampled_from(list(SplitKind)), st.sampled_from(["pod", "workload", "category", "label:x"]))
def test_a_spoiled_scenario_is_computed_exactly_or_refused_with_places(raw, split, by):
    question = Question(by=by, split=split)
    answer = outcome(raw, question)
    if isinstance(answer, list):
        assert answer
        assert all(line.startswith("$") and "\n" not in line for line in answer)
    else:
        assert answer.report.difference == 0
        assert as_json(answer, question)
        assert as_csv(answer)
