"""The parts of the local cluster that need no cluster: ports, processes, waiting, and the guard against production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.outside import RefusedCluster, check_not_production, suspicions
from local.processes import Identity, terminate
from local.run_folder import RunFolder, base_folder, reap
from local.waiting import TimedOut, wait_for

LOOPBACK = "https://127.0.0.1:6443"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUCOST_RUN_DIR", str(tmp_path))
    return tmp_path


def test_a_port_is_reserved_once(tmp_path: Path) -> None:
    taken = [ports.reserve(tmp_path / "ports", tmp_path) for _ in range(200)]

    assert len(set(taken)) == 200


def test_a_port_in_use_is_not_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(ports, "FIRST", listener.getsockname()[1])
        monkeypatch.setattr(ports, "LAST", listener.getsockname()[1])
        monkeypatch.setattr(ports.random, "sample", lambda population, _: list(population))

        with pytest.raises(ports.NoFreePort):
            ports.reserve(tmp_path / "ports", tmp_path)


def test_ports_are_given_back_with_their_folder_and_those_of_vanished_ones_too(tmp_path: Path) -> None:
    registry, mine, other, vanished = tmp_path / "ports", tmp_path / "mine", tmp_path / "other", tmp_path / "vanished"
    other.mkdir()
    for owner in (mine, other, vanished):
        ports.reserve(registry, owner)

    ports.release(registry, mine)

    assert [entry.read_text() for entry in registry.iterdir()] == [str(other)]


def test_a_process_is_not_confused_with_a_later_one_of_the_same_number(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None
    stranger = Identity(identity.pid, identity.start - 1)

    stranger.signal(signal.SIGKILL)

    assert identity.alive()
    assert not stranger.alive()


def test_a_process_that_ended_is_not_alive_even_before_it_is_collected(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None

    sleeper.kill()

    wait_for(lambda: not identity.alive(), 5)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    process = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    identity = Identity.of(process.pid)
    assert identity is not None

    terminate([identity], 0.2)

    assert not identity.alive()
    process.stdout.close()


def test_a_run_folder_of_a_living_owner_is_not_reaped(runs: Path) -> None:
    RunFolder.create("mine", Identity.of(os.getpid()))

    assert reap() == []


def test_a_run_folder_without_an_owner_is_not_reaped(runs: Path) -> None:
    RunFolder.create("kept", None)

    assert reap() == []


def test_a_run_folder_of_a_dead_owner_is_reaped_with_its_helpers(runs: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = RunFolder.create("lost", Identity(2**22 + 1, 1))
    helper = Identity.of(sleeper.pid)
    assert helper is not None
    folder.record("helper", helper)

    assert reap() == [folder.path]

    assert not folder.path.exists()
    assert not helper.alive()


def test_a_base_folder_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPUCOST_RUN_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "gpucost").mkdir(mode=0o700)
    (tmp_path / "gpucost").chmod(0o777)

    with pytest.raises(PermissionError, match="open to others: set GPUCOST_RUN_DIR"):
        base_folder()


def test_waiting_returns_what_the_condition_returned() -> None:
    answers = iter([None, 0, "there"])

    assert wait_for(lambda: next(answers), 5, interval=0) == "there"


def test_waiting_takes_a_missing_object_as_not_yet_and_names_it_when_time_is_up() -> None:
    def missing() -> None:
        raise LookupError("pods/train")

    with pytest.raises(TimedOut, match=r"not within 0 s: the pod \(last: LookupError: pods/train\)"):
        wait_for(missing, 0, "the pod")


def test_waiting_does_not_hide_other_errors() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        wait_for(broken, 5)


@pytest.mark.parametrize(
    ("context", "server", "nodes"),
    [
        ("kind-gpucost", LOOPBACK, 1),
        ("minikube", "https://192.168.49.2:8443", 1),
        ("delivery", "https://localhost:6443", 50),
        ("productivity", "https://[::1]:6443", 3),
    ],
)
def test_a_local_cluster_is_not_suspected(context: str, server: str, nodes: int) -> None:
    assert suspicions(context, server, nodes) == []


@pytest.mark.parametrize(
    ("context", "server", "nodes", "reason"),
    [
        ("eu-prod-1", LOOPBACK, 1, "its name contains 'prod'"),
        ("production", LOOPBACK, 1, "its name contains 'production'"),
        ("team_prd", LOOPBACK, 1, "its name contains 'prd'"),
        ("shop.live", LOOPBACK, 1, "its name contains 'live'"),
        ("dev", "https://api.prod.example.com", 1, "its name contains 'prod'"),
        ("dev", LOOPBACK, 51, "it has 51 nodes"),
        ("dev", "https://10.0.0.1:443", 1, "its server 10.0.0.1 is not on this machine"),
    ],
)
def test_what_looks_like_production_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, context: str, server: str, nodes: int, reason: str
) -> None:
    monkeypatch.delenv("GPUCOST_ALLOW_PRODUCTION", raising=False)

    with pytest.raises(RefusedCluster, match=reason) as refusal:
        check_not_production(context, server, nodes)

    assert "GPUCOST_ALLOW_PRODUCTION=1" in str(refusal.value)


def test_who_insists_may_use_a_production_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCOST_ALLOW_PRODUCTION", "1")

    check_not_production("prod", "https://api.example.com", 500)
