"""A TCP proxy that may cut a connection after a COMMIT was carried out and before its answer arrives."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_COMMIT = b"commit"


class CuttingProxy:
    """Forwards connections on `port` to a server; `cut_commits` of the next commits lose their answer."""

    def __init__(self, target: int) -> None:
        """Listen on a free port of loopback."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_commits = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                doomed = threading.Event()
                threading.Thread(target=self._upwards, args=(client, server, doomed), daemon=True).start()
                threading.Thread(target=self._downwards, args=(server, client, doomed), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.cut_commits and _COMMIT in data.lower():
                    self.cut_commits -= 1
                    doomed.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _downwards(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():  # the server has answered, so it has committed
                    self.cuts += 1
                    break
                client.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
