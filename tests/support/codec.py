"""A simulated codec in a thread of the test's own process, with everything it was asked: what kills of the daemon are judged by."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from simulator.listener import Ports, serve
from simulator.poly import Exchange, Moment, Tuning, VideoOs
from tests.support.shared_clock import SharedClock

DEVICE = "room-314"
PASSWORD = "Sternik-4711"
LOGIN, LOGOUT = ("POST", "/rest/session"), ("DELETE", "/rest/session")
LAST_OF_A_POLL = ("POST", "/rest/devicemanagement/devices")
NEIGHBOURS = ("192.0.2.50", "192.0.2.50", "127.0.0.1")
"""A room controller with two sessions, and another program of our own machine."""
STRICT = Tuning(max_sessions=10, hang_after=0.0, hang_logins=1)
"""The smallest pool a device can have, and one that hangs at the first login that finds it full."""


@dataclass(slots=True)
class Codec:
    """The device and its ledger. `kill`: the daemon that dies when `where` comes to pass, `nth` time."""

    sim: VideoOs
    clock: SharedClock
    seen: list[Exchange] = field(default_factory=list)
    ours: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    most: int = 0
    trap: Callable[[Exchange], int | None] = lambda _: None
    ports: Ports | None = None

    async def witness(self, exchange: Exchange) -> int:
        """Note it, hold it against the promise, and kill who is to be killed now."""
        self.seen.append(exchange)
        request = (exchange.method, exchange.path)
        if exchange.moment is Moment.DONE and request == LOGIN:
            if exchange.status != 200:
                self.wrong.append(f"a login was answered {exchange.status}")
            else:
                alive = self.alive(exchange.session)
                self.wrong += [f"a login beside {len(alive)} of ours"] if alive else []
                self.ours.add(exchange.session)
                self.most = max(self.most, 1 + len(alive))
        if exchange.moment is Moment.RECEIVED and request == LOGOUT and exchange.session not in self.ours:
            self.wrong.append("a logout of a session that is not ours")
        pid = self.trap(exchange)
        if pid is not None:
            self.trap = lambda _: None
            os.kill(pid, signal.SIGKILL)
        return 0

    def alive(self, but: str = "") -> list[str]:
        """Our sessions that the device still has."""
        return [row["sessionId"] for row in self.sim.sessions.listing() if row["sessionId"] in self.ours and row["sessionId"] != but]

    def count(self, request: tuple[str, str], moment: Moment = Moment.SENT) -> int:
        return sum(1 for e in self.seen if e.moment is moment and (e.method, e.path) == request)

    def faults(self) -> list[str]:
        """Everything that is against the promise so far."""
        pool = {row["sessionId"] for row in self.sim.sessions.listing()}
        found = list(self.wrong)
        found += [f"{len(set(self.others) - pool)} sessions of others are gone"] if set(self.others) - pool else []
        found += ["a login was refused"] if self.sim.counters.logins_refused else []
        found += ["the web interface hangs"] if self.sim.hung else []
        found += [f"it was told to change something: {self.sim.counters.changes}"] if self.sim.counters.changes else []
        return found


@contextmanager
def codec(folder: Path, profile: str, address: str) -> Iterator[Codec]:
    """A codec that answers at `address`, a pool of ten with others' sessions in it, on the folder's shared clock."""
    clock = SharedClock(folder)
    sim = VideoOs(name=DEVICE, address=address, profile=profile, password=PASSWORD, clock=clock, tuning=STRICT, ssh_enabled=False)
    running = Codec(sim, clock)
    running.others = [sim.sessions.open("WEB", location, kept=True).id for location in NEIGHBOURS]
    sim.box.witness = running.witness
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        loops.append(asyncio.get_running_loop())
        async with serve([sim]) as running.ports:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(live(),), name="codec")
    thread.start()
    try:
        assert started.wait(20)
        yield running
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)


def write_config(folder: Path, host: str, port: int, listen: int) -> Path:
    """A site with this one room, polled each second."""
    (folder / "rooms.password").write_text(PASSWORD)
    (folder / "rooms.password").chmod(0o600)
    document = {
        "site": {"name": "test", "timezone": "Europe/Warsaw"},
        "listen": f"127.0.0.1:{listen}",
        "state_dir": "state",
        "polling": {"interval": "1s"},
        "credentials": {"rooms": {"username": "admin", "password_file": "rooms.password"}},
        "devices": [{"id": DEVICE, "vendor": "poly", "host": host, "port": port, "credentials": "rooms", "tls": {"mode": "insecure"}}],
        "desks": {},
        "routes": [],
    }
    path = folder / "latarnik.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
