"""Promise 1, any order of events: the guard under a turned clock, with devices that count what they refuse."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from agent.errors import Busy, LoginBlocked, StoreError
from agent.model import HttpCredential, Secret
from agent.polling.guard import PAUSES, StoredGuard
from agent.store import queries
from agent.store.database import Store
from agent.store.tables import metadata
from tests.support.clock import TurnedClock
from tests.support.promises import Tried, scale

T = TypeVar("T")
Key = tuple[str, str]

DEVICES = ("one", "two", "three")
CREDENTIALS = tuple(HttpCredential(name=f"rooms-{n}", username="admin", password=Secret(f"pass-{n}"), version=f"v{n}") for n in range(2))
BY_VERSION = {c.version: c for c in CREDENTIALS}
COUNTED: Counter[str] = Counter()

Event = tuple[str, Key, int, str, int]
WHAT = ["log in"] * 8 + ["end"] * 8 + ["wait"] * 3 + ["kill", "kill", "cancel", "cancel", "unblock", "change on the device"]
EVENTS = st.tuples(
    st.sampled_from(WHAT),
    st.sampled_from([(device, credential.version) for device in DEVICES for credential in CREDENTIALS]),
    st.integers(0, 4),
    st.sampled_from(("answer", "answer", "silence", "unsent")),
    # Turns of the loop before the next event: enough for a whole attempt, or to stop within one.
    st.sampled_from((40, 40, 40, 0, 1, 3, 6, 9)),
)


class Disk(Store):
    """A database in memory that outlives guards. Each transaction takes two turns of the loop; `dead`: the process that had it open was killed."""

    def __init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(engine)
        super().__init__(engine, ThreadPoolExecutor(max_workers=1))
        self.engine = engine
        self.dead = False

    def reopened(self) -> Disk:
        self.dead = True
        again = Disk.__new__(Disk)
        Store.__init__(again, self.engine, ThreadPoolExecutor(max_workers=1))
        again.engine, again.dead = self.engine, False
        return again

    async def run(self, work: Callable[[Connection], T]) -> T:
        await asyncio.sleep(0)
        if self.dead:
            raise StoreError("the process is gone")
        done = self._run(work)
        await asyncio.sleep(0)
        if self.dead:
            raise StoreError("the process is gone")
        return done


@dataclass(slots=True, eq=False)
class Attempt:
    """A way in that called `before`; `may`: it was let through; then the outcome is told."""

    key: Key
    task: asyncio.Task[None]
    outcome: asyncio.Future[str]
    may: bool = False


class Fleet:
    """Two credentials at three devices, the guard between them, and what the devices counted."""

    def __init__(self, right: tuple[bool, ...]) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = TurnedClock()
        self.disk = Disk()
        self.guard = StoredGuard(self.disk, self.clock)
        self.attempts: list[Attempt] = []
        self.right = dict(zip(((d, c.version) for d in DEVICES for c in CREDENTIALS), right, strict=True))
        self.proven: set[str] = set()
        self.refused: Counter[Key] = Counter()
        self.unseen: defaultdict[Key, list[tuple[float, bool]]] = defaultdict(list)  # sent without an answer: when, and whether it was wrong
        self.accepted: set[Key] = set()
        self.asked_for = 0  # so many times a person named a device

    def turns(self, count: int) -> None:
        async def some() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())

    @property
    def under_way(self) -> list[Attempt]:
        return [a for a in self.attempts if a.may and not a.outcome.done()]

    @property
    def waiting(self) -> list[Attempt]:
        return [a for a in self.attempts if not a.may and not a.task.done()]

    # --- what can happen

    def log_in(self, key: Key) -> None:
        guard, outcome = self.guard, self.loop.create_future()

        async def visit() -> None:
            device, credential = key[0], BY_VERSION[key[1]]
            try:
                await guard.before(device, credential, "http")
            except (LoginBlocked, Busy):
                COUNTED["held back"] += 1
                return
            if guard is not self.guard:
                return
            attempt.may = True
            match await outcome:
                case "accepted":
                    await guard.accepted(device, credential, "http")
                case "refused":
                    await guard.refused(device, credential, "http", "401")
                case "silence":
                    await guard.unclear(device, credential, "http", sent=True)
                case _:
                    await guard.unclear(device, credential, "http", sent=False)

        attempt = Attempt(key, self.loop.create_task(visit()), outcome)
        self.attempts.append(attempt)

    def _sent(self, key: Key) -> None:
        """The credential goes out, and no answer will be seen."""
        COUNTED["unseen"] += 1
        self.unseen[key].append((self.clock.monotonic(), not self.right[key]))

    def end(self, attempt: Attempt, how: str) -> None:
        key = attempt.key
        if how == "answer":
            how = "accepted" if self.right[key] else "refused"
            COUNTED[how] += 1
            if self.right[key]:
                self.proven.add(key[1])
                self.accepted.add(key)
                self.unseen.pop(key, None)
            else:
                self.refused[key] += 1
        elif how == "silence":
            self._sent(key)
        attempt.outcome.set_result(how)

    def cancel(self, attempt: Attempt) -> None:
        """A visit is cancelled while it waits, or while its note is written."""
        COUNTED["cancelled"] += 1
        attempt.task.cancel()

    def kill_and_start(self, *, gone_out: bool) -> None:
        COUNTED["kills"] += 1
        if gone_out:
            for attempt in self.under_way:
                self._sent(attempt.key)
        self.disk = self.disk.reopened()
        self.guard = StoredGuard(self.disk, self.clock)
        tasks = [a.task for a in self.attempts]
        for task in tasks:
            task.cancel()

        async def gone() -> None:
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(gone())
        self.attempts.clear()
        with self.disk.transaction() as c:
            queries.interrupted_logins(c, self.clock.now())

    def unblock(self, device: str, *, mended: bool) -> None:
        """A person looks at the device, mends the passwords there or not, and has it tried again."""
        if any(a.key[0] == device and not a.task.done() for a in self.attempts):
            return  # it waits for their end; a test of its own holds that
        COUNTED["unblocked"] += 1
        self.asked_for += 1
        for credential in CREDENTIALS:
            key = (device, credential.version)
            self.right[key] = self.right[key] or mended
            self.refused.pop(key, None)
            self.unseen.pop(key, None)
            self.accepted.discard(key)
        self.loop.run_until_complete(self.guard.unblock(device, CREDENTIALS))

    def happen(self, event: Event) -> None:
        what, key, which, how, turns = event
        match what:
            case "log in":
                self.log_in(key)
            case "end" if self.under_way:
                self.end(self.under_way[which % len(self.under_way)], how)
            case "cancel" if self.waiting:
                self.cancel(self.waiting[which % len(self.waiting)])
            case "kill" if self.attempts:
                self.kill_and_start(gone_out=how != "unsent")
            case "unblock":
                self.unblock(key[0], mended=how == "answer")
            case "change on the device":
                self.right[key] = False
            case "wait":
                self.clock.turn((1.0, 10.0, *PAUSES)[which])
            case _:
                pass
        self.turns(turns)

    # --- what must hold

    def refused_at_most_once(self) -> None:
        for key in self.right:
            wrong = [at for at, wrong in self.unseen[key] if wrong]
            assert self.refused[key] <= 1, f"{key} answered {self.refused[key]} refusals"
            if key in self.accepted:
                # It was let in there before. What is sent without an answer since, is sent after pauses; a kill may hide the first.
                gaps = [later - earlier for (earlier, _), (later, _) in zip(self.unseen[key], self.unseen[key][1:], strict=False)]
                assert sum(gap < PAUSES[0] for gap in gaps) <= 1, gaps
            elif key[1] in self.proven:
                assert self.refused[key] + len(wrong) <= 2, f"{key}: {self.refused[key]} and {wrong}"
            else:
                assert self.refused[key] + len(wrong) <= 1, f"{key}: {self.refused[key]} and {wrong}"

    def one_attempt_at_a_time(self) -> None:
        keys = [a.key for a in self.under_way]
        assert len(keys) == len(set(keys)), keys
        for version in BY_VERSION:
            trials = [key for key in keys if key[1] == version]
            assert version in self.proven or len(trials) <= 1, f"{version} is new and tried side by side: {trials}"

    def others_are_left_alone_once_a_new_password_was_refused(self) -> None:
        for version in BY_VERSION:
            if version not in self.proven:
                told = [key for key in self.refused if key[1] == version and self.refused[key]]
                assert len(told) <= 1 + self.asked_for, told

    def mended(self) -> None:
        """Whatever happened: mended and unblocked, every device lets us in."""
        self.kill_and_start(gone_out=False)
        self.clock.turn(sum(PAUSES))

        async def all_of_it() -> None:
            for device in DEVICES:
                await self.guard.unblock(device, CREDENTIALS)
                for credential in CREDENTIALS:
                    async with asyncio.timeout(10):
                        await self.guard.before(device, credential, "http")
                        await self.guard.accepted(device, credential, "http")

        self.loop.run_until_complete(all_of_it())

    def close(self) -> None:
        self.loop.close()
        self.disk.engine.dispose()


@pytest.mark.promise(1)
def test_no_order_of_ways_devices_answers_cancellations_and_kills_brings_a_second_refusal(tried: Tried) -> None:
    COUNTED.clear()
    examples = scale(100, 3000)

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(right=st.tuples(*(st.booleans() for _ in range(6))), events=st.lists(EVENTS, min_size=20, max_size=80))
    def history(right: tuple[bool, ...], events: list[Event]) -> None:
        fleet = Fleet(right)
        try:
            for event in events:
                fleet.happen(event)
                fleet.refused_at_most_once()
                fleet.one_attempt_at_a_time()
                fleet.others_are_left_alone_once_a_new_password_was_refused()
                COUNTED["events"] += 1
            fleet.mended()
        finally:
            fleet.close()

    history()
    assert all(COUNTED[word] for word in ("accepted", "refused", "unseen", "held back", "kills", "cancelled", "unblocked")), COUNTED
    tried("events in random histories", COUNTED["events"])
