"""What events of an Axis device mean."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadPayload, CollectError, Forbidden, NotSupported
from agent.model import Device, Fault, Healthy, History, Snapshot
from agent.ports import Signal
from collectors.axis import faults as polled
from collectors.axis import faults_events as code
from collectors.axis.events import TOPICS, acknowledged, event, signal, token_of, topic_of
from collectors.axis.facets import FACETS
from collectors.axis.rules_events import EVENT_RULES
from collectors.axis.settings import AxisSettings

AT = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


def frame(topic: str, source: dict[str, Any], data: dict[str, Any], key: dict[str, Any] | None = None) -> str:
    note = {"timestamp": 1772614800000, "topic": topic, "message": {"source": source, "key": key or {}, "data": data}}
    return json.dumps({"apiVersion": "1.0", "method": "events:notify", "params": {"notification": note}})


def heard(topic: str, source: dict[str, Any], data: dict[str, Any]) -> Signal | None:
    found = event(frame(topic, source, data))
    assert found is not None
    return signal(found, AT)


def judged(*signals: Signal | None, later: timedelta = timedelta(), **settings: Any) -> list[Fault | Healthy]:
    told = [s for s in signals if s is not None]
    snapshot = Snapshot(
        device="cam",
        at=AT + later,
        duration=0.1,
        reachable=True,
        readings=tuple(r for s in told for r in s.data.readings),
        facts={key: value for s in told for key, value in s.data.facts.items()},
    )
    device = Device(id="cam", vendor="axis", host="192.0.2.7", settings=AxisSettings(**settings))
    return [j for rule in EVENT_RULES for j in rule(snapshot, History(), device)]


@pytest.mark.parametrize(
    "written",
    ["tnsaxis:Storage/Disruption", "axis:Storage/Disruption", "tnsaxis:Storage/tnsaxis:Disruption", "Storage/Disruption", "/tnsaxis:Storage/Disruption/"],
)
def test_a_topic_is_the_same_however_its_prefixes_are_written(written: str) -> None:
    assert topic_of(written) == "Storage/Disruption"


@pytest.mark.parametrize("yes", ["1", "true", "active", 1, True])
def test_lost_storage_shows_as_a_disk_that_is_gone_and_has_the_disks_asked_for(yes: object) -> None:
    found = heard("tnsaxis:Storage/Disruption", {"disk_id": "SD_DISK"}, {"disruption": yes})
    assert found is not None
    assert found.facets == ("storage",)
    (reading,) = found.data.readings
    assert (reading.metric, reading.labels, reading.state) == ("latarnik_axis_storage_status", ("SD_DISK",), "disconnected")


@pytest.mark.parametrize("value", ["0", "maybe", None, [], {"a": 1}])
def test_anything_else_of_a_disk_says_nothing_by_itself(value: object) -> None:
    found = heard("tnsaxis:Storage/Disruption", {"disk_id": "SD_DISK"}, {"disruption": value})
    assert found is not None
    assert found.data.readings == ()


def test_an_empty_slot_that_raises_an_alert_is_no_broken_card() -> None:
    found = heard("tnsaxis:Storage/Alert", {"disk_id": "SD_DISK"}, {"alert": "1", "wear": "-3", "overall_health": "-3", "temperature": "-3"})
    assert found is not None
    assert found.data.readings == ()


def test_a_worn_card_gives_its_wear_and_its_failed_check() -> None:
    found = heard("tnsaxis:Storage/Alert", {"disk_id": "SD_DISK"}, {"alert": "1", "wear": "104", "overall_health": "0", "temperature": "311"})
    assert found is not None
    assert {r.metric: r.value for r in found.data.readings} == {"latarnik_axis_storage_wear_ratio": 1.04, "latarnik_axis_storage_self_check_ok": 0.0}


def test_an_error_of_the_drive_counts_for_ten_minutes_and_then_as_over() -> None:
    error = heard("tns1:PTZController/tnsaxis:PTZError", {"channel": "1"}, {"ptz_error": "Motor stalled"})
    (fault,) = judged(error)
    assert isinstance(fault, Fault)
    assert (fault.code, fault.component) == (code.PTZ_FAILED, "1")
    assert "Motor stalled" in fault.summary
    assert judged(error, later=timedelta(minutes=11)) == [Healthy(code=code.PTZ_FAILED, component="1")]


def test_a_drive_that_does_not_get_ready_is_a_fault_and_one_that_is_ready_is_not() -> None:
    (no,) = judged(heard("tns1:PTZController/tnsaxis:PTZReady", {"channel": "1"}, {"ready": "0"}))
    assert isinstance(no, Fault)
    assert judged(heard("tns1:PTZController/tnsaxis:PTZReady", {"channel": "1"}, {"ready": "1"})) == [Healthy(code=code.PTZ_FAILED, component="1")]


@pytest.mark.parametrize(
    ("topic", "source", "bad", "good", "name"),
    [
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", {"Source": "0"}, {"State": "1"}, {"State": "0"}, code.SCENE_CHANGED),
        ("tns1:Device/tnsaxis:RingPowerLimitExceeded", {"input": "2"}, {"limit_exceeded": "1"}, {"limit_exceeded": "0"}, code.POWER_OVERLOAD),
        ("tns1:Device/tnsaxis:IO/SupervisedPort", {"port": "3"}, {"tampered": "1"}, {"tampered": "0"}, code.LINE_TAMPERED),
        (
            "tns1:Device/tnsaxis:HardwareFailure/TemperatureCritical",
            {"temperature": "0"},
            {"temperature_critical": "1"},
            {"temperature_critical": "0"},
            polled.TEMPERATURE_HIGH,
        ),
    ],
)
def test_a_state_that_lasts_is_a_fault_while_it_is_bad(topic: str, source: dict[str, str], bad: dict[str, str], good: dict[str, str], name: str) -> None:
    (fault,) = judged(heard(topic, source, bad))
    assert isinstance(fault, Fault)
    assert fault.code == name
    (healthy,) = judged(heard(topic, source, good))
    assert healthy == Healthy(code=name, component=fault.component)


@pytest.mark.parametrize(("words", "expected"), [("failed", Fault), ("Error 3", Fault), ("passed", Healthy), ("OK", Healthy)])
def test_a_speaker_test_is_judged_by_its_words(words: str, expected: type) -> None:
    (one,) = judged(heard("tns1:Device/tnsaxis:SpeakerTest/TestResult", {"DeviceUUID": "x"}, {"SpeakerTestStatus": words}))
    assert isinstance(one, expected)


def test_a_word_of_a_speaker_test_that_nobody_knows_is_neither_good_nor_bad() -> None:
    assert judged(heard("tns1:Device/tnsaxis:SpeakerTest/TestResult", {}, {"SpeakerTestStatus": "calibrating"})) == []


def test_recording_is_missed_only_where_the_site_expects_it() -> None:
    stopped = heard("tnsaxis:Storage/Recording", {}, {"recording": "0"})
    assert judged(stopped) == []
    (fault,) = judged(stopped, expect_recording=True)
    assert isinstance(fault, Fault)


def test_a_mode_without_an_age_is_not_stuck() -> None:
    assert all(isinstance(j, Healthy) for j in judged(heard("tns1:VideoSource/tnsaxis:DayNightVision", {}, {"day": "0"}), expect_day_night=True))


@pytest.mark.parametrize("text", ["", "  ", "<html>no</html>", "two words", "x" * 600])
def test_what_is_no_token_is_not_sent_back(text: str) -> None:
    with pytest.raises(BadPayload):
        token_of(text)


def test_a_refusal_of_the_wish_for_events_is_raised_as_what_it_says() -> None:
    acknowledged('{"apiVersion":"1.0","method":"events:configure","data":{}}')
    for number, kind in ((2001, Forbidden), (2004, NotSupported), (1100, CollectError)):
        with pytest.raises(kind):
            acknowledged(json.dumps({"error": {"code": number, "message": "no"}}))


def test_the_table_names_facets_that_exist_and_each_topic_once() -> None:
    known = {facet.name for facet in FACETS}
    assert {name for row in TOPICS for name in row.facets} <= known
    assert len({row.name for row in TOPICS}) == len(TOPICS)
    assert all(topic_of(row.name) == row.name for row in TOPICS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=9), x, max_size=3),
)


@given(st.sampled_from(TOPICS), st.dictionaries(st.text(max_size=9), JSON, max_size=3), JSON, JSON)
def test_no_event_breaks_a_parser_or_a_rule(row: Any, source: dict[str, Any], value: object, other: object) -> None:
    data = {row.item: value, "active": other, "wear": other, "overall_health": value}
    found = heard(f"tns1:{row.name}", {**source, "disk_id": other, "fan": other, "channel": other}, data)
    for judgement in judged(found, later=timedelta(hours=40), expect_recording=True, expect_day_night=True):
        assert len(judgement.component) < 2000


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_what_is_no_event_gives_none_or_an_error_of_ours(text: str | bytes) -> None:
    with suppress(CollectError):
        event(text)
    with suppress(CollectError):
        acknowledged(text)
