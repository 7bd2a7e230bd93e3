"""A new password is tried on one device before its fleet."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from agent.errors import Busy, LoginBlocked, Reason
from agent.polling.guard import PATIENCE, PAUSES, StoredGuard
from agent.store import queries
from agent.store.database import FILE, _alembic, _engine, open_store
from tests.agent.test_guard import NEW, OLD, accept, refuse, silence, state
from tests.support.clock import TurnedClock


async def settled() -> None:
    """Everything that can go on has gone on, up to work in the store's thread."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_others_wait_for_the_first_device_and_log_in_once_it_accepted(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("one", OLD, "http")
        others = [asyncio.create_task(guard.before(f"other-{n}", OLD, "http")) for n in range(5)]
        await settled()
        assert not any(task.done() for task in others)
        await guard.accepted("one", OLD, "http")
        async with asyncio.timeout(10):
            await asyncio.gather(*others)


async def test_a_refusal_holds_all_others_back_across_restarts_and_names_who_refused_and_the_remedy(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("one", OLD, "http")
        waiting = asyncio.create_task(guard.before("two", OLD, "http"))
        await settled()
        told = await guard.refused("one", OLD, "http", "401")
        assert told == "401; no device has accepted it yet"
        with pytest.raises(LoginBlocked, match="refused by one") as caught:
            await waiting
        assert caught.value.reason is Reason.AUTH_WAITS
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        guard = StoredGuard(store, clock)
        for device in ("two", "three"):
            expected = rf"'rooms' was refused by one at 2026-03-04 09:00 UTC, and no device has accepted it.*latarnik unblock {device}. to try it on {device}"
            with pytest.raises(LoginBlocked, match=expected) as caught:
                await guard.before(device, OLD, "http")
            assert caught.value.reason is Reason.AUTH_WAITS
            assert not guard.blocked(device)
        with pytest.raises(LoginBlocked) as caught:
            await guard.before("one", OLD, "http")
        assert caught.value.reason is Reason.AUTH_BLOCKED
        await guard.before("two", NEW, "http")


async def test_a_kill_during_the_trial_holds_the_fleet_back_too(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        await StoredGuard(store, clock).before("one", OLD, "http")
    with open_store(tmp_path) as store:
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        guard = StoredGuard(store, clock)
        with pytest.raises(LoginBlocked, match="was tried at one when the agent stopped") as caught:
            await guard.before("two", OLD, "http")
        assert caught.value.reason is Reason.AUTH_WAITS


@pytest.mark.parametrize("sent", [True, False])
async def test_an_outcome_that_is_unclear_passes_the_trial_to_the_next_device(tmp_path: Path, sent: bool) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("one", OLD, "http")
        second, third = (asyncio.create_task(guard.before(name, OLD, "http")) for name in ("two", "three"))
        await settled()
        await guard.unclear("one", OLD, "http", sent=sent)
        async with asyncio.timeout(10):
            await second
        await settled()
        assert not third.done()
        await guard.accepted("two", OLD, "http")
        async with asyncio.timeout(10):
            await third


async def test_who_waits_gives_up_after_the_time_out_and_its_next_question_does_not_wait_again(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("one", OLD, "http")
        waiting = asyncio.create_task(guard.before("two", OLD, "http"))
        await settled()
        clock.turn(PATIENCE)
        with pytest.raises(Busy, match="being tried at one first") as caught:
            await waiting
        assert caught.value.reason is Reason.AUTH_WAITS
        await guard.unclear("one", OLD, "http", sent=False)
        await guard.before("three", OLD, "http")
        with pytest.raises(Busy, match="being tried at three first"):
            await guard.before("two", OLD, "ssh")
        clock.turn(PATIENCE / 2)
        with pytest.raises(Busy, match="being tried at three first"):
            await guard.before("two", OLD, "ssh")
        await guard.unclear("three", OLD, "http", sent=False)
        await guard.before("two", OLD, "http")


async def test_who_waits_and_is_cancelled_stands_in_nobodys_way(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("one", OLD, "http")
        waiting = asyncio.create_task(guard.before("two", OLD, "http"))
        await settled()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await guard.unclear("one", OLD, "http", sent=False)
        for name in ("three", "two"):
            async with asyncio.timeout(10):
                await accept(guard, name)


async def test_a_credential_that_some_device_accepted_is_proven_for_good(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        await accept(StoredGuard(store, clock), "one")
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        assert "accepted by another device" in await refuse(guard, "two")
        await guard.before("three", OLD, "http")
        await guard.before("four", OLD, "http")
        assert await refuse(guard, "one") == "401"
    with open_store(tmp_path) as store:
        await StoredGuard(store, clock).before("five", OLD, "http")


async def test_refused_here_and_accepted_elsewhere_is_told_from_a_wrong_password(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        for name in ("one", "two", "three"):
            await accept(guard, name)
        expected = "accepted by 3 other devices, so the account is missing, locked or has another password or role on this one"
        assert await refuse(guard, "four") == f"401; {expected}"
        with pytest.raises(LoginBlocked, match=expected):
            await guard.before("four", OLD, "http")


async def test_unblock_chooses_the_device_that_is_tried_next_and_the_others_wait_for_it(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await refuse(guard, "one")
        done = await guard.unblock("two", [OLD, NEW])
        assert (done.forgotten, done.chosen) == (0, ("rooms",))
        with pytest.raises(LoginBlocked, match="to be tried at two next") as caught:
            await guard.before("three", OLD, "http")
        assert caught.value.reason is Reason.AUTH_WAITS
        assert guard.blocked("one")
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        with pytest.raises(LoginBlocked, match="to be tried at two next"):
            await guard.before("three", OLD, "http")
        await guard.before("two", OLD, "http")
        await guard.unclear("two", OLD, "http", sent=False)
        assert await state(store, "two") == "chosen"
        await accept(guard, "two")
        await accept(guard, "three")
        with pytest.raises(LoginBlocked, match="accepted by 2 other devices"):
            await guard.before("one", OLD, "http")
        assert (await guard.unblock("one", [OLD])).forgotten == 1
        await accept(guard, "one")


async def test_unblock_after_the_password_was_mended_on_the_device_that_refused_tries_it_there_and_nowhere_else(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await refuse(guard, "one")
        done = await guard.unblock("one", [OLD])
        assert (done.forgotten, done.chosen) == (1, ("rooms",))
        with pytest.raises(LoginBlocked, match="to be tried at one next"):
            await guard.before("two", OLD, "http")
        await refuse(guard, "one")
        with pytest.raises(LoginBlocked, match="refused by one"):
            await guard.before("two", OLD, "http")


async def test_unblock_of_a_device_with_which_nothing_is_wrong_changes_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        assert await guard.unblock("one", [OLD]) == queries.Unblocked(forgotten=0, chosen=())
        await accept(guard, "two")
        await accept(guard, "one")
        assert await guard.unblock("one", [OLD]) == queries.Unblocked(forgotten=0, chosen=())
        assert await state(store, "one") == "accepted"


async def test_unblock_waits_for_an_attempt_that_is_under_way_and_forgets_its_outcome_only(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, TurnedClock())
        await guard.before("one", OLD, "http")
        unblocking = asyncio.create_task(guard.unblock("one", [OLD]))
        await settled()
        assert await state(store, "one") == "trying", "its note stays, so that a kill would still be seen"
        await guard.refused("one", OLD, "http", "401")
        assert (await unblocking).forgotten == 1
        await guard.before("one", OLD, "http")


async def test_unblock_without_the_daemon_does_the_same_in_the_database(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        await refuse(StoredGuard(store, clock), "one")
        with store.transaction() as c:
            assert queries.unblock_logins(c, "two", {OLD.version: "rooms"}, clock.now()).chosen == ("rooms",)
        guard = StoredGuard(store, clock)
        with pytest.raises(LoginBlocked, match="to be tried at two next"):
            await guard.before("three", OLD, "http")
        await guard.before("two", OLD, "http")


async def test_silence_of_one_device_lets_the_next_try_and_once_that_accepted_the_first_is_tried_again(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await silence(guard, clock, device="one")
        with pytest.raises(LoginBlocked):
            await guard.before("one", OLD, "http")
        await accept(guard, "two")
        clock.turn(PAUSES[0])
        await accept(guard, "one")


def test_the_migration_takes_what_was_accepted_as_proven(tmp_path: Path) -> None:
    engine = _engine(tmp_path / FILE)
    with engine.connect() as connection:
        command.upgrade(_alembic(connection), "0001")
        rows = [
            ("a", "v1", "accepted", 20.0),
            ("b", "v1", "accepted", 10.0),
            ("c", "v1", "refused", 5.0),
            ("a", "v2", "refused", 1.0),
            ("b", "v3", "unanswered", 2.0),
        ]
        for device, version, word, at in rows:
            connection.execute(
                text("INSERT INTO logins (device, version, state, credential, way, at) VALUES (:d, :v, :s, 'rooms', 'http', :a)"),
                {"d": device, "v": version, "s": word, "a": at},
            )
        connection.commit()
    engine.dispose()
    with open_store(tmp_path) as store, store.transaction() as c:
        assert c.execute(text("SELECT version, device, at FROM proven")).fetchall() == [("v1", "b", 10.0)]
        assert [queries.load_version(c, v)[1] for v in ("v1", "v2", "v3")] == [True, False, False]
        assert {(login.device, login.version) for login in queries.blocked_logins(c)} == {("c", "v1"), ("a", "v2"), ("b", "v3")}


def test_the_migration_can_be_taken_back(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.transaction() as c:
        for device, word in (("a", "chosen"), ("b", "retrying"), ("c", "refused")):
            c.execute(
                text("INSERT INTO logins (device, version, state, credential, way, at) VALUES (:d, 'v', :s, 'rooms', 'http', 0)"), {"d": device, "s": word}
            )
    engine = _engine(tmp_path / FILE)
    with engine.connect() as connection:
        command.downgrade(_alembic(connection), "0001")
        connection.commit()
    engine.dispose()
    with sqlite3.connect(tmp_path / FILE) as raw:
        assert raw.execute("SELECT device, state FROM logins ORDER BY device").fetchall() == [("b", "accepted"), ("c", "refused")]
    raw.close()
