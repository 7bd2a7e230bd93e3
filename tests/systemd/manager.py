"""The service manager's end of the notify protocol: a datagram socket that we read."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Manager:
    """`address` is what goes into $NOTIFY_SOCKET. Assignments are kept in the order in which they came."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._socket = sock
        self.address = address
        self.heard: list[str] = []

    def listen(self, seconds: float) -> list[str]:
        """The assignments of one datagram; [] when none came in time."""
        self._socket.settimeout(max(seconds, 0.001))
        try:
            found = self._socket.recv(4096).decode().split("\n")
        except TimeoutError:
            return []
        self.heard += found
        return found

    def until(self, assignment: str, within: float = 30.0) -> list[str]:
        """What came up to and with the datagram that holds this one. AssertionError when it does not come."""
        deadline = time.monotonic() + within
        found: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            found += self.listen(left)
            if assignment in found:
                return found
        raise AssertionError(f"{assignment} did not come within {within:.0f} s, but {found}")

    def during(self, seconds: float) -> list[str]:
        """All that comes in this time."""
        deadline = time.monotonic() + seconds
        found: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            found += self.listen(left)
        return found


@contextmanager
def manager(folder: Path | None = None) -> Iterator[Manager]:
    """Listens in `folder`, or in the abstract namespace without one."""
    address = str(folder / "notify") if folder else f"@latarnik-test-{os.getpid()}-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        yield Manager(sock, address)
