"""What the operator says of a run beforehand: once, in the status and as Events, not again while nothing changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gpucost.api.convert import training_spec
from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.core.training.estimating.market import without_cluster
from gpucost.core.training.estimating.subject import gpus_of, setup_of
from gpucost.core.training.estimating.work import Method
from gpucost.core.training.plan import plan
from gpucost.core.training.spec import PlacementPolicy, TrainingSpec
from gpucost.core.training.state import TrainingContext
from support.training_cases import TEMPLATE
from support.training_world import World

NOW = parse_rfc3339("2026-11-24T12:00:00Z")
MODEL = {"parameters": "7B", "tokens": "140B", "gpu": "H100"}
QUOTES = without_cluster()


def settled(what: TrainingSpec) -> Estimating:
    """A world in which the Job is there and nothing is to be done."""
    world = Estimating(what, NOW)
    world.priced = False
    world.settle(6)
    world.priced = True
    return world


def read(**fields: Any) -> TrainingSpec:
    body = {"spec": {"template": TEMPLATE, "gpusPerWorker": 8, "model": MODEL, **fields}}
    converted = training_spec(body)
    assert not converted.problems
    assert converted.value is not None
    return converted.value


class Estimating(World):
    """A world in which prices are known."""

    models: frozenset[str] = frozenset()
    priced = True

    def context(self) -> TrainingContext:
        quotes = QUOTES if self.priced else None
        return replace(super().context(), quotes=quotes, gpu_models=self.models)


def told(world: World) -> dict[str, str]:
    return {note.reason: note.message for note in plan(world.state(), world.context()).events}


def pass_over(world: World) -> dict[str, Any]:
    decision = plan(world.state(), world.context())
    world.status = {**world.status, **decision.status}
    return dict(decision.status)


def test_an_estimate_is_told_with_the_first_pass_and_never_again() -> None:
    world = settled(read())
    events = told(world)
    assert events["CostEstimated"].startswith(
        "about 28405.80 USD (22724.64 - 37874.40): 516.1 h on 8 x H100, on-demand. Prices: built-in list 2026-11-01. "
        "Assumes: 7B parameters x 140B tokens x 6 FLOPs"
    )
    assert events["CheaperAlternative"].startswith("on spot capacity: about 11705.01 USD (7266.60 - 19377.60)")
    status = pass_over(world)["estimate"]
    assert (status["cost"], status["costLow"], status["costHigh"]) == ("28405.80", "22724.64", "37874.40")
    assert (status["hours"], status["gpus"], status["gpuModel"]) == ("516.1", 8, "H100")
    assert status["cheaper"]["how"] == "placement.policy: Spot"
    world.now += 30 * HOUR
    assert not {"CostEstimated", "CheaperAlternative"} & told(world).keys()
    assert pass_over(world)["estimate"] == status


def test_other_work_is_estimated_anew() -> None:
    world = settled(read())
    before = pass_over(world)["estimate"]
    world.spec, world.generation = read(model={**MODEL, "method": "LoRA"}), 2
    assert "CostEstimated" in told(world)
    after = pass_over(world)["estimate"]
    assert after["basis"] != before["basis"]
    assert float(after["cost"]) < float(before["cost"])


def test_suspending_a_run_is_no_other_work() -> None:
    world = settled(read())
    before = pass_over(world)["estimate"]
    world.spec, world.generation = read(suspend=True), 2
    assert "CostEstimated" not in told(world)
    world.settle(8)
    assert world.status["estimate"] == {**before, "generation": 2}


def test_a_pass_that_makes_the_job_does_not_wait_for_an_estimate() -> None:
    world = Estimating(read(), NOW)
    decision = plan(world.state(), world.context())
    assert decision.actions
    assert "estimate" not in decision.status
    assert not [note for note in decision.events if note.reason == "CostEstimated"]
    world.settle(6)
    assert world.status["estimate"]["cost"] == "28405.80"


def test_without_a_model_or_a_duration_nothing_is_said() -> None:
    world = settled(replace(read(), model=None))
    assert "CostEstimated" not in told(world)
    assert "estimate" not in pass_over(world)


def test_while_prices_are_not_known_yet_nothing_is_said() -> None:
    world = settled(read())
    world.priced = False
    assert "estimate" not in pass_over(world)
    world.priced = True
    assert "CostEstimated" in told(world)


def test_an_unknown_gpu_is_said_and_tried_again_later() -> None:
    world = settled(read(model={"parameters": "7B", "tokens": "140B"}))
    first = pass_over(world)["estimate"]
    assert "cost" not in first
    assert "the GPU: select nodes of one model" in first["message"]
    assert "CostEstimated" not in told(world)
    world.models = frozenset({"H100-80GB-HBM3"})
    assert pass_over(world)["estimate"] == first
    world.now += 6 * HOUR
    assert "CostEstimated" in told(world)
    assert pass_over(world)["estimate"]["cost"] == "28405.80"


def test_an_estimate_stays_when_the_nodes_are_gone() -> None:
    world = settled(read(model={"parameters": "7B", "tokens": "140B"}))
    world.models = frozenset({"H100-80GB-HBM3"})
    before = pass_over(world)["estimate"]
    world.models = frozenset()
    world.now += 12 * HOUR
    assert pass_over(world)["estimate"] == before


def test_a_deadline_that_cannot_be_met_is_a_warning() -> None:
    world = settled(read(completeBy="2026-11-25T00:00:00Z"))
    note = next(one for one in plan(world.state(), world.context()).events if one.reason == "CostEstimated")
    assert note.warning
    assert "it will be late" in note.message


def test_what_a_trainingjob_selects() -> None:
    selecting = {
        "spec": {
            "containers": [{"name": "t", "image": "i", "resources": {"limits": {"nvidia.com/gpu": 4}}}],
            "nodeSelector": {"node.kubernetes.io/instance-type": "p4d.24xlarge"},
        }
    }
    spec = read(template=selecting, gpusPerWorker=None, workers=3, model={"parameters": "1B", "tokens": "1B"})
    found = setup_of(spec, start=NOW)
    assert (found.gpus, found.gpu_model, found.instance_type) == (12, "A100 40GB", "p4d.24xlarge")
    assert gpus_of(spec) == 12


def test_gpus_by_affinity_and_by_pool() -> None:
    required = {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-L4"]}]}
        ]
    }
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    template = {"spec": {**TEMPLATE["spec"], "affinity": affinity}}  # type: ignore[dict-item]
    bare = {"parameters": "1B", "tokens": "1B"}
    assert setup_of(read(template=template, model=bare), start=NOW).gpu_model == "L4"
    pool = {"policy": "Spot", "spot": {"nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}}}
    found = setup_of(read(placement=pool, model=bare), start=NOW)
    assert (found.gpu_model, str(found.placing)) == ("A100-40GB", "Spot")
    assert setup_of(read(model=bare), start=NOW, models=["L4", "T4"]).gpu_model == ""


def test_a_budget_is_known() -> None:
    found = setup_of(read(budget={"cost": "100.50", "gpuHours": "8"}), start=NOW)
    assert (str(found.most_cost), str(found.most_gpu_hours)) == ("100.50", "8")


def test_a_base_model_is_known() -> None:
    assert not setup_of(read(), start=NOW).is_based
    assert setup_of(read(baseModel={"name": "llama", "revision": "1"}), start=NOW).is_based


def test_bad_models_are_named() -> None:
    wrong = {"parameters": "7b", "tokens": "0", "method": "Adapter"}
    problems = training_spec({"spec": {"template": TEMPLATE, "model": wrong}}).problems
    assert [one.field for one in problems] == ["spec.model.parameters", "spec.model.tokens", "spec.model.method"]
    assert "such as 350M, 7B or 1.5T" in problems[0].message


def test_the_method_comes_over() -> None:
    model = read(model={**MODEL, "method": "QLoRA", "precision": "FP16"}).model
    assert model is not None
    assert (model.work.method, str(model.work.precision)) == (Method.QLORA, "FP16")
    assert read(placement={"policy": "Spot"}).placement.policy is PlacementPolicy.SPOT
