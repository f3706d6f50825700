"""A plain HTTP server that takes reports as the operator does, or refuses them as a test wants."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ReportServer:
    """Keeps every message with its headers; `answers` are taken in turn, the last one repeats.

    The first `stuck` answers stop half-way: the rest of what was announced takes a second.
    """

    def __init__(self, *answers: tuple[int, Any], delay: float = 0.0, stuck: int = 0) -> None:
        self.answers = list(answers) or [(200, {"accepted": True, "checkpoint": False})]
        self.messages: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.delay, self.stuck = delay, stuck
        self._heard = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(outer.delay)
                code, answer, extra = outer._take(body, dict(self.headers))
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(code)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[:1])
                if len(outer.messages) <= outer.stuck:
                    time.sleep(1)
                self.wfile.write(text[1:])

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/progress"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def _take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        with self._heard:
            code, answer = self.answers[min(len(self.messages), len(self.answers) - 1)]
            self.messages.append(body)
            self.headers.append(headers)
            self._heard.notify_all()
        return code, answer, {"Retry-After": "1"} if code == 429 else {}

    def wait(self, count: int, seconds: float = 20.0) -> list[dict[str, Any]]:
        """The messages once there are so many."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.messages) >= count, seconds), self.messages
            return list(self.messages)

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """Checkpoints that were told."""
        return [message["checkpoint"] for message in self.messages if "checkpoint" in message]

    def __enter__(self) -> ReportServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
