"""Keeping the evidence folder within its limits of age and size: the oldest goes first, never what an open case or an unsent step needs.

The database is kept within its own by `agent.store.prune`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The evidence of one case: bytes, and when something was last written there."""

    case: str
    size: int
    touched: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What went. `over`: bytes beyond the limit that are needed. `trouble`: what could not be removed, and why."""

    going: tuple[Folder, ...]
    over: int
    trouble: tuple[str, ...]


def clear(root: Path, folders: Collection[Folder], needed: Collection[str], now: datetime, *, max_age: float, max_size: int) -> Cleared:
    """Bring the `folders` that were found under `root` within the limits, but for those of the `needed` cases. Blocking."""
    going, trouble = [], []
    for folder in expendable(folders, needed, now, max_age=max_age, max_size=max_size):
        try:
            shutil.rmtree(root / folder.case)
        except OSError as error:
            trouble.append(f"{error.filename or root / folder.case}: {error.strerror}")
        else:
            going.append(folder)
    left = sum(f.size for f in folders) - sum(f.size for f in going)
    return Cleared(going=tuple(going), over=max(0, left - max_size), trouble=tuple(trouble))


def expendable(folders: Collection[Folder], needed: Collection[str], now: datetime, *, max_age: float, max_size: int) -> list[Folder]:
    """What goes, oldest first: what is older than `max_age` seconds, then as much as it takes to come under `max_size` bytes. Pure."""
    free = sorted((f for f in folders if f.case not in needed), key=lambda f: (f.touched, f.case))
    going = [f for f in free if now - f.touched > timedelta(seconds=max_age)]
    total = sum(f.size for f in folders) - sum(f.size for f in going)
    for folder in free[len(going) :]:
        if total <= max_size:
            break
        going.append(folder)
        total -= folder.size
    return going


def measure(root: Path) -> list[Folder]:
    """The folders under `root`. Blocking."""
    found = []
    for entry in root.iterdir() if root.is_dir() else ():
        if not entry.is_dir() or entry.is_symlink():
            continue
        stats = list(_stats(entry))
        if stats:
            touched = max(s.st_mtime for s in stats)
            found.append(Folder(case=entry.name, size=sum(s.st_size for s in stats), touched=datetime.fromtimestamp(touched, UTC)))
    return found


def _stats(folder: Path) -> Iterator[os.stat_result]:
    """Of the folder and all in it. What goes away meanwhile (evidence is being written) is left out."""
    for path in (folder, *folder.rglob("*")):
        try:
            yield path.lstat()
        except FileNotFoundError:
            continue
