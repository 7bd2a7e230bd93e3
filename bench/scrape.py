"""`python -m bench.scrape`: one /metrics body of 10,000 devices of 40 series, against prometheus_client's `generate_latest` over the same series."""

from __future__ import annotations

import argparse
import gc
import hashlib
import sys
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from agent.model import MetricSpec, Reading
from bench.machine import SUBJECT, own_cpu, pinned, say
from bench.rounds import Ratio, alternate, keep
from exporters.prometheus.exposition import Exposition, pieces

FAMILIES = 20
LABELLED = ("inner", "outer")
"""Every family has two series of each device: 40 in all, of two labels each, one of them the device."""


def value(device: int, family: int, place: int) -> float:
    return device % 97 + family + place / 4


class Families:
    """The same series for prometheus_client: its families are made once, so that `generate_latest` only writes them."""

    def __init__(self, devices: int) -> None:
        self._families = []
        for number in range(FAMILIES):
            family = GaugeMetricFamily(f"latarnik_bench_{number:02d}_celsius", f"Measured value {number}", labels=["device", "sensor"])
            for device in range(devices):
                for place, sensor in enumerate(LABELLED):
                    family.add_metric([f"device-{device:05d}", sensor], value(device, number, place))
            self._families.append(family)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families


def exposition(devices: int) -> Exposition:
    """The product's page, filled as its observer fills it."""
    page = Exposition(
        MetricSpec(name=f"latarnik_bench_{number:02d}_celsius", help=f"Measured value {number}", labels=("sensor",)) for number in range(FAMILIES)
    )
    for device in range(devices):
        refused = page.update(
            f"device-{device:05d}",
            [
                Reading(metric=f"latarnik_bench_{number:02d}_celsius", value=value(device, number, place), labels=(sensor,))
                for number in range(FAMILIES)
                for place, sensor in enumerate(LABELLED)
            ],
        )
        if refused:
            raise RuntimeError(f"refused: {refused}")
    return page


def series_hash(page: bytes) -> tuple[int, str]:
    """How many samples, and a hash of them: each line with its value as a number, so that `1` and `1.0` are one."""
    lines = [line.rpartition(b" ") for line in page.splitlines() if not line.startswith(b"#")]
    told = sorted(head + repr(float(number)).encode() for head, _, number in lines)
    return len(told), hashlib.sha256(b"\n".join(told)).hexdigest()


def measure(devices: int, rounds: int) -> tuple[Ratio, dict[str, Any]]:
    """CPU of one whole uncompressed body."""
    say(f"scrape: {devices} devices of {FAMILIES * len(LABELLED)} series")
    page = exposition(devices)
    registry = CollectorRegistry()
    registry.register(Families(devices))
    gc.collect()
    gc.freeze()
    bodies: dict[str, bytes] = {}

    def ours() -> dict[str, Any]:
        start = own_cpu()
        bodies["latarnik"] = b"".join(pieces(page.view(), openmetrics=False))
        return {"cycles": 1, "cpu": own_cpu() - start}

    def theirs() -> dict[str, Any]:
        start = own_cpu()
        bodies["prometheus_client"] = generate_latest(registry)
        return {"cycles": 1, "cpu": own_cpu() - start}

    ours()
    pairs = alternate(rounds, ours, theirs)
    told = {name: series_hash(body) for name, body in bodies.items()}
    if told["latarnik"] != told["prometheus_client"] or told["latarnik"][0] != devices * FAMILIES * len(LABELLED):
        raise RuntimeError(f"the two pages do not hold the same series: {told}")
    size = len(bodies["latarnik"]) / 1e6
    row = Ratio(
        what=f"CPU of one /metrics body of {devices:,} devices, against generate_latest",
        rounds=tuple(a["cpu"] / b["cpu"] for a, b in pairs),
        must=0.1,
        aim=0.03,
        more=f"{told['latarnik'][0]:,} series, {size:.1f} MB, sha256 {told['latarnik'][1][:16]} on both sides",
    )
    return row, {"rounds": [{"latarnik": a, "prometheus_client": b} for a, b in pairs], "series": told}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scrape", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args(words)
    pinned(SUBJECT)
    row, raw = measure(arguments.devices, arguments.rounds)
    keep("scrape", [row], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
