"""A small synchronous client of the API server, for tests: JSON in, JSON out, one connection per thread.

Starting kubectl costs a tenth of a second of processor time, too much for waiting loops and for thousands of objects.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Body = dict[str, Any]
MERGE = "application/merge-patch+json"
NOT_FOUND = 404


class ApiError(RuntimeError):
    """The API server refused a request; carries its status code and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ApiClient:
    """Requests with the identity of a kubeconfig's current context."""

    def __init__(self, kubeconfig: Path) -> None:
        cluster, user = _current(yaml.safe_load(kubeconfig.read_text()))
        self.server: str = cluster["server"]
        self._url = urlsplit(self.server)
        self._tls = _tls(cluster, user) if self._url.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._local = threading.local()

    def get(self, path: str) -> Body:
        """GET; raises ApiError, or LookupError when the object is not there (which a wait takes as "not yet")."""
        return self.request("GET", path)

    def find(self, path: str) -> Body | None:
        """GET; None when the object is not there."""
        try:
            return self.request("GET", path)
        except LookupError:
            return None

    def list(self, path: str) -> list[Body]:
        """The items of a collection."""
        items: list[Body] = self.request("GET", path).get("items") or []
        return items

    def create(self, path: str, body: Body) -> Body:
        """POST to a collection."""
        return self.request("POST", path, body)

    def merge(self, path: str, body: Body) -> Body:
        """JSON merge patch."""
        return self.request("PATCH", path, body, content_type=MERGE)

    def put(self, path: str, body: Body) -> Body:
        """Replace an object."""
        return self.request("PUT", path, body)

    def delete(self, path: str, **options: Any) -> Body:
        """DELETE with DeleteOptions, such as `gracePeriodSeconds=0` or `propagationPolicy="Background"`."""
        return self.request("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    def request(
        self, method: str, path: str, body: Body | None = None, *, content_type: str = "application/json"
    ) -> Body:
        """One request; repeated once on a fresh connection when the kept one turns out to be dead."""
        payload = json.dumps(body).encode() if body is not None else None
        headers = {**self._headers, "Accept": "application/json", "Content-Type": content_type}
        try:
            status, text = self._send(method, path, payload, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            status, text = self._send(method, path, payload, headers)
        return _answer(method, path, status, text)

    def _send(self, method: str, path: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except Exception:
            connection.close()
            self._local.connection = None
            raise

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is None:
            host, port = self._url.hostname or "", self._url.port
            if self._tls is None:
                kept = http.client.HTTPConnection(host, port, timeout=60)
            else:
                kept = http.client.HTTPSConnection(host, port, timeout=60, context=self._tls)
            self._local.connection = kept
        return kept

    def many(self, requests: Iterable[tuple[str, str, Body]], workers: int = 16) -> int:
        """Send many (method, path, body) at once; raises the first refusal; the result is their number."""
        with ThreadPoolExecutor(workers) as pool:
            return sum(1 for _ in pool.map(lambda r: self.request(*r), requests))


def _answer(method: str, path: str, status: int, text: bytes) -> Body:
    if status < http.client.BAD_REQUEST:
        body: Body = json.loads(text) if text[:1] in (b"{", b"[") else {"text": text.decode()}
        return body
    try:
        message = json.loads(text).get("message", "")
    except ValueError:
        message = text.decode(errors="replace")[:500]
    if status == NOT_FOUND:
        raise LookupError(f"{method} {path}: {message}")
    raise ApiError(status, f"{method} {path}: {message}")


def _current(config: Body) -> tuple[Body, Body]:
    def named(kind: str, name: str) -> Body:
        found: Body = next(entry for entry in config[f"{kind}s"] if entry["name"] == name)[kind]
        return found

    context = named("context", config["current-context"])
    return named("cluster", context["cluster"]), named("user", context["user"])


def _tls(cluster: Body, user: Body) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif "certificate-authority" in cluster or "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=_pem(cluster, "certificate-authority").decode())
    if "client-certificate" in user or "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder) / "crt", Path(folder) / "key"
            certificate.write_bytes(_pem(user, "client-certificate"))
            key.write_bytes(_pem(user, "client-key"))
            context.load_cert_chain(certificate, key)
    return context


def _pem(entry: Body, key: str) -> bytes:
    data = entry.get(f"{key}-data")
    return base64.b64decode(data) if data else Path(entry[key]).read_bytes()
