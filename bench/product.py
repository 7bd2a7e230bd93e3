"""The product under measurement: the real daemon's parts, polled by order instead of by its timer.

`python -m bench.product CONFIG`. A poll here is `Watch.poll`, as the timer's is: connection, parsers, rules, incidents, the store, and the
rendered metrics. Only the wall clock stands still, and the monotonic one is moved ahead so that the facets are due.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from agent.app import Daemon, find_house, read_config, running
from agent.ports import SystemClock
from bench.machine import resident
from bench.recording import AT
from bench.subject import Handler, measured, private_output, ready, serve
from collectors.transport.snmp_v2 import CommunityConnection
from collectors.transport.wire import USER_AGENT, Reply, Wire


class MovedClock(SystemClock):
    """The wall clock stands at `AT`; the monotonic one is `ahead` of the machine's."""

    ahead = 0.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@asynccontextmanager
async def daemon_of(config: Path, clock: SystemClock) -> AsyncIterator[Daemon]:
    """The daemon, running, with an empty timer."""
    house = find_house()
    settings = read_config(config, house)
    async with running(settings, house, clock) as daemon, asyncio.TaskGroup() as group:
        run = group.create_task(daemon.run(group, {}))
        while daemon.ready():  # noqa: ASYNC110 - the daemon tells it to systemd, and to nobody in the process
            await asyncio.sleep(0.01)
        try:
            yield daemon
        finally:
            daemon.stop.set()
            await run


@contextmanager
def _asked(plan: dict[str, Any]) -> Iterator[None]:
    """Write down what goes out, in `plan`: the requests, and the SNMP questions."""
    ask, get, walk = Wire.ask, CommunityConnection.get, CommunityConnection.walk

    async def on_ask(self: Wire, method: str, target: str, headers: Mapping[str, str], body: bytes | None, seconds: float) -> Reply:
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        plan["http"].append({"method": method, "target": target, "headers": sent, "body": body.decode() if body is not None else None})
        return await ask(self, method, target, headers, body, seconds)

    async def on_get(self: CommunityConnection, oids: Sequence[str]) -> Any:
        plan["snmp"].append({"get": list(oids)})
        return await get(self, oids)

    async def on_walk(self: CommunityConnection, prefix: str, **more: Any) -> Any:
        plan["snmp"].append({"walk": prefix})
        return await walk(self, prefix, **more)

    with ExitStack() as stack:
        stack.enter_context(patch.object(Wire, "ask", on_ask))
        stack.enter_context(patch.object(CommunityConnection, "get", on_get))
        stack.enter_context(patch.object(CommunityConnection, "walk", on_walk))
        yield


def readings_of(page: str, wanted: frozenset[str]) -> dict[str, set[str]]:
    """Device → its readings of these metrics on the page, one JSON line each: a set of states as its one active member."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in wanted and not ("state" in sample.labels and sample.value == 0):
                labels = dict(sample.labels)
                device = labels.pop("device")
                found.setdefault(device, set()).add(json.dumps([sample.name, [f"{k}={v}" for k, v in labels.items()], float(sample.value)]))
    return found


def hashed(lines: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


class Product:
    """The orders."""

    def __init__(self, daemon: Daemon, clock: MovedClock) -> None:
        self._daemon = daemon
        self._clock = clock
        self._profile = cProfile.Profile()

    async def polls(self, *, ahead: float, first: int = 0, count: int | None = None, times: int = 1, rate: float = 0.0) -> dict[str, Any]:
        """Poll `count` devices from the `first` on, so many times, the clock moved `ahead` seconds before each time; `rate` as for `measured`."""
        devices = list(self._daemon.watch.watched)[first : None if count is None else first + count]
        total = {"cycles": 0.0, "cpu": 0.0, "wall": 0.0}
        for _ in range(times):
            self._clock.ahead += ahead
            done = await measured(self._daemon.watch.poll, devices, rate)
            total = {name: total[name] + done[name] for name in total}
        return total

    async def plan(self, *, ahead: float) -> dict[str, Any]:
        """What one poll of the first device asks."""
        plan: dict[str, Any] = {"http": [], "snmp": []}
        with _asked(plan):
            await self.polls(ahead=ahead, count=1)
        return plan

    async def check(self, *, expected: list[str]) -> dict[str, Any]:
        """Fetch /metrics as Prometheus does: how many devices have exactly these readings, and are healthy; and the hash of the first's."""
        wanted = frozenset(json.loads(line)[0] for line in expected) | {"latarnik_device_health", "latarnik_device_up"}
        host, port = self._daemon.observers[0].address  # type: ignore[attr-defined]
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/metrics") as response:
            page = await response.text()
        full = set(expected) | {json.dumps(["latarnik_device_health", ["state=ok"], 1.0]), json.dumps(["latarnik_device_up", [], 1.0])}
        found = readings_of(page, wanted)
        good = sum(lines == full for lines in found.values())
        first = next(iter(found.values()), set())
        return {"devices": len(self._daemon.watch.watched), "good": good, "sha256": hashed(first), "odd": sorted(first ^ full)[:20]}

    async def memory(self) -> dict[str, Any]:
        """Bytes of this process, after a collection."""
        gc.collect()
        return {"resident": resident(), "tasks": len(asyncio.all_tasks())}

    async def profile(self, *, on: bool, path: str = "") -> dict[str, Any]:
        if on:
            self._profile.enable()
        else:
            self._profile.disable()
            self._profile.dump_stats(path)
        return {}


async def main(config: Path) -> None:
    answers = private_output()
    clock = MovedClock()
    async with daemon_of(config, clock) as daemon:
        product = Product(daemon, clock)
        handlers: dict[str, Handler] = {
            "ready": ready,
            "polls": product.polls,
            "plan": product.plan,
            "check": product.check,
            "memory": product.memory,
            "profile": product.profile,
        }
        await serve(handlers, answers)


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(main(Path(sys.argv[1])))
