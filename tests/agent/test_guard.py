"""Promise 1: at most one refused login per device and credential version, across ways in, restarts and kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.errors import LoginBlocked
from agent.model import HttpCredential, Secret
from agent.polling.guard import StoredGuard
from agent.store import queries
from agent.store.database import open_store
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
        await guard.before("other", OLD, "http")
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
        await store.run(lambda c: queries.forget_logins(c, "cam"))
        guard.forget("cam")
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


async def test_an_attempt_without_an_answer_to_the_credential_is_taken_back_and_another_versions_refusal_is_not(tmp_path: Path) -> None:
    clock = TurnedClock()
    with open_store(tmp_path) as store:
        guard = StoredGuard(store, clock)
        await guard.before("cam", OLD, "http")
        await guard.refused("cam", OLD, "http", "401")
        await guard.before("cam", NEW, "http")
        await guard.unclear("cam", NEW, "http")
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


def test_a_version_changes_with_the_password_and_does_not_show_it() -> None:
    assert OLD.version != NEW.version
    assert "first" not in OLD.version
    assert "first-password" not in repr(OLD)
