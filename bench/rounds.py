"""Rounds of two sides in turn, A B B A, and what they say: medians, extremes, raw figures kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import described, say

RESULTS = Path(__file__).with_name("results")
RESULTS_FOLDER = "LATARNIK_BENCH_RESULTS"
"""Environment variable: another folder for the results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A row of the table: a figure of each round, the bound it must keep, and the aim."""

    what: str
    rounds: tuple[float, ...]
    must: float
    aim: float
    unit: str = ""
    more: str = ""

    @property
    def median(self) -> float:
        return median(self.rounds)

    @property
    def verdict(self) -> str:
        return "aim" if self.median <= self.aim else "must" if self.median <= self.must else "MISSED"

    def line(self) -> str:
        low, high = min(self.rounds), max(self.rounds)
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what:70} {self.median:9.3f}{unit}  [{low:.3f} .. {high:.3f}]  must {self.must:g}  aim {self.aim:g}  {self.verdict}"

    def told(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "median": round(self.median, 4),
            "low": round(min(self.rounds), 4),
            "high": round(max(self.rounds), 4),
            "unit": self.unit,
            "must": self.must,
            "aim": self.aim,
            "verdict": self.verdict,
            "more": self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A row without a bound: something to know."""

    what: str
    value: float
    unit: str
    more: str = ""

    def line(self) -> str:
        return f"{self.what:70} {self.value:9.3f} {self.unit}"

    def told(self) -> dict[str, Any]:
        return {"what": self.what, "value": round(self.value, 4), "unit": self.unit, "more": self.more}


def alternate(rounds: int, first: Callable[[], dict[str, Any]], second: Callable[[], dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of blocks, A B then B A, so that what drifts weighs on both alike."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            a = first()
            b = second()
        else:
            b = second()
            a = first()
        pairs.append((a, b))
        say(f"  round {number + 1} of {rounds}: {1000 * a['cpu'] / a['cycles']:.3f} and {1000 * b['cpu'] / b['cycles']:.3f} ms of CPU a cycle")
    return pairs


def per_cycle(block: Mapping[str, Any]) -> float:
    """CPU seconds of one cycle."""
    return float(block["cpu"]) / float(block["cycles"])


def keep(name: str, rows: Sequence[Ratio | Figure], raw: Mapping[str, Any]) -> None:
    """Print the rows and write them with all that was measured to `results/NAME.json`."""
    folder = Path(os.environ.get(RESULTS_FOLDER) or RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    document = {**described(), "rows": [row.told() for row in rows], "raw": raw}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for row in rows:
        print(row.line(), flush=True)
        if row.more:
            print(f"    {row.more}", flush=True)
