"""What the callback for Hugging Face asks of its Trainer; real ones train in `tests/frameworks`."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gpucost.sdk import TERMINATED, Run, hugging_face

ARGS = SimpleNamespace(report_to=[])


@pytest.fixture(autouse=True)
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(TrainerCallback=object))


class Trainer:
    """Calls a callback in the order of a Trainer."""

    def __init__(self, run: Run) -> None:
        self.callback = hugging_face(run)
        self.state = SimpleNamespace(global_step=0, max_steps=10)
        self.callback.on_train_begin(ARGS, self.state, None)

    def step(self) -> Any:
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        self.state.global_step += 1
        return self.callback.on_step_end(ARGS, self.state, control)

    def end(self) -> None:
        self.callback.on_train_end(ARGS, self.state, None)


def worker(others: int) -> Run:
    return Run(catch_sigterm=False, agree=lambda mine: max(mine, others))


def test_a_worker_whose_fellow_was_told_to_end_ends_with_143_too() -> None:
    trainer = Trainer(worker(2))
    control = trainer.step()
    assert (control.should_save, control.should_training_stop) == (True, True)
    with pytest.raises(SystemExit) as ended:
        trainer.end()
    assert ended.value.code == TERMINATED


def test_a_training_that_has_done_all_its_steps_is_complete_although_sigterm_came() -> None:
    run = worker(0)
    trainer = Trainer(run)
    assert trainer.step().should_training_stop is False
    run.stopping = True  # after the last step: nobody has stopped for it
    trainer.end()


def test_an_evaluation_before_a_checkpoint_is_no_part_of_saving() -> None:
    run = worker(1)
    trainer = Trainer(run)
    trainer.step()
    time.sleep(0.5)
    trainer.callback.on_evaluate(ARGS, trainer.state, None)
    trainer.callback.on_save(ARGS, trainer.state, None)
    assert run._checkpoints[0]["durationSeconds"] < 0.5
