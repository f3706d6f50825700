"""Events prove who was there when; series of GPUs say what pods of the past did. Worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from gpucost.core.backfill.activity import Track, activities
from gpucost.core.backfill.evidence import ONLY_EVENTS, Event, evidence, narrowed, node_narrowed, untold
from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339
from gpucost.core.model import Category, Gap, NodeFact, PodFact, Resources, UsageFact, Workload
from gpucost.core.sampling import SPAN
from gpucost.core.timeline import Interval
from gpucost.core.usage import ENGINE_ACTIVE
from gpucost.sources.cluster_events import event_record

T0 = 1_790_000_000 * SECOND // HOUR * HOUR
DOWN = Interval(T0, T0 + HOUR)
NODE = NodeFact("n-1", "n1", T0 - HOUR, T0, Resources(8000, 2**30, 8))
POD = PodFact("p1", "research", "bert-0", Workload("Job", "bert"), Category.TRAINING, "n-1", T0 - HOUR, T0,
              Resources(1000, 1, 1))  # fmt: skip
UNSEEN = Gap("p1", DOWN, "deleted while the operator was not watching")


def event(
    reason: str, minute: int, *, uid: str = "p1", kind: str = "Pod", name: str = "bert-0", text: str = ""
) -> Event:
    at = T0 + minute * MINUTE
    return Event(kind, uid, "research", name, reason, text, at, at)


def test_a_pod_was_there_when_its_containers_were_being_ended() -> None:
    told = narrowed(POD, UNSEEN, evidence([event("Killing", 10), event("Started", 5), event("FailedCreate", 50)]))

    assert told == (replace(POD, end=T0 + 10 * MINUTE), Gap("p1", Interval(T0 + 10 * MINUTE, DOWN.end), UNSEEN.reason))


def test_what_was_said_before_the_stop_is_nothing_new() -> None:
    assert narrowed(POD, UNSEEN, evidence([event("Killing", -1)])) is None
    assert narrowed(POD, UNSEEN, evidence([])) is None


def test_a_node_was_gone_when_its_removal_was_noticed() -> None:
    gap = Gap("n-1", DOWN, "deleted while the operator was not watching")
    found = evidence([event("RemovingNode", 20, kind="Node", uid="n1", name="n1")])

    assert node_narrowed(NODE, gap, found) == Gap("n-1", Interval(T0, T0 + 20 * MINUTE), gap.reason)
    assert node_narrowed(replace(NODE, name="other"), gap, found) is None


def test_a_pod_that_only_events_know_is_a_gap_on_itself_and_on_its_node() -> None:
    found = evidence([event("Scheduled", 30, uid="p9", text="Successfully assigned research/brief to n1")])

    unknown = Interval(T0 + 30 * MINUTE, DOWN.end)
    assert untold(found, DOWN, {"n1": NODE}, frozenset()) == [
        Gap("p9", unknown, ONLY_EVENTS),
        Gap("n-1", unknown, ONLY_EVENTS),
    ]
    assert untold(found, DOWN, {"n1": NODE}, frozenset({"p9"})) == []


def test_an_event_tells_its_times_in_one_of_three_ways() -> None:
    about = {"kind": "Pod", "uid": "p1", "namespace": "research", "name": "bert-0"}
    first, last = format_rfc3339(T0), format_rfc3339(T0 + MINUTE)
    body = {"metadata": {"creationTimestamp": first}, "involvedObject": about, "reason": "Killing"}

    old = event_record({**body, "firstTimestamp": first, "lastTimestamp": last})
    new = event_record({**body, "eventTime": first, "series": {"lastObservedTime": last}})
    bare = event_record(body)

    assert old is not None
    assert (old.first, old.last) == (T0, T0 + MINUTE)
    assert old == new
    assert bare is not None
    assert (bare.first, bare.last) == (T0, T0)
    assert event_record({"metadata": {}, "involvedObject": about}) is None


# --- activity ---------------------------------------------------------------------------------------------------------


def track(values: dict[int, float], pod: str = "bert-0", gpu: str = "GPU-1") -> Track:
    labels = {"namespace": "research", "pod": pod, "UUID": gpu, "modelName": "NVIDIA H100 80GB HBM3"}
    return Track(labels, {T0 + step * SPAN: value for step, value in values.items()})


def test_a_mean_of_five_minutes_holds_for_the_five_minutes_before_it() -> None:
    found = activities({ENGINE_ACTIVE: [track({1: 0.5, 2: 0.9})]}, [replace(POD, end=T0 + HOUR)], DOWN)

    assert found.facts == [
        UsageFact("p1", T0, 0.5),
        UsageFact("p1", T0 + SPAN, 0.9),
        UsageFact("p1", T0 + 2 * SPAN, None),
    ]


def test_what_is_known_when_a_span_ends_does_not_hold_on() -> None:
    steps = dict.fromkeys(range(1, 13), 0.5)

    found = activities({ENGINE_ACTIVE: [track(steps)]}, [replace(POD, end=None)], DOWN)

    assert found.facts == [UsageFact("p1", T0, 0.5), UsageFact("p1", DOWN.end - 1, None)]


def test_nobody_knows_whose_activity_it_was_where_two_bore_one_name() -> None:
    first = replace(POD, end=T0 + 2 * MINUTE)
    second = replace(POD, uid="p2", start=T0 + 3 * MINUTE, end=T0 + HOUR)

    found = activities({ENGINE_ACTIVE: [track({1: 0.5, 2: 0.7})]}, [first, second], DOWN)

    assert found.facts == [UsageFact("p2", T0 + SPAN, 0.7), UsageFact("p2", T0 + 2 * SPAN, None)]


def test_a_gpu_that_does_not_report_makes_the_pod_unknown() -> None:
    both = replace(POD, end=T0 + HOUR, requests=Resources(1000, 1, 2))

    assert activities({ENGINE_ACTIVE: [track({1: 0.5})]}, [both], DOWN).facts == []
