"""Hostile devices, 50 at a time, beside 500 good ones under one daemon: `python -m bench.hostile`. Prints what it cost, a line a group.

The good ones are the simulator's fleet, the hostile ones `tests/support/hostile`; `tests/promises/test_hostile.py` asserts what is only shown here.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.support.hostile.run import every, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--good", type=int, default=500, help="good devices (default 500)")
    parser.add_argument("--hostile", type=int, default=50, help="hostile devices at a time (default 50)")
    parser.add_argument("--groups", type=int, default=0, help="how many groups of hostile devices; 0: until each behaviour had its turn")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two polls of a device (default 60)")
    parser.add_argument("--rounds", type=int, default=5, help="polls of each good device (default 5)")
    arguments = parser.parse_args()
    devices = every()
    groups = [devices[start : start + arguments.hostile] for start in range(0, len(devices), arguments.hostile)]
    print("good  hostile  rounds  seconds  polls a good device  good facets lost  RSS peak MB  middle to end MB  loop late ms  CPU s  bugs")
    for group in groups[: arguments.groups or None]:
        with tempfile.TemporaryDirectory() as folder:
            found = run(Path(folder), good=arguments.good, hostile=group, interval=arguments.interval, rounds=arguments.rounds, concurrency=100)
        lost = sum(state in ("failed", "stale") for name in found.polls for state in found.devices[name]["facets"].values())
        counts = f"{min(found.polls.values())} to {max(found.polls.values())}"
        print(
            f"{arguments.good:4}  {len(group):7}  {found.rounds:6}  {found.seconds:7.0f}  {counts:>19}  {lost:16}  {found.peak >> 20:11}  "
            f"{found.growth >> 20:+16}  {found.lag * 1000:12.0f}  {found.cpu:5.0f}  {len(found.troubles):4}",
            flush=True,
        )


if __name__ == "__main__":
    main()
