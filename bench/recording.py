"""What a simulated device answers to one whole poll: the neutral server plays it back, and the readings are what every measured poll must give.

The simulator is Python, so its CPU time would drown what is measured. Here it answers once, to the product's own poll; a web server and
a responder written in C answer from then on.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from agent.app import House, poll_once
from agent.model import Device, History, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from agent.polling.guard import PassingGuard
from agent.polling.state import Cadence
from agent.ports import Services, SystemClock
from agent.store.keep import PassingKeep
from collectors.transport import HttpAnswer, HttpConnection
from collectors.transport.http import MISSING
from simulator.axis.device import ACCOUNTS, AxisDevice
from simulator.axis.mib import mib_of
from simulator.axis.product import DOME_11
from simulator.fleet import ROOM_PASSWORD
from simulator.listener import serve
from simulator.poly import VideoOs
from simulator.snmp import ber
from simulator.snmp.agent import Access

COMMUNITY = "latarnia"
ADDRESS = "127.80.0.1"
AT = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
"""The wall clock of all that is measured: it stands still, as the answers do, so that every poll has the same readings."""

_LACKS = {"ntp", "light-control", "mqtt-client", "streamstatus"}
_APIS = {api: version for api, version in DOME_11.generation.apis.items() if api not in _LACKS}
CAMERA = replace(DOME_11, generation=replace(DOME_11.generation, disk_health=False, apis=_APIS))
"""A camera without health of its storage, as older ones are, and without the interfaces that are asked as often: what is asked of it every five
minutes is three requests and SNMP.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One request and its answer. `target` is path and query, `size` that of the request's body, by which requests to one path differ.

    `guarded`: asked for with an account over Basic or Digest, so the server wants one.
    """

    method: str
    target: str
    size: int
    guarded: bool
    status: int
    content_type: str
    cookies: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All of one device. `objects`: its MIB, as (OID, BER of the binding) in order; `readings`: what one poll of it gave, as (metric, labels, value)."""

    vendor: str
    user: str
    password: str
    played: tuple[Played, ...]
    objects: tuple[tuple[tuple[int, ...], bytes], ...] = ()
    readings: frozenset[tuple[str, tuple[str, ...], float | str]] = field(default_factory=frozenset)


class StandingClock(SystemClock):
    """The wall clock stands at `AT`."""

    def now(self) -> datetime:
        return AT


def _watched(found: dict[tuple[str, str, int], Played]) -> Any:
    """`HttpConnection.request`, writing down what is asked and answered."""
    original = HttpConnection.request

    async def request(self: HttpConnection, method: str, path: str, **more: Any) -> HttpAnswer:
        answer = await original(self, method, path, **more)
        body = more.get("body")
        if more.get("json", MISSING) is not MISSING:
            body = jsonlib.dumps(more["json"], separators=(",", ":")).encode()
        target = f"{path}?{more['params']}" if more.get("params") else path
        played = Played(
            method=method,
            target=target,
            size=len(body or b""),
            guarded=more.get("account", "http") != "",
            status=answer.status,
            content_type=answer.headers.get("Content-Type", ""),
            cookies=tuple(answer.headers.getall("Set-Cookie", [])),
            body=answer.body,
        )
        found[played.method, played.target, played.size] = played
        return answer

    return request


@asynccontextmanager
async def _simulated(vendor: str) -> AsyncIterator[tuple[Device, AxisDevice | VideoOs]]:
    """One simulated device, and the inventory's entry for it."""
    clock = StandingClock()
    simulated: AxisDevice | VideoOs
    if vendor == "axis":
        simulated = AxisDevice(name="gate-2", address=ADDRESS, product=CAMERA, snmp=Access(v2c=True, community=COMMUNITY), clock=clock)
        user, password = "root", ACCOUNTS["root"].password
    else:
        simulated = VideoOs(name="room-314", address=ADDRESS, profile="x70", password=ROOM_PASSWORD, clock=clock)
        user, password = "admin", ROOM_PASSWORD
    credentials: Mapping[str, Any] = {"http": HttpCredential(name="bench", username=user, password=Secret(password))}
    if vendor == "axis":
        credentials = {**credentials, "snmp": SnmpCredential(name="bench-snmp", snmp_version=2, community=Secret(COMMUNITY))}
    async with serve([simulated]) as ports:
        device = Device(
            id="recorded",
            vendor=vendor,
            host=ADDRESS,
            port=ports.https,
            snmp_port=ports.snmp,
            ssh_port=ports.ssh,
            credentials=credentials,
            tls=TlsPolicy(mode=TlsMode.INSECURE),
        )
        yield device, simulated


def _objects(simulated: AxisDevice) -> tuple[tuple[tuple[int, ...], bytes], ...]:
    mib = mib_of(simulated.product)
    rows = [(mib.oid(at), mib.binding(at, simulated.state)) for at in range(len(mib))]
    # Every real agent has its own engine's numbers behind the vendor's tree, so that a walk of that tree ends by leaving it.
    engine = (1, 3, 6, 1, 6, 3, 10, 2, 1, 2, 0)
    return (*rows, (engine, ber.sequence(ber.oid(engine), ber.integer(1))))


async def record(vendor: str, house: House) -> Recording:
    """Poll a simulated device once, everything it is ever asked. `vendor`: axis or poly."""
    found: dict[tuple[str, str, int], Played] = {}
    keep = PassingKeep()
    services = Services(guard=PassingGuard(), trust=keep, vault=keep, memory=keep, clock=StandingClock())
    async with _simulated(vendor) as (device, simulated):
        credential = device.http_credential()
        assert credential is not None
        with patch.object(HttpConnection, "request", _watched(found)):
            report, _ = await poll_once(device, house, services, History(), Cadence(interval=60.0))
        failed = {name: status for name, status in report["facets"].items() if status not in ("ok", "unsupported")}
        if failed or report["faults"]:
            raise RuntimeError(f"the simulated {vendor} device is not well: {failed} {report['faults']}")
        return Recording(
            vendor=vendor,
            user=credential.username,
            password=credential.password.reveal(),
            played=tuple(found.values()),
            objects=_objects(simulated) if isinstance(simulated, AxisDevice) else (),
            readings=_readings(report["readings"]),
        )


OF_THE_CONNECTION = frozenset({"latarnik_axis_certificate_expiry_timestamp_seconds"})
"""What is read of the connection and no answer: the neutral server shows a certificate of its own."""


def _readings(rows: Sequence[Mapping[str, Any]]) -> frozenset[tuple[str, tuple[str, ...], float | str]]:
    return frozenset((row["name"], tuple(f"{k}={v}" for k, v in row["labels"].items()), row["value"]) for row in rows if row["name"] not in OF_THE_CONNECTION)
