"""Which runs are the same: known answers for the canonical form, and what keeps a digest from being exact."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.training.fingerprint import canonical, config_maps, fingerprint
from gpucost.core.training.runs.spec import BaseModel, Dataset
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, TrainingSpec, WorkloadRef

IMAGE = "registry.example.com/bert:1@sha256:" + "ab" * 32
ENV = [{"name": "LR", "value": "0.1"}, {"name": "EPOCHS", "value": "3"}]


def spec(container: dict[str, Any] | None = None, pod: dict[str, Any] | None = None, **fields: Any) -> TrainingSpec:
    first = {"name": "train", "image": IMAGE, "command": ["python", "train.py"], "env": ENV, **(container or {})}
    template = {"spec": {"containers": [first], **(pod or {})}}
    return TrainingSpec(**{"template": template, "dataset": Dataset("clicks", "7"), "seed": 1, **fields})


def digest(what: TrainingSpec, **known: Any) -> str:
    found = fingerprint(what, **known)
    assert found is not None
    return found.digest


def missing(what: TrainingSpec, **known: Any) -> list[str]:
    """Fields that keep the digest from being exact."""
    found = fingerprint(what, **known)
    assert found is not None
    return [one.partition(":")[0] for one in found.missing]


def test_the_canonical_form_is_what_it_is() -> None:
    limits = {"limits": {"nvidia.com/gpu": 8, "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "512Mi"}}
    assert canonical(spec({"resources": limits, "args": ["--fast"]}, base_model=BaseModel("bert", "0e9e"))) == {
        "format": "gpucost/run/1",
        "containers": [
            {
                "image": "sha256:" + "ab" * 32,
                "command": ["python", "train.py"],
                "args": ["--fast"],
                "env": {"LR": "0.1", "EPOCHS": "3"},
                "envFrom": [],
                "resources": {"nvidia.com/gpu": "8", "memory": "1073741824", "cpu": "1/2"},
            }
        ],
        "initContainers": [],
        "workers": 1,
        "dataset": ["clicks", "7"],
        "baseModel": ["bert", "0e9e"],
        "seed": 1,
        "files": {},
    }


def test_the_digest_of_a_known_run_never_changes() -> None:
    """Digests are stored: another canonical form needs another name of the format."""
    assert digest(spec()) == "71467cacdb0fe63b602f30192eb5f1929586c0b43788f5e883d6d2f27ad10472"


@pytest.mark.parametrize(
    "same",
    [
        spec({"env": list(reversed(ENV))}),
        spec({"env": [*ENV, {"name": "HOSTNAME", "value": "a"}, {"name": "WANDB_RUN_ID", "value": "x1"}]}),
        spec({"env": [{"name": "LR", "value": "9"}, *ENV]}),
        spec({"env": [*ENV, {"name": "SHARD", "value": "3"}]}, ignored_env=("SHA*",)),
        spec({"image": IMAGE.replace("bert:1", "mirror/bert:latest")}),
        spec({"args": []}),
        spec({"name": "main"}),
        spec(placement=PlacementSpec(PlacementPolicy.SPOT)),
        spec(pod={"nodeSelector": {"pool": "a"}, "tolerations": [{"operator": "Exists"}]}),
        spec(backoff_limit=1),
    ],
    ids=[
        "order",
        "runs",
        "last-counts",
        "own-list",
        "way-to-image",
        "no-arguments",
        "name",
        "placement",
        "node",
        "retries",
    ],
)
def test_what_does_not_change_the_result_does_not_change_the_digest(same: TrainingSpec) -> None:
    assert digest(same) == digest(spec())


@pytest.mark.parametrize(
    "other",
    [
        spec({"image": IMAGE.replace("ab", "ac")}),
        spec({"command": ["python", "other.py"]}),
        spec({"args": ["--fast"]}),
        spec({"env": [*ENV, {"name": "WARMUP", "value": "1"}]}),
        spec({"env": ENV[:1]}),
        spec({"env": [*ENV, {"name": "PAD_TOKEN", "value": "<pad>"}]}),
        spec({"resources": {"limits": {"nvidia.com/gpu": 2}}}),
        spec(workers=2),
        spec(seed=2),
        spec(seed=None),
        spec(dataset=Dataset("clicks", "8")),
        spec(dataset=Dataset("views", "7")),
        spec(base_model=BaseModel("bert", "1")),
        spec(pod={"initContainers": [{"name": "fetch", "image": IMAGE}]}),
    ],
)
def test_what_changes_the_result_changes_the_digest(other: TrainingSpec) -> None:
    assert digest(other) != digest(spec())


def test_quantities_and_gpus_are_compared_by_what_they_mean() -> None:
    written = spec({"resources": {"limits": {"nvidia.com/gpu": "8", "memory": "1Gi", "cpu": "2000m"}}})
    other = spec({"resources": {"limits": {"nvidia.com/gpu": 8, "memory": "1024Mi", "cpu": 2}}})
    assert digest(written) == digest(other)
    in_template = spec({"resources": {"limits": {"nvidia.com/gpu": 8}}})
    assert digest(in_template) == digest(spec(gpus_per_worker=8)) == digest(replace(in_template, gpus_per_worker=8))


def test_a_version_read_elsewhere_counts_as_one_written_down() -> None:
    elsewhere = spec(dataset=Dataset("clicks"))
    assert digest(elsewhere, version="7") == digest(spec())
    assert missing(elsewhere) == ["spec.dataset.version"]
    assert missing(elsewhere, version="7") == []


def test_an_exact_digest_needs_a_version_an_image_digest_and_a_revision() -> None:
    assert missing(spec()) == []
    assert missing(spec(dataset=None)) == ["spec.dataset.version"]
    assert missing(spec({"image": "bert:1"})) == ["spec.template.spec.containers[0].image"]
    assert missing(spec(base_model=BaseModel("bert"))) == ["spec.baseModel.revision"]
    assert fingerprint(TrainingSpec(workload_ref=WorkloadRef("old"))) is None


def test_configuration_from_outside_counts_by_what_it_holds() -> None:
    mounted = spec(pod={"volumes": [{"name": "c", "configMap": {"name": "hyper"}}]})
    assert missing(mounted) == ["spec.template.spec.volumes[0]"]
    assert config_maps(mounted) == {"hyper"}
    assert missing(mounted, known={"hyper": "11"}) == []
    assert digest(mounted, known={"hyper": "11"}) != digest(mounted, known={"hyper": "12"})
    variable = {"name": "LR", "valueFrom": {"configMapKeyRef": {"name": "hyper", "key": "lr"}}}
    assert missing(spec({"env": [variable]})) == ["spec.template.spec.containers[0].env"]
    assert missing(spec({"env": [variable]}, ignored_env=("LR",))) == []
    assert missing(spec({"envFrom": [{"configMapRef": {"name": "hyper"}}]})) == [
        "spec.template.spec.containers[0].envFrom"
    ]


def test_credentials_count_by_name_only() -> None:
    secret = {"name": "S3_KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "key"}}}
    assert missing(spec({"env": [secret]})) == []


@given(
    st.dictionaries(st.sampled_from(["A", "B", "C", "D", "WANDB_NAME"]), st.text(max_size=3), max_size=5),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_ignored_names_nor_spelling_change_the_digest(variables: dict[str, str], chance: Any) -> None:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    shuffled = [one for one in env if not one["name"].startswith("WANDB_")]
    chance.shuffle(shuffled)
    limits = {"nvidia.com/gpu": 2, "memory": "2Gi", "cpu": "1500m"}
    other = dict(chance.sample(sorted({**limits, "memory": "2048Mi", "cpu": 1.5}.items()), 3))
    one = spec({"env": env, "resources": {"limits": limits}})
    assert digest(one) == digest(spec({"env": shuffled, "resources": {"limits": other}}))
    changed = [{"name": "E", "value": "1"}, *env]
    assert digest(spec({"env": changed})) != digest(spec({"env": env}))


def test_a_template_of_any_shape_has_an_answer() -> None:
    odd: list[Any] = [None, 1, "x", [], {}, [None], [{"name": None}], {"a": None}]
    chance = random.Random(1)
    for _ in range(300):
        pod = {key: chance.choice(odd) for key in ("containers", "initContainers", "volumes")}
        container = {key: chance.choice(odd) for key in ("image", "command", "args", "env", "envFrom", "resources")}
        pod["containers"] = chance.choice([pod["containers"], [container]])
        fingerprint(TrainingSpec(template={"spec": pod}))
