"""kill -9 at any moment: a move is finished once, and every GPU-second is booked once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import OperatorProcess, wait_for
from local.objects import run_for
from support.independent_count import IndependentCount, overlaps
from support.operator_world import GC_SECONDS, Team, assert_paid_exactly, closed, open_now, revive

pytestmark = pytest.mark.cluster

SHUTDOWN = {"shutdown": "1s", "grace": 10}


def suspended(team: Team) -> bool:
    """The first write of a move is there."""
    return team.job()["spec"]["suspend"] and "suspended-by" in team.notes()


def stopped(team: Team) -> bool:
    """All pods of the old place have ended."""
    return suspended(team) and not team.pods()


def resumed(team: Team) -> bool:
    """The last write of a move is there."""
    return not team.job()["spec"]["suspend"] and team.notes().get("placement") == "spot"


MOMENTS = {"suspended": suspended, "resumed": resumed}


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_move_cut_off_by_kill_9_is_finished_exactly_once(team: Team, operator: OperatorProcess, moment: str) -> None:
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    operator.start()
    with IndependentCount(team.cluster, team.namespace) as count:
        team.train(schedule={"windows": [closed()]}, template=team.template(**SHUTDOWN))
        team.until_runs_on(dear)
        first = team.job()["metadata"]["uid"]

        team.change(schedule={"windows": [open_now()]})
        wait_for(lambda: MOMENTS[moment](team), 20, moment, interval=0.01)
        operator.kill9()
        if moment == "suspended":
            wait_for(lambda: stopped(team), 20, "the pods end without the operator")
        operator.start()

        team.until_runs_on(cheap)
        wait_for(lambda: team.condition("Migrating")["status"] == "False", 20, "the move is over")
        wait_for(lambda: team.events("MovedToSpot"), 20, "the move is told")
        team.change(suspend=True)
        wait_for(lambda: not team.pods(), 20, "all have ended")
        wait_for(lambda: len(count.gone) == 2, 10, "the second count saw two pods end")

    assert team.job()["metadata"]["uid"] == first
    assert len(team.cluster.api.list(team.path("jobs"))) == 1
    assert len(team.events("MovedToSpot")) == len(team.events("WindowOpened")) == 1
    assert not [e for e in team.events() if e.get("series")]
    assert [stay.node for stay in count.stays()] == [dear, cheap]
    assert overlaps(count.stays()) == []
    assert_paid_exactly(operator.api_url, team, count)


def test_a_move_under_a_deadline_and_a_due_run_cut_off_by_kill_9_are_each_done_once(
    team: Team, operator: OperatorProcess
) -> None:
    dear = team.add_node("on-demand")
    nightly = team.template(**SHUTDOWN)
    nightly["metadata"]["annotations"] |= run_for(1)
    operator.start()
    due = datetime.now(UTC) + timedelta(seconds=65)  # the minute that begins in 5 to 65 s
    with IndependentCount(team.cluster, team.namespace) as count:
        team.train("nightly", template=nightly, schedule={"runs": {"cron": f"{due.minute} {due.hour} * * *"}})
        placement = {"policy": "Auto", "schedulingTimeout": "1s"}
        deadline = {"completeBy": after(hours=4), "expectedDuration": "3h"}
        team.train(template=team.template(**SHUTDOWN), placement=placement, **deadline)
        wait_for(lambda: team.notes().get("placement") == "spot", 20, "it asks for spot, and there is none")

        team.change(completeBy=after(hours=3, minutes=10))
        _cut_off(operator, {"the move": lambda: suspended(team), "the run": lambda: bool(_runs(team))})

        team.until_runs_on(dear)
        wait_for(lambda: team.condition("Migrating")["status"] == "False", 20, "the move is over")
        [run] = _runs(team)
        name = run["metadata"]["name"]
        wait_for(lambda: team.condition("Complete", name).get("status") == "True", 30, f"{name} is complete")
        wait_for(lambda: team.events("RunStarted", "nightly"), 20, "the run is told")
        last = wait_for(lambda: _ended(team), 20, lambda: str(team.status("nightly")))
        team.change(suspend=True)
        wait_for(lambda: not team.pods(), 20, "all have ended")
        wait_for(lambda: len(count.gone) >= 1 and count.settled(), 10, "the second count saw it")

    assert (last["name"], len(_runs(team))) == (name, 1)
    assert sorted(job["metadata"]["name"] for job in team.cluster.api.list(team.path("jobs"))) == sorted(["bert", name])
    assert team.notes()["move-reason"] in {"DeadlineNear", "DeadlineOutOfReach"}
    assert len(team.events("MovedToOnDemand")) == len(team.events("RunStarted", "nightly")) == 1
    assert not [e for e in (*team.events(), *team.events(name="nightly")) if e.get("series")]
    assert [stay.node for stay in count.stays()] == [dear, dear]
    assert_paid_exactly(operator.api_url, team, count)


def after(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut_off(operator: OperatorProcess, moments: dict[str, Callable[[], bool]]) -> None:
    """Kill the operator in each of some moments, in whatever order they come, and start it again."""
    left = dict(moments)

    def come() -> list[str]:
        return [name for name, came in left.items() if came()]

    while left:
        found = wait_for(come, 80, str(list(left)), interval=0.002)
        operator.kill9()
        for name in found:
            del left[name]
        operator.start()


def _runs(team: Team) -> list[dict[str, Any]]:
    return team.cluster.api.list(team.path("trainingjobs") + "?labelSelector=gpucost.dev/scheduled-by%3Dnightly")


def _ended(team: Team) -> dict[str, Any] | None:
    """The last run as its schedule shows it, once that is complete."""
    last: dict[str, Any] = team.status("nightly").get("runs", {}).get("last", {})
    return last if last.get("result") == "Complete" else None


def test_a_creation_cut_off_by_kill_9_makes_one_job(team: Team, operator: OperatorProcess) -> None:
    node = team.add_node()
    operator.start()
    team.train(workers=2)
    wait_for(lambda: team.find("jobs", "bert") or team.find("services", "bert"), 20, "it begins", interval=0.002)

    operator.kill9()
    operator.start()

    team.until_runs_on(node, workers=2)
    assert len(team.cluster.api.list(team.path("jobs"))) == 1
    assert len(team.pods()) == 2


def test_kill_9_in_the_middle_of_ledger_writes_loses_and_doubles_nothing(team: Team, operator: OperatorProcess) -> None:
    operator.start()
    _knows_where_it_stands(operator)
    node = team.add_node(gpus=8)
    with IndependentCount(team.cluster, team.namespace) as count:
        for round_ in range(4):
            for index in range(3):
                template = team.template(gpus=1 + index % 2)
                template["metadata"]["annotations"] |= run_for(1 + index)
                team.train(f"run-{round_}-{index}", template=template)
            wait_for(_writes(operator), 20, "the ledger is being written", interval=0.001)
            operator.kill9()
            operator.start(wait=round_ % 2 == 0)
        operator.wait_ready()
        wait_for(lambda: _all_complete(team, 12), 60, "all runs are complete")
        wait_for(count.settled, 10, "the second count has seen everything")

        assert {stay.node for stay in count.stays()} == {node}
        assert len(count.stays()) == 12
        assert all(stay.end is not None for stay in count.stays())
        found = assert_paid_exactly(operator.api_url, team, count)
    assert found["quality"]["gaps"] == 0


def test_what_happens_while_the_operator_is_down_is_booked_from_the_servers_history(
    team: Team, operator: OperatorProcess
) -> None:
    operator.start()
    _knows_where_it_stands(operator)
    team.add_node(gpus=8)  # after the start: what was on it before that would be unknown
    with IndependentCount(team.cluster, team.namespace) as count:
        team.train("ends", template=team.template(shutdown="1s"))
        team.until("Ready", "Running", "ends")
        operator.kill9()
        team.cluster.api.delete(team.path("trainingjobs", "ends"), propagationPolicy="Background")
        wait_for(lambda: not team.pods("ends"), GC_SECONDS, "deletion needs no operator")
        assert team.find("jobs", "ends") is None
        wait_for(lambda: len(count.gone) == 1, 10, "the second count saw it end")

        operator.start()

        found = assert_paid_exactly(operator.api_url, team, count)
    [item] = found["items"]
    assert (item["workload"] or "TrainingJob/ends") == "TrainingJob/ends"
    assert found["quality"]["gaps"] == 0


def test_workloads_run_on_and_their_service_goes_with_them_while_the_operator_is_down(
    team: Team, operator: OperatorProcess
) -> None:
    node = team.add_node()
    operator.start()
    team.train(workers=2)
    team.until_runs_on(node, workers=2)

    operator.kill9()

    assert len(team.running()) == 2
    team.cluster.api.delete(team.path("trainingjobs", "bert"))
    wait_for(lambda: team.find("trainingjobs", "bert") is None, 10, "no finalizer holds it")
    wait_for(lambda: team.find("jobs", "bert") is None, GC_SECONDS, "the Job is gone")
    wait_for(lambda: team.find("services", "bert") is None, GC_SECONDS, "the Service is gone")
    wait_for(lambda: not team.pods(), GC_SECONDS, "the pods are gone")


def test_a_move_is_finished_after_the_api_server_has_restarted_in_the_middle_of_it(
    team: Team, operator: OperatorProcess
) -> None:
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    operator.start()
    team.train(schedule={"windows": [closed()]}, template=team.template(**SHUTDOWN))
    team.until_runs_on(dear)
    first = team.job()["metadata"]["uid"]
    team.change(schedule={"windows": [open_now()]})
    wait_for(lambda: suspended(team), 20, "suspended", interval=0.01)

    team.cluster.restart_apiserver()

    wait_for(lambda: (revive(operator), resumed(team))[1], 60, "the move goes on")
    team.until_runs_on(cheap)
    wait_for(lambda: team.events("MovedToSpot"), 20, "the move is told")
    assert team.job()["metadata"]["uid"] == first
    assert len(team.events("MovedToSpot")) == 1


def _writes(operator: OperatorProcess) -> Callable[[], bool]:
    """Whether the ledger has grown or changed since now: somebody is in the middle of writing it."""
    wal = operator.ledger.with_name(operator.ledger.name + "-wal")

    def state() -> tuple[int, int]:
        found = wal.stat() if wal.exists() else None
        return (found.st_size, found.st_mtime_ns) if found else (0, 0)

    before = state()
    return lambda: state() != before


def _knows_where_it_stands(operator: OperatorProcess) -> None:
    """Wait for its first mark: a pod that another test left on a node that is gone may hold it back for ten seconds.

    Whoever is killed before that knows nothing of the time before, and rightly says so in a gap.
    """

    def marked() -> bool:
        with closing(sqlite3.connect(f"file:{operator.ledger}?mode=ro", uri=True)) as ledger:
            found = ledger.execute("SELECT value FROM marks WHERE name = 'resource-version-pods'").fetchone()
        return found is not None and bool(found[0])

    wait_for(marked, 30, "the first mark is written")


def _all_complete(team: Team, number: int) -> bool:
    runs = team.cluster.api.list(team.path("trainingjobs"))
    ends = [c for run in runs for c in run.get("status", {}).get("conditions", ()) if c["type"] == "Complete"]
    return len(runs) == number and [c["status"] for c in ends] == ["True"] * number
