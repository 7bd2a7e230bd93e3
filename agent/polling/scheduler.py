"""When each device is polled. The only module that knows APScheduler: it is the timer, a TaskGroup owns what it starts."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

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


async def _keep_pace(scheduler: AsyncIOScheduler) -> None:
    """APScheduler counts by the wall clock: when that is set back, its jobs are moved back with it, or all would stand still for so long."""
    ahead = datetime.now(UTC).timestamp() - time.monotonic()
    while True:
        await asyncio.sleep(1)
        step = datetime.now(UTC).timestamp() - time.monotonic() - ahead
        ahead += step
        if step < -1.0:
            for job in scheduler.get_jobs():
                job.modify(next_run_time=job.next_run_time + timedelta(seconds=step))


@asynccontextmanager
async def timer(intervals: Mapping[str, float], fire: Callable[[str], Awaitable[None]], sweep: Callable[[], Awaitable[None]]) -> AsyncIterator[Timer]:
    """Fire `fire(device)` every `intervals[device]` seconds, starts spread, and `sweep()` every second.

    `fire` must only start work and return: APScheduler would drop the next start while it runs, and cancels it at the end.
    """
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
    running = Timer(scheduler)
    now = datetime.now(UTC)
    for device, interval in intervals.items():
        start = now + timedelta(seconds=spread(device, min(interval, FIRST_WITHIN)))
        scheduler.add_job(fire, IntervalTrigger(seconds=interval, start_date=start, timezone=UTC), args=[device], id=f"poll:{device}")
    scheduler.add_job(running._beat, IntervalTrigger(seconds=1, timezone=UTC), id="beat")  # noqa: SLF001 - its own
    scheduler.add_job(sweep, IntervalTrigger(seconds=1, timezone=UTC), id="sweep")
    scheduler.start()
    keeper = asyncio.create_task(_keep_pace(scheduler), name="timer")
    try:
        yield running
    finally:
        keeper.cancel()
        scheduler.shutdown(wait=False)
