"""What cameras say by themselves, with the real daemon process: shown without waiting for a poll, and a ticket only after one has seen it too."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.e2e.site import CREDENTIALS, Simulator, Site, entry
from tests.support.processes import free_port, wait_for
from tests.support.promises import Tried

CAMERA, MEASURED = "pushing", "snmp-v2"
SELDOM = {"polling": {"interval": "300s"}}
"""The next poll by the timer comes after the test is over."""
AT_THE_FIRST_POLL = {"faults": {"*": {"hold": "0s", "hits": 1, "clear": "0s", "misses": 1}}}


def _shown(site: Site, start: str) -> list[str]:
    return [line for line in site.metrics().splitlines() if line.startswith(start)]


def _streaming(site: Site, device: str) -> bool:
    return bool(_shown(site, f'latarnik_device_event_stream_up{{device="{device}"}} 1'))


def _traps_to(fleet: Simulator, device: str, port: int) -> None:
    url = f"http://127.0.0.1:{fleet.ports['control']}/devices/{device}/traps"
    body = json.dumps({"address": "127.0.0.1", "port": port, "version": 2}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST"), timeout=10):
        pass


def test_a_card_that_goes_is_shown_and_polled_at_once_and_its_ticket_is_written(site: Site) -> None:
    fleet = site.fleet
    site.write([entry(fleet, CAMERA)], **SELDOM, **AT_THE_FIRST_POLL)
    with site.daemon():
        site.healthy(CAMERA)
        wait_for("the stream is open", lambda: _streaming(site, CAMERA))
        assert fleet.counters(CAMERA)["streams_open"] == 1
        begun = time.monotonic()
        fleet.switch(CAMERA, "sd_removed", on=True)
        wait_for("it is shown", lambda: _shown(site, f'latarnik_axis_storage_status{{device="{CAMERA}",storage="SD_DISK",state="disconnected"}} 1'))
        print(f"shown after {time.monotonic() - begun:.2f} s")
        wait_for("the ticket is written", lambda: site.tickets(CAMERA))
        assert site.ticket(CAMERA)["fields"]["fault"]["code"] == "axis.storage.failed"
        fleet.switch(CAMERA, "sd_removed", on=False)
        wait_for("it is resolved", lambda: site.ticket(CAMERA)["state"] == "resolved", 60)
        assert fleet.counters(CAMERA)["refused_tokens"] == 0
        assert fleet.counters(CAMERA)["streams_at_once"] == 1


@pytest.mark.parametrize("trouble", ["stream_closes", "stream_nonsense", "stream_floods", "stream_silent"])
def test_a_stream_that_is_out_of_order_costs_itself_alone(site: Site, trouble: str) -> None:
    fleet = site.fleet
    site.write([entry(fleet, CAMERA)])
    fleet.switch(CAMERA, trouble, on=True)
    try:
        with site.daemon():
            site.healthy(CAMERA)
            wait_for("a stream was tried", lambda: fleet.counters(CAMERA)["streams"] > 0)
            site.polls(CAMERA, count=4)
            assert site.devices()[CAMERA]["health"] == "ok"
            assert site.tickets() == []
    finally:
        fleet.switch(CAMERA, trouble, on=False)


def test_a_camera_that_comes_back_is_listened_to_again(site: Site) -> None:
    fleet = site.fleet
    site.write([entry(fleet, CAMERA)])
    with site.daemon():
        wait_for("the stream is open", lambda: _streaming(site, CAMERA))
        fleet.switch(CAMERA, "unplugged", on=True)
        wait_for("the stream is over", lambda: _shown(site, f'latarnik_device_event_stream_up{{device="{CAMERA}"}} 0'))
        fleet.switch(CAMERA, "unplugged", on=False)
        wait_for("the stream is open again", lambda: _streaming(site, CAMERA), 60)


def test_every_request_that_a_device_gets_is_counted(site: Site) -> None:
    fleet = site.fleet
    site.write([entry(fleet, CAMERA, axis={"events": False})], **SELDOM)
    before = fleet.requests(CAMERA)
    with site.daemon():
        site.healthy(CAMERA)
        (line,) = _shown(site, f'latarnik_device_requests_total{{device="{CAMERA}",source="http"}}')
        assert float(line.split()[-1]) == fleet.requests(CAMERA) - before > 20


def test_a_trap_has_the_device_polled_and_is_no_fault_by_itself(site: Site, tried: Tried) -> None:
    fleet, port = site.fleet, free_port()
    device = entry(fleet, MEASURED, credentials={"http": "cameras", "snmp": "walk"}, axis={"events": False})
    device["snmp_port"] = fleet.ports["snmp"]
    walk = {"walk": {"snmp": {"version": "2c", "community_file": "snmp.community"}}}
    site.write([device], **SELDOM, traps={"listen": f"127.0.0.1:{port}"}, credentials=CREDENTIALS | walk)
    with site.daemon():
        site.healthy(MEASURED)
        _traps_to(fleet, MEASURED, port)
        asked = fleet.requests(MEASURED)
        fleet.switch(MEASURED, "sd_removed", on=True)
        try:
            wait_for("it is polled", lambda: fleet.requests(MEASURED) > asked)
            wait_for("it is counted", lambda: _shown(site, 'latarnik_traps_total{outcome="taken"} 1'))
        finally:
            fleet.switch(MEASURED, "sd_removed", on=False)
    tried("traps of a real simulated camera", 1)
