"""`python -m bench.scale`: CPU of one poll in a fleet of 10,000 devices, against one in a fleet of 100."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

from agent.app import find_house
from bench.machine import SERVERS, pinned, say
from bench.neutral import neutral
from bench.poll import PACES, lines_of
from bench.recording import record
from bench.rounds import Ratio, alternate, keep, per_cycle
from bench.site import write_site
from bench.subject import Subject, subject


def measure(vendor: str, *, few: int, many: int, block: int, rounds: int) -> tuple[Ratio, dict[str, Any]]:
    """The ratio. A block is `block` polls: of all the few so often, of a part of the many once."""
    pace = PACES[vendor]
    recording = asyncio.run(record(vendor, find_house()))
    expected = lines_of(recording)
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = stack.enter_context(neutral(folder / "neutral", recording, ("latarnik",)))
        products: dict[int, Subject] = {}
        for count in (few, many):
            say(f"scale {vendor}: {count} devices, each polled twice: what is seen good for the first time is written down")
            config = write_site(folder / f"site-{count}", recording, servers.sides["latarnik"], count, interval=pace.interval)
            products[count] = stack.enter_context(subject("bench.product", folder, f"product-{count}", str(config)))
            for ahead in (pace.anew, pace.step):
                products[count].ask("polls", ahead=ahead, within=600)
        times = max(1, min(pace.times, block // few))
        starts = cycle(range(0, many, times * few))

        def large() -> dict[str, Any]:
            return products[many].ask("polls", ahead=pace.step, first=next(starts), count=times * few)

        def small() -> dict[str, Any]:
            products[few].ask("polls", ahead=pace.anew)
            return products[few].ask("polls", ahead=pace.step, times=times)

        large()
        pairs = alternate(rounds, large, small)
        for count, product in products.items():
            checked = product.ask("check", expected=expected)
            if checked["good"] != count:
                raise RuntimeError(f"only {checked['good']} of {count} devices have the readings they should have: {checked['odd']}")
    row = Ratio(
        what=f"CPU of one {vendor.capitalize()} poll at {many:,} devices, against {few:,}",
        rounds=tuple(per_cycle(a) / per_cycle(b) for a, b in pairs),
        must=1.2,
        aim=1.1,
        more=f"{times * few:,} polls a block",
    )
    return row, {"rounds": [{str(many): a, str(few): b} for a, b in pairs]}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--vendor", choices=("axis", "poly"), default="axis")
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--block", type=int, default=1_000, help="polls in a block")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args(words)
    pinned(SERVERS)
    row, raw = measure(arguments.vendor, few=arguments.few, many=arguments.many, block=arguments.block, rounds=arguments.rounds)
    keep("scale", [row], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
