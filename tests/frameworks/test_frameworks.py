"""Real trainings with Hugging Face, Lightning and XGBoost, each a process, against the real door for reports.

They need libraries of some gigabytes, so they run in an environment of their own: `make test-frameworks`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from gpucost import sdk
from support.progress_door import Door, open_door
from support.training_process import TrainingProcess, python

INTERPRETER = os.environ.get("GPUCOST_FRAMEWORKS_PYTHON", "")
HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    not INTERPRETER, reason="needs torch, transformers, lightning and xgboost (6 GB): run `make test-frameworks`"
)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_door(tmp_path) as door:
        yield door


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images, labels = load_digits(return_X_y=True)
    np.savez(path, images=(images / 16).astype(np.float32), labels=labels.astype(np.int64))
    return path


def training(script: str, digits: Path, folder: Path, door: Door | None) -> TrainingProcess:
    folder.mkdir(exist_ok=True)
    (folder / "gpucost_sdk.py").write_text(Path(sdk.__file__).read_text())  # as `gpucost sdk` prints it
    paths = {"PYTHONPATH": f"{folder}:{HERE}", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment = {**paths, **offline, **(door.environment if door is not None else {})}
    return TrainingProcess(python(HERE / script, digits, folder, interpreter=INTERPRETER), folder, environment)


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_hugging_face_reports_with_no_change_in_its_code(tmp_path: Path, digits: Path, door: Door) -> None:
    assert "gpucost" not in (HERE / "train_hugging_face.py").read_text().replace("knows nothing of gpucost", "")
    process = training("train_hugging_face.py", digits, tmp_path / "run", door)
    process.to_the_end()
    reports = door.said.reports
    assert len(reports) >= 3, process.tail()  # at the beginning, in between, at the end
    assert reports[0].progress == 0
    assert reports[-1].progress == 1
    assert [one.progress for one in reports] == sorted(one.progress or 0 for one in reports)
    middle = reports[-2]
    assert middle.step is not None
    assert middle.step > 0
    assert {"loss", "learning_rate", "grad_norm", "current_step", "total_steps"} <= middle.metrics.keys()
    assert 0 < door.values("eval_loss")[-1] < 0.5
    assert door.world.api.refused == {}


def test_hugging_face_saves_on_sigterm_and_reaches_the_same_loss(tmp_path: Path, digits: Path, door: Door) -> None:
    undisturbed = training("train_hugging_face_resuming.py", digits, tmp_path / "undisturbed", None)
    undisturbed.to_the_end()
    process = training("train_hugging_face_resuming.py", digits, tmp_path / "run", door)
    code = process.interrupted(lambda: door.step > 30)
    assert code == sdk.TERMINATED, process.tail()
    process.to_the_end()
    whole, resumed = result(tmp_path / "undisturbed"), result(tmp_path / "run")
    assert resumed["resumed"] > 30
    assert resumed["steps"] == whole["steps"]
    assert resumed["eval_loss"] == pytest.approx(whole["eval_loss"], rel=1e-3)
    assert [one.step for one in door.said.checkpoints] == [resumed["resumed"]]
    assert (door.said.checkpoints[0].duration or 0) > 0
    assert door.values("eval_loss")
    assert set(door.world.api.refused) <= {409, 429}


def test_lightning_saves_on_sigterm_and_goes_on(tmp_path: Path, digits: Path, door: Door) -> None:
    process = training("train_lightning.py", digits, tmp_path / "run", door)
    code = process.interrupted(lambda: door.step > 40)
    assert code == sdk.TERMINATED, process.tail()
    (saved,) = door.said.checkpoints
    process.to_the_end()
    assert f"resumes at step {saved.step}" in process.tail()
    assert result(tmp_path / "run")["steps"] == 5 * 24
    assert saved.step is not None
    assert 40 < saved.step < 120
    assert door.said.latest is not None
    assert door.said.latest.progress == 1
    assert door.values("val_loss")[-1] == pytest.approx(result(tmp_path / "run")["val_loss"])
    assert len(door.values("val_loss")) <= 6, "one for each epoch, not one for each message"


def test_xgboost_saves_on_sigterm_and_goes_on(tmp_path: Path, digits: Path, door: Door) -> None:
    process = training("train_xgboost.py", digits, tmp_path / "run", door)
    code = process.interrupted(lambda: door.step > 20)
    assert code == sdk.TERMINATED, process.tail()
    process.to_the_end()
    (saved,) = door.said.checkpoints
    found = result(tmp_path / "run")
    assert f"begins at round {saved.step}" in process.tail()
    assert found["rounds"] == 60
    assert door.values("test-mlogloss")[-1] == pytest.approx(found["loss"], rel=1e-4)


def test_workers_save_at_the_same_step_though_only_one_is_told_to_stop(tmp_path: Path, digits: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = [tmp_path / "0", tmp_path / "1"]
    zero, one = (training("train_two_workers.py", digits, folder, None) for folder in folders)
    for rank, process in enumerate((zero, one)):
        process.command = python(HERE / "train_two_workers.py", tmp_path, rank, port, interpreter=INTERPRETER)
    with zero.running() as other:
        assert one.interrupted((tmp_path / "step-1").exists) == sdk.TERMINATED, one.tail()
        assert other.wait(30) == sdk.TERMINATED, zero.tail()
    assert (tmp_path / "saved-0").read_text() == (tmp_path / "saved-1").read_text()
