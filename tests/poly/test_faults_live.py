"""Each fault of the simulated codec, switched on and off: what the whole collector makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import Reason
from agent.model import CheckAnswer, Severity
from agent.ports import SystemClock
from collectors.poly import PLUGIN
from simulator.poly import Tuning
from tests.poly.room import Room, room

# fault of the simulator, profile, what must be judged while it is on (all of it), and what must stay silent
ON_AND_OFF = [
    ("mic_lost", "x30", {"poly.status.down/mr.audio"}),
    ("mic_lost", "g7500-e70", {"poly.status.down/mr.audio"}),
    ("camera_down", "x30", {"poly.status.down/trackablecamera"}),
    ("sip_down", "x30", {"poly.status.down/sipserver"}),
    ("sip_down", "x50-tc8", set()),
    ("provisioning_down", "x30", {"poly.status.down/provisioning"}),
    ("log_full", "x30", {"poly.log.full"}),
    ("lan_100", "x30", {"poly.lan.degraded"}),
    ("lan_half", "x70", {"poly.lan.degraded"}),
    ("updating", "x30", {"poly.updating_long"}),
    ("reboot_needed", "x52", {"poly.reboot_needed"}),
    ("time_server_down", "x30", {"poly.time_server.down"}),
    ("asleep", "x30", set()),
    ("asleep", "g7500-e70", set()),
    ("in_call", "x30", set()),
    ("in_meeting", "x50-tc8", set()),
    ("device_mode", "x30", set()),
    ("device_mode", "x70", set()),
    ("html_errors", "x30", set()),
]


@pytest.mark.parametrize(("fault", "profile", "expected"), ON_AND_OFF)
async def test_a_fault_is_seen_while_it_is_on_and_healthy_before_and_after(tmp_path: Path, fault: str, profile: str, expected: set[str]) -> None:
    async with room(tmp_path, profile) as one:
        for _ in range(2):
            await one.look()
            assert one.faults == set()
        assert expected <= one.healthy
        await one.sim.switch(fault, True)
        for _ in range(7):
            await one.look()
            assert one.faults <= expected, fault
        assert one.faults == expected
        await one.sim.switch(fault, False)
        for _ in range(7):
            await one.look()
        assert one.faults == set()
        assert expected <= one.healthy
        assert one.sim.box.counters.changes == []
        assert one.ours == 1


@pytest.mark.parametrize(("fault", "profile", "product"), [("e70_unplugged", "g7500-e70", "E70"), ("tc8_lost", "x30", "TC8"), ("tc8_lost", "x52", "TC10")])
async def test_a_missing_part_is_reported_once_with_its_own_serial_model_and_firmware(tmp_path: Path, fault: str, profile: str, product: str) -> None:
    async with room(tmp_path, profile) as one:
        await one.look()
        serial = one.sim.box.e70_serial if product == "E70" else one.sim.box.panel_serial
        key = f"poly.peripheral.missing/{serial}"
        assert key in one.healthy
        await one.sim.switch(fault, True)
        for _ in range(7):
            await one.look()
            assert one.faults == {key}
        part = one.fault("poly.peripheral.missing").part
        assert part is not None
        assert (part.serial, product in part.model, bool(part.firmware)) == (serial, True, True)
        await one.sim.switch(fault, False)
        for _ in range(7):
            await one.look()
        assert one.faults == set()
        assert key in one.healthy


async def test_a_part_that_was_declared_and_never_seen_is_missed(tmp_path: Path) -> None:
    settings = {"expect": [{"model": "Studio E70"}, {"serial": "8L2342ABCDEFGK"}, {"model": "TC8"}]}
    async with room(tmp_path, "x30", settings=settings) as one:
        await one.look()
        assert one.faults == {"poly.peripheral.missing/Studio E70", "poly.peripheral.missing/8L2342ABCDEFGK"}
        assert "poly.peripheral.missing/TC8" in one.healthy
    async with room(tmp_path / "e70", "g7500-e70", settings={"expect": [{"model": "Studio E70"}]}) as one:
        await one.look()
        assert "poly.peripheral.missing/Studio E70" in one.healthy
        await one.sim.switch("e70_unplugged", True)
        await one.look()
        assert one.faults == {f"poly.peripheral.missing/{one.sim.box.e70_serial}"}


async def test_the_use_of_a_room_is_known_only_where_the_running_application_says_so(tmp_path: Path) -> None:
    for profile, fault, use in (("x30", "in_call", True), ("x50-tc8", "in_meeting", True), ("x70", "device_mode", None), ("x30", "device_mode", None)):
        async with room(tmp_path / f"{profile}{fault}", profile) as one:
            assert (await one.look()).in_use is False
            await one.sim.switch(fault, True)
            assert (await one.look()).in_use is use
            assert one.state.in_use is use
            await one.sim.switch(fault, False)
            assert (await one.look()).in_use is False


async def test_nothing_heavy_is_asked_of_a_room_in_a_call(tmp_path: Path) -> None:
    async with room(tmp_path, "x30") as one:
        await one.sim.switch("in_call", True)
        for _ in range(10):
            await one.look()
        asked = one.sim.box.counters.requests
        assert asked["GET", "/rest/cameras/near/all"] == 0
        assert asked["GET", "/rest/system/status"] == 10
        heavy = {f.name for f in PLUGIN.facets if not f.light} | {e.name for e in PLUGIN.evidence if not e.light}
        assert heavy == {"cameras", "poly-traceroute.json", "poly-config.xml", "poly-logs.tar"}


async def test_a_restart_is_seen_once_and_judges_no_part_while_the_codec_comes_up(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70") as one:
        await one.look()
        await one.sim.switch("reboot", True)
        seen: list[str] = []
        for _ in range(20):
            await one.look()
            seen += [x for x in one.faults if x != "poly.not_ready"]
            assert one.faults <= {"poly.not_ready", "device.rebooted"}
        assert seen == ["device.rebooted"]
        assert len(one.history.reboots) == 1
        assert one.ours == 1


async def test_three_restarts_outside_the_update_hours_are_trouble_and_inside_are_not(tmp_path: Path) -> None:
    for window, expected in (("01:00-05:00", True), ("09:30-13:00", False), ("", True)):
        async with room(tmp_path / f"w{window[:2]}", "x30", settings={"update_window": window}) as one:
            await one.look()
            for _ in range(3):
                one.sim.reboot()
                await one.look(after=900.0)
                assert "device.rebooted" in one.faults
            assert ("device.rebooting" in one.faults) is expected
            assert len(one.history.reboots) == 3


async def test_a_codec_that_never_finishes_starting_is_reported_as_that_and_nothing_else(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70", uptime=0.0) as one:
        await one.sim.switch("booting_stays", True)
        for _ in range(25):
            snapshot = await one.look()
        assert one.faults == {"poly.not_ready"}
        assert "unsupported" not in {o.status.value for o in snapshot.facets.values()}
        await one.sim.switch("booting_stays", False)
        await one.look()
        await one.look()
        assert one.faults == set()


async def test_a_missing_interface_while_starting_is_asked_again_soon(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8", uptime=100.0) as one:
        starting = await one.look(after=1.0)
        assert starting.facets["audio"].status.value == "failed"
        assert (await one.look(after=900.0)).ok("audio")


async def test_a_dead_device_is_not_reachable_and_judges_nothing_but_that(tmp_path: Path) -> None:
    async with room(tmp_path, "x30") as one:
        await one.look()
        one.sim.powered = False
        for _ in range(3):
            snapshot = await one.look()
            assert not snapshot.reachable
            assert (one.faults, one.healthy) == (set(), set())


async def test_an_answer_that_never_came_leaks_no_session_where_the_token_may_have_been_lost_with_it(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70", tuning=Tuning(slow_by=1.5), ssh_enabled=False, timeout=0.5) as one:
        others = len(one.sim.sessions.listing())
        await one.look()
        await one.sim.switch("slow", True)
        snapshot = await one.look()
        assert (snapshot.facets["system"].reason, snapshot.reachable) == (Reason.TIMEOUT, False)
        await one.sim.switch("slow", False)
        for _ in range(5):
            snapshot = await one.look()
            assert snapshot.ok("system") or snapshot.facets["system"].reason == Reason.SESSIONS_FULL
        assert (await one.look(after=600.0)).ok("system")
        assert one.sim.box.counters.max_sessions == others + 1


async def test_with_the_web_interface_off_ssh_still_tells_who_it_is(tmp_path: Path) -> None:
    async with room(tmp_path, "x30") as one:
        await one.sim.switch("web_off", True)
        _sleep_really(one)
        snapshot = await one.look()
        assert snapshot.identity.serial == one.sim.box.serial
        assert (snapshot.identity.model, snapshot.identity.firmware.startswith("3.12.0")) == ("StudioX30", True)
        assert snapshot.ok("ssh_status")
        assert (snapshot.reachable, snapshot.in_use) == (True, None)
        assert one.faults == set()
        await one.sim.switch("web_off", False)
        after = await one.look()
        assert after.ok("system")
        assert "ssh_identity" not in after.facets
        assert one.sim.box.counters.changes == []


def _sleep_really(one: Room) -> None:
    one.clock.sleep = SystemClock().sleep  # type: ignore[method-assign]  # the pause between two commands is real


async def test_the_snapshot_feeds_only_declared_metrics(tmp_path: Path) -> None:
    from agent.catalogue import READING_METRICS

    specs = {spec.name: spec for spec in (*READING_METRICS, *PLUGIN.metrics)}
    for profile in ("x30", "x70", "g7500-e70"):
        async with room(tmp_path / profile, profile) as one:
            snapshot = await one.look()
            for reading in snapshot.readings:
                spec = specs[reading.metric]
                assert len(reading.labels) == len(spec.labels), reading
                assert (reading.value is None) == bool(spec.states), reading
                assert not spec.states or reading.state in (*spec.states, "unknown")
            assert len({(r.metric, r.labels) for r in snapshot.readings}) == len(snapshot.readings)


async def test_the_checklist_answers_what_the_desk_verifies(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70") as one:
        await one.look()
        await one.sim.switch("e70_unplugged", True)
        snapshot = await one.look()
        fault = one.fault("poly.peripheral.missing")
        assert fault.severity is Severity.CRITICAL
        checks = {c.id: c for c in PLUGIN.checklist(snapshot, one.history, fault, one.device)}
        assert (checks["serial"].answer, checks["serial"].detail.en) == (CheckAnswer.YES, one.sim.box.e70_serial)
        assert checks["firmware"].detail.pl == "1.9.0"
        assert checks["contract"].answer is CheckAnswer.NO
        assert checks["network"].answer is CheckAnswer.YES
        assert checks["power"].answer is CheckAnswer.NOT_CHECKED
        assert checks["restart"].answer is CheckAnswer.NO
        blind = {c.id: c for c in PLUGIN.checklist(None, one.history, fault, one.device)}
        assert {blind[k].answer for k in ("network", "link", "restart")} == {CheckAnswer.NOT_CHECKED}
        for check in checks.values():
            assert check.question.en
            assert check.question.pl
