"""Who may send traps: the addresses of the inventory's devices, each with a bucket. Of strangers nothing is kept."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping

from agent.logs import logger
from agent.model import Device
from agent.ports import Clock
from agent.traps.message import Access

RATE = 2.0
"""Traps a second of one address that are looked at, in the long run."""
BURST = 10
ADDRESSES = 8
"""Of one name; more are left out."""
RESOLVED_EVERY = 300.0


class Source:
    """One address. `devices` have it; `told` is whether a trap of it that could not be verified was reported."""

    __slots__ = ("_at", "_left", "devices", "told")

    def __init__(self, now: float) -> None:
        self.devices: tuple[Device, ...] = ()
        self.told = False
        self._left = float(BURST)
        self._at = now

    def allows(self, now: float) -> bool:
        """Take a token, if there is one."""
        self._left = min(float(BURST), self._left + (now - self._at) * RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Sources:
    """The devices by address. `accesses`: their SNMP credentials made ready, by version."""

    def __init__(self, devices: Iterable[Device], accesses: Mapping[str, Access], clock: Clock) -> None:
        self._clock = clock
        self._accesses = accesses
        self._by_host: dict[str, tuple[Device, ...]] = {}
        for device in devices:
            if device.host:
                self._by_host[device.host] = (*self._by_host.get(device.host, ()), device)
        self._resolved: dict[str, tuple[str, ...]] = {host: (literal,) for host in self._by_host if (literal := _literal(host))}
        self.names = tuple(host for host in self._by_host if host not in self._resolved)
        self._by_address: dict[str, Source] = {}
        self._arrange()

    def __len__(self) -> int:
        return len(self._by_address)

    def find(self, address: str) -> Source | None:
        return self._by_address.get(address)

    def candidates(self, source: Source) -> list[tuple[Access, tuple[Device, ...]]]:
        """The credentials with which a trap of this source may be verified, and the devices that have each."""
        found: dict[str, list[Device]] = {}
        for device in source.devices:
            credential = device.snmp_credential()
            if credential is not None:
                found.setdefault(credential.version, []).append(device)
        return [(self._accesses[version], tuple(devices)) for version, devices in found.items()]

    async def keep_resolved(self) -> None:
        """Ask for the names' addresses, now and then for ever. One at a time, in a thread of the loop's pool."""
        while True:
            for name in self.names:
                await self._resolve(name)
            await self._clock.sleep(RESOLVED_EVERY)

    async def _resolve(self, name: str) -> None:
        """A name that is not found now keeps its addresses."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            logger("traps").debug("name_not_resolved", host=name, error=str(error))
            return
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))[:ADDRESSES]
        if addresses and addresses != self._resolved.get(name):
            self._resolved[name] = addresses
            self._arrange()

    def _arrange(self) -> None:
        """The table anew; an address that stays keeps its bucket."""
        before, self._by_address = self._by_address, {}
        now = self._clock.monotonic()
        for host, addresses in self._resolved.items():
            for address in addresses:
                source = self._by_address.get(address)
                if source is None:
                    source = self._by_address[address] = before.get(address) or Source(now)
                    source.devices = ()
                source.devices += self._by_host[host]


def _literal(host: str) -> str:
    """The address that the host is, as the kernel writes it; '' when it is a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return unmapped(socket.inet_ntop(family, socket.inet_pton(family, host)))


def unmapped(address: str) -> str:
    """An IPv4 address that came through an IPv6 socket, as IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address
