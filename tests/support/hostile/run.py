"""Hostile devices beside good ones under one real daemon: what became of each, and what it cost."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.hostile.ways import RAW, SNMP, SSH_RAW, SSH_SHELLS, V3
from tests.support.hostile.web import BEHAVIOURS
from tests.support.processes import daemon, free_port, get, process, wait_for

TIMEOUT = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`polls` of each good device during the run of `seconds`, in which at least `rounds` were due.

    `devices`: what the daemon showed of each at the end, by id. `asked`: what reached each hostile device. `memory`: resident bytes, about once a
    second. `lag`: the longest the loop came late. `cpu` and `lag` in seconds.
    """

    rounds: int
    seconds: float
    polls: Mapping[str, int]
    devices: Mapping[str, Mapping[str, Any]]
    asked: Mapping[str, Mapping[str, int]]
    memory: Sequence[int]
    lag: float
    cpu: float
    log: str

    @property
    def peak(self) -> int:
        return max(self.memory)

    @property
    def growth(self) -> int:
        """Of the memory, from the middle fifth of the run to the last."""
        fifth = max(1, len(self.memory) // 5)
        return max(self.memory[-fifth:]) - max(self.memory[2 * fifth : 3 * fifth])

    @property
    def troubles(self) -> list[str]:
        """Lines of the log that tell of a bug: ours, or somebody's traceback, which is no line of ours."""
        found = []
        for line in self.log.splitlines():
            event = json.loads(line) if line.startswith("{") else {"event": "not a line of ours"}
            if event["event"] == "not a line of ours" or str(event["event"]).startswith("bug_in") or "exception" in event:
                found.append(line)
        return found


def every() -> list[dict[str, str]]:
    """Every hostile behaviour: those of HTTP and of TLS on both vendors' devices."""
    both = [(name, vendor) for name in (*BEHAVIOURS, *RAW) for vendor in ("axis", "poly")]
    more = [(name, "poly") for name in (*SSH_RAW, *SSH_SHELLS)] + [(name, "axis") for name in (*SNMP, *V3)]
    return [{"id": f"hostile-{vendor}-{name}", "vendor": vendor, "behaviour": name} for name, vendor in (*both, *more)]


@contextmanager
def started(arguments: list[str], log: Path) -> Iterator[dict[str, Any]]:
    """A process that prints one JSON line when it is ready."""
    with process([sys.executable, *arguments], log) as running:

        def ready() -> str:
            assert running.child.poll() is None, running.text()
            line, end, _ = running.text().partition("\n")
            return line if end else ""

        yield json.loads(wait_for(f"{' '.join(arguments[:3])} is ready", ready, within=120))


def run(folder: Path, *, good: int, hostile: Sequence[Mapping[str, str]], interval: float, rounds: int, concurrency: int) -> Outcome:
    """Watch them for so many rounds of polls, after a first one in which everybody is met; longer, where the machine is too slow for that."""
    (folder / "hostile.json").write_text(json.dumps(list(hostile)))
    ports = [f"--{kind}-port=0" for kind in ("https", "http", "snmp", "ssh")]
    with (
        started(["-m", "simulator", "--fleet", str(good), *ports, "--write-config", str(folder / "site")], folder / "good.log") as fleet,
        started(["-m", "tests.support.hostile", str(folder / "hostile.json")], folder / "hostile.log") as enemies,
    ):
        config, listen = Path(fleet["config"]), free_port()
        document = yaml.safe_load(config.read_text())
        for number, entry in enumerate(document["devices"]):
            if number % 10 == 0:  # some share the SNMPv3 engines with the hostile ones
                entry["credentials"]["snmp"] = "snmp-v3"
        document["devices"] += [entry | {"contract": "cameras" if entry["vendor"] == "axis" else "rooms-plus"} for entry in enemies["entries"]]
        document |= {"listen": f"127.0.0.1:{listen}", "polling": {"interval": f"{interval:g}s", "timeout": f"{TIMEOUT:g}s", "concurrency": concurrency}}
        config.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))

        def counts() -> dict[str, int]:
            base = f"http://127.0.0.1:{fleet['ports']['control']}/devices"
            asked = {d["name"]: json.loads(get(f"{base}/{d['name']}/counters"))["requests"] for d in fleet["devices"]}
            return {name: sum(n for what, n in found.items() if re.search(r"systemready|/rest/system$", what)) for name, found in asked.items()}

        with daemon(config, folder / "daemon.log") as running:
            pid = running.child.pid
            wait_for("every good device was met", lambda: all(n > 0 for n in counts().values()), within=60 + 2 * interval)
            before = counts()
            memory: list[int] = []
            began = time.monotonic()

            def over() -> bool:
                memory.append(resident(pid))
                time.sleep(0.95)  # between two looks at what the run costs
                return time.monotonic() - began >= rounds * interval

            wait_for("the run is over", over, within=rounds * interval + 10)
            wait_for("every good device was polled as often", lambda: over() and all(counts()[n] - before[n] >= rounds for n in before), 20 * rounds * interval)
            after, seconds = counts(), time.monotonic() - began
            devices = {d["id"]: d for d in json.loads(get(f"http://127.0.0.1:{listen}/api/v1/devices"))["devices"]}
            page = get(f"http://127.0.0.1:{listen}/metrics")
            cpu = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
            asked = json.loads(get(f"http://127.0.0.1:{enemies['control']}/"))
        lag = re.search(r"^latarnik_event_loop_lag_seconds (\S+)", page, re.MULTILINE)
        assert lag is not None
        return Outcome(
            rounds=rounds,
            seconds=seconds,
            polls={name: after[name] - before[name] for name in after},
            devices=devices,
            asked=asked,
            memory=memory,
            lag=float(lag[1]),
            cpu=cpu,
            log=(folder / "daemon.log").read_text(errors="replace"),
        )


def resident(pid: int) -> int:
    """Bytes of memory that the process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
