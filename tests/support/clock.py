"""A clock that tests turn by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class TurnedClock:
    """Starts on a Wednesday morning in Warsaw; `turn` moves both clocks and wakes sleepers whose time has come."""

    def __init__(self, start: datetime = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._mono = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._mono

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self._sleepers.append((self._mono + seconds, event))
        await event.wait()

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._mono += seconds
        due = [s for s in self._sleepers if s[0] <= self._mono]
        self._sleepers = [s for s in self._sleepers if s[0] > self._mono]
        for _, event in due:
            event.set()

    def set_wall(self, now: datetime) -> None:
        """Somebody set the wall clock."""
        self._now = now
