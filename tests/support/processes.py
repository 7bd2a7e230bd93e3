"""Real processes under test: started on loopback, waited for by what they say or show, stopped by their process id."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(what: str, look: Callable[[], T | None], within: float = 30.0) -> T:
    """Ask `look` until it gives something; AssertionError that names `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {within:.0f} s: {what}")


@dataclass(slots=True)
class Process:
    """A child. `log` holds what it wrote."""

    child: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, within: float = 30.0) -> int:
        """SIGTERM and its exit code."""
        self.child.terminate()
        return self.child.wait(within)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(10)


@contextmanager
def process(arguments: list[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[Process]:
    """Run a child; whatever happens it is gone afterwards, and its log is shown when the test fails."""
    with log.open("ab") as out:
        child = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, cwd=cwd)
    running = Process(child, log)
    try:
        yield running
    except BaseException:
        print(f"--- {log.name}\n{running.text()[-6000:]}")
        raise
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


def get(url: str, accept: str = "*/*") -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        body: bytes = answer.read()
        return body.decode()


@contextmanager
def daemon(config: Path, log: Path, *, env: Mapping[str, str] | None = None, arguments: tuple[str, ...] = ()) -> Iterator[Process]:
    """The real daemon, ready."""
    with process([sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(config), "--log-format", "json", *arguments], log, env=env) as running:
        start = running.log.stat().st_size

        def ready() -> bool:
            assert running.child.poll() is None, f"the daemon ended with {running.child.returncode}:\n{running.text()[-3000:]}"
            return b'"watching"' in running.log.read_bytes()[start:]

        wait_for("the daemon is ready", ready)
        yield running


def events(log: Path) -> list[dict[str, Any]]:
    """The daemon's log lines."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def command(*arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `latarnik ...` to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "agent.cli", *arguments], capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **(env or {})}
    )
