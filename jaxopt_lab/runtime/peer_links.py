"""Connections between the processes of a run, which end with them."""

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


class PeerLinks:
    """Tells at once when another process has died.

    Every process holds a connection to process 0. The system closes it with the
    process, however that ends, so that the others need not wait until a collective
    fails or a silence is long enough: in a barrier nothing fails for half a minute.
    Process 0 passes on who is gone. A process that cannot be connected, behind a
    firewall, is not watched here; nothing else is lost.

    Args:
      client: the store that all processes share, of ``jax.distributed``.
      coordinator: ``"host:port"`` of process 0, for its host.
      me: number of this process.
      gone: called once, in a thread, with the number of the process that is gone.
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
        threading.Thread(target=begin, daemon=True, name="peer links").start()

    def stop(self) -> None:
        """Say that this process ends as it should, and watch no longer."""
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
        """Listen to a process that knows the token; a stranger is not heard."""
        with contextlib.suppress(OSError, ValueError):
            link.settimeout(_CONNECT_SECONDS)
            # What follows the greeting may come in one piece with it.
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
        """Read until the connection ends, and tell if that is no good end."""
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
