"""A run whose metrics the operator asks for, with a clock that a test moves and a stand-in for what is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import ContainerEnd, Job, Key, Owner, Pod
from gpucost.core.training.doubts import Doubt
from gpucost.core.training.progress import Report
from gpucost.kube.client import KubeClient
from gpucost.runtime.feeds import DoubtBoard, Subjects
from gpucost.runtime.log_feed import LogFeed
from gpucost.runtime.metrics import Figures
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.query_feed import QueryFeed
from gpucost.runtime.world import World, custom_record
from gpucost.sources.promql import PromQL
from support.progress_world import BERT, BORN

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
EVERY = 15 * SECOND


@dataclass
class FeedWorld:
    """TrainingJobs with `spec.metrics`, each with a Job and one running pod."""

    now: Instant = BORN + 3600 * SECOND
    world: World = field(default_factory=World)
    figures: Figures = field(default_factory=Figures)
    marked: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """As after a start of the operator, but for what the ledger knows."""
        self.histories = RunHistories(self.world, lambda: self.now, self.marked.append)
        self.board = DoubtBoard(self.world, lambda: self.now, self.marked.append)
        self.subjects = Subjects(self.world)

    def run(self, metrics: dict[str, Any], key: Key = BERT, generation: int = 1) -> Key:
        metadata = {"uid": f"tj-{key.name}", "name": key.name, "namespace": key.namespace, "generation": generation}
        stamped = {**metadata, "creationTimestamp": "2026-11-25T03:00:00Z"}
        spec = {"template": TEMPLATE, "metrics": metrics}
        self.world.trainingjob_changed(custom_record({"kind": "TrainingJob", "metadata": stamped, "spec": spec}))
        owner = Owner("TrainingJob", key.name, f"tj-{key.name}")
        job = Job(f"job-{key.name}", key.name, key.namespace, BORN, "1", owner)
        self.world.jobs[job.uid] = job
        self.world.job_by_key[key] = job.uid
        self.pod(key)
        return key

    def pod(self, key: Key = BERT, name: str = "", phase: str = "Running", **more: Any) -> None:
        name = name or f"{key.name}-0"
        owner = Owner("Job", key.name, f"job-{key.name}")
        pod = Pod(f"uid-{name}", name, key.namespace, BORN, owner=owner, phase=phase, **more)
        self.world.pods[pod.uid] = pod
        self.world.pods_by_job.setdefault(f"job-{key.name}", set()).add(pod.uid)

    def ends(self, *ends: ContainerEnd, phase: str = "Succeeded", name: str = "bert-0") -> None:
        self.world.pods[f"uid-{name}"] = replace(self.world.pods[f"uid-{name}"], ends=ends, phase=phase)

    def queries(self, engine: PromQL | None) -> QueryFeed:
        clock = lambda: self.now  # noqa: E731
        return QueryFeed(self.subjects, self.histories, self.board, self.figures, clock, engine, EVERY)

    def logs(self, client: KubeClient) -> LogFeed:
        clock = lambda: self.now  # noqa: E731
        return LogFeed(self.subjects, self.histories, self.board, self.figures, client, clock, EVERY)

    def reports(self, key: Key = BERT) -> tuple[Report, ...]:
        return self.histories.of(key).reports

    def values(self, name: str, key: Key = BERT) -> list[float]:
        return [one.metrics[name] for one in self.reports(key) if name in one.metrics]

    def doubts(self, key: Key = BERT) -> dict[str, Doubt]:
        return {one.field: one for one in self.board.of(key) or ()}

    def later(self, seconds: float = 15) -> None:
        self.now += round(seconds * SECOND)


@dataclass
class Engine:
    """A stand-in for a PromQL engine: `answer(query)` gives the result, or (status, error)."""

    answer: Callable[[str], Any]
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def engine_with(answer: Callable[[str], Any]) -> Iterator[tuple[Engine, PromQL]]:
    engine = Engine(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            engine.asked.append(query)
            found = engine.answer(query)
            status, error = found if isinstance(found, tuple) else (200, "")
            body = {"status": "error", "error": error} if error else {"data": {"result": found}}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield engine, PromQL(f"http://127.0.0.1:{server.server_port}", timeout=2)
    finally:
        server.shutdown()
        server.server_close()
