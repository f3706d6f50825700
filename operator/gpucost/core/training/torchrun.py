"""The environment through which the workers of one training run find each other.

`PET_*` are the names that torchrun takes for its own options (`--nnodes` is `PET_NNODES`); `MASTER_ADDR`,
`MASTER_PORT`, `WORLD_SIZE` and `RANK` are those of `torch.distributed`'s `env://` rendezvous, with one process per pod,
which torchrun overrides for the processes that it starts. Worker 0 is found by its host name behind the headless
Service. Whatever the template sets itself is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PORT = 29500
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def environment(*, name: str, workers: int, gpus: int | None) -> list[dict[str, Any]]:
    """Variables for one worker out of several; `gpus` is per worker, None when unknown."""
    master = f"{name}-0.{name}"
    rank = {"valueFrom": {"fieldRef": {"fieldPath": _INDEX}}}
    plain = {
        "MASTER_ADDR": master,
        "MASTER_PORT": str(PORT),
        "WORLD_SIZE": str(workers),
        "NNODES": str(workers),
        "PET_NNODES": str(workers),
        "PET_MASTER_ADDR": master,
        "PET_MASTER_PORT": str(PORT),
        **({"PET_NPROC_PER_NODE": str(gpus)} if gpus else {}),
    }
    values = [{"name": key, "value": value} for key, value in plain.items()]
    return values + [{"name": key, **rank} for key in ("RANK", "NODE_RANK", "PET_NODE_RANK")]


def with_environment(container: Mapping[str, Any], variables: list[dict[str, Any]]) -> dict[str, Any]:
    """A container with the variables that it does not set itself, before its own, which may refer to them."""
    own = list(container.get("env") or ())
    names = {variable.get("name") for variable in own}
    return {**container, "env": [one for one in variables if one["name"] not in names] + own}
