"""What the SDK does in a training loop: it reports, saves and ends as it should, and never gets in the way."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpucost import sdk
from gpucost.core.training import reporting
from gpucost.core.training.push import parse_push
from gpucost.core.training.stopping import restore
from gpucost.sdk import (
    INTERVAL,
    RESTORE_STEP,
    RESTORE_TIME,
    TERMINATED,
    TOKEN,
    URL,
    Checkpoints,
    Run,
    newest,
    replacing,
)
from support.report_server import ReportServer

ASK = {"accepted": True, "checkpoint": True}
OPERATOR = Path(sdk.__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (URL, TOKEN, INTERVAL, RESTORE_STEP, RESTORE_TIME, "RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportServer]:
    with ReportServer() as server:
        monkeypatch.setenv(URL, server.url)
        yield server


def quick(**more: object) -> Run:
    return Run(**{"total_steps": 100, "every": 0.05, "catch_sigterm": False, **more})  # type: ignore[arg-type]


def values(message: dict) -> dict[str, str]:
    return {one["name"]: one["value"] for one in message["trainerStatus"].get("metrics", ())}


def test_what_it_sends_is_what_the_operator_reads(server: ReportServer, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv(TOKEN, str(tmp_path / "token"))
    with quick() as run:
        run.report(25, metrics={"loss": 0.5, "grad": float("nan")})
        message = server.wait(1)[0]
    push = parse_push(json.dumps(message).encode())
    assert (push.step, push.progress, push.metrics["loss"]) == (25, 0.25, 0.5)
    assert push.metrics["grad"] != push.metrics["grad"]
    assert push.told_at is not None
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert (run.sent, run.failures) == (1, 0)


def test_many_steps_are_few_messages_and_the_last_one_gets_through(server: ReportServer) -> None:
    with quick(every=5.0) as run:
        for step in range(1, 1001):
            run.step(step, loss=1 / step)
    assert len(server.messages) == 2  # the first at once, the last at the end
    assert server.messages[-1]["step"] == 1000
    assert values(server.messages[-1]) == {"loss": "0.001"}


def test_without_an_address_nothing_is_sent_and_nothing_fails() -> None:
    with quick() as run:
        run.step(1, loss=1.0)
    assert (run.sent, run.failures, run._thread) == (0, 0, None)


@pytest.mark.parametrize("rank", ["RANK", "JOB_COMPLETION_INDEX"])
def test_only_rank_zero_reports(server: ReportServer, monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    monkeypatch.setenv(rank, "3")
    with quick() as run:
        run.step(1, loss=1.0)
    assert server.messages == []


class Dear:
    """A value whose conversion waits for a GPU."""

    def __init__(self) -> None:
        self.converted = 0

    def __float__(self) -> float:
        self.converted += 1
        return 1.0


def test_values_on_a_gpu_are_converted_only_for_a_message(server: ReportServer) -> None:
    loss = Dear()
    with quick(every=60.0) as run:
        run.report(1, metrics={"loss": loss})
        server.wait(1)
        for step in range(2, 200):
            run.report(step, metrics={"loss": loss})
    assert loss.converted <= 2


def test_a_dear_value_that_comes_between_two_messages_goes_with_the_next(server: ReportServer) -> None:
    with quick(every=60.0) as run:
        run.report(1)
        server.wait(1)
        run.report(2, metrics={"val_loss": Dear()})
        run.report(3)
    assert values(server.messages[-1]) == {"val_loss": "1.0"}


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_costs_the_loop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(URL, f"http://127.0.0.1:{free.getsockname()[1]}/")
    begun = time.monotonic()
    with quick(timeout=1.0) as run:
        for step in range(1000):
            run.step(step, loss=1.0)
    assert time.monotonic() - begun < 3
    assert run.failures >= 1
    assert "refused" in run.last_failure


def test_a_server_that_hangs_costs_the_end_no_more_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(URL, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        begun = time.monotonic()
        with quick(timeout=0.3) as run:
            for step in range(1000):
                run.step(step, loss=1.0)
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "answer", [(400, {}), (401, {}), (403, {}), (429, {}), (500, {}), (200, b"no json"), (200, [])]
)
def test_whatever_the_server_says_training_goes_on(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, object]) -> None:
    with ReportServer(answer) as server:
        monkeypatch.setenv(URL, server.url)
        with quick() as run:
            run.step(1, loss=1.0)
            server.wait(1)
    assert run.stopping is False


@pytest.mark.parametrize("value", ["text", object(), None])
def test_a_metric_that_is_no_number_is_counted_and_harms_nothing(server: ReportServer, value: object) -> None:
    with quick() as run:
        run.step(1, loss=value)
    assert run.failures >= 1


def test_a_missing_token_file_is_counted(server: ReportServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "/nowhere/token")
    with quick() as run:
        run.report(1)
    assert "token" in run.last_failure
    assert server.messages == []


def test_a_checkpoint_is_told_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReportServer((503, {}), (200, {})) as server:
        monkeypatch.setenv(URL, server.url)
        with quick() as run:
            run.saved(7, 1.5)
            server.wait(2)
        assert [one["step"] for one in server.checkpoints] == [7, 7]
        assert run._checkpoints == []


def test_a_checkpoint_that_is_refused_for_good_is_not_told_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReportServer((400, {}), (200, {})) as server:
        monkeypatch.setenv(URL, server.url)
        with quick() as run:
            run.saved(7)
            server.wait(1)
            run.saved(8)
            server.wait(2)
        assert [one["step"] for one in server.checkpoints] == [7, 8]


def test_an_answer_that_gets_stuck_ends_no_later_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReportServer((503, {}), (200, {}), stuck=1) as server:
        monkeypatch.setenv(URL, server.url)
        with quick(timeout=0.2) as run:
            run.saved(7)
            server.wait(2)
        assert [one["step"] for one in server.checkpoints][:2] == [7, 7]
        assert run.failures >= 1


class Whole:
    """A whole number that JSON does not know, as those of numpy."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)


