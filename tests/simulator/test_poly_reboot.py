"""Restarts, power and certificates of the simulated Poly devices."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from simulator.poly import Tuning
from tests.simulator.poly_client import HandClock, Visitor, a_device, visiting

BOOT = Tuning(refuse_for=60, boot_for=180)


async def _refused(visitor: Visitor) -> None:
    with pytest.raises((aiohttp.ClientConnectionError, OSError)):
        await visitor.another().login()


async def test_a_reboot_refuses_then_starts_then_is_ready() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock, tuning=BOOT)) as visitor:
        await visitor.login()
        visitor.device.reboot()
        await _refused(visitor)
        clock.turn(59)
        await _refused(visitor)
        clock.turn(1)
        assert (await visitor.get("/rest/system")).status == 403
        booting = visitor.another()
        await booting.login()
        system = (await booting.get("/rest/system")).json
        assert (system["state"], system["uptime"]) == ("INITIALIZING", 60.0)
        clock.turn(120)
        assert (await booting.get("/rest/system")).json["state"] == "READY"
        assert visitor.device.counters.reboots == 1
        assert visitor.device.counters.changes == []


async def test_single_endpoints_fail_or_say_null_while_it_starts() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock, tuning=BOOT, uptime=61)) as visitor:
        await visitor.login()
        assert (await visitor.get("/rest/audio")).status == 404
        assert (await visitor.post("/rest/devicemanagement/devices", None)).status == 403
        assert (await visitor.get("/rest/system/status")).json is None
        assert (await visitor.get("/rest/system/mode")).status == 200
        clock.turn(200)
        for path in ("/rest/audio", "/rest/system/status"):
            assert (await visitor.get(path)).json
        assert (await visitor.post("/rest/devicemanagement/devices", None)).status == 200


async def test_a_device_that_never_finishes_starting_stays_so() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock)) as visitor:
        await visitor.device.switch("booting_stays", True)
        clock.turn(86400)
        await visitor.login()
        assert (await visitor.get("/rest/system")).json["state"] == "INITIALIZING"


async def test_every_restart_shows_a_new_certificate_and_a_second_start_of_the_simulator_the_same() -> None:
    clock = HandClock()
    shown = []
    for _ in range(2):
        async with visiting(a_device("x70", clock=clock, tuning=BOOT)) as visitor:
            before = await visitor.certificate()
            assert await visitor.certificate() == before
            visitor.device.reboot()
            clock.turn(60)
            shown.append((before, await visitor.certificate()))
    assert shown[0] == shown[1]
    assert shown[0][0] != shown[0][1]


async def test_a_certificate_can_change_without_a_restart() -> None:
    async with visiting(a_device("x70")) as visitor:
        before = await visitor.certificate()
        await visitor.device.switch("certificate_changed", True)
        assert await visitor.certificate() != before
        assert visitor.device.counters.reboots == 0


async def test_a_reboot_over_rest_is_answered_counted_and_done() -> None:
    async with visiting(a_device("x70", clock=HandClock())) as visitor:
        await visitor.login()
        assert (await visitor.post("/rest/system/reboot", {"action": "jump"})).status == 400
        assert visitor.device.counters.reboots == 0
        assert (await visitor.post("/rest/system/reboot", {"action": "reboot"})).json == {"success": True}
        assert visitor.device.counters.changes == ["POST /rest/system/reboot"] * 2
        assert visitor.device.counters.reboots == 1
        await _refused(visitor)


async def test_a_reboot_cuts_open_connections_and_ends_all_sessions_but_the_panels() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock)) as visitor, visitor.shell() as shell:
        await visitor.login()
        reader, writer = await _kept_connection(visitor)
        await visitor.device.switch("reboot", True)
        assert await reader.read() == b""
        writer.transport.abort()
        await shell.wait_closed()
        assert len(visitor.device.sessions) == 1


async def _kept_connection(visitor: Visitor) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that stays open after its first answer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(visitor.device.address, visitor.ports.https, ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nHost: room\r\n\r\n")
    await reader.readuntil(b"</html>\r\n")
    return reader, writer


async def test_a_reboot_ends_call_meeting_and_the_need_of_a_reboot() -> None:
    clock = HandClock()
    async with visiting(a_device("x52", clock=clock)) as visitor:
        for fault in ("in_call", "in_meeting", "reboot_needed"):
            await visitor.device.switch(fault, True)
        visitor.device.reboot()
        clock.turn(200)
        await visitor.login()
        assert (await visitor.get("/rest/conferences")).json == []
        assert not any(row["inMeeting"] for row in (await visitor.get("/rest/system/apps/state")).json)
        assert (await visitor.get("/rest/system")).json["rebootNeeded"] is False


async def test_without_power_nothing_answers_and_plugging_in_is_a_restart() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock, tuning=BOOT)) as visitor:
        await visitor.device.switch("unplugged", True)
        assert visitor.device.powered is False
        await _refused(visitor)
        with pytest.raises((OSError, ConnectionError)):
            async with visitor.shell():
                pass
        clock.turn(3600)
        await _refused(visitor)
        await visitor.device.switch("unplugged", False)
        await _refused(visitor)
        clock.turn(180)
        await visitor.login()
        assert (await visitor.get("/rest/system")).json["uptime"] == 180.0


async def test_a_web_interface_that_is_off_drops_connections() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.device.switch("web_off", True)
        await _refused(visitor)
        assert not visitor.device.counters.requests
        await visitor.device.switch("web_off", False)
        assert (await visitor.login()).status == 200


async def test_plain_http_redirects_unless_only_https_is_allowed() -> None:
    for https_only in (False, True):
        async with visiting(a_device("x70", tuning=Tuning(https_only=https_only))) as visitor, aiohttp.ClientSession() as http:
            url = f"http://{visitor.device.address}:{visitor.ports.http}/rest/system?a=1"
            if https_only:
                with pytest.raises(aiohttp.ClientConnectionError):
                    await http.get(url)
                continue
            async with http.get(url, allow_redirects=False) as response:
                assert response.status == 301
                assert response.headers["Location"] == "https://127.71.0.1/rest/system?a=1"


async def test_a_slow_device_answers_late_and_right() -> None:
    async with visiting(a_device("x70", tuning=Tuning(slow_by=0.2))) as visitor:
        await visitor.device.switch("slow", True)
        start = asyncio.get_running_loop().time()
        assert (await visitor.login()).status == 200
        assert asyncio.get_running_loop().time() - start >= 0.2
