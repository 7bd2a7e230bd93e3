"""`python -m bench.stall`: the longest time one callback held the event loop, with 10,000 devices polled by the timer, a scrape with gzip
every other second and the garbage collector forced every few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from asyncio import events
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp

from agent.app import Daemon, find_house, read_config, running
from agent.ports import SystemClock
from bench.machine import SERVERS, pinned, say
from bench.neutral import neutral
from bench.recording import record
from bench.rounds import Ratio, keep
from bench.site import write_site
from bench.subject import private_output, ready, serve, subject

LONG = 0.02
"""A hold that is worth a note, in seconds."""
FORCE_EVERY = 5.0
SCRAPE_EVERY = 2.0


class Holds:
    """How long each callback held the loop. In place of `Handle._run`, which the loop calls for every one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.long: list[dict[str, Any]] = []
        self.collections: list[tuple[int, float]] = []
        self._began = 0.0
        gc.callbacks.append(self._collected)
        original = events.Handle._run  # noqa: SLF001 - there is no public place to stand

        def timed(handle: events.Handle) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            original(handle)
            took = time.perf_counter() - wall
            self.count += 1
            if took > LONG:
                self.long.append({"wall": took, "cpu": time.thread_time() - cpu, "who": _who(handle)})

        setattr(events.Handle, "_run", timed)  # noqa: B010

    def reset(self) -> None:
        self.count = 0
        self.long.clear()
        self.collections.clear()

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.collections.append((info["generation"], time.perf_counter() - self._began))


def _who(handle: events.Handle) -> str:
    callback: Any = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    return owner.get_name() if isinstance(owner, asyncio.Task) else repr(callback)[:120]


class Timed:
    """The orders: the daemon as `latarnik run` has it, its timer included."""

    def __init__(self, daemon: Daemon, holds: Holds) -> None:
        self._daemon = daemon
        self._holds = holds
        self._forcing: asyncio.TimerHandle | None = None

    async def polled(self) -> dict[str, Any]:
        """How many devices were polled at least once."""
        return {"polled": sum(w.polled_at is not None for w in self._daemon.watch.watched.values()), "address": self._daemon.observers[0].address}  # type: ignore[attr-defined]

    async def begin(self) -> dict[str, Any]:
        """Count from now, and force the collector."""
        self._holds.reset()
        self._force()
        return {}

    def _force(self) -> None:
        gc.collect()
        self._forcing = asyncio.get_running_loop().call_later(FORCE_EVERY, self._force)

    async def end(self) -> dict[str, Any]:
        if self._forcing is not None:
            self._forcing.cancel()
        holds = self._holds
        per_generation = {str(n): max((s for g, s in holds.collections if g == n), default=0.0) for n in (0, 1, 2)}
        longest = sorted(holds.long, key=lambda h: -float(h["wall"]))
        polls = sum(w.polled_at is not None for w in self._daemon.watch.watched.values())
        return {
            "callbacks": holds.count,
            "longest": longest[:20],
            "collections": {str(n): sum(g == n for g, _ in holds.collections) for n in (0, 1, 2)},
            "longest_collection": per_generation,
            "polled": polls,
            "frozen": gc.get_freeze_count(),
            "tracked": len(gc.get_objects()),
        }


async def daemon_with_timer(config: Path) -> None:
    """The subject: `python -m bench.stall --subject CONFIG`."""
    answers = private_output()
    holds = Holds()
    house = find_house()
    settings = read_config(config, house)
    async with running(settings, house, SystemClock()) as daemon, asyncio.TaskGroup() as group:
        intervals = {d: daemon.watch.cadence(w.device).interval for d, w in daemon.watch.watched.items()}
        run = group.create_task(daemon.run(group, intervals))
        timed = Timed(daemon, holds)
        try:
            await serve({"ready": ready, "polled": timed.polled, "begin": timed.begin, "end": timed.end}, answers)
        finally:
            daemon.stop.set()
            await run


async def _scrape(address: tuple[str, int], seconds: float) -> tuple[int, int]:
    """Ask for the page compressed, every other second: (pages, bytes of the last)."""
    pages, size, end = 0, 0, time.monotonic() + seconds
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        while time.monotonic() < end:
            async with session.get(f"http://{address[0]}:{address[1]}/metrics", headers={"Accept-Encoding": "gzip"}) as response:
                size = len(await response.read())
                if response.status != 200 or response.headers.get("Content-Encoding") != "gzip":
                    raise RuntimeError(f"the page: {response.status} {response.headers}")
            pages += 1
            await asyncio.sleep(SCRAPE_EVERY)
    return pages, size


def measure(vendor: str, devices: int, interval: float, seconds: float) -> tuple[Ratio, dict[str, Any]]:
    """The longest hold, in ms."""
    recording = asyncio.run(record(vendor, find_house()))
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = stack.enter_context(neutral(folder / "neutral", recording, ("latarnik",)))
        config = write_site(folder / "site", recording, servers.sides["latarnik"], devices, interval=interval)
        say(f"stall: {devices} devices, one poll of each every {interval:g} s, watched for {seconds:g} s")
        with subject("bench.stall", folder, "daemon", "--subject", str(config)) as daemon:
            _until(lambda: bool(daemon.ask("polled")["polled"] == devices), within=400.0)
            say("  every device was polled once")
            host, port = daemon.ask("polled")["address"]
            daemon.ask("begin")
            pages, size = asyncio.run(_scrape((host, port), seconds))
            told = daemon.ask("end")
    nothing: dict[str, Any] = {"wall": LONG, "cpu": LONG, "who": f"nothing: no hold was longer than {1000 * LONG:.0f} ms"}
    longest: dict[str, Any] = told["longest"][0] if told["longest"] else nothing
    collection = max(told["longest_collection"].values())
    row = Ratio(
        what=f"longest hold of the event loop, {devices:,} devices",
        rounds=(1000 * longest["wall"],),
        must=100.0,
        aim=50.0,
        unit="ms",
        more=f"by {longest['who']} ({1000 * longest['cpu']:.0f} ms of CPU); longest garbage collection {1000 * collection:.0f} ms; "
        f"{told['callbacks']:,} callbacks, {pages} pages of {size / 1e6:.1f} MB gzip",
    )
    return row, told


def _until(look: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all devices were polled within {within:.0f} s")
        time.sleep(1)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stall", description=__doc__)
    parser.add_argument("--vendor", choices=("axis", "poly"), default="axis")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--subject", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.subject:
        with asyncio.Runner() as runner:
            runner.run(daemon_with_timer(arguments.subject))
        return 0
    pinned(SERVERS)
    row, raw = measure(arguments.vendor, arguments.devices, arguments.interval, arguments.seconds)
    keep("stall", [row], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
