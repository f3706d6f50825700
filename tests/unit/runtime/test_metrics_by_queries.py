"""What the operator asks Prometheus about runs: little, for many at once, and one bad query harms nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import MINUTE
from gpucost.core.model import Key
from gpucost.core.training.progress import PROMETHEUS
from gpucost.core.training.promql_text import problem_of
from gpucost.core.training.push import Push
from gpucost.runtime.query_feed import MOST_REQUESTS, QueryFeed
from gpucost.sources.promql import PromQL
from gpucost.sources.run_queries import MOST_TOGETHER, Question, bundles
from support.feed_world import FeedWorld, engine_with
from support.progress_world import BERT

_PART = re.compile(r'label_replace\(topk\(2, \((?P<query>.*?)\n\)\), "gpucost_question", "(?P<index>\d+)", "", ""\)')
_VECTOR = re.compile(r'label_replace\(vector\((?P<query>.*?)\n\), "gpucost_question", "(?P<index>\d+)", "", ""\)')
FIELD = "spec.metrics.prometheus[loss].query"


@pytest.fixture
def world() -> FeedWorld:
    return FeedWorld()


def ask_for(*queries: str) -> dict[str, Any]:
    names = ("loss", "acc", "step", "progress")
    return {"prometheus": [{"name": name, "query": query} for name, query in zip(names, queries, strict=False)]}


def answering(values: dict[str, Any]) -> Callable[[str], Any]:
    """Answers a request for several queries from a table: a number, several, or (status, error) for the whole."""

    def answer(text: str) -> Any:
        found: list[Any] = []
        for part in [*_PART.finditer(text), *_VECTOR.finditer(text)]:
            value = values.get(part["query"], ())
            if isinstance(value, tuple) and value and isinstance(value[1], str):
                return value
            if value == "scalar":
                if "topk" in part[0]:
                    return 400, "expected type instant vector in aggregation expression, got scalar"
                value = 7
            each = value if isinstance(value, tuple) else (value,)
            found += [
                {"metric": {"gpucost_question": part["index"], "pod": f"p{number}"}, "value": [1, str(one)]}
                for number, one in enumerate(each)
            ]
        return found

    return answer


async def passes(feed: QueryFeed, world: FeedWorld, count: int = 1) -> None:
    for _ in range(count):
        await feed.once()
        world.later()


async def test_a_value_is_a_report_when_it_is_new_and_not_when_it_is_asked_for_again(world: FeedWorld) -> None:
    world.run(ask_for("avg(loss)", "max(acc)", "max(step)"))
    values: dict[str, Any] = {"avg(loss)": 0.5, "max(acc)": 0.1, "max(step)": 10}
    with engine_with(answering(values)) as (engine, promql):
        feed = world.queries(promql)
        await passes(feed, world, 3)
        values.update({"avg(loss)": 0.25, "max(step)": 20})
        await passes(feed, world, 2)
    assert [(one.step, one.metrics, one.source) for one in world.reports()] == [
        (10, {"loss": 0.5, "acc": 0.1}, PROMETHEUS),
        (20, {"loss": 0.25}, PROMETHEUS),
    ]
    assert len(engine.asked) == 5
    assert world.doubts() == {}


async def test_after_a_restart_the_same_value_is_still_no_news(world: FeedWorld) -> None:
    world.run(ask_for("avg(loss)"))
    with engine_with(answering({"avg(loss)": 0.5})) as (_, promql):
        await passes(world.queries(promql), world)
        known = dict(world.histories._known)
        world.begin()
        world.histories.load(known)
        await passes(world.queries(promql), world)
    assert world.values("loss") == [0.5]


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        ((), "NoData", "no data"),
        ((1, 2), "SeveralSeries", "avg("),
        ("NaN", "NotANumber", "division by zero"),
        ("+Inf", "NotANumber", "infinity"),
    ],
)
async def test_what_is_no_single_number_is_unknown_with_its_reason(
    world: FeedWorld, value: Any, reason: str, words: str
) -> None:
    world.run(ask_for("q", "max(acc)"))
    with engine_with(answering({"q": value, "max(acc)": 0.5})) as (_, promql):
        await passes(world.queries(promql), world)
    doubt = world.doubts()[FIELD]
    assert (doubt.reason, words in doubt.message) == (reason, True)
    assert world.values("loss") == []
    assert world.values("acc") == [0.5]


async def test_a_doubt_keeps_its_beginning_and_ends_with_the_first_value(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    values: dict[str, Any] = {}
    with engine_with(answering(values)) as (_, promql):
        feed, begun = world.queries(promql), world.now
        await passes(feed, world, 5)
        assert world.doubts()[FIELD].since == begun
        values["q"] = 1
        await passes(feed, world)
    assert world.doubts() == {}


async def test_many_runs_are_few_requests(world: FeedWorld) -> None:
    keys = [world.run(ask_for("avg(loss)", "max(acc)"), Key("research", f"run-{number}")) for number in range(100)]
    with engine_with(answering({"avg(loss)": 0.5, "max(acc)": 0.1})) as (engine, promql):
        await passes(world.queries(promql), world)
    assert len(engine.asked) == -(-200 // MOST_TOGETHER)
    assert all(world.values("loss", key) == [0.5] for key in keys)


async def test_a_bad_query_is_found_and_costs_the_others_nothing(world: FeedWorld) -> None:
    keys = [world.run(ask_for(f"good{number}"), Key("research", f"run-{number}")) for number in range(20)]
    world.run(ask_for("bad"))
    values = {f"good{number}": number for number in range(20)} | {"bad": (400, "parse error: unexpected end")}
    with engine_with(answering(values)) as (engine, promql):
        feed = world.queries(promql)
        await passes(feed, world)
        assert [world.values("loss", key) for key in keys] == [[number] for number in range(20)]
        assert world.doubts()[FIELD].reason == "InvalidQuery"
        assert "unexpected end" in world.doubts()[FIELD].message
        first = len(engine.asked)
        await passes(feed, world, 40)
    alone = [text for text in engine.asked[first:] if "(bad\n" in text]
    assert len(alone) <= 6
    assert len(engine.asked) - first <= 40 * 2 + len(alone)


@pytest.mark.parametrize(
    "query", ["avg(loss", 'loss{a="b}', "loss) or vector(1", "a)] or ([b", "", "  ", "'x", "sum(loss}"]
)
async def test_a_query_that_could_speak_for_others_is_never_sent(world: FeedWorld, query: str) -> None:
    world.run(ask_for(query or " "))
    with engine_with(answering({})) as (engine, promql):
        await passes(world.queries(promql), world)
    assert engine.asked == []
    assert world.doubts()[FIELD].reason == "InvalidQuery"


@pytest.mark.parametrize(
    "query",
    ["loss # only )", 'loss{a="x)\'"}', 'loss{a=~"\\")("}', "avg(loss)[5m:1m]", "loss{a=`\\`}", "1 # 'open\n + (2)"],
)
def test_what_only_looks_open_is_sent(query: str) -> None:
    assert problem_of(query) == ""


@settings(deadline=None)
@given(st.text(alphabet="ab()[]{}'\"`#\\\n ", max_size=30))
def test_whatever_is_sent_stays_inside_its_parentheses(query: str) -> None:
    """An independent count: without strings and comments, the depth never falls below that of the beginning."""
    if problem_of(query):
        return
    bare = re.sub(r"\"(\\.|[^\"\\\n])*\"|'(\\.|[^'\\\n])*'|`[^`]*`|#[^\n]*", "", query, flags=re.DOTALL)
    depth = 0
    for char in bare:
        depth += (char in "([{") - (char in ")]}")
        assert depth >= 0
    assert depth == 0


async def test_a_number_without_labels_is_a_value_too(world: FeedWorld) -> None:
    world.run(ask_for("scalar(x)"))
    with engine_with(answering({"scalar(x)": "scalar"})) as (engine, promql):
        feed = world.queries(promql)
        await passes(feed, world)
        assert world.values("loss") == [7.0]
        await passes(feed, world, 3)
    assert sum("topk" in text for text in engine.asked) == 1


async def test_an_engine_in_trouble_is_asked_less_and_less(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    down: list[Any] = [(500, "out of order")]
    with engine_with(lambda text: down[0] or answering({"q": 1})(text)) as (engine, promql):
        feed = world.queries(promql)
        await passes(feed, world, 40)  # ten minutes
        assert len(engine.asked) <= 7
        assert world.doubts()[FIELD].reason == "SourceUnreachable"
        down[0] = None
        await passes(feed, world, 25)
    assert world.values("loss") == [1]
    assert world.doubts() == {}


async def test_the_requests_of_a_pass_are_bounded_and_everybodys_turn_comes(world: FeedWorld) -> None:
    keys = [world.run(ask_for(f"q{number}"), Key("research", f"run-{number:03}")) for number in range(60)]
    world.run(ask_for("bad"), Key("research", "bad"))
    values = {f"q{number}": number for number in range(60)} | {"bad": (422, "too many samples")}
    with engine_with(answering(values)) as (engine, promql):
        feed = world.queries(promql)
        await feed.once()
        assert len(engine.asked) <= MOST_REQUESTS
        await passes(feed, world, 5)
    assert [world.values("loss", key) for key in keys] == [[number] for number in range(60)]


async def test_without_prometheus_it_says_what_to_set(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    await world.queries(None).once()
    assert world.doubts()["spec.metrics.prometheus"].reason == "NoPrometheus"


async def test_where_users_may_not_ask_nothing_is_asked(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    with engine_with(answering({"q": 1})) as (engine, promql):
        feed = world.queries(promql)
        feed.allowed = False
        await passes(feed, world, 2)
    assert engine.asked == []
    assert "metricsQueries" in world.doubts()["spec.metrics.prometheus"].message


async def test_only_a_run_that_runs_is_asked_about(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    with engine_with(answering({})) as (engine, promql):
        feed = world.queries(promql)
        await passes(feed, world)
        world.ends()
        await passes(feed, world, 2)
    assert len(engine.asked) == 1
    assert world.board.of(BERT) is None


async def test_the_runs_own_word_counts_before_a_query(world: FeedWorld) -> None:
    world.run(ask_for("avg(loss)", "max(acc)"))
    world.histories.hear(world.world.trainingjobs[BERT], Push(metrics={"loss": 0.5}), "push")
    with engine_with(answering({"avg(loss)": 0.6, "max(acc)": 0.1})) as (_, promql):
        await passes(world.queries(promql), world)
    assert world.values("loss") == [0.5]
    assert world.values("acc") == [0.1]


def test_a_request_is_no_longer_than_a_proxy_lets_through() -> None:
    questions = [Question("run", f"m{number}", "x" * 1000) for number in range(20)]
    parts = list(bundles(questions))
    assert [one for part in parts for one in part] == questions
    assert max(sum(len(one.query) for one in part) for part in parts) <= 5000


async def test_other_words_for_the_same_doubt_are_no_news_until_some_minutes_have_passed(world: FeedWorld) -> None:
    world.run(ask_for("q"))
    pods = iter(range(0, 10_000, 7))

    def answer(text: str) -> Any:
        index = next(part["index"] for part in _PART.finditer(text))
        return [{"metric": {"gpucost_question": index, "pod": f"p{next(pods)}"}, "value": [1, "1"]} for _ in range(2)]

    with engine_with(answer) as (_, promql):
        feed = world.queries(promql)
        await passes(feed, world)
        words, marked = world.doubts()[FIELD].message, len(world.marked)
        await passes(feed, world, 20)
        assert (world.doubts()[FIELD].message, len(world.marked)) == (words, marked)
        world.run(ask_for("q"), generation=2)
        await passes(feed, world)
        assert world.doubts()[FIELD].message != words
        since = world.now
        while world.now - since < 10 * MINUTE:
            await passes(feed, world)
        assert len(world.marked) == marked + 2


async def test_what_the_engine_says_of_others_queries_is_not_told_to_a_run(world: FeedWorld) -> None:
    world.run(ask_for("salaries"), Key("other", "a"))
    world.run(ask_for("up"))
    with engine_with(lambda text: (500, f"out of memory in {text}")) as (_, promql):
        await passes(world.queries(promql), world)
    (doubt,) = world.doubts().values()
    assert doubt.message == "Prometheus does not answer (HTTP 500); the operator's log has the reason"
    down = PromQL("http://user:hunter2@127.0.0.1:9/", timeout=1)
    world.begin()
    await passes(world.queries(down), world)
    (doubt,) = world.doubts().values()
    assert doubt.message == "Prometheus does not answer; the operator's log has the reason"
