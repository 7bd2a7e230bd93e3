"""The machine: cores, processes that are stopped by their id, CPU time, memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CORES = sorted(os.sched_getaffinity(0))
SUBJECT = frozenset(_CORES[:1])
"""The core of what is measured."""
SERVERS = frozenset(_CORES[1:]) or SUBJECT
"""The others: servers and whoever makes load. On a machine of one core the two share it, and the figures say less."""

_TICK = os.sysconf("SC_CLK_TCK")


def pinned(cpus: frozenset[int]) -> None:
    """Keep this process on these cores."""
    os.sched_setaffinity(0, cpus)


def own_cpu() -> float:
    """CPU seconds of this process so far, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    """CPU seconds of another process so far; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that are the process's own and in RAM."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss_Anon")


@contextmanager
def stopped(command: Sequence[str], log: Path, *, cpus: frozenset[int], env: Mapping[str, str] | None = None, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child on these cores, writing into `log`; gone when the block ends."""
    with log.open("ab") as out:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT, **more}
        child = subprocess.Popen(command, env={**os.environ, **(env or {})}, preexec_fn=lambda: pinned(cpus), **options)  # noqa: PLW1509 - no threads run yet
    try:
        yield child
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


def described() -> dict[str, str]:
    """The machine and what ran on it, for the results."""
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{len(_CORES)} x {names[0] if names else platform.machine()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": " ".join(f"{n:.2f}" for n in os.getloadavg()),
    }


def say(text: str) -> None:
    """Progress, at once."""
    print(text, file=sys.stderr, flush=True)
