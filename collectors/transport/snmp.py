"""SNMP to one device for one visit: one seam over two engines."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from agent.errors import BadPayload, CollectError, Forbidden, Reason
from agent.model import Device
from collectors.transport.failures import failure

SnmpValue = int | bytes | str

WALK_LIMIT = 2000
REPETITIONS = 25  # rows asked for at once: about 1 kB back, which fits one datagram
GET_AT_ONCE = 24
DATAGRAM_LIMIT = 8 * 1024  # the longest answer to what we ask: 25 rows of 255 bytes
ELEMENTS = 200  # its parts: three for each of 25 rows, and what stands around them
TRIES = 2  # a datagram may get lost; more would only make a dead device slower
_CONSTRUCTED = 0x20
_NEVER_EMPTY = frozenset({0x02, 0x06, 0x41, 0x42, 0x43, 0x46})  # integers and OIDs
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,9}))+")  # as devices' are written, so that one prefix has one spelling


class SnmpConnection(Protocol):
    """Integers, counters and time ticks come as int, octet strings as bytes, OIDs and IP addresses as str.

    Both raise CollectError and its kinds, and nothing else: Unreachable when nothing comes (a wrong community is silence),
    LoginRefused when the device names the user or key as wrong, Forbidden, CollectError(SNMP_ERROR), BadPayload.
    """

    async def get(self, oids: Sequence[str]) -> dict[str, SnmpValue]:
        """The values of these OIDs (dotted, without a leading dot); one the device does not have is left out."""

    async def walk(self, prefix: str, *, limit: int = WALK_LIMIT) -> list[tuple[str, SnmpValue]]:
        """Everything below `prefix`, in order. A walk that does not move forward, or is longer than `limit`, is BadPayload."""


def checked_oid(text: str) -> str:
    """The OID without a leading dot. ValueError when it is none."""
    oid = text.removeprefix(".")
    if not _OID.fullmatch(oid):
        raise ValueError(f"not an OID: {text!r}")
    return oid


def arcs(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))


def well_formed(data: bytes) -> bool:
    """Whether a datagram is one BER element of a plausible size, all of whose parts end where they should.

    Looked at ahead of every decoder: gufo_snmp panics where a length points beyond the end, pyasn1 takes a second for a datagram full of tiny parts.
    """
    whole = len(data)
    if not 2 < whole <= DATAGRAM_LIMIT:
        return False
    at, end = 0, whole
    outer: list[int] = []  # where the elements end in which we are, but for the innermost: that is `end`
    for _ in range(ELEMENTS):
        start = at + 2
        if start > end:
            return False
        tag, size = data[at], data[at + 1]
        if size & 0x80:
            count = size & 0x7F
            if not 0 < count < 5 or start + count > end:
                return False
            size = int.from_bytes(data[start : start + count], "big")
            start += count
        at = start + size
        if at > end or (not size and tag in _NEVER_EMPTY):
            return False
        if tag & _CONSTRUCTED:
            outer.append(end)
            at, end = start, at
        while at == end:
            if not outer:
                return True
            end = outer.pop()
        if not outer:
            return False
    return False


class WalkOrder:
    """Collects a walk's rows and sees to it that they move forward, stay below the prefix and end."""

    def __init__(self, prefix: str, limit: int, where: str) -> None:
        self.rows: list[tuple[str, SnmpValue]] = []
        self.last = prefix
        self._below = f"{prefix}."
        self._place: tuple[int, ...] = ()  # of the last row, below the prefix
        self._limit = limit
        self._where = where

    def add(self, oid: str, value: SnmpValue) -> bool:
        """Take one row; False when it lies beyond the prefix: the walk is over."""
        inside = oid.startswith(self._below)
        place = arcs(oid.removeprefix(self._below))
        if place <= (self._place if inside else arcs(self.last)):
            raise BadPayload(f"{self._where}: SNMP walk of {self._below[:-1]} does not move forward: {oid} after {self.last}")
        if not inside:
            return False
        if len(self.rows) >= self._limit:
            raise BadPayload(f"{self._where}: SNMP walk of {self._below[:-1]} is longer than {self._limit} rows")
        self.rows.append((oid, value))
        self.last, self._place = oid, place
        return True


def status_error(status: int, name: str, where: str, tried: str) -> CollectError:
    """An SNMP error-status as one of ours: noAccess and authorizationError are about rights."""
    if status in (6, 16):
        return Forbidden(Reason.FORBIDDEN, f"{where}: {tried}: this account may not read it ({name})")
    return CollectError(Reason.SNMP_ERROR, f"{where}: {tried}: the device answered {name or status}")


async def resolved(device: Device, timeout: float) -> str:
    """The device's address, asked of the resolver when it is a name. Raises Unreachable: DNS, or a source address that cannot be used."""
    address = await _address(device, timeout)
    try:
        if device.source_address:
            bound(address, device.snmp_port, device.source_address).close()
    except OSError as error:
        raise failure(error, where=f"{device.host}:{device.snmp_port}", tried="SNMP", seconds=0.0) from None
    return address


def bound(address: str, port: int, source: str) -> socket.socket:
    """A UDP socket that speaks to this address from that one. Raises OSError."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.bind((source, 0))
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


async def _address(device: Device, timeout: float) -> str:
    with suppress(OSError):
        socket.inet_pton(socket.AF_INET, device.host)
        return device.host
    with suppress(ValueError):
        return str(ipaddress.ip_address(device.host))
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(device.host, device.snmp_port, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])
    except OSError as error:
        trouble = failure(error, where=f"{device.host}:{device.snmp_port}", tried="SNMP", seconds=timeout)
    raise trouble from None
