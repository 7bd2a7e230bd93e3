"""The Poly collector while the agent runs: one warm session a device, given back at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from agent.errors import CollectError, Unreachable
from agent.logs import logger
from agent.model import Device
from agent.ports import Facet, Services
from collectors.poly.client import PolyClient
from collectors.poly.session import ManagementSession, Visit, visiting
from collectors.transport import HttpConnection, SshConnection, Transports, open_transports

GIVE_BACK_AT_ONCE = 64
GIVE_BACK_TIME = 30.0
"""Seconds to give all sessions back when the agent stops. What is left is on the disk, and given back by the next start."""


class PolySession:
    """One visit."""

    def __init__(self, device: Device, client: PolyClient, http: HttpConnection, ssh: SshConnection) -> None:
        self._device = device
        self._http = http
        self._ssh = ssh
        self.client: object = client

    @property
    def sent(self) -> Mapping[str, int]:
        return {"http": self._http.requests} if self._http.requests else {}

    async def knock(self) -> None:
        """The web page, without a session; where that is off, the host key of the command line."""
        try:
            await self._http.request("GET", "/", account="")
        except Unreachable:
            await self._ssh.knock()

    def offers(self, facet: Facet) -> bool:
        if facet.account == "ssh":
            return self._device.http_credential("ssh") is not None or self._device.http_credential() is not None
        return not facet.account or self._device.http_credential(facet.account) is not None


class PolyCollector:
    """Visits to Poly devices."""

    def __init__(self, transports: Transports, services: Services) -> None:
        self._transports = transports
        self._services = services
        self._sessions: dict[str, ManagementSession] = {}

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[PolySession]:
        session = self._sessions.get(device.id)
        if session is None:
            session = self._sessions[device.id] = ManagementSession(device, self._services)
        session.device = device
        async with self._transports.http(device) as http, visiting(session, http) as visit, self._transports.ssh(device) as ssh:
            client = PolyClient(device=device, session=session, visit=visit, ssh=ssh, clock=self._services.clock)
            yield PolySession(device, client, http, ssh)

    async def give_back(self) -> None:
        """End every session of ours. A device that does not answer keeps its own until it runs out."""
        some = asyncio.Semaphore(GIVE_BACK_AT_ONCE)

        async def one(session: ManagementSession) -> None:
            try:
                async with some, self._transports.http(session.device) as http:
                    await session.end(Visit(http))
            except CollectError as error:
                logger("poly").warning("session_not_given_back", device=session.device.id, reason=str(error.reason), detail=error.detail)
            except Exception:  # noqa: BLE001 - a full disk, or a bug: the other devices' sessions are given back all the same
                logger("poly").exception("session_not_given_back", device=session.device.id)

        try:
            async with asyncio.timeout(GIVE_BACK_TIME), asyncio.TaskGroup() as group:
                for session in self._sessions.values():
                    group.create_task(one(session))
        except TimeoutError:
            logger("poly").warning("sessions_not_given_back_in_time", seconds=GIVE_BACK_TIME)


@asynccontextmanager
async def start(services: Services) -> AsyncIterator[PolyCollector]:
    """The collector for as long as the agent runs."""
    async with open_transports(services) as transports:
        collector = PolyCollector(transports, services)
        try:
            yield collector
        finally:
            await collector.give_back()
