from __future__ import annotations

import asyncio
import hashlib
import io
import re
import ssl
import zipfile
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from agent.ports import SystemClock
from simulator import certs
from simulator.axis.device import DEMO_PASSWORD, AxisDevice
from simulator.axis.product import DOME_11, INTERCOM, LEGACY_CAMERA, PRODUCTS, PTZ_12, SPEAKER, Product
from simulator.axis.state import Tuning
from simulator.snmp.agent import Access
from tests.simulator.axis_http import StillClock, Visitor, basic, visiting
from tests.simulator.net_snmp import net_snmp

ALL = {
    "sd_failed",
    "sd_removed",
    "sd_full",
    "sd_readonly",
    "sd_worn",
    "sd_sentinels",
    "recording_stopped",
    "share_lost",
    "share_disconnected",
    "disk_failed",
    "overheating",
    "sensor_nonsense",
    "sensor_sentinel",
    "fan_failed",
    "heater_failed",
    "power_insufficient",
    "poe_class_low",
    "power_supply_failed",
    "ring_power",
    "ntp_unsynced",
    "clock_offset",
    "light_error",
    "siren_failed",
    "siren_light_failed",
    "speaker_test_failed",
    "casing_open",
    "video_lost",
    "audio_lost",
    "app_stopped",
    "app_licence_expired",
    "app_licence_expiring",
    "mqtt_disconnected",
    "image_blocked",
    "image_blurred",
    "image_redirected",
    "image_underexposed",
    "analytics_stopped",
    "analytics_missing",
    "tampering",
    "scene_change",
    "daynight_stuck",
    "abr_error",
    "ptz_error",
    "ptz_not_ready",
    "ptz_power_failed",
    "io_supervision",
    "network_lost",
    "action_failed",
    "air_alarm",
    "sip_unregistered",
    "call_running",
    "no_stream",
    "stream_paused",
    "foreign_stream",
    "stream_closes",
    "stream_silent",
    "stream_floods",
    "stream_nonsense",
    "crashed",
    "reboot",
    "not_ready",
    "needs_setup",
    "pending_commit",
    "unplugged",
    "hang",
    "slow",
    "wrong_password",
    "html_errors",
    "echo_password",
    "link_degraded",
    "certificate_changed",
    "certificate_expired",
    "certificate_expiring",
}
V2C = Access(v2c=True)


async def disk(visitor: Visitor) -> tuple[dict[str, str], dict[str, str]]:
    listed = ET.fromstring((await visitor.ask("/axis-cgi/disks/list.cgi?diskid=SD_DISK", user="operator")).text)
    health = ET.fromstring((await visitor.ask("/axis-cgi/disks/gethealth.cgi?diskid=SD_DISK", user="operator")).text)
    return next(listed.iter("disk")).attrib, next(health.iter("HealthStatus")).attrib


async def snmp(visitor: Visitor, oid: str) -> str:
    """One value, asked by net-snmp."""
    return await net_snmp("snmpget", "-v2c", "-cpublic", "-Oqvn", f"{visitor.device.address}:{visitor.ports.snmp}", f".1.3.6.1.4.1.368.4.1.{oid}")


async def log(visitor: Visitor) -> str:
    return (await visitor.ask("/axis-cgi/systemlog.cgi", user="root")).text


async def statuses(visitor: Visitor) -> dict[str, str]:
    answer = await visitor.ask("/axis-cgi/temperaturecontrol.cgi?action=statusall", user="operator")
    return dict(line.split("=", 1) for line in answer.text.splitlines())


def test_every_fault_has_a_sentence_and_the_fleet_has_them_all() -> None:
    offered = [AxisDevice(name="x", address="127.77.9.1", product=product).faults() for product in PRODUCTS.values()]
    assert set().union(*offered) == ALL
    assert all(sentence.endswith(".") for faults in offered for sentence in faults.values())
    assert "sd_failed" not in AxisDevice(name="x", address="127.77.9.1", product=SPEAKER).faults()


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.number)
async def test_every_fault_can_be_switched_on_and_off(product: Product) -> None:
    device = AxisDevice(name="x", address="127.77.9.1", product=product, clock=StillClock())
    for fault in device.faults():
        await device.switch(fault, True)
        await device.switch(fault, False)
    assert device.active == frozenset()
    assert device.powered


async def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    device = AxisDevice(name="gate", address="127.77.9.1")
    with pytest.raises(KeyError, match="gate has no fault 'fire'; known are abr_error, action_failed"):
        await device.switch("fire", True)


async def test_a_failed_card_shows_wherever_a_card_shows() -> None:
    async with visiting(DOME_11, snmp=V2C) as visitor:
        parameters = (await visitor.ask("/axis-cgi/param.cgi?action=list&group=Storage", user="operator")).text
        assert await snmp(visitor, "8.1.3.1") == "1"
        await visitor.device.switch("sd_failed", True)
        listed, health = await disk(visitor)
        assert (listed["status"], health["overallhealth"]) == ("failed", "0")
        assert await snmp(visitor, "8.1.3.1") == "2"
        assert "SD_DISK: I/O error" in await log(visitor)
        assert "SD_DISK: failed" in (await visitor.ask("/axis-cgi/serverreport.cgi", user="root")).text
        assert (await visitor.ask("/axis-cgi/param.cgi?action=list&group=Storage", user="operator")).text == parameters
        await visitor.device.switch("sd_failed", False)
        listed, health = await disk(visitor)
        assert (listed["status"], health["overallhealth"], await snmp(visitor, "8.1.3.1")) == ("OK", "1", "1")


