"""Programs that run beside the control plane: Prometheus, Karpenter, the exporter, the operator under test."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from local.processes import Identity, terminate
from local.run_folder import RunFolder
from local.waiting import wait_for

TAIL = 4000


class HelperFailed(RuntimeError):
    """A helper ended before it was ready; the message carries the end of its log."""


class Helper:
    """One program with a log file, recorded in the run folder so that it cannot outlive the cluster."""

    def __init__(self, folder: RunFolder, name: str, command: Sequence[str | Path], env: dict[str, str]) -> None:
        self.name = name
        self.log = folder.path / "logs" / f"{name}.log"
        self._folder, self._command, self._env = folder, [str(part) for part in command], env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Helper:
        """Start the program in a session of its own, so that Ctrl-C is left to its owner."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        identity = Identity.of(self._process.pid)
        if identity:
            self._folder.record(self.name, identity)
        return self

    @property
    def pid(self) -> int:
        """Process id; raises RuntimeError when the program was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def running(self) -> bool:
        """Whether the program still runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self, timeout: float = 30.0) -> int:
        """Wait for the program's own end and return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout)

    def wait_until_answers(self, url: str, timeout: float = 30.0) -> None:
        """Wait until a URL answers 200; raises HelperFailed when the program ends first."""
        wait_for(lambda: self._answers(url), timeout, lambda: f"{self.name} ready at {url}\n{self.log_tail()}")

    def _answers(self, url: str) -> bool:
        if not self.running():
            raise HelperFailed(f"{self.name} ended:\n{self.log_tail()}")
        return answers(url)

    def log_tail(self) -> str:
        """The end of the log, for messages."""
        return self.log.read_text(errors="replace")[-TAIL:] if self.log.exists() else "(no log)"

    def stop(self, grace: float = 10.0) -> int | None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns the exit code, None if it did not run."""
        if self._process is None:
            return None
        if self.running():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL the program and everything it started."""
        assert self._process is not None
        identity = Identity.of(self._process.pid)
        if identity:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


def answers(url: str) -> bool:
    """Whether a URL answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # refused, reset, timed out, or an HTTP error
        return False


def stop_recorded(folder: RunFolder, name: str, grace: float = 10.0) -> None:
    """Stop a helper that another process started."""
    identity = folder.recorded().get(name)
    if identity:
        terminate([identity], grace)
