"""Metrics of runs by PromQL: the queries of many runs in few requests, each answered apart.

Queries go together as `label_replace(topk(2, (QUERY)), ...) or ...`, so that the engine sends at most two series for
each however many there are, and one request serves some dozens of metrics. When such a request is refused, each of its
queries is asked by itself: the bad one is found, and holds up nobody else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpucost.core.training.doubts import INVALID_QUERY, NO_DATA, NOT_FINITE, SEVERAL
from gpucost.core.training.promql_text import problem_of
from gpucost.core.usage import Sample
from gpucost.sources.promql import PrometheusError, PromQL

MOST_TOGETHER = 32
_MOST_TEXT = 5000
"""Characters of one request: it is a URL, which proxies cut off at 8 KiB."""
_WRAPPING = 70
_LABEL = "gpucost_question"


@dataclass(frozen=True, slots=True)
class Question:
    """A query of one run; `scalar` when its value is one, which only the engine can tell."""

    run: str
    """UID of the TrainingJob."""
    name: str
    query: str
    scalar: bool = False

    @property
    def text(self) -> str:
        """The query with at most two series; the newline ends a comment."""
        return f"vector({self.query}\n)" if self.scalar else f"topk(2, ({self.query}\n))"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no value."""

    reason: str
    message: str


Answer = float | Unknown


def bundles(questions: Sequence[Question]) -> Iterator[tuple[Question, ...]]:
    """Questions that are asked together."""
    bundle: list[Question] = []
    size = 0
    for question in questions:
        length = len(question.query) + _WRAPPING
        if bundle and (len(bundle) == MOST_TOGETHER or size + length > _MOST_TEXT):
            yield tuple(bundle)
            bundle, size = [], 0
        bundle.append(question)
        size += length
    if bundle:
        yield tuple(bundle)


def refused(question: Question) -> Unknown | None:
    """What is wrong with a query that can be seen without asking."""
    problem = problem_of(question.query)
    return Unknown(INVALID_QUERY, f"no PromQL: {problem}") if problem else None


async def ask(engine: PromQL, questions: Sequence[Question]) -> dict[Question, Answer]:
    """Answers to all of some questions by one request. Raises `PrometheusError`."""
    parts = [
        f'label_replace({question.text}, "{_LABEL}", "{index}", "", "")' for index, question in enumerate(questions)
    ]
    found: dict[str, list[Sample]] = {}
    for series in await engine.query(" or ".join(parts)):
        found.setdefault(series.labels.get(_LABEL, ""), []).append(series)
    return {question: answer_of(found.get(str(index), ())) for index, question in enumerate(questions)}


def answer_of(series: Sequence[Sample]) -> Answer:
    """One value, or why it is unknown."""
    if not series:
        return Unknown(NO_DATA, "the query has no data now; does it name series that this run's pods export?")
    if len(series) > 1:
        shown = " and ".join(_described(one.labels) for one in sorted(series, key=lambda one: _described(one.labels)))
        return Unknown(SEVERAL, f"the query has several series, such as {shown}; aggregate them, as in avg(...)")
    value = series[0].value
    if not math.isfinite(value):
        words = "NaN" if math.isnan(value) else "infinity"
        message = f"the value is {words}, and nobody can tell a division by zero from a run that diverges"
        return Unknown(NOT_FINITE, message)
    return value


def _described(labels: Mapping[str, str]) -> str:
    shown = [f'{name}="{value}"' for name, value in sorted(labels.items()) if name not in {_LABEL, "__name__"}]
    return f"{labels.get('__name__', '')}{{{', '.join(shown)[:150]}}}"


def blamed(error: PrometheusError) -> Unknown:
    """What a refusal of a single question means."""
    detail = error.detail or str(error)
    return Unknown(INVALID_QUERY, f"Prometheus refuses the query: {detail}".replace("\n", " ")[:400])


def is_scalar(error: PrometheusError) -> bool:
    """Whether a question was refused because its value is one number without labels."""
    return "got scalar" in error.detail
