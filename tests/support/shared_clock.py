"""One clock for a test, its simulated devices and the real daemon under it: hours pass for all of them at once.

The daemon's process finds the clock's file beside its log: `forked(..., prepare=["tests.support.shared_clock:in_daemon"])`.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.ports import SystemClock

FILE = "clock"
_OFFSET = struct.Struct("d")


class SharedClock:
    """The system's clock, and the seconds by which it was turned: they stand in a file that all who share it have mapped."""

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        if not path.exists():
            path.write_bytes(_OFFSET.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFFSET.size)

    @property
    def _turned(self) -> float:
        turned: float = _OFFSET.unpack_from(self._shared)[0]
        return turned

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._turned)

    def monotonic(self) -> float:
        return time.monotonic() + self._turned

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def turn(self, seconds: float) -> None:
        _OFFSET.pack_into(self._shared, 0, self._turned + seconds)


def in_daemon() -> None:
    """In the daemon's process, whose output goes to its log: its clock is the one of that folder."""
    clock = SharedClock(Path("/proc/self/fd/1").readlink().parent)
    SystemClock.now = lambda _: clock.now()  # type: ignore[method-assign, assignment]
    SystemClock.monotonic = lambda _: clock.monotonic()  # type: ignore[method-assign, assignment]
