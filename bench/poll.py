"""`python -m bench.poll --vendor axis|poly`: CPU of one whole cycle of Latarnik against the same requests by bare aiohttp and gufo_snmp."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agent.app import find_house
from bench.machine import SERVERS, pinned, say
from bench.neutral import HOSTS, Neutral, neutral
from bench.recording import Recording, record
from bench.rounds import Ratio, alternate, keep, per_cycle
from bench.site import write_site
from bench.subject import Subject, subject

RATE = 40.0
"""Cycles a second of a paced block: 2,400 devices once a minute."""
PACED_BLOCK = 8.0
"""Seconds of a paced block, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When what is due. At this `interval` a step of `step` seconds makes due what one cycle asks, and nothing rarer for `times` steps.

    `anew` seconds make everything due: that is done before each block, unmeasured.
    """

    interval: float
    step: float
    times: int
    anew: float


PACES = {
    # Every five minutes: readiness, temperatures and storage over HTTPS, the system group and AXIS-VIDEO-MIB over SNMP. The rest is hourly.
    "axis": Pace(interval=300.0, step=155.0, times=20, anew=3600.0),
    # Every minute: system, status, use, peripherals. The rest is asked every five minutes or more rarely.
    "poly": Pace(interval=60.0, step=31.0, times=8, anew=3600.0),
}


def lines_of(recording: Recording) -> list[str]:
    """The readings every poll must give, as the product's page is read."""
    return sorted(json.dumps([name, list(labels), float(value)]) for name, labels, value in recording.readings)


def floor_plan(plan: dict[str, Any], recording: Recording, servers: Neutral, side: str, folder: Path) -> Path:
    """The plan that the product was seen to follow, for the floor: with what its answers must be."""
    there = servers.sides[side]
    size = {(p.method, p.target, p.size): len(p.body) for p in recording.played}
    sizes = [size[r["method"], r["target"], len((r["body"] or "").encode())] for r in plan["http"]]
    rows = sum(len(q["get"]) if "get" in q else _below(recording, q["walk"]) for q in plan["snmp"])
    file = folder / "plan.json"
    more = {"sizes": sizes, "rows": rows, "hosts": HOSTS, "https": there.https, "snmp_port": there.snmp, "sha256": there.sha256}
    file.write_text(json.dumps({**plan, **more}))
    return file


def _below(recording: Recording, prefix: str) -> int:
    head = tuple(map(int, prefix.split(".")))
    return sum(oid[: len(head)] == head for oid, _ in recording.objects)


def same_work(ours: dict[str, float], bare: dict[str, float]) -> bool:
    """Equal, but for the numbers SNMP messages carry: they are random, and one in some hundred is a byte shorter."""
    return all(abs(ours[name] - bare[name]) <= (1.0 if name.startswith("snmp_") else 0.0) for name in ours)


class Blocks:
    """Blocks of each side, counted at the server and checked."""

    def __init__(self, servers: Neutral, product: Subject, floor: Subject, pace: Pace, *, devices: int, expected: list[str], requests: int) -> None:
        self._servers = servers
        self._product = product
        self._floor = floor
        self._pace = pace
        self._devices = devices
        self._expected = expected
        self._requests = requests

    def ours(self, times: int, rate: float) -> dict[str, Any]:
        self._product.ask("polls", ahead=self._pace.anew)
        self._servers.mark("latarnik")
        done = self._product.ask("polls", ahead=self._pace.step, times=times, rate=rate)
        return {**done, **self._counted("latarnik", int(done["cycles"])), **self._checked()}

    def bare(self, times: int, rate: float) -> dict[str, Any]:
        self._floor.ask("cycles", count=self._devices)
        self._servers.mark("floor")
        done = self._floor.ask("cycles", count=self._devices * times, rate=rate)
        return {**done, **self._counted("floor", int(done["cycles"]))}

    def _counted(self, side: str, cycles: int) -> dict[str, Any]:
        counted = self._servers.counted(side, cycles * self._requests)
        if counted.refused:
            raise RuntimeError(f"{side}: {counted.refused} requests were not answered with 200")
        return {"counted": counted.per(cycles)}

    def _checked(self) -> dict[str, Any]:
        found = self._product.ask("check", expected=self._expected)
        if found["good"] != found["devices"]:
            raise RuntimeError(f"only {found['good']} of {found['devices']} devices have the readings they should have; the first differs by {found['odd']}")
        return {"sha256": found["sha256"]}


