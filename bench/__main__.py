"""`python -m bench`: every benchmark, one after the other, then all their figures; and the table of README.md is written anew.

`--smallest` runs each in its smallest form: that they run and that their checks hold, no figure that means anything, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.rounds import RESULTS, RESULTS_FOLDER

PLAN: tuple[tuple[str, str, str], ...] = (
    ("poll", "", "--rounds 1 --devices 6 --times 1 --rate 20"),
    ("peers", "", "--rounds 1 --devices 20 --times 2"),
    ("scrape", "", "--devices 200 --rounds 1"),
    ("scale", "", "--few 4 --many 12 --block 4 --rounds 1"),
    ("memory", "", "--few 5 --many 15"),
    ("stall", "", "--devices 20 --interval 2 --seconds 3"),
    ("paced", "", "--devices 8 --interval 2 --seconds 4"),
    ("hostile", "", "--good 6 --hostile 8 --interval 3 --rounds 2"),
)
"""What is run: the module, its arguments, and those of the smallest form."""

_PAGE = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures: python -m bench -->\n", "<!-- end -->\n"


def rows_of(folder: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(result, row) of every row that was written, in the order of the plan."""
    order = {name: number for number, (name, _, _) in enumerate(PLAN)}
    files = sorted(folder.glob("*.json"), key=lambda f: (order.get(f.stem.partition("-")[0], len(order)), f.stem))
    results = [json.loads(file.read_text()) for file in files]
    return [(result, row) for result in results for row in result["rows"]]


def table(rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """The figures as Markdown."""
    lines = ["| what | figure | lowest to highest | must | aim | |", "|---|---|---|---|---|---|"]
    for _, row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        if "must" in row:
            spread = f"{row['low']:.3g} to {row['high']:.3g}" if row["low"] != row["high"] else ""
            lines.append(f"| {row['what']} | {row['median']:.3g}{unit} | {spread} | {row['must']:g} | {row['aim']:g} | {_VERDICTS[row['verdict']]} |")
        else:
            lines.append(f"| {row['what']} | {row['value']:.3g}{unit} | | | | |")
    machines = sorted({f"{r['cpu']}, {r['system']}, Python {r['python']}" for r, _ in rows})
    days = sorted({r["at"][:10] for r, _ in rows})
    lines += ["", f"Measured {' and '.join(days)} on {'; '.join(machines)}."]
    return "\n".join(lines) + "\n"


_VERDICTS = {"aim": "aim reached", "must": "must kept", "MISSED": "**must missed**"}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smallest", action="store_true")
    parser.add_argument("--only", default="", help="these alone, by name with commas between; the table has the kept figures of the others (none: - )")
    arguments = parser.parse_args(words)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name:
        folder = Path(name) if arguments.smallest else RESULTS
        plan = [row for row in PLAN if not arguments.only or row[0] in arguments.only.split(",")]
        for number, (module, full, smallest) in enumerate(plan, 1):
            print(f"=== {module} ({number} of {len(plan)}, after {time.monotonic() - started:.0f} s)", flush=True)
            command = [sys.executable, "-m", f"bench.{module}", *(smallest if arguments.smallest else full).split()]
            done = subprocess.run(command, check=False, timeout=1200, env={**os.environ, RESULTS_FOLDER: str(folder)})
            if done.returncode:
                print(f"bench.{module} failed with {done.returncode}", file=sys.stderr)
                return 1
        rows = rows_of(folder)
    print(f"=== all, after {time.monotonic() - started:.0f} s", flush=True)
    if arguments.smallest:
        print(f"{len(rows)} rows; every check held")
        return 0
    text = table(rows)
    print(text, end="")
    page = _PAGE.read_text()
    head, _, rest = page.partition(_BEGIN)
    _PAGE.write_text(head + _BEGIN + text + _END + rest.partition(_END)[2])
    return 0 if all(row.get("verdict") != "MISSED" for _, row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
