"""`python -m bench.memory`: memory of one more device: the slope from 1,000 devices to 10,000, all polled, no connection kept."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.app import find_house
from bench.machine import SERVERS, pinned, say
from bench.neutral import neutral
from bench.poll import PACES, lines_of
from bench.recording import record
from bench.rounds import Ratio, keep
from bench.site import write_site
from bench.subject import subject


def open_sockets(pid: int) -> int:
    """Sockets a process holds: none of them to a device, between polls."""
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


def measure(vendor: str, counts: tuple[int, int]) -> tuple[Ratio, dict[str, Any]]:
    """The slope in kB a device."""
    pace = PACES[vendor]
    recording = asyncio.run(record(vendor, find_house()))
    expected = lines_of(recording)
    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = stack.enter_context(neutral(folder / "neutral", recording, ("latarnik",)))
        for count in counts:
            say(f"memory {vendor}: {count} devices, each polled twice")
            config = write_site(folder / f"site-{count}", recording, servers.sides["latarnik"], count, interval=pace.interval)
            with subject("bench.product", folder, f"product-{count}", str(config)) as product:
                before = open_sockets(product.child.pid)
                product.ask("polls", ahead=pace.anew)
                product.ask("polls", ahead=pace.step)
                checked = product.ask("check", expected=expected)
                if checked["good"] != count:
                    raise RuntimeError(f"only {checked['good']} of {count} devices have the readings they should have: {checked['odd']}")
                # The page of the check is gone, and with it what the allocator held for it.
                product.ask("polls", ahead=pace.step)
                sockets = open_sockets(product.child.pid) - before
                if sockets > 0:
                    raise RuntimeError(f"{sockets} sockets are left open between polls")
                found[count] = product.ask("memory")
                say(f"  {found[count]['resident'] / 1e6:.1f} MB")
    few, many = counts
    slope = (found[many]["resident"] - found[few]["resident"]) / (many - few) / 1000
    row = Ratio(
        what=f"memory of one {vendor.capitalize()} device, from {few:,} to {many:,}",
        rounds=(slope,),
        must=100.0,
        aim=40.0,
        unit="kB",
        more=f"{found[few]['resident'] / 1e6:.1f} MB and {found[many]['resident'] / 1e6:.1f} MB in all; {len(expected)} readings a device",
    )
    return row, {str(count): told for count, told in found.items()}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--vendor", choices=("axis", "poly", "both"), default="axis")
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    arguments = parser.parse_args(words)
    pinned(SERVERS)
    for vendor in ("axis", "poly") if arguments.vendor == "both" else (arguments.vendor,):
        row, raw = measure(vendor, (arguments.few, arguments.many))
        keep(f"memory-{vendor}", [row], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
