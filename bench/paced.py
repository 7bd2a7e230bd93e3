"""`python -m bench.paced`: the real daemon on its own timer against the simulated fleet, a minute compressed into seconds: CPU of one poll."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.machine import SERVERS, SUBJECT, cpu_of, pinned, say, stopped
from bench.rounds import Figure, keep

_STARTS = 60.0


def _first_line(file: Path, child: subprocess.Popen[bytes], wanted: str) -> str:
    deadline = time.monotonic() + _STARTS
    while True:
        for line in file.read_text(errors="replace").splitlines():
            if wanted in line:
                return line
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{file.name} says no {wanted!r}: {file.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)


def _page(address: str) -> dict[str, float]:
    """Sums over all labels, by metric."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.split(r"[{ ]", line, maxsplit=1)[0]
            found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found


def measure(vendor: str, *, devices: int, interval: float, seconds: float) -> tuple[Figure, dict[str, Any]]:
    """CPU milliseconds of one poll, and what they did."""
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        say(f"paced {vendor}: {devices} simulated devices every {interval:g} s, watched for {seconds:g} s")
        zeros = [word for kind in ("https", "http", "snmp", "ssh", "control") for word in (f"--{kind}-port", "0")]
        command = [sys.executable, "-m", "simulator", "--fleet", str(devices), "--vendor", vendor, "--write-config", str(folder / "site"), *zeros]
        fleet = stack.enter_context(stopped(command, folder / "simulator.out", cpus=SERVERS))
        config = Path(json.loads(_first_line(folder / "simulator.out", fleet, '"config"'))["config"])
        config.write_text(f"listen: 127.0.0.1:0\npolling: {{interval: {interval:g}s}}\n" + config.read_text())
        command = [sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(config), "--log-format", "json"]
        daemon = stack.enter_context(stopped(command, folder / "daemon.out", cpus=SUBJECT))
        _first_line(folder / "daemon.out", daemon, '"watching"')
        told = json.loads(_first_line(folder / "daemon.out", daemon, '"listening"'))
        address = f"{told['host']}:{told['port']}"
        time.sleep(2 * interval)
        before, cpu = _page(address), cpu_of(daemon.pid)
        time.sleep(seconds)
        after, spent = _page(address), cpu_of(daemon.pid) - cpu
    polls, requests, failures = (
        after.get(f"latarnik_{n}_total", 0.0) - before.get(f"latarnik_{n}_total", 0.0) for n in ("polls", "poll_requests", "poll_failures")
    )
    if failures or polls < 0.7 * devices * seconds / interval:
        raise RuntimeError(f"{polls:.0f} polls, {failures:.0f} failures: the fleet was not polled as it should be")
    figure = Figure(
        what=f"CPU of one {vendor} poll of the daemon, {devices / interval:.0f} polls a second",
        value=1000 * spent / polls,
        unit="ms",
        more=f"{polls:.0f} polls, {requests / polls:.1f} parts asked in each, {100 * spent / seconds:.1f} % of a core, metrics page and timer included; "
        f"event loop at most {1000 * after['latarnik_event_loop_lag_seconds']:.0f} ms late",
    )
    return figure, {"polls": polls, "cpu": spent, "seconds": seconds, "requests": requests}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.paced", description=__doc__)
    parser.add_argument("--vendor", choices=("axis", "poly", "mixed"), default="mixed")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args(words)
    pinned(SERVERS)
    figure, raw = measure(arguments.vendor, devices=arguments.devices, interval=arguments.interval, seconds=arguments.seconds)
    keep("paced", [figure], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
