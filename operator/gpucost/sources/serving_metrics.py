"""Load and latencies of inference servers by PromQL: one request for all metrics of all endpoints of one kind.

The parts of a request (sums, peaks, time stamps, the engine's clock) are joined by `or`, so that they are of one
instant: a counter and the time of its scrape must not be from two. Inside, a maximum over what scrapers add joins the
same target scraped by two jobs, and a sum over everything else (engines, reasons of the end) makes one series of a pod.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpucost.core.serving.signals.custom import MOST_SERIES
from gpucost.core.serving.signals.joining import BUCKETS, NAME, NOW, PART, PEAKS, STAMPS, SUMS, Answer, Group, read
from gpucost.core.serving.signals.model import Unusable
from gpucost.core.training.promql_text import problem_of
from gpucost.core.usage import Sample
from gpucost.sources.promql import PrometheusError, PromQL

_SAME = (
    *("job", "service", "endpoint", "container", "prometheus", "prometheus_replica", "replica", "receive"),
    *("tp_rank", "pp_rank", "moe_ep_rank", "pid"),
)
"""Labels of which each value tells the same figure: those that scrapers add, and ranks of one engine.

A label that a server's next version brings is none of these, so that its series are summed: too high a load costs
money, and too low a load would cost the objective.
"""
_MOST_NAMESPACES = 1500
"""Characters of a list of namespaces; with more, all are asked for: a request is a URL, which proxies cut off."""
_MOST_TEXT = 5000
_QUESTION = "gpucost_question"

Bounds = Mapping[tuple[str, str], Mapping[str, float]]
"""By namespace and histogram: how many series have each bound."""


async def ask(engine: PromQL, group: Group, namespaces: Collection[str]) -> Answer:
    """What all pods of some namespaces say. Raises `PrometheusError`."""
    return read(group, await engine.query(question(group, namespaces)))


def question(group: Group, namespaces: Collection[str]) -> str:
    """One request for the load of all endpoints of a group."""
    preset, where = group.preset, _where(group, namespaces)
    kept = _kept(group)
    parts = [_part(_summed(selector, kept), SUMS) for selector in _sums(group, where)]
    if preset.peaks:
        peaks = _names(preset.peaks.values())
        parts.append(_part(f"max by ({', '.join(kept)}) ({_named(_selector(peaks, where))})", PEAKS))
    pod = f"{group.namespace_label}, {group.pod_label}"
    for name in preset.alive:
        parts.append(_part(f"max by ({pod}) (timestamp({_selector((name,), where)}))", STAMPS))
    return " or ".join([*parts, _part("vector(time())", NOW)])


def _sums(group: Group, where: Sequence[str]) -> list[str]:
    """One selector for all figures, and one more for each matcher that some of them need."""
    by_matcher: dict[str, list[str]] = {}
    for name in _names(group.preset.sums.values()):
        by_matcher.setdefault(group.preset.only.get(name, ""), []).append(name)
    return [_selector(names, (*where, matcher) if matcher else where) for matcher, names in by_matcher.items()]


async def ask_bounds(engine: PromQL, group: Group, namespaces: Collection[str]) -> Bounds:
    """The bounds that each latency histogram has, as the servers write them. Raises `PrometheusError`."""
    names = _names(group.preset.histograms.values(), "_bucket")
    if not names:
        return {}
    found: dict[tuple[str, str], dict[str, float]] = {}
    selector = _selector(names, _where(group, namespaces))
    for labels, count in await engine.query(f"count by (__name__, le, {group.namespace_label}) ({selector})"):
        key = labels.get(group.namespace_label) or "", labels.get("__name__", "").removesuffix("_bucket")
        found.setdefault(key, {})[labels.get("le", "")] = count
    return found


async def ask_buckets(
    engine: PromQL, group: Group, namespaces: Collection[str], bounds: Mapping[str, Iterable[str]]
) -> Answer:
    """Counts of the latency histograms up to some of their bounds. Raises `PrometheusError`."""
    where, kept = _where(group, namespaces), (*_kept(group), "le")
    parts = []
    for name, those in sorted(bounds.items()):
        wanted = "|".join(_literal(bound) for bound in sorted(set(those)))
        parts.append(_summed(_selector((f"{name}_bucket",), (*where, f'le=~"{wanted}"')), kept))
    if not parts:
        return Answer()
    samples: list[Sample] = []
    for part in parts:  # of one form each: `or` would take two histograms with the same labels for one
        samples += await engine.query(_part(part, BUCKETS))
    return read(group, samples)


def _summed(selector: str, kept: Sequence[str]) -> str:
    return f"sum by ({', '.join(kept)}) (max without ({', '.join(_SAME)}) ({_named(selector)}))"


def _named(selector: str) -> str:
    """Series that keep their name in a label: a function's result has no name."""
    return f'label_replace({selector}, "{NAME}", "$1", "__name__", "(.+)")'


def _kept(group: Group) -> tuple[str, ...]:
    kept = (NAME, group.namespace_label, group.pod_label, group.preset.model_label)
    return (*kept, group.tenant_label) if group.tenant_label else kept


def _where(group: Group, namespaces: Collection[str]) -> tuple[str, ...]:
    listed = "|".join(sorted(namespaces))
    return (f'{group.namespace_label}=~"{listed}"',) if listed and len(listed) <= _MOST_NAMESPACES else ()


def _names(figures: Iterable[Sequence[str]], end: str = "") -> tuple[str, ...]:
    return tuple(f"{name}{end}" for names in figures for name in names)


