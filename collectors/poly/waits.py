"""How long the management session waits, and for what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.errors import Busy, Reason
from agent.ports import Clock, Memory

LOCKOUT_WAIT = 90.0
"""Seconds without a login after SessionPortLockout: the shortest lock a device can be set to is 60."""
LATER_WAIT = 60.0
HEAD_WAIT = 2.0
"""Seconds that other requests give way to a download: until its request is surely with the device, which may take minutes to pack the file."""
ODD_WAITS = (180.0, 900.0, 2700.0)
"""A refusal without a reason is tried again after these. A restart takes about 3 minutes; ten failures in a row can lock the port."""
SLACK = 60.0
"""Seconds beyond the idle time-out before a session of which we know nothing is taken to be gone: a device may open it some time after we
gave up on its answer, and may look for idle ones only once a minute."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No login before `until` (monotonic: a wall clock that is set must neither end nor prolong it)."""

    until: float
    reason: Reason
    detail: str


class Patience:
    """The wait of one device. What the device asked for outlasts a restart."""

    def __init__(self, device: str, memory: Memory, clock: Clock) -> None:
        self._device = device
        self._memory = memory
        self._clock = clock
        self._wait: Wait | None = None

    def recall(self, facts: Mapping[str, str], *, longest: float) -> None:
        """Go on with the wait that an earlier run noted: at most `longest` seconds, for the wall clock may have been set back since."""
        until, now = instant(facts.get("poly.wait_until", "")), self._clock.now()
        if until is not None and until > now:
            word = facts.get("poly.wait_reason", "")
            reason = Reason(word) if word in (Reason.LOCKOUT, Reason.SESSIONS_FULL, Reason.BOOTING) else Reason.BOOTING
            self.hold_off(min((until - now).total_seconds(), longest), reason, "the device asked us to come later, before the agent's restart")

    def hold_off(self, seconds: float, reason: Reason, detail: str) -> None:
        """No login for so long, or for longer if that was said before."""
        until = self._clock.monotonic() + seconds
        if self._wait is None or self._wait.until < until:
            self._wait = Wait(until, reason, detail)

    async def put_off(self, seconds: float, reason: Reason, detail: str) -> None:
        """The same, and also after a restart."""
        self.hold_off(seconds, reason, detail)
        if self._wait is not None:
            until = self._clock.now() + timedelta(seconds=self._wait.until - self._clock.monotonic())
            await self._memory.put(self._device, {"poly.wait_until": until.isoformat(), "poly.wait_reason": str(self._wait.reason)})

    def over(self) -> dict[str, str]:
        """Logged in: there is nothing to wait for. Gives what the memory is to forget."""
        self._wait = None
        return {"poly.wait_until": "", "poly.wait_reason": ""}

    def why(self) -> Busy | None:
        """What is raised instead of a login; None when there may be one."""
        left = self._wait.until - self._clock.monotonic() if self._wait else 0.0
        if self._wait is None or left <= 0:
            return None
        return Busy(self._wait.reason, f"{self._device}: {self._wait.detail}; no login for {left:.0f} s", retry_after=left)


def instant(text: str) -> datetime | None:
    """A time of ours from the disk; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


class Turn:
    """A turn that has been taken, and that ends once, whoever ends it."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def over(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
