"""What was added up of a pod's activity before never shows in what is asked later."""

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.activity import Activity

INSTANTS = st.integers(0, 12)
PUTS = st.tuples(st.just("put"), INSTANTS, st.none() | st.integers(0, 3))
ASKS = st.tuples(st.just("ask"), INSTANTS, INSTANTS)


def by_hand(values: dict[int, int | None], start: int, end: int) -> tuple[int, int]:
    in_force = [
        values[max(at for at in values if at <= t)] if min(values, default=99) <= t else None for t in range(end)
    ]
    known = [value for value in in_force[start:] if value is not None]
    return len(known), sum(known)


@given(st.lists(PUTS | ASKS, max_size=30))
def test_an_integral_is_the_same_whatever_was_asked_before(steps):
    activity, values = Activity(), {}
    for what, at, other in steps:
        if what == "put":
            activity.put(at, other)
            values[at] = other
        else:
            assert activity.integral(at, other) == by_hand(values, at, other)