def _selector(names: Sequence[str], where: Sequence[str]) -> str:
    name = f'__name__="{names[0]}"' if len(names) == 1 else f'__name__=~"{"|".join(names)}"'
    return "{" + ", ".join((name, *where)) + "}"


def _part(text: str, part: str) -> str:
    return f'label_replace({text}, "{PART}", "{part}", "", "")'


def _literal(text: str) -> str:
    """A text within a regular expression within a string of PromQL."""
    return re.escape(text).replace("\\", "\\\\")


# --- users' own queries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A query of an endpoint; `name` is its field in `spec.metrics.queries`."""

    endpoint: str
    """UID."""
    name: str
    query: str

    @property
    def text(self) -> str:
        """The query with one series more than is accepted at most; the newline ends a comment."""
        return f"topk({MOST_SERIES + 1}, ({self.query}\n))"


def refused(question: Question) -> Unusable | None:
    """What is wrong with a query that can be seen without asking: one not closed in itself could answer for others."""
    problem = problem_of(question.query)
    return Unusable(f"no PromQL: {problem}") if problem else None


def bundles(questions: Sequence[Question]) -> list[tuple[Question, ...]]:
    """Questions that are asked together."""
    found: list[list[Question]] = []
    size = 0
    for one in questions:
        length = len(one.query) + 100
        if not found or size + length > _MOST_TEXT:
            found.append([])
            size = 0
        found[-1].append(one)
        size += length
    return [tuple(bundle) for bundle in found]


async def ask_custom(engine: PromQL, questions: Sequence[Question]) -> dict[Question, list[Sample] | Unusable]:
    """Answers to all of some questions; one that is refused holds up no other. Raises `PrometheusError`."""
    parts = [f'label_replace({one.text}, "{_QUESTION}", "{index}", "", "")' for index, one in enumerate(questions)]
    try:
        series = await engine.query(" or ".join(parts))
    except PrometheusError as error:
        if not error.blames_the_query and not error.timed_out:
            raise
        if len(questions) > 1:
            answers: dict[Question, list[Sample] | Unusable] = {}
            for one in questions:
                answers |= await ask_custom(engine, (one,))
            return answers
        detail = "it takes too long" if error.timed_out else (error.detail or str(error))
        return {questions[0]: Unusable(f"Prometheus refuses the query: {detail}".replace("\n", " ")[:300])}
    found: dict[Question, list[Sample] | Unusable] = {one: [] for one in questions}
    for labels, value in series:
        answer = found[questions[int(labels.get(_QUESTION, "0"))]]
        assert isinstance(answer, list)
        answer.append(Sample({name: text for name, text in labels.items() if name != _QUESTION}, value))
    return found


# --- when nothing is found --------------------------------------------------------------------------------------------

NOT_SCRAPED = "Prometheus has no series of the target's pods at all: is their /metrics scraped?"
_PREFIXES = {"vllm:": "vllm", "sglang[:_]": "sglang", "tgi_": "tgi", "nv_inference_": "triton", "num_request": "nim"}
_POD_LABELS = ("exported_pod", "kubernetes_pod_name", "k8s_pod_name", "pod_name", "pod")
_MOST_PODS = 20
_DERIVED = ("_bucket", "_sum", "_count", "_created")


async def diagnose(engine: PromQL, group: Group, namespace: str, pods: Sequence[str]) -> str:
    """Why an endpoint has no series, by what is there instead; empty when that is not clear.

    Raises `PrometheusError`.
    """
    some = "|".join(sorted(pods)[:_MOST_PODS])
    mine = (f'{group.namespace_label}="{namespace}"', f'{group.pod_label}=~"{some}"')
    known = "|".join(f"{prefix}.*" for prefix in _PREFIXES)
    selector = "{" + ", ".join((f'__name__=~"{known}"', *mine)) + "}"
    names = [
        one.labels.get("__name__", "") for one in await engine.query(f"topk(200, count by (__name__) ({selector}))")
    ]
    if names:
        return _other_names(group, sorted(names))
    alive = group.preset.alive[0]
    parts = [
        _part(f"topk(1, count by ({label}) ({_selector((alive,), (_like(label, some),))}))", label)
        for label in _POD_LABELS
        if label != group.pod_label
    ]
    labels = [one.labels.get(PART, "") for one in await engine.query(" or ".join(parts))]
    if labels:
        return f"series of {alive} name the pods in the label {labels[0]!r}: set spec.metrics.podLabel to it"
    scraped = await engine.query(f"max by ({group.pod_label}) (up{{{', '.join(mine)}}})")
    if any(one.value == 0 for one in scraped):
        return "Prometheus cannot scrape the target's pods (up is 0)"
    return "" if scraped else NOT_SCRAPED


def _like(label: str, pattern: str) -> str:
    return f'{label}=~"{pattern}"'


def _other_names(group: Group, names: Sequence[str]) -> str:
    prefix = group.preset.prefix
    if not any(name.startswith(prefix) for name in names):
        runtime = next((that for start, that in _PREFIXES.items() if re.match(start, names[0])), "another")
        return f"the pods export {names[0]} and others: is spec.runtime {runtime}?"
    missing = [those for those in group.preset.sums.values() if not set(those) & set(names)]
    wanted = " and ".join(those[0] for those in missing[:2])
    known = {name for those in (group.preset.sums, group.preset.peaks) for name in _names(those.values())}
    unknown = [name for name in names if name not in known and not name.endswith(_DERIVED)]
    if not wanted or not unknown:
        return ""
    shown = ", ".join(unknown[:5])
    return f"the pods export {shown}, but not {wanted}: have names changed? spec.metrics.queries can give them"