def test_numbers_of_other_libraries_are_numbers(server: ReportServer) -> None:
    with quick() as run:
        run.saved(Whole(20), Whole(3))  # type: ignore[arg-type]
        run.report(Whole(25), Whole(0.5), {"loss": Whole(2)})  # type: ignore[arg-type]
    told = {name: value for message in server.messages for name, value in message.items()}
    assert (told["step"], told["trainerStatus"]["progressPercentage"], values(told)) == (25, 50.0, {"loss": "2.0"})
    assert (told["checkpoint"]["step"], told["checkpoint"]["durationSeconds"]) == (20, 3.0)
    assert run.failures == 0


@pytest.mark.parametrize("progress", [float("nan"), 42.0, -0.1, "half"])
def test_a_progress_that_is_none_costs_no_metric(server: ReportServer, progress: object) -> None:
    with quick() as run:
        run.report(25, progress, {"loss": 0.5, "no\nname": 1.0, "x" * 200: 1.0})  # type: ignore[arg-type]
        message = server.wait(1)[0]
    push = parse_push(json.dumps(message).encode())
    assert (push.step, push.progress, push.metrics) == (25, 0.25, {"loss": 0.5})
    assert run.failures == 3


class Tensor(Dear):
    """A value on a GPU that the loop goes on adding to."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = value

    def __float__(self) -> float:
        return self.value

    def detach(self) -> Tensor:
        return self

    def clone(self) -> Tensor:
        return Tensor(self.value)


def test_a_value_is_told_as_it_was_when_it_was_reported(server: ReportServer) -> None:
    total = Tensor()
    with quick(every=60.0) as run:
        run.report(1)
        server.wait(1)
        total.value = 3.0
        run.report(2, metrics={"total": total})
        total.value = 0.0
    assert values(server.messages[-1]) == {"total": "3.0"}


def test_what_is_measured_after_the_training_is_told_too(server: ReportServer) -> None:
    run = quick()
    with run:
        run.report(99, metrics={"loss": 0.5})
    run.report(100, metrics={"eval_loss": 0.25})
    assert values(server.wait(2)[-1]) == {"eval_loss": "0.25"}
    run.close()
    run.close()
    assert (len(server.messages), run.failures) == (2, 0)


def test_a_script_that_never_says_that_it_ends_loses_no_last_word(server: ReportServer) -> None:
    code = (
        "from gpucost.sdk import Run\n"
        "run = Run(10, every=60)\n"
        "run.step(1, loss=1.0)\n"
        "while not run.sent: pass\n"
        "run.step(10, loss=0.5)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(OPERATOR)}, check=True)
    assert [one["step"] for one in server.messages] == [1, 10]


# --- other processes --------------------------------------------------------------------------------------------------


FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@FORKS
def test_worker_processes_of_a_training_end_on_sigterm_as_ever(server: ReportServer) -> None:
    """Loaders of data and pools end their forked workers by SIGTERM, and wait for them."""
    run = Run(100)
    try:
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        time.sleep(0.2)
        worker.terminate()
        worker.join(10)
        assert worker.exitcode == -signal.SIGTERM
        assert run.stopping is False
    finally:
        worker.kill()
        run.close()


def test_a_handler_that_is_set_twice_gives_sigterm_back_as_it_was(server: ReportServer) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = Run(100)
    run._catch()  # as the callback for Lightning does, after Lightning's own handler
    run.close()
    assert signal.getsignal(signal.SIGTERM) == before


@FORKS
def test_a_handler_that_somebody_puts_back_after_the_end_stops_no_sigterm() -> None:
    """Lightning puts back the handlers that it found, when the training is over."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        run = Run(100)
        found = signal.getsignal(signal.SIGTERM)
        run.close()
        signal.signal(signal.SIGTERM, found)
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(7)
    assert wait_for_exit(pid, 10) == -signal.SIGTERM


