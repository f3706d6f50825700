"""Pods on nodes that nobody knows must neither hold back the marks nor be forgotten."""

from __future__ import annotations

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType, Category, Gap, NodeFact, Pod, PodFact, Resources, Workload
from gpucost.core.timeline import Interval
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.recovery import UNSEEN, Past, recover
from gpucost.runtime.world import World
from gpucost.sources.reflector import Change

NOW = 1_793_491_200 * SECOND
GPUS = Resources(1000, 0, 4)
BERT = Workload("TrainingJob", "bert")


def recorder() -> Recorder:
    return Recorder(World(), lambda: NOW, lambda _fact, _node: [])


def seen(books: Recorder, bound: int) -> None:
    pod = Pod("p1", "p1", "research", bound, GPUS, node_name="gone", bound=bound)
    books.world.pods["p1"] = pod
    books.pod_changed(Change(None, pod))


def test_a_pod_just_bound_holds_the_marks_back_until_its_node_is_known():
    books = recorder()
    seen(books, NOW - SECOND)
    assert books.drain() == ([], {}, False)


def test_a_pod_on_a_node_that_was_gone_before_we_came_holds_nothing_back():
    books = recorder()
    seen(books, NOW - MINUTE)
    for _ in range(2):
        assert books.drain() == ([], {}, True)


def test_without_marks_whatever_is_gone_is_a_gap_from_its_beginning():
    node = NodeFact("n1", "gpu-0", NOW - 2 * HOUR, None, Resources(8000, 0, 8), capacity_type=CapacityType.SPOT)
    pod = PodFact("p1", "research", "p1", BERT, Category.TRAINING, "n1", NOW - HOUR, None, GPUS)
    books = recorder()
    recover(books.world, books, Past(0, {"n1": node}, {"p1": pod}, None, None))
    facts, _, _ = books.drain()
    ends = {fact.uid: fact.end for fact in facts if isinstance(fact, NodeFact | PodFact)}
    assert ends == {"n1": node.start, "p1": pod.start}
    gaps = [fact for fact in facts if isinstance(fact, Gap)]
    assert gaps == [
        Gap("n1", Interval(node.start, NOW), UNSEEN),
        Gap("p1", Interval(pod.start, NOW), UNSEEN),
    ]
