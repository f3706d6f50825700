"""What the rules of early stopping are given: the group, the run's own cost, the quiet hours of its GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gpucost.api.convert import training_spec
from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339, parse_rfc3339
from gpucost.core.model import Job, Key, Owner, Pod, Resources, Workload
from gpucost.core.money import PICO
from gpucost.core.report import Amounts, Row
from gpucost.core.sampling import Window
from gpucost.core.training.stopping.idle import Span
from gpucost.ledger import Ledger
from gpucost.ledger.progress import RunChange
from gpucost.runtime.accounting import Totals
from gpucost.runtime.dryrun import recorded_histories
from gpucost.runtime.settings import Settings
from gpucost.runtime.stopping import StoppingSources
from gpucost.runtime.world import World, custom_record
from support.curves import history

NOW = parse_rfc3339("2026-11-24T12:00:00Z")
RULES = [{"type": "Median", "metric": "loss", "group": "team"}]
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "a"}]}}


class Scene:
    """TrainingJobs without a cluster."""

    def __init__(self) -> None:
        self.now, self.world, self.totals = NOW, World(), Totals(at=NOW)
        self.sources = StoppingSources(self.world, lambda: self.now, self.progress, lambda: self.totals)
        self.asked: list[Key] = []

    def progress(self, key: Key) -> Any:
        self.asked.append(key)
        return history([1.0])

    def add(self, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Any:
        metadata = {
            "uid": f"tj-{name}",
            "name": name,
            "namespace": "research",
            "labels": labels or {},
            "creationTimestamp": format_rfc3339(NOW - HOUR),
            "annotations": {"gpucost.dev/resume": "x", "other": "y"},
        }
        body = {"kind": "TrainingJob", "metadata": metadata, "spec": {"template": TEMPLATE, **spec}}
        record = custom_record(body)
        self.world.trainingjob_changed(record)
        return record

    def of(self, record: Any, pods: Sequence[Pod] = ()) -> dict[str, Any]:
        read = training_spec(record.body)
        assert read.value is not None, read.problems
        return self.sources.of(record, read.value, pods)

    def cost(self, name: str, amounts: Amounts, hourly: int | None = 60) -> None:
        row = Row("", amounts, None if hourly is None else hourly * PICO)
        self.totals = Totals(at=NOW, workloads={("research", Workload("TrainingJob", name)): row})


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- the group --------------------------------------------------------------------------------------------------------


def test_a_group_is_the_other_runs_of_the_namespace_with_the_same_value(scene: Scene) -> None:
    record = scene.add("a", {"team": "nlp"}, earlyStopping=RULES)
    for name, value in (("b", "nlp"), ("c", "vision"), ("d", "nlp")):
        scene.add(name, {"team": value})
    assert [trial.name for trial in scene.of(record)["groups"]["team"]] == ["b", "d"]
    lonely = scene.add("e", earlyStopping=RULES)
    assert scene.of(lonely)["groups"] == {"team": None}


def test_a_group_is_not_listed_anew_for_each_of_its_runs(scene: Scene) -> None:
    records = [scene.add(f"r{index}", {"team": "nlp"}, earlyStopping=RULES) for index in range(3)]
    assert len(scene.of(records[0])["groups"]["team"]) == 2
    scene.add("late", {"team": "nlp"})
    assert len(scene.of(records[1])["groups"]["team"]) == 2
    scene.now += 5 * SECOND
    assert len(scene.of(records[1])["groups"]["team"]) == 3


def test_a_run_without_rules_costs_nothing_and_keeps_its_annotations(scene: Scene) -> None:
    assert scene.of(scene.add("plain")) == {"annotations": {"gpucost.dev/resume": "x"}}
    assert scene.asked == []


def test_what_was_worked_out_of_a_run_serves_all_that_are_compared_with_it(scene: Scene) -> None:
    said = {name: history([1.0]) for name in "abc"}
    scene.sources.progress_of = lambda key: said[key.name]
    records = [scene.add(name, {"team": "nlp"}, earlyStopping=RULES) for name in "abc"]
    groups = [{one.name: one for one in scene.of(record)["groups"]["team"]} for record in records]
    assert groups[0]["c"] is groups[1]["c"]
    said["c"] = history([1.0, 0.5])
    assert scene.of(records[0])["groups"]["team"][1].progress is said["c"]


# --- cost -------------------------------------------------------------------------------------------------------------


class MadeUp:
    """Accounting that knows what a run has cost since it was created, and when its name was held first."""

    def __init__(self, since: Amounts, first: int = NOW - 2 * HOUR) -> None:
        self.since, self.first, self.asked, self.ledger = since, first, 0, self

    def first_held(self, namespace: str, kind: str, names: Sequence[str]) -> dict[str, int]:
        assert (namespace, kind) == ("research", "TrainingJob")
        return dict.fromkeys(names, self.first)

    def report(self, span: Any, **_: Any) -> Any:
        self.asked += 1
        assert span.start == NOW - HOUR
        row = Row("", self.since, workload=Workload("TrainingJob", "a"))
        return type("Report", (), {"rows": (row,)})

    async def call(self, function: Callable[[], Any]) -> Any:
        return function()


def amounts(cost: int, hours: int, **more: int) -> Amounts:
    return Amounts(cost=cost * PICO, gpu_time=8 * hours * HOUR, held_time=hours * HOUR, **more)


async def test_a_run_answers_for_its_own_cost_and_not_for_its_namesakes(scene: Scene) -> None:
    record = scene.add("a", budget={"cost": "100"})
    scene.cost("a", amounts(500, 10))
    assert scene.of(record)["spending"] is None, "nobody knows yet whose cost that is"
    accounting: Any = MadeUp(amounts(40, 1))
    for _ in range(3):
        await scene.sources.prepare(accounting, scene.totals)
    assert accounting.asked == 1
    spending = scene.of(record)["spending"]
    assert (spending.cost, spending.gpu_hours, spending.hourly, spending.complete) == (40, 8, 60, True)
    scene.cost("a", amounts(520, 11))
    assert scene.of(record)["spending"].cost == 60


async def test_a_name_that_nobody_had_before_is_not_asked_about_at_length(scene: Scene) -> None:
    record = scene.add("a", budget={"cost": "100"})
    scene.cost("a", amounts(40, 1))
    accounting: Any = MadeUp(amounts(0, 0), first=NOW - HOUR)
    await scene.sources.prepare(accounting, scene.totals)
    assert (scene.of(record)["spending"].cost, accounting.asked) == (40, 0)


async def test_what_has_no_price_is_unknown(scene: Scene) -> None:
    record = scene.add("a", budget={"cost": "100"})
    nothing = amounts(0, 1, unpriced_time=HOUR)
    scene.cost("a", nothing, hourly=None)
    accounting: Any = MadeUp(nothing)
    await scene.sources.prepare(accounting, scene.totals)
    spending = scene.of(record)["spending"]
    assert (spending.cost, spending.hourly, spending.complete) == (None, None, False)


def test_gpus_held_now_are_those_of_pods_on_nodes(scene: Scene) -> None:
    record = scene.add("a", earlyStopping=RULES)
    scene.cost("a", amounts(1, 1))
    pods = [
        Pod(str(index), "p", "research", NOW, Resources(gpus=4), bound=bound) for index, bound in enumerate((NOW, None))
    ]
    assert scene.of(record, pods)["spending"].gpus == Decimal(4)


def test_a_dry_run_reads_the_status(scene: Scene) -> None:
    record = scene.add("a", budget={"cost": "100"})
    cost = {"total": "12.5", "hourly": "60", "gpuHours": "2", "coverage": "1.0000", "asOf": format_rfc3339(NOW)}
    scene.sources.assume_new = True
    shown = custom_record({**record.body, "status": {"cost": cost}})
    assert scene.of(shown)["spending"].cost == Decimal("12.5")
    for broken in ({}, {"total": "x", "asOf": "2026-11-24T12:00:00Z"}, {"asOf": "never"}):
        assert scene.of(custom_record({**record.body, "status": {"cost": broken}}))["spending"] is None


# --- quiet GPUs -------------------------------------------------------------------------------------------------------


def with_pod(scene: Scene, name: str, **spec: Any) -> None:
    scene.add(name, **spec)
    scene.world.jobs[f"job-{name}"] = Job(
        f"job-{name}", name, "research", NOW, "1", Owner("TrainingJob", name, f"tj-{name}")
    )
    scene.world.job_by_key[Key("research", name)] = f"job-{name}"
    scene.world.pods_by_job[f"job-{name}"] = {f"pod-{name}"}


def minute(index: int) -> Window:
    return Window(NOW + index * MINUTE, NOW + (index + 1) * MINUTE)


def test_quiet_stretches_are_kept_for_runs_with_an_idle_policy_only(scene: Scene) -> None:
    with_pod(scene, "watched", idle={})
    with_pod(scene, "plain")
    known = scene.sources.quiet
    for index, value in enumerate([True, True, None, False, True]):
        known.take({"pod-watched": value, "pod-plain": value}, minute(index))
    spans = [
        Span(NOW, NOW + 2 * MINUTE, quiet=True),
        Span(NOW + 3 * MINUTE, NOW + 4 * MINUTE, quiet=False),
        Span(NOW + 4 * MINUTE, NOW + 5 * MINUTE, quiet=True),
    ]
    assert list(known.of("pod-watched")) == spans
    assert known.of("pod-plain") == ()
    scene.world.pods_by_job.clear()
    known.take({}, minute(5))
    assert known.of("pod-watched") == ()


def test_a_sample_of_time_that_was_sampled_before_changes_nothing(scene: Scene) -> None:
    with_pod(scene, "watched", idle={})
    known = scene.sources.quiet
    known.take({"pod-watched": True}, minute(0))
    known.take({"pod-watched": False}, Window(NOW + MINUTE, NOW + MINUTE))
    assert list(known.of("pod-watched")) == [Span(NOW, NOW + MINUTE, quiet=True)]


# --- a dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_knows_what_runs_have_said_and_says_when_it_does_not(tmp_path: Path, caplog: Any) -> None:
    settings = Settings(ledger_url=f"sqlite:///{tmp_path}/ledger.db")
    assert recorded_histories(settings) == {}
    assert "what runs have said is not known" in caplog.text
    ledger = Ledger(settings.ledger_url, cluster=settings.cluster_name)
    said = history([0.5, 0.4])
    ledger.sayings.record({"tj-a": RunChange(reports=list(said.reports))})
    assert recorded_histories(settings) == {"tj-a": said}
    ledger.close()
