"""Promise 1: at most one refused login per device and credential version, across ways in, restarts and kills."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection

from agent.errors import Busy, LoginBlocked, Reason, StoreError
from agent.model import Credential, HttpCredential, Secret
from agent.polling.guard import PAUSES, PassingGuard, StoredGuard
from agent.store import queries
from agent.store.database import Store, open_store
from tests.support.clock import TurnedClock

OLD = HttpCredential(name="rooms", username="admin", password=Secret("first-password"))
NEW = HttpCredential(name="rooms", username="admin", password=Secret("second-password"))


async def test_a_refusal_blocks_that_version_for_every_way_and_every_later_run(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        await guard.refused("cam", OLD, "http", "401")
        for way in ("http", "ssh", "snmp"):
            with pytest.raises(LoginBlocked) as caught:
                await guard.before("cam", OLD, way)
            assert "latarnik unblock cam" in caught.value.detail
            assert "first-password" not in str(caught.value)
        assert guard.blocked("cam")
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        with pytest.raises(LoginBlocked):
            await guard.before("cam", OLD, "http")
        await guard.before("cam", NEW, "http")


async def test_the_attempt_is_on_the_disk_before_it_is_made_and_an_unfinished_one_counts(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        await StoredGuard(store, clock).before("cam", OLD, "http")
        # The process dies here: nothing more is said.
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        guard = StoredGuard(store, clock)
        with pytest.raises(LoginBlocked, match="without an answer"):
            await guard.before("cam", OLD, "http")
        await guard.unblock("cam", [OLD])
        await guard.before("cam", OLD, "http")


async def test_what_was_accepted_needs_no_note_and_survives_a_kill(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        await guard.accepted("cam", OLD, "http")
        await guard.before("cam", OLD, "http")
        await guard.accepted("cam", OLD, "http")
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        await StoredGuard(store, clock).before("cam", OLD, "http")
        assert [await store.run(lambda c: queries.load_login(c, "cam", OLD.version))] != [None]
        assert await store.run(queries.blocked_logins) == []


async def test_an_attempt_without_an_answer_to_the_credential_is_taken_back_and_another_versions_refusal_is_not(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        await guard.refused("cam", OLD, "http", "401")
        await guard.before("cam", NEW, "http")
        await guard.unclear("cam", NEW, "http", sent=False)
        await guard.before("cam", NEW, "ssh")
        with pytest.raises(LoginBlocked):
            await guard.before("cam", OLD, "http")
        assert [login.version for login in await store.run(queries.blocked_logins)] == [OLD.version]


async def test_of_two_ways_in_at_once_one_tries_and_the_other_waits_for_its_outcome(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("cam", OLD, "http")
        second = asyncio.create_task(guard.before("cam", OLD, "ssh"))
        await asyncio.sleep(0)
        assert not second.done()
        await guard.refused("cam", OLD, "http", "401")
        with pytest.raises(LoginBlocked):
            await second


async def test_a_password_changed_on_the_device_is_refused_once_even_when_two_ways_go_in_at_once(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("cam", OLD, "http")
        await guard.accepted("cam", OLD, "http")
        await guard.before("cam", OLD, "http")
        second = asyncio.create_task(guard.before("cam", OLD, "ssh"))
        await asyncio.sleep(0)
        assert not second.done()
        await guard.refused("cam", OLD, "http", "401")
        with pytest.raises(LoginBlocked):
            await second


async def test_a_way_that_is_cancelled_in_the_middle_does_not_block_the_others_for_ever(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        attempts = [asyncio.create_task(guard.before("cam", OLD, "http")) for _ in range(3)]
        await asyncio.sleep(0)
        for attempt in attempts[1:]:
            attempt.cancel()
        await attempts[0]
        await guard.accepted("cam", OLD, "http")
        async with asyncio.timeout(5):
            await guard.before("cam", OLD, "ssh")
        assert not guard.blocked("cam")


async def silence(guard: PassingGuard, clock: TurnedClock, way: str = "http", device: str = "cam") -> None:
    """An attempt whose credential went out and got no answer, and the pause after it."""
    await guard.before(device, OLD, way)
    await guard.unclear(device, OLD, way, sent=True)
    clock.turn(PAUSES[-1])


async def accept(guard: PassingGuard, device: str, credential: Credential = OLD) -> None:
    await guard.before(device, credential, "http")
    await guard.accepted(device, credential, "http")


async def refuse(guard: PassingGuard, device: str, credential: Credential = OLD) -> str:
    await guard.before(device, credential, "http")
    return await guard.refused(device, credential, "http", "401")


async def state(store: Store, device: str = "cam") -> str:
    login = await store.run(lambda c: queries.load_login(c, device, OLD.version))
    return login.state if login else ""


async def test_a_credential_that_no_device_accepted_goes_out_once_without_an_answer_also_across_restarts(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        first = StoredGuard(store, clock)
        await silence(first, clock)
        assert await state(store) == "unanswered"
        for guard in (first, StoredGuard(store, clock)):
            with pytest.raises(LoginBlocked, match=r"no answer to 1 attempt,.*no device has accepted it yet.*latarnik unblock cam") as caught:
                await guard.before("cam", OLD, "ssh")
            assert caught.value.reason is Reason.AUTH_BLOCKED
            assert guard.blocked("cam")
        assert [login.device for login in await store.run(queries.blocked_logins)] == ["cam"]
        await accept(first, "cam", NEW)
        await first.unblock("cam", [OLD, NEW])
        assert not first.blocked("cam")
        await silence(first, clock)
        assert await state(store) == "unanswered"


async def test_one_that_another_device_accepted_goes_out_a_second_time_after_a_pause_and_no_more(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        await guard.unclear("cam", OLD, "http", sent=True)
        await accept(guard, "other")
        assert not guard.blocked("cam")
        with pytest.raises(Busy) as caught:
            await guard.before("cam", OLD, "ssh")
        assert (caught.value.reason, caught.value.retry_after) == (Reason.LOCKOUT, PAUSES[0])
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        guard = StoredGuard(store, clock)
        with pytest.raises(Busy, match=f"for {PAUSES[0]:.0f} s"):
            await guard.before("cam", OLD, "ssh")
        clock.turn(PAUSES[0])
        await silence(guard, clock)
        for later in (guard, StoredGuard(store, clock)):
            with pytest.raises(LoginBlocked, match="no answer to 2 attempts"):
                await later.before("cam", OLD, "http")
            assert later.blocked("cam")


async def test_a_pause_does_not_grow_when_somebody_sets_the_clock_back(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await accept(guard, "cam")
        await guard.before("cam", OLD, "http")
        await guard.unclear("cam", OLD, "http", sent=True)
        clock.set_wall(clock.now() - timedelta(days=1))
        with pytest.raises(Busy) as caught:
            await StoredGuard(store, clock).before("cam", OLD, "http")
        assert caught.value.retry_after == PAUSES[0]


async def test_unblock_ends_a_pause_at_once(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await accept(guard, "cam")
        await guard.before("cam", OLD, "http")
        await guard.unclear("cam", OLD, "http", sent=True)
        with pytest.raises(Busy):
            await guard.before("cam", OLD, "ssh")
        assert (await guard.unblock("cam", [OLD])).forgotten == 1
        await guard.before("cam", OLD, "http")


async def test_one_that_was_accepted_before_is_never_blocked_by_silence_but_tried_ever_more_seldom(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await accept(guard, "cam")
        for _ in range(2):
            for pause in (*PAUSES, PAUSES[-1]):
                await guard.before("cam", OLD, "http")
                await guard.unclear("cam", OLD, "http", sent=True)
                clock.turn(pause - 1)
                for one in (guard, StoredGuard(store, clock)):
                    with pytest.raises(Busy) as caught:
                        await one.before("cam", OLD, "http")
                    assert caught.value.retry_after == pytest.approx(1)
                clock.turn(1)
            await accept(guard, "cam")
        assert await state(store) == "accepted"


async def test_killed_in_the_first_attempts_of_many_runs_what_was_accepted_before_is_sent_as_seldom_as_to_a_device_that_is_silent(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        await accept(StoredGuard(store, clock), "cam")
        sent = []
        for _ in range(200):
            guard = StoredGuard(store, clock)
            try:
                await guard.before("cam", OLD, "http")
            except Busy:
                clock.turn(60)
                continue
            sent.append(clock.monotonic())
            # Killed here, and started again.
            await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        assert [round(later - earlier) for earlier, later in pairwise(sent)] == [180, 900, 2700, 2700, 2700, 2700][: len(sent) - 1]
        assert len(sent) > 4


async def test_what_was_not_sent_changes_nothing(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        for expected in ("", "unanswered", "accepted"):
            for _ in range(5):
                await guard.before("cam", OLD, "http")
                assert await state(store) == ("retrying" if expected == "accepted" else "trying")
                await guard.unclear("cam", OLD, "http", sent=False)
                assert await state(store) == expected
            if not expected:
                await silence(guard, clock)
                await accept(guard, "other")
            else:
                await accept(guard, "cam")
                guard = StoredGuard(store, clock)


async def test_a_kill_in_the_second_attempt_counts_as_a_refusal(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await silence(guard, clock)
        await accept(guard, "other")
        await guard.before("cam", OLD, "http")
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        with pytest.raises(LoginBlocked, match="the agent stopped"):
            await StoredGuard(store, clock).before("cam", OLD, "http")


@contextmanager
def held_write(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The next note is being written (first event is set) until it may go on (second event)."""
    begun, go = threading.Event(), threading.Event()
    real = queries.save_login

    def slow(c: Connection, login: queries.Login) -> None:
        begun.set()
        assert go.wait(5)
        real(c, login)

    with monkeypatch.context() as patch:
        patch.setattr(queries, "save_login", slow)
        yield begun, go


