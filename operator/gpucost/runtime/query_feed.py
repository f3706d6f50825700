"""`spec.metrics.prometheus`: asks the queries of all runs, few requests at a time, and tells what is new in answers.

The load on the engine is bounded: so many requests a pass, so many seconds, and less and less often while it is in
trouble. A query that the engine refuses or that takes too long is asked alone and ever more rarely, so that it costs
its own run its metric and no other run anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.training.doubts import NO_SOURCE, UNREACHABLE, Doubt
from gpucost.core.training.observed import news, push_of
from gpucost.core.training.progress import PROMETHEUS
from gpucost.runtime.feeds import DoubtBoard, Subject, Subjects
from gpucost.runtime.metrics import Figures
from gpucost.runtime.progress import RunHistories
from gpucost.sources.promql import PrometheusError, PromQL
from gpucost.sources.run_queries import (
    MOST_TOGETHER,
    Answer,
    Question,
    Unknown,
    ask,
    blamed,
    bundles,
    is_scalar,
    refused,
)

log = logging.getLogger(__name__)

MOST_REQUESTS = 24
_PASS_SECONDS = 20.0
_LONGEST_WAIT: Micros = 10 * MINUTE
_FIELD = "spec.metrics.prometheus"
_NO_ENGINE = "the operator knows no Prometheus; set prometheus.url in the chart"
_NOT_ALLOWED = "queries of users are turned off (settings.metricsQueries in the chart); use log or push"


@dataclass
class _Standing:
    """What is known of a question: how often it failed, when it is asked again, whether it may go with others."""

    due: Instant = 0
    failures: int = 0
    alone: bool = False
    scalar: bool = False
    answer: Answer | None = None
    refused: bool = False
    """Whether it is never asked."""


@dataclass
class QueryFeed:
    """Asks in passes of `every`."""

    subjects: Subjects
    histories: RunHistories
    board: DoubtBoard
    figures: Figures
    now: Callable[[], Instant]
    engine: PromQL | None
    every: Micros = 15 * SECOND
    allowed: bool = True
    """Whether users' queries are asked at all."""
    requests: int = 0
    _standing: dict[Question, _Standing] = field(default_factory=dict)
    _together: int = MOST_TOGETHER
    _troubles: int = 0
    _rests_until: Instant = 0

    async def keep(self) -> None:
        """Pass after pass; a failure of one is logged."""
        while True:
            await asyncio.sleep(self.every / SECOND)
            try:
                await self.once()
            except Exception:
                log.exception("metrics by queries: the pass failed")
                self.figures.errors["metric queries"] += 1

    async def once(self) -> None:
        """One pass."""
        asked = [one for one in self.subjects.all() if one.sources.prometheus and one.pod.phase == "Running"]
        self.board.clear([one.record for one in asked], PROMETHEUS)
        if self.engine is None or not self.allowed:
            doubt = Doubt(_FIELD, NO_SOURCE, _NO_ENGINE if self.allowed else _NOT_ALLOWED)
            for subject in asked:
                self.board.put(subject.record, PROMETHEUS, [doubt])
            return
        questions = {one.record.uid: _questions(one) for one in asked}
        self._forget(question for those in questions.values() for question in those)
        if self.now() < self._rests_until:
            return
        fresh = await self._ask_all([question for those in questions.values() for question in those])
        for subject in asked:
            try:
                self._conclude(subject, questions[subject.record.uid], fresh)
            except Exception:  # one run's answers must not keep the others from being told
                log.exception("%s: answers could not be taken in", subject.record.key)
                self.figures.errors["metric queries"] += 1

    def _forget(self, questions: Iterable[Question]) -> None:
        wanted = set(questions)
        for question in self._standing.keys() - wanted:
            del self._standing[question]
        for question in wanted - self._standing.keys():
            problem = refused(question)
            self._standing[question] = _Standing(answer=problem, refused=problem is not None)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask_all(self, questions: Sequence[Question]) -> set[Question]:
        """Ask what is due, what waited longest first; the questions that have an answer of this pass."""
        begun, now, left = time.monotonic(), self.now(), MOST_REQUESTS
        fresh: set[Question] = set()
        due = [one for one in questions if self._standing[one].due <= now and not self._standing[one].refused]
        due.sort(key=lambda one: self._standing[one].due)
        waiting = self._bundles([one for one in due if not self._standing[one].alone])
        waiting += [(one,) for one in due if self._standing[one].alone]
        while waiting and left > 0 and time.monotonic() - begun < _PASS_SECONDS and self.now() >= self._rests_until:
            bundle = waiting.pop(0)
            left -= 1
            self.requests += 1
            answers = await self._request(bundle)
            fresh |= answers.keys()
            if not answers and self.now() >= self._rests_until:
                waiting += [(one,) for one in bundle]  # each alone, or in another form
        return fresh

    def _bundles(self, questions: Sequence[Question]) -> list[tuple[Question, ...]]:
        parts = [questions[i : i + self._together] for i in range(0, len(questions), self._together)]
        return [bundle for part in parts for bundle in bundles(part)]

    async def _request(self, bundle: Sequence[Question]) -> dict[Question, Answer]:
        """One request; an empty answer when the questions have to be asked apart, or nobody answers."""
        assert self.engine is not None
        sent = {replace(one, scalar=self._standing[one].scalar): one for one in bundle}
        try:
            found = await ask(self.engine, list(sent))
        except PrometheusError as error:
            self.figures.errors["metric queries"] += 1
            return self._failed(bundle, error)
        self._troubles = 0
        answers = {sent[question]: answer for question, answer in found.items()}
        for question, answer in answers.items():
            standing = self._standing[question]
            standing.alone, standing.failures, standing.answer = False, 0, answer
            standing.due = self.now() + self.every // 2
        return answers

    def _failed(self, bundle: Sequence[Question], error: PrometheusError) -> dict[Question, Answer]:
        if not error.blames_the_query and not error.timed_out:
            self._rest(error)
            return {}
        if len(bundle) > 1:
            for question in bundle:
                self._standing[question].alone = True
            self._together = max(1, self._together // 2)
            return {}
        question, standing = bundle[0], self._standing[bundle[0]]
        if is_scalar(error) and not standing.scalar:
            standing.scalar, standing.alone = True, False
            self._together = min(MOST_TOGETHER, self._together * 2)
            return {}
        standing.failures += 1
        standing.due = self.now() + min(_LONGEST_WAIT, self.every << min(standing.failures, 10))
        standing.answer = Unknown(UNREACHABLE, "the query takes too long") if error.timed_out else blamed(error)
        self._together = min(MOST_TOGETHER, self._together * 2)  # it was this one's fault
        return {question: standing.answer}

    def _rest(self, error: PrometheusError) -> None:
        """The engine itself is in trouble: all wait, twice as long each time."""
        self._troubles += 1
        self._rests_until = self.now() + min(_LONGEST_WAIT // 2, self.every << min(self._troubles, 10))
        # What the engine says may hold queries of other users: it is for the log.
        status = f" (HTTP {error.status})" if error.status is not None else ""
        trouble = Unknown(UNREACHABLE, f"Prometheus does not answer{status}; the operator's log has the reason")
        for standing in self._standing.values():
            if standing.answer is None or isinstance(standing.answer, float):
                standing.answer = trouble
        log.warning("metrics of runs are not known: %s", error)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _conclude(self, subject: Subject, questions: Sequence[Question], fresh: set[Question]) -> None:
        answers = {one: self._standing[one].answer for one in questions}
        values = {one.name: answer for one, answer in answers.items() if one in fresh and isinstance(answer, float)}
        if values:
            push = news(push_of(values), PROMETHEUS, self.histories.of(subject.record.key))
            self.histories.hear(subject.record, push, PROMETHEUS)
        doubts = [
            Doubt(f"{_FIELD}[{one.name}].query", answer.reason, answer.message)
            for one, answer in answers.items()
            if isinstance(answer, Unknown)
        ]
        if any(answer is not None for answer in answers.values()):
            self.board.put(subject.record, PROMETHEUS, doubts)


def _questions(subject: Subject) -> list[Question]:
    return [Question(subject.record.uid, one.name, one.query) for one in subject.sources.prometheus]
