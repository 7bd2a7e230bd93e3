"""When each device is polled. The only module that knows APScheduler: it is the timer, a TaskGroup owns what it starts."""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

FIRST_WITHIN = 10.0
"""Seconds over which the first polls are spread at most: a person who starts the agent waits for them."""


class Timer:
    """The running timer. `beats` grows each second: the watchdog sees by it that the timer lives."""

    def __init__(self, scheduler: AsyncIOScheduler) -> None:
        self._scheduler = scheduler
        self.beats = 0

    async def _beat(self) -> None:
        self.beats += 1

    def jobs(self) -> int:
        return len(self._scheduler.get_jobs())


def spread(device: str, over: float) -> float:
    """Where in `over` seconds this device's polls start: the same at every run, even over a fleet."""
    return (zlib.crc32(device.encode()) % 10_000) / 10_000 * over


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Every `interval` seconds from `start` on, both by the monotonic clock: a clock that is set moves no turn, and makes none up.

    APScheduler's own trigger counts by the wall clock, and walks through every turn of the time by which that was set forward.
    """

    def __init__(self, interval: float, start: float) -> None:
        self.interval = interval
        self.start = start

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        at = time.monotonic()
        turns = (at - self.start) / self.interval
        # What fires a little early (the clocks do not run alike) or late was the turn that is nearest.
        turn = math.ceil(turns) if previous_fire_time is None else math.floor(turns + 0.5) + 1
        return now + timedelta(seconds=self.start + max(turn, 0) * self.interval - at)


async def _keep_pace(scheduler: AsyncIOScheduler) -> None:
    """APScheduler looks at the wall clock to see what is due: when that is set back, all would stand still for so long."""
    ahead = datetime.now(UTC).timestamp() - time.monotonic()
    while True:
        await asyncio.sleep(1)
        step = datetime.now(UTC).timestamp() - time.monotonic() - ahead
        ahead += step
        if step < -1.0:
            now = datetime.now(UTC)
            for job in scheduler.get_jobs():
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))


@asynccontextmanager
async def timer(intervals: Mapping[str, float], fire: Callable[[str], Awaitable[None]], sweep: Callable[[], Awaitable[None]]) -> AsyncIterator[Timer]:
    """Fire `fire(device)` every `intervals[device]` seconds, starts spread, and `sweep()` every second.

    `fire` must only start work and return: APScheduler would drop the next start while it runs, and cancels it at the end.
    """
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
    running = Timer(scheduler)
    now = time.monotonic()
    for device, interval in intervals.items():
        scheduler.add_job(fire, Every(interval, now + spread(device, min(interval, FIRST_WITHIN))), args=[device], id=f"poll:{device}")
    scheduler.add_job(running._beat, Every(1.0, now), id="beat")  # noqa: SLF001 - its own
    scheduler.add_job(sweep, Every(1.0, now), id="sweep")
    scheduler.start()
    keeper = asyncio.create_task(_keep_pace(scheduler), name="timer")
    try:
        yield running
    finally:
        keeper.cancel()
        scheduler.shutdown(wait=False)
