"""Axis devices: cameras, speakers, intercoms and whatever else runs AXIS OS, over VAPIX and SNMP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.model import Device
from agent.ports import CollectorPlugin, Facet, Services
from collectors.axis.client import AxisClient
from collectors.axis.evidence import EVIDENCE, checklist
from collectors.axis.facets import FACETS
from collectors.axis.faults import FAULTS, SHOWN_BY
from collectors.axis.metrics import METRICS
from collectors.axis.rules import RULES
from collectors.axis.settings import AxisSettings
from collectors.transport import HttpConnection, Transports, open_transports


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisSession:
    """One visit."""

    client: AxisClient
    http: HttpConnection

    async def knock(self) -> None:
        await self.http.request("GET", "/", account="")

    def offers(self, facet: Facet) -> bool:
        """SNMP only with a credential for it. Over HTTP everything is asked: without an account the device says what anybody may read."""
        return facet.account != "snmp" or self.client.device.snmp_credential() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisCollector:
    services: Services
    transports: Transports
    readable: dict[str, set[str]] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[AxisSession]:
        """A visit; the connections are made when something is first asked."""
        async with self.transports.http(device) as http, self.transports.snmp(device) as snmp:
            client = AxisClient(device=device, http=http, snmp=snmp, clock=self.services.clock, readable=self.readable)
            yield AxisSession(client=client, http=http)


@asynccontextmanager
async def start(services: Services) -> AsyncIterator[AxisCollector]:
    """The running collector."""
    async with open_transports(services) as transports:
        yield AxisCollector(services=services, transports=transports)


PLUGIN = CollectorPlugin(
    name="axis",
    settings=AxisSettings,
    facets=FACETS,
    metrics=METRICS,
    faults=FAULTS,
    rules=RULES,
    evidence=EVIDENCE,
    checklist=checklist,
    start=start,
    shown_by=SHOWN_BY,
)
