"""What the simulated Poly devices say about themselves, healthy and with each fault."""

from __future__ import annotations

import io
import json
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.device import SimulatedDevice
from simulator.poly import PROFILES, Tuning, VideoOs
from simulator.poly.state import mac_of, made_up_serial
from tests.simulator.poly_client import PASSWORD, HandClock, a_device, visiting

QUICK = Tuning(log_bytes=400_000, log_seconds=0.05)


def test_the_device_is_what_the_listener_asks_for() -> None:
    device: SimulatedDevice = a_device()
    assert device.snmp() is None
    assert device.faults()


async def test_an_unknown_fault_lists_the_known_ones_and_an_unknown_profile_too() -> None:
    with pytest.raises(KeyError, match="provisioning_down"):
        await a_device("x30").switch("on_fire", True)
    with pytest.raises(ValueError, match="g7500-e70"):
        VideoOs(name="a", address="127.0.0.9", profile="x99")


def test_a_device_only_offers_faults_it_can_have() -> None:
    assert {"e70_unplugged", "camera_down", "tc8_lost"} <= a_device("g7500-e70").faults().keys()
    assert "in_meeting" not in a_device("g7500-e70").faults()
    assert "in_meeting" in a_device("x52").faults()
    assert not {"e70_unplugged", "tc8_lost", "in_meeting"} & a_device("x30-3.10").faults().keys()
    assert all(sentence.endswith(".") for key in PROFILES for sentence in a_device(key).faults().values())


