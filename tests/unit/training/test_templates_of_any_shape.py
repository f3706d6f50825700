"""A pod template that is not of Kubernetes' shape is told with its field, and never breaks a pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.api.convert import training_spec
from gpucost.core.actions import Decision
from gpucost.core.capacity import Provider
from gpucost.core.clock import parse_rfc3339
from gpucost.core.model import Key
from gpucost.core.training.fingerprint import fingerprint
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.reporting import Reporting

Path = tuple[str | int, ...]
NOW = parse_rfc3339("2026-11-24T19:00:00Z")
IN_ZONE = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}
POD: dict[str, Any] = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu"}],
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [IN_ZONE]}},
    },
    "volumes": [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "more"}}]}},
    ],
    "restartPolicy": "Never",
    "initContainers": [{"name": "fetch", "image": "curl"}],
    "containers": [
        {
            "name": "train",
            "image": "bert",
            "command": ["python"],
            "args": ["train.py"],
            "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c"}}}],
            "envFrom": [{"configMapRef": {"name": "d"}}],
            "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
            "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": "2"}, "requests": {"cpu": "1"}},
        }
    ],
}
TEMPLATE = {"metadata": {"labels": {"team": "nlp"}, "annotations": {"note": "x"}}, "spec": POD}
RUBBISH = st.sampled_from(
    [None, True, 5, 1.5, "x", [], ["x"], [1], [[1]], [None], {}, {"a": 1}, {"a": [1]}, [{"a": 1}]]
)


def places(found: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for name, one in inner:
        yield from places(one, (*path, name))


def spoilt(found: Any, path: Path, rubbish: Any) -> Any:
    if not path:
        return rubbish
    changed = found.copy()
    changed[path[0]] = spoilt(found[path[0]], path[1:], rubbish)
    return changed


def decided(template: Any, **spec: Any) -> Decision:
    read = training_spec({"metadata": {"name": "bert"}, "spec": {"template": template, **spec}})
    if read.value is not None:
        fingerprint(read.value)
    state = TrainingState(Key("research", "bert"), "u", 1, {}, read.value, read.problems)
    return plan(state, TrainingContext(NOW, Provider.GKE, reporting=Reporting("https://x", "PEM"), quotes=()))


def refusal(template: Any) -> str:
    decision = decided(template)
    assert not decision.actions
    return next(one.message for one in decision.conditions if one.type == "Invalid")


def test_problems_come_in_one_order_in_every_process() -> None:
    pod = {**POD, "volumes": {}, "tolerations": {}, "restartPolicy": 5, "nodeSelector": [], "affinity": "spot"}
    message = refusal({"metadata": {"labels": [], "annotations": []}, "spec": pod})
    fields = [one.partition(":")[0].rpartition(".")[2] for one in message.split("; ") if one.startswith("spec.")]
    assert fields == [
        "labels",
        "annotations",
        "nodeSelector",
        "tolerations",
        "affinity",
        "volumes",
        "restartPolicy",
    ]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(list(places(TEMPLATE))), RUBBISH, st.sampled_from(["OnDemand", "Spot", "Auto"]), st.integers(1, 2)
)
def test_no_template_breaks_a_pass(path: Path, rubbish: Any, policy: str, workers: int) -> None:
    decision = decided(
        spoilt(TEMPLATE, path, rubbish),
        workers=workers,
        placement={"policy": policy},
        earlyStopping=[{"type": "Divergence", "metric": "loss"}],
        dataset={"name": "clicks", "version": "1"},
        **({"completeBy": "2026-11-26T00:00:00Z"} if policy == "Auto" else {}),
    )
    invalid = next(one for one in decision.conditions if one.type == "Invalid")
    assert bool(decision.actions) != bool(invalid.status)
    assert not invalid.status or invalid.message.startswith(("spec.template", "spec: "))
