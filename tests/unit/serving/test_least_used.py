"""Which pods are marked to go: the least used, never one that answers somebody, never over a user's own mark."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.serving.least_used import Candidate, choose


def pod(
    name: str, running: float | None = 0, used: float | None = 0.1, *, ready: bool = True, **more: object
) -> Candidate:
    return Candidate(name, name, ready, running, 0 if running is not None else None, used, **more)  # type: ignore[arg-type]


def names(pods: tuple[Candidate, ...]) -> list[str]:
    return [one.name for one in pods]


def test_the_least_used_go_first() -> None:
    found = choose([pod("a", used=0.5), pod("b", used=0.1), pod("c", used=0.3)], 2)
    assert (found.going, names(found.mark)) == (2, ["b", "c"])


def test_who_answers_somebody_stays_and_fewer_go() -> None:
    found = choose([pod("a", running=3), pod("b", running=1), pod("c")], 2)
    assert (found.going, names(found.mark)) == (1, ["c"])
    assert choose([pod("a", running=1), pod("b", running=1)], 1).going == 0


def test_pods_that_are_not_ready_go_by_themselves() -> None:
    found = choose([pod("a"), pod("new", ready=False, running=None), pod("b", used=0.0)], 2)
    assert (found.going, names(found.mark)) == (2, ["b"])


def test_a_pod_that_nobody_can_tell_of_goes_after_those_that_are_known_to_be_free() -> None:
    found = choose([pod("silent", running=None, used=None), pod("free", used=0.9)], 1)
    assert names(found.mark) == ["free"]


def test_marks_of_a_change_that_did_not_come_are_taken_back() -> None:
    old = pod("a", running=2, own_cost="-1000", ours=True)
    again = pod("b", own_cost="-1000", ours=True)
    found = choose([old, again, pod("c", used=0.9)], 1)
    assert (names(found.mark), names(found.unmark)) == ([], ["a"])


def test_a_users_mark_is_left_alone() -> None:
    found = choose([pod("a", own_cost="100"), pod("b", used=0.9)], 1)
    assert names(found.mark) == ["b"]
    assert found.unmark == ()


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        uid=st.uuids().map(str),
        name=st.text("abc", min_size=1, max_size=3),
        ready=st.booleans(),
        running=st.none() | st.integers(0, 3),
        waiting=st.none() | st.integers(0, 1),
        used=st.none() | st.floats(0, 1),
        own_cost=st.none() | st.just("5"),
    ),
    max_size=12,
    unique_by=lambda one: one.uid,
)


@given(CANDIDATES, st.integers(1, 12))
def test_nobody_who_answers_somebody_is_marked_and_never_too_many(pods: list[Candidate], count: int) -> None:
    found = choose(pods, count)
    assert not any(one.is_streaming for one in found.mark)
    assert len(found.mark) <= found.going <= count
    assert found == choose(list(reversed(pods)), count) or len({one.name for one in pods}) < len(pods)