def _state(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda seen: next(row["stateList"][0] for row in seen["/system/status"] if row["name"] == f"system.status.{name}")


def _system(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def look(seen: dict[str, Any]) -> Any:
        value = seen["/system"]
        for key in keys:
            value = value[key]
        return value

    return look


def _device(product: str) -> Callable[[dict[str, Any]], Any]:
    return lambda seen: next((row["deviceState"] for row in seen["/devicemanagement/devices"] if row["productName"] == product), None)


def _cameras(seen: dict[str, Any]) -> list[str]:
    return [c["model"] for c in seen["/cameras/near/all"] if c["connected"]]


@pytest.mark.parametrize(
    ("profile", "fault", "look", "healthy", "broken"),
    [
        ("g7500-e70", "e70_unplugged", _device("Poly Studio E70"), "PAIRED", None),
        ("g7500-e70", "e70_unplugged", _cameras, ["PolyStudioE70"], []),
        ("g7500-e70", "e70_unplugged", _state("mr.camera"), "all_up", "all_down"),
        ("x70", "tc8_lost", _device("Poly TC8"), "CONNECTED", "DISCONNECTED"),
        ("x70", "mic_lost", lambda seen: seen["/audio"]["numOfMicsConnected"], 1, 0),
        ("x70", "mic_lost", _state("mr.audio"), "all_up", "none_up"),
        ("g7500-e70", "mic_lost", _state("mr.audio"), "all_up", "some_up"),
        ("x70", "camera_down", _state("trackablecamera"), "up", "down"),
        ("x70", "camera_down", _cameras, ["BUILT_IN_2.0"], []),
        ("x70", "asleep", _cameras, ["BUILT_IN_2.0"], []),
        ("g7500-e70", "sip_down", _state("sipserver"), "up", "down"),
        ("g7500-e70", "sip_down", lambda seen: seen["/system/sipservers"][0]["state"], "UP", "DOWN"),
        ("x70", "provisioning_down", _state("provisioning"), "off", "down"),
        ("x70", "log_full", _state("logthreshold"), "off", "full"),
        ("x70", "lan_100", _system("lanStatus", "speedMbps"), 1000, 100),
        ("x70", "lan_half", _system("lanStatus", "duplex"), "FULL", "HALF"),
        ("x70", "asleep", _system("state"), "READY", "ASLEEP"),
        ("x70", "updating", _system("state"), "READY", "UPDATING"),
        ("x70", "booting_stays", _system("state"), "READY", "INITIALIZING"),
        ("x70", "reboot_needed", _system("rebootNeeded"), False, True),
        ("x70", "time_server_down", _system("timeServerState"), "TIMESERVER_UP", "TIMESERVER_DOWN"),
        ("x70", "time_server_down", _system("systemTime"), 1767614400000, 1767614497000),
        ("x70", "device_mode", lambda seen: seen["/system/mode"]["activePersona"], "Zoom", "camuvc"),
        ("x30", "device_mode", lambda seen: seen["/system/mode/device"]["result"], False, True),
        ("g7500-e70", "device_mode", lambda seen: seen["/system/sipservers"] is None, False, True),
        ("x70", "in_meeting", lambda seen: [row["inMeeting"] for row in seen["/system/apps/state"]], [False, False], [False, True]),
        ("x70", "in_call", lambda seen: [c["id"] for c in seen["/conferences"]], [], [0, "PENDING"]),
        ("x30", "in_call", lambda seen: [c["id"] for c in seen["/conferences"]], [], ["0", "PENDING"]),
    ],
)
async def test_a_fault_shows_where_the_real_device_would_show_it_and_goes_when_mended(
    profile: str, fault: str, look: Callable[[dict[str, Any]], Any], healthy: Any, broken: Any
) -> None:
    async with visiting(a_device(profile, clock=HandClock())) as visitor:
        await visitor.login()

        async def seen() -> dict[str, Any]:
            gets = ("/system", "/system/status", "/audio", "/cameras/near/all", "/system/mode", "/system/mode/device", "/system/apps/state")
            answers = {path: await visitor.get(f"/rest{path}") for path in (*gets, "/system/sipservers", "/conferences")}
            answers["/devicemanagement/devices"] = await visitor.post("/rest/devicemanagement/devices", None)
            return {path: json.loads(reply.body) if reply.status == 200 else None for path, reply in answers.items()}

        assert look(await seen()) == healthy
        await visitor.device.switch(fault, True)
        assert look(await seen()) == broken
        await visitor.device.switch(fault, False)
        assert look(await seen()) == healthy


async def test_switching_a_fault_twice_is_switching_it_once() -> None:
    device = a_device("x70")
    for on in (False, True, True, False, False):
        await device.switch("tc8_lost", on)
        assert len(device.sessions) == (0 if on else 1)


async def test_a_post_that_is_not_labelled_as_json_is_not_taken() -> None:
    async with visiting(a_device("x70")) as visitor:
        url = f"https://{visitor.device.address}:{visitor.ports.https}/rest/session"
        async with visitor._http.post(url, data={"user": "admin", "password": PASSWORD}) as response:
            assert response.status == 415
        assert not visitor.device.counters.logins_ok


async def test_html_errors_come_under_a_false_label_and_on_failures() -> None:
    async with visiting(a_device("x50-tc8")) as visitor:
        await visitor.login()
        await visitor.device.switch("html_errors", True)
        reply = await visitor.get("/rest/system/status")
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
        assert reply.body.startswith(b"<!DOCTYPE")
        assert (await visitor.another().login("wrong")).body.startswith(b"<!DOCTYPE")
        assert (await visitor.get("/rest/system")).json["model"] == "StudioX50"


async def test_bodies_have_the_oddities_of_their_firmware() -> None:
    async with visiting(a_device("x30")) as visitor:
        await visitor.login()
        word = await visitor.get("/rest/cameras/contentstatus")
        assert (word.body, word.headers["Content-Type"]) == (b"CONTENT_IDLE\r\n", "application/json")
        assert (await visitor.get("/rest/audio/muted")).body == b"false\r\n"
        assert (await visitor.get("/rest/calendar")).json.keys() == {"status"}
        assert (await visitor.get("/rest/system/apps/state")).status == 404
    async with visiting(a_device("x50-tc8")) as visitor:
        await visitor.login()
        assert (await visitor.get("/rest/cameras/contentstatus")).body == b'"CONTENT_IDLE"\r\n'
        assert (await visitor.get("/rest/collaboration")).json.keys() == {"SessionId", "sessionState"}
        assert (await visitor.get("/rest/calendar")).status == 404
        assert (await visitor.get("/rest/system/sipservers")).status == 404
    async with visiting(a_device("g7500-e70", tuning=Tuning(missing=frozenset({"/system/time"})))) as visitor:
        await visitor.login()
        assert (await visitor.get("/rest/system/mode/device")).status == 404
        assert (await visitor.get("/rest/system/time")).status == 404
        assert (await visitor.get("/rest/audio/volume")).body == b"42"


async def test_the_list_of_devices_has_an_empty_codec_serial_and_three_ways_to_write_a_mac() -> None:
    async with visiting(a_device("g7500-e70")) as visitor:
        await visitor.login()
        rows = (await visitor.post("/rest/devicemanagement/devices", None)).json
        codec, panel, e70, *remotes = rows
        assert (codec["deviceType"], codec["serialNumber"], codec["ip"]) == ("CODEC", "", "127.71.0.1")
        assert codec["macAddress"].count(":") == 5
        assert panel["serialNumber"].endswith("FD")
        assert ":" not in panel["macAddress"]
        assert (e70["deviceCategory"], e70["deviceType"], e70["productName"]) == ("CAMERA", "CAMERA", "Poly Studio E70")
        assert e70["serialNumber"]
        assert e70["softwareVersion"].startswith("1.")
        assert {r["uid"] for r in remotes} == {"local-remote"}
        await visitor.device.switch("tc8_lost", True)
        paired = (await visitor.post("/rest/devicemanagement/devices", {"deviceState": "PAIRED"})).json
        assert len(paired) == len(rows) - 1
        assert (await visitor.call("POST", "/rest/devicemanagement/devices", body=b"")).status == 400


@pytest.mark.parametrize("profile", ["x30", "x70"])
async def test_in_a_call_it_can_be_looked_into_until_it_is_over(profile: str) -> None:
    clock = HandClock()
    async with visiting(a_device(profile, clock=clock)) as visitor:
        await visitor.login()
        await visitor.device.switch("in_call", True)
        clock.turn(75)
        call = (await visitor.get("/rest/conferences")).json[0]
        assert (call["isActive"], call["duration"], call["connections"][0]["state"]) == (True, 75, "CONNECTED")
        base = f"/rest/conferences/{call['id']}"
        streams = (await visitor.get(f"{base}/mediastats")).json
        assert {(s["mediaDirection"], s["jitter"]) for s in streams} == {("RX", 4), ("TX", "NA")}
        for part in ("", "/connections", "/terminals"):
            assert (await visitor.get(base + part)).status == 200
        assert (await visitor.get("/rest/conferences/77")).status == 404
        await visitor.device.switch("in_call", False)
        assert (await visitor.get(base)).status == 404


async def test_reading_settings_changes_nothing_and_writing_them_is_counted() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.login()
        names = ["comm.nics.sipnic.sipusername", "sec.auth.admin.password", "no.such.name"]
        found, secret, unknown = (await visitor.post("/rest/config", {"names": names})).json["vars"]
        assert (found["result"], found["value"]) == ("NOERROR", "room-1@sip.example.org")
        assert (secret["isSecure"], secret["value"]) == (True, "")
        assert unknown["result"] != "NOERROR"
        assert visitor.device.counters.changes == []
        await visitor.post("/rest/config", {"vars": [{"name": "snmp.enable", "value": "true"}]})
        assert (await visitor.post("/rest/config", {"names": ["snmp.enable"]})).json["vars"][0]["value"] == "true"
        assert visitor.device.counters.changes == ["POST /rest/config"]


async def test_every_call_that_would_change_something_is_counted_even_a_refused_one() -> None:
    async with visiting(a_device("x30")) as visitor:
        await visitor.post("/rest/audio/muted", True)
        await visitor.login()
        await visitor.post("/rest/audio/volume", 50)
        await visitor.post("/rest/current/system/mode", {"enabledapps": ["Device Mode"]})
        await visitor.call("PUT", "/rest/system/certificates", body=b"")
        await visitor.post("/rest/devicemanagement/devices", None)
        await visitor.post("/rest/system/network/ping", {"destination": "192.0.2.1"})
        await visitor.call("DELETE", "/rest/session")
        assert visitor.device.counters.changes == [
            "POST /rest/audio/muted",
            "POST /rest/audio/volume",
            "POST /rest/system/mode",
            "PUT /rest/system/certificates",
        ]
        assert visitor.device.box.volume == 50
        assert visitor.device.box.muted is False
        assert visitor.device.box.device_mode


async def test_the_export_of_settings_is_xml_without_secrets() -> None:
    async with visiting(a_device("x70", room_name='Sala "Łódź" <3>')) as visitor:
        await visitor.login()
        body = (await visitor.get("/rest/provisioning/config")).body
        assert PASSWORD.encode() not in body
        attributes = ET.fromstring(body)[0].attrib
        assert attributes["system.network.hostname"] == 'Sala "Łódź" <3>'
        assert attributes["snmp.auth.key"] == "REMOVED_SECURE_CONTENT"


async def test_ping_and_traceroute_know_what_cannot_be_reached() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.login()
        visitor.device.box.unreachable.add("192.0.2.9")
        for address, reachable in (("192.0.2.8", True), ("192.0.2.9", False)):
            assert (await visitor.post("/rest/system/network/ping", {"destination": address})).json["icmpReachable"] is reachable
            assert (await visitor.post("/rest/system/network/traceroute", {"destination": address})).json["success"] is reachable
        assert (await visitor.post("/rest/system/network/ping", {})).status == 400


async def test_the_log_bundle_is_a_tar_that_arrives_in_pieces_and_takes_its_time() -> None:
    async with visiting(a_device("x70", tuning=QUICK)) as visitor:
        await visitor.login()
        reply = await visitor.get("/rest/system/logs")
        assert reply.status == 200
        assert "Content-Length" not in reply.headers
        assert reply.headers["Content-Disposition"] == f'attachment; filename="{visitor.device.box.serial}-logs.tar"'
        assert len(reply.body) > 400_000
        with tarfile.open(fileobj=io.BytesIO(reply.body), mode="r:") as tar:
            names = [n.partition("/")[2] for n in tar.getnames()]
            assert names == ["system.json", "peripherals.json", "journal.log", "messages.0.log", "messages.1.log"]
            journal = tar.extractfile(tar.getnames()[2])
            assert journal is not None
            assert visitor.cookies["session_id"] in journal.read().decode()
        assert (await visitor.get("/rest/system")).status == 200


async def test_a_reboot_breaks_the_log_bundle_off() -> None:
    async with visiting(a_device("x70", tuning=Tuning(log_seconds=30))) as visitor:
        await visitor.login()
        url = f"https://{visitor.device.address}:{visitor.ports.https}/rest/system/logs"
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in visitor.cookies.items()), "X-XSRF-TOKEN": visitor.cookies["XSRF-TOKEN"]}
        async with visitor._http.get(url, headers=headers) as response:
            assert await response.content.readany()
            visitor.device.reboot()
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
                await response.read()


