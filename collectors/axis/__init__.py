"""Axis devices: cameras, speakers, intercoms and whatever else runs AXIS OS, over VAPIX and SNMP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.errors import NotSupported
from agent.model import Device
from agent.ports import CollectorPlugin, Facet, Listener, Services
from collectors.axis import stream
from collectors.axis.client import AxisClient
from collectors.axis.evidence import EVIDENCE, checklist
from collectors.axis.facets import FACETS
from collectors.axis.facets_health import offered
from collectors.axis.faults import FAULTS, SHOWN_BY
from collectors.axis.known import Known
from collectors.axis.metrics import METRICS
from collectors.axis.rules import RULES
from collectors.axis.settings import AxisSettings, settings_of
from collectors.transport import HttpConnection, Transports, open_transports


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisSession:
    """One visit."""

    client: AxisClient
    http: HttpConnection

    @property
    def sent(self) -> Mapping[str, int]:
        return {"http": self.http.requests} if self.http.requests else {}

    async def knock(self) -> None:
        await self.http.request("GET", "/", account="")

    def offers(self, facet: Facet) -> bool:
        """SNMP only with a credential for it. Over HTTP what the device lists, without an account too: it says what anybody may read."""
        return (facet.account != "snmp" or self.client.device.snmp_credential() is not None) and offered(facet.name, self.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisCollector:
    services: Services
    transports: Transports
    readable: dict[str, set[str]] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    since: dict[str, dict[str, tuple[str, float]]] = field(default_factory=dict)
    """By device: since when each lasting state that it told of is known to last."""

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[AxisSession]:
        """A visit; the connections are made when something is first asked."""
        async with self.transports.http(device) as http, self.transports.snmp(device) as snmp:
            known = self.known.setdefault(device.id, Known())
            client = AxisClient(device=device, http=http, snmp=snmp, clock=self.services.clock, readable=self.readable, known=known)
            yield AxisSession(client=client, http=http)


@asynccontextmanager
async def start(services: Services) -> AsyncIterator[AxisCollector]:
    """The running collector."""
    async with open_transports(services) as transports:
        yield AxisCollector(services=services, transports=transports)


async def listen(collector: AxisCollector, device: Device, listener: Listener) -> None:
    """One stream of events, until it ends; a visit of its own beside the polls."""
    if not settings_of(device.settings).events:
        raise NotSupported(f"{device.id}: axis.events is off in the configuration")
    async with collector.open(device) as session:
        await stream.listen(session.client, listener, collector.since.setdefault(device.id, {}))


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
    listen=listen,
)
