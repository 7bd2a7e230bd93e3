"""What is measured runs in a process of its own and is told what to do, a JSON line at a time: both ends of that conversation."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import SUBJECT, own_cpu, stopped

Handler = Callable[..., Awaitable[dict[str, Any]]]

IN_FLIGHT = 20
"""Cycles that run at the same time on either side."""


async def serve(handlers: Mapping[str, Handler], answers: int) -> None:
    """In the subject: do what each line asks and write what came of it to the descriptor `answers`, until the input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        try:
            answer = await handlers[told.pop("do")](**told)
        except Exception:  # noqa: BLE001 - it is the other end that stops, and shows why
            answer = {"error": traceback.format_exc()}
        os.write(answers, json.dumps(answer).encode() + b"\n")


def private_output() -> int:
    """Keep standard output for the answers: whatever else this process prints goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


async def measured(cycle: Callable[[str], Awaitable[None]], targets: Sequence[str], rate: float = 0.0) -> dict[str, float]:
    """Run `cycle` once for each target: {cycles, cpu, wall}, in seconds. `rate`: so many are begun each second; 0: IN_FLIGHT at a time."""
    wall, cpu = time.monotonic(), own_cpu()
    await (_paced(cycle, targets, rate) if rate else _saturated(cycle, targets))
    return {"cycles": len(targets), "cpu": own_cpu() - cpu, "wall": time.monotonic() - wall}


async def _saturated(cycle: Callable[[str], Awaitable[None]], targets: Sequence[str]) -> None:
    waiting = iter(targets)

    async def worker() -> None:
        for target in waiting:
            await cycle(target)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(IN_FLIGHT, len(targets))):
            group.create_task(worker())


async def _paced(cycle: Callable[[str], Awaitable[None]], targets: Sequence[str], rate: float) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def one(target: str) -> None:
        await cycle(target)

    async with asyncio.TaskGroup() as group:
        for number, target in enumerate(targets):
            await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            group.create_task(one(target))


@dataclass(slots=True)
class Subject:
    """The other process, from outside."""

    child: subprocess.Popen[bytes]
    log: Path

    def ask(self, do: str, *, within: float = 300.0, **told: Any) -> dict[str, Any]:
        """Have it do something and wait for the answer. Raises RuntimeError with its log when it fails."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        try:
            self.child.stdin.write(json.dumps({"do": do, **told}).encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(f"{self.log.name} ended: {self._said()}") from None
        line, deadline = b"", time.monotonic() + within
        while not line.endswith(b"\n"):
            if not select.select([self.child.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f"{self.log.name} did not {do} within {within:.0f} s: {self._said()}")
            piece = os.read(self.child.stdout.fileno(), 65536)
            if not piece:
                raise RuntimeError(f"{self.log.name} ended: {self._said()}")
            line += piece
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.log.name} could not {do}:\n{answer['error']}\n{self._said()}")
        return answer

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def subject(module: str, folder: Path, name: str, *arguments: str, cpus: frozenset[int] = SUBJECT) -> Iterator[Subject]:
    """`python -m MODULE ARGUMENTS` as a subject that is ready for its first order."""
    log = folder / f"{name}.out"
    with log.open("ab") as err:
        running = stopped([sys.executable, "-m", module, *arguments], log, cpus=cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, bufsize=0)
        with running as child:
            assert child.stdout is not None
            found = Subject(child, log)
            found.ask("ready", within=240.0)
            yield found


async def ready() -> dict[str, Any]:
    """Every subject's first order."""
    return {}
