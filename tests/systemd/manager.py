"""The service manager's end of the notify protocol: a datagram socket, read by a thread as systemd reads it all the time."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Manager:
    """`address` is what goes into $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._heard: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def read(self, sock: socket.socket) -> None:
        """Until an empty datagram comes."""
        while datagram := sock.recv(4096):
            self._heard.put(datagram.decode().split("\n"))

    def listen(self, seconds: float) -> list[str]:
        """The assignments of one datagram; [] when none came in time."""
        try:
            return self._heard.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return []

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
    name = socket_name(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        found = Manager(address)
        reader = threading.Thread(target=found.read, args=(sock,))
        reader.start()
        try:
            yield found
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"", name)
            reader.join()


def socket_name(address: str) -> str:
    """The kernel's form of an address of which a leading @ means the abstract namespace."""
    return "\0" + address[1:] if address.startswith("@") else address
