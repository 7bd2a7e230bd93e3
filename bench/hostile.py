"""`python -m bench.hostile`: how regularly 1,000 good devices are polled, alone and beside 1,000 hostile ones under the same daemon.

The good ones are the simulator's fleet, the hostile ones `tests/support/hostile`: every behaviour but floods in turn (`--floods`: those too), on all
that is asked of every second one and on some of it of the others. `--by-behaviour` prints instead what each group of 50 of them costs, floods too;
`tests/promises/test_hostile.py` asserts what is only shown there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.machine import SERVERS, SUBJECT, cpu_of, pinned, resident, say, stopped
from bench.rounds import Figure, Ratio, keep
from tests.support.hostile.run import every, run

STARTS = 300.0
"""Seconds for each process to stand, and beside two intervals for every good device to be polled twice."""
_POLLED = re.compile(r'^latarnik_device_last_poll_timestamp_seconds\{device="([^"]+)"\} (\S+)$', re.MULTILINE)
_LAG = re.compile(r"^latarnik_event_loop_lag_seconds (\S+)$", re.MULTILINE)
_PAGE = "/metrics?name[]=latarnik_device_last_poll_timestamp_seconds&name[]=latarnik_event_loop_lag_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """`gaps`: seconds between two polls of a good device in a row. `lost`: their facets that failed or were stale at the end.

    `memory`: highest bytes of the daemon; `lag`: longest time for which its loop came late; `cpu` in seconds; `met`: hostile devices that were polled.
    """

    gaps: tuple[float, ...]
    lost: int
    memory: int
    lag: float
    cpu: float
    met: int

    def told(self) -> dict[str, Any]:
        ordered = sorted(self.gaps)
        return {
            "gaps": len(ordered),
            "median": median(ordered),
            "hundredth": ordered[-1 - len(ordered) // 100],
            "longest": ordered[-1],
            "lost": self.lost,
            "memory": self.memory,
            "lag": self.lag,
            "cpu": self.cpu,
            "met": self.met,
        }


FLOODS = re.compile(r"endless|gigabyte|large|bomb|members|chunk|header-|status-line|continues|early|cookies|flood|giant|drip-handshake|laughs|punycode")
"""Behaviours that spend our CPU on purpose, a second or more of it in each poll. They are attacks, and no thousand devices do it at once; what each
costs is shown by behaviour.
"""


def crowd(count: int, *, floods: bool) -> list[dict[str, str]]:
    """So many hostile devices, every behaviour in its turn; of those that speak HTTP every second one is hostile in all that it is asked.

    Not `floods`: those that answer nonsense, hang, reset, close early or half-close.
    """
    kinds = [kind for kind in every() if floods or not FLOODS.search(kind["behaviour"])]
    return [
        {**kinds[n % len(kinds)], "id": f"hostile-{n:04d}-{kinds[n % len(kinds)]['behaviour']}", "where": "all" if (n // len(kinds)) % 2 else "some"}
        for n in range(count)
    ]


def _line(file: Path, child: subprocess.Popen[bytes], wanted: str) -> dict[str, Any]:
    """The first JSON line that holds this word."""
    deadline = time.monotonic() + STARTS
    while True:
        for line in file.read_text(errors="replace").splitlines():
            if wanted in line:
                found: dict[str, Any] = json.loads(line)
                return found
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{file.name} says no {wanted}: {file.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)


def _ask(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def cadence(good: int, hostile: Sequence[Mapping[str, str]], *, interval: float, rounds: int) -> Cadence:
    """Watch them for so many intervals, after each good device was polled twice."""
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        zeros = [f"--{kind}-port=0" for kind in ("https", "http", "snmp", "ssh", "control")]
        command = [sys.executable, "-m", "simulator", "--fleet", str(good), *zeros, "--write-config", str(folder / "site")]
        fleet = stack.enter_context(stopped(command, folder / "good.out", cpus=SERVERS))
        config = Path(_line(folder / "good.out", fleet, '"config"')["config"])
        document = yaml.safe_load(config.read_text())
        names = {entry["id"] for entry in document["devices"]}
        if hostile:
            (folder / "hostile.json").write_text(json.dumps(list(hostile)))
            command = [sys.executable, "-m", "tests.support.hostile", str(folder / "hostile.json")]
            enemies = stack.enter_context(stopped(command, folder / "hostile.out", cpus=SERVERS))
            entries = _line(folder / "hostile.out", enemies, '"entries"')["entries"]
            document["devices"] += [entry | {"contract": "cameras" if entry["vendor"] == "axis" else "rooms-plus"} for entry in entries]
        document |= {"listen": "127.0.0.1:0", "polling": {"interval": f"{interval:g}s"}}
        config.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        command = [sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(config), "--log-format", "json"]
        daemon = stack.enter_context(stopped(command, folder / "daemon.out", cpus=SUBJECT))
        told = _line(folder / "daemon.out", daemon, '"listening"')
        return _watched(daemon.pid, f"{told['host']}:{told['port']}", names, interval=interval, rounds=rounds)


def _watched(pid: int, address: str, names: set[str], *, interval: float, rounds: int) -> Cadence:
    seen: dict[str, list[float]] = {name: [] for name in names}
    lag, memory, others = 0.0, 0, set[str]()

    def look() -> None:
        nonlocal lag, memory
        page = _ask(address, _PAGE)
        for device, at in _POLLED.findall(page):
            if device not in seen:
                others.add(device)
            elif seen[device][-1:] != [float(at)]:
                seen[device].append(float(at))
        late = _LAG.search(page)
        lag = max(lag, float(late[1]) if late else 0.0)
        memory = max(memory, resident(pid))

    pause = min(interval / 4, 5.0)
    deadline = time.monotonic() + STARTS + 2 * interval
    while any(len(times) < 2 for times in seen.values()):  # from its first poll, at the start, to its first turn is no whole interval
        if time.monotonic() > deadline:
            raise RuntimeError(f"{sum(len(times) < 2 for times in seen.values())} of {len(seen)} good devices were not polled twice")
        look()
        time.sleep(pause)
    seen = {name: times[-1:] for name, times in seen.items()}
    lag, spent, end = 0.0, cpu_of(pid), time.monotonic() + rounds * interval
    while time.monotonic() < end:
        look()
        time.sleep(pause)
    look()
    now = time.time()
    devices = {entry["id"]: entry for entry in json.loads(_ask(address, "/api/v1/devices"))["devices"]}
    lost = sum(state in ("failed", "stale") for name in names for state in devices[name]["facets"].values())
    # One that was not polled again is a gap too. A poll shows when it ends, so a little more than an interval is none.
    open_gaps = [now - times[-1] for times in seen.values() if now - times[-1] > 1.5 * interval]
    gaps = [later - at for times in seen.values() for at, later in pairwise(times)] + open_gaps
    return Cadence(gaps=tuple(gaps), lost=lost, memory=memory, lag=lag, cpu=cpu_of(pid) - spent, met=len(others))


def measure(*, good: int, hostile: int, interval: float, rounds: int, floods: bool = False) -> tuple[list[Ratio | Figure], dict[str, Any]]:
    """Both sides, the quiet one first: each gap between two polls of a good device, in intervals."""
    say(f"hostile: {good} good devices every {interval:g} s, watched for {rounds} intervals alone, then beside {hostile} hostile ones")
    alone = cadence(good, (), interval=interval, rounds=rounds)
    say(f"  alone: {alone.told()}")
    beside = cadence(good, crowd(hostile, floods=floods), interval=interval, rounds=rounds)
    say(f"  beside them: {beside.told()}")
    if beside.lost > alone.lost:
        raise RuntimeError(f"the good devices lost {beside.lost} facets beside the hostile ones, {alone.lost} alone")
    quiet, loud = alone.told(), beside.told()
    rows: list[Ratio | Figure] = [
        Ratio(
            what=f"gap between two polls of {good:,} good devices beside {hostile:,} hostile ones, in intervals",
            rounds=tuple(round(gap / interval, 4) for gap in beside.gaps),
            must=1.05,
            aim=1.01,
            more=f"alone: median {quiet['median']:.2f} s, one in a hundred {quiet['hundredth']:.2f} s, longest {quiet['longest']:.2f} s; "
            f"beside them: {loud['median']:.2f} s, {loud['hundredth']:.2f} s, {loud['longest']:.2f} s; {loud['gaps']:,} gaps; {loud['met']} hostile ones met; "
            f"CPU {quiet['cpu']:.0f} s and {loud['cpu']:.0f} s; loop at most {1000 * quiet['lag']:.0f} ms and {1000 * loud['lag']:.0f} ms late",
        ),
        Ratio(
            what=f"longest gap between two polls of a good device beside {hostile:,} hostile ones, in intervals",
            rounds=(loud["longest"] / interval,),
            must=1.5,
            aim=1.1,
            more=f"alone {quiet['longest'] / interval:.3f}",
        ),
        Figure(what=f"memory that {hostile:,} hostile devices take beside {good:,} good ones", value=(beside.memory - alone.memory) / 1e6, unit="MB"),
    ]
    return rows, {"alone": quiet, "beside": loud}


def by_behaviour(good: int, hostile: int, groups: int, interval: float, rounds: int) -> None:
    """Print what each group of them costs."""
    devices = every()
    parts = [devices[start : start + hostile] for start in range(0, len(devices), hostile)]
    print("good  hostile  rounds  seconds  polls a good device  good facets lost  RSS peak MB  middle to end MB  loop late ms  CPU s  bugs")
    for group in parts[: groups or None]:
        with tempfile.TemporaryDirectory() as folder:
            found = run(Path(folder), good=good, hostile=group, interval=interval, rounds=rounds, concurrency=100)
        lost = sum(state in ("failed", "stale") for name in found.polls for state in found.devices[name]["facets"].values())
        counts = f"{min(found.polls.values())} to {max(found.polls.values())}"
        print(
            f"{good:4}  {len(group):7}  {found.rounds:6}  {found.seconds:7.0f}  {counts:>19}  {lost:16}  {found.peak >> 20:11}  "
            f"{found.growth >> 20:+16}  {found.lag * 1000:12.0f}  {found.cpu:5.0f}  {len(found.troubles):4}",
            flush=True,
        )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--by-behaviour", action="store_true", help="what each group of hostile devices costs")
    parser.add_argument("--good", type=int, default=0, help="good devices (default 1000; by behaviour 500)")
    parser.add_argument("--hostile", type=int, default=0, help="hostile devices (default 1000; by behaviour 50 at a time)")
    parser.add_argument("--floods", action="store_true", help="with those that spend our CPU on purpose")
    parser.add_argument("--groups", type=int, default=0, help="by behaviour: how many groups; 0: until each had its turn")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two polls of a device (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="intervals to watch (default 3)")
    arguments = parser.parse_args(words)
    if arguments.by_behaviour:
        by_behaviour(arguments.good or 500, arguments.hostile or 50, arguments.groups, arguments.interval, arguments.rounds)
        return 0
    pinned(SERVERS)
    rows, raw = measure(
        good=arguments.good or 1000, hostile=arguments.hostile or 1000, interval=arguments.interval, rounds=arguments.rounds, floods=arguments.floods
    )
    keep("hostile", rows, raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
