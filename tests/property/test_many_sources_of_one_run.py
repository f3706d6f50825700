"""Whatever several sources say of one run, in whatever order: one history without contradictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import SECOND, Instant
from gpucost.core.training.observed import LATELY, news
from gpucost.core.training.progress import LOG, PROMETHEUS, PUSH, SOURCES, TERMINATION
from gpucost.core.training.push import Push
from gpucost.sources.token_reviews import BoundPod
from gpucost.web.progress import OutOfOrder, TooFast
from support.progress_world import BERT, ProgressWorld

POD = BoundPod("research", "bert-0", "uid-bert-0")
VALUES = st.sampled_from([0.5, 0.25, math.nan, math.inf, -1.0])


@dataclass(frozen=True)
class Word:
    """Something that is said after a while, about an instant that may be long ago or ahead."""

    source: str
    wait: int
    told_ago: int
    metrics: dict[str, float]
    step: int | None


WORDS = st.builds(
    Word,
    source=st.sampled_from(SOURCES),
    wait=st.sampled_from([0, 1, 5, 15, 200, 400]),
    told_ago=st.sampled_from([-60, 0, 0, 0, 3, 20, 600]),
    metrics=st.dictionaries(st.sampled_from(["loss", "acc"]), VALUES, max_size=2),
    step=st.one_of(st.none(), st.integers(0, 20)),
)


async def say(world: ProgressWorld, word: Word) -> None:
    told_at: Instant = world.now - word.told_ago * SECOND
    push = Push(told_at=told_at, step=word.step, metrics=word.metrics)
    record = world.world.trainingjobs[BERT]
    if word.source == PUSH:
        try:
            await world.histories.take(BERT, POD, push)
        except (TooFast, OutOfOrder):
            return
    elif word.source == PROMETHEUS:
        answer = news(Push(metrics=word.metrics, step=word.step), PROMETHEUS, world.histories.of(BERT))
        world.histories.hear(record, answer, PROMETHEUS)
    else:
        world.histories.hear(record, push, word.source)


def told_by_better(world: ProgressWorld, source: str) -> set[str]:
    """Metrics that a more trustworthy source has told within the last minutes."""
    lately = [one for one in world.histories.of(BERT).reports if one.at > world.now - LATELY]
    return {name for one in lately if SOURCES.index(one.source) < SOURCES.index(source) for name in one.metrics}


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=40))
async def test_one_history_without_contradictions(words: list[Word]) -> None:
    world = ProgressWorld()
    for word in words:
        world.now += word.wait * SECOND
        before, better = len(world.histories.of(BERT).reports), told_by_better(world, word.source)
        await say(world, word)
        for report in world.histories.of(BERT).reports[before:]:
            assert not better & report.metrics.keys()
        if word.source in {LOG, TERMINATION}:
            told = repr(world.histories.of(BERT))
            await say(world, word)  # twice
            assert repr(world.histories.of(BERT)) == told

    reports = list(world.histories.of(BERT).reports)
    instants = [one.at for one in reports]
    assert instants == sorted(set(instants))
    assert all(one.at <= world.now + len(words) for one in reports), "nothing is told of the future"
    for name in ("loss", "acc"):
        values = [one.metrics[name] for one in reports if one.source == PROMETHEUS and name in one.metrics]
        assert all(a != b for a, b in pairwise(values)), "an unchanged value is no news"
