"""One session, kept warm, given back; and each refusal has its own behaviour. Against the simulated VideoOS, in turned time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import CollectError, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import Snapshot
from agent.store.keep import PassingKeep
from collectors.poly import PLUGIN
from collectors.poly.collector import PolyCollector
from collectors.poly.session import ManagementSession, Visit
from collectors.poly.waits import ODD_WAITS
from collectors.transport import HttpAnswer, HttpConnection, open_transports
from simulator.poly import Tuning
from tests.poly.room import PASSWORD, Room, credential, room

ALL_FIRMWARE = ("x30-3.10", "x30", "x50-tc8", "g7500-e70")


def reason(snapshot: Snapshot, facet: str = "system") -> str:
    return snapshot.facets[facet].reason


@asynccontextmanager
async def another_run(one: Room, *, memory: PassingKeep | None = None) -> AsyncIterator[Room]:
    """A second start of the agent on the same disk, after a first that was killed: nothing of it was tidied up."""
    services = replace(one.services, memory=memory) if memory else one.services
    async with open_transports(services) as transports:
        collector = PolyCollector(transports, services)
        try:
            yield Room(
                sim=one.sim, ports=one.ports, device=one.device, clock=one.clock, services=services, guard=one.guard, collector=collector, history=one.history
            )
        finally:
            await collector.give_back()


@asynccontextmanager
async def killed_run(one: Room) -> AsyncIterator[Room]:
    """A run whose end is a kill: it gives nothing back."""
    async with open_transports(one.services) as transports:
        yield Room(
            sim=one.sim,
            ports=one.ports,
            device=one.device,
            clock=one.clock,
            services=one.services,
            guard=one.guard,
            collector=PolyCollector(transports, one.services),
        )


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_one_session_serves_many_visits_and_is_given_back_at_the_end(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile) as one:
        for _ in range(10):
            assert (await one.look()).ok("system")
        assert (one.logins, one.ours, one.sim.sessions.listing()[0]["clientType"]) == (1, 1, "WEB")
    assert one.ours == 0
    assert not list((tmp_path / "vault").iterdir())
    assert one.guard.said == ["before", "accepted"]
    assert one.sim.box.counters.changes == []


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_a_session_older_than_half_the_idle_timeout_is_renewed_and_never_doubled(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile) as one:
        others = len(one.sim.sessions.listing())
        await one.look()
        await one.look(after=299.0)
        assert one.logins == 1
        assert (await one.look(after=301.0)).ok("system")
        assert (one.logins, one.ours) == (2, 1)
        assert (await one.look(after=3600.0)).ok("system")
        assert (one.logins, one.ours) == (3, 1)
        assert one.sim.box.counters.max_sessions == others + 1


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_after_a_kill_the_next_start_gives_the_old_session_back_before_it_logs_in(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile) as one:
        others = len(one.sim.sessions.listing())
        async with killed_run(one) as first:
            await first.look()
            await first.look()
        assert one.ours == 1
        async with another_run(one) as second:
            assert (await second.look()).ok("system")
            assert one.ours == 1
        assert one.ours == 0
        assert one.sim.box.counters.requests["DELETE", "/rest/session"] == 2
        assert one.sim.box.counters.max_sessions == others + 1


async def test_a_session_of_a_killed_run_that_the_device_forgot_is_no_hindrance(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8") as one:
        async with killed_run(one) as first:
            await first.look()
        one.clock.turn(7200.0)
        async with another_run(one) as second:
            assert (await second.look()).ok("system")
            assert one.ours == 1


async def test_a_lost_token_after_a_kill_is_waited_out_not_fought(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70") as one:
        async with killed_run(one) as first:
            await first.look()
        kept = await one.services.vault.get("room-314")
        await one.services.vault.put("room-314", {**kept, "token": "0" * 32})
        async with another_run(one) as second:
            refused = await second.look(after=10.0)
            assert (reason(refused), refused.reachable, one.ours) == (Reason.SESSIONS_FULL, True, 1)
            await second.look(after=500.0)
            assert one.logins == 1
            assert (await second.look(after=160.0)).ok("system")
            assert one.ours == 1


async def test_a_login_whose_answer_is_lost_is_waited_out_also_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HttpConnection.request

    async def cut(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        answer = await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        if method == "POST" and path == "/rest/session":
            raise CollectError(Reason.TIMEOUT, "the answer was lost")
        return answer

    async with room(tmp_path) as one:
        async with killed_run(one) as first:
            with monkeypatch.context() as patch:
                patch.setattr(HttpConnection, "request", cut)
                assert reason(await first.look()) == Reason.TIMEOUT
            assert one.guard.said == ["before", "unclear, sent"]
            waiting = await first.look()
            assert (reason(waiting), waiting.reachable) == (Reason.SESSIONS_FULL, True)
        async with another_run(one) as second:
            assert reason(await second.look()) == Reason.SESSIONS_FULL
            assert one.logins == 1
            assert (await second.look(after=700.0)).ok("system")
            assert (one.logins, one.ours) == (2, 1)


async def test_a_device_that_is_slow_to_refuse_gets_the_password_twice_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0
    real = HttpConnection.request

    async def slow(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        nonlocal sent
        if method != "POST":
            return await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        sent += 1
        raise Unreachable(Reason.TIMEOUT, "no answer in time", sent=True)

    async with room(tmp_path, ssh_enabled=False) as one:
        monkeypatch.setattr(HttpConnection, "request", slow)
        for _ in range(10):
            snapshot = await one.look(after=3600.0)
        assert (reason(snapshot), snapshot.reachable) == (Reason.AUTH, True)
        assert sent == 2
        assert one.guard.said == ["before", "unclear, sent"] * 2


@pytest.mark.parametrize("gone", [True, False])
async def test_a_login_cancelled_in_the_middle_is_told_as_sent_when_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool) -> None:
    arrived = asyncio.Event()
    real = HttpConnection.request

    async def hang(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        if method != "POST":
            return await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        self.sent = gone
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with room(tmp_path) as one:
        monkeypatch.setattr(HttpConnection, "request", hang)
        task = asyncio.create_task(one.look())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.guard.said == ["before", "unclear, sent" if gone else "unclear"]
        assert ("login_started" in await one.services.vault.get("room-314")) is gone


class FullDisk:
    """A vault whose disk is full from the n-th write on."""

    def __init__(self, after: int) -> None:
        self._left = after

    async def get(self, device: str) -> dict[str, str]:
        return {}

    async def put(self, device: str, values: Mapping[str, str]) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("password", "writes", "said"),
    [(PASSWORD, 0, "unclear"), (PASSWORD, 1, "accepted"), ("nie-to-haslo", 0, "unclear"), ("nie-to-haslo", 1, "refused"), ("full", 1, "unclear")],
)
async def test_with_a_full_disk_the_guard_is_told_once_and_nobody_waits_for_ever(tmp_path: Path, password: str, writes: int, said: str) -> None:
    async with room(tmp_path, "x50-tc8", password=PASSWORD if password == "full" else password) as one:
        if password == "full":
            await one.sim.switch("sessions_full", True)
        services = replace(one.services, vault=FullDisk(writes))
        async with open_transports(services) as transports, asyncio.timeout(10):
            collector = PolyCollector(transports, services)
            async with collector.open(one.device) as visit:
                with pytest.raises(OSError, match="No space"):
                    await PLUGIN.facets[0].fetch(visit.client)
            assert one.guard.said == ["before", said]
            if said != "refused":
                await one.guard.before("room-314", credential(password if password != "full" else PASSWORD), "ssh")


async def test_one_session_that_cannot_be_given_back_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(tmp_path) as one, killed_run(one) as run:
        await run.look()
        other = replace(one.device, id="room-315")
        # The other has no session on the device; that it fails must not matter to the first.
        async with run.collector.open(other):
            pass
        real = ManagementSession.end

        async def end(self: ManagementSession, visit: Visit) -> None:
            if self.device.id == "room-315":
                raise OSError(28, "No space left on device")
            await asyncio.sleep(0.05)
            await real(self, visit)

        monkeypatch.setattr(ManagementSession, "end", end)
        await run.collector.give_back()
        assert one.ours == 0


async def test_a_wrong_password_is_tried_once_whatever_the_firmware_says_of_it(tmp_path: Path) -> None:
    for profile in ALL_FIRMWARE:
        async with room(tmp_path / profile, profile, password="nie-to-haslo") as one:
            snapshot = await one.look()
            assert (reason(snapshot), snapshot.reachable) == (Reason.AUTH, True), profile
            later = await one.look(after=4000.0)
            assert (reason(later), later.reachable) == (Reason.AUTH, True)
            assert one.sim.box.counters.logins_refused.total() == 1, profile
            assert one.guard.said == ["before", "refused"]


async def test_a_new_password_replaces_the_session_of_the_old_one(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.look()
        one.sim.box.password = "Nowe-haslo-9"
        one.device = replace(one.device, credentials={"http": credential("Nowe-haslo-9")})
        assert (await one.look()).ok("system")
        assert (one.logins, one.ours) == (2, 1)


async def test_a_full_session_table_is_its_own_fault_and_is_left_alone_for_the_idle_timeout(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8") as one:
        await one.sim.switch("sessions_full", True)
        snapshot = await one.look()
        assert (reason(snapshot), snapshot.reachable) == (Reason.SESSIONS_FULL, True)
        assert "poly.sessions_full" in one.faults
        for _ in range(8):
            assert (await one.look()).reachable
        assert one.logins == 1
        assert one.guard.said == ["before", "unclear"]
        await one.sim.switch("sessions_full", False)
        await one.look(after=130.0)
        assert "poly.sessions_full" in one.healthy
        assert one.ours == 1


async def test_a_locked_port_is_not_knocked_at(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        door = one.sim._door
        for _ in range(10):
            door.let_in("http", "admin", "wrong")
        refusals = one.sim.box.counters.logins_refused["http"]
        assert reason(await one.look(after=1.0)) == Reason.LOCKOUT
        assert reason(await one.look(after=30.0)) == Reason.LOCKOUT
        assert one.sim.box.counters.logins_refused["http"] == refusals + 1
        async with another_run(one) as second:
            assert reason(await second.look(after=10.0)) == Reason.LOCKOUT
            assert one.logins == 1
        assert (await one.look(after=60.0)).ok("system")


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_a_session_lost_in_between_is_replaced_once(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile) as one:
        await one.look()
        one.sim.sessions.end_all(location="127.0.0.1")
        one.sim.sessions.end_all(location=one.sim.address)
        assert one.ours == 0
        snapshot = await one.look()
        assert snapshot.ok("system")
        assert (one.logins, one.ours) == (2, 1)


async def test_a_path_this_account_may_not_read_costs_one_new_login_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HttpConnection.request

    async def forbid(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        answer = await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        return replace(answer, status=403) if path == "/rest/audio" else answer

    async with room(tmp_path) as one:
        monkeypatch.setattr(HttpConnection, "request", forbid)
        for _ in range(5):
            snapshot = await one.look(after=290.0)
            assert snapshot.ok("system")
            assert reason(snapshot, "audio") == Reason.FORBIDDEN
        assert one.logins == 2


async def test_a_refusal_without_a_reason_is_a_device_that_starts_until_it_is_so_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def bare(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        nonlocal sent
        self.requests += 1
        if method == "POST":
            sent += 1
        return HttpAnswer(status=403, body=b"<html><body>403</body></html>", request=f"{method} {path}")

    async with room(tmp_path) as one:
        monkeypatch.setattr(HttpConnection, "request", bare)
        for n, wait in enumerate(ODD_WAITS, 1):
            assert reason(await one.look()) == Reason.BOOTING
            assert sent == n
            assert reason(await one.look(after=wait - 30)) == Reason.BOOTING
            assert sent == n
        refused = await one.look()
        assert reason(refused) == Reason.AUTH
        assert one.guard.said == ["before", "unclear"] * 3 + ["before", "refused"]
        await one.look(after=90_000.0)
        assert sent == 4


async def test_another_clients_session_of_this_machine_is_never_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HttpConnection.request

    async def active(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        if method == "POST" and path == "/rest/session":
            self.requests += 1
            return HttpAnswer(status=412, body=b'{"success":false,"reason":"SessionAlreadyActive"}', request="POST /rest/session")
        return await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came

    async with room(tmp_path) as one:
        monkeypatch.setattr(HttpConnection, "request", active)
        assert reason(await one.look()) == Reason.SESSIONS_FULL
        await one.look()
        assert one.sim.box.counters.requests["DELETE", "/rest/session"] == 0


async def test_a_restart_of_the_device_costs_one_new_login(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70", tuning=Tuning(refuse_for=60.0, boot_for=180.0)) as one:
        await one.look()
        await one.sim.switch("reboot", True)
        down = await one.look(after=30.0)
        assert (down.reachable, reason(down)) == (False, Reason.RESET)
        starting = await one.look(after=90.0)
        assert starting.reachable
        assert one.faults <= {"poly.not_ready", "device.rebooted"}
        assert (await one.look(after=900.0)).ok("peripherals")
        assert one.ours == 1
        assert one.sim.box.counters.logins_refused.total() == 0


async def test_ssh_is_not_opened_beside_a_session_that_may_still_live(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.look()
        await one.sim.switch("web_off", True)
        first = await one.look()
        assert reason(first, "ssh_identity") == Reason.SESSIONS_FULL
        assert not first.reachable
        assert one.ours == 1


async def test_the_password_goes_over_plain_http_only_when_told_so(tmp_path: Path) -> None:
    async with room(tmp_path, ssh_enabled=False) as one:
        one.device = replace(one.device, scheme="http", port=one.ports.http)
        assert reason(await one.look()) == Reason.WEAKER_SCHEME
        assert one.logins == 0


async def test_a_stop_with_a_device_that_is_gone_leaves_the_note_for_the_next_start(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.look()
        one.sim.powered = False
    assert (await one.services.vault.get("room-314"))["session"]


async def test_what_is_raised_and_kept_never_shows_the_password(tmp_path: Path) -> None:
    async with room(tmp_path, password="nie-to-haslo") as one:
        snapshot = await one.look()
        assert "nie-to-haslo" not in repr(snapshot)
        for file in (tmp_path / "vault").glob("*"):
            assert "nie-to-haslo" not in file.read_text()
    assert PASSWORD not in repr(one.device)


async def test_a_download_rides_on_the_warm_session_while_polls_go_on(tmp_path: Path) -> None:
    for profile in ALL_FIRMWARE:
        async with room(tmp_path / profile, profile, tuning=Tuning(log_seconds=0.3, log_bytes=400_000)) as one:
            await one.look()
            size = 0
            async with one.collector.open(one.device) as visit:
                item = next(i for i in PLUGIN.evidence if i.name == "poly-logs.tar")
                async for piece in item.fetch(visit.client):
                    if size == 0:
                        assert (await one.look()).ok("system")
                    size += len(piece)
            assert size > 300_000
            assert (await one.look()).ok("system")
            assert (one.logins, one.ours) == (1, 1), profile


async def test_the_errors_of_a_blocked_login_are_the_agents_own(tmp_path: Path) -> None:
    async with room(tmp_path, password="nie-to-haslo") as one:
        for kind in (LoginRefused, LoginBlocked):
            async with one.collector.open(one.device) as visit:
                with pytest.raises(kind):
                    await PLUGIN.facets[0].fetch(visit.client)


async def test_cancelling_a_visit_leaves_no_turn_taken(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8", tuning=Tuning(log_seconds=5.0, log_bytes=400_000)) as one:
        await one.look()
        async with one.collector.open(one.device) as visit:
            item = next(i for i in PLUGIN.evidence if i.name == "poly-logs.tar")
            pieces = item.fetch(visit.client)
            await anext(pieces)
            await pieces.aclose()
        assert (await one.look()).ok("system")
