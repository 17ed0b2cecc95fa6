"""Liveness of the processes of a run, by connections that close with them."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any

_KEY = "jaxopt_lab/link"
_DONE = b"."
_FIND_SECONDS = 60
_CONNECT_SECONDS = 10.0
_LONGEST_GREETING = 64


class LivenessMonitor:
    """Immediate notice when another process has died.

    Every process holds a connection to process 0. The system closes it with the
    process, however that ends, so that the others need not wait for a failing
    collective or a timeout: in a barrier nothing fails for half a minute. Process 0
    tells the others which process is gone. A process that cannot connect, behind a
    firewall, is not monitored; nothing else changes.

    Args:
      client: the store that all processes share, of ``jax.distributed``.
      coordinator: ``"host:port"`` of process 0, for its host.
      me: number of this process.
      gone: called once, in a thread, with the number of the dead process.
    """

    def __init__(
        self, client: Any, coordinator: str, me: int, gone: Callable[[int], None]
    ) -> None:
        self._client = client
        self._host = coordinator.rpartition(":")[0].strip("[]")
        self._me = me
        self._gone = gone
        self._open: dict[int, socket.socket] = {}
        self._told = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Connect, in the background."""
        begin = self._listen if self._me == 0 else self._connect
        threading.Thread(target=begin, daemon=True, name="liveness").start()

    def stop(self) -> None:
        """Announce the regular end of this process and stop monitoring."""
        self._stopped = True
        for link in list(self._open.values()):
            with contextlib.suppress(OSError):
                link.sendall(_DONE)

    def _listen(self) -> None:
        token = secrets.token_hex(16)
        with contextlib.suppress(Exception):
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            with socket.create_server(("", 0), family=family) as server:
                port = server.getsockname()[1]
                self._client.key_value_set(_KEY, f"{port} {token}")
                while True:
                    link, _ = server.accept()
                    threading.Thread(
                        target=self._greet, args=(link, token), daemon=True
                    ).start()

    def _greet(self, link: socket.socket, token: str) -> None:
        """Listen to a process that knows the token; ignore any other."""
        with contextlib.suppress(OSError, ValueError):
            link.settimeout(_CONNECT_SECONDS)
            # The next message may arrive in one packet with the greeting.
            heard = b""
            while b"\n" not in heard and len(heard) < _LONGEST_GREETING:
                piece = link.recv(_LONGEST_GREETING)
                if not piece:
                    return
                heard += piece
            greeting, _, rest = heard.partition(b"\n")
            said, _, number = greeting.partition(b" ")
            if secrets.compare_digest(said, token.encode()):
                link.settimeout(None)
                self._hear(link, int(number), rest)

    def _connect(self) -> None:
        with contextlib.suppress(Exception):
            found = self._client.blocking_key_value_get(_KEY, _FIND_SECONDS * 1000)
            port, _, token = found.partition(" ")
            link = socket.create_connection((self._host, int(port)), _CONNECT_SECONDS)
            link.settimeout(None)
            link.sendall(f"{token} {self._me}\n".encode())
            self._hear(link, 0)

    def _hear(self, link: socket.socket, other: int, heard: bytes = b"") -> None:
        """Read until the connection ends; report the peer unless it ended regularly."""
        self._open[other] = link
        if self._stopped:
            self.stop()
        while not heard.startswith(_DONE):
            if b"\n" in heard:
                self._tell(int(heard.partition(b"\n")[0]))
                return
            try:
                piece = link.recv(64)
            except OSError:
                piece = b""
            if not piece:
                self._tell(other)
                return
            heard += piece

    def _tell(self, who: int) -> None:
        with self._told:
            if self._stopped:
                return
            self._stopped = True
        for other, link in list(self._open.items()):
            if self._me == 0 and other != who:
                with contextlib.suppress(OSError):
                    link.sendall(f"{who}\n".encode())
        self._gone(who)
