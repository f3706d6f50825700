"""Which earlier runs count for a new one, what the world is asked, and what a schedule costs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.actions import CreateJob, CreateTrainingJob
from gpucost.core.clock import DAY, HOUR, MINUTE, parse_rfc3339
from gpucost.core.model import Unknown, Workload
from gpucost.core.report import Amounts, Row
from gpucost.core.timeline import Interval
from gpucost.core.training.avoided import avoided
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.runs.run import Result, Run
from gpucost.core.training.runs.spec import VersionSource
from gpucost.kube import paths
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.runs.sums import RunSums
from gpucost.runtime.world import TRAINING_JOB
from gpucost.sources.dataset_versions import version_of
from gpucost.sources.model_quality import quality_of
from gpucost.sources.promql import PrometheusError, PromQL, Series
from support.runs_operator import NOON, TEMPLATE, Held, RunsOperator, condition

CLICKS = {"name": "clicks", "version": "7"}
MAPS = {"name": "clicks", "versionFrom": {"configMap": {"name": "datasets", "key": "clicks"}}}
REUSE = {"deduplication": "Reuse", "dataset": CLICKS}


def ended(operator: RunsOperator, name: str, kind: str = "Complete", *, namespace: str = "research", **spec: object):  # type: ignore[no-untyped-def]
    spec.setdefault("dataset", CLICKS)
    operator.add(name, namespace, **spec)
    operator.begin(name, namespace)
    operator.now += HOUR
    operator.end(name, kind, namespace=namespace)


# --- the same run -----------------------------------------------------------------------------------------------------


def test_an_earlier_result_is_used_again_and_what_that_saved_is_booked_once() -> None:
    operator = RunsOperator(costs={"first": 7_000_000_000_000})
    operator.said["first"] = Progress((Report(NOON, 9, metrics={"loss": 0.25}),), (Checkpoint(NOON, 9),))
    volumes = [{"name": "out", "persistentVolumeClaim": {"claimName": "bert"}}]
    mounts = [{"name": "out", "mountPath": "/out"}]
    container = {**TEMPLATE["spec"]["containers"][0], "volumeMounts": mounts}
    template = {"spec": {"containers": [container], "volumes": volumes}}
    ended(operator, "first", template=template)
    operator.add("again", template=template, **REUSE)

    decision = operator.operate("again")
    assert (decision.actions, condition(decision, "Complete")) == ((), (True, "Reused"))
    assert decision.status["reused"] == {
        "name": "first",
        "uid": "uid-research-first",
        "ended": "2026-11-24T13:00:00Z",
        "cost": "7.000000",
        "result": "loss=0.25 at step 9",
        "checkpoint": "checkpoint of step 9 at 2026-11-24T12:00:00Z",
        "outputs": ["claim/bert at /out"],
    }
    assert [note.reason for note in decision.events] == ["DuplicateRun"]
    later = operator.operate("again")
    assert (later.records, later.events, later.actions) == ((), (), ())
    assert operator.keeper.book.saved()["duplicates"] == 7_000_000_000_000


def test_a_result_outlives_its_trainingjob_and_the_operator() -> None:
    operator = RunsOperator()
    ended(operator, "first")
    kept = operator.keeper.book
    operator.delete("first")
    operator.restart(kept)
    operator.add("again", **REUSE)
    assert condition(operator.operate("again"), "Complete") == (True, "Reused")
    operator.restart(RunBook())  # the ledger is lost
    assert condition(operator.operate("again"), "Complete") == (True, "Reused")


def test_a_reused_run_starts_when_it_is_told_to_run_all_the_same() -> None:
    operator = RunsOperator()
    ended(operator, "first")
    operator.add("again", **REUSE)
    operator.operate("again")
    operator.change("again", spec={"deduplication": "Warn"})
    decision = operator.operate("again")
    assert [type(action) for action in decision.actions] == [CreateJob]
    assert condition(decision, "Complete") == (False, "NotComplete")
    assert "reused" not in decision.status


def test_another_namespace_has_no_part_in_it() -> None:
    operator = RunsOperator()
    ended(operator, "first", namespace="finance")
    operator.add("again", **REUSE)
    decision = operator.decide("again")
    assert [type(action) for action in decision.actions] == [CreateJob]
    assert condition(decision, "Duplicate") == (False, "NoEarlierRun")


@pytest.mark.parametrize(
    "spec",
    [
        {"dataset": {"name": "clicks"}},
        {"template": {"spec": {"containers": [{"name": "train", "image": "bert:1"}]}}},
    ],
    ids=["no version", "a tag"],
)
def test_without_a_version_or_with_a_tag_nothing_is_reused(spec: dict[str, object]) -> None:
    operator = RunsOperator()
    ended(operator, "first", **{"dataset": CLICKS, **spec})
    operator.add("again", **{**REUSE, **spec})
    decision = operator.decide("again")
    assert [type(action) for action in decision.actions] == [CreateJob]
    assert condition(decision, "Duplicate") == (None, "NotComparable")


def test_a_run_that_goes_on_is_waited_for_and_one_that_was_deleted_is_not() -> None:
    operator = RunsOperator()
    operator.add("first", dataset=CLICKS)
    operator.begin("first")
    operator.add("again", **REUSE)
    decision = operator.decide("again")
    assert (decision.actions, condition(decision, "Ready")) == ((), (False, "SameRunGoesOn"))
    operator.delete("first")
    assert [type(action) for action in operator.decide("again").actions] == [CreateJob]


def test_two_failures_of_this_very_run_stop_the_third_and_a_success_between_does_not() -> None:
    operator = RunsOperator()
    ended(operator, "one", "Failed")
    operator.add("third", **REUSE)
    assert [type(action) for action in operator.decide("third").actions] == [CreateJob]
    ended(operator, "two", "Failed")
    decision = operator.operate("third")
    assert (decision.actions, condition(decision, "Failed")) == ((), (True, "FailedTwice"))
    operator.add("warned", dataset=CLICKS)
    warned = operator.decide("warned")
    assert condition(warned, "Duplicate") == (True, "FailedTwice")
    assert [type(action) for action in warned.actions] == [CreateJob]
    other = RunsOperator()
    for name, kind in (("one", "Failed"), ("two", "Complete"), ("three", "Failed")):
        ended(other, name, kind)
    other.add("again", **REUSE)
    assert condition(other.decide("again"), "Complete") == (True, "Reused")


def test_a_run_is_no_duplicate_of_itself_or_of_a_later_one() -> None:
    operator = RunsOperator()
    ended(operator, "first")
    ended(operator, "second")
    assert condition(operator.decide("first"), "Duplicate") == (False, "NoEarlierRun")
    assert condition(operator.decide("second"), "Duplicate") == (True, "SameRunComplete")


def test_a_job_that_is_made_anew_from_another_template_is_another_run() -> None:
    operator = RunsOperator()
    ended(operator, "first", "Failed", seed=1)
    before = operator.keeper.book.run("uid-research-first")
    operator.change("first", spec={"seed": 2}, status={"conditions": []})
    operator.world.jobs.clear()
    operator.world.job_by_key.clear()
    operator.operate("first")
    operator.now += MINUTE
    operator.begin("first")
    after = operator.keeper.book.run("uid-research-first")
    assert before is not None
    assert after is not None
    assert (after.digest != before.digest, after.result) == (True, Result.RUNNING)


def test_editing_the_version_of_a_run_that_goes_on_does_not_make_it_another_one() -> None:
    operator = RunsOperator()
    operator.add("first", dataset=CLICKS)
    operator.begin("first")
    operator.change("first", spec={"dataset": {"name": "clicks", "version": "8"}})
    operator.now += HOUR
    operator.end("first")
    run = operator.keeper.book.run("uid-research-first")
    assert run is not None
    assert run.version == "7"
    operator.add("again", **{**REUSE, "dataset": {"name": "clicks", "version": "8"}})
    assert [type(action) for action in operator.decide("again").actions] == [CreateJob]


def test_files_from_a_configmap_count_by_what_they_hold() -> None:
    operator = RunsOperator()
    path = paths.config_map("research", "hyper")
    operator.api.objects[path] = {"data": {"lr": "0.1"}}
    template = {"spec": {**TEMPLATE["spec"], "volumes": [{"name": "c", "configMap": {"name": "hyper"}}]}}
    ended(operator, "first", template=template)
    operator.add("again", template=template, **REUSE)
    assert condition(operator.decide("again"), "Complete") == (True, "Reused")
    operator.api.objects[path] = {"data": {"lr": "0.2"}}
    operator.now += MINUTE
    assert [type(action) for action in operator.decide("again").actions] == [CreateJob]


# --- what the world is asked ------------------------------------------------------------------------------------------


def test_versions_are_read_where_they_stand_and_what_is_missing_says_how_to_help() -> None:
    api = Held(
        {
            paths.config_map("research", "datasets"): {"data": {"clicks": " 7\n", "long": "x" * 300}},
            paths.claim("research", "data"): {"metadata": {"annotations": {"gpucost.dev/dataset-version": "8"}}},
        },
        forbidden={paths.config_map("research", "secret")},
    )

    def ask(kind: str, name: str, key: str) -> str | Unknown:
        return asyncio.run(version_of(api, "research", VersionSource(kind, name, key)))  # type: ignore[arg-type]

    assert ask("ConfigMap", "datasets", "clicks") == "7"
    assert ask("PersistentVolumeClaim", "data", "gpucost.dev/dataset-version") == "8"
    assert ask("ConfigMap", "datasets", "views") == Unknown("there is no key views of ConfigMap datasets")
    assert ask("ConfigMap", "nowhere", "x") == Unknown("there is no ConfigMap nowhere in namespace research")
    for name, key, words in (("datasets", "long", "253 at most"), ("secret", "x", "runs.configMaps of the chart")):
        found = ask("ConfigMap", name, key)
        assert isinstance(found, Unknown)
        assert words in found.reason


@pytest.mark.parametrize(
    ("series", "answer"),
    [
        ([Series({}, 0.5)], 0.5),
        ([], "no series"),
        ([Series({}, 0.5), Series({"a": "b"}, 0.6)], "2 series"),
        ([Series({}, float("nan"))], "NaN"),
        ([Series({}, float("inf"))], "infinity"),
        ([Series({}, float("-inf"))], "infinity"),
        (PrometheusError("http://prometheus: refused"), "refused"),
    ],
)
def test_a_quality_is_one_number_or_unknown(series: object, answer: object) -> None:
    class Engine(PromQL):
        async def query(self, promql: str, at: int | None = None) -> list[Series]:  # noqa: ARG002
            if isinstance(series, Exception):
                raise series
            return series  # type: ignore[return-value]

    found = asyncio.run(quality_of(Engine("http://prometheus"), "min(accuracy)"))
    if isinstance(answer, float):
        assert found == answer
    else:
        assert isinstance(found, Unknown)
        assert str(answer) in found.reason
    assert isinstance(asyncio.run(quality_of(None, "up")), Unknown)


def nightly(operator: RunsOperator, **spec: object) -> None:
    operator.add("bert", **{"schedule": {"runs": {"cron": "0 2 * * *"}}, "dataset": MAPS, **spec})
    operator.api.objects[paths.config_map("research", "datasets")] = {"data": {"clicks": "7"}}
    operator.api.objects[paths.trainingjob("research")] = {"items": []}
    operator.now = parse_rfc3339("2026-11-25T02:00:30Z")


def test_nothing_is_asked_before_a_run_is_due() -> None:
    operator = RunsOperator()
    nightly(operator)
    operator.now -= MINUTE
    operator.decide("bert")
    assert operator.api.asked == []


@pytest.mark.parametrize(
    "schedule",
    [{"runs": {"cron": "0 0 30 2 *"}}, {"timeZone": "Mars/Olympus", "runs": {"cron": "0 2 * * *"}}],
    ids=["never fires", "no such zone"],
)
def test_a_calendar_that_cannot_be_followed_is_told_and_nothing_is_asked(schedule: dict[str, object]) -> None:
    operator = RunsOperator()
    nightly(operator, schedule=schedule)
    decision = operator.decide("bert")
    assert condition(decision, "Invalid") == (True, "Invalid")
    assert (decision.actions, operator.api.asked) == ((), [])


def test_a_run_that_is_due_asks_for_the_version_and_for_the_runs_that_exist() -> None:
    operator = RunsOperator()
    nightly(operator)
    (action,) = operator.decide("bert").actions
    assert isinstance(action, CreateTrainingJob)
    assert action.manifest["spec"]["dataset"] == {"name": "clicks", "version": "7"}
    other = RunsOperator()
    nightly(other)
    active = {**action.manifest, "metadata": {**action.manifest["metadata"], "uid": "run-1"}}
    active["metadata"]["ownerReferences"][0]["uid"] = "uid-research-bert"
    active["metadata"]["creationTimestamp"] = "2026-11-25T02:00:00Z"
    other.api.objects[paths.trainingjob("research")] = {"items": [active]}
    assert other.decide("bert").actions == (), "the cache does not show the run, the API server does"


def test_when_the_api_server_does_not_say_which_runs_exist_none_is_made() -> None:
    operator = RunsOperator()
    nightly(operator)
    del operator.api.objects[paths.trainingjob("research")]
    decision = operator.decide("bert")
    assert decision.actions == ()
    assert decision.wake_at == operator.now + 30_000_000


def test_the_annotation_of_a_pipeline_is_the_version_where_nothing_else_says_it() -> None:
    operator = RunsOperator()
    nightly(operator, dataset={"name": "clicks"})
    assert condition(operator.decide("bert"), "Ready") == (False, "WorthUnknown")
    operator.change("bert", metadata={"annotations": {"gpucost.dev/dataset-version": "9"}})
    operator.now += MINUTE
    (action,) = operator.decide("bert").actions
    assert isinstance(action, CreateTrainingJob)
    assert action.manifest["spec"]["dataset"] == {"name": "clicks", "version": "9"}


def test_a_run_that_has_ended_is_over_before_anybody_has_looked_at_it() -> None:
    operator = RunsOperator()
    nightly(operator)
    owner = [{"kind": "TrainingJob", "name": "bert", "uid": "uid-research-bert", "controller": True}]
    notes = {"gpucost.dev/due": "2026-11-25T02:00:00Z"}
    operator.add("bert-29926200", metadata={"ownerReferences": owner, "annotations": notes}, dataset=CLICKS)
    operator.look("bert-29926200")
    assert condition(operator.decide("bert"), "Ready") == (True, "RunActive")
    done = {"conditions": [{"type": "Complete", "status": "True", "reason": "Complete"}]}
    operator.change("bert-29926200", status=done)
    decision = operator.decide("bert")
    assert condition(decision, "Ready") == (True, "Scheduled")
    assert decision.status["runs"]["last"]["result"] == "Complete"


# --- what a schedule costs --------------------------------------------------------------------------------------------


def test_a_schedule_costs_the_sum_of_its_runs_those_that_are_deleted_too() -> None:
    operator = RunsOperator()
    parent = operator.add("bert", schedule={"runs": {"cron": "0 2 * * *"}})
    book = operator.keeper.book
    owner = [{"kind": "TrainingJob", "name": "bert", "uid": parent.uid, "controller": True}]
    notes = {"gpucost.dev/due": "2026-11-25T02:00:00Z"}
    for name in ("bert-1", "bert-2"):
        operator.add(name, metadata={"ownerReferences": owner, "annotations": notes})
        operator.look(name)
    sums = RunSums(operator.world, book)

    def row(name: str, cost: int, hourly: int | None = 0) -> Row:
        return Row(name, Amounts(cost=cost, held_time=1), hourly, "research", Workload(TRAINING_JOB, name))

    def key(name: str) -> tuple[str, Workload]:
        return "research", Workload(TRAINING_JOB, name)

    totals = {key("bert-1"): row("bert-1", 5), key("bert-2"): row("bert-2", 7, 3)}
    found = sums.rows(totals)[key("bert")]
    assert (found.amounts.cost, found.hourly, found.workload) == (12, 3, Workload(TRAINING_JOB, "bert"))
    operator.delete("bert-1")
    assert sums.asked() == [key("bert-1")]
    sums.freeze(totals, operator.now - DAY, operator.now)
    assert sums.asked() == [key("bert-1")], "its last hour is not settled"
    sums.freeze(totals, operator.now + 2 * HOUR, operator.now + 3 * HOUR)
    assert sums.asked() == []
    assert sums.rows({key("bert-2"): row("bert-2", 8)})[key("bert")].amounts.cost == 13
    assert sums.rows({key("bert-2"): row("bert-2", 8, None)})[key("bert")].hourly is None
    book.put(Run("x", "research", "y", 1))
    assert book.amounts("uid-research-bert-1") == Amounts(cost=5, held_time=1)


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 9)), st.booleans()), max_size=30))
def test_the_sum_of_a_schedule_is_that_of_its_runs_in_whatever_order_they_are_written_down(
    steps: list[tuple[int, int | None, bool]],
) -> None:
    book, noted = RunBook(), dict[str, int]()
    for number, cost, forgets in steps:
        uid = f"u{number}"
        if forgets:
            book._drop(uid)
            noted.pop(uid, None)
        else:
            book.put(Run(uid, "research", uid, 1, parent="p"), None if cost is None else Amounts(cost=cost))
            noted |= {uid: cost} if cost is not None else {}
    assert (book.sum_of("p") or Amounts()).cost == sum(noted.values())
    assert {run.uid for run in book.open_children("p")} == {run.uid for run in book.children("p")} - noted.keys()
    again = RunBook()
    again.load(book._all)
    assert (again.sum_of("p") or Amounts()) == (book.sum_of("p") or Amounts())


def test_a_status_that_somebody_has_edited_is_no_saving_and_no_failure() -> None:
    stop = {"rule": "plateau", "savedHourly": "1"}
    span = Interval(NOON - HOUR, NOON)
    for wrong in ("yesterday", 7, "0001-01-01T00:00:00+14:00"):
        assert avoided({"earlyStopping": {"stop": {**stop, "id": wrong}}}, span) is None
