"""The sockets that traps come in by: of the configuration, or handed over by systemd (systemd/latarnik-traps.socket)."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Mapping

from agent.errors import StartError
from config.settings import HostPort

NAME = "latarnik-traps"
"""FileDescriptorName= of the socket unit."""
_FIRST = 3  # SD_LISTEN_FDS_START


def handed_over(environ: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """What systemd opened for us. Each is a copy: the caller closes it, and the next reload finds systemd's own again. Raises StartError."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    count = environ.get("LISTEN_FDS", "")
    made: list[socket.socket] = []
    try:
        for place in range(min(int(count) if count.isdecimal() else 0, len(names))):
            if names[place] == NAME:
                os.set_inheritable(_FIRST + place, False)
                made.append(_checked(socket.socket(fileno=os.dup(_FIRST + place))))
    except OSError as error:
        _close(made)
        raise StartError(f"systemd named {NAME} as a socket for us, but: {error.strerror}; see systemd/latarnik-traps.socket") from None
    except StartError:
        _close(made)
        raise
    return made


def _checked(made: socket.socket) -> socket.socket:
    if made.type != socket.SOCK_DGRAM or made.family not in (socket.AF_INET, socket.AF_INET6):
        made.close()
        raise StartError(f"the socket {NAME} that systemd handed over is none of UDP: its unit needs ListenDatagram=, as in systemd/latarnik-traps.socket")
    made.setblocking(False)
    return made


async def bound(listen: HostPort) -> list[socket.socket]:
    """A socket for each address of this host. Raises StartError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(listen.host, listen.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"traps.listen: {listen.host} has no address ({error.strerror}); write an address of this machine") from None
    made: list[socket.socket] = []
    trouble: OSError | None = None
    for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
        try:
            made.append(_bound(family, address))
        except OSError as error:  # of localhost's two addresses a machine may have one
            trouble = error
    if not made and trouble is not None:
        raise StartError(f"cannot receive traps on {listen.text}: {trouble.strerror}; {_remedy(trouble, listen.port)}") from None
    return made


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _remedy(trouble: OSError, port: int) -> str:
    if trouble.errno == errno.EACCES and port < 1024:
        return "a port under 1024 is not ours to open: enable latarnik-traps.socket (docs/install.md), or take another one under traps.listen, such as 1162"
    return "choose another address under traps.listen"


def _close(made: list[socket.socket]) -> None:
    for one in made:
        one.close()