@FORKS
def test_a_forked_process_neither_reports_nor_waits_for_a_lock(server: ReportServer) -> None:
    run, held, done = quick(), threading.Event(), threading.Event()

    def hold() -> None:
        with run._lock:  # as the thread of the reports may at that moment
            held.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    pid = os.fork()
    if pid == 0:
        run.step(1, loss=1.0)
        run.saved(1)
        run.close()
        os._exit(7)
    ended = wait_for_exit(pid, 5)
    done.set()
    holder.join()
    assert (ended, server.messages) == (7, [])


def wait_for_exit(pid: int, seconds: float) -> int | None:
    """The exit code of a child; None when it does not end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_a_worker_that_stops_because_another_has_to_knows_that_it_stops() -> None:
    run = quick(agree=lambda _mine: 2)
    assert (run.wish(), run.stopping) == (2, True)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_request_of_the_operator_is_met_at_the_next_step_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    with ReportServer((200, ASK), (200, {})) as server:
        monkeypatch.setenv(URL, server.url)
        with quick(save=saved.append) as run:
            run.step(1)
            server.wait(1)
            step = 2
            while not saved:
                run.step(step)
                step += 1
            run.step(step)
            server.wait(2)
        assert len(saved) == 1
    assert [one["step"] for one in server.checkpoints] == saved
    assert server.checkpoints[0]["durationSeconds"] >= 0


def test_the_recommended_interval_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL, "0.05")
    saved: list[int] = []
    run = quick(save=saved.append)
    begun, step = time.monotonic(), 0
    while time.monotonic() - begun < 0.6:
        step += 1
        run.step(step)
    assert 6 <= len(saved) <= 12


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "0"])
def test_an_interval_that_makes_no_sense_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(INTERVAL, text)
    assert quick().interval is None


def test_several_workers_save_at_the_same_step() -> None:
    saved: list[int] = []
    run = quick(save=saved.append, agree=lambda mine: max(mine, 1))  # another worker wants to save
    run.step(4)
    assert saved == [4]


def test_a_failing_checkpoint_is_the_callers_to_see() -> None:
    def save(_step: int) -> None:
        raise OSError("disk full")

    run = quick(save=save)
    run._asked = True
    with pytest.raises(OSError, match="disk full"):
        run.step(1)


def test_after_sigterm_it_saves_and_ends_with_143() -> None:
    saved: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    run = Run(100, saved.append)
    run.step(1)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run.step(2)
    assert (ended.value.code, saved) == (TERMINATED, [2])
    assert signal.getsignal(signal.SIGTERM) == before


def test_after_sigterm_a_failing_checkpoint_still_means_start_again(capsys: pytest.CaptureFixture[str]) -> None:
    def save(_step: int) -> None:
        raise OSError("disk full")

    run = quick(save=save)
    run.stopping = True
    with pytest.raises(SystemExit) as ended:
        run.step(2)
    assert ended.value.code == TERMINATED
    assert "disk full" in capsys.readouterr().err


def test_a_checkpoint_that_was_cut_off_replaces_no_good_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_text("good")

    def cut_off() -> None:
        with replacing(str(target)) as unfinished:
            Path(unfinished).write_text("ha")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cut_off()
    assert target.read_text() == "good"
    with replacing(str(target)) as unfinished:
        Path(unfinished).write_text("better")
    assert target.read_text() == "better"


def test_a_checkpoint_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    def cut_off(path: Path) -> None:
        with replacing(str(path)) as unfinished:
            Path(unfinished).write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cut_off(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_unfinished_goes_with_a_later_checkpoint(tmp_path: Path) -> None:
    left, going_on = tmp_path / ".unfinished-checkpoint-1", tmp_path / ".unfinished-checkpoint-2"
    for folder in (left, going_on):
        folder.mkdir()
        (folder / "weights").write_text("half")
    os.utime(left, (0, 0))
    fill(tmp_path, 3)
    assert {one.name for one in tmp_path.iterdir()} == {"checkpoint-3", going_on.name}


def test_an_old_checkpoint_that_cannot_be_removed_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(str(tmp_path), keep=1)
    fill(tmp_path, 1)

    def refused(_path: str) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(sdk.os, "remove", refused)
    with checkpoints.writing(2) as path:
        Path(path).write_text("2")
    assert checkpoints.newest() == (2, str(tmp_path / "checkpoint-2"))


# --- going back -------------------------------------------------------------------------------------------------------


def fill(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(str(folder), keep=10)
    for step in steps:
        with checkpoints.writing(step) as path:
            Path(path).write_text(str(step))
    return checkpoints


def test_the_newest_checkpoints_are_kept_and_the_newest_one_is_gone_on_from(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "deep" / "folder"), keep=2)
    assert checkpoints.newest() is None
    for step in (9, 10, 100):
        with checkpoints.writing(step) as path:
            Path(path).mkdir()
            (Path(path) / "weights").write_text(str(step))
    assert sorted(one.name for one in (tmp_path / "deep" / "folder").iterdir()) == ["checkpoint-10", "checkpoint-100"]
    found = checkpoints.newest()
    assert found is not None
    assert (found.step, (Path(found.path) / "weights").read_text()) == (100, "100")


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = fill(tmp_path, 1)

    def killed() -> None:
        with checkpoints.writing(2) as path:
            Path(path).mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert checkpoints.newest() == (1, str(tmp_path / "checkpoint-1"))
    with checkpoints.writing(2) as path:
        Path(path).write_text("whole")
    assert checkpoints.newest() == (2, str(tmp_path / "checkpoint-2"))


def test_after_a_divergence_it_goes_back_once_and_then_forward_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = fill(tmp_path, 100, 200, 300, 400)
    monkeypatch.setenv(RESTORE_STEP, "250")
    monkeypatch.setenv(RESTORE_TIME, "2026-11-29T18:00:00Z")
    assert checkpoints.newest() == (200, str(tmp_path / "checkpoint-200"))
    fill(tmp_path, 300)
    assert checkpoints.newest() == (300, str(tmp_path / "checkpoint-300"))  # interrupted again: what is new counts
    assert (tmp_path / "checkpoint-300").read_text() == "300"
    assert {one.name for one in tmp_path.iterdir()} >= {"diverged-checkpoint-300", "diverged-checkpoint-400"}
    monkeypatch.setenv(RESTORE_TIME, "2026-11-29T20:00:00Z")  # asked once more
    assert checkpoints.newest() == (200, str(tmp_path / "checkpoint-200"))
    monkeypatch.setenv(RESTORE_STEP, "150")
    assert checkpoints.newest() == (100, str(tmp_path / "checkpoint-100"))


def test_it_reads_what_the_operator_sets() -> None:
    assert (RESTORE_STEP, RESTORE_TIME) == (restore.STEP, restore.TIME)
    assert (INTERVAL, URL, TOKEN) == (reporting.INTERVAL, reporting.URL, reporting.TOKEN)


@pytest.mark.parametrize("text", ["", "  ", "-1", "soon", "1.5"])
def test_a_step_that_makes_no_sense_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    checkpoints = fill(tmp_path, 100, 200)
    monkeypatch.setenv(RESTORE_STEP, text)
    assert checkpoints.newest() == (200, str(tmp_path / "checkpoint-200"))


def test_a_folder_without_its_last_file_is_no_complete_checkpoint(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-best").mkdir()
    assert newest(str(tmp_path), proof="trainer_state.json") == (5, str(tmp_path / "checkpoint-5"))
    assert newest(str(tmp_path / "missing")) is None


# --- what is news -----------------------------------------------------------------------------------------------------


def test_a_metric_is_told_once_and_with_the_next_message_when_one_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReportServer((200, {}), (503, {}), (200, {})) as server:
        monkeypatch.setenv(URL, server.url)
        with quick() as run:
            run.report(1, metrics={"eval": 0.5})
            server.wait(1)
            run.report(2, metrics={"loss": 1.0})
            server.wait(2)
            run.report(3, metrics={"loss": 0.75, "lr": 0.1})
            server.wait(3)
    assert [values(one) for one in server.messages[:3]] == [
        {"eval": "0.5"},
        {"loss": "1.0"},
        {"loss": "0.75", "lr": "0.1"},
    ]


def test_a_checkpoint_alone_repeats_no_report(server: ReportServer) -> None:
    with quick() as run:
        run.report(1, metrics={"loss": 1.0})
        server.wait(1)
        run.saved(1)
        server.wait(2)
    assert "trainerStatus" not in server.messages[1]
    assert parse_push(json.dumps(server.messages[1]).encode()).saved is not None


def test_a_token_that_has_run_out_loses_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReportServer((401, {}), (200, {})) as server:
        monkeypatch.setenv(URL, server.url)
        with quick() as run:
            run.saved(7)
            server.wait(2)
    assert [one["step"] for one in server.checkpoints] == [7, 7]


def test_more_metrics_than_may_be_sent_are_cut_down(server: ReportServer) -> None:
    with quick() as run:
        run.report(1, metrics={f"m{number}": number for number in range(500)})
        message = server.wait(1)[0]
    assert len(parse_push(json.dumps(message).encode()).metrics) == 128


# --- one file ---------------------------------------------------------------------------------------------------------


def test_the_file_works_alone_wherever_it_is_copied_to(tmp_path: Path) -> None:
    copy = tmp_path / "gpucost_sdk.py"
    copy.write_text(Path(sdk.__file__).read_text())
    code = (
        "import gpucost_sdk, sys; gpucost_sdk.Run(5).step(1, loss=1.0);"
        "print(sorted(name for name in sys.modules if 'gpucost' in name))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['gpucost_sdk']"


def test_the_file_is_python_3_8() -> None:
    ast.parse(Path(sdk.__file__).read_text(), feature_version=(3, 8))
