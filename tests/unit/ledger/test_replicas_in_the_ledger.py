"""What replicas have cost and would have cost survives a restart in both databases, and long ago is kept by days."""

from __future__ import annotations

from dataclasses import replace

from gpucost.core.clock import DAY, HOUR
from gpucost.core.serving.counterfactual import Hour
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.ledger.replicas import GONE, SAVED, Booked, Note

T0 = 20_000 * DAY
ONE = Hour(T0, applied=True, known=HOUR, paid=10**25, unit=5, before_paid=7, before=9, hpa=3, most=4)


def booked(hour: int, uid: str = "iep-1", *, applied: bool = True) -> Booked:
    return Booked(uid, "prod", "llama", replace(ONE, hour=T0 + hour * HOUR, applied=applied))


def test_hours_come_back_as_they_were(url: str) -> None:
    with Ledger(url) as ledger:
        ledger.replicas.record([booked(0), booked(1, applied=False), booked(1)], [Note("iep-1", "before", "6")])
        again = booked(1)._replace(hour=replace(ONE, hour=T0 + HOUR, paid=11))
        ledger.replicas.record([again, booked(2, "iep-2")._replace(namespace="other")], [Note("iep-1", "before", "7")])
    with Ledger(url) as ledger, Ledger(url, cluster="other") as other:
        found = ledger.replicas.hours(Interval(T0, T0 + DAY))
        key = lambda one: (one.uid, one.hour.hour, one.hour.applied)  # noqa: E731
        assert sorted(found, key=key) == [
            booked(0),
            booked(1, applied=False),
            again,
            booked(2, "iep-2")._replace(namespace="other"),
        ]
        assert [one.uid for one in ledger.replicas.hours(Interval(T0, T0 + DAY), "other")] == ["iep-2"]
        assert ledger.replicas.hours(Interval(T0 + HOUR, T0 + HOUR)) == []
        assert ledger.replicas.notes("before") == {"iep-1": "7"}
        assert other.replicas.hours(Interval(0, T0 + DAY)) == []
        assert other.replicas.notes("before") == {}


def test_long_ago_is_kept_by_days_and_nothing_is_lost(url: str) -> None:
    hours = [*(booked(n) for n in range(50)), *(booked(n, applied=False) for n in range(3))]
    with Ledger(url) as ledger:
        ledger.replicas.record(hours, [Note("iep-1", "before", "6"), Note("gone", "before", "1")])
        for _ in range(2):
            ledger.replicas.tidy({"iep-1"}, T0 + 2 * DAY + HOUR)
            found = ledger.replicas.hours(Interval(T0, T0 + 3 * DAY))
            assert len(found) == 2 + 2 + 1  # two days and two hours of the third; one day of the other mode
            assert sum(one.hour.paid for one in found) == 53 * 10**25
            assert ledger.replicas.notes("before") == {"iep-1": "6"}


def test_what_endpoints_have_saved_outlives_them_as_one_sum(url: str) -> None:
    with Ledger(url) as ledger, Ledger(url, cluster="other") as other:
        other.replicas.record([], [Note("old-1", SAVED, "7")])
        for number in range(3):
            ledger.replicas.record([], [Note(f"old-{number}", SAVED, "100"), Note("iep-1", SAVED, "5")])
            ledger.replicas.tidy({"iep-1"}, T0)
            assert ledger.replicas.notes(SAVED) == {"iep-1": "5", GONE: str(100 * (number + 1))}
        assert other.replicas.notes(SAVED) == {"old-1": "7"}


def test_a_mark_that_says_nothing_is_taken_away(url: str) -> None:
    with Ledger(url) as ledger, Ledger(url, cluster="other") as other:
        for one in (ledger, other):
            one.record((), marks={"endpoint-learned/a": "x", "endpoint-learned/b": "y"})
        ledger.record((), marks={"endpoint-learned/a": "", "endpoint-learned/c": "z", "never": ""})
        assert ledger.marks() == {"endpoint-learned/b": "y", "endpoint-learned/c": "z"}
        assert ledger.marked("endpoint-learned/a") is None
        assert other.marks("endpoint") == {"endpoint-learned/a": "x", "endpoint-learned/b": "y"}
