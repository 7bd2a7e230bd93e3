"""The watchdog is fed only while the event loop runs and the scheduler fires. The real timer, the real feeding, a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from agent.notify import Notifier, feed_watchdog
from agent.polling.scheduler import timer
from tests.support.processes import daemon
from tests.systemd.manager import Manager, manager
from tests.systemd.test_notify import configuration

FED = "WATCHDOG=1"
BEAT = 0.1
"""Seconds between two beats of the timer here; the real one beats once a second."""
EVERY = 0.3
"""Seconds between two feedings."""
SOON = 10.0


@dataclass
class Heart:
    """The daemon's loop and its timer, running in a thread of their own, so that the test can watch while they stand still."""

    loop: asyncio.AbstractEventLoop
    scheduler: AsyncIOScheduler
    end: asyncio.Event

    def call(self, what: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(what)


@contextmanager
def heart(systemd: Manager) -> Iterator[Heart]:
    made: list[Heart] = []
    started = threading.Event()

    async def nothing(_: str = "") -> None:
        pass

    async def beat() -> None:
        notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
        async with timer({"gate-1": 60.0}, nothing, nothing) as running:
            running._scheduler.reschedule_job("beat", trigger=IntervalTrigger(seconds=BEAT))
            made.append(Heart(asyncio.get_running_loop(), running._scheduler, asyncio.Event()))
            feeding = asyncio.create_task(feed_watchdog(notifier, EVERY, lambda: running.beats))
            started.set()
            await made[0].end.wait()
            feeding.cancel()
            if not made[0].scheduler.running:
                made[0].scheduler.start()  # `timer` shuts it down at its end

    thread = threading.Thread(target=lambda: asyncio.run(beat()))
    thread.start()
    try:
        assert started.wait(10)
        yield made[0]
    finally:
        if made:
            made[0].call(made[0].end.set)
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def systemd() -> Iterator[Manager]:
    with manager() as found:
        yield found


def test_it_is_fed_while_loop_and_scheduler_live(systemd: Manager) -> None:
    with heart(systemd):
        assert len(systemd.during(4 * EVERY)) >= 3


def test_a_blocked_event_loop_is_not_fed_for_until_it_runs_again(systemd: Manager) -> None:
    release = threading.Event()
    with heart(systemd) as running:
        systemd.until(FED, SOON)
        running.call(lambda: release.wait(30))  # one callback that does not return: the loop stands
        systemd.during(0.2)
        assert systemd.during(3 * EVERY) == []
        release.set()
        systemd.until(FED, SOON)


def test_a_scheduler_that_was_shut_down_is_never_fed_for_again(systemd: Manager) -> None:
    with heart(systemd) as running:
        systemd.until(FED, SOON)
        running.call(lambda: running.scheduler.shutdown(wait=False))
        systemd.during(EVERY + 0.3)  # its last beat may have come after the last feeding
        assert systemd.during(4 * EVERY) == []


def test_a_scheduler_that_stands_still_is_fed_for_again_only_when_it_fires_again(systemd: Manager) -> None:
    with heart(systemd) as running:
        systemd.until(FED, SOON)
        running.call(running.scheduler.pause)
        systemd.during(EVERY + 0.3)
        assert systemd.during(3 * EVERY) == []
        running.call(running.scheduler.resume)
        systemd.until(FED, SOON)
        assert len(systemd.during(4 * EVERY)) >= 2


def test_a_loop_that_runs_does_not_stand_in_for_a_scheduler_that_never_fired(systemd: Manager) -> None:
    """The first feeding belongs to the start; the second one needs a beat."""

    async def beatless() -> None:
        feeding = asyncio.create_task(feed_watchdog(Notifier({"NOTIFY_SOCKET": systemd.address}), 0.05, lambda: 0))
        await asyncio.sleep(0.5)
        feeding.cancel()

    asyncio.run(beatless())
    assert systemd.during(0.1) == [FED]


def test_the_real_daemon_feeds_it_and_a_stopped_one_does_not(tmp_path: Path) -> None:
    config, _ = configuration(tmp_path)
    every = 1.2  # more than the second between two beats
    with manager(tmp_path) as systemd:
        env = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": str(int(2_000_000 * every))}
        with daemon(config, tmp_path / "log", env=env) as running:
            systemd.until("READY=1")
            begun = time.monotonic()
            for _ in range(3):
                systemd.until(FED, SOON)
            assert time.monotonic() - begun >= every, "it is fed by the clock and not without pause"
            os.kill(running.child.pid, signal.SIGSTOP)
            try:
                systemd.during(0.1)
                assert systemd.during(2 * every) == []
            finally:
                os.kill(running.child.pid, signal.SIGCONT)
            systemd.until(FED, SOON)
            assert running.stop() == 0
