"""What every simulated device offers the listener: it is addressed by its loopback address alone."""

from __future__ import annotations

import ssl
from typing import Protocol

import asyncssh
from aiohttp import web


class SnmpAgent(Protocol):
    """Answers one SNMP message; None = silence, as a real agent keeps for a wrong community."""

    def answer(self, datagram: bytes) -> bytes | None: ...


class SimulatedDevice(Protocol):
    """A whole device. `name` is unique in the fleet; `address` is its own in 127.0.0.0/8.

    `powered` False: connections are refused and datagrams ignored, as when the cable is out.
    """

    name: str
    address: str
    powered: bool

    def tls(self) -> ssl.SSLContext:
        """The server context with the certificate it shows now (a reboot may renew it). Built once, kept."""

    async def http(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        """Answer one request."""

    def snmp(self) -> SnmpAgent | None:
        """The SNMP agent, or None when SNMP is switched off (the default of both vendors)."""

    def ssh(self) -> asyncssh.SSHServer | None:
        """A fresh SSH server for one connection, or None when SSH is off."""

    def ssh_host_key(self) -> asyncssh.SSHKey: ...

    def faults(self) -> dict[str, str]:
        """Names of the faults that can be switched, each with a sentence."""

    async def switch(self, fault: str, on: bool) -> None:
        """Switch a fault. An unknown name is a KeyError that lists the known ones."""
