"""SNMP to one device for one visit: one seam over two engines."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Protocol

from agent.errors import BadPayload, CollectError, Forbidden, Reason
from agent.model import Device
from collectors.transport.failures import failure

SnmpValue = int | bytes | str

WALK_LIMIT = 2000
REPETITIONS = 25  # rows asked for at once: about 1 kB back, which fits one datagram
GET_AT_ONCE = 24
TRIES = 2  # a datagram may get lost; more would only make a dead device slower
_OID = re.compile(r"[0-2](?:\.\d{1,10})+")


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


class WalkOrder:
    """Collects a walk's rows and sees to it that they move forward, stay below the prefix and end."""

    def __init__(self, prefix: str, limit: int, where: str) -> None:
        self.rows: list[tuple[str, SnmpValue]] = []
        self.last = prefix
        self._prefix = arcs(prefix)
        self._last = self._prefix
        self._limit = limit
        self._where = where

    def add(self, oid: str, value: SnmpValue) -> bool:
        """Take one row; False when it lies beyond the prefix: the walk is over."""
        place = arcs(oid)
        if place <= self._last:
            raise BadPayload(f"{self._where}: SNMP walk of {'.'.join(map(str, self._prefix))} does not move forward: {oid} after {self.last}")
        if place[: len(self._prefix)] != self._prefix:
            return False
        if len(self.rows) >= self._limit:
            raise BadPayload(f"{self._where}: SNMP walk of {'.'.join(map(str, self._prefix))} is longer than {self._limit} rows")
        self.rows.append((oid, value))
        self.last, self._last = oid, place
        return True


def status_error(status: int, name: str, where: str, tried: str) -> CollectError:
    """An SNMP error-status as one of ours: noAccess and authorizationError are about rights."""
    if status in (6, 16):
        return Forbidden(Reason.FORBIDDEN, f"{where}: {tried}: this account may not read it ({name})")
    return CollectError(Reason.SNMP_ERROR, f"{where}: {tried}: the device answered {name or status}")


async def resolved(device: Device, timeout: float) -> str:
    """The device's address, asked of the resolver when it is a name. Raises Unreachable(DNS)."""
    try:
        return str(ipaddress.ip_address(device.host))
    except ValueError:
        pass
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(device.host, device.snmp_port, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])
    except OSError as error:
        trouble = failure(error, where=f"{device.host}:{device.snmp_port}", tried="SNMP", seconds=timeout)
    raise trouble from None
