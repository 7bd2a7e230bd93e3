"""What the rules say of readings, and where they are silent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Reason
from agent.model import Component, Device, FacetOutcome, FacetStatus, Fault, Healthy, History, Judgement, Severity, Snapshot
from agent.ports import FacetData
from collectors.poly import PLUGIN, parse, rules
from collectors.poly import faults as f
from collectors.poly.settings import PolySettings
from collectors.poly.use import UseAnswers, use
from tests.poly import samples as s

DEVICE = Device(id="room-314", vendor="poly", host="192.0.2.14", settings=PolySettings())
FINE = [{"name": f"system.status.{n}", "stateList": ["up"]} for n in ("ipnetwork", "mr.camera", "trackablecamera", "mr.audio", "sipserver", "provisioning")]


def snapshot(
    *, status: Any = FINE, devices: Any = s.DEVICES, cameras: Any = s.CAMERAS, mode: str = "Poly", failed: str = "", reason: str = "parse", **system: Any
) -> Snapshot:
    """All facets read from samples; `failed` names one that was not."""
    answers: dict[str, FacetData] = {
        "system": parse.system(parse.Timed(text=s.text({**s.SYSTEM, **system}), at=s.AT)),
        "status": parse.status(s.text(status)),
        "use": use(UseAnswers(mode=s.text({"activePersona": mode}), conferences="[]", apps_state="[]")),
        "peripherals": parse.peripherals(s.text(devices)),
        "audio": parse.audio(s.text(s.AUDIO)),
        "cameras": parse.cameras(s.text(cameras)),
    }
    facets = {name: FacetOutcome(status=FacetStatus.OK, source="http", at=s.AT) for name in answers}
    if failed:
        answers.pop(failed)
        facets[failed] = FacetOutcome(status=FacetStatus.FAILED, source="http", at=s.AT, reason=reason, detail="said the device")
    return Snapshot(
        device="room-314",
        at=s.AT,
        duration=1.0,
        reachable=True,
        readings=tuple(r for a in answers.values() for r in a.readings),
        components=tuple(c for a in answers.values() for c in a.components),
        facets=facets,
        facts={k: v for a in answers.values() for k, v in a.facts.items()},
    )


BEFORE = History(components={c.key: c for c in snapshot().components if c.state == "ok"}, facts=snapshot().facts, last_success=s.AT - timedelta(minutes=1))


def judge(shot: Snapshot, history: History = BEFORE, device: Device = DEVICE) -> list[Judgement]:
    return [j for rule in PLUGIN.rules for j in rule(shot, history, device)]


def faults(shot: Snapshot, history: History = BEFORE, device: Device = DEVICE) -> set[str]:
    return {f"{j.code}/{j.component}".rstrip("/") for j in judge(shot, history, device) if isinstance(j, Fault)}


def healthy(shot: Snapshot, history: History = BEFORE, device: Device = DEVICE) -> set[str]:
    return {f"{j.code}/{j.component}".rstrip("/") for j in judge(shot, history, device) if isinstance(j, Healthy)}


def row(name: str, *words: str) -> list[dict[str, Any]]:
    return [{"name": f"system.status.{name}", "stateList": list(words)}]


def test_a_fine_room_is_healthy_in_every_respect() -> None:
    assert faults(snapshot()) == set()
    codes = {j.code for j in judge(snapshot())}
    assert codes >= {spec.code for spec in PLUGIN.faults} - {f.LOG_FULL}


@pytest.mark.parametrize(
    ("name", "said", "severity"),
    [
        ("ipnetwork", "down", Severity.CRITICAL),
        ("mr.camera", "all_down", Severity.CRITICAL),
        ("mr.camera", "none_up", Severity.CRITICAL),
        ("mr.camera", "some_up", Severity.WARNING),
        ("mr.audio", "some_up", Severity.WARNING),
        ("trackablecamera", "down", Severity.CRITICAL),
        ("sipserver", "down", Severity.WARNING),
        ("gatekeeper", "down", Severity.WARNING),
        ("provisioning", "down", Severity.WARNING),
        ("globaldirectory", "down", Severity.WARNING),
        ("calendar", "down", Severity.WARNING),
        ("rowofnextyear", "down", Severity.WARNING),
    ],
)
def test_a_row_that_is_down_is_a_fault_of_that_row(name: str, said: str, severity: Severity) -> None:
    found = [j for j in judge(snapshot(status=row(name, said))) if isinstance(j, Fault)]
    assert [(j.code, j.component, j.severity) for j in found] == [(f.STATUS_DOWN, name, severity)]
    assert found[0].proof[0].raw == said


@pytest.mark.parametrize(
    ("name", "said"), [("calendar", "off"), ("gatekeeper", "unknown"), ("autoanswerp2p", "down"), ("remotecontrol", "down"), ("mr.audio", "resting")]
)
def test_what_is_off_unknown_or_a_setting_is_no_fault(name: str, said: str) -> None:
    assert faults(snapshot(status=row(name, said))) == set()


def test_an_unknown_word_is_not_health_either() -> None:
    assert f"{f.STATUS_DOWN}/mr.audio" not in healthy(snapshot(status=row("mr.audio", "resting")))


@pytest.mark.parametrize("mode", ["Teams", "Zoom", "camuvc", "Tencent"])
def test_registrations_mean_nothing_where_another_application_runs(mode: str) -> None:
    assert faults(snapshot(status=row("sipserver", "down"), mode=mode)) == set()
    unknown = snapshot(status=row("sipserver", "down"), failed="use")
    assert f"{f.STATUS_DOWN}/sipserver" not in {*faults(unknown), *healthy(unknown)}


def test_a_full_log_is_told_and_makes_no_case() -> None:
    assert faults(snapshot(status=row("logthreshold", "full"))) == {f.LOG_FULL}
    assert not next(spec for spec in PLUGIN.faults if spec.code == f.LOG_FULL).ticket


def without(serial: str) -> list[dict[str, Any]]:
    return [r for r in s.DEVICES if r["serialNumber"] != serial]


E70 = s.E70_ROW["serialNumber"]


def test_a_part_that_left_the_list_is_missing_and_the_fault_carries_it_as_last_known() -> None:
    found = [j for j in judge(snapshot(devices=without(E70))) if isinstance(j, Fault)]
    assert [(j.code, j.component) for j in found] == [(f.PERIPHERAL_MISSING, E70)]
    part = found[0].part
    assert part is not None
    assert (part.serial, part.model, part.firmware, part.kind) == (E70, "Poly Studio E70", "1.9.0", "camera")


@pytest.mark.parametrize("said", ["DISCONNECTED", "UNAVAILABLE", "GONEFISHING"])
def test_a_part_that_is_listed_and_not_connected_is_missing(said: str) -> None:
    rows = [*without(E70), {**s.E70_ROW, "deviceState": said, "softwareVersion": ""}]
    found = [j for j in judge(snapshot(devices=rows)) if isinstance(j, Fault)]
    assert [j.component for j in found] == [E70]
    assert found[0].part is not None
    assert found[0].part.firmware == "1.9.0"


@pytest.mark.parametrize("said", ["", "NA", "UPDATING"])
def test_a_part_whose_state_says_nothing_is_neither_missing_nor_healthy(said: str) -> None:
    shot = snapshot(devices=[*without(E70), {**s.E70_ROW, "deviceState": said}])
    assert f"{f.PERIPHERAL_MISSING}/{E70}" not in {*faults(shot), *healthy(shot)}


@pytest.mark.parametrize("changes", [{"failed": "peripherals"}, {"failed": "system"}, {"state": "UPDATING"}, {"state": "INITIALIZING"}, {"uptime": 120.0}])
def test_no_part_is_missed_while_the_list_is_not_known_or_the_codec_is_not_settled(changes: dict[str, Any]) -> None:
    shot = snapshot(devices=without(E70), **changes)
    assert not any(code.startswith(f.PERIPHERAL_MISSING) for code in {*faults(shot), *healthy(shot)})


def test_a_part_without_a_serial_is_never_missed() -> None:
    assert faults(snapshot(devices=[r for r in s.DEVICES if r["serialNumber"] or r["uid"] == "local-system"])) == set()


def test_a_part_never_seen_is_missed_only_if_it_was_declared() -> None:
    assert faults(snapshot(devices=without(E70)), History()) == set()
    declared = replace(DEVICE, settings=PolySettings.model_validate({"expect": [{"serial": E70.lower()}, {"model": "TC8"}]}))
    found = [j for j in judge(snapshot(devices=without(E70)), History(), declared) if isinstance(j, Fault)]
    assert [(j.code, j.component) for j in found] == [(f.PERIPHERAL_MISSING, E70.lower())]
    assert f"{f.PERIPHERAL_MISSING}/TC8" in healthy(snapshot(), History(), declared)


def test_one_missing_camera_is_one_fault_whatever_else_shows_it() -> None:
    rows = [*row("mr.camera", "some_up"), *row("trackablecamera", "up")]
    cameras = [{**c, "connected": False} for c in s.CAMERAS]
    assert faults(snapshot(devices=without(E70), status=rows, cameras=cameras)) == {f"{f.PERIPHERAL_MISSING}/{E70}"}


def test_one_broken_built_in_camera_is_one_fault() -> None:
    rows = [*row("mr.camera", "all_down"), *row("trackablecamera", "down")]
    cameras = [{**c, "connected": False} for c in s.CAMERAS]
    assert faults(snapshot(status=rows, cameras=cameras)) == {f"{f.STATUS_DOWN}/trackablecamera"}


def test_a_camera_that_is_no_longer_connected_is_a_fault_and_one_that_never_was_is_not() -> None:
    cameras = [{**c, "connected": False} for c in s.CAMERAS]
    assert faults(snapshot(cameras=cameras)) == {f"{f.CAMERA_DOWN}/camera:1"}
    assert faults(snapshot(cameras=cameras), History()) == set()
    assert faults(snapshot(cameras=cameras, state="ASLEEP")) == set()


def test_a_content_input_that_is_unplugged_is_no_fault() -> None:
    assert faults(snapshot(cameras=[{**c, "connected": c["cameraIndex"] == 1} for c in s.CAMERAS])) == set()


@pytest.mark.parametrize(
    ("lan", "bad"),
    [({"speedMbps": 100}, True), ({"duplex": "HALF"}, True), ({"speedMbps": 10000}, False), ({"speedMbps": 0}, False), ({"duplex": "AUTO"}, False)],
)
def test_a_slow_or_half_duplex_port_is_a_warning(lan: dict[str, Any], bad: bool) -> None:
    assert faults(snapshot(lanStatus={**s.SYSTEM["lanStatus"], **lan})) == ({f.LAN_DEGRADED} if bad else set())


def test_states_that_should_pass_are_faults_of_their_own_with_their_own_patience() -> None:
    assert faults(snapshot(state="UPDATING")) == {f.UPDATING_LONG}
    assert faults(snapshot(state="INITIALIZING")) == {f.NOT_READY}
    assert faults(snapshot(state="ASLEEP")) == faults(snapshot(state="MUSING")) == set()
    holds = {spec.code: spec.hold for spec in PLUGIN.faults}
    assert holds[f.UPDATING_LONG] == 45 * 60


def test_flags_are_told() -> None:
    assert faults(snapshot(rebootNeeded=True)) == {f.REBOOT_NEEDED}
    assert faults(snapshot(timeServerState="TIMESERVER_DOWN")) == {f.TIME_SERVER_DOWN}
    assert f.TIME_SERVER_DOWN not in healthy(snapshot(timeServerState="TIMESERVER_NAPPING"))


def test_a_codec_without_a_session_for_us_is_a_fault_and_another_failure_is_not() -> None:
    assert f.SESSIONS_FULL in faults(snapshot(failed="system", reason=Reason.SESSIONS_FULL))
    other = snapshot(failed="system", reason=Reason.TIMEOUT)
    assert f.SESSIONS_FULL not in {*faults(other), *healthy(other)}


@pytest.mark.parametrize(
    ("uptime_before", "uptime_now", "passed", "restarted"),
    [
        (86400.0, 86460.0, 60.0, False),
        (86400.0, 86401.0, 90.0, False),
        (86400.0, 30.0, 60.0, True),
        (86400.0, 30.0, 86400.0 * 3, True),
        (60.0, 120.0, 3600.0, True),
        (86400.0, 86400.0, 7200.0, False),
        (5.0, 65.0, 60.0, False),
    ],
)
def test_a_restart_is_told_by_the_start_time(uptime_before: float, uptime_now: float, passed: float, restarted: bool) -> None:
    before = snapshot(uptime=uptime_before + 0.0)
    earlier = s.AT - timedelta(seconds=passed)
    boot = round((earlier.timestamp() - uptime_before) / 60) * 60
    history = replace(BEFORE, facts={**before.facts, "boot": str(boot)}, last_success=earlier)
    assert ("device.rebooted" in faults(snapshot(uptime=uptime_now), history)) is restarted


def test_a_first_look_knows_of_no_restart() -> None:
    assert "device.rebooted" in healthy(snapshot(), History())


def test_restarts_in_the_update_hours_of_the_device_do_not_count() -> None:
    night = tuple(s.AT - timedelta(hours=h) for h in (6.0, 6.5, 7.0))  # 03:00, 02:30, 02:00 UTC; the device is an hour ahead
    assert "device.rebooting" in healthy(snapshot(), replace(BEFORE, reboots=night))
    day = tuple(s.AT - timedelta(hours=h) for h in (1.0, 1.5, 2.0))
    assert "device.rebooting" in faults(snapshot(), replace(BEFORE, reboots=day))
    old = tuple(s.AT - timedelta(hours=h) for h in (25.0, 26.0, 27.0))
    assert "device.rebooting" in healthy(snapshot(), replace(BEFORE, reboots=old))


@given(st.sampled_from(["system", "status", "peripherals", "cameras", "audio", "use"]), st.booleans())
def test_without_a_facet_nothing_that_hangs_on_it_is_judged(facet: str, asleep: bool) -> None:
    cameras = [{**c, "connected": False} for c in s.CAMERAS]
    shot = snapshot(devices=without(E70), status=row("mr.audio", "down"), cameras=cameras, failed=facet, state="ASLEEP" if asleep else "READY")
    judged = {j.code for j in judge(shot)}
    hanging = {
        "system": {f.LAN_DEGRADED, f.REBOOT_NEEDED, f.TIME_SERVER_DOWN, f.UPDATING_LONG, f.PERIPHERAL_MISSING, "device.rebooted"},
        "status": {f.STATUS_DOWN, f.LOG_FULL},
        "peripherals": {f.PERIPHERAL_MISSING},
        "cameras": {f.CAMERA_DOWN},
        "audio": {f.MICROPHONE_NONE},
        "use": set(),
    }
    assert not judged & hanging[facet]


@given(st.lists(st.tuples(st.sampled_from(["ipnetwork", "mr.audio", "mr.camera", "sipserver", "x"]), st.text(max_size=8)), max_size=6))
def test_rules_never_raise_and_judge_each_key_once(rows: list[tuple[str, str]]) -> None:
    shot = snapshot(status=json.loads(json.dumps([{"name": n, "stateList": [w]} for n, w in rows])))
    keys = [(j.code, j.component) for j in judge(shot)]
    assert len(keys) == len(set(keys))
    assert {j.code for j in judge(shot)} <= {spec.code for spec in PLUGIN.faults} | {"device.rebooted", "device.rebooting"}


def test_every_code_is_declared_with_both_languages() -> None:
    for spec in PLUGIN.faults:
        for text in (spec.title, spec.advice):
            assert text.en.strip()
            assert text.pl.strip()
            assert text.en != text.pl
    assert len({spec.code for spec in PLUGIN.faults}) == len(PLUGIN.faults)


def test_a_part_of_the_history_that_is_no_peripheral_is_not_missed() -> None:
    history = replace(BEFORE, components={**BEFORE.components, "x": Component(kind="application", key="x", state="ok")})
    assert faults(snapshot(), history) == set()
    assert rules.MANY_REBOOTS == 3
