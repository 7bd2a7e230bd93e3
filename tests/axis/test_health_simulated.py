"""The signals beside storage, heat and firmware over simulated devices of every generation and kind: good ones are healthy, every switch is its fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from agent.model import FacetStatus, Fault, Healthy, TlsMode, TlsPolicy
from agent.polling.state import effective_every
from collectors.axis.facets import FACETS
from collectors.axis.facets_health import NEEDS, NEEDS_REST, OF_SPEAKING
from collectors.axis.settings import AxisSettings
from simulator.axis import product as axis
from simulator.axis.device import AxisDevice
from simulator.axis.product import Product
from tests.axis import test_simulated as common
from tests.axis.test_simulated import Bench, bench

PRODUCTS = [product for product in vars(axis).values() if isinstance(product, Product)]
RECORDER = "192.0.2.20"
"""Who takes the picture of a simulated camera."""
KINDS_THAT_SPEAK = (axis.Kind.SPEAKER, axis.Kind.INTERCOM)


@asynccontextmanager
async def watched(product: Product, **options: object) -> AsyncIterator[Bench]:
    """A device of a site that names its recorder."""
    async with bench(product, **options) as table:  # type: ignore[arg-type]  # as bench takes them
        table.device = replace(table.device, settings=AxisSettings(recorder=RECORDER if product.video else ""))
        yield table


def beside(product: Product) -> set[str]:
    """The facets of these signals that a product answers, by what it has."""
    found = {name for name, apis in NEEDS.items() if name not in OF_SPEAKING and any(product.has(api) for api in apis)}
    found |= {name for name, interface in NEEDS_REST.items() if product.rest(interface)} | {"certificate", "applications"}
    if product.has("api-discovery"):
        found.add("apis")
    if product.has("ntp"):
        found.discard("clock_config")
    if product.has("sip"):
        found |= OF_SPEAKING
    if "AXISImageHealthAnalytics" in product.apps:
        found.add("image_health")
    return found


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: f"{product.number}-{product.firmware}")
async def test_every_product_of_every_generation_is_known_and_healthy_and_answers_what_it_has(product: Product) -> None:
    async with watched(product) as table:
        for poll in range(2):
            snapshot, judgements = await table.poll()
            assert [j for j in judgements if isinstance(j, Fault)] == []
            told = snapshot.identity
            assert (told.vendor, told.model, told.firmware, told.serial) == ("AXIS", product.number, product.firmware, table.simulated.state.serial)
            assert {o.status for o in snapshot.facets.values()} <= {FacetStatus.OK, FacetStatus.UNSUPPORTED}
            answered = {name for name in snapshot.facets if snapshot.ok(name)}
            table_of_health = {facet.name for facet in FACETS} - common.HTTP - common.SNMP - {"identity_account"}
            assert answered & table_of_health == beside(product)
            # Its calls are known only after they were asked for the first time.
            free = False if product.kind not in KINDS_THAT_SPEAK or (product.has("sip") and product.kind is axis.Kind.INTERCOM and poll) else None
            assert snapshot.in_use is free
        assert table.guard.refusals == []
        assert table.simulated.counters.changes.total() == 0


FAULTS: list[tuple[Product, str, set[str]]] = [
    (axis.STROBE_SPEAKER, "power_insufficient", {"axis.power.insufficient"}),
    (axis.STROBE_SPEAKER, "poe_class_low", {"axis.power.insufficient"}),
    (axis.DOME_11, "ntp_unsynced", {"axis.clock.unsynced"}),
    (axis.BOX_9, "clock_offset", {"axis.clock.off"}),
    (axis.PTZ_13, "ntp_unsynced", {"axis.clock.unsynced"}),
    (axis.PTZ_13, "clock_offset", {"axis.clock.off"}),
    (axis.DOME_11, "light_error", {"axis.light.failed/light led0"}),
    (axis.STROBE_SPEAKER, "siren_failed", {"axis.self_test.failed/siren and light"}),
    (axis.STROBE_SPEAKER, "siren_light_failed", {"axis.self_test.failed/siren and light"}),
    (axis.THERMAL_12, "casing_open", {"axis.casing.open/NetworkCamera"}),
    (axis.ENCODER_5, "video_lost", {"axis.video.lost/1"}),
    (axis.ENCODER_11, "audio_lost", {"axis.audio.lost/1"}),
    (axis.ENCODER_11, "power_supply_failed", {"axis.power_supply.failed/supply common.1"}),
    (axis.ENCODER_11, "share_lost", {"axis.storage.failed/NetworkShare"}),
    (axis.THERMAL_12, "share_disconnected", {"axis.storage.failed/NetworkShare"}),
    (axis.RECORDER, "disk_failed", {"axis.storage.failed/HARD_DISK_1"}),
    (axis.DOME_11, "sd_worn", {"axis.storage.worn/SD_DISK"}),
    (axis.DOME_11, "sd_sentinels", set()),
    (axis.DOME_11, "app_stopped", {"axis.application.stopped/application vmd"}),
    (axis.LEGACY_CAMERA, "app_stopped", {"axis.application.stopped/application vmd"}),
    (axis.DOME_11, "app_licence_expired", {"axis.application.license/application loiteringguard"}),
    (axis.DOME_11, "app_licence_expiring", {"axis.application.license/application loiteringguard"}),
    (axis.PTZ_12, "mqtt_disconnected", {"axis.mqtt.disconnected"}),
    (axis.BOX_9, "mqtt_disconnected", {"axis.mqtt.disconnected"}),
    (axis.PTZ_12, "image_blocked", {"axis.picture.bad/blocked"}),
    (axis.PTZ_12, "image_blurred", {"axis.picture.bad/blurred"}),
    (axis.PTZ_12, "image_redirected", {"axis.picture.bad/redirected"}),
    (axis.PTZ_12, "image_underexposed", {"axis.picture.bad/underexposed"}),
    (axis.PTZ_12, "analytics_stopped", {"axis.application.stopped/application AXISImageHealthAnalytics"}),
    (axis.PTZ_12, "analytics_missing", set()),
    (axis.INTERCOM, "io_supervision", {"axis.io.line_tampered/0"}),
    (axis.INTERCOM, "sip_unregistered", {"axis.sip.unregistered/sip_account_0"}),
    (axis.INTERCOM_12, "call_running", set()),
    (axis.DOME_11, "no_stream", {"axis.recorder.no_stream"}),
    (axis.DOME_11, "stream_paused", {"axis.recorder.no_stream"}),
    (axis.THERMAL_12, "foreign_stream", {"axis.recorder.no_stream"}),
    (axis.DOME_11, "link_degraded", {"axis.network.slow/eth0"}),
    (axis.AIR_SENSOR, "air_alarm", set()),
    (axis.PTZ_12, "sensor_sentinel", {"axis.temperature.sensor_failed/sensor common.3"}),
]


@pytest.mark.parametrize(("product", "fault", "expected"), FAULTS, ids=[f"{product.number}-{fault}" for product, fault, _ in FAULTS])
async def test_a_fault_is_seen_when_it_comes_and_is_gone_when_it_goes(product: Product, fault: str, expected: set[str]) -> None:
    async with watched(product) as table:
        assert await table.faults() == set()
        await table.simulated.switch(fault, on=True)
        assert await table.faults() == expected
        await table.simulated.switch(fault, on=False)
        snapshot, judgements = await table.poll()
        assert [j for j in judgements if isinstance(j, Fault)] == []
        assert expected <= {f"{j.code}/{j.component}".rstrip("/") for j in judgements if isinstance(j, Healthy)}
        assert snapshot.reachable


@pytest.mark.parametrize("fault", ["certificate_expired", "certificate_expiring"])
async def test_a_certificate_that_ends_is_seen_on_the_connection_and_in_the_store(fault: str) -> None:
    async with watched(axis.DOME_11) as table:
        assert await table.faults() == set()
        await table.simulated.switch(fault, on=True)
        ends = {"axis.certificate.expiring/https", "axis.certificate.expiring/default"}
        assert await table.faults() == {*ends, "axis.certificate.changed"}
        assert await table.faults() == ends


async def test_another_certificate_is_told_once_where_nothing_pins_it() -> None:
    async with watched(axis.DOME_11) as table:
        assert table.device.tls == TlsPolicy(mode=TlsMode.INSECURE)
        assert await table.faults() == set()
        await table.simulated.switch("certificate_changed", on=True)
        assert await table.faults() == {"axis.certificate.changed"}
        assert await table.faults() == set()


ONLY_EVENTS = {
    "recording_stopped",
    "ring_power",
    "speaker_test_failed",
    "tampering",
    "scene_change",
    "daynight_stuck",
    "abr_error",
    "ptz_error",
    "ptz_not_ready",
    "ptz_power_failed",
    "network_lost",
    "action_failed",
    "stream_closes",
    "stream_silent",
    "stream_floods",
    "stream_nonsense",
}
NO_SIGNAL_YET = {"sd_full": "a card that records in a loop is full", "sd_readonly": "a person may have locked it"}


def test_every_switch_of_every_product_is_tried_or_named() -> None:
    known = {fault for product in PRODUCTS for fault in AxisDevice(name="x", address="127.83.0.9", product=product).faults()}
    tried = {fault for _, fault, _ in (*FAULTS, *common.FAULTS)} | {"certificate_expired", "certificate_expiring", "certificate_changed"}
    assert known - tried == ONLY_EVENTS | set(NO_SIGNAL_YET) | {"hang", "slow", "echo_password"}


@pytest.mark.parametrize(
    ("product", "fault", "expected"),
    [
        (axis.ENCODER_5, "video_lost", {"axis.video.lost/1"}),
        (axis.IO_MODULE, "audio_lost", {"axis.audio.lost/1"}),
        (axis.STROBE_SPEAKER, "casing_open", {"axis.casing.open/NetworkStrobeSpeaker"}),
        (axis.ENCODER_11, "power_supply_failed", {"axis.power_supply.failed/supply common.1"}),
    ],
)
async def test_without_an_account_snmp_tells(product: Product, fault: str, expected: set[str]) -> None:
    async with watched(product, credentials={"snmp": common.CREDENTIALS["snmp"]}) as table:
        assert await table.faults() == set()
        await table.simulated.switch(fault, on=True)
        assert await table.faults() == expected
        await table.simulated.switch(fault, on=False)
        assert await table.faults() == set()


# --- use --------------------------------------------------------------------------------------------------------------


async def test_an_intercom_is_in_use_while_a_call_runs_and_free_when_it_is_known_to_be_silent() -> None:
    async with watched(axis.INTERCOM) as table:
        assert (await table.poll())[0].in_use is None
        assert (await table.poll())[0].in_use is False
        await table.simulated.switch("call_running", on=True)
        snapshot, _ = await table.poll()
        assert snapshot.in_use is True
        assert [r.value for r in snapshot.of("latarnik_call_active")] == [1.0]
        await table.simulated.switch("call_running", on=False)
        assert (await table.poll())[0].in_use is False


async def test_an_intercom_whose_call_service_falls_silent_is_not_taken_for_free() -> None:
    async with watched(axis.INTERCOM) as table:
        await table.poll()
        assert (await table.poll())[0].in_use is False
        product = replace(table.simulated.product, kind=axis.Kind.CAMERA)  # it keeps its name and loses its call service
        table.simulated.product = table.simulated.state.product = product
        snapshot, _ = await table.poll()
        assert snapshot.in_use is None


async def test_a_camera_is_never_asked_for_calls_though_it_lists_sip() -> None:
    async with watched(axis.DOME_11) as table:
        await table.poll()
        assert table.simulated.counters.requests["/vapix/call"] == 0


# --- identity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", [axis.LEGACY_CAMERA, axis.BODY_8], ids=lambda product: product.number)
async def test_without_an_account_an_old_device_is_known_by_the_realm_of_its_401(product: Product) -> None:
    async with watched(product, credentials={}, snmp=False) as table:
        snapshot, judgements = await table.poll()
        assert snapshot.identity.serial == table.simulated.state.serial
        assert snapshot.identity.mac.replace(":", "").upper() == snapshot.identity.serial
        assert [j for j in judgements if isinstance(j, Fault)] == []


async def test_a_device_that_names_itself_is_not_asked_for_the_realm() -> None:
    async with watched(axis.DOME_11, credentials={}, snmp=False) as table:
        snapshot, _ = await table.poll()
        assert snapshot.ok("identity")
        assert "identity_realm" not in snapshot.facets


# --- load -------------------------------------------------------------------------------------------------------------


def hourly(source: str, names: set[str]) -> int:
    return round(sum(3600 / effective_every(facet, 60.0) for facet in FACETS if facet.source == source and facet.name in names))


def test_the_requests_an_hour_of_a_device_that_has_everything_stay_few() -> None:
    """All that can be asked of one device at once: what stands for another is not, and no device has both interfaces of the clock."""
    every = {facet.name for facet in FACETS} - {"identity_account", "identity_realm", "clock_config"}
    assert hourly("http", every) == 275
    assert hourly("http", every - {"call", "sip"}) == 203  # a camera
    assert hourly("snmp", every) == 24


async def test_what_a_device_does_not_list_is_not_asked_for() -> None:
    async with watched(axis.DOME_10) as table:
        await table.poll()
        asked = {path for path, count in table.simulated.counters.requests.items() if count}
    assert "/axis-cgi/ntp.cgi" in asked
    assert asked.isdisjoint({"/axis-cgi/power-settings.cgi", "/axis-cgi/streamstatus.cgi", "/axis-cgi/siren_and_light.cgi", "/config/discover", "/vapix/call"})
