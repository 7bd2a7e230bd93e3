"""One session, kept warm, given back; and each refusal has its own behaviour. Against the simulated VideoOS, in turned time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import Busy, CollectError, LoginBlocked, LoginRefused, NotSupported, Reason, StoreError, Unreachable
from agent.model import Snapshot
from agent.ports import Vault
from agent.store.keep import PassingKeep
from collectors.poly import PLUGIN
from collectors.poly.collector import PolyCollector
from collectors.poly.session import ManagementSession, Visit
from collectors.poly.waits import ODD_WAITS
from collectors.transport import HttpAnswer, HttpConnection, open_transports
from simulator.poly import Exchange, Moment, Tuning
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


async def accepted_before(one: Room) -> None:
    """The device has let this credential in before: an attempt without an answer is no reason to stop for good."""
    async with another_run(one) as run:
        assert (await run.look()).ok("system")
    assert one.ours == 0


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


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_a_session_of_a_killed_run_that_the_device_forgot_is_no_hindrance(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile) as one:
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
        await accepted_before(one)
        async with killed_run(one) as first:
            with monkeypatch.context() as patch:
                patch.setattr(HttpConnection, "request", cut)
                assert reason(await first.look()) == Reason.TIMEOUT
            assert one.guard.said[2:] == ["before", "unclear, sent"]
            waiting = await first.look()
            assert (reason(waiting), waiting.reachable) == (Reason.SESSIONS_FULL, True)
        for _ in range(3):  # each start but the last is killed while it waits
            async with killed_run(one) as second:
                assert reason(await second.look()) == Reason.SESSIONS_FULL
        assert one.logins == 2
        async with another_run(one) as last:
            assert reason(await last.look(after=300.0)) == Reason.SESSIONS_FULL
            assert one.logins == 2
            assert (await last.look(after=200.0)).ok("system")
            assert (one.logins, one.ours) == (3, 1)


async def test_a_device_that_is_slow_to_refuse_gets_the_password_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert sent == 1
        assert one.guard.said == ["before", "unclear, sent"]


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
    """A vault whose disk is full from the n-th write on, until it has `room` again."""

    def __init__(self, real: Vault, after: int) -> None:
        self._real = real
        self._left = after
        self.room = False

    async def get(self, device: str) -> dict[str, str]:
        return await self._real.get(device)

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        self._left -= bool(values)
        if values and self._left < 0 and not self.room:
            raise StoreError("no space left on device")
        await self._real.put(device, values, synced=synced)


@pytest.mark.parametrize(
    ("password", "writes", "said", "then"),
    [
        (PASSWORD, 0, "unclear", Reason.BUG),
        (PASSWORD, 1, "accepted", Reason.BUG),
        ("nie-to-haslo", 0, "unclear", Reason.BUG),
        ("nie-to-haslo", 1, "refused", Reason.AUTH),
        ("full", 1, "unclear", Reason.SESSIONS_FULL),
    ],
)
async def test_with_a_full_disk_the_guard_is_told_once_and_nobody_waits_for_ever(tmp_path: Path, password: str, writes: int, said: str, then: Reason) -> None:
    async with room(tmp_path, "x50-tc8", password=PASSWORD if password == "full" else password) as one:
        if password == "full":
            await one.sim.switch("sessions_full", True)
        services = replace(one.services, vault=FullDisk(one.services.vault, writes))
        async with open_transports(services) as transports, asyncio.timeout(10):
            collector = PolyCollector(transports, services)
            async with collector.open(one.device) as visit:
                with pytest.raises(CollectError) as raised:
                    await PLUGIN.facets[0].fetch(visit.client)
            assert raised.value.reason == then
            assert one.guard.said == ["before", said]
            assert one.ours == 0
            if said != "refused":
                await one.guard.before("room-314", credential(password if password != "full" else PASSWORD), "ssh")


@pytest.mark.promise(2)
@pytest.mark.parametrize("profile", ALL_FIRMWARE)
@pytest.mark.parametrize("writes", range(4))
async def test_on_a_full_disk_there_is_no_session_or_it_is_given_back_at_once(
    tmp_path: Path, profile: str, writes: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with room(tmp_path, profile, ssh_enabled=False) as one:
        disk = FullDisk(one.services.vault, writes)
        full = replace(one, services=replace(one.services, vault=disk))
        async with killed_run(full) as run:
            for _ in range(10):
                await run.look()
                noted = (await one.services.vault.get("room-314")).get("session")
                # What the device has of ours the note names, or the next request to come gives it back.
                assert one.ours <= 1
                assert noted or not one.ours
            said = capfd.readouterr()
            full_now = writes < 2 or profile in {"g7500-e70", "x50-tc8"}
            assert ("session_note_not_written" in said.out + said.err) is full_now
            disk.room = True
            assert (await run.look(after=700.0)).ok("system")
            assert one.ours == 1
        async with another_run(one) as after:
            assert (await after.look()).ok("system")
        assert one.ours == 0
        assert one.sim.box.counters.max_sessions <= 1 + len(one.sim.sessions.listing())


DAMAGED = {
    "empty": b"",
    "cut short": b'{"session": "PSabc", "tok',
    "no JSON": b"\x00\xff\xfe session",
    "a list": b'["session", "PSabc"]',
    "a number": b'{"session": 5}',
    "nested": b'{"session": {"id": "PSabc"}}',
    "deep": b"[" * 60_000,
    "an id that would end the header": b'{"session": "PSabc\\r\\nX-Evil: 1", "version": "v"}',
    "of somebody else": b'{"colour": "blue"}',
    "a wrong time": b'{"login_started": "yesterday"}',
    "long": b" " * 100_000,
}


@pytest.mark.promise(2)
@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_note_is_said_and_its_session_waited_out_also_over_a_kill(tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with room(tmp_path, "x50-tc8") as one:
        async with killed_run(one) as first:
            assert (await first.look()).ok("system")
        (note,) = (tmp_path / "vault").iterdir()
        note.write_bytes(DAMAGED[damage])
        for _ in range(2):
            async with killed_run(one) as run:
                snapshot = await run.look()
                assert (reason(snapshot), snapshot.reachable) == (Reason.SESSIONS_FULL, True)
        said = capfd.readouterr()
        assert (said.out + said.err).count("session_note_unreadable") == 1
        assert one.logins == 1
        async with another_run(one) as last:
            assert (await last.look(after=660.0)).ok("system")
        assert (one.logins, one.ours) == (2, 0)


@pytest.mark.parametrize("status", [200, 204, 500, 502, 504])
async def test_an_odd_answer_to_a_login_may_have_opened_a_session_which_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    real = HttpConnection.request

    async def odd(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        answer = await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        return HttpAnswer(status=status, body=b"<html>", request=answer.request) if method == "POST" and path == "/rest/session" else answer

    async with room(tmp_path) as one:
        with monkeypatch.context() as patch:
            patch.setattr(HttpConnection, "request", odd)
            assert reason(await one.look()) == Reason.SESSIONS_FULL
        for _ in range(2):
            async with killed_run(one) as run:
                await run.look(after=200.0)
        assert (one.logins, one.ours) == (1, 1)
        async with another_run(one) as run:
            assert (await run.look(after=270.0)).ok("system")
            assert one.ours == 1


async def test_a_clock_that_is_set_neither_ends_a_wait_nor_prolongs_it(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8") as one:
        await one.sim.switch("sessions_full", True)
        await one.look()
        await one.sim.switch("sessions_full", False)
        one.clock.set_wall(one.clock.now() + timedelta(days=1))
        assert reason(await one.look(after=100.0)) == Reason.SESSIONS_FULL
        one.clock.set_wall(one.clock.now() - timedelta(days=3))
        assert reason(await one.look(after=100.0)) == Reason.SESSIONS_FULL
        async with killed_run(one) as run:  # its note lies days ahead
            assert reason(await run.look(after=100.0)) == Reason.SESSIONS_FULL
            assert (await run.look(after=2700.0)).ok("system")
            assert one.ours == 1


@pytest.mark.parametrize("away", [630.0, 900.0, 1500.0])
async def test_a_session_used_after_its_last_note_is_not_taken_to_be_gone_too_early(tmp_path: Path, away: float) -> None:
    async with room(tmp_path, "g7500-e70") as one:
        async with killed_run(one) as first:
            await first.look()
            kept = await one.services.vault.get("room-314")
            await first.look(after=250.0)
        await one.services.vault.put("room-314", kept)  # killed in the middle of the second poll
        async with another_run(one) as second:
            await second.look(after=away - 250.0)
            await second.look(after=661.0)
            assert (one.logins, one.ours) == (2, 1)
        assert one.sim.box.counters.max_sessions <= 2


async def test_two_visits_never_open_a_shell_beside_a_session(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.sim.switch("web_off", True)
        async with one.collector.open(one.device) as visit:
            whoami = next(f for f in PLUGIN.facets if f.name == "ssh_identity")
            await whoami.fetch(visit.client)
            assert one.ours == 1
            async with one.collector.open(one.device) as other:
                with pytest.raises(Busy, match="another SSH session of ours"):
                    await whoami.fetch(other.client)
            await one.sim.switch("web_off", False)
            assert reason(await one.look()) == Reason.SESSIONS_FULL
            assert one.logins == 0
        assert (await one.look()).ok("system")
        assert one.ours == 1


async def test_a_session_that_cannot_be_ended_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HttpConnection.request

    async def never(self: HttpConnection, method: str, path: str, **kwargs: object) -> HttpAnswer:
        if method == "DELETE":
            return HttpAnswer(status=405, body=b"", request=f"{method} {path}")
        return await real(self, method, path, **kwargs)  # type: ignore[arg-type]  # passed through as it came

    async with room(tmp_path) as one:
        await one.look()
        monkeypatch.setattr(HttpConnection, "request", never)
        assert reason(await one.look(after=400.0)) == Reason.SESSIONS_FULL
        await one.look(after=600.0)
        assert one.logins == 1
        assert (await one.look(after=61.0)).ok("system")
        assert one.ours == 1


@pytest.mark.parametrize("profile", ALL_FIRMWARE)
async def test_a_stray_refusal_of_a_logout_is_not_taken_for_a_session_that_is_gone(tmp_path: Path, profile: str) -> None:
    strays = 0

    async def stray(exchange: Exchange) -> int:
        nonlocal strays
        if exchange.moment is Moment.RECEIVED and exchange.method == "DELETE" and strays == 0:
            strays += 1
            return 403
        return 0

    async with room(tmp_path, profile, witness=stray) as one:
        others = len(one.sim.sessions.listing())
        await one.look()
        assert (await one.look(after=301.0)).ok("system")
        assert (strays, one.logins, one.ours) == (1, 2, 1)
        assert one.sim.box.counters.max_sessions == others + 1


async def test_a_request_that_the_connection_sent_twice_may_have_cost_the_token(tmp_path: Path) -> None:
    acted = 0

    async def cut_once(exchange: Exchange) -> int:
        nonlocal acted
        if exchange.moment is Moment.DONE and exchange.path == "/rest/system/status":
            acted += 1
            return -1 if acted == 2 else 0
        return 0

    async with room(tmp_path, "g7500-e70", witness=cut_once) as one:
        await one.look()
        lost = await one.look()
        assert reason(lost, "status") == Reason.SESSIONS_FULL
        assert (one.logins, one.ours) == (1, 1)
        assert (await one.look(after=661.0)).ok("status")
        assert one.ours == 1


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


async def test_a_download_that_the_device_does_not_have_costs_no_session(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70", tuning=Tuning(missing=frozenset({"/system/logs"}))) as one:
        await one.look()
        async with one.collector.open(one.device) as visit:
            item = next(i for i in PLUGIN.evidence if i.name == "poly-logs.tar")
            with pytest.raises(NotSupported):
                await anext(item.fetch(visit.client))
        assert (await one.look()).ok("system")
        assert (one.logins, one.ours) == (1, 1)
