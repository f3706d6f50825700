"""A SIMULATION of an endpoint: the pods of a Service behind one HTTP server that speaks vLLM's API and metrics.

    POST /v1/completions    {"model", "prompt", "max_tokens", "stream", "user"}: goes to the pod with the fewest
                            requests; the user becomes the label `tenant` of the series
    GET  /metrics           the series of every pod, with the labels that Prometheus would add
    GET  /health            200

Which pods there are is asked of an API server every second (`--kubeconfig`, `--namespace`, `--selector`): those that
are ready serve. A pod's annotation `gpucost.dev/simulated-fault` says what it does wrong:

    silent       it serves, and has no series
    old-names    it tells its KV cache under the name of older versions
    new-names    it was upgraded to a version that calls what it counts otherwise
    new-labels   its series name the pod in another label
    down         /metrics of all pods answers 503
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from prometheus_client import generate_latest

from local.api_client import ApiClient
from local.workbench import Workbench
from servers.engine import Engine, Hardware, Metrics

JOB = "inference"
FAULT = "gpucost.dev/simulated-fault"
_LOOK_EVERY = 1.0
_SERIES_OF = 'pod="{}"'
_UPGRADED = {
    "new-names": (("vllm:request_success", "vllm:finished_requests"), ("vllm:num_requests_", "vllm:sequences_")),
    "new-labels": (('pod="', 'pod_name="'),),
}


class Endpoint:
    """The replicas of one model; `set_pods` says which there are."""

    def __init__(self, namespace: str, model: str = "llama", hardware: Hardware = Hardware()) -> None:  # noqa: B008
        self.namespace, self.model, self.hardware = namespace, model, hardware
        self.metrics = Metrics()
        self.engines: dict[str, Engine] = {}
        self.silent: set[str] = set()
        self.faults: dict[str, str] = {}
        self.is_down = False

    def set_pods(self, pods: Mapping[str, str]) -> None:
        """Pods that are ready, with their faults; those that are gone take no more requests, and end what they have."""
        for name in self.engines.keys() - pods.keys():
            self.engines.pop(name).forget()
        for name, fault in pods.items():
            if name not in self.engines:
                self.engines[name] = Engine(
                    self.namespace, name, self.model, self.hardware, self.metrics, has_old_names="old-names" in fault
                )
        self.silent = {name for name, fault in pods.items() if "silent" in fault}
        self.faults = {name: fault for name, fault in pods.items() if fault in _UPGRADED}
        self.is_down = "down" in pods.values()

    def restart(self, pod: str) -> None:
        """Begin a pod's counters anew, as a container that was killed does."""
        self.engines.pop(pod).forget()
        self.set_pods({**dict.fromkeys(self.engines, ""), pod: ""})

    def exposition(self) -> str:
        """Prometheus' text format."""
        text = generate_latest(self.metrics.registry).decode()
        changed = {_SERIES_OF.format(name): _UPGRADED[fault] for name, fault in self.faults.items()}
        hidden = tuple(_SERIES_OF.format(name) for name in self.silent)
        if not changed and not hidden:
            return text
        lines = [line for line in text.splitlines() if not any(one in line for one in hidden)]
        return "".join(f"{_as_upgraded(line, changed)}\n" for line in lines)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """One completion, whole or as a stream of events."""
        try:
            body = await request.json()
            prompt, most = str(body["prompt"]), int(body.get("max_tokens", 16))
        except (ValueError, KeyError, TypeError) as problem:
            return web.json_response({"error": {"message": f"bad request: {problem}", "code": 400}}, status=400)
        if not self.engines:
            return web.json_response({"error": {"message": "no replica is ready", "code": 503}}, status=503)
        engine = min(self.engines.values(), key=lambda one: one.load)
        words, user = max(1, len(prompt.split())), str(body.get("user") or "")
        if not body.get("stream"):
            written = [count async for count in engine.answer(words, most, user)]
            return web.json_response(_completion(self.model, engine.pod, words, sum(written)))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for count in engine.answer(words, most, user):
            await response.write(f"data: {json.dumps(_choice(' token' * count))}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    def application(self) -> web.Application:
        """The HTTP server's routes."""

        async def tell(_request: web.Request) -> web.Response:
            if self.is_down:
                return web.Response(status=503, text="it is down\n")
            return web.Response(text=self.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

        async def live(_request: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        application = web.Application()
        application.router.add_post("/v1/completions", self.complete)
        application.router.add_get("/metrics", tell)
        application.router.add_get("/health", live)
        return application


def _as_upgraded(line: str, changed: Mapping[str, tuple[tuple[str, str], ...]]) -> str:
    """A line of the exposition as the pod that it is about writes it."""
    for old, new in next((those for series, those in changed.items() if series in line), ()):
        line = line.replace(old, new)
    return line


def _choice(text: str) -> dict[str, Any]:
    return {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": None}]}


def _completion(model: str, pod: str, prompt: int, written: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    choice = {"index": 0, "text": " token" * written, "finish_reason": "length"}
    return {
        "id": f"cmpl-{pod}-{time.time_ns()}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


# --- pods of a cluster ------------------------------------------------------------------------------------------------


def ready_pods(client: ApiClient, namespace: str, selector: str) -> dict[str, str]:
    """Names and faults of the pods that are ready and not being deleted."""
    found = client.list(f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}")
    return {
        pod["metadata"]["name"]: pod["metadata"].get("annotations", {}).get(FAULT, "")
        for pod in found
        if not pod["metadata"].get("deletionTimestamp") and _is_ready(pod)
    }


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def follow(endpoint: Endpoint, client: ApiClient, selector: str) -> None:
    """Look at the pods every second."""
    while True:
        try:
            endpoint.set_pods(await asyncio.to_thread(ready_pods, client, endpoint.namespace, selector))
        except (OSError, RuntimeError, LookupError) as problem:
            print(f"pods are not known: {problem}", file=sys.stderr, flush=True)
        await asyncio.sleep(_LOOK_EVERY)


def start(cluster: Workbench, namespace: str, selector: str, *, places: int = 8, token_seconds: float = 0.004) -> str:
    """Run the simulation beside a local cluster and let its Prometheus scrape it; returns its address."""
    address, name = f"127.0.0.1:{cluster.port()}", f"{JOB}-{namespace}"
    command = [sys.executable, "-m", "servers.serving", "--listen", address, "--kubeconfig", str(cluster.kubeconfig)]
    command += ["--namespace", namespace, "--selector", selector, "--places", str(places)]
    env = {**cluster.env(), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    helper = cluster.helper(name, [*command, "--token-seconds", str(token_seconds)], env).start()
    helper.wait_until_answers(f"http://{address}/health")
    cluster.add_scrape_target(name, address)
    return address


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--selector", required=True, help="labels of the pods, such as app=llama")
    parser.add_argument("--listen", default="127.0.0.1:8000", help="HOST:PORT")
    parser.add_argument("--model", default="llama")
    parser.add_argument("--places", type=int, default=8, help="requests in a replica's batch at most")
    parser.add_argument("--token-seconds", type=float, default=0.004, help="from token to token for a lone request")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    hardware = Hardware(arguments.places, token_seconds=arguments.token_seconds)
    endpoint = Endpoint(arguments.namespace, arguments.model, hardware)

    async def begin(application: web.Application) -> None:
        client = ApiClient(arguments.kubeconfig)
        application["follower"] = asyncio.create_task(follow(endpoint, client, arguments.selector))

    application = endpoint.application()
    application.on_startup.append(begin)
    web.run_app(application, host=host, port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
