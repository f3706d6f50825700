"""The JSON Schemas in docs/reference work in the tool that people check manifests with before they have a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
import yaml

from gpucost.api.kinds import KINDS, TRAINING_JOB, Kind
from local.programs import program

SCHEMAS = Path(__file__).parents[3] / "docs" / "reference" / "{{.ResourceKind}}.schema.json"


def kubeconform(manifest: dict[str, Any]) -> CompletedProcess[str]:
    command = [str(program("kubeconform")), "-schema-location", str(SCHEMAS), "-output", "text", "-"]
    return run(command, input=json.dumps(manifest), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_the_documented_example_is_valid(kind: Kind) -> None:
    done = kubeconform(yaml.safe_load(kind.example))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scheduel": {}}, "'scheduel' not allowed"),
        ({"workers": 0}, "minimum: got 0, want 1"),
        ({"workers": "two"}, "want integer"),
        ({"schedule": {"windows": []}}, "minItems"),
        ({"placement": {"policy": "spot"}}, "'OnDemand', 'Spot', 'Scheduled'"),
    ],
)
def test_a_mistake_is_found_without_a_cluster(change: dict[str, Any], words: str) -> None:
    manifest = yaml.safe_load(TRAINING_JOB.example)
    manifest["spec"].update(change)
    done = kubeconform(manifest)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
