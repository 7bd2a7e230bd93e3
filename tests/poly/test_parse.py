"""Answers of a codec, read."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import BadPayload
from agent.model import Identity, Reading
from agent.ports import FacetData
from collectors.poly import cli, parse
from collectors.poly import metrics as m
from collectors.poly.lenient import decode, mac, number, truth, word
from collectors.poly.parse import Timed
from collectors.poly.use import UseAnswers, in_conference, in_meeting, running_mode, use
from tests.poly import samples as s


def value(data: FacetData, metric: str, *labels: str) -> float | str | None:
    found = [r for r in data.readings if r.metric == metric and r.labels == labels]
    return (found[0].state or found[0].value) if found else None


def read_system(**changes: Any) -> FacetData:
    return parse.system(Timed(text=s.text({**s.SYSTEM, **changes}), at=s.AT))


def test_the_system_answer_gives_identity_state_network_start_and_clock() -> None:
    data = read_system()
    assert data.identity == Identity(vendor="Poly", serial="8L2231A1B2C3FB", model="StudioX50", firmware="4.4.0", hardware="2", name="Sala 3.14")
    assert (value(data, m.STATE), value(data, m.READY), value(data, m.REBOOT_NEEDED), value(data, m.TIME_SERVER_UP)) == ("ready", 1.0, 0.0, 1.0)
    assert (value(data, m.LINK_UP, "lan"), value(data, m.LINK_SPEED, "lan"), value(data, m.LAN_FULL_DUPLEX)) == (1.0, 125e6, 1.0)
    assert value(data, m.BOOT) == round(s.AT.timestamp() - 86400.25, -1)
    assert value(data, m.CLOCK_OFFSET) == 5.0
    assert data.facts == {"boot": str(round((s.AT.timestamp() - 86400.25) / 60) * 60), "time_offset": "3600", "build": "440117"}


@pytest.mark.parametrize(
    ("state", "shown", "ready"),
    [("ASLEEP", "asleep", 1.0), ("IN_CALL", "in_call", 1.0), ("UPDATING", "updating", 0.0), ("DOWN", "down", 0.0), ("MUSING", "unknown", None)],
)
def test_states_are_known_words_or_unknown_with_the_devices_word_beside(state: str, shown: str, ready: float | None) -> None:
    data = read_system(state=state)
    assert (value(data, m.STATE), value(data, m.READY)) == (shown, ready)
    assert next(r.raw for r in data.readings if r.metric == m.STATE) == state


def test_group_series_firmware_loses_its_prefix() -> None:
    assert read_system(softwareVersion="Release - 6.2.2.8-670021").identity.firmware == "6.2.2.8-670021"


def test_values_that_say_nothing_give_no_reading() -> None:
    data = read_system(state="NA", uptime="", lanStatus=None, rebootNeeded="perhaps", timeServerState="TIMESERVER_OFF", systemTime=None, timeOffset="x")
    assert data.readings == ()
    assert data.facts == {"build": "440117"}


def test_numbers_may_come_as_strings() -> None:
    assert value(read_system(lanStatus={"speedMbps": "100", "duplex": "half"}), m.LINK_SPEED, "lan") == 12.5e6


def test_status_rows_are_read_in_both_spellings_and_unknown_words_stay_unknown() -> None:
    data = parse.status(s.text(s.STATUS))
    rows = {r.labels[0]: (r.state, r.raw) for r in data.readings if r.metric == m.STATUS}
    assert rows == {
        "ipnetwork": ("up", "up"),
        "mr.camera": ("degraded", "some_up"),
        "mr.audio": ("down", "all_down"),
        "sipserver": ("off", "off"),
        "gatekeeper": ("unknown", "unknown"),
        "logthreshold": ("degraded", "full"),
        "calendar": ("unknown", "resting"),
    }
    assert value(data, m.LOG_FULL) == 1.0


def test_of_several_words_in_a_row_the_worst_counts() -> None:
    data = parse.status(s.text([{"name": "system.status.mr.camera", "stateList": ["up", "down", "off"]}]))
    assert [(r.state, r.raw) for r in data.readings] == [("down", "down")]


def test_a_device_that_invents_rows_adds_a_bounded_number() -> None:
    data = parse.status(s.text([{"name": f"row{n}", "stateList": ["up"]} for n in range(500)]))
    assert len(data.readings) == m.MAX_ROWS


def test_peripherals_carry_their_own_identity_and_the_codecs_row_its_mac() -> None:
    data = parse.peripherals(s.text(s.DEVICES))
    assert data.identity.mac == "00:e0:db:a1:b2:c3"
    parts = {c.key: c for c in data.components}
    assert set(parts) == {"8L22310A0B0CFD", "8L2305D0E0F0GK", "local-camera", "local-remote"}
    panel, e70 = parts["8L22310A0B0CFD"], parts["8L2305D0E0F0GK"]
    assert (panel.kind, panel.model, panel.firmware, panel.mac, panel.state, panel.removable) == (
        "touch_panel",
        "Poly TC8",
        "4.4.0-210117",
        "00:e0:db:0a:0b:0c",
        "ok",
        True,
    )
    assert (e70.kind, e70.serial, e70.firmware, e70.state) == ("camera", "8L2305D0E0F0GK", "1.9.0", "ok")
    assert not parts["local-camera"].removable
    assert value(data, m.PERIPHERAL_CONNECTED, "8L2305D0E0F0GK", "camera") == 1.0


@pytest.mark.parametrize(
    ("said", "state", "connected"), [("DISCONNECTED", "missing", 0.0), ("unavailable", "missing", 0.0), ("WOBBLING", "unknown", None), ("", "unknown", None)]
)
def test_a_part_that_is_not_connected_is_missing_and_an_unknown_word_is_unknown(said: str, state: str, connected: float | None) -> None:
    data = parse.peripherals(s.text([{**s.PANEL_ROW, "deviceState": said}]))
    assert data.components[0].state == state
    assert value(data, m.PERIPHERAL_CONNECTED, "8L22310A0B0CFD", "touch_panel") == connected


def test_audio_and_microphones() -> None:
    data = parse.audio(s.text(s.AUDIO))
    assert (value(data, m.MICROPHONES), value(data, m.MUTED), value(data, m.MUTE_LOCKED)) == (2.0, 1.0, 0.0)
    parts = parse.microphones(s.text(s.MICROPHONES)).components
    assert [(c.key, c.state, c.raw, c.firmware) for c in parts] == [
        ("microphone:0", "ok", "MIC_STATE_GREEN", ""),
        ("microphone:1", "unknown", "MIC_STATE_MAUVE", ""),
    ]


def test_only_people_cameras_are_parts() -> None:
    data = parse.cameras(s.text(s.CAMERAS))
    assert [(c.key, c.state) for c in data.components] == [("camera:1", "ok"), ("camera:2", "off")]
    assert (value(data, m.CAMERA_CONNECTED, "1"), value(data, m.CAMERA_CONNECTED, "2")) == (1.0, 0.0)


def test_applications_registrations_calendar_and_sessions() -> None:
    assert [r.labels for r in parse.apps(s.text(s.APPS)).readings] == [("Poly", "1.0"), ("Microsoft Teams", "2025.1")]
    assert value(parse.sip_servers(s.text([{"address": "192.0.2.64", "state": "UP"}])), m.REGISTERED, "sip") == 1.0
    assert value(parse.gatekeepers(s.text([{"address": "192.0.2.64", "state": "DOWN"}])), m.REGISTERED, "gatekeeper") == 0.0
    assert parse.sip_servers(s.text([{"address": "", "state": "DOWN"}])).readings == ()
    for body, state in ({"status": "ONLINE"}, "online"), ({"Status": "ERR_AUTHENTICATION"}, "error"), ({"status": "NAPPING"}, "unknown"):
        assert value(parse.calendar(s.text(body)), m.CALENDAR) == state
    data = parse.sessions(s.text(s.SESSIONS))
    assert (value(data, m.SESSIONS, "web"), value(data, m.SESSIONS, "ssh")) == (2.0, 1.0)
    assert "secret" not in repr(data)


CALL = {"id": 0, "isActive": True, "connections": []}
RINGING = {"id": "0", "isActive": False, "connections": [{"state": "RINGING"}]}
CONNECTED = {"id": "0", "isActive": False, "connections": [{"state": "RINGING"}, {"state": "CONNECTED"}]}


@pytest.mark.parametrize(("items", "busy"), [([], False), ([s.PENDING], False), ([s.PENDING, CALL], True), ([RINGING], False), ([CONNECTED], True)])
def test_a_call_is_an_active_item_or_a_connected_party_never_a_mere_entry(items: list[Any], busy: bool) -> None:
    assert in_conference(s.text(items)) is busy


def test_a_meeting_is_known_only_if_every_application_says() -> None:
    assert in_meeting(s.text([{"appPackageName": "a", "inMeeting": False}, {"appPackageName": "b", "inMeeting": True}])) is True
    assert in_meeting(s.text([{"appPackageName": "a", "inMeeting": False}])) is False
    assert in_meeting(s.text([{"appPackageName": "a", "inMeeting": False}, {"appPackageName": "b"}])) is None
    assert in_meeting(s.text([])) is None


NO_CALL, IN_CALL = s.text([s.PENDING]), s.text([CALL])
FREE, MEETING = s.text([{"appPackageName": "a", "inMeeting": False}]), s.text([{"appPackageName": "a", "inMeeting": True}])
LAUNCHER = s.text([s.APPS[0], {"packageName": "com.polycom.camuvc"}])


@pytest.mark.parametrize(
    ("raw", "mode", "busy"),
    [
        (UseAnswers(mode=s.text({"activePersona": "Poly"}), conferences=NO_CALL), "poly", False),
        (UseAnswers(mode=s.text({"activePersona": "Poly"}), conferences=IN_CALL), "poly", True),
        (UseAnswers(mode=s.text({"activePersona": "Poly"})), "poly", None),
        (UseAnswers(mode=s.text({"activePersona": "Teams"}), apps_state=FREE), "teams", False),
        (UseAnswers(mode=s.text({"activePersona": "Teams"}), apps_state=MEETING), "teams", True),
        (UseAnswers(mode=s.text({"activePersona": "Teams"}), conferences=NO_CALL), "teams", None),
        (UseAnswers(mode=s.text({"activePersona": "NA", "app": "us.zoom.zoompresence"}), apps_state=FREE), "zoom", False),
        (UseAnswers(mode=s.text({"activePersona": "camuvc"}), apps_state=FREE, conferences=NO_CALL), "device", None),
        (UseAnswers(device_mode=s.text({"result": True}), conferences=NO_CALL, apps_state=FREE), "device", None),
        (UseAnswers(device_mode=s.text(True), conferences=NO_CALL, apps_state=FREE), "device", None),
        (UseAnswers(device_mode=s.text({"result": False}), conferences=NO_CALL, apps=LAUNCHER), "", False),
        (UseAnswers(device_mode=s.text({"result": False}), conferences=NO_CALL, apps=s.text(s.APPS)), "", None),
        (UseAnswers(conferences=NO_CALL, apps_state=FREE), "", False),
        (UseAnswers(conferences=IN_CALL), "", True),
        (UseAnswers(mode=s.text({"activePersona": "Tencent"}), apps_state=FREE), "other", False),
        (UseAnswers(), "", None),
    ],
)
def test_use_is_known_only_from_the_answer_that_sees_the_running_application(raw: UseAnswers, mode: str, busy: bool | None) -> None:
    data = use(raw)
    assert (running_mode(raw), data.in_use, data.facts.get("mode", "")) == (mode, busy, mode)
    assert value(data, m.CALL_ACTIVE) == (None if busy is None else float(busy))


def test_the_command_line_gives_identity_rows_and_calls() -> None:
    assert cli.ssh_identity(s.WHOAMI).identity == Identity(vendor="Poly", serial="8L2231A1B2C3FB", model="StudioX50", firmware="4.4.0-440117", name="Sala 3.14")
    rows = "ipnetwork online\nsipserver offline\nstatus end\n"
    idle = cli.ssh_status(cli.CliStatus(status=rows, calls="system is not in a call\n"))
    assert [(r.labels, r.state, r.raw) for r in idle.readings] == [(("ipnetwork",), "up", "online"), (("sipserver",), "unknown", "offline")]
    assert idle.in_use is None
    call = "callinfo begin\ncallinfo:3:Sala:192.0.2.9:64:connected:muted:outgoing:videocall\ncallinfo end\n"
    busy = cli.ssh_status(cli.CliStatus(status=rows, calls=call))
    assert (busy.in_use, value(busy, m.CALL_ACTIVE)) == (True, 1.0)
    with pytest.raises(BadPayload):
        cli.ssh_identity("error: Permission Denied")
    with pytest.raises(BadPayload):
        cli.ssh_status(cli.CliStatus(status="ipnetwork online\n", calls=""))


@pytest.mark.parametrize(
    ("body", "read"), [("CONTENT_IDLE\r\n", "CONTENT_IDLE"), ('"CONTENT_IDLE"', "CONTENT_IDLE"), ("true\r\n", True), ("39", 39), ("\ufeff[]", [])]
)
def test_what_videoos_calls_json_is_read(body: str, read: object) -> None:
    assert decode(body, "x") == read


@pytest.mark.parametrize("body", ["", " \r\n", "null", "<!DOCTYPE html><html></html>", "{", "NaN,", "two words"])
def test_what_makes_no_sense_is_a_bad_payload(body: str) -> None:
    with pytest.raises(BadPayload):
        decode(body, "x")


def test_small_words_are_read_or_unknown() -> None:
    words: list[object] = ["NA", "n/a", None, {}, " a\r\nb ", 7, True]
    assert [word(v) for v in words] == ["", "", "", "", "a b", "7", "true"]
    assert [number(v) for v in ("12", 12, True, "NA", "inf", 10**400, None)] == [12.0, 12.0, None, None, None, None, None]
    assert [truth(v) for v in (True, 0, "1", "true", "no", 2, "x", None)] == [True, False, True, True, False, None, None, None]
    assert [mac(v) for v in ("00:E0:DB:0A:0B:0C", "00e0db0a0b0c", "FF:FF:FF:FF:FF:FF:FF", "ff:ff:ff:ff:ff:ff", "", None)] == ["00:e0:db:0a:0b:0c"] * 2 + [
        ""
    ] * 4


def test_html_in_place_of_each_answer_is_a_bad_payload() -> None:
    for parser in (
        parse.status,
        parse.peripherals,
        parse.audio,
        parse.microphones,
        parse.cameras,
        parse.apps,
        parse.sip_servers,
        parse.calendar,
        parse.sessions,
    ):
        for body in ("<html></html>", "null", "", "7"):
            with pytest.raises(BadPayload):
                parser(body)
    assert isinstance(read_system().readings[0], Reading)
