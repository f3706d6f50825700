"""What is recommended, by whom, and with which command; nothing on what was not measured."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from gpucost.cli.recommended_view import command_lines
from gpucost.core.clock import DAY, HOUR, MINUTE
from gpucost.core.model import Workload
from gpucost.core.money import PICO
from gpucost.core.recommendations import (
    Kind,
    Per,
    Recommendation,
    monthly,
    of_gpu,
    of_idle,
    of_last_replica,
    of_replicas,
    of_training,
    ranked,
)
from gpucost.core.report import Amounts, Row
from gpucost.core.serving import cold_start as cold
from gpucost.core.serving.advice import Advice, Confidence, Option
from gpucost.core.serving.applying import held_back
from gpucost.core.serving.counterfactual import Compared
from gpucost.core.serving.spec import EndpointSpec, Holder, HolderKind, Mode, Runtime, ScaleToZero, TargetRef
from gpucost.core.serving.state import Rival


def option(**changes: Any) -> Option:
    made: dict[str, Any] = {
        "name": "L4",
        "resource": "nvidia.com/gpu",
        "for_one": 1,
        "hourly": Fraction("1.60"),
        "certain": Fraction("1.60"),
        "slower": Fraction(11),
        "busy": Fraction(1, 2),
        "source": "PriceBook/team",
    }
    return Option(**{**made, **changes})


def patch_of(command: str) -> Any:
    return json.loads(shlex.split(command)[-1])


# --- endpoints --------------------------------------------------------------------------------------------------------


def test_replicas_are_told_by_what_was_watched_and_not_by_the_moment() -> None:
    """Ten days in which the recommendation was 2.40 cheaper a day on average: 0.10 an hour, 73 a month."""
    seen = Compared(10 * DAY, 0, None, None, None, possible=24 * PICO, possible_time=10 * DAY)
    status = {"currentReplicas": 5, "recommendation": {"replicas": 2, "savingPerHour": "900.00"}}
    found = of_replicas("prod", "llama", status, seen)
    assert found is not None
    assert (found.saves, found.per, found.confidence) == (73 * PICO, Per.MONTH, Confidence.HIGH)
    assert found.change == "mode Auto, now 5 -> 2"
    assert patch_of(found.command) == {"spec": {"mode": "Auto"}}
    assert found.command.startswith("kubectl patch inferenceendpoint llama -n prod --type merge -p ")


def test_an_autoscaler_that_would_be_in_the_way_is_named() -> None:
    seen = Compared(DAY, 0, None, None, None, possible=PICO, possible_time=DAY)
    found = of_replicas("prod", "llama", {}, seen, [Rival("HorizontalPodAutoscaler", "their-hpa")])
    assert found is not None
    assert found.notes == ("HorizontalPodAutoscaler their-hpa sets them now: delete it first",)
    found = of_replicas("prod", "llama", {}, seen, [Rival("InferenceService", "llama", made=True, certain=False)])
    assert found is not None
    assert found.notes == ("InferenceService llama has made the workload and may set them: set the number there",)


@pytest.mark.parametrize(
    "seen",
    [
        None,
        Compared(DAY, 0, None, None, None, None, 0),
        Compared(DAY, 0, None, None, None, -PICO, DAY),
        Compared(DAY, 0, PICO, None, None, None, 0),
    ],
)
def test_no_replicas_without_a_measured_saving(seen: Compared | None) -> None:
    assert of_replicas("prod", "llama", {"recommendation": {"replicas": 1}, "currentReplicas": 9}, seen) is None


ON_L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "node.kubernetes.io/instance-type": None}
AUTO = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, mode=Mode.AUTO)
HPA = Rival("HorizontalPodAutoscaler", "their-hpa")
DRY = {"gpucost.dev/dry-run": "true"}


@pytest.mark.parametrize(
    ("mode", "annotations", "rivals", "command"),
    [
        (Mode.AUTO, {}, [], None),
        (Mode.OFF, {}, [], None),
        (Mode.AUTO, DRY, [], "kubectl annotate inferenceendpoint llama -n prod gpucost.dev/dry-run-"),
        (Mode.AUTO, {}, [HPA], "kubectl delete horizontalpodautoscaler/their-hpa -n prod"),
        (Mode.AUTO, {}, [Rival("InferenceEndpoint", "older")], None),
        (Mode.AUTO, {}, [Rival("PodCliqueSet", "maker", made=True)], None),
        (Mode.AUTO, {}, [Rival("PodCliqueSet", "maker", made=True, certain=False)], None),
        (Mode.RECOMMEND, DRY, [], "kubectl patch inferenceendpoint llama -n prod --type merge -p "),
    ],
)
def test_after_it_was_applied_it_is_not_recommended_and_what_is_in_the_way_is_what_the_command_takes_away(
    mode: Mode, annotations: dict[str, str], rivals: list[Rival], command: str | None
) -> None:
    """The hours of before stay in the window for as long as it is."""
    seen = Compared(DAY, 0, None, None, None, possible=PICO, possible_time=DAY)
    why = held_back(replace(AUTO, mode=mode), annotations, rivals)
    found = of_replicas("prod", "llama", {}, seen, rivals, why=why)
    assert (found is None) == (command is None)
    assert found is None or found.command.startswith(str(command))


def test_several_small_gpus_for_one_need_as_many_replicas() -> None:
    target, two = ("Deployment", "llama"), option(for_one=2)
    found = of_gpu("prod", "llama", target, Advice(two, hourly=Fraction("13.76"), replicas=3), ON_L4)
    assert found is not None
    assert patch_of(found.command)["spec"]["replicas"] == 6
    assert found.notes == ("6 replicas in place of 3: maxReplicas has to allow them",)
    slices = replace(two, resource="nvidia.com/mig-1g.10gb")
    found = of_gpu("prod", "llama", target, Advice(slices, hourly=Fraction("13.76"), replicas=3), {})
    assert found is not None
    assert "before it: kubectl scale deployment/llama -n prod --replicas=6" in found.notes


def test_the_command_is_one_that_the_kind_of_workload_understands() -> None:
    target, whole = ("LeaderWorkerSet", "llama"), Advice(option(), hourly=Fraction("13.76"), replicas=1)
    found = of_gpu("prod", "llama", target, whole, ON_L4)
    assert found is not None
    selected = {"spec": {"nodeSelector": ON_L4}}
    assert patch_of(found.command) == {"spec": {"leaderWorkerTemplate": {"workerTemplate": selected}}}
    slices = replace(whole, best=option(resource="nvidia.com/mig-1g.10gb"))
    found = of_gpu("prod", "llama", target, slices, {})
    assert found is not None
    assert found.command == "kubectl edit leaderworkerset/llama -n prod"
    assert "nvidia.com/mig-1g.10gb: 1" in found.notes[-1]


def test_a_cheaper_gpu_is_selected_by_the_label_of_its_nodes_and_a_slice_by_its_resource() -> None:
    advice = Advice(option(), "it needs 6 GiB", Confidence.HIGH, Fraction("13.76"))
    found = of_gpu("prod", "llama", ("Deployment", "llama"), advice, ON_L4)
    assert found is not None
    assert found.saves == 8_876_800 * PICO // 1000
    assert patch_of(found.command) == {"spec": {"template": {"spec": {"nodeSelector": ON_L4}}}}
    slices = option(name="3g.40gb", resource="nvidia.com/mig-3g.40gb", certain=Fraction("13.76"))
    found = of_gpu("prod", "llama", ("Deployment", "llama"), Advice(slices, hourly=Fraction("13.76")), {})
    assert found is not None
    assert "--limits=nvidia.com/gpu=0,nvidia.com/mig-3g.40gb=1" in found.command
    assert found.notes[0] == "for certain 0.00 a month"
    assert of_gpu("prod", "llama", ("Deployment", "llama"), Advice(reason="not known"), {}) is None


# --- the last replica -------------------------------------------------------------------------------------------------

ENDPOINT = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM)
HOLDER = ScaleToZero(Holder(HolderKind.KEDA_HTTP, "llama"))
QUIET = cold.Advice(
    cold.Choice.KEEP, "5 of 9 quiet times were longer than 4m", 4 * MINUTE + 1, MINUTE, Fraction(90 * PICO), 30.0,
    Fraction(1, 2000),
)  # fmt: skip


def test_an_endpoint_with_long_quiet_times_may_be_without_replicas_once_somebody_holds_requests() -> None:
    found = of_last_replica("prod", "llama", ENDPOINT, QUIET, 8 * DAY)
    assert found is not None
    assert (found.kind, found.saves, found.per, found.confidence) == (
        Kind.COLD_START,
        90 * PICO,
        Per.MONTH,
        Confidence.HIGH,
    )
    zero = {"enabled": True, "idleAfter": "4m1s", "holder": {"type": "Gateway", "name": "GATEWAY"}}
    assert patch_of(found.command) == {"spec": {"mode": "Auto", "scaleToZero": zero}}
    assert found.notes[0] == "0.05% of the requests wait for a start; 0.10% may be late"


def test_one_that_has_a_holder_needs_the_mode_only_and_one_in_mode_auto_nothing() -> None:
    zero = replace(QUIET, choice=cold.Choice.ZERO)
    ready = replace(ENDPOINT, zero=HOLDER)
    found = of_last_replica("prod", "llama", ready, zero, DAY, rivals=[Rival("ScaledObject", "theirs")])
    assert found is not None
    assert patch_of(found.command) == {"spec": {"mode": "Auto"}}
    assert found.notes[-1] == "ScaledObject theirs sets them now: delete it first"
    assert of_last_replica("prod", "llama", replace(ready, mode=Mode.AUTO), zero, DAY) is None


@pytest.mark.parametrize(
    "changes",
    [{"late": Fraction(1, 500)}, {"late": None}, {"saving_monthly": Fraction(-1)}, {"saving_monthly": None}],
)
def test_what_would_break_the_objective_or_saves_nothing_is_not_recommended(changes: dict[str, Any]) -> None:
    assert of_last_replica("prod", "llama", ENDPOINT, replace(QUIET, **changes), DAY) is None


def test_sleep_has_no_figure_and_a_command() -> None:
    sleep = replace(QUIET, choice=cold.Choice.SLEEP, saving_monthly=None, late=Fraction(1, 100))
    found = of_last_replica("prod", "llama", ENDPOINT, sleep, DAY)
    assert found is not None
    assert found.saves is None
    assert shlex.split(found.command)[:4] == ["kubectl", "exec", "deployment/llama", "-n"]


# --- idle -------------------------------------------------------------------------------------------------------------


def row(kind: str = "Deployment", **changes: Any) -> Row:
    whole = Amounts(
        cost=9 * PICO, gpu_time=100 * HOUR, known_gpu_time=100 * HOUR, active_gpu_time=0, held_time=50 * HOUR
    )
    return Row(
        key="k",
        amounts=whole._replace(**changes),
        hourly=2 * PICO,
        namespace="research",
        workload=Workload(kind, "notebook"),
        pods=1,
    )


def test_gpus_that_compute_nothing_are_given_back() -> None:
    found = of_idle(row())
    assert found is not None
    assert (found.saves, found.kind, found.confidence) == (1460 * PICO, Kind.IDLE, Confidence.MEDIUM)
    assert found.command == "kubectl scale deployment/notebook -n research --replicas=0"
    commands = {kind: of_idle(row(kind)) for kind in ("TrainingJob", "Pod", "RayCluster")}
    assert all(commands.values())
    assert patch_of(commands["TrainingJob"].command) == {"spec": {"suspend": True}}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {"active_gpu_time": HOUR},
        {"known_gpu_time": 89 * HOUR},
        {"known_gpu_time": 0},
        {"gpu_time": 23 * HOUR, "known_gpu_time": 23 * HOUR},
        {"gpu_time": 0, "known_gpu_time": 0},
    ],
)
def test_what_works_or_is_not_known_is_not_called_idle(changes: dict[str, int]) -> None:
    assert of_idle(row(**changes)) is None


# --- training ---------------------------------------------------------------------------------------------------------

ESTIMATE = {
    "cost": "400.00",
    "cheaper": {"change": "on spot capacity", "how": "…", "saves": "200.00", "cost": "200.00"},
}


def test_spot_for_the_part_that_is_still_to_be_done() -> None:
    status = {"estimate": ESTIMATE, "cost": {"total": "100.00"}}
    (found,) = of_training("research", "bert", {}, status)
    assert (found.saves, found.per, found.kind) == (150 * PICO, Per.RUN, Kind.SPOT)
    assert patch_of(found.command) == {"spec": {"placement": {"policy": "Spot"}}}
    (found,) = of_training("research", "bert", {"completeBy": "2026-12-01T00:00:00Z"}, status)
    assert patch_of(found.command) == {"spec": {"placement": {"policy": "Auto"}}}
    done = {**status, "conditions": [{"type": "Complete", "status": "True"}]}
    assert of_training("research", "bert", {}, done) == []
    assert of_training("research", "bert", {"suspend": True}, status) == []
    other = {"estimate": {**ESTIMATE, "cheaper": {**ESTIMATE["cheaper"], "change": "QLoRA"}}}  # type: ignore[dict-item]
    assert of_training("research", "bert", {}, other) == []


def test_a_run_that_was_made_before() -> None:
    twin = {"type": "Duplicate", "status": "True", "reason": "SameRunComplete", "message": "the same run was made"}
    (found,) = of_training("research", "bert", {}, {"conditions": [twin], "estimate": {"cost": "400.00"}})
    assert (found.saves, found.kind) == (400 * PICO, Kind.DUPLICATE)
    (found,) = of_training("research", "bert", {}, {"conditions": [twin]})
    assert found.saves is None


# --- together ---------------------------------------------------------------------------------------------------------


def one(subject: str, saves: int | None, per: Per = Per.MONTH) -> Recommendation:
    return Recommendation("a", subject, Kind.IDLE, "", saves, per, Confidence.LOW, "", "")


def test_the_most_comes_first_and_what_nobody_knows_last() -> None:
    found = ranked([one("x", None), one("y", 1), one("z", 5, Per.RUN)])
    assert [each.subject for each in found] == ["z", "y", "x"]
    assert monthly([*found, one("y", 3), one("w", 2)]) == 5, "of y the better one, w; z is once"


def test_commands_fit_and_stay_one_command() -> None:
    command = 'kubectl patch inferenceendpoint llama -n prod --type merge -p \'{"spec":{"mode":"Auto"}}\''
    lines = list(command_lines(command, 60))
    assert max(map(len, lines)) <= 60
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
