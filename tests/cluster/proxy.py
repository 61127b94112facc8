"""A connection that can be cut: a TCP proxy between a command and the cluster, so that only the command's own link drops."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Link:
    """Forwards 127.0.0.1:port to the host and port of `url` while `up`; cutting it ends open connections too."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self._open: set[socket.socket] = set()
        self.up, self.refused = True, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"{parts.scheme}://127.0.0.1:{self._server.getsockname()[1]}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.up = False
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hint(self) -> None:
        self.up = True

    def close(self) -> None:
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if not self.up:
                self.refused += 1
                client.close()
                continue
            try:
                target = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            target.settimeout(None)
            self._open |= {client, target}
            for one, other in ((client, target), (target, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
