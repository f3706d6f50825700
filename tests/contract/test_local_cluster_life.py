"""Clusters start side by side, survive an outage of their API server, and leave nothing behind, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import GpuNode, LocalCluster, MissingProgram, StartError, wait_for
from local.objects import job, pod, run_for
from local.outside import OutsideCluster
from local.processes import PROC, Identity, command_line
from local.programs import REPOSITORY
from local.run_folder import RunFolder, base_folder, reap

pytestmark = pytest.mark.cluster

OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
from pathlib import Path
from local import LocalCluster
with LocalCluster("victim", base=Path(sys.argv[1])) as cluster:
    print(cluster.folder.path, flush=True)
    time.sleep(600)
"""


def related(folder: Path) -> list[str]:
    """Command lines of the living processes that mention a folder, in their arguments or their environment."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid() or Identity.of(int(entry.name)) is None:
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{folder}/".encode() in text + b"/":
            found.append(" ".join(command_line(int(entry.name))))
    return found


def reserved(folder: Path) -> list[str]:
    """Ports that are still reserved for a run folder."""
    entries = (base_folder() / "ports").glob("*")
    return [entry.name for entry in entries if entry.exists() and entry.read_text() == str(folder)]


def gone(folder: Path) -> bool:
    return not folder.exists() and not related(folder) and not reserved(folder)


def listeners(folder: Path) -> set[str]:
    """Local addresses, as /proc writes them, on which the processes of a run folder listen."""
    inodes = set()
    for process in RunFolder(folder).components() + list(RunFolder(folder).recorded().values()):
        for handle in (PROC / str(process.pid) / "fd").glob("*"):
            try:
                inodes.add(handle.readlink().name.removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a cluster, and the cluster's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tools")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdout.close()
    reap(tmp_path)


def test_two_clusters_run_side_by_side_and_know_nothing_of_each_other(
    own_cluster: Callable[..., LocalCluster], tmp_path: Path
) -> None:
    one, two = own_cluster("one", base=tmp_path), own_cluster("two", base=tmp_path)

    one.add_nodes([GpuNode(name="only-in-one")])

    assert "only-in-one" in one.ready_nodes()
    assert two.ready_nodes() == set()
    assert one.server != two.server


def test_everything_listens_on_loopback_only(own_cluster: Callable[..., LocalCluster], tmp_path: Path) -> None:
    cluster = own_cluster("loopback", base=tmp_path, with_prometheus=True)

    assert listeners(cluster.folder.path) == {"0100007F"}  # 127.0.0.1


def test_work_goes_on_after_the_api_server_was_down(own_cluster: Callable[..., LocalCluster], tmp_path: Path) -> None:
    cluster = own_cluster("outage", base=tmp_path)
    cluster.add_nodes([GpuNode(name="gpu-0")])
    cluster.apply(job("before", "default", annotations=run_for(2)))
    server, process = cluster.server, cluster.component("kube-apiserver")

    cluster.restart_apiserver(down_for=3)

    assert cluster.server == server
    assert cluster.component("kube-apiserver") != process
    cluster.apply(job("after", "default", annotations=run_for(1)))
    for name in ("before", "after"):
        status = f"/apis/batch/v1/namespaces/default/jobs/{name}"
        wait_for(lambda path=status: cluster.api.get(path)["status"].get("succeeded"), 60, f"Job {name} ends")


def test_stopping_leaves_no_process_file_or_port(own_cluster: Callable[..., LocalCluster], tmp_path: Path) -> None:
    cluster = own_cluster("tidy", base=tmp_path, with_prometheus=True)
    folder = cluster.folder.path
    assert related(folder)
    assert len(reserved(folder)) == 7  # etcd has two ports

    cluster.stop()

    assert gone(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_cluster_goes_when_its_owner_is_killed(
    owner: tuple[subprocess.Popen[str], Path], number: signal.Signals
) -> None:
    process, folder = owner
    assert related(folder)

    process.send_signal(number)

    wait_for(lambda: gone(folder), 30, lambda: f"nothing left of {folder}: {related(folder)}")


def test_what_is_left_when_owner_and_guardian_die_is_removed_at_the_next_start(
    owner: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = owner
    os.kill(RunFolder(folder).recorded()["guardian"].pid, signal.SIGKILL)
    process.kill()
    process.wait()
    assert RunFolder(folder).components()

    assert reap(folder.parent) == [folder]

    assert gone(folder)


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    cluster = LocalCluster("broken", base=tmp_path, api_server_flags={"no-such-flag": "1"})

    with pytest.raises(StartError, match="unknown flag: --no-such-flag"):
        cluster.start()

    assert gone(cluster.folder.path)


def test_an_existing_cluster_gets_simulated_nodes_and_keeps_everything_else(
    own_cluster: Callable[..., LocalCluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing = own_cluster("existing", base=tmp_path / "theirs", disable=("kwok-controller",))
    existing.api.create("/api/v1/nodes", {"metadata": {"name": "theirs"}})
    monkeypatch.setenv("KUBECONFIG", str(existing.kubeconfig))

    with OutsideCluster.current(base=tmp_path / "ours") as cluster:
        folder = cluster.folder.path
        cluster.add_nodes([GpuNode(name="simulated")])
        cluster.add_pods([pod("train", "default", nodeName="simulated")])
        path = "/api/v1/namespaces/default/pods/train"
        wait_for(lambda: cluster.api.get(path)["status"]["phase"] == "Running", 20, "the pod runs")

    assert gone(folder)
    assert existing.ready_nodes() == {"simulated"}


def test_a_missing_program_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCOST_TOOLS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingProgram, match=r"etcd, kube-apiserver.* missing: run `make tools`"):
        LocalCluster("nothing", base=tmp_path).start()
