"""Promise 2 under SIGKILL: the real daemon is killed at every point of login, poll and logout, and the device counts.

At the device stands whether a login came while a session of ours was alive, whose sessions were ended, and what is left in its pool.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path

import pytest

from simulator.poly import Exchange, Moment
from tests.support.census import Census, counted
from tests.support.codec import DEVICE, LAST_OF_A_POLL, LOGIN, LOGOUT, Codec, codec, write_config
from tests.support.crash import Forked, Point, forked
from tests.support.processes import free_port, get, wait_for
from tests.support.promises import Tried, scale
from tests.support.shared_clock import in_daemon

FIRMWARES = {"g7500-e70": "127.72.9.1", "x50-tc8": "127.72.9.2", "x30": "127.72.9.3", "x30-3.10": "127.72.9.4"}
"""A token for everything, for everything but the logout, one that nobody asks for, none."""
STEP = 150.0
"""Seconds by which the clock is turned at a time: a login that comes before the idle time-out of 600 finds the old session alive."""

SESSION = "collectors.poly.session:ManagementSession"
OURS = (
    *(f"{SESSION}.{name}" for name in ("_ready", "_load", "_log_in", "_enter", "_save", "_settled", "_give_back", "_ended", "end", "leave")),
    "collectors.poly.collector:PolyCollector.give_back",
    "collectors.transport.http:HttpConnection.request",
    "collectors.transport.http:HttpConnection.close",
    "agent.store.keep:FileVault.get",
    "agent.store.keep:FileVault.put",
    "agent.store.keep:StoredMemory.put",
    "agent.polling.guard:StoredGuard.before",
    "agent.polling.guard:StoredGuard.accepted",
    "os:fsync",
    "os:replace",
    "os:unlink",
)
"""Functions of the daemon before and after whose every call it is killed."""


@dataclass(frozen=True, slots=True)
class AtDevice:
    """Die at this moment of the nth request that the device gets in this life, or of the nth of this kind."""

    nth: int
    moment: Moment
    kind: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"request {self.nth} {' '.join(self.kind or ())} {self.moment.name}"


Death = Point | AtDevice


@dataclass(slots=True)
class Site:
    """The codec, the configuration, and one daemon after the other."""

    folder: Path
    codec: Codec
    listen: int = field(default_factory=free_port)
    config: Path = Path()

    @contextmanager
    def life(self, *points: Point, census: bool = False) -> Iterator[Forked]:
        """One run of the daemon."""
        prepare: list[Callable[[], None]] = [in_daemon, *([Census(OURS)] if census else [])]
        with forked(self.config, self.folder / "log", *points, prepare=prepare) as daemon:
            yield daemon

    def polled(self, since: datetime) -> bool:
        """Whether a poll that began after this moment has ended."""
        try:
            (room,) = json.loads(get(f"http://127.0.0.1:{self.listen}/api/v1/devices"))["devices"]
        except (OSError, HTTPException):
            return False  # not up yet, or dead
        return room["last_poll"] is not None and datetime.fromisoformat(room["last_poll"]) >= since

    def note(self) -> dict[str, str]:
        """What stands on the disk."""
        path = self.folder / "state" / "sessions" / f"{DEVICE}.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def whole_life(self, daemon: Forked, kill: Callable[[int], None] = lambda _: None) -> int | None:
        """Two polls and a stop; the exit code. Ended by hand when no session comes about."""
        polls = self.codec.count(LAST_OF_A_POLL) + 2
        start, logins = self.codec.clock.now(), self.codec.count(LOGIN)
        assert daemon.process.pid is not None
        kill(daemon.process.pid)

        def far_enough() -> bool:
            dead = daemon.process.exitcode is not None
            return dead or self.codec.count(LAST_OF_A_POLL) >= polls or (self.codec.count(LOGIN) == logins and self.polled(start))

        wait_for("two polls", far_enough, 60)
        return daemon.stop()

    def died(self, death: Death) -> bool:
        """A life that ends there, unless it does not come so far."""
        with self.life(*([death] if isinstance(death, Point) else [])) as daemon:

            def kill(pid: int) -> None:
                if isinstance(death, AtDevice):
                    self.codec.trap = _nth(death, pid)

            code = self.whole_life(daemon, kill)
            self.codec.trap = lambda _: None
        assert code in (0, -9), f"{death}: exit code {code}:\n{daemon.text()[-3000:]}"
        assert self.codec.faults() == [], f"{death}"
        return code == -9

    def recovered(self) -> int:
        """A life that is left alone, until it holds a session again, and that gives it back: so many turns of the clock were needed."""
        turns = 0
        with self.life() as daemon:
            start = self.codec.clock.now()
            logins = self.codec.count(LOGIN)
            while True:
                wait_for("a poll", functools.partial(self.polled, start), 60)
                if self.codec.alive() and self.codec.count(LOGIN) > logins:
                    break
                assert self.codec.count(LOGIN) == logins
                turns += 1
                assert turns < 30, daemon.text()[-3000:]
                self.codec.clock.turn(STEP)
                start = self.codec.clock.now()
            assert daemon.stop() == 0
        assert self.codec.faults() == []
        assert self.codec.alive() == []
        assert self.note() == {}
        return turns


def _nth(death: AtDevice, pid: int) -> Callable[[Exchange], int | None]:
    count = 0

    def trap(exchange: Exchange) -> int | None:
        nonlocal count
        meant = death.kind in (None, (exchange.method, exchange.path))
        count += meant and exchange.moment is Moment.RECEIVED
        return pid if meant and count == death.nth and exchange.moment is death.moment else None

    return trap


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    profile = request.param
    with codec(tmp_path, profile, FIRMWARES[profile]) as device:
        site = Site(tmp_path, device)
        assert device.ports is not None
        site.config = write_config(tmp_path, FIRMWARES[profile], device.ports.https, site.listen)
        yield site


def deaths(site: Site) -> tuple[list[Death], list[Death]]:
    """Every point of one whole life: before and after each call of ours, and each moment of each request at the device. And the gravest of them."""
    before = len(site.codec.seen)
    with site.life(census=True) as daemon:
        assert site.whole_life(daemon) == 0, daemon.text()[-3000:]
    requests = [(e.method, e.path) for e in site.codec.seen[before:] if e.moment is Moment.RECEIVED]
    called = counted(site.folder)
    ours: list[Death] = [Point(where=where, nth=n + 1, when=when) for where in OURS for n in range(called.count(where)) for when in ("before", "after")]
    grave: list[Death] = [
        AtDevice(1, Moment.DONE, LOGIN),
        AtDevice(1, Moment.DONE, LOGOUT),
        Point(where="agent.store.keep:FileVault.put", nth=2),
        AtDevice(2, Moment.DONE, LAST_OF_A_POLL),
        AtDevice(1, Moment.SENT, LOGIN),
        AtDevice(1, Moment.SENT, LOGOUT),
        Point(where=f"{SESSION}._enter"),
        AtDevice(1, Moment.RECEIVED, LOGIN),
    ]
    return ours + [AtDevice(n + 1, moment) for n in range(len(requests)) for moment in Moment], grave


KILLS = {"g7500-e70": (4, 1000), "x50-tc8": (2, 40), "x30": (1, 30), "x30-3.10": (1, 20)}
"""How many points of each, in short and in long: the long form takes every point of the strictest firmware, and some of the others from end to end."""


@pytest.mark.promise(2)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stage", FIRMWARES, indirect=True)
def test_killed_anywhere_the_next_start_gives_back_or_waits_out_and_never_holds_two(stage: Site, request: pytest.FixtureRequest, tried: Tried) -> None:
    pool = len(stage.codec.sim.sessions)
    profile = request.node.callspec.params["stage"]
    found, grave = deaths(stage)
    assert len(found) > 100
    short, long = KILLS[profile]
    first = list(FIRMWARES).index(profile)
    sure, more = (grave[first:] + grave[:first])[: scale(short, 8)], min(scale(0, long), len(found))
    planned = [*sure, *(found[i * len(found) // more] for i in range(more))]
    killed = 0
    for death in planned:
        if not stage.died(death):
            # One life has a request or two more than another: the last points are not in each.
            assert death not in sure, death
            continue
        killed += 1
        named = stage.note().get("session", "")
        lost = [session for session in stage.codec.alive() if session != named]
        ended = stage.codec.count(LOGOUT, Moment.DONE)
        turns = stage.recovered()
        if lost:
            assert turns, f"{death}: a lost session was not waited out"
        elif named and not turns:
            assert stage.codec.count(LOGOUT, Moment.DONE) >= ended + 2, f"{death}: the old session was not given back before the new login"
        assert len(stage.codec.sim.sessions) == pool, death
    assert killed >= len(planned) * 0.9
    assert stage.codec.most == 1
    tried("SIGKILLs at points of login, poll and logout", killed)


@pytest.mark.promise(2)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stage", ["g7500-e70"], indirect=True)
def test_killed_again_and_again_before_it_recovered_it_never_holds_two(stage: Site, tried: Tried) -> None:
    pool = len(stage.codec.sim.sessions)
    chance = random.Random(2026)
    found, grave = deaths(stage)
    # Few of them can be reached while a session is waited out: what a start does comes as often as all the rest.
    first = [d for d in found if (isinstance(d, Point) and d.nth < 4) or (isinstance(d, AtDevice) and d.nth < 8)]
    killed = 0
    for _ in range(scale(3, 100)):
        killed += stage.died(chance.choice(chance.choice((found, first, grave))))
        stage.codec.clock.turn(chance.choice((0.0, 0.0, 100.0, 250.0, 400.0, 700.0)))
    stage.recovered()
    assert stage.codec.most == 1
    assert len(stage.codec.sim.sessions) == pool
    assert killed
    tried("SIGKILLs one after the other, with hours in between or none", killed)