async def test_a_card_that_was_taken_out_is_not_present() -> None:
    async with visiting(INTERCOM, snmp=V2C, policy="basic") as visitor:
        await visitor.device.switch("sd_removed", True)
        listed, health = await disk(visitor)
        assert (listed["status"], listed["totalsize"]) == ("disconnected", "0")
        assert set(health.values()) == {"SD_DISK", "-3"}
        assert await snmp(visitor, "8.1.3.1") == "2"


async def test_a_camera_that_never_had_a_card_reports_disruption_all_the_same() -> None:
    async with visiting(PTZ_12, snmp=V2C) as visitor:
        assert await snmp(visitor, "8.1.3.1") == "2"
        assert await snmp(visitor, "8.1.3.2") == "2"
        assert "No Such Object" in await snmp(visitor, "8.1.2.1")


async def test_heat_shows_above_the_limit_of_the_sensor() -> None:
    async with visiting(DOME_11, snmp=V2C) as visitor:
        await visitor.device.switch("overheating", True)
        assert float((await statuses(visitor))["Sensor.S0.Celsius"]) > 80
        assert float((await statuses(visitor))["Sensor.S1.Celsius"]) < 80
        assert await snmp(visitor, "3.1.3.1.1") == "3"
        assert int(await snmp(visitor, "3.1.4.1.1")) > 80
        assert "above the limit" in await log(visitor)


async def test_a_broken_sensor_shows_what_cannot_be() -> None:
    async with visiting(DOME_11, snmp=V2C) as visitor:
        await visitor.device.switch("sensor_nonsense", True)
        assert (await statuses(visitor))["Sensor.S0.Celsius"] == "999.00"
        assert (await snmp(visitor, "3.1.3.1.1"), await snmp(visitor, "3.1.4.1.1")) == ("2", "150")
        assert (await snmp(visitor, "3.1.3.1.2")) == "1"


async def test_fans_and_heaters_fail_in_words() -> None:
    async with visiting(PTZ_12, snmp=V2C) as visitor:
        assert await snmp(visitor, "2.1.3.1.1") == "1"
        await visitor.device.switch("fan_failed", True)
        await visitor.device.switch("heater_failed", True)
        found = await statuses(visitor)
        assert (found["Fan.F0.Status"], found["Fan.F1.Status"]) == ("Fan Failure", "Stopped")
        assert (found["Heater.H0.Status"], found["Heater.H1.Status"]) == ("Heater Failure", "Stopped")
        assert (await snmp(visitor, "2.1.3.1.1"), await snmp(visitor, "2.1.3.1.2")) == ("2", "1")


async def test_a_crash_is_a_restart_with_a_reason_that_the_next_restart_takes_away() -> None:
    async with visiting(DOME_11) as visitor:
        boot = visitor.device.state.boot_id
        await visitor.device.switch("crashed", True)
        assert visitor.device.state.boot_id != boot
        assert (await visitor.call("firmwaremanagement", "status"))["data"]["resetSource"] == "crash"
        assert "Kernel panic" in await log(visitor)
        await visitor.device.switch("reboot", True)
        assert "resetSource" not in (await visitor.call("firmwaremanagement", "status"))["data"]
        assert "crashed" not in visitor.device.active


async def test_not_ready_says_so_and_a_device_waiting_for_its_setup_has_no_accounts() -> None:
    async with visiting(PTZ_12) as visitor:
        await visitor.device.switch("not_ready", True)
        assert (await visitor.call("systemready", "systemready", user=""))["data"]["systemready"] == "no"
        await visitor.device.switch("not_ready", False)
        await visitor.device.switch("needs_setup", True)
        data = (await visitor.call("systemready", "systemready", user=""))["data"]
        assert (data["systemready"], data["needsetup"], data["previewmode"]) == ("yes", "yes", "7200")
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 401


async def test_a_changed_password_refuses_the_old_one() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.device.switch("wrong_password", True)
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 401
        assert visitor.device.counters.refused_logins == 1
        await visitor.device.switch("wrong_password", False)
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200


async def test_html_comes_with_status_200_for_everything() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.device.switch("html_errors", True)
        answer = await visitor.ask("/axis-cgi/systemready.cgi", body={"apiVersion": "1", "method": "systemready"})
        assert (answer.status, answer.header("Content-Type")) == (200, "text/html; charset=utf-8")


async def test_the_report_echoes_the_password_when_told_to() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.device.switch("echo_password", True)
        assert DEMO_PASSWORD in (await visitor.ask("/axis-cgi/serverreport.cgi", user="root")).text
        packed = (await visitor.ask("/axis-cgi/serverreport.cgi?mode=zip", user="root")).content
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert DEMO_PASSWORD.encode() in archive.read("serverreport_cgi.txt")


