"""Which due times lead to a run: known answers, day by day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucost.core.actions import CreateTrainingJob
from gpucost.core.clock import DAY, HOUR, MINUTE, format_rfc3339, parse_rfc3339
from gpucost.core.model import Key, Unknown
from gpucost.core.training.runs.calendar import due, run_key, upcoming
from gpucost.core.training.runs.run import Result, outcome
from gpucost.core.training.runs.spec import Runs
from gpucost.core.training.spec import Schedule
from gpucost.core.training.validate import problems
from support.runs_world import RunsWorld, accuracy, nightly

NOON = parse_rfc3339("2026-11-24T12:00:00Z")


def world(spec=None, **fields) -> RunsWorld:  # type: ignore[no-untyped-def]
    return RunsWorld(spec or nightly(), NOON, **fields)


def firings(cron: str, zone: str, since: str, count: int) -> list[str]:
    moment, found = parse_rfc3339(since), []
    for _ in range(count):
        following = upcoming(Schedule(zone), Runs(cron), moment)
        assert following is not None
        moment = following
        found.append(format_rfc3339(moment))
    return found


# --- the calendar -----------------------------------------------------------------------------------------------------


def test_a_time_that_the_clocks_skip_is_due_right_after_and_one_that_comes_twice_is_due_once() -> None:
    assert firings("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3) == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]
    assert firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ]
    assert firings("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:10:00Z", 4) == [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T02:00:00Z",
    ]


def test_nothing_is_due_before_the_schedule_began_or_twice() -> None:
    schedule, runs = Schedule(), Runs("0 2 * * *")
    two = parse_rfc3339("2026-11-25T02:00:00Z")
    assert due(schedule, runs, NOON, two - 1) is None
    found = due(schedule, runs, NOON, two)
    assert found is not None
    assert (found.at, found.missed) == (two, 0)
    assert due(schedule, runs, two, two + DAY - 1) is None
    later = due(schedule, runs, NOON, two + 3 * DAY + HOUR)
    assert later is not None
    assert (later.at, later.missed, later.missed_last) == (two + 3 * DAY, 3, two + 2 * DAY)


def test_a_run_is_named_after_its_minute() -> None:
    assert run_key(Key("research", "bert"), parse_rfc3339("2026-11-25T02:00:00Z")) == Key("research", "bert-29926200")


def test_a_calendar_that_never_fires_is_a_problem_of_its_field() -> None:
    found = problems(nightly("0 0 30 2 *"), name="bert")
    assert [(one.field, "never fires" in one.message) for one in found] == [("spec.schedule.runs.cron", True)]
    assert problems(nightly(), name="b" * 54) == []
    assert [one.field for one in problems(nightly(), name="b" * 55)] == ["metadata.name"]


# --- due and worthwhile -----------------------------------------------------------------------------------------------


def test_a_changed_dataset_trains_and_an_unchanged_one_is_skipped_and_booked() -> None:
    bert = world()
    bert.days(1)
    assert [name for name, *_ in bert.made] == ["bert-29926200"]
    assert (bert.runs["last"]["result"], bert.runs["last"]["datasetVersion"]) == ("Complete", "1")
    bert.days(2)
    assert len(bert.made) == 1
    assert (bert.runs["skipped"], bert.runs["savedBySkipping"]) == (2, "10.000000")
    assert bert.runs["lastSkip"]["reason"] == "NothingNew"
    assert "still has version 1" in bert.runs["lastSkip"]["message"]
    bert.version = "2"
    bert.days(1)
    assert len(bert.made) == 2
    assert bert.runs["trainedVersion"] == "2"
    assert {name for name, _ in bert.events} == {"RunStarted", "RunSkipped"}


def test_a_run_that_was_made_before_a_crash_is_told_after_it_and_once() -> None:
    bert = world(nightly(dataset=None))
    bert.now += 14 * HOUR
    bert.operate(survive=1)
    assert (len(bert.made), bert.events) == (1, set())
    told = [bert.operate().events for _ in range(2)]
    assert [[note.reason for note in notes] for notes in told] == [["RunStarted"], []]
    assert bert.events == {("RunStarted", format_rfc3339(bert.made[0][1]))}
    assert bert.made[0][0] in told[0][0].message


def test_a_quality_under_its_limit_trains_though_the_dataset_is_the_same() -> None:
    bert = world(nightly(quality=accuracy()))
    bert.days(2)
    assert len(bert.made) == 1
    bert.quality = 0.89
    bert.days(1)
    assert len(bert.made) == 2
    bert.quality = 0.9
    bert.days(1)
    assert len(bert.made) == 2


def test_without_anything_to_judge_by_every_due_run_starts() -> None:
    bert = world(nightly(dataset=None))
    bert.days(3)
    assert len(bert.made) == 3


@pytest.mark.parametrize("quality", [Unknown("Prometheus does not answer"), float("nan")])
def test_an_unknown_quality_neither_trains_nor_is_called_a_skip(quality: object) -> None:
    bert = world(nightly(dataset=None, quality=accuracy()), quality=quality)
    bert.pass_by(14 * HOUR, 30 * MINUTE)
    assert bert.made == []
    assert bert.ready() == "WorthUnknown"
    bert.pass_by(3 * HOUR, 30 * MINUTE)
    assert (bert.runs["skipped"], bert.runs["missed"]) == (0, 1)
    assert "savedBySkipping" not in bert.runs
    assert bert.runs["lastSkip"]["reason"] == "WorthUnknown"
    bert.quality = 0.1
    bert.days(1)
    assert len(bert.made) == 1


def test_an_answer_that_comes_within_the_deadline_decides() -> None:
    bert = world(version=Unknown("there is no ConfigMap datasets"))
    bert.pass_by(14 * HOUR + 30 * MINUTE, 30 * MINUTE)
    assert bert.ready() == "WorthUnknown"
    bert.version = "7"
    bert.pass_by(30 * MINUTE, 10 * MINUTE)
    assert [due for _, due, _ in bert.made] == [parse_rfc3339("2026-11-25T02:00:00Z")]


def test_a_changed_dataset_is_enough_though_the_quality_is_unknown() -> None:
    bert = world(nightly(quality=accuracy()), quality=Unknown("no series"))
    bert.days(1)
    assert len(bert.made) == 1


def test_at_least_every_so_often_a_run_starts_whatever_is_known() -> None:
    bert = world(nightly(at_least_every=72 * HOUR))
    bert.days(6)
    assert [format_rfc3339(due) for _, due, _ in bert.made] == ["2026-11-25T02:00:00Z", "2026-11-28T02:00:00Z"]
    blind = world(nightly(at_least_every=48 * HOUR), version=Unknown("no ConfigMap"))
    blind.days(4)
    assert len(blind.made) == 1


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_keeps_the_next_one_waiting_until_its_deadline() -> None:
    bert = world(nightly(dataset=None, starting_deadline=6 * HOUR))
    bert.pass_by(15 * HOUR, ending=False)
    bert.pass_by(DAY, ending=False)
    assert bert.ready() == "RunActive"
    assert len(bert.made) == 1
    bert.end()
    bert.pass_by(HOUR)
    assert [due for _, due, _ in bert.made][1:] == [parse_rfc3339("2026-11-26T02:00:00Z")]
    bert.pass_by(2 * DAY + 6 * HOUR, ending=False)
    assert (bert.runs["missed"], len(bert.made)) == (1, 3)


@pytest.mark.parametrize("result", [Result.FAILED, Result.STOPPED])
def test_a_run_that_failed_or_was_stopped_early_is_over(result: Result) -> None:
    bert = world()
    bert.pass_by(15 * HOUR, ending=False)
    bert.end(result)
    bert.days(1)
    retried = result is Result.FAILED
    assert len(bert.made) == (2 if retried else 1), "a version on which training failed was not trained on"
    assert (("RunFailed", "run-1") in bert.events) == retried


def test_of_several_that_were_missed_at_most_the_last_starts() -> None:
    bert = world(nightly(dataset=None))
    bert.now += 3 * DAY - 10 * HOUR + 30 * MINUTE  # 02:30 of the third night
    bert.operate()
    assert [format_rfc3339(due) for _, due, _ in bert.made] == ["2026-11-27T02:00:00Z"]
    assert bert.runs["missed"] == 2
    late = world(nightly(dataset=None))
    late.now += 3 * DAY
    late.operate()
    assert (late.made, late.runs["missed"], late.runs["lastSkip"]["reason"]) == ([], 3, "Missed")


def test_a_suspended_schedule_makes_nothing_and_misses_nothing() -> None:
    bert = world(nightly(dataset=None, suspend=True))
    bert.days(5)
    assert (bert.made, bert.runs["missed"], bert.ready()) == ([], 0, "Suspended")
    bert.spec = replace(bert.spec, suspend=False)
    bert.days(1)
    assert (len(bert.made), bert.runs["missed"]) == (1, 0)


def test_the_history_is_cut_and_nothing_forgotten_by_that() -> None:
    bert = world(nightly(dataset=None, keep_complete=2))
    bert.days(6)
    assert len(bert.made) == 6
    assert len(bert.children) == 2
    bert.ledger.clear()
    bert.operate()
    assert len(bert.made) == 6


def test_what_a_skip_saves_is_the_mean_cost_of_complete_runs_and_unknown_before_the_first() -> None:
    bert = world(nightly(dataset=None, quality=accuracy()))
    bert.days(1)
    assert (bert.runs["skipped"], bert.runs["skippedWithoutPrice"]) == (1, 1)
    assert "savedBySkipping" not in bert.runs
    bert.quality = 0.1
    bert.days(1)
    bert.cost = 8_000_000_000_000
    bert.days(1)
    bert.quality = 0.95
    bert.days(1)
    assert (bert.runs["savedBySkipping"], bert.runs["skippedWithoutPrice"]) == ("6.500000", 1)


# --- the run itself ---------------------------------------------------------------------------------------------------


def test_a_run_has_its_parents_specification_without_the_calendar_and_with_the_version() -> None:
    bert = world()
    bert.now = parse_rfc3339("2026-11-25T02:00:00Z")
    (action,) = bert.decide().actions
    assert isinstance(action, CreateTrainingJob)
    assert action.manifest["metadata"] == {
        "name": "bert-29926200",
        "namespace": "research",
        "labels": {"gpucost.dev/scheduled-by": "bert"},
        "annotations": {"gpucost.dev/due": "2026-11-25T02:00:00Z", "gpucost.dev/run-reason": "DatasetChanged"},
        "ownerReferences": [
            {
                "apiVersion": "gpucost.dev/v1alpha1",
                "kind": "TrainingJob",
                "name": "bert",
                "uid": "parent-uid",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    assert action.manifest["spec"].keys() == {"template", "dataset"}
    assert action.manifest["spec"]["dataset"] == {"name": "clicks", "version": "1"}


def test_how_a_run_stands_follows_from_its_conditions() -> None:
    def status(kind: str, reason: str) -> dict[str, object]:
        return {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": "why"}]}

    assert outcome({}) == (Result.RUNNING, "", "")
    assert outcome(status("Complete", "Complete"))[:2] == (Result.COMPLETE, "Complete")
    assert outcome(status("Failed", "BackoffLimitExceeded")) == (Result.FAILED, "BackoffLimitExceeded", "why")
    suspended = {"type": "Suspended", "status": "True"}
    for kind, reason, result in (
        ("EarlyStopped", "Plateau", Result.STOPPED),
        ("EarlyStopped", "GPUsIdle", Result.FAILED),
        ("BudgetExceeded", "LimitReached", Result.FAILED),
    ):
        assert outcome(status(kind, reason))[0] is Result.RUNNING, "a stop that is only recommended"
        stopped = [*status(kind, reason)["conditions"], suspended]  # type: ignore[misc]
        assert outcome({"conditions": stopped})[:2] == (result, reason)
    assert outcome(status("Suspended", "Suspended"))[0] is Result.RUNNING
