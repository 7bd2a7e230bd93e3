"""The interfaces that tell of health, fault by fault, and what each generation has of them."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509

from simulator import certs
from simulator.axis import rest
from simulator.axis.auth import Role
from simulator.axis.cgi import CGIS
from simulator.axis.json_api import APIS
from simulator.axis.product import (
    BODY_8,
    BOX_9,
    DOME_10,
    DOME_11,
    ENCODER_5,
    INTERCOM,
    INTERCOM_12,
    PRODUCTS,
    PTZ_12,
    PTZ_13,
    RECORDER,
    SPEAKER_1_65,
    STROBE,
    STROBE_SPEAKER,
    THERMAL_12,
    Kind,
    Product,
)
from simulator.snmp.agent import Access
from tests.simulator.axis_http import StillClock, Visitor, visiting
from tests.simulator.net_snmp import net_snmp

V2C = Access(v2c=True)

JSON: list[tuple[Product, str, str, str, str, Any, Any]] = [
    (PTZ_12, "ntp_unsynced", "ntp", "getNTPInfo", "client.synced", True, False),
    (PTZ_12, "clock_offset", "ntp", "getNTPInfo", "client.timeOffset", 0.0004, 95.5),
    (PTZ_12, "clock_offset", "time", "getDateTimeInfo", "dateTime", "2026-11-21T12:00:00Z", "2026-11-21T12:01:35Z"),
    (DOME_11, "light_error", "lightcontrol", "getLightInformation", "items.0.error", False, True),
    (PTZ_12, "power_insufficient", "power-settings", "getPowerStatus", "powerState", -1, 0),
    (STROBE_SPEAKER, "poe_class_low", "power-settings", "getPowerStatus", "psePoeClass", 4, 2),
    (DOME_10, "link_degraded", "network_settings", "getNetworkInfo", "devices.0.wired.linkMode.current", "100baseT_full", "10baseT_half"),
    (BOX_9, "mqtt_disconnected", "mqtt/client", "getClientStatus", "status.connectionStatus", "Connected", "Not connected"),
    (PTZ_12, "mqtt_disconnected", "mqtt/client", "getClientStatus", "status.connectionStatus", "connected", "not connected"),
    (DOME_11, "stream_paused", "streamstatus", "getAllStreams", "streams.0.state", "playing", "paused"),
    (DOME_11, "foreign_stream", "streamstatus", "getAllStreams", "streams.0.destinationAddress", "192.0.2.20", "192.0.2.77"),
    (STROBE, "siren_failed", "siren_and_light", "getHealthCheckStatus", "siren.result", "OK", "Failed"),
    (STROBE, "siren_light_failed", "siren_and_light", "getHealthCheckStatus", "light.result", "OK", "Failed"),
    (STROBE, "io_supervision", "io/portmanagement", "getPorts", "items.0.tampered", False, True),
]


def at(data: Any, path: str) -> Any:
    for step in path.split("."):
        data = data[int(step) if step.isdigit() else step]
    return data


@pytest.mark.parametrize(("product", "fault", "cgi", "method", "path", "good", "bad"), JSON, ids=[f"{row[0].number}-{row[1]}-{row[2]}" for row in JSON])
async def test_a_json_interface_tells_of_a_fault(product: Product, fault: str, cgi: str, method: str, path: str, good: Any, bad: Any) -> None:
    async with visiting(product, policy="basic") as visitor:
        for on, expected in ((False, good), (True, bad), (False, good)):
            await visitor.device.switch(fault, on)
            assert at((await visitor.call(cgi, method))["data"], path) == expected


async def test_nobody_fetches_the_picture() -> None:
    async with visiting(PTZ_12) as visitor:
        await visitor.device.switch("no_stream", True)
        assert (await visitor.call("streamstatus", "getAllStreams"))["data"] == {"streams": []}
        body = {"apiVersion": "1.0", "method": "getAllStreams"}
        assert (await visitor.ask("/axis-cgi/streamstatus.cgi", user="operator", body=body)).status == 403
        assert visitor.device.counters.forbidden == 1


async def test_a_client_that_is_not_set_up_is_inactive() -> None:
    async with visiting(DOME_11) as visitor:
        status = (await visitor.call("mqtt/client", "getClientStatus", user="operator"))["data"]["status"]
        assert status == {"state": "inactive", "connectionStatus": "Not connected"}


async def applications(visitor: Visitor) -> dict[str, dict[str, str]]:
    reply = ET.fromstring((await visitor.ask("/axis-cgi/applications/list.cgi", user="root")).text)
    return {row.attrib["Name"]: row.attrib for row in reply.iter("application")}


async def test_applications_stop_and_their_licences_end() -> None:
    async with visiting(DOME_11) as visitor:
        found = await applications(visitor)
        assert {name: row["Status"] for name, row in found.items()} == {"vmd": "Running", "loiteringguard": "Running"}
        assert "LicenseExpirationDate" not in found["vmd"]
        assert "ApplicationID" not in found["loiteringguard"]
        await visitor.device.switch("app_stopped", True)
        assert (await applications(visitor))["vmd"]["Status"] == "Stopped"
        await visitor.device.switch("app_licence_expiring", True)
        row = (await applications(visitor))["loiteringguard"]
        assert (row["License"], row["LicenseExpirationDate"], row["Status"]) == ("Valid", "2026-12-01", "Running")
        await visitor.device.switch("app_licence_expired", True)
        row = (await applications(visitor))["loiteringguard"]
        assert (row["License"], row["LicenseExpirationDate"], row["Status"]) == ("Invalid", "2026-11-20", "Idle")


async def test_the_image_health_application_tells_what_it_sees_or_is_not_there() -> None:
    async with visiting(PTZ_12) as visitor:
        for fault, name in (("blocked", "block"), ("blurred", "blur"), ("redirected", "redirect"), ("underexposed", "underexposure")):
            await visitor.device.switch(f"image_{fault}", True)
            seen = (await visitor.ask(rest.IMAGE_HEALTH, user="viewer")).json["data"]
            assert [key for key, value in seen.items() if value] == [name]
            await visitor.device.switch(f"image_{fault}", False)
        await visitor.device.switch("analytics_stopped", True)
        assert (await visitor.ask(rest.IMAGE_HEALTH, user="viewer")).status == 503
        assert (await applications(visitor))["AXISImageHealthAnalytics"]["Status"] == "Stopped"
        await visitor.device.switch("analytics_missing", True)
        assert (await visitor.ask(rest.IMAGE_HEALTH, user="viewer")).status == 404
        assert "AXISImageHealthAnalytics" not in await applications(visitor)
    async with visiting(DOME_11) as visitor:
        assert (await visitor.ask(rest.IMAGE_HEALTH, user="viewer")).status == 404


async def call_service(visitor: Visitor, method: str) -> Any:
    return (await visitor.ask("/vapix/call", user="operator", body={f"axcall:{method}": {}})).json


async def test_an_intercom_tells_of_its_account_and_its_call() -> None:
    async with visiting(INTERCOM_12) as visitor:
        assert (await call_service(visitor, "GetSIPAccountStatus"))["SIPAccountStatus"][0]["Status"] == "Registered"
        assert await call_service(visitor, "GetCallStatus") == {"CallStatus": []}
        await visitor.device.switch("sip_unregistered", True)
        await visitor.device.switch("call_running", True)
        assert (await call_service(visitor, "GetSIPAccountStatus"))["SIPAccountStatus"][0]["Status"] == "NotRegistered"
        assert (await call_service(visitor, "GetCallStatus"))["CallStatus"][0]["State"] == "Connected"
        wrong: list[Any] = [[], {}, {"a": 1, "b": 2}, {"axcall:Nonsense": {}}]
        for body in wrong:
            answer = await visitor.ask("/vapix/call", user="operator", body=body)
            assert (answer.status, "Fault" in answer.json) == (400, True)
    async with visiting(DOME_11) as visitor:
        assert (await visitor.ask("/vapix/call", user="operator", body={})).status == 404


# --- storage ----------------------------------------------------------------------------------------------------------


async def disk(visitor: Visitor, name: str) -> tuple[dict[str, str], dict[str, str]]:
    listed = ET.fromstring((await visitor.ask(f"/axis-cgi/disks/list.cgi?diskid={name}", user="operator")).text)
    health = ET.fromstring((await visitor.ask(f"/axis-cgi/disks/gethealth.cgi?diskid={name}", user="operator")).text)
    return next(listed.iter("disk")).attrib, next(health.iter("HealthStatus")).attrib


@pytest.mark.parametrize(
    ("product", "fault", "name", "expected"),
    [
        (DOME_11, "sd_worn", "SD_DISK", {"status": "OK", "wear": "104", "overallhealth": "1"}),
        (DOME_11, "sd_sentinels", "SD_DISK", {"status": "OK", "wear": "-1", "temperature": "-2", "overallhealth": "-1"}),
        (DOME_11, "sd_full", "SD_DISK", {"status": "OK", "full": "yes", "freesize": "0"}),
        (DOME_11, "sd_readonly", "SD_DISK", {"status": "OK", "readonly": "yes"}),
        (THERMAL_12, "share_lost", "NetworkShare", {"status": "connected", "totalsize": "0"}),
        (THERMAL_12, "share_disconnected", "NetworkShare", {"status": "disconnected", "totalsize": "0", "wear": "-3"}),
        (RECORDER, "disk_failed", "HARD_DISK_1", {"status": "failed", "overallhealth": "0", "temperature": "-2"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_storage_fails_in_its_ways(product: Product, fault: str, name: str, expected: dict[str, str]) -> None:
    async with visiting(product) as visitor:
        listed, health = await disk(visitor, name)
        assert (listed["status"], listed["full"], listed["readonly"]) == ("OK", "no", "no")
        assert int(listed["totalsize"]) > int(listed["freesize"]) > 0
        await visitor.device.switch(fault, True)
        listed, health = await disk(visitor, name)
        assert {key: value for key, value in (listed | health).items() if key in expected} == expected


async def test_a_failed_reading_may_show_as_far_below_zero() -> None:
    async with visiting(DOME_11) as visitor:
        await visitor.device.switch("sensor_sentinel", True)
        assert "Sensor.S0.Celsius=-128.00" in (await visitor.ask("/axis-cgi/temperaturecontrol.cgi?action=statusall", user="operator")).text


@pytest.mark.parametrize(
    ("product", "fault", "oid", "good", "bad"),
    [
        (ENCODER_5, "power_supply_failed", "4.1.1.1.3.1.1", "1", "2"),
        (ENCODER_5, "video_lost", "4.1.4.1.2.1", "1", "2"),
        (ENCODER_5, "audio_lost", "4.1.5.1.2.1", "1", "2"),
        (INTERCOM, "casing_open", "4.1.6.1.3.1", "1", "2"),
        (DOME_11, "sensor_sentinel", "4.1.3.1.3.1.1", "1", "2"),
        (RECORDER, "disk_failed", "4.1.8.1.3.2", "1", "2"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
async def test_snmp_tells_of_a_fault(product: Product, fault: str, oid: str, good: str, bad: str) -> None:
    async with visiting(product, snmp=V2C) as visitor:
        for on, expected in ((False, good), (True, bad)):
            await visitor.device.switch(fault, on)
            target = f"{visitor.device.address}:{visitor.ports.snmp}"
            assert await net_snmp("snmpget", "-v2c", "-cpublic", "-Oqvn", target, f".1.3.6.1.4.1.368.{oid}") == expected


# --- certificates, neighbours, logs -----------------------------------------------------------------------------------


async def shown(visitor: Visitor) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(visitor.device.address, visitor.ports.https, ssl=context)
    try:
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        await writer.wait_closed()
    return found


@pytest.mark.parametrize(
    ("fault", "ends"), [("certificate_expired", datetime(2026, 11, 18, tzinfo=UTC)), ("certificate_expiring", datetime(2026, 12, 1, tzinfo=UTC))]
)
async def test_a_certificate_ends_on_the_wire_and_in_the_list(fault: str, ends: datetime) -> None:
    async with visiting(PTZ_12) as visitor:
        before = x509.load_der_x509_certificate(await shown(visitor))
        await visitor.device.switch(fault, True)
        raw = await shown(visitor)
        after = x509.load_der_x509_certificate(raw)
        assert (before.not_valid_after_utc.year, after.not_valid_after_utc) == (2046, ends)
        assert before.public_key() == after.public_key()
        assert hashlib.sha256(raw).hexdigest() == certs.fingerprint(*visitor.device.certificate_seed(), ends=ends)
        listed = (await visitor.ask("/config/rest/cert/v1", user="root")).json["data"]["certificates"][0]
        assert ssl.PEM_cert_to_DER_cert(listed["certificate"]) == raw
        assert (await visitor.ask("/config/rest/cert/v1", user="operator")).status == 403


async def test_the_neighbour_names_the_switch_port() -> None:
    for product, path in ((PTZ_12, "/config/rest/lldp/v1"), (DOME_11, "/config/rest/lldp/v1beta")):
        async with visiting(product, serial="B8A44F000010") as visitor:
            answer = (await visitor.ask(f"{path}/neighbors", user="root")).json
            assert (answer["status"], answer["data"][0]["portId"]) == ("success", "Gi1/0/17")
            assert (await visitor.ask(path, user="root")).json["data"]["neighbors"] == answer["data"]
    async with visiting(DOME_10, policy="basic") as visitor:
        assert (await visitor.ask("/config/rest/lldp/v1", user="root")).status == 404


async def test_the_configuration_interface_is_read_only_here_and_an_attempt_to_change_is_counted() -> None:
    async with visiting(PTZ_12) as visitor:
        assert (await visitor.ask("/config/rest/snmp/v1", user="root", body={"data": {}})).status == 405
        assert visitor.device.counters.changes == {"POST /config/rest/snmp/v1": 1}


async def test_the_audit_log_has_a_tail_and_begins_with_12() -> None:
    async with visiting(PTZ_12) as visitor:
        for _ in range(3):
            await visitor.ask("/axis-cgi/usergroup.cgi", user="root", password="wrong")
        assert len((await visitor.ask("/axis-cgi/auditlog.cgi", user="root")).text.splitlines()) == 3
        assert "authentication failure" in (await visitor.ask("/axis-cgi/auditlog.cgi?tail=1", user="root")).text
        assert (await visitor.ask("/axis-cgi/auditlog.cgi?tail=0", user="root")).text == ""
        assert (await visitor.ask("/axis-cgi/auditlog.cgi?tail=many", user="root")).status == 400
        assert (await visitor.ask("/axis-cgi/auditlog.cgi", user="operator")).status == 403
    async with visiting(DOME_11) as visitor:
        assert (await visitor.ask("/axis-cgi/auditlog.cgi", user="root")).status == 404


async def test_a_log_of_9_80_is_not_searched() -> None:
    for product, whole in ((BOX_9, True), (PTZ_12, False)):
        async with visiting(product, policy="basic") as visitor:
            log = (await visitor.ask("/axis-cgi/systemlog.cgi?text=httpd", user="root")).text
            assert ("kernel" in log) is whole


# --- generations ------------------------------------------------------------------------------------------------------


async def test_13_has_removed_interfaces_and_offers_others() -> None:
    async with visiting(PTZ_13) as visitor:
        for path, status in PTZ_13.generation.gone.items():
            assert (await visitor.ask(path, user="root")).status == status
            assert (await visitor.ask(path)).status == 401
        assert {405, 404, 410} == set(PTZ_13.generation.gone.values())
        listed = {row["id"] for row in (await visitor.call("apidiscovery", "getApiList"))["data"]["apiList"]}
        assert listed.isdisjoint({"ntp", "time-service", "light-control"})
        apis = (await visitor.ask("/config/discover", user="viewer")).json["apis"]
        sync = await visitor.ask(apis["network-time-sync"]["v1"]["rest_api"], user="operator")
        assert sync.json["data"]["ntp"]["client"]["synced"] is True
        snmp = await visitor.ask(apis["snmp"]["v1"]["rest_api"], user="root")
        assert snmp.json["data"].keys() == {"enabled", "snmpV1", "snmpV1V2Common", "snmpV2", "snmpV3", "transportProtocol"}
        assert (await visitor.ask("/axis-cgi/param.cgi?action=list&group=SNMP", user="root")).text.startswith("# Error: ")
        assert (await visitor.ask("/axis-cgi/param.cgi?action=list&group=Brand", user="root")).status == 200
        assert visitor.device.counters.changes.total() == 0


@pytest.mark.parametrize("product", [product for product in PRODUCTS.values() if product.has("device-config")], ids=lambda product: product.number)
async def test_every_listed_configuration_interface_answers_and_no_other(product: Product) -> None:
    async with visiting(product) as visitor:
        listed = {row["rest_api"] for name in (await visitor.ask("/config/discover", user="viewer")).json["apis"].values() for row in name.values()}
        for path in (path for path in rest.PATHS if path.startswith("/config/rest/") and path.count("/") == 4):
            answer = await visitor.ask(path, user="root")
            assert (answer.status, answer.json["status"]) == ((200, "success") if path in listed else (404, "error")), path


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.number)
async def test_nobody_gets_what_is_above_the_level_of_the_account(product: Product) -> None:
    async with visiting(product, policy="basic") as visitor:
        asked = 0
        for path, cgi in CGIS.items():
            if cgi.level <= Role.VIEWER or not cgi.offered(product) or path in product.generation.gone:
                continue
            user = {Role.OPERATOR: "viewer", Role.ADMINISTRATOR: "operator"}[cgi.level]
            assert (await visitor.ask(path, user=user)).status == product.generation.forbidden, path
            asked += 1
        for path, api in APIS.items():
            if api.level > Role.VIEWER and product.has(api.id) and path not in product.generation.gone:
                user = "viewer" if api.level is Role.OPERATOR else "operator"
                body = {"apiVersion": "1.0", "method": "none"}
                assert (await visitor.ask(path, user=user, body=body)).status == product.generation.forbidden, path
                asked += 1
        assert visitor.device.counters.forbidden == asked > 0


def test_there_is_a_product_of_every_class_and_generation() -> None:
    assert {product.kind for product in PRODUCTS.values()} == set(Kind)
    assert {product.generation.name for product in PRODUCTS.values()} == {"5.40", "5.51", "8.45", "9.80", "10.12", "11.11", "12.x", "13", "1.84", "1.65"}


async def test_encoders_and_speakers_of_old_answer_as_their_generation_does() -> None:
    async with visiting(ENCODER_5) as visitor:
        assert "root.Properties.Firmware.Version=5.40.9.2" in (await visitor.ask("/axis-cgi/admin/param.cgi?action=list&group=Properties", user="root")).text
        assert (await visitor.ask("/axis-cgi/disks/list.cgi?diskid=all", user="operator")).status == 200
    for product in (SPEAKER_1_65, BODY_8):
        async with visiting(product, policy="basic") as visitor:
            answer = await visitor.call("basicdeviceinfo", "getAllUnrestrictedProperties", user="viewer")
            assert answer["error"]["code"] == 2004


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.number)
async def test_every_fault_that_is_not_of_the_stream_or_the_network_shows_somewhere(product: Product) -> None:
    """All that a device tells an administrator, compared with and without the fault."""
    from simulator.axis.topics import announced, stateful

    elsewhere = {"stream_closes", "stream_silent", "stream_floods", "stream_nonsense", "hang", "slow", "unplugged", "wrong_password", "html_errors", "reboot"}
    elsewhere |= {"echo_password", "certificate_changed", "certificate_expired", "certificate_expiring"}
    async with visiting(product, policy="basic", snmp=V2C, clock=StillClock()) as visitor:
        device = visitor.device

        async def everything() -> list[object]:
            told: list[object] = [list(stateful(device.state)), device.state.boot_id, device.state.crash]
            lists = ("applications/list.cgi", "disks/list.cgi?diskid=all", "disks/gethealth.cgi", "temperaturecontrol.cgi?action=statusall")
            told.extend([(await visitor.ask(f"/axis-cgi/{path}", user="root")).text for path in lists])
            for cgi, method in (
                ("systemready", "systemready"),
                ("firmwaremanagement", "status"),
                ("network_settings", "getNetworkInfo"),
                ("ntp", "getNTPInfo"),
                ("lightcontrol", "getLightInformation"),
                ("power-settings", "getPowerStatus"),
                ("streamstatus", "getAllStreams"),
                ("siren_and_light", "getHealthCheckStatus"),
            ):
                told.append((await visitor.ask(f"/axis-cgi/{cgi}.cgi", user="root", body={"apiVersion": "1.0", "method": method})).text)
            told.append((await visitor.ask(product.rest("network-time-sync") or "/config/discover", user="root")).text)
            told.append((await visitor.ask(rest.IMAGE_HEALTH, user="root")).status)
            told.append((await visitor.ask(rest.IMAGE_HEALTH, user="root")).text)
            told.extend([(await visitor.ask("/vapix/call", user="root", body={method: {}})).text for method in ("GetSIPAccountStatus", "GetCallStatus")])
            agent = device.agent
            told.extend(agent._mib.binding(place, device.state) for place in range(len(agent._mib)))
            return told

        good = await everything()
        for fault in sorted(device.faults().keys() - elsewhere - {"crashed", "needs_setup"}):
            await device.switch(fault, on=True)
            shows = bool(announced(device.state, fault, on=True)) or await everything() != good
            await device.switch(fault, on=False)
            assert shows, fault
        assert await everything() == good