@pytest.mark.parametrize("profile", PROFILES)
async def test_no_endpoint_of_any_profile_breaks_under_any_fault(profile: str) -> None:
    from simulator.poly.rest import _GET

    async with visiting(a_device(profile), keep=True) as visitor:
        others = {"unplugged", "web_off", "hang", "slow", "reboot", "wrong_password", "sessions_full", "certificate_changed"}
        await visitor.login()
        for fault in (None, *sorted(visitor.device.faults().keys() - others)):
            if fault:
                await visitor.device.switch(fault, True)
            for path in (*_GET, "/session/sessions", "/provisioning/config", "/no/such/thing"):
                assert (await visitor.get(f"/rest{path}")).status in (200, 404)
            assert (await visitor.get("/rest/no/such/thing")).status == 404
            if fault:
                await visitor.device.switch(fault, False)


@given(st.text(), st.sampled_from(["FC", "FD", ""]))
def test_serials_look_like_real_ones_and_carry_the_mac(seed: str, code: str) -> None:
    serial = made_up_serial(code, seed)
    assert serial == made_up_serial(code, seed)
    mac = mac_of(serial, seed)
    assert mac.startswith("00:e0:db:")
    if code:
        assert len(serial) == 14
        assert serial[:2] == "8L"
        assert serial[6:12] == mac[9:].replace(":", "").upper()
        assert serial.endswith(code)
    else:
        assert len(serial) == 10
