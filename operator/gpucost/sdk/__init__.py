"""What a training script says of itself. One file without dependencies: copy it to wherever it is needed.

    from gpucost.sdk import Run          # or: from gpucost_sdk import Run, after `gpucost sdk > gpucost_sdk.py`

    checkpoints = Checkpoints("/checkpoints")

    def save(step):                                     # writes a checkpoint
        with checkpoints.writing(step) as path:
            torch.save(state(), path)

    def load():                                         # the step to go on with, or None
        found = checkpoints.newest()
        if found:
            restore(found.path)
            return found.step

    with Run(total_steps=10_000, save=save) as run:
        for step in range(run.resume(load), 10_000):
            loss = train_one_step()
            run.step(step + 1, loss=loss)

Reports go by Kubeflow Trainer's protocol to the address in the environment; without one nothing is sent. They are sent
by a thread, at most one every five seconds; whatever goes wrong is counted (`run.failures`), never raised, and training
does not wait for them. `run.step` also saves when it is time (SIGTERM, a request of the operator, the
recommended interval) and ends the process with exit code 143 after SIGTERM, so that Kubernetes starts it again.
`newest` and `Checkpoints` go back to an earlier step when the operator asks for it after a divergence.
Python 3.8 or later.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

__all__ = [
    "TERMINATED", "Checkpoints", "Found", "Run", "hugging_face", "lightning", "newest", "replacing", "torch_agreement",
    "xgboost",
]  # fmt: skip

TERMINATED = 143
"""Exit code of a process that SIGTERM ended: 128 + 15. Exit code 0 would mean that the training is complete."""
URL = "KUBEFLOW_TRAINER_SERVER_URL"
CA_CERT = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN = "KUBEFLOW_TRAINER_SERVER_TOKEN"
INTERVAL = "GPUCOST_CHECKPOINT_INTERVAL_SECONDS"
RESTORE_STEP, RESTORE_TIME = "GPUCOST_RESTORE_STEP", "GPUCOST_RESTORE_TIME"
"""Newest step to go on from, and when the operator asked for it because what came after diverged; empty: any."""

_GO_ON, _SAVE, _STOP = 0, 1, 2
_LONGEST_PAUSE = 60.0
_MOST_WAITING = 16
_MOST_METRICS = 128
_LONGEST_NAME = 128
_LEFT_BEHIND = 3600.0
"""Age in seconds at the start of a process from which nobody writes at an unfinished checkpoint any more."""
_MARKER = ".gpucost-restored"


class Run:
    """One training run. Every method may be called from the training loop: none blocks, none raises for our sake."""

    def __init__(
        self,
        total_steps: int | None = None,
        save: Callable[[int], Any] | None = None,
        *,
        agree: Callable[[int], int] | None = None,
        every: float = 5.0,
        timeout: float = 3.0,
        catch_sigterm: bool = True,
        rank: int | None = None,
    ) -> None:
        """`save(step)` writes a checkpoint. `agree` makes several workers do the same at the same step: it gets this
        worker's wish (0 go on, 1 save, 2 save and stop) and returns the largest of all, as `torch_agreement` does.
        Only rank 0 reports. `timeout` (seconds) bounds one message, in the thread, and the wait at the end."""
        self.total_steps = total_steps
        self.failures = 0
        """Reports that did not get through, for whatever reason."""
        self.last_failure = ""
        self.sent = 0
        self.stopping = False
        """SIGTERM has come: save and end."""
        self.interval = _positive(os.environ.get(INTERVAL))
        """Recommended seconds between two checkpoints; None when nobody recommends any."""
        self.agree = agree
        self._save, self._every, self._timeout = save, every, timeout
        self._url = os.environ.get(URL, "") if (_rank() if rank is None else rank) == 0 else ""
        self._asked = False
        self._started = self._saved_at = time.monotonic()
        self._first_step: int | None = None
        self._due = 0.0
        self._state: dict[str, Any] = {}
        self._metrics: dict[str, float] = {}
        self._sending: dict[str, float] = {}
        self._dear: dict[str, Any] = {}
        self._news = False
        self._checkpoints: list[dict[str, Any]] = []
        self._closing = False
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._before: Any = None
        self._caught = False
        self._told_all = True
        if self._url:
            atexit.register(_close, weakref.ref(self))
        if catch_sigterm:
            self._catch()

    # --- the loop -------------------------------------------------------------------------------------------------

    def resume(self, load: Callable[[], int | None]) -> int:
        """The step to go on with: what `load()` returns, 0 when it returns None."""
        step = load() or 0
        self._first_step = step
        return step

    def step(self, step: int, progress: float | None = None, **metrics: Any) -> None:
        """A step is done: report it, save when it is time; after SIGTERM save and exit with code 143."""
        self.report(step, progress, metrics)
        wish = self.wish()
        if wish == _GO_ON:
            return
        if self._save is not None:
            self._save_now(step, stopping=wish == _STOP)
        self._asked = False
        if wish == _STOP:
            self.exit()

    def wish(self) -> int:
        """What is to be done now, all workers agreed: 0 go on, 1 save a checkpoint, 2 save one and stop."""
        mine = _STOP if self.stopping else _SAVE if self._is_due() else _GO_ON
        agreed = mine if self.agree is None else int(self.agree(mine))
        self.stopping = self.stopping or agreed == _STOP
        return agreed

    def _is_due(self) -> bool:
        return self._asked or (self.interval is not None and time.monotonic() - self._saved_at >= self.interval)

    def _save_now(self, step: int, *, stopping: bool) -> None:
        try:
            with self.saving(step):
                self._save(step)  # type: ignore[misc]
        except Exception as error:
            if not stopping:
                raise
            with self._counted():
                print(f"gpucost: the last checkpoint failed, the one before it counts: {error!r}", file=sys.stderr)

    @contextmanager
    def saving(self, step: int | None = None) -> Iterator[None]:
        """Around the writing of a checkpoint: measures how long it takes, and tells when it is complete."""
        begun = time.monotonic()
        yield
        self.saved(step, time.monotonic() - begun)

    def saved(self, step: int | None = None, duration: float | None = None) -> None:
        """A checkpoint is complete; `duration` in seconds."""
        self._saved_at, self._asked = time.monotonic(), False
        if self._is_elsewhere():
            return
        with self._counted():
            told = {"step": _whole(step), "durationSeconds": _decimal(duration), "time": _now()}
            with self._lock:
                self._told_all = False
                self._checkpoints.append({key: value for key, value in told.items() if value is not None})
                del self._checkpoints[:-_MOST_WAITING]
            self._wake()

    def exit(self) -> None:
        """Tell what is left to tell, and end with exit code 143."""
        self.close()
        raise SystemExit(TERMINATED)

    # --- reports --------------------------------------------------------------------------------------------------

    def report(
        self, step: int | None = None, progress: float | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Say how far the run is: `progress` from 0 to 1 (worked out from `total_steps` when left out), and metrics.

        Values that are not plain numbers, such as tensors on a GPU, are converted only when a report is due: the
        conversion waits for the GPU.
        """
        if not self._url or self._is_elsewhere():
            return
        with self._counted():
            is_due = time.monotonic() >= self._due
            for name, value in (metrics or {}).items():
                self._dear[name] = value if is_due or isinstance(value, (int, float)) else _copy(value)
            values = self._converted(plain_only=not is_due)
            state = self._described(step, progress)
            with self._lock:
                self._state = state
                self._metrics.update(values)
                self._news, self._told_all = True, False
            if is_due or self._thread is None:
                self._wake()

    def _converted(self, *, plain_only: bool = False) -> dict[str, float]:
        """Values that wait to be numbers, which they are afterwards; what cannot become one is counted."""
        values: dict[str, float] = {}
        for name, value in list(self._dear.items()):
            if isinstance(value, (int, float)) or not plain_only:
                del self._dear[name]
                with self._counted():
                    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
                        raise ValueError(f"{name[:40]!r} is no name of a metric")
                    values[name] = float(value)
        return values

    def _described(self, step: int | None, progress: float | None) -> dict[str, Any]:
        step = _whole(step)
        if self._first_step is None and step is not None:
            self._first_step = step
        progress = self._share(progress)
        if progress is None and step is not None and self.total_steps:
            progress = min(1.0, step / self.total_steps)
        told = {
            "progressPercentage": None if progress is None else round(100 * progress, 4),
            "estimatedRemainingSeconds": self._remaining(step),
        }
        status = {key: value for key, value in told.items() if value is not None}
        return {"step": step, "status": status}

    def _share(self, progress: Any) -> float | None:
        with self._counted():
            if progress is None or 0 <= float(progress) <= 1:
                return _decimal(progress)
            raise ValueError(f"progress must be from 0 to 1, not {progress!r}")
        return None

    def _remaining(self, step: int | None) -> int | None:
        done = (step or 0) - (self._first_step or 0)
        if step is None or not self.total_steps or done <= 0:
            return None
        return int((time.monotonic() - self._started) / done * max(0, self.total_steps - step))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")

    def _failed(self, why: str) -> None:
        self.failures += 1
        self.last_failure = why

    def _is_elsewhere(self) -> bool:
        """Whether this is a process that was forked from the one that reports: it has no thread, and perhaps a lock
        that nobody will give back."""
        return os.getpid() != self._pid

    # --- the thread -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._url:
            return
        with self._lock:
            if not self._closing and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, name="gpucost reports", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    def _work(self) -> None:
        pause = self._every
        while True:
            with self._lock:
                while not (self._closing or ((self._news or self._checkpoints) and time.monotonic() >= self._due)):
                    self._lock.wait(self._until_due())
                if not (self._news or self._checkpoints):
                    return
                closing, body = self._closing, self._next()
                self._due = time.monotonic() + self._every
            after = self._send(body)
            pause = self._every if after is None else min(_LONGEST_PAUSE, max(after, 2 * pause))
            self._due += pause - self._every
            if closing and (after is not None or not (self._news or self._checkpoints)):
                return

    def _until_due(self) -> float | None:
        waiting = self._news or self._checkpoints
        return max(0.01, self._due - time.monotonic()) if waiting else None

    def _next(self) -> dict[str, Any]:
        """The next message: how far it is, what was measured since the last one, and one checkpoint."""
        body: dict[str, Any] = self._report() if self._news else {}
        if self._checkpoints:
            body["checkpoint"] = self._checkpoints[0]
        self._news = False
        return body

    def _report(self) -> dict[str, Any]:
        status: dict[str, Any] = {**(self._state.get("status") or {}), "lastUpdatedTime": _now()}
        self._sending, self._metrics = self._metrics, {}
        if self._sending:
            told = [{"name": name, "value": str(value)} for name, value in self._sending.items()]
            status["metrics"] = told[-_MOST_METRICS:]
        step = self._state.get("step")
        return {"trainerStatus": status, **({"step": step} if step is not None else {})}

    def _send(self, body: dict[str, Any]) -> float | None:
        """Send one message; None when it went well, else how long to wait at least (seconds)."""
        try:
            reply = self._post(body)
        except urllib.error.HTTPError as error:
            self._failed(f"HTTP {error.code}: {_words(error)}")
            if error.code not in (401, 408, 429) and error.code < 500:  # with 401 the token is read anew
                self._told(body)  # it will never be taken
            else:
                self._keep()
            return _positive(error.headers.get("Retry-After")) or 0.0
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
            self._keep()
            return 0.0
        self.sent += 1
        self._told(body)
        self._heed(reply)
        return None

    def _keep(self) -> None:
        """Metrics of a message that did not get through go with the next one, unless there are newer ones."""
        with self._lock:
            self._metrics = {**self._sending, **self._metrics}
            self._news = self._news or bool(self._metrics)

    def _told(self, body: Mapping[str, Any]) -> None:
        with self._lock:
            if self._checkpoints and self._checkpoints[0] is body.get("checkpoint"):
                del self._checkpoints[0]

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        token = os.environ.get(TOKEN)
        if token:
            with open(token, encoding="utf-8") as file:  # read each time: it is replaced before it ends
                headers["Authorization"] = "Bearer " + file.read().strip()
        handlers: list[Any] = [urllib.request.ProxyHandler({})]
        if self._url.startswith("https:"):
            context = ssl.create_default_context(cafile=os.environ.get(CA_CERT) or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.build_opener(*handlers).open(request, timeout=self._timeout) as answer:
            return json.loads(answer.read(65536) or b"{}")

    def _heed(self, reply: Any) -> None:
        """What the operator asks for."""
        if isinstance(reply, dict):
            self._asked = self._asked or reply.get("checkpoint") is True
            self.interval = _positive(reply.get("checkpointIntervalSeconds")) or self.interval

    # --- begin and end --------------------------------------------------------------------------------------------

    def _catch(self) -> None:
        def note(number: int, frame: Any) -> None:
            if self._caught and not self._is_elsewhere():
                self.stopping = True
            elif callable(self._before):  # workers that load data are forked with this handler, and ended by SIGTERM
                self._before(number, frame)
            else:
                signal.signal(number, signal.SIG_DFL if self._before is None else self._before)
                os.kill(os.getpid(), number)

        with self._counted():  # only the main thread may set handlers
            before = signal.signal(signal.SIGTERM, note)
            if not self._caught:
                self._before, self._caught = before, True

    def close(self) -> None:
        """Send what is left, within `timeout`, and give SIGTERM back. What is reported afterwards is told too, such as
        an evaluation of the result."""
        if self._is_elsewhere():
            return
        self._told_all = True
        with self._counted():
            values = self._converted()
            with self._lock:
                self._metrics.update(values)
                self._closing, self._due = True, 0.0
                self._lock.notify_all()
            thread = self._thread if self._thread and self._thread.is_alive() else None
            if thread is None and (self._news or self._checkpoints) and self._url:
                thread = self._thread = threading.Thread(target=self._work, daemon=True)
                thread.start()
            if thread is not None:
                thread.join(self._timeout)
            if thread is None or not thread.is_alive():
                self._thread = None
        self._closing = False
        if self._caught:
            with self._counted():
                signal.signal(signal.SIGTERM, self._before if self._before is not None else signal.SIG_DFL)
            self._caught = False

    def _at_exit(self) -> None:
        if not self._told_all:
            self.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(run: Callable[[], Run | None]) -> None:
    """At the end of a process that has not said that it ends."""
    found = run()
    if found is not None:
        found._at_exit()


def _rank() -> int:
    for name in ("RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def _positive(found: Any) -> float | None:
    try:
        value = float(found)
    except (TypeError, ValueError):
        return None
    return value if 0 < value < 1e9 else None


def _whole(number: Any) -> int | None:
    """As JSON knows it: numbers of numpy and torch are none there."""
    return None if number is None else int(number)


def _decimal(number: Any) -> float | None:
    return None if number is None else float(number)


def _copy(value: Any) -> Any:
    """A tensor as it is now, without its graph: the loop may go on adding to it before it is told."""
    return value.detach().clone() if hasattr(value, "detach") and hasattr(value, "clone") else value


def _words(error: urllib.error.HTTPError) -> str:
    """What the server says, as far as it does."""
    with suppress(Exception), error:
        return error.read(500).decode(errors="replace")
    return "the answer broke off"


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """A name to write to, as a file or a folder, that takes the place of `path` when all is written: half a checkpoint
    replaces no good one, and leaves nothing behind."""
    unfinished = _unfinished(path)
    _remove(unfinished)
    try:
        yield unfinished
    except BaseException:
        with suppress(OSError):
            _remove(unfinished)
        raise
    if os.path.isdir(unfinished):
        _remove(path)
    else:
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
    os.replace(unfinished, path)


def _unfinished(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".unfinished-{name}")


class Found(NamedTuple):
    """A checkpoint: the step after which it was written, and where it is."""

    step: int
    path: str


class Checkpoints:
    """Checkpoints in a folder, one for each step, of which the newest `keep` stay: more than one, so that a run that
    diverged can go back."""

    def __init__(self, folder: str, keep: int = 3, prefix: str = "checkpoint-") -> None:
        self.folder, self.keep, self.prefix = folder, max(1, keep), prefix
        self._begun = time.time()

    @contextmanager
    def writing(self, step: int) -> Iterator[str]:
        """A name to write to, as a file or a folder; the checkpoint is there when all of it is."""
        os.makedirs(self.folder, exist_ok=True)
        with replacing(self.path(step)) as path:
            yield path
        for old in (*_all(self.folder, self.prefix)[: -self.keep], *self._left_behind()):
            with suppress(OSError):  # the new one is there: what cannot be removed now is tried again with the next
                _remove(old.path)

    def _left_behind(self) -> Iterator[Found]:
        """Unfinished checkpoints of processes that were killed."""
        for one in _all(self.folder, _unfinished(self.prefix)):
            with suppress(OSError):
                if os.path.getmtime(one.path) < self._begun - _LEFT_BEHIND:
                    yield one

    def path(self, step: int) -> str:
        """Where the checkpoint of a step is."""
        return os.path.join(self.folder, f"{self.prefix}{step}")

    def newest(self) -> Found | None:
        """The one to go on from; None when there is none. See `newest`."""
        return newest(self.folder, self.prefix)


def newest(folder: str, prefix: str = "checkpoint-", proof: str = "") -> Found | None:
    """The checkpoint to go on from in a folder with one for each step, such as `checkpoint-500`; None without any.

    `proof` names a file without which a folder is no complete checkpoint: `trainer_state.json` for Hugging Face. When
    the operator asks to go back to a step, later ones are set aside, once: what is written from then on counts again.
    """
    _go_back(folder, prefix)
    there = [one for one in _all(folder, prefix) if not proof or os.path.exists(os.path.join(one.path, proof))]
    return there[-1] if there else None


def _all(folder: str, prefix: str) -> list[Found]:
    """In the order of their steps."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    matches = [(re.fullmatch(re.escape(prefix) + r"(\d{1,15})", name), name) for name in names]
    return sorted(Found(int(match[1]), os.path.join(folder, name)) for match, name in matches if match)


def _go_back(folder: str, prefix: str) -> None:
    step = os.environ.get(RESTORE_STEP, "").strip()
    asked = f"{step} {os.environ.get(RESTORE_TIME, '').strip()}".strip()
    marker = os.path.join(folder, _MARKER)
    if not step.isdigit() or not os.path.isdir(folder) or _text(marker) == asked:
        return
    for one in _all(folder, prefix):
        if one.step > int(step):
            aside = os.path.join(folder, f"diverged-{os.path.basename(one.path)}")
            try:
                _remove(aside)
                os.replace(one.path, aside)
            except FileNotFoundError:
                """Another worker was quicker."""
    with open(marker, "w", encoding="utf-8") as file:
        file.write(asked)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


# --- frameworks -------------------------------------------------------------------------------------------------------


def torch_agreement(wish: int) -> int:
    """The largest wish of all workers of a training with `torch.distributed`; its own where there is one worker.

    The operator speaks to rank 0 only, and SIGTERM reaches every worker in another step; a worker that saved alone
    would wait for the others for ever.
    """
    import torch  # noqa: PLC0415

    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return wish
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    largest = torch.tensor([wish], device=device)
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return int(largest.item())


def hugging_face(run: Run | None = None) -> Any:
    """A callback for `Trainer(callbacks=[...])`: saves through the Trainer itself, on request and on SIGTERM.

    To resume: `found = newest(output_dir, proof="trainer_state.json")`, and
    `trainer.train(resume_from_checkpoint=found.path if found else None)`.
    Transformers 5.4 and later report their metrics without it; then this one tells of checkpoints and steps only.
    """
    from transformers import TrainerCallback  # noqa: PLC0415

    mine = run or Run()
    mine.agree = mine.agree or torch_agreement

    class GpucostCallback(TrainerCallback):  # type: ignore[misc]
        begun: float | None = None
        reports_itself = ends_early = False

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.reports_itself = "kubeflow" in (args.report_to or ())
            mine.total_steps = state.max_steps if state.max_steps > 0 else mine.total_steps
            mine.report(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if self.reports_itself:
                return
            numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, (int, float))}
            mine.report(state.global_step, metrics=numbers)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            mine.report(state.global_step)
            wish = mine.wish()
            control.should_save = control.should_save or wish != _GO_ON
            self.ends_early = wish == _STOP
            control.should_training_stop = control.should_training_stop or self.ends_early
            self.begun = time.monotonic()
            return control

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.begun = time.monotonic()  # it comes before saving, and is no part of it

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            mine.saved(state.global_step, time.monotonic() - self.begun if self.begun else None)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if self.ends_early:  # so agreed: SIGTERM alone reaches every worker at another moment
                mine.exit()
            mine.close()

    return GpucostCallback()


def lightning(where: str | Checkpoints, run: Run | None = None) -> Any:
    """A callback for `Trainer(callbacks=[...])` that saves to a file, or to one of several that are kept.

    Resume with `fit(..., ckpt_path=...)`, given the file when it exists, or `newest().path` of the checkpoints.
    """
    callback = _lightning_callback()
    mine = run or Run(catch_sigterm=False)
    mine.agree = mine.agree or torch_agreement

    class GpucostCallback(callback):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.told: dict[str, Any] = {}

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            mine._catch()  # after Lightning's own handler
            total = trainer.estimated_stepping_batches
            mine.total_steps = int(total) if total not in (-1, float("inf")) else mine.total_steps

        def tell(self, trainer: Any) -> None:
            known = dict(trainer.callback_metrics)
            fresh = {name: value for name, value in known.items() if self.told.get(name) is not value}
            self.told = known  # Lightning shows a metric of the last epoch again and again
            mine.report(trainer.global_step, metrics=fresh)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                self.tell(trainer)  # the last one comes after the last batch

        def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
            self.tell(trainer)
            step, wish = trainer.global_step, mine.wish()
            if wish != _GO_ON:
                with mine.saving(step):
                    _save_lightning(trainer, where, step)
            if wish == _STOP:
                mine.exit()

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            mine.close()

    return GpucostCallback()


def _save_lightning(trainer: Any, where: str | Checkpoints, step: int) -> None:
    """Every worker takes part; the first one puts the checkpoint into its place when all have written theirs."""
    if not isinstance(where, Checkpoints):
        trainer.save_checkpoint(where)
    elif trainer.is_global_zero:
        with where.writing(step) as path:
            trainer.save_checkpoint(path)
    else:
        trainer.save_checkpoint(_unfinished(where.path(step)))


def _lightning_callback() -> Any:
    try:
        from lightning.pytorch import Callback  # noqa: PLC0415
    except ImportError:
        from pytorch_lightning import Callback  # noqa: PLC0415
    return Callback


def xgboost(where: str | Checkpoints, run: Run | None = None) -> Any:
    """A callback for `xgboost.train(callbacks=[...])` that saves to a file, or to one of several that are kept.

    Resume with `xgb_model=`, given a `Booster` of the file when it exists, or of `newest().path` of the checkpoints.
    """
    from xgboost.callback import TrainingCallback  # noqa: PLC0415

    mine = run or Run()

    class GpucostCallback(TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            rounds = model.num_boosted_rounds()
            metrics = {
                f"{data}-{name}": values[-1] for data, found in evals_log.items() for name, values in found.items()
            }
            mine.report(rounds, metrics=metrics)
            wish = mine.wish()
            if wish != _GO_ON:
                place = where.writing(rounds) if isinstance(where, Checkpoints) else replacing(where)
                with mine.saving(rounds), place as unfinished:
                    model.save_model(unfinished)
            if wish == _STOP:
                mine.exit()
            return False

        def after_training(self, model: Any) -> Any:
            mine.close()
            return model

    return GpucostCallback()
