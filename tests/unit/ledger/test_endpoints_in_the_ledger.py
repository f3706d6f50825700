"""What endpoints did survives a restart, in both databases; what their pods cost by the hour adds up to the report."""

from __future__ import annotations

from itertools import pairwise

from gpucost.core.clock import DAY, HOUR, MINUTE
from gpucost.core.model import Workload
from gpucost.core.serving.quiet_times import QuietTimes
from gpucost.core.serving.ready_times import Start
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.serving.work_json import Memory
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from support.ledger_world import at, busy, node, pod, price, span

LLAMA = Workload("Job", "llama")
DONE = WorkHour(HOUR, 0, HOUR, MINUTE, 5, Work(7.0, 10.5, None, 3.0), {"red": Work(1.0), "": Work(2.0)})
MEMORY = Memory(
    (Start("a", 1, None, 5, True), Start("b", 2, 3, 9, False)),
    QuietTimes(DAY, HOUR, 12.5, (Interval(1, 9), Interval(20, 30)), 40, False, True, 44),
)


def test_what_endpoints_did_comes_back_as_it_was(url: str) -> None:
    with Ledger(url) as ledger:
        for done in (WorkHour(covered=1), DONE):
            ledger.endpoints.record({("iep", HOUR): done, ("iep", 3 * HOUR): done}, {"iep": MEMORY, "old": Memory()})
    with Ledger(url) as ledger, Ledger(url, cluster="other") as other:
        found = ledger.endpoints
        assert found.hours("iep", Interval(0, 3 * HOUR)) == {HOUR: DONE}
        assert found.since(2 * HOUR) == {"iep": {3 * HOUR: DONE}}
        assert found.memories() == {"iep": MEMORY, "old": Memory()}
        assert other.endpoints.memories() == {}
        found.forget({"iep"}, 2 * HOUR)
        assert found.since(0) == {"iep": {3 * HOUR: DONE}}
        assert set(found.memories()) == {"iep"}


def test_hours_of_a_workload_add_up_to_its_report_wherever_they_are_kept(url: str) -> None:
    facts = [
        node("n1", gpus=8),
        price("20.10", node_uid="n1"),
        price("7.77", 3, node_uid="n1"),
        node("n2", gpus=3),
        price("1.000001", node_uid="n2"),
        pod("a", 0.3, gpus=3, workload="llama"),
        pod("b", 1.7, 4.1, gpus=1, node_uid="n2", workload="llama"),
        pod("c", gpus=2, workload="other"),
        busy("a", 0.5, 1),
    ]
    window = span(0, 6.5)
    with Ledger(url) as ledger:
        ledger.record(facts)
        opened = ledger.workload_hours("research", LLAMA, window, now=at(6.5))
        ledger.settle(at(6.5))
        settled = ledger.workload_hours("research", LLAMA, window, now=at(6.5))
        row = next(r for r in ledger.report(window, now=at(6.5), by="workload").rows if r.workload == LLAMA)
        assert opened.hours == settled.hours
        assert [cost.hour for cost in settled.hours] == [at(hour) for hour in range(7)]
        assert sum(cost.cost for cost in settled.hours) == row.amounts.cost
        assert sum(cost.held for cost in settled.hours) == row.amounts.held_time
        assert settled.rest == 0
        parts = [
            ledger.workload_hours("research", LLAMA, span(*part), now=at(6.5)) for part in pairwise([0, 1, 4, 6.5])
        ]
        assert sum(cost.cost for part in parts for cost in part.hours) == row.amounts.cost


def test_time_that_is_rolled_up_is_the_rest(url: str) -> None:
    with Ledger(url) as ledger:
        ledger.record([node("n1"), price("8"), pod("a", gpus=8, workload="llama")])
        ledger.settle(at(100))
        ledger.retire(at(100), 50 * HOUR, seconds=60)
        found = ledger.workload_hours("research", LLAMA, span(0, 100), now=at(100))
        assert found.row is not None
        assert (found.rest, len(found.hours)) == (400 * 10**12, 50)
        assert found.rest + sum(cost.cost for cost in found.hours) == found.row.amounts.cost


def test_a_workload_that_held_nothing_has_no_hours(url: str) -> None:
    with Ledger(url) as ledger:
        found = ledger.workload_hours("research", LLAMA, span(0, 5), now=at(5))
        assert (found.row, found.hours, found.rest) == (None, (), 0)