def _row(vendor: str, how: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> Ratio:
    for ours, bare in pairs:
        if not same_work(ours["counted"], bare["counted"]):
            raise RuntimeError(f"the two sides did not do the same: {ours['counted']} and {bare['counted']}")
    did = pairs[0][0]["counted"]
    return Ratio(
        what=f"CPU of one {vendor.capitalize()} cycle, {how}, against bare aiohttp and gufo_snmp",
        rounds=tuple(per_cycle(a) / per_cycle(b) for a, b in pairs),
        must=1.5,
        aim=1.2,
        more=f"{1000 * median(per_cycle(a) for a, _ in pairs):.2f} and {1000 * median(per_cycle(b) for _, b in pairs):.2f} ms; "
        f"a cycle of either: {did['requests']:g} requests on {did['connections']:g} connection, {did['handshakes']:g} handshake, "
        f"{did['received']:g} bytes in, {did['sent']:g} out; SNMP {did['datagrams']:g} datagrams, {did['snmp_received']:g} bytes in, {did['snmp_sent']:g} out",
    )


def measure(vendor: str, *, rounds: int, devices: int, times: int | None = None, rate: float = RATE, profile: str = "") -> tuple[list[Ratio], dict[str, Any]]:
    """The ratios of one vendor's cycle, saturated and paced (at `rate` cycles a second, half as many rounds; 0: none)."""
    pace = PACES[vendor]
    times = min(times or pace.times, pace.times)
    recording = asyncio.run(record(vendor, find_house()))
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = stack.enter_context(neutral(folder / "neutral", recording, ("latarnik", "floor")))
        config = write_site(folder / "site", recording, servers.sides["latarnik"], devices, interval=pace.interval)
        product = stack.enter_context(subject("bench.product", folder, "product", str(config)))
        say(f"poll {vendor}: {devices} devices, {times} cycles of each in a block, {rounds} rounds")
        for _ in range(2):
            product.ask("polls", ahead=pace.anew)
        plan = product.ask("plan", ahead=pace.step)
        floor = stack.enter_context(subject("bench.floor", folder, "floor", str(floor_plan(plan, recording, servers, "floor", folder))))
        if profile:
            product.ask("polls", ahead=pace.anew)
            product.ask("profile", on=True)
            product.ask("polls", ahead=pace.step, times=times)
            product.ask("profile", on=False, path=profile)
        blocks = Blocks(servers, product, floor, pace, devices=devices, expected=lines_of(recording), requests=len(plan["http"]))
        saturated = alternate(rounds, lambda: blocks.ours(times, 0.0), lambda: blocks.bare(times, 0.0))
        paced = []
        if rate:
            fewer = max(1, min(times, round(rate * PACED_BLOCK / devices)))
            say(f"  paced: {rate:g} cycles a second")
            paced = alternate(max(1, rounds // 2), lambda: blocks.ours(fewer, rate), lambda: blocks.bare(fewer, rate))
    rows = [_row(vendor, "saturated", saturated), *([_row(vendor, "paced", paced)] if paced else [])]
    raw = {"plan": [f"{r['method']} {r['target']}" for r in plan["http"]] + plan["snmp"], "rate": rate}
    for how, pairs in (("saturated", saturated), ("paced", paced)):
        raw[how] = [{"latarnik": a, "floor": b} for a, b in pairs]
    return rows, raw


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.poll", description=__doc__)
    parser.add_argument("--vendor", choices=("axis", "poly", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--times", type=int, default=None, help="cycles of each device in a block")
    parser.add_argument("--profile", default="", help="also write a cProfile of the product to this file")
    parser.add_argument("--rate", type=float, default=RATE, help="cycles a second of the paced blocks; 0: none")
    arguments = parser.parse_args(words)
    pinned(SERVERS)
    for vendor in ("axis", "poly") if arguments.vendor == "both" else (arguments.vendor,):
        rows, raw = measure(vendor, rounds=arguments.rounds, devices=arguments.devices, times=arguments.times, rate=arguments.rate, profile=arguments.profile)
        keep(f"poll-{vendor}", rows, raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
