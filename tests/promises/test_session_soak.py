"""Promise 2 over a day: the real collector and session code against the simulated codec, with everything that goes wrong in a room.

Sockets are real, time is turned: 24 hours of polls pass in minutes. The codec has a pool of ten sessions, wants every token to be the newest,
and hangs when its pool stays full.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.errors import CollectError
from collectors.poly import PLUGIN
from simulator.poly import Exchange, Moment, Tuning
from tests.poly.room import Room, room
from tests.support.promises import Tried, scale

HOUR = 3600.0
INTERVAL = 60.0
TIMEOUT = 0.25
"""Seconds of real time after which an answer comes too late."""
POOL = 10
OTHERS = POOL - 2
"""Sessions that others may hold: with the touch panel's they leave one."""


@dataclass(slots=True)
class Day:
    """What the codec sees and does; `calm`: nothing is meddled with."""

    chance: random.Random
    one: Room | None = None
    ours: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    rebooted_at: float = float("-inf")
    calm: bool = False

    async def witness(self, exchange: Exchange) -> int:
        """Hold each request against the promise, and meddle with some."""
        assert self.one is not None
        request, now = (exchange.method, exchange.path), self.one.clock.monotonic()
        if exchange.moment is Moment.SENT:
            return 0
        if exchange.moment is Moment.DONE and request == ("POST", "/rest/session"):
            if exchange.status == 200:
                beside = self.alive(but=exchange.session)
                self.wrong += [f"at {now:.0f} s a login beside {len(beside)} of ours"] if beside else []
                self.ours.add(exchange.session)
                self.happened["logins"] += 1
            else:
                full = len(self.one.sim.sessions) >= POOL
                self.wrong += [] if full else [f"at {now:.0f} s a login was answered {exchange.status}"]
                self.happened["logins that found the pool full"] += full
        if exchange.moment is Moment.RECEIVED and request == ("DELETE", "/rest/session") and exchange.session not in self.ours:
            self.wrong.append(f"at {now:.0f} s a logout of a session that is not ours")
        if self.calm:
            return 0
        starting = 0 <= now - self.rebooted_at < 240.0
        roll = self.chance.random()
        if exchange.moment is Moment.RECEIVED:
            if roll < (0.3 if starting else 0.01):
                return self._happens("a 403 without a reason", 403)
            if roll < (0.4 if starting else 0.012):
                return self._happens("a 503", 503)
            if roll > 0.996:
                return self._happens("cut before it acted", -1)
        elif roll < 0.004:
            return self._happens("cut after it acted", -1)
        elif roll < 0.006:
            self.happened["an answer that came too late"] += 1
            await asyncio.sleep(TIMEOUT * 4)
        return 0

    def _happens(self, what: str, verdict: int) -> int:
        self.happened[what] += 1
        return verdict

    def alive(self, but: str = "") -> list[str]:
        assert self.one is not None
        return [row["sessionId"] for row in self.one.sim.sessions.listing() if row["sessionId"] in self.ours and row["sessionId"] != but]

    def neighbours(self) -> None:
        """Room controllers and browsers come and go; now and then they take all there is."""
        assert self.one is not None
        pool, chance = self.one.sim.sessions, self.chance
        there = {row["sessionId"] for row in pool.listing()}
        gone = [session for session in self.others if session not in there]
        if gone and self.one.clock.monotonic() - self.rebooted_at > INTERVAL:
            self.wrong.append(f"{len(gone)} sessions of others are gone")
        self.others = [session for session in self.others if session in there]
        wanted = chance.choice((0, 2, 5, OTHERS)) if chance.random() < 0.1 else len(self.others)
        if chance.random() < 0.01:
            wanted = POOL
            self.happened["a pool that others filled"] += 1
        while len(self.others) < wanted and len(pool) < POOL:
            self.others.append(pool.open("WEB", chance.choice(("192.0.2.50", "127.0.0.1")), kept=True).id)
        while len(self.others) > wanted:
            pool.end(self.others.pop())


async def _bundle(one: Room) -> None:
    """Evidence is fetched while polls go on."""
    item = next(i for i in PLUGIN.evidence if i.name == "poly-logs.tar")
    try:
        async with one.collector.open(one.device) as visit, aclosing(item.fetch(visit.client)) as pieces:
            async for _ in pieces:
                pass
    except CollectError:
        pass  # as a device does that refuses just now: what counts here is what becomes of the session


@pytest.mark.promise(2)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("profile", ["g7500-e70", "x30-3.10", "x50-tc8"])
async def test_a_day_of_polls_never_holds_two_sessions_never_fills_the_pool_and_is_never_refused(tmp_path: Path, profile: str, tried: Tried) -> None:
    day = Day(random.Random(f"{profile} 2026"))
    tuning = Tuning(max_sessions=POOL, log_bytes=100_000, log_seconds=0.05, hang_logins=4)
    async with room(tmp_path, profile, tuning=tuning, timeout=TIMEOUT, ssh_enabled=False, witness=day.witness) as one:
        day.one, day.calm = one, True
        assert (await one.look(after=0.0)).ok("system")
        day.calm = False
        hours, start = scale(1, 24), one.clock.monotonic()
        polls = seen = most = 0
        while one.clock.monotonic() - start < hours * HOUR:
            roll, pause = day.chance.random(), INTERVAL
            if roll < 0.004:
                day.happened["reboots"] += 1
                day.rebooted_at = one.clock.monotonic()
                await one.sim.switch("reboot", True)
            elif roll < 0.008:
                day.happened["pauses longer than the idle time-out"] += 1
                pause = day.chance.uniform(400.0, 900.0)
            elif roll < 0.014:
                day.happened["kills of the agent"] += 1
                await _killed(one)
            elif roll < 0.02:
                day.happened["log bundles"] += 1
                async with asyncio.TaskGroup() as group:
                    group.create_task(_bundle(one))
                    await one.look(after=0.0)
            day.neighbours()
            snapshot = await one.look(after=pause)
            polls += 1
            seen += snapshot.ok("system")
            most = max(most, len(day.alive()))
            assert day.wrong == [], f"poll {polls}; {dict(day.happened)}"
            assert not one.sim.hung
        print(profile, polls, seen, dict(day.happened), one.sim.box.counters.requests.total())
        assert most == 1
        assert seen > polls / 2
        assert one.sim.box.counters.logins_refused.total() == 0
        assert one.sim.box.counters.changes == []
        day.calm = True
        while not day.alive() or one.sim.box.phase.name != "UP":
            one.sim.sessions.end_all(location="192.0.2.50")
            await one.look(after=INTERVAL)
    assert day.wrong == []
    assert day.alive() == []
    tried(f"simulated hours of polls with reboots, 403s, resets, late answers, full pools and kills ({polls:,} polls)", hours)


async def _killed(one: Room) -> None:
    """The agent is killed between two polls and starts anew on the same disk."""
    one.collector._sessions.clear()
