"""Places for work with devices. Whoever held one for long waits in a line of its own the next time, so that it holds up none of the others.

A device is in the fast lane until it is late: its work lasted as long as `patience`. From then on it waits for one of the few places of the slow
lane, until it is quick again; it may have one of the fast lane's too, while at least half of those are free and nobody waits for them. Both lanes
are first come, first served. Work that turns out late while it runs gives its fast place back and goes on in one of a number of spare places: so
those that hang for the first time, as many do after a power cut, hold nobody up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from agent.model import Device
from agent.ports import Clock


class Lane(StrEnum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(slots=True)
class _Line:
    """`running`: since when (monotonic) each has its place. `waiting`: in the order in which they came."""

    places: int
    running: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    def admit(self, key: str, waiting: dict[str, asyncio.Future[None]], now: float) -> None:
        """Give a place to this one, who waits there."""
        turn = waiting.pop(key)
        if not turn.done():  # else it was cancelled, and has not heard of it yet
            turn.set_result(None)
            self.running[key] = now


class Lanes:
    """`fast` and `slow` places, and `spare` ones for what turned out late; `patience` in seconds. One piece of work a key."""

    def __init__(self, *, fast: int, slow: int, spare: int, patience: float, clock: Clock) -> None:
        self._lines = {Lane.FAST: _Line(fast), Lane.SLOW: _Line(slow)}
        self._spare = spare
        self._moved: set[str] = set()
        self._patience = patience
        self._clock = clock
        self._late: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Whether it waits or runs."""
        return key in self._moved or any(key in line.running or key in line.waiting for line in self._lines.values())

    def lengths(self) -> Mapping[Lane, tuple[int, int]]:
        """How many run and how many wait, by lane."""
        moved = {Lane.FAST: 0, Lane.SLOW: len(self._moved)}
        return {lane: (len(line.running) + moved[lane], len(line.waiting)) for lane, line in self._lines.items()}

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Wait for a place and hold it. Not for a key that is in a lane already."""
        if key in self:
            raise ValueError(f"{key} is in a lane already")
        await self._enter(self._lines[Lane.SLOW if key in self._late else Lane.FAST], key)
        since = self._clock.monotonic()
        try:
            yield
        finally:
            if self._clock.monotonic() - since >= self._patience:
                self._late.add(key)
            else:
                self._late.discard(key)
            self._leave(key)

    def sweep(self) -> None:
        """Move what runs for too long out of the fast lane, as far as there are spare places. Called every second."""
        fast = self._lines[Lane.FAST]
        limit = self._clock.monotonic() - self._patience
        late = [key for key, since in fast.running.items() if since <= limit]
        for key in late[: self._spare - len(self._moved)]:
            del fast.running[key]
            self._moved.add(key)
        self._admit()

    async def _enter(self, line: _Line, key: str) -> None:
        turn = line.waiting[key] = asyncio.get_running_loop().create_future()
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if line.waiting.pop(key, None) is None:
                self._leave(key)  # the place had just been given to us
            raise

    def _leave(self, key: str) -> None:
        self._moved.discard(key)
        for line in self._lines.values():
            line.running.pop(key, None)
        self._admit()

    def _admit(self) -> None:
        """Everybody who may have a place now gets one."""
        now = self._clock.monotonic()
        fast, slow = self._lines[Lane.FAST], self._lines[Lane.SLOW]
        for line in (fast, slow):
            while line.waiting and len(line.running) < line.places:
                line.admit(next(iter(line.waiting)), line.waiting, now)
        while slow.waiting and len(fast.running) < fast.places // 2:
            fast.admit(next(iter(slow.waiting)), slow.waiting, now)


def poll_lanes(concurrency: int, timeout: float, clock: Clock) -> Lanes:
    """The lanes of the polls: `concurrency` places (at least two), a fifth of them for the late, and as many again to spare.

    `timeout` in seconds, for one answer of a device: a poll in which one did not come lasts as long.
    """
    slow = max(1, concurrency // 5)
    return Lanes(fast=max(1, concurrency - slow), slow=slow, spare=concurrency, patience=timeout, clock=clock)


TRANSFERS = 2
"""Files that are fetched at once from the devices of a site, beside two at most from late ones: an uplink has to bear them beside calls."""
TRANSFER_PATIENCE = 120.0
"""Seconds. A camera was seen to take 40 s for its report; what takes so much longer may take as long as its limit allows."""


class Transfers:
    """Whose turn it is to have a file of evidence fetched: one at a time a device, a few a site."""

    def __init__(self, clock: Clock) -> None:
        self._sites: dict[str, Lanes] = defaultdict(lambda: Lanes(fast=TRANSFERS, slow=1, spare=1, patience=TRANSFER_PATIENCE, clock=clock))
        self._devices: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def turn(self, device: Device) -> AsyncIterator[None]:
        """Around the transfer of one file."""
        async with self._devices[device.id], self._sites[device.site].place(device.id):
            yield

    def sweep(self) -> None:
        for lanes in self._sites.values():
            lanes.sweep()
