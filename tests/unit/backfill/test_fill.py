"""What series tell of the past, worked out by hand: what is exact, what is bounded, what is unknown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from gpucost.core.backfill.fill import BEGAN, ENDED, NO_CAPACITY, NO_REQUESTS, NOTE, UNWATCHED, Known, fill
from gpucost.core.backfill.seen import Seen, SeenNode, SeenPod
from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType, Category, Gap, NodeFact, PodFact, Resources, Workload
from gpucost.core.timeline import Interval

T0 = 1_790_000_000 * SECOND // HOUR * HOUR
SPAN = Interval(T0, T0 + 4 * HOUR)
EVERY = 30 * SECOND
SLACK = 2 * SECOND
CPU = Resources(192_000, 2**41)
NODE = SeenNode(
    name="n1",
    created=T0 - HOUR,
    first=T0 + 10 * SECOND,
    last=SPAN.end - 20 * SECOND,
    capacity=CPU,
    labels={"node.kubernetes.io/instance-type": "p5.48xlarge", "karpenter.sh/capacity-type": "spot"},
    devices={"nvidia.com/gpu": 8},
)
POD = SeenPod(
    uid="p1",
    namespace="research",
    name="bert-0",
    node="n1",
    last=T0 + 2 * HOUR,
    owner=("Job", "bert"),
    scheduled=T0 + HOUR,
    requests=Resources(4000, 2**30),
    devices={"nvidia.com/gpu": 4},
)
RECORDED = NodeFact("real-1", "n1", T0 - HOUR, None, replace(CPU, gpus=8))


def seen(*pods: SeenPod, nodes: tuple[SeenNode, ...] = (NODE,), **more: object) -> Seen:
    return Seen(span=SPAN, interval=EVERY, nodes=nodes, pods=pods, **more)  # type: ignore[arg-type]


def known(**more: object) -> Known:
    return Known(until=SPAN.end, **more)  # type: ignore[arg-type]


def gaps_of(made: object, uid: str) -> list[tuple[int, int, str]]:
    return [(gap.span.start, gap.span.end, gap.reason) for gap in made.gaps if gap.uid == uid]  # type: ignore[attr-defined]


def stored(end: int, **more: object) -> PodFact:
    fact = PodFact("p1", "research", "bert-0", Workload("Job", "bert"), Category.TRAINING, "real-1", T0 + HOUR, end,
                   Resources(4000, 2**30, 4))  # fmt: skip
    return replace(fact, **more)  # type: ignore[arg-type]


# --- pods -------------------------------------------------------------------------------------------------------------


def test_a_pod_that_was_deleted_ended_between_its_last_scrape_and_the_next() -> None:
    made = fill(seen(POD), known())

    [pod] = made.pods
    assert (pod.start, pod.end, pod.end_reason) == (T0 + HOUR, POD.last, "vanished")
    assert pod.requests == Resources(4000, 2**30, 4)
    assert pod.workload == Workload("Job", "bert")
    assert pod.category is Category.TRAINING
    assert pod.note == NOTE
    assert gaps_of(made, "p1") == [(POD.last, POD.last + EVERY + SLACK, ENDED)]


def test_a_pod_whose_completion_was_recorded_ends_exactly_then() -> None:
    done = replace(POD, phase="Succeeded", completed=T0 + 90 * MINUTE)

    made = fill(seen(done), known())

    assert [(pod.end, pod.end_reason) for pod in made.pods] == [(T0 + 90 * MINUTE, "Succeeded")]
    assert gaps_of(made, "p1") == []


def test_a_container_that_ended_while_another_ran_on_ends_no_pod() -> None:
    made = fill(seen(replace(POD, completed=T0 + 90 * MINUTE)), known())

    assert [pod.end for pod in made.pods] == [POD.last]


def test_a_pod_under_deletion_without_a_running_container_ended_with_its_last() -> None:
    stopped = replace(POD, deleting=True, completed=POD.last - 3 * SECOND)

    assert [pod.end for pod in fill(seen(stopped), known()).pods] == [POD.last - 3 * SECOND]
    assert [pod.end for pod in fill(seen(replace(stopped, running=True)), known()).pods] == [POD.last]


def test_a_pod_older_than_the_span_begins_when_it_was_scheduled() -> None:
    made = fill(seen(replace(POD, scheduled=T0 - 40 * MINUTE)), known())

    assert [pod.start for pod in made.pods] == [T0 - 40 * MINUTE]


def test_a_pod_without_any_exact_start_begins_between_two_scrapes() -> None:
    first = T0 + HOUR + 7 * SECOND
    made = fill(seen(replace(POD, scheduled=None, first=first, created=T0 + HOUR - MINUTE)), known())

    assert [pod.start for pod in made.pods] == [first]
    assert (first - EVERY, first, BEGAN) in gaps_of(made, "p1")


def test_such_a_pod_begins_earlier_when_an_older_span_shows_it_too() -> None:
    earlier = T0 + 20 * MINUTE
    old = stored(SPAN.end + HOUR, start=SPAN.end + 5 * SECOND, note=NOTE)
    gap = Gap("p1", Interval(SPAN.end - 25 * SECOND, SPAN.end + 5 * SECOND), BEGAN)

    made = fill(seen(replace(POD, scheduled=None, first=earlier)), known(pods={"p1": old}, gaps={"p1": [gap]}))

    assert [pod.start for pod in made.pods] == [earlier]
    assert made.closed == [gap]
    assert gaps_of(made, "p1") == [(earlier - EVERY, earlier, BEGAN)]


def test_the_end_of_a_pod_is_unknown_over_a_hole_in_the_scrapes() -> None:
    hole = Interval(POD.last + 5 * SECOND, T0 + 3 * HOUR)

    made = fill(seen(POD, holes=(hole,)), known())

    assert gaps_of(made, "p1") == [(POD.last, hole.end + SLACK, ENDED)]


def test_the_end_of_a_pod_is_unknown_up_to_the_first_scrape_of_a_later_span() -> None:
    last = SPAN.end - 20 * SECOND

    made = fill(seen(replace(POD, last=last), next_scrape=SPAN.end + HOUR), Known(until=SPAN.end + 9 * HOUR))

    assert gaps_of(made, "p1") == [(last, SPAN.end + HOUR + SLACK, ENDED)]


def test_nothing_that_is_filled_in_lasts_longer_than_until_somebody_watches_again() -> None:
    last = SPAN.end - 20 * SECOND

    made = fill(seen(replace(POD, last=last)), known())

    assert gaps_of(made, "p1") == [(last, SPAN.end, ENDED)]


@pytest.mark.parametrize("alive", [frozenset({"p1"}), frozenset()])
def test_better_sources_win(alive: frozenset[str]) -> None:
    exact = {} if alive else {"p1": stored(T0 + 100 * MINUTE)}

    made = fill(seen(POD), known(alive=alive, pods=exact, nodes=[RECORDED]))

    assert made.pods == []


def test_a_pod_whose_end_nobody_saw_is_known_better_from_series() -> None:
    stopped = T0 + 90 * MINUTE
    gap = Gap("p1", Interval(stopped, SPAN.end), "deleted while the operator was not watching")
    better = known(pods={"p1": stored(stopped)}, gaps={"p1": [gap]}, nodes=[RECORDED])

    made = fill(seen(POD), better)

    assert [pod.end for pod in made.pods] == [POD.last]
    assert made.closed == [gap]
    assert gaps_of(made, "p1") == [(POD.last, POD.last + EVERY + SLACK, ENDED)]


def test_a_pod_whose_end_nobody_saw_may_turn_out_to_be_exact() -> None:
    stopped, done = T0 + 90 * MINUTE, T0 + 100 * MINUTE
    gap = Gap("p1", Interval(stopped, SPAN.end), "deleted while the operator was not watching")
    better = known(pods={"p1": stored(stopped)}, gaps={"p1": [gap]}, nodes=[RECORDED])

    made = fill(seen(replace(POD, phase="Failed", completed=done)), better)

    assert [(pod.end, pod.end_reason) for pod in made.pods] == [(done, "Failed")]
    assert made.closed == [gap]
    assert gaps_of(made, "p1") == []


def test_an_older_span_does_not_touch_what_a_newer_one_has_settled() -> None:
    end = SPAN.end + 10 * SECOND
    gap = Gap("p1", Interval(end, end + EVERY + SLACK), ENDED)
    early = Gap("p1", Interval(SPAN.end, SPAN.end + HOUR), "deleted while the operator was not watching")

    for fact, one in ((stored(end), gap), (stored(SPAN.end), early)):
        made = fill(seen(replace(POD, last=SPAN.end - SECOND)), known(pods={"p1": fact}, gaps={"p1": [one]}))
        assert (made.pods, made.closed, gaps_of(made, "p1")) == ([], [], [])


def test_a_pod_on_a_node_that_nobody_recorded_is_dropped_and_counted() -> None:
    made = fill(seen(replace(POD, node="elsewhere")), known())

    assert made.pods == []
    assert made.dropped == {"pod on a node that nobody recorded": 1}


def test_a_pod_whose_requests_nobody_recorded_is_unknown_not_free() -> None:
    made = fill(seen(replace(POD, requests=None)), known(nodes=[RECORDED]))

    assert made.pods == []
    for uid in ("p1", "real-1"):
        assert gaps_of(made, uid) == [(T0 + HOUR, POD.last + EVERY + SLACK, NO_REQUESTS)]


def test_a_slice_of_a_gpu_counts_for_what_it_is_of_its_node() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "1"}
    node = replace(NODE, devices={"nvidia.com/mig-3g.40gb": 2}, labels=labels)

    made = fill(seen(replace(POD, devices={"nvidia.com/mig-3g.40gb": 1}), nodes=(node,)), known())

    assert [pod.requests.gpus for pod in made.pods] == [Fraction(1, 2)]  # 4 of 8 parts of the memory


def test_a_slice_whose_size_cannot_be_known_is_unknown() -> None:
    node = replace(NODE, devices={"nvidia.com/mig-3g.40gb": 2}, labels={})

    made = fill(seen(replace(POD, devices={"nvidia.com/mig-3g.40gb": 1}), nodes=(node,)), known())

    assert made.pods == []
    assert [gap.reason for gap in made.gaps if gap.uid == "p1"] == [made.gaps[0].reason]


def test_clocks_that_differ_make_no_negative_time() -> None:
    ahead = replace(POD, scheduled=POD.last + 20 * SECOND)

    [pod] = fill(seen(ahead), known()).pods

    assert (pod.start, pod.end) == (POD.last + 20 * SECOND, POD.last + 20 * SECOND)


def test_a_completion_before_the_start_is_no_end() -> None:
    absurd = replace(POD, phase="Succeeded", completed=T0)

    assert [pod.end for pod in fill(seen(absurd), known()).pods] == [POD.last]


# --- nodes ------------------------------------------------------------------------------------------------------------


def test_a_node_that_is_gone_lived_from_its_creation_to_its_last_scrape() -> None:
    made = fill(seen(nodes=(replace(NODE, last=T0 + 2 * HOUR),)), known())

    [node] = made.nodes
    assert (node.start, node.end) == (T0 - HOUR, T0 + 2 * HOUR)
    assert (node.instance_type, node.capacity_type) == ("p5.48xlarge", CapacityType.SPOT)
    assert node.capacity == Resources(192_000, 2**41, 8)
    assert gaps_of(made, node.uid) == [
        (T0 + 2 * HOUR, T0 + 2 * HOUR + EVERY + SLACK, ENDED),
        (T0 - HOUR, T0, UNWATCHED),  # until that hour is read too
    ]


def test_a_made_up_identity_is_the_same_at_every_reading() -> None:
    [one] = fill(seen(nodes=(NODE,)), known()).nodes
    [other] = fill(seen(nodes=(replace(NODE, last=T0 + HOUR, labels={}),)), known()).nodes
    [later] = fill(seen(nodes=(replace(NODE, created=T0),)), known()).nodes

    assert one.uid == other.uid != later.uid


def test_a_node_replaced_under_its_name_is_two_and_each_has_its_pods() -> None:
    first = replace(NODE, last=T0 + 2 * HOUR)
    second = replace(NODE, created=T0 + 150 * MINUTE, first=T0 + 151 * MINUTE)
    late = replace(POD, uid="p2", scheduled=T0 + 3 * HOUR, last=T0 + 200 * MINUTE)

    made = fill(seen(POD, late, nodes=(first, second)), known())

    old, new = made.nodes
    assert old.uid != new.uid
    assert {pod.uid: pod.node_uid for pod in made.pods} == {"p1": old.uid, "p2": new.uid}


def test_a_node_that_still_exists_keeps_its_own_identity() -> None:
    made = fill(seen(POD), known(nodes=[RECORDED], alive=frozenset({"real-1"})))

    assert made.nodes == []
    assert [pod.node_uid for pod in made.pods] == ["real-1"]


def test_a_node_whose_size_nobody_recorded_is_unknown() -> None:
    made = fill(seen(POD, nodes=(replace(NODE, capacity=None),)), known())

    assert (made.nodes, made.pods) == ([], [])
    assert [gap.reason for gap in made.gaps] == [NO_CAPACITY]


def test_reading_a_span_takes_its_unwatched_time_away_except_for_holes() -> None:
    hole = Interval(T0 + HOUR, T0 + HOUR + 10 * MINUTE)
    gap = Gap("real-1", Interval(T0 - HOUR, SPAN.end), UNWATCHED)

    made = fill(seen(holes=(hole,)), known(nodes=[RECORDED], gaps={"real-1": [gap]}))

    assert gaps_of(made, "real-1") == [(T0 - HOUR, T0, UNWATCHED), (*hole, UNWATCHED)]
    assert made.closed == []


def test_a_span_without_any_series_stays_unwatched_and_joins_what_comes_after() -> None:
    after = Gap("real-1", Interval(SPAN.end, SPAN.end + HOUR), UNWATCHED)
    before = Gap("real-1", Interval(T0 - HOUR, SPAN.end), UNWATCHED)

    made = fill(seen(nodes=(), holes=(SPAN,)), known(nodes=[RECORDED], gaps={"real-1": [before, after]}))

    assert gaps_of(made, "real-1") == [(T0 - HOUR, SPAN.end + HOUR, UNWATCHED)]
    assert made.closed == [after]


def test_where_the_api_server_told_everything_series_add_nothing() -> None:
    made = fill(seen(POD, holes=(SPAN,)), known(nodes=[RECORDED], watched=True))

    assert (made.nodes, made.pods, made.gaps) == ([], [], [])


def test_an_empty_past_is_no_error() -> None:
    made = fill(Seen(span=SPAN, interval=EVERY), known())

    assert (made.nodes, made.pods, made.gaps, made.closed) == ([], [], [], [])