@pytest.mark.parametrize("earlier", ["", "unanswered"])
async def test_cancelled_while_the_note_is_written_no_attempt_stands_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: str) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        if earlier:
            await silence(guard, clock)
            await accept(guard, "other")
        with held_write(monkeypatch) as (begun, go):
            first = asyncio.create_task(guard.before("cam", OLD, "http"))
            assert await asyncio.to_thread(begun.wait, 5)
            for _ in range(2):
                first.cancel()
                await asyncio.sleep(0)
            assert not first.done()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await first
        assert await state(store) == earlier
        async with asyncio.timeout(5):
            await guard.before("cam", OLD, "ssh")


async def test_a_refusal_is_written_though_the_visit_is_cancelled_while_others_write(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("cam", OLD, "http")
        go = threading.Event()
        other = asyncio.create_task(store.run(lambda _c: go.wait(5)))
        await asyncio.sleep(0)
        told = asyncio.create_task(guard.refused("cam", OLD, "http", "401"))
        for _ in range(3):
            await asyncio.sleep(0)
        for _ in range(2):
            told.cancel()
            await asyncio.sleep(0)
        assert not told.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await told
        assert await other
        assert await state(store) == "refused"


@pytest.mark.parametrize("ended", ["refused", "unclear"])
async def test_an_end_that_cannot_be_written_is_known_all_the_same_and_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str) -> None:
    def full(c: Connection, login: queries.Login) -> None:
        raise StoreError("disk full")

    with open_store(tmp_path) as store:
        clock = TurnedClock()
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        with monkeypatch.context() as patch:
            patch.setattr(queries, "save_login", full)
            with pytest.raises(StoreError):
                await (guard.refused("cam", OLD, "http", "401") if ended == "refused" else guard.unclear("cam", OLD, "http", sent=True))
        async with asyncio.timeout(5):
            with pytest.raises(LoginBlocked):
                await guard.before("cam", OLD, "ssh")


async def test_a_guard_without_a_disk_keeps_the_same_rules_while_it_lives() -> None:
    clock = TurnedClock()
    guard = PassingGuard(clock)
    await guard.before("cam", NEW, "http")
    waiting = asyncio.create_task(guard.before("cam", NEW, "ssh"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await guard.refused("cam", NEW, "http", "401")
    with pytest.raises(LoginBlocked) as caught:
        await waiting
    assert "unblock" not in caught.value.detail
    await silence(guard, clock)
    with pytest.raises(LoginBlocked, match="no answer to 1 attempt"):
        await guard.before("cam", OLD, "http")


def test_a_version_changes_with_the_password_and_does_not_show_it() -> None:
    assert OLD.version != NEW.version
    assert "first" not in OLD.version
    assert "first-password" not in repr(OLD)
