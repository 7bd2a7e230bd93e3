from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from agent.ports import SystemClock
from simulator.axis.device import AxisDevice
from simulator.axis.product import (
    BOX_9,
    DOME_10,
    DOME_11,
    ENCODER_11,
    INTERCOM,
    PRODUCTS,
    PTZ_12,
    PTZ_13,
    RECORDER,
    STROBE,
    STROBE_SPEAKER,
    THERMAL_12,
    Product,
)
from simulator.axis.state import Tuning
from simulator.axis.stream import PATH
from simulator.axis.topics import matches
from tests.simulator.axis_http import StillClock, Visitor, basic, visiting

PASSWORD = "Kotwica-2026"
EVERYTHING = "//."


async def token(visitor: Visitor, *, user: str = "operator") -> str:
    answer = await visitor.ask("/axis-cgi/wssession.cgi", user=user)
    assert (answer.status, answer.header("Content-Type").partition(";")[0]) == (200, "text/plain")
    return answer.text.strip()


@asynccontextmanager
async def listening(
    visitor: Visitor, *, user: str = "operator", query: str = "sources=events", **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An open stream, by a token unless the query or a header says otherwise."""
    if not headers and "wssession" not in query:
        query += f"&wssession={await token(visitor, user=user)}"
    url = f"wss://{visitor.device.address}:{visitor.ports.https}{PATH}?{query}"
    async with visitor.session.ws_connect(url, headers=headers, ssl=False, autoping=True, timeout=aiohttp.ClientWSTimeout(ws_close=2)) as socket:
        yield socket


def order(*filters: str, **more: Any) -> dict[str, Any]:
    rows = [{"topicFilter": topic} for topic in filters]
    return {"apiVersion": "1.0", "context": "x", "method": "events:configure", "params": {"eventFilterList": rows}, **more}


async def configured(socket: aiohttp.ClientWebSocketResponse, *filters: str) -> None:
    await socket.send_json(order(*filters))
    assert await socket.receive_json(timeout=5) == {"apiVersion": "1.0", "context": "x", "method": "events:configure", "data": {}}


async def told(socket: aiohttp.ClientWebSocketResponse) -> tuple[str, dict[str, str], dict[str, str]]:
    frame = await socket.receive_json(timeout=5)
    assert (frame["apiVersion"], frame["method"]) == ("1.0", "events:notify")
    notification = frame["params"]["notification"]
    assert isinstance(notification["timestamp"], int)
    message = notification["message"]
    assert message["key"] == {}
    assert all(isinstance(value, str) for value in (*message["source"].values(), *message["data"].values()))
    return notification["topic"], message["source"], message["data"]


async def test_the_values_of_stateful_topics_come_first_and_then_what_changes() -> None:
    async with visiting(DOME_11) as visitor, listening(visitor) as socket:
        await configured(socket, "tnsaxis:Storage/Disruption")
        assert await told(socket) == ("tnsaxis:Storage/Disruption", {"disk_id": "SD_DISK"}, {"disruption": "0"})
        assert await told(socket) == ("tnsaxis:Storage/Disruption", {"disk_id": "NetworkShare"}, {"disruption": "1"})
        for on in (True, False):
            await visitor.device.switch("sd_failed", on)
            assert await told(socket) == ("tnsaxis:Storage/Disruption", {"disk_id": "SD_DISK"}, {"disruption": "1" if on else "0"})
        await visitor.device.switch("light_error", True)  # of which no topic tells
        await configured(socket, "tns1:Device/tnsaxis:Status//.")
        topics = [(await told(socket))[0].rpartition("/")[2] for _ in range(5)]
        assert topics == ["SystemReady", "Above", "Above_or_below", "Below", "Inside"]
        counters = visitor.device.counters
        assert (counters.tokens, counters.streams, counters.streams_open, counters.notifications) == (1, 1, 1, 9)
    assert visitor.device.counters.streams_at_once == 1


CHANGES: list[tuple[Product, str, str, dict[str, str]]] = [
    (DOME_11, "overheating", "tns1:Device/tnsaxis:HardwareFailure/TemperatureCritical", {"temperature_critical": "1"}),
    (DOME_11, "sd_failed", "tns1:Device/tnsaxis:HardwareFailure/StorageFailure", {"disruption": "1"}),
    (DOME_11, "sd_worn", "tnsaxis:Storage/Alert", {"overall_health": "1", "alert": "1", "wear": "104", "temperature": "311"}),
    (DOME_11, "sd_removed", "tnsaxis:Storage/Alert", {"overall_health": "-3", "alert": "0", "wear": "-3", "temperature": "-3"}),
    (DOME_11, "recording_stopped", "tnsaxis:Storage/Recording", {"recording": "0"}),
    (DOME_11, "not_ready", "tns1:Device/tnsaxis:Status/SystemReady", {"ready": "0"}),
    (DOME_11, "daynight_stuck", "tns1:VideoSource/tnsaxis:DayNightVision", {"day": "0"}),
    (DOME_11, "scene_change", "tns1:VideoSource/GlobalSceneChange/ImagingService", {"State": "1"}),
    (DOME_11, "abr_error", "tns1:VideoSource/tnsaxis:ABR", {"abr_error": "1"}),
    (DOME_11, "no_stream", "tns1:VideoSource/tnsaxis:LiveStreamAccessed", {"accessed": "0"}),
    (DOME_10, "network_lost", "tns1:Device/tnsaxis:Network/Lost", {"lost": "1"}),
    (PTZ_12, "fan_failed", "tns1:Device/tnsaxis:HardwareFailure/FanFailure", {"fan_failure": "1"}),
    (PTZ_12, "power_insufficient", "tns1:Device/tnsaxis:HardwareFailure/PowerSupplyFailure", {"power_critical": "1"}),
    (PTZ_12, "ring_power", "tns1:Device/tnsaxis:RingPowerLimitExceeded", {"limit_exceeded": "1"}),
    (PTZ_12, "mqtt_disconnected", "tns1:Device/tnsaxis:MQTT/ClientStatus", {"active": "1", "connected": "0"}),
    (PTZ_13, "ptz_not_ready", "tns1:PTZController/tnsaxis:PTZReady", {"ready": "0"}),
    (PTZ_13, "ptz_power_failed", "tns1:Device/HardwareFailure/PowerSupplyFailure/tnsaxis:PTZPowerFailure", {"Failed": "1"}),
    (THERMAL_12, "casing_open", "tns1:Device/tnsaxis:Casing/Open", {"Open": "1"}),
    (THERMAL_12, "share_lost", "tnsaxis:Storage/Disruption", {"disruption": "1"}),
    (THERMAL_12, "share_disconnected", "tnsaxis:Storage/Disruption", {"disruption": "1"}),
    (ENCODER_11, "video_lost", "tns1:VideoEncoder/tnsaxis:Connections", {"connected": "0"}),
    (ENCODER_11, "audio_lost", "tnsaxis:AudioControl/DigitalSignalStatusNoSignal", {"signal_status_no_signal": "1"}),
    (ENCODER_11, "power_supply_failed", "tns1:Device/tnsaxis:HardwareFailure/PowerSupplyFailure", {"power_critical": "1"}),
    (RECORDER, "disk_failed", "tns1:Device/tnsaxis:HardwareFailure/StorageFailure", {"disruption": "1"}),
    (STROBE, "io_supervision", "tns1:Device/tnsaxis:IO/SupervisedPort", {"tampered": "1", "state": "cut"}),
    (INTERCOM, "io_supervision", "tns1:Device/tnsaxis:IO/SupervisedPort", {"tampered": "1", "state": "cut"}),
]


@pytest.mark.parametrize(("product", "fault", "topic", "data"), CHANGES, ids=[f"{product.number}-{fault}-{topic}" for product, fault, topic, _ in CHANGES])
async def test_a_fault_is_announced_when_it_comes_and_when_it_goes(product: Product, fault: str, topic: str, data: dict[str, str]) -> None:
    async with visiting(product, policy="basic") as visitor, listening(visitor) as socket:
        before = {event.key: event.data async for event in _now(visitor.device, topic)}
        await configured(socket, topic)
        for _ in before:
            found, source, value = await told(socket)
            assert before[found, *source.values()] == value
        await visitor.device.switch(fault, on=True)
        found, source, value = await told(socket)
        assert (found, value) == (topic, data)
        assert before[found, *source.values()] != data
        if fault == "network_lost":  # of one interface, and of any
            await told(socket)
        await visitor.device.switch(fault, on=False)
        assert (await told(socket))[2] == before[found, *source.values()]


async def _now(device: AxisDevice, topic: str) -> AsyncIterator[Any]:
    from simulator.axis.topics import stateful

    for event in stateful(device.state):
        if event.topic == topic:
            yield event


@pytest.mark.parametrize(
    ("product", "fault", "topics"),
    [
        (DOME_11, "tampering", ["tns1:VideoSource/tnsaxis:Tampering"]),
        (PTZ_12, "ptz_error", ["tns1:PTZController/tnsaxis:PTZError"]),
        (PTZ_12, "action_failed", ["tns1:Device/tnsaxis:SystemMessage/ActionFailed"]),
        (STROBE, "siren_failed", ["tns1:Device/tnsaxis:SirenAndLight/HealthCheckDone", "tns1:Device/tnsaxis:SirenAndLight/HealthCheckFailed"]),
        (STROBE, "siren_light_failed", ["tns1:Device/tnsaxis:SirenAndLight/HealthCheckDone", "tns1:Device/tnsaxis:SirenAndLight/HealthCheckLightFailed"]),
        (STROBE_SPEAKER, "speaker_test_failed", ["tns1:Device/tnsaxis:SpeakerTest/TestResult"]),
        (DOME_11, "link_degraded", ["tns1:Device/tnsaxis:Network/AddressRemoved", "tns1:Device/tnsaxis:Network/AddressAdded"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_has_no_state_is_announced_once(product: Product, fault: str, topics: list[str]) -> None:
    async with visiting(product) as visitor, listening(visitor) as socket:
        await configured(socket, "|".join(topics))
        await visitor.device.switch(fault, on=True)
        assert [(await told(socket))[0] for _ in topics] == topics
        assert visitor.device.counters.notifications == len(topics)


async def test_wrong_logins_are_announced_and_so_is_the_client_that_is_shut_out() -> None:
    async with visiting(PTZ_12) as visitor, listening(visitor) as socket:
        await configured(socket, "tns1:Device/tnsaxis:Log//.|tns1:Device/tnsaxis:Network/BlockedIP")
        for _ in range(20):
            await visitor.ask("/axis-cgi/usergroup.cgi", user="root", password="wrong")
        seen = [await told(socket) for _ in range(21)]
        assert seen[0][2]["class"] == "authentication"
        assert seen[-1] == ("tns1:Device/tnsaxis:Network/BlockedIP", {}, {"address": "127.0.0.1"})
        assert len(visitor.device.state.audit) == 20


async def refused(visitor: Visitor, query: str, **headers: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with listening(visitor, query=query, **headers):
            pass
    return caught.value.status


async def test_a_token_opens_one_stream_within_fifteen_seconds() -> None:
    clock = StillClock()
    async with visiting(DOME_11, clock=clock) as visitor:
        good = await token(visitor)
        assert await refused(visitor, "sources=events&wssession=nonsense") == 401
        async with listening(visitor, query=f"sources=events&wssession={good}") as socket:
            await configured(socket, EVERYTHING)
        assert await refused(visitor, f"sources=events&wssession={good}") == 401
        late = await token(visitor)
        clock.passed += 16
        assert await refused(visitor, f"sources=events&wssession={late}") == 401
        counters = visitor.device.counters
        assert (counters.tokens, counters.refused_tokens, counters.streams, counters.refused_logins) == (2, 3, 1, 0)


async def test_an_account_in_the_upgrade_does_as_well_if_it_may() -> None:
    async with visiting(PTZ_12) as visitor:
        async with listening(visitor, Authorization=basic("operator", PASSWORD)) as socket:
            await configured(socket, EVERYTHING)
        assert await refused(visitor, "sources=events", Authorization=basic("viewer", PASSWORD)) == 403
        assert await refused(visitor, "sources=events", Authorization=basic("operator", "wrong")) == 401
        assert await refused(visitor, "sources=video", Authorization=basic("operator", PASSWORD)) == 400
        assert (await visitor.ask(f"{PATH}?sources=events", user="operator")).status == 400
        assert (await visitor.ask("/axis-cgi/wssession.cgi", user="viewer")).status == 403
        assert (visitor.device.counters.forbidden, visitor.device.counters.refused_logins) == (2, 1)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.number)
async def test_streams_begin_with_10_12(product: Product) -> None:
    async with visiting(product, policy="basic") as visitor:
        has = "event-streaming-over-websocket" in product.generation.apis
        assert (await visitor.ask("/axis-cgi/wssession.cgi", user="operator")).status == (200 if has else 404)
        assert (await visitor.ask(f"{PATH}?sources=events", user="operator")).status == (400 if has else 404)
        assert ("stream_closes" in visitor.device.faults()) is has


async def test_9_80_has_no_stream() -> None:
    async with visiting(BOX_9, policy="basic") as visitor:
        assert await refused(visitor, "sources=events", Authorization=basic("root", PASSWORD)) == 404


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", 4000),
        ("[]", 4000),
        ("{}", 4002),
        ('{"apiVersion":"1.0"}', 4002),
        ('{"apiVersion":"2.0","method":"events:configure"}', 2003),
        ('{"apiVersion":"1.0","method":"events:nonsense"}', 2004),
        ('{"apiVersion":"1.0","method":["events:configure"]}', 2004),
        ('{"apiVersion":"1.0","method":"events:configure"}', 4002),
        (json.dumps(order()).replace("[]", "[{}]"), 1000),
        (json.dumps(order()).replace("[]", "[7]"), 1000),
    ],
)
async def test_a_wrong_order_is_answered_with_an_error_and_the_stream_stays(frame: str, code: int) -> None:
    async with visiting(DOME_11) as visitor, listening(visitor) as socket:
        await socket.send_str(frame)
        assert (await socket.receive_json(timeout=5))["error"]["code"] == code
        await configured(socket, EVERYTHING)


@pytest.mark.parametrize(
    ("topic", "pattern", "expected"),
    [
        ("a:b/c:d", "//.", True),
        ("a:b/c:d", "a:b//.", True),
        ("a:b", "a:b//.", True),
        ("a:bb/d", "a:b//.", False),
        ("a:b/c:d", "a:b/c:d", True),
        ("a:b/c:d", "a:b", False),
        ("a:b/c:d", "x:y|a:b/c:d", True),
        ("a:b/c:d", "", False),
    ],
)
def test_a_filter_is_a_topic_a_branch_or_everything(topic: str, pattern: str, expected: bool) -> None:
    assert matches(topic, pattern) is expected


async def until_closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(5):
        while (await socket.receive()).type not in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
            pass
    return socket.close_code


async def test_a_device_closes_streams() -> None:
    async with visiting(DOME_11) as visitor:
        async with listening(visitor) as socket:
            await configured(socket, EVERYTHING)
            await visitor.device.switch("stream_closes", True)
            assert await until_closed(socket) == aiohttp.WSCloseCode.GOING_AWAY
        async with listening(visitor) as socket:
            await configured(socket, EVERYTHING)
            assert await until_closed(socket) == aiohttp.WSCloseCode.GOING_AWAY
        await visitor.device.switch("stream_closes", False)
        async with listening(visitor) as socket:
            await configured(socket, "tns1:VideoSource/tnsaxis:ABR")
            assert (await told(socket))[2] == {"abr_error": "0"}
    assert visitor.device.counters.streams == 3
    assert visitor.device.counters.streams_open == 0


@pytest.mark.parametrize("fault", ["stream_silent", "hang"])
async def test_a_silent_device_sends_nothing_and_answers_no_ping(fault: str) -> None:
    async with visiting(DOME_11) as visitor, listening(visitor) as socket:
        await configured(socket, "tns1:VideoSource/tnsaxis:ABR")
        await told(socket)
        await visitor.device.switch(fault, on=True)
        await visitor.device.switch("abr_error", on=True)
        await socket.send_json(order(EVERYTHING))
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)
        await visitor.device.switch(fault, on=False)
        assert (await told(socket))[2] == {"abr_error": "1"}  # what was missed is told when it talks again


async def test_a_flooding_device_sends_without_end() -> None:
    async with visiting(DOME_11) as visitor, listening(visitor) as socket:
        await configured(socket, "tns1:VideoSource/tnsaxis:ABR")
        await told(socket)
        await visitor.device.switch("stream_floods", on=True)
        assert (await socket.receive(timeout=5)).data == ""
        for _ in range(1000):
            assert (await told(socket))[0] == "tns1:Device/tnsaxis:IO/VirtualInput"
        await visitor.device.switch("stream_floods", on=False)
        await visitor.device.switch("abr_error", on=True)
        async with asyncio.timeout(5):
            while (await told(socket))[0] != "tns1:VideoSource/tnsaxis:ABR":
                pass


async def test_nonsense_stands_between_what_makes_sense() -> None:
    async with visiting(DOME_11) as visitor, listening(visitor) as socket:
        await visitor.device.switch("stream_nonsense", on=True)
        await configured(socket, "tns1:VideoSource/tnsaxis:ABR")
        await visitor.device.switch("abr_error", on=True)
        sense: list[str] = []
        nonsense = 0
        async with asyncio.timeout(5):
            while len(sense) < 2:
                message = await socket.receive()
                try:
                    sense.append(json.loads(message.data)["params"]["notification"]["message"]["data"]["abr_error"])
                except (ValueError, KeyError, TypeError, RecursionError):
                    nonsense += 1
        assert sense == ["0", "1"]
        assert nonsense >= 15


async def test_a_restart_and_a_cut_cable_end_a_stream_and_forget_tokens() -> None:
    async with visiting(DOME_11, tuning=Tuning(dark=30)) as visitor, listening(visitor) as socket:
        await configured(socket, EVERYTHING)
        await visitor.device.switch("unplugged", True)
        await until_closed(socket)
    async with visiting(DOME_11) as visitor:
        left = await token(visitor)
        async with listening(visitor) as socket:
            await configured(socket, EVERYTHING)
            await visitor.device.switch("reboot", True)
            await until_closed(socket)
        assert await refused(visitor, f"sources=events&wssession={left}") == 401
    assert visitor.device.counters.streams_open == 0


async def test_that_a_device_is_ready_after_a_restart_is_announced_by_itself() -> None:
    async with visiting(DOME_11, clock=SystemClock(), tuning=Tuning(settle=0.5)) as visitor:
        await visitor.device.switch("reboot", True)
        async with listening(visitor) as socket:
            await configured(socket, "tns1:Device/tnsaxis:Status/SystemReady")
            assert [(await told(socket))[2] for _ in range(2)] == [{"ready": "0"}, {"ready": "1"}]


async def test_a_listener_that_goes_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with visiting(DOME_11) as visitor:
        async with listening(visitor) as socket:
            await configured(socket, EVERYTHING)
            assert socket._response.connection is not None
            assert socket._response.connection.transport is not None
            socket._response.connection.transport.abort()
            await visitor.device.switch("abr_error", True)
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 200
    assert (visitor.device.counters.streams, visitor.device.counters.streams_open) == (1, 0)
    assert [record.message for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []
