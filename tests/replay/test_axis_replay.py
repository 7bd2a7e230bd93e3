"""The Axis facets over recordings of real devices, through the real client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from agent.diagnosis.history import remember
from agent.diagnosis.rules import COMMON_RULES
from agent.model import Fault, History, Judgement, Snapshot
from agent.polling.poller import poll
from agent.polling.state import Cadence, PollState
from agent.ports import FacetData, SystemClock
from collectors.axis import PLUGIN, parse_apps, parse_devices, parse_network
from tests.axis.doubles import NOW, OPERATOR, entry, services
from tests.replay.axis_replay import ASSEMBLED, WHOLE, recordings, replay

FOLDER = recordings()
MASKED = "0123456789AB"
"""The recorder put this in the place of every serial number."""

UNITS = {
    "D4200-VE@12.9.57": ("D4200-VE", "12.9.57", MASKED),
    "M3066-V@10.12.323": ("M3066-V", "10.12.323", MASKED),
    "P3245-LVE@11.11.192": ("P3245-LVE", "11.11.192", MASKED),
    "Q1951-E@11.11.192": ("Q1951-E", "11.11.192", MASKED),
    ASSEMBLED: ("M1065-LW", "9.80.1", "ACCC12345678"),
}
EXPECTED = {
    "D4200-VE@12.9.57": {"apis", "rest", "readiness", "identity", "temperature_limits", "storage_config"},
    "M3066-V@10.12.323": {"apis", "readiness", "identity"},
    "P3245-LVE@11.11.192": {"apis", "rest", "readiness", "identity", "temperature_limits", "storage_config"},
    "Q1951-E@11.11.192": {"apis", "rest", "readiness", "identity"},
    ASSEMBLED: {"identity_account", "temperatures", "temperature_limits", "storage_config"},
}

pytestmark = pytest.mark.skipif(FOLDER is None, reason="LATARNIK_RECORDINGS does not name a folder of recordings")


async def two_polls(folder: Path) -> tuple[list[Snapshot], list[Judgement]]:
    """Two polls of the device, everything due in both, and all that the rules say of them."""
    snapshots: list[Snapshot] = []
    said: list[Judgement] = []
    history = History()
    async with TestServer(replay(folder), host="127.0.0.1") as server, PLUGIN.start(services()) as collector:
        device = entry(port=server.port, credentials={"http": OPERATOR})
        for _ in range(2):
            snapshot, _ = await poll(device, PLUGIN, collector, PollState(), Cadence(interval=60.0), SystemClock())
            judgements = [j for rule in (*COMMON_RULES, *PLUGIN.rules) for j in rule(snapshot, history, device)]
            history = remember(history, snapshot, judgements)
            snapshots.append(snapshot)
            said += judgements
    return snapshots, said


@pytest.mark.parametrize("unit", UNITS)
async def test_a_recorded_device_is_known_by_model_firmware_and_serial_number_and_has_no_fault(unit: str) -> None:
    assert FOLDER is not None
    snapshots, judgements = await two_polls(FOLDER / unit)
    for snapshot in snapshots:
        told = snapshot.identity
        assert (told.model, told.firmware, told.serial) == UNITS[unit]
        assert told.vendor == "AXIS"
        assert {name for name in snapshot.facets if snapshot.ok(name)} == EXPECTED[unit]
        assert not [name for name, outcome in snapshot.facets.items() if outcome.status == "failed"]
    assert [j for j in judgements if isinstance(j, Fault)] == []


async def test_a_recorded_camera_is_not_in_a_call_and_of_a_speaker_that_is_not_known() -> None:
    assert FOLDER is not None
    (camera, _), _ = await two_polls(FOLDER / "P3245-LVE@11.11.192")
    (speaker, _), _ = await two_polls(FOLDER / "D4200-VE@12.9.57")
    assert camera.in_use is False
    assert speaker.in_use is None


async def test_the_limits_of_a_recorded_camera_are_its_own() -> None:
    assert FOLDER is not None
    (snapshot, _), _ = await two_polls(FOLDER / "P3245-LVE@11.11.192")
    limits = {r.labels: r.value for r in snapshot.of("latarnik_device_temperature_limit_celsius")}
    assert limits["Main", "high"] == 80
    assert limits["SensorTemp", "low"] == -30


def test_every_whole_unit_is_replayed() -> None:
    assert set(UNITS) == {*WHOLE, ASSEMBLED}


SINGLE: dict[str, tuple[Callable[[Any], FacetData], int]] = {
    "light_control.GET_LIGHT_INFORMATION_RESPONSE.json": (parse_devices.lights, 1),
    "port_management.GET_PORTS_RESPONSE.json": (parse_devices.ports, 1),
    "port_management.GET_EMPTY_PORTS_RESPONSE.json": (parse_devices.ports, 0),
    "mqtt.GET_CLIENT_STATUS_RESPONSE.json": (parse_network.mqtt, 1),
    "api_discovery.GET_API_LIST_RESPONSE.json": (parse_devices.apis, 0),
    "applications_applications.LIST_APPLICATIONS_RESPONSE.xml": (parse_apps.applications, 7),
    "applications_applications.LIST_APPLICATION_RESPONSE.xml": (parse_apps.applications, 1),
    "applications_applications.Q1615_MKII_9_80_LIST_APPLICATIONS_RESPONSE.xml": (parse_apps.applications, 8),
}
"""Single answers of devices that were not recorded whole: what reads them, and how many readings they give."""


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_recorded_answer_is_read_and_shows_no_fault(name: str) -> None:
    assert FOLDER is not None
    parser, count = SINGLE[name]
    body = (FOLDER / ASSEMBLED / name).read_bytes()
    data = parser(json.loads(body) if name.endswith(".json") else body)
    assert len(data.readings) == count
    seen = Snapshot(device="gate-2", at=NOW, duration=0.1, reachable=True, readings=data.readings, components=data.components, facts=data.facts)
    assert not [j for rule in PLUGIN.rules for j in rule(seen, History(), entry()) if isinstance(j, Fault)]
