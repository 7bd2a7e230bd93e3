"""What goes wrong on a site server: its disk, its database, its clock. Each is done to the real thing, and undone."""

from __future__ import annotations

import importlib
import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from agent import ports
from agent.polling import guard
from agent.store.database import FILE

Trouble = Callable[[Path, int], Any]
"""A context manager: (state folder, pid of the daemon)."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 16 MB at this folder; skips where nothing can be mounted."""
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "latarnik-test", folder], check=False, capture_output=True).returncode:
        pytest.skip("a disk of its own needs root and a kernel that lets us mount a tmpfs; the limit of file sizes is tried without")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full_disk(state: Path, _pid: int) -> Iterator[None]:
    """Not a byte is free: on a disk of its own."""
    ballast = state / "ballast"
    handle = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    piece = bytes(1 << 20)
    try:
        while piece:
            try:
                os.write(handle, piece)
            except OSError:
                piece = piece[: len(piece) // 2]
        yield
    finally:
        os.close(handle)
        ballast.unlink()


@contextmanager
def no_file_grows(_state: Path, pid: int) -> Iterator[None]:
    """No file of the daemon's may be written beyond its first 4 kB, as where a quota is used up."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(state: Path, _pid: int) -> Iterator[None]:
    """The database cannot be written, by those neither who have it open already: as after an error of the disk.

    Not its `-shm`: a process that writes into the memory of a file that it maps and may not change gets SIGBUS from the kernel.
    """
    files = [state / FILE, state / f"{FILE}-wal"]
    if os.geteuid() != 0 or subprocess.run(["chattr", "+i", *files], check=False, capture_output=True).returncode:
        pytest.skip("only root, and only on some file systems, can make a file unchangeable (chattr +i)")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


@contextmanager
def locked(state: Path, _pid: int) -> Iterator[None]:
    """Another process writes to the database and does not come to an end."""
    with closing(sqlite3.connect(state / FILE, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --- in the daemon's process


def with_short_pauses() -> None:
    """A kill in the middle of a run's first login starts a pause (promise 1): seconds here, and not minutes."""
    guard.PAUSES = (2.0, 2.0, 2.0)


def with_a_clock_that_is_set(offset: Path) -> None:
    """The wall clock of the daemon differs from ours by the seconds in this file, which may change at any time. Its monotonic clock goes on."""

    def ahead() -> timedelta:
        return timedelta(seconds=float(offset.read_text()))

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + ahead()

    for module in ("apscheduler.schedulers.base", "apscheduler.executors.base", "agent.polling.scheduler"):
        importlib.import_module(module).datetime = Shifted  # type: ignore[attr-defined]
    ports.SystemClock.now = lambda _self: datetime.now(UTC) + ahead()  # type: ignore[assignment, method-assign]
