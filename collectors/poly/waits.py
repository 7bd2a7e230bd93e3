"""How long the management session waits, and for what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from agent.errors import Reason

LOCKOUT_WAIT = 90.0
"""Seconds without a login after SessionPortLockout: the shortest lock a device can be set to is 60."""
LATER_WAIT = 60.0
HEAD_WAIT = 2.0
"""Seconds that other requests give way to a download: until its request is surely with the device, which may take minutes to pack the file."""
ODD_WAITS = (180.0, 900.0, 2700.0)
"""A refusal without a reason is tried again after these. A restart takes about 3 minutes; ten failures in a row can lock the port."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No login before `until`."""

    until: datetime
    reason: Reason
    detail: str


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
