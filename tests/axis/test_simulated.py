"""The whole collector over simulated devices: every facet, and every fault switched on and off again."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO

import pytest

from agent.diagnosis.history import remember
from agent.diagnosis.rules import COMMON_RULES
from agent.errors import CollectError
from agent.model import Device, FacetStatus, Fault, Healthy, History, HttpCredential, Judgement, Secret, Snapshot, SnmpCredential, TlsMode, TlsPolicy
from agent.polling.poller import poll
from agent.polling.state import Cadence, PollState
from agent.ports import Collector, SystemClock
from collectors.axis import PLUGIN
from collectors.axis.evidence import EVIDENCE
from simulator.axis import product as axis
from simulator.axis.device import DEMO_PASSWORD, AxisDevice
from simulator.axis.product import Product
from simulator.listener import serve
from simulator.snmp.agent import Access
from tests.axis.doubles import Guard, entry, services

COMMUNITY = "only-for-tests"
CREDENTIALS = {
    "http": HttpCredential(name="cameras", username="operator", password=Secret(DEMO_PASSWORD)),
    "service": HttpCredential(name="cameras-admin", username="root", password=Secret(DEMO_PASSWORD)),
    "snmp": SnmpCredential(name="snmp", snmp_version=2, community=Secret(COMMUNITY)),
}
VIEWER = {"http": HttpCredential(name="viewer", username="viewer", password=Secret(DEMO_PASSWORD))}


@dataclass(kw_only=True)
class Bench:
    """One simulated device and the collector that polls it; each poll asks everything anew."""

    simulated: AxisDevice
    device: Device
    collector: Collector
    guard: Guard
    history: History = field(default_factory=History)
    polls: int = 0

    async def poll(self) -> tuple[Snapshot, list[Judgement]]:
        snapshot, _ = await poll(self.device, PLUGIN, self.collector, PollState(), Cadence(interval=60.0), SystemClock())
        judgements = [j for rule in (*COMMON_RULES, *PLUGIN.rules) for j in rule(snapshot, self.history, self.device)]
        self.history = remember(self.history, snapshot, judgements)
        self.polls += 1
        return snapshot, judgements

    async def faults(self) -> set[str]:
        _, judgements = await self.poll()
        return {f"{j.code}/{j.component}".rstrip("/") for j in judgements if isinstance(j, Fault)}


@asynccontextmanager
async def bench(product: Product, *, credentials: object = None, snmp: bool = True) -> AsyncIterator[Bench]:
    guard = Guard()
    access = Access(v2c=True, community=COMMUNITY) if snmp else Access()
    simulated = AxisDevice(name="gate-2", address="127.83.0.1", product=product, snmp=access)
    async with serve([simulated]) as ports, PLUGIN.start(services(guard, timeout=5.0)) as collector:
        device = entry(
            host=simulated.address,
            scheme="https",
            port=ports.https,
            snmp_port=ports.snmp,
            tls=TlsPolicy(mode=TlsMode.INSECURE),
            credentials=CREDENTIALS if credentials is None else credentials,
        )
        yield Bench(simulated=simulated, device=device, collector=collector, guard=guard)


HTTP = {"readiness", "identity", "temperatures", "temperature_limits", "storage", "storage_config", "storage_health", "firmware"}
SNMP = {"snmp_system", "snmp_health"}
ANSWERED = {
    axis.DOME_11: HTTP | SNMP,
    axis.PTZ_12: HTTP | SNMP,
    axis.SPEAKER: HTTP | SNMP,
    axis.STROBE_SPEAKER: HTTP | SNMP,
    axis.INTERCOM: HTTP | SNMP,
    axis.DOME_10: HTTP | SNMP,
    axis.BOX_9: (HTTP | SNMP) - {"temperatures", "temperature_limits"},
    axis.IO_MODULE: (HTTP | SNMP) - {"temperatures", "temperature_limits"},
    axis.BODY_8: {"identity_account", "storage", "storage_config", "storage_health", "firmware"} | SNMP,
    axis.LEGACY_CAMERA: {"identity_account", "storage", "storage_config"} | SNMP,
}


@pytest.mark.parametrize("product", ANSWERED, ids=lambda product: product.number)
async def test_every_product_is_known_whole_has_no_fault_and_lacks_what_its_generation_lacks(product: Product) -> None:
    async with bench(product) as table:
        for _ in range(2):
            snapshot, judgements = await table.poll()
            told = snapshot.identity
            assert (told.vendor, told.model, told.firmware, told.serial) == ("AXIS", product.number, product.firmware, table.simulated.state.serial)
            assert told.hardware == product.hardware
            assert told.mac.replace(":", "").upper() == told.serial
            assert {name for name in snapshot.facets if snapshot.ok(name)} & (HTTP | SNMP | {"identity_account"}) == ANSWERED[product]
            assert {o.status for o in snapshot.facets.values()} <= {FacetStatus.OK, FacetStatus.UNSUPPORTED}
            assert [j for j in judgements if isinstance(j, Fault)] == []
        assert table.guard.refusals == []
        assert table.simulated.counters.changes.total() == 0


FAULTS: list[tuple[Product, str, set[str]]] = [
    (axis.DOME_11, "not_ready", {"axis.not_ready"}),
    (axis.DOME_11, "needs_setup", {"axis.needs_setup", "device.login_refused"}),
    (axis.DOME_11, "crashed", {"axis.crashed", "device.rebooted"}),
    (axis.DOME_11, "pending_commit", {"axis.firmware.pending_commit"}),
    (axis.DOME_11, "sd_failed", {"axis.storage.failed/SD_DISK"}),
    (axis.DOME_11, "sd_removed", {"axis.storage.failed/SD_DISK"}),
    (axis.DOME_11, "overheating", {"axis.temperature.high/Main"}),
    (axis.DOME_11, "heater_failed", {"axis.heater.failed/H0"}),
    (axis.DOME_11, "unplugged", {"device.unreachable"}),
    (axis.DOME_11, "wrong_password", {"device.login_refused"}),
    (axis.DOME_11, "html_errors", set()),
    (axis.PTZ_12, "fan_failed", {"axis.fan.failed/F0"}),
    (axis.PTZ_12, "overheating", {"axis.temperature.high/Main"}),
    (axis.PTZ_12, "sensor_nonsense", {"axis.temperature.sensor_failed/sensor common.3"}),
    (axis.LEGACY_CAMERA, "sd_failed", {"axis.storage.failed/SD_DISK"}),
    (axis.LEGACY_CAMERA, "sd_removed", {"axis.storage.failed/SD_DISK"}),
    (axis.INTERCOM, "sd_removed", {"axis.storage.failed/SD_DISK"}),
    (axis.DOME_10, "reboot", {"device.rebooted"}),
]


@pytest.mark.parametrize(("product", "fault", "expected"), FAULTS, ids=[f"{product.number}-{fault}" for product, fault, _ in FAULTS])
async def test_a_fault_is_seen_when_it_comes_and_is_gone_when_it_goes(product: Product, fault: str, expected: set[str]) -> None:
    async with bench(product) as table:
        assert await table.faults() == set()
        await table.simulated.switch(fault, on=True)
        assert await table.faults() == expected
        await table.simulated.switch(fault, on=False)
        table.guard.refusals.clear()  # as after a person's `unblock`
        gone = await table.faults()
        assert gone - {"device.rebooted"} == set()
        _, judgements = await table.poll()
        healthy = {f"{j.code}/{j.component}".rstrip("/") for j in judgements if isinstance(j, Healthy)}
        assert expected <= healthy


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("fan_failed", {"axis.fan.failed/fan common.1"}),
        ("overheating", {"axis.temperature.high/sensor common.3"}),
        ("sensor_nonsense", {"axis.temperature.sensor_failed/sensor common.3"}),
    ],
)
async def test_without_an_account_snmp_tells(fault: str, expected: set[str]) -> None:
    async with bench(axis.PTZ_12, credentials={"snmp": CREDENTIALS["snmp"]}) as table:
        assert await table.faults() == set()
        await table.simulated.switch(fault, on=True)
        assert await table.faults() == expected
        await table.simulated.switch(fault, on=False)
        assert await table.faults() == set()


async def test_a_card_that_goes_is_seen_over_snmp_alone_and_an_empty_share_is_no_fault() -> None:
    async with bench(axis.DOME_11, credentials={"snmp": CREDENTIALS["snmp"]}) as table:
        assert await table.faults() == set()
        await table.simulated.switch("sd_removed", on=True)
        assert await table.faults() == {"axis.storage.failed/SD_DISK"}


async def test_three_restarts_are_a_loop() -> None:
    async with bench(axis.DOME_11) as table:
        await table.poll()
        for expected in ({"device.rebooted"}, {"device.rebooted"}, {"device.rebooted", "device.rebooting"}):
            await table.simulated.switch("reboot", on=True)
            assert await table.faults() == expected


async def test_a_restart_of_a_device_without_boot_id_is_told_by_snmp_alone() -> None:
    async with bench(axis.DOME_10, snmp=False, credentials={"http": CREDENTIALS["http"]}) as table:
        await table.poll()
        await table.simulated.switch("reboot", on=True)
        assert await table.faults() == set()


@pytest.mark.parametrize("product", [axis.DOME_11, axis.PTZ_12, axis.BODY_8, axis.LEGACY_CAMERA, axis.BOX_9], ids=lambda product: product.number)
async def test_a_viewers_account_reads_what_it_may_and_is_never_refused(product: Product) -> None:
    """On 11.11 and 9.80 a missing right is answered 401 as a wrong password is."""
    async with bench(product, credentials=VIEWER, snmp=False) as table:
        for _ in range(2):
            snapshot, judgements = await table.poll()
            assert not [j for j in judgements if isinstance(j, Fault)]
            assert {o.status for o in snapshot.facets.values()} <= {FacetStatus.OK, FacetStatus.UNSUPPORTED}
            assert snapshot.facets["storage"].status is FacetStatus.UNSUPPORTED
        assert table.guard.refusals == []
        assert table.simulated.counters.refused_logins == 0


async def test_a_wrong_password_is_refused_once_by_the_device() -> None:
    wrong = {"http": HttpCredential(name="cameras", username="operator", password=Secret("wrong"))}
    async with bench(axis.DOME_11, credentials=wrong, snmp=False) as table:
        for _ in range(3):
            assert await table.faults() == {"device.login_refused"}
        assert table.simulated.counters.refused_logins == 1


# --- evidence ---------------------------------------------------------------------------------------------------------


async def collected(table: Bench, name: str) -> bytes:
    item = next(item for item in EVIDENCE if item.name == name)
    async with table.collector.open(table.device) as session:
        body = b"".join([piece async for piece in item.fetch(session.client)])
    assert item.check(body[:512]) == ""
    return item.scrub(body) if item.scrub else body


@pytest.mark.parametrize("product", ANSWERED, ids=lambda product: product.number)
async def test_every_file_of_evidence_is_had_of_every_product(product: Product) -> None:
    async with bench(product) as table:
        serial = table.simulated.state.serial
        with zipfile.ZipFile(BytesIO(await collected(table, "serverreport.zip"))) as archive:
            assert archive.namelist()
            assert archive.testzip() is None
        assert serial in (await collected(table, "serverreport.txt")).decode()
        assert product.short_name in (await collected(table, "systemlog.txt")).decode("latin-1")
        assert f"Brand.ProdNbr={product.number}" in (await collected(table, "parameters.txt")).decode("latin-1")
        assert "NetworkShare" in (await collected(table, "health.txt")).decode()
        assert table.simulated.counters.changes.total() == 0


async def test_a_polling_account_alone_gets_no_report_and_is_not_refused_for_asking() -> None:
    async with bench(axis.DOME_11, credentials={"http": CREDENTIALS["http"]}) as table:
        for name in ("serverreport.zip", "serverreport.txt", "systemlog.txt"):
            with pytest.raises(CollectError):
                await collected(table, name)
        assert table.guard.refusals == []
        assert table.simulated.counters.refused_logins == 0


async def test_the_answers_are_no_older_than_the_poll() -> None:
    async with bench(axis.DOME_11) as table:
        snapshot, _ = await table.poll()
        assert all(outcome.at - snapshot.at < timedelta(seconds=30) for outcome in snapshot.facets.values())
