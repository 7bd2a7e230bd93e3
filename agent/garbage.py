"""When the garbage collector runs: freeze what stays, collect what is young, look through everything seldom.

Python's collector looks for objects that keep only each other alive, and holds the event loop while it does. A whole collection visits
every object of the program; of 10,000 devices there are a million, and nearly all of them are not garbage: what a device said is freed by
its reference count when the next answer takes its place. So:

- At the start all that is loaded is frozen: no collection visits it again.
- Young objects are collected as ever, a few milliseconds at a time. That finds the cycles that finished polls leave.
- Whole collections are never started by Python itself. Instead, what has survived is frozen after every `FREEZE_EVERY` polls, so that also a
  collection that somebody forces has little to visit.
- A cycle that was alive when it was frozen, and is garbage since, is out of reach. Hence an hourly look, at a moment without a running poll if
  one comes within a minute: a small program is thawed and collected whole; a large one only when it has grown by half, since that costs up to
  0.3 microseconds an object.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.logs import logger

FREEZE_EVERY = 200
"""Polls between two freezes. What 500 polls of 10,000 devices left took a forced collection 212 ms to visit, each object far from the last in memory."""

LOOK_EVERY = 3600.0
IDLE_WITHIN = 60.0
"""Seconds between two looks at everything, and how long one waits for a moment without a running poll."""

SMALL = 250_000
"""Objects that may be collected whole at every look: less than 100 ms."""

_YOUNG = 5_000
"""New objects that start a collection of the youngest: some milliseconds."""
_NEVER = 1_000_000_000


class Garbage:
    """The policy at work. `polled` after each poll; `look` about once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._polls = 0
        self._whole = 0
        self._next = 0.0

    def settle(self) -> None:
        """All is loaded that stays: collect once, and freeze it."""
        gc.collect()
        gc.freeze()
        self._next = self._clock() + LOOK_EVERY

    def polled(self) -> None:
        """A poll has ended: its answers took the place of older ones, which are gone already."""
        self._polls += 1
        if self._polls % FREEZE_EVERY == 0:
            gc.collect(1)
            gc.freeze()

    def look(self, *, busy: bool) -> None:
        """Once an hour, when not `busy` or after a minute all the same: collect everything if that is quick, or needed."""
        now = self._clock()
        if now < self._next or (busy and now < self._next + IDLE_WITHIN):
            return
        self._next = now + LOOK_EVERY
        frozen = gc.get_freeze_count()
        if frozen > SMALL and (not self._whole or frozen < self._whole * 1.5):
            self._whole = self._whole or frozen  # the first look of a large program: so much it is when all is there
            return
        gc.unfreeze()
        started = self._clock()
        found = gc.collect()
        took = self._clock() - started
        gc.freeze()
        self._whole = gc.get_freeze_count()
        logger("agent").debug("garbage_collected", objects=self._whole, unreachable=found, seconds=round(took, 3))


@contextmanager
def garbage(clock: Callable[[], float]) -> Iterator[Garbage]:
    """The policy, until the block is left; then Python's own again. `clock` in seconds, monotonic."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, before[1], _NEVER)
    policy = Garbage(clock)
    policy.settle()
    try:
        yield policy
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
