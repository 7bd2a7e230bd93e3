"""Defects of the running daemon, one test each: its death by one device's trouble, its timer, its lock, its door."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent import app, lifetime
from agent.app import Daemon, find_house, poll_configured, read_config
from agent.errors import LatarnikError, StoreError
from agent.inventory import build
from agent.model import HttpCredential, Secret
from agent.polling.guard import StoredGuard
from agent.polling.scheduler import timer
from agent.polling.state import PollState
from agent.store.database import daemon_lock, open_store
from tests.agent import test_watch
from tests.agent.test_watch import PLUGIN, Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]

CONFIG = """
site: {name: krakow}
state_dir: STATE
polling: {concurrency: 1, timeout: 1s}
devices:
  - {id: gate-2, vendor: axis, host: 127.0.0.1, port: 1, snmp_port: 1}
"""


def config(folder: Path) -> Path:
    path = folder / "latarnik.yaml"
    path.write_text(CONFIG.replace("STATE", str(folder / "state")))
    return path


def make(folder: Path) -> Daemon:
    house = find_house()
    settings = read_config(config(folder), house)
    return Daemon(settings, house, build(settings), cast(Any, None), TurnedClock())


async def test_a_bug_in_the_work_of_one_device_does_not_end_the_daemon(tmp_path: Path) -> None:
    daemon = make(tmp_path)

    async def bug() -> None:
        raise KeyError("a bug")

    done = asyncio.Event()

    async def other() -> None:
        await asyncio.sleep(0.01)
        done.set()

    async with asyncio.TaskGroup() as group:
        daemon._group = group
        daemon.spawn("poll:a", bug())
        daemon.spawn("poll:b", other())
    assert done.is_set()


async def test_polls_that_wait_for_their_turn_do_not_pile_up(tmp_path: Path) -> None:
    """More dead devices than slots: each is waited for once, not once a minute."""
    daemon = make(tmp_path)
    polls: list[str] = []
    hold = asyncio.Event()

    async def poll(device: str) -> None:
        polls.append(device)
        if device == "dead":
            await hold.wait()

    watched = {name: SimpleNamespace(busy=False, state=PollState()) for name in ("dead", "gate-2")}
    daemon.watch = cast(Any, SimpleNamespace(watched=watched, poll=poll))
    async with asyncio.TaskGroup() as group:
        daemon._group = group
        await daemon.fire("dead")
        await asyncio.sleep(0)
        for _ in range(100):
            await daemon.fire("gate-2")
            await asyncio.sleep(0)
        hold.set()
    assert polls.count("gate-2") == 1


async def test_a_poll_asked_for_while_another_runs_gives_a_poll_and_no_assertion(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`latarnik poll DEVICE` right after the start: the first poll is under way, and there is no snapshot yet."""
    answer = asyncio.Event()

    async def slowly(toy: Toy) -> Toy:
        await answer.wait()
        return toy

    monkeypatch.setattr(test_watch, "PLUGIN", replace(PLUGIN, facets=(replace(PLUGIN.facets[0], fetch=slowly),)))
    with site(tmp_path / "site", plans, Toy(), TurnedClock()) as here:
        daemon = make(tmp_path)
        daemon.watch = here.watch
        first = asyncio.create_task(here.watch.poll("codec"))
        await asyncio.sleep(0)
        asked = asyncio.create_task(daemon.command_poll("codec"))
        await asyncio.wait([asked], timeout=0.1)
        answer.set()
        await first
        assert (await asked)["read"]


async def test_a_poll_without_the_daemon_keeps_others_out(tmp_path: Path) -> None:
    """Promises 1 and 2: two processes on one state folder would log in twice, and hold two sessions."""
    house = find_house()
    settings = read_config(config(tmp_path), house)
    async with daemon_lock(_folder(settings.state_dir)):
        with pytest.raises(LatarnikError):
            await poll_configured(settings, house, "gate-2")


async def test_a_login_whose_process_was_killed_is_not_tried_again_by_the_next_poll_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = find_house()
    settings = read_config(config(tmp_path), house)
    credential = HttpCredential(name="cameras", username="operator", password=Secret("wrong"))
    with open_store(_folder(settings.state_dir)) as store:
        await StoredGuard(store, TurnedClock()).before("gate-2", credential, "http")
        # kill -9 here, after the request went out
    allowed = []

    async def poll_once(device: Any, house: Any, services: Any, *_: Any) -> tuple[dict[str, Any], bool]:
        try:
            await services.guard.before("gate-2", credential, "http")
            allowed.append("http")
        except LatarnikError:
            pass
        return {}, True

    monkeypatch.setattr(app, "poll_once", poll_once)
    await poll_configured(settings, house, "gate-2")
    assert allowed == []


async def test_a_command_that_looks_whether_the_daemon_runs_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    """`latarnik list` takes the lock for a moment to see whether it is free; a start, or a reload, in that moment fails."""
    handle = os.open(tmp_path / "daemon.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    release = threading.Timer(0.2, os.close, [handle])
    release.start()
    try:
        async with daemon_lock(tmp_path):
            with pytest.raises(StoreError, match="another latarnik"):
                async with daemon_lock(tmp_path, patience=0):
                    raise AssertionError("two hold it")
    finally:
        release.join()


async def test_the_timer_goes_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site server whose hardware clock runs in local time: NTP sets it back by hours after the start."""
    step = timedelta()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + step

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Shifted)
    monkeypatch.setattr("apscheduler.executors.base.datetime", Shifted)
    monkeypatch.setattr("agent.polling.scheduler.datetime", Shifted)

    async def nothing(*_: Any) -> None: ...

    intervals: Mapping[str, float] = {}
    async with timer(intervals, nothing, nothing) as running:
        await asyncio.sleep(1.2)
        before = running.beats
        assert before
        step = timedelta(hours=-2)
        await asyncio.sleep(3.2)
        assert running.beats >= before + 2, f"stood still at {datetime.now(UTC)}"


async def test_a_reload_takes_the_configuration_that_was_found_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check at SIGHUP and the end of the old run lie up to 40 s in which the file may be saved again, half-written."""
    path = config(tmp_path)
    house = find_house()
    life = lifetime.Life(read_config(path, house), house)
    runs: list[Any] = []

    @asynccontextmanager
    async def running(settings: Any, *_: Any) -> AsyncIterator[Daemon]:
        runs.append(settings)
        yield Daemon(settings, house, build(settings), cast(Any, None), TurnedClock())

    async def run(daemon: Daemon, *_: Any) -> None:
        if len(runs) == 1:
            life.reload()
            path.write_text("site: {na")
        else:
            life.end()
        await daemon.stop.wait()

    monkeypatch.setattr(lifetime, "running", running)
    monkeypatch.setattr(Daemon, "run", run)
    monkeypatch.setattr(Daemon, "watch", SimpleNamespace(watched={}), raising=False)
    await life.daemons()
    assert len(runs) == 2
    assert runs[1] is not runs[0]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