async def shown(visitor: Visitor) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(visitor.device.address, visitor.ports.https, ssl=context)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        await writer.wait_closed()
    return hashlib.sha256(certificate).hexdigest()


async def test_a_changed_certificate_is_another_one_and_each_is_always_the_same() -> None:
    async with visiting(DOME_11) as visitor:
        first = await shown(visitor)
        assert first == certs.fingerprint(*visitor.device.certificate_seed())
        await visitor.device.switch("certificate_changed", True)
        second = await shown(visitor)
        assert second == certs.fingerprint(*visitor.device.certificate_seed())
        await visitor.device.switch("certificate_changed", False)
        assert (await shown(visitor), first == second) == (first, False)


async def test_an_old_camera_knows_no_tls_1_3() -> None:
    async with visiting(LEGACY_CAMERA) as visitor:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(visitor.device.address, visitor.ports.https, ssl=context)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()
        await writer.wait_closed()


async def test_an_unplugged_device_resets_connections_and_starts_anew_when_it_is_plugged_in() -> None:
    async with visiting(DOME_11, snmp=V2C) as visitor:
        boot = visitor.device.state.boot_id
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200
        await visitor.device.switch("unplugged", True)
        for secure in (True, False):
            with pytest.raises(aiohttp.ClientError):
                await visitor.ask("/axis-cgi/usergroup.cgi", user="root", secure=secure)
        await visitor.device.switch("unplugged", False)
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200
        assert visitor.device.state.boot_id != boot


async def test_a_restart_is_dark_then_not_ready_then_ready() -> None:
    clock = StillClock()
    async with visiting(DOME_11, clock=clock, tuning=Tuning(dark=60, settle=30)) as visitor:
        await visitor.device.switch("reboot", True)
        with pytest.raises(aiohttp.ClientError):
            await visitor.ask("/")
        clock.passed += 61
        assert (await visitor.call("systemready", "systemready", user=""))["data"]["systemready"] == "no"
        clock.passed += 30
        assert (await visitor.call("systemready", "systemready", user=""))["data"] == {
            "systemready": "yes",
            "needsetup": "no",
            "uptime": "91",
            "bootid": visitor.device.state.boot_id,
        }


async def asking_for_ever(visitor: Visitor) -> None:
    async with asyncio.timeout(5):
        while True:
            await visitor.ask("/")


async def test_a_reboot_that_was_asked_for_is_answered_first() -> None:
    clock = StillClock()
    async with visiting(DOME_11, clock=clock, tuning=Tuning(dark=60)) as visitor:
        answer = await visitor.call("firmwaremanagement", "reboot")
        assert answer["data"] == {}
        with pytest.raises(aiohttp.ClientError):
            await asking_for_ever(visitor)
        assert not visitor.device.powered


async def test_a_hanging_device_accepts_and_never_answers_until_it_stops_hanging() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.device.switch("hang", True)
        waiting = asyncio.ensure_future(visitor.ask("/axis-cgi/usergroup.cgi", user="root"))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await visitor.device.switch("hang", False)
        assert (await waiting).status == 200


async def test_a_slow_device_takes_its_seconds() -> None:
    clock = StillClock()
    async with visiting(DOME_11, clock=clock, tuning=Tuning(slow=7)) as visitor:
        await visitor.device.switch("slow", True)
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200
        assert clock.passed == 7


async def test_what_was_asked_is_counted_by_path() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.call("systemready", "systemready")
        await visitor.ask("/axis-cgi/param.cgi?action=list&group=Brand", user="viewer")
        counters = visitor.device.counters
        assert counters.requests == {"/axis-cgi/systemready.cgi": 1, "/axis-cgi/param.cgi": 1}
        assert counters.sessions_open == 0
        assert counters.logins == {"root": 1, "viewer": 1}


def test_serial_numbers_look_like_addresses_of_the_vendor() -> None:
    assert re.fullmatch("B8A44F[0-9A-F]{6}", AxisDevice(name="x", address="127.77.9.1").state.serial)


async def test_a_cable_that_is_pulled_during_a_report_cuts_it_off_without_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with visiting(DOME_11, clock=SystemClock(), tuning=Tuning(report=0.5)) as visitor:
        url = f"https://{visitor.device.address}:{visitor.ports.https}/axis-cgi/serverreport.cgi?mode=zip_with_image"
        headers = {"Authorization": basic("root", DEMO_PASSWORD)}
        async with visitor.session.get(url, headers=headers, ssl=False) as answer:
            assert await answer.content.read(4) == b"PK\x03\x04"
            await visitor.device.switch("unplugged", True)
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        await visitor.device.switch("unplugged", False)
        async with visitor.session.get(url, headers=headers, ssl=False) as answer:
            await answer.content.read(4)
            answer.close()  # now the client goes away
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200
    assert visitor.device.counters.reports_running == 0
    assert [record.message for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []
