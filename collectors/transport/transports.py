"""What a vendor's collector holds while the agent runs, and opens visits from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TypeVar

from aiohttp import ThreadedResolver

from agent.errors import CollectError, Reason
from agent.model import Device
from agent.ports import Services
from collectors.transport.http import HttpCommons, HttpConnection
from collectors.transport.snmp import WALK_LIMIT, SnmpConnection, SnmpValue
from collectors.transport.snmp_v2 import CommunityConnection
from collectors.transport.snmp_v3 import Engines, UserConnection
from collectors.transport.ssh import SshConnection

_Connection = TypeVar("_Connection", bound=HttpConnection | SshConnection)


class Transports:
    """Ways to devices. Each method gives one visit's connection: entering does no I/O, leaving closes it."""

    def __init__(self, services: Services, http: HttpCommons, engines: Engines) -> None:
        self._services = services
        self._http = http
        self._engines = engines

    def http(self, device: Device) -> AbstractAsyncContextManager[HttpConnection]:
        return _Closing(HttpConnection(device, self._http))

    def snmp(self, device: Device) -> AbstractAsyncContextManager[SnmpConnection]:
        credential = device.snmp_credential()
        if credential is None:
            return nullcontext(_NoSnmp(device.id))
        if credential.snmp_version == 3:
            return nullcontext(UserConnection(device, credential, self._services, self._engines))
        return nullcontext(CommunityConnection(device, credential, self._services))

    def ssh(self, device: Device) -> AbstractAsyncContextManager[SshConnection]:
        return _Closing(SshConnection(device, self._services))


class _Closing(AbstractAsyncContextManager[_Connection]):
    """A connection that is closed at the end of its visit."""

    def __init__(self, connection: _Connection) -> None:
        self._connection: _Connection = connection

    async def __aenter__(self) -> _Connection:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


class _NoSnmp:
    """A device without an SNMP credential: says so when asked."""

    def __init__(self, device: str) -> None:
        self._device = device

    async def get(self, oids: Sequence[str]) -> dict[str, SnmpValue]:
        del oids
        raise self._missing()

    async def walk(self, prefix: str, *, limit: int = WALK_LIMIT) -> list[tuple[str, SnmpValue]]:
        del prefix, limit
        raise self._missing()

    def _missing(self) -> CollectError:
        return CollectError(Reason.NO_CREDENTIAL, f"{self._device} has no credential for the role 'snmp': add it under credentials")


@asynccontextmanager
async def open_transports(services: Services) -> AsyncIterator[Transports]:
    """The transports, for as long as the plugin lives."""
    engines = Engines(services)
    try:
        yield Transports(services, HttpCommons(services, resolver=ThreadedResolver()), engines)
    finally:
        engines.close()
