"""The real daemon, killed with SIGKILL at a chosen point of its own code.

The daemon's process is forked from one that has it imported already (a start takes some 0.1 s instead of 1.5 s), so hundreds of kills fit into a
test. The product's code knows nothing of it: in the child the function named by the point is wrapped, and the nth call of it is the last thing that
the process does.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal, NoReturn

from tests.support.processes import wait_for

_PRELOADED = ["agent.cli", "agent.app", "collectors.axis", "collectors.poly", "exporters.prometheus", "exporters.tickets.folder", "exporters.tickets.mail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where to die: `where` is `module:Class.function` or `module:function`; at its `nth` call, before it begins or after it ended."""

    where: str
    nth: int = 1
    when: Literal["before", "after"] = "before"


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL does not return")


def arm(point: Point) -> None:
    """Wrap the function so that its nth call is the last thing this process does."""
    calls = 0

    def reached(when: str) -> None:
        nonlocal calls
        calls += when == "before"
        if calls == point.nth and point.when == when:
            die()

    observe(point.where, reached)


def observe(where: str, reached: Callable[[str], None]) -> None:
    """Wrap the function `module:Class.function` so that `reached` is told "before" and "after" each call."""
    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    original = inspect.getattr_static(owner, name)
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            reached("before")
            try:
                return await original(*args, **kwargs)
            finally:
                reached("after")

        wrapped: Callable[..., Any] = waiting
    elif callable(original) and not inspect.isgeneratorfunction(original) and not inspect.isasyncgenfunction(original):

        @functools.wraps(original)
        def direct(*args: Any, **kwargs: Any) -> Any:
            reached("before")
            try:
                return original(*args, **kwargs)
            finally:
                reached("after")

        wrapped = direct
    else:
        raise TypeError(f"{where} is no plain function or coroutine function")
    setattr(owner, name, wrapped)


def _run(arguments: Sequence[str], log: Path, points: Sequence[Point], prepare: Sequence[Callable[[], None]]) -> None:
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    for change in prepare:
        change()
    for point in points:
        arm(point)
    sys.argv = ["latarnik", *arguments]
    importlib.import_module("agent.cli").main()


@dataclass(slots=True)
class Forked:
    """A daemon of ours: `process.exitcode` is -9 once it was killed."""

    process: ForkServerProcess
    log: Path
    start: int

    def text(self) -> str:
        """What this run wrote."""
        return self.log.read_bytes()[self.start :].decode(errors="replace")

    def ready(self, within: float = 30.0) -> None:
        """Wait until it watches. AssertionError when it ends before."""

        def look() -> bool:
            assert self.process.exitcode is None, f"the daemon ended with {self.process.exitcode}:\n{self.text()[-3000:]}"
            return '"watching"' in self.text()

        wait_for("the daemon is ready", look, within)

    def died(self, within: float) -> bool:
        """Whether it came to its point, and so to its end, within so many seconds."""
        self.process.join(within)
        return self.process.exitcode == -signal.SIGKILL

    def stop(self, within: float = 30.0) -> int | None:
        """SIGTERM and its exit code."""
        self.process.terminate()
        self.process.join(within)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)


@contextmanager
def forked(config: Path, log: Path, *points: Point, arguments: Sequence[str] = (), prepare: Sequence[Callable[[], None]] = ()) -> Iterator[Forked]:
    """The real daemon with these points armed. Not yet ready when the block begins; gone when it ends.

    `prepare`: functions of modules that are called in its process first: a test changes there what the world does to the daemon.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    log.touch()
    command = ["run", "--config", str(config), "--log-format", "json", *arguments]
    child = context.Process(target=_run, args=(command, log, points, tuple(prepare)))
    running = Forked(child, log, log.stat().st_size)
    child.start()
    try:
        yield running
    except BaseException:
        print(f"--- {log.name}\n{running.text()[-6000:]}")
        raise
    finally:
        if child.exitcode is None:
            child.kill()
            child.join(10)
        child.close()
