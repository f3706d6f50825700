"""A real training that is interrupted in the middle of an epoch goes on from there and ends as if it had not been."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpucost.core.training.progress import Progress
from support.progress_door import Door, open_door
from support.progress_world import BERT
from support.training_process import TrainingProcess, python

SCRIPT = Path(__file__).parents[2] / "support" / "train_digits.py"
EPOCHS, PER_EPOCH = 4, 23
STEPS = EPOCHS * PER_EPOCH


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_door(tmp_path) as door:
        yield door


def training(folder: Path, environment: dict[str, str] | None = None, pause: float = 0.02) -> TrainingProcess:
    folder.mkdir(exist_ok=True)
    paths = {"PYTHONPATH": str(Path(__file__).parents[3] / "operator"), "OMP_NUM_THREADS": "1"}
    command = python(SCRIPT, folder, EPOCHS, pause)
    return TrainingProcess(command, folder, {**paths, **(environment or {})})


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def last_step(process: TrainingProcess) -> int:
    found = re.findall(r"^step (\d+)$", process.output.read_text(), re.MULTILINE)
    return int(found[-1]) if found else 0


def starts(process: TrainingProcess) -> list[int]:
    return [int(step) for step in re.findall(r"begins at step (\d+)", process.output.read_text())]


def test_interrupted_in_mid_epoch_it_resumes_and_reaches_the_same_metric(tmp_path: Path, door: Door) -> None:
    undisturbed = training(tmp_path / "undisturbed", pause=0)
    undisturbed.to_the_end()
    process = training(tmp_path / "interrupted", door.environment)
    door.world.histories.ask_checkpoint(BERT)
    codes = [process.interrupted(lambda: last_step(process) > PER_EPOCH + 3)]
    codes.append(process.interrupted(lambda: last_step(process) > 60))
    process.to_the_end()

    assert codes == [143, 143]
    first, second, third = starts(process)
    assert first == 0 < second < third
    assert second % PER_EPOCH or third % PER_EPOCH, "an interruption fell into an epoch"
    assert result(tmp_path / "interrupted") == result(tmp_path / "undisturbed")
    assert result(tmp_path / "interrupted")["accuracy"] > 0.85
    said: Progress = door.said
    asked, *on_sigterm = [one.step for one in said.checkpoints]
    assert asked is not None
    assert 0 < asked < second
    assert on_sigterm == [second, third]
    assert said.latest is not None
    assert (said.latest.progress, said.latest.step) == (1.0, STEPS)
    assert door.values("accuracy")[-1] == result(tmp_path / "interrupted")["accuracy"]

    asked_back = {"GPUCOST_RESTORE_STEP": str(third - 1), "GPUCOST_RESTORE_TIME": "2026-11-29T18:00:00Z"}
    again = training(tmp_path / "interrupted", asked_back, pause=0)
    again.to_the_end()
    assert starts(again)[-1] == second, "the operator asked to go back behind the last checkpoint"
    assert result(tmp_path / "interrupted") == result(tmp_path / "undisturbed")


def test_a_door_that_hangs_or_is_closed_neither_slows_nor_changes_a_training(tmp_path: Path) -> None:
    outcomes = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hanging = {"KUBEFLOW_TRAINER_SERVER_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        outcomes.append(outcome(tmp_path / "hangs", hanging))
    outcomes.append(outcome(tmp_path / "closed", hanging))
    assert max(waited for _, waited, _ in outcomes) < 1, "92 steps; one message would wait for three seconds"
    assert [failures > 0 for _, _, failures in outcomes] == [True, True]
    assert outcomes[0][0] == outcomes[1][0]


def outcome(folder: Path, environment: dict[str, str]) -> tuple[dict[str, Any], float, int]:
    """What a training came to, how long it waited in the SDK, and how many reports failed."""
    process = training(folder, environment, pause=0.001)
    process.to_the_end()
    found = re.search(r"waited (\S+) s in all, (\d+) failures", process.output.read_text())
    assert found is not None
    return result(folder), float(found[1]), int(found[2])
