"""A cost API with known costs on loopback, a stand-in for an API server, and a way to run commands against them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner, Result

from gpucost.cli.commands import cost
from gpucost.web.insights import InsightProvider
from gpucost.web.provider import CostProvider
from gpucost.web.server import CostServer
from support.ledger_provider import LedgerOnly
from unit.web.cost_example import ExampleProvider

Run = Callable[..., Result]


@dataclass
class CostApi:
    """The real server with the worked example behind it."""

    provider: ExampleProvider
    url: str


@contextmanager
def serving(provider: CostProvider, insights: InsightProvider | None = None) -> Iterator[str]:
    """Serve a provider on loopback; gives the URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = CostServer(provider, loopback=("127.0.0.1", 0), insights=insights)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield f"http://127.0.0.1:{server.loopback_port}"
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def api() -> Iterator[CostApi]:
    provider = ExampleProvider()
    with serving(provider) as url:
        yield CostApi(provider, url)


@pytest.fixture
def facts(tmp_path: Path) -> LedgerOnly:
    """The same world as facts in a real ledger."""
    return LedgerOnly.of(tmp_path)


@pytest.fixture
def ask_ledger(kubectl_cost: Run, facts: LedgerOnly) -> Iterator[Run]:
    """Run `kubectl cost` against the real ledger."""
    with serving(facts) as url:
        yield lambda *arguments: kubectl_cost(*arguments, GPUCOST_API_URL=url)
    facts.ledger.close()


@pytest.fixture
def kubectl_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `kubectl cost` at 80 columns, away from the environment of whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "GPUCOST_API_URL", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **env: str) -> Result:
        return CliRunner().invoke(cost, arguments, prog_name="kubectl cost", env=env)

    return run


@pytest.fixture
def ask(kubectl_cost: Run, api: CostApi) -> Run:
    """Run `kubectl cost` against the worked example."""

    def run(*arguments: str) -> Result:
        return kubectl_cost(*arguments, GPUCOST_API_URL=api.url)

    return run


# --- a stand-in for an API server ---------------------------------------------------------------------------------


def status(code: int, message: str, **details: object) -> tuple[int, str]:
    """An error answer as kube-apiserver gives it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, json.dumps({**body, "details": details})


@dataclass
class ApiServer:
    """Answers by path; what it does not know is not found. Remembers who asked for what."""

    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    def kubeconfig(self, folder: Path, *, namespace: str | None = None, user: dict[str, Any] | None = None) -> str:
        """A kubeconfig whose context has a namespace; the user has a token unless told otherwise."""
        context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
            "contexts": [{"name": "here", "context": context}],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return str(path)


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    known = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            known.seen.append((path, self.headers.get("Authorization")))
            code, body = known.answers.get(path, (404, "404 page not found"))
            self.send_response(code)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield known
    server.shutdown()
    thread.join(10)
    server.server_close()
