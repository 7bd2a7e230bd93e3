"""Keeping the evidence folder within its limits of age and size: the oldest goes first, never what an open case or an unsent step needs."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The evidence of one case: bytes, and when something was last written there."""

    case: str
    size: int
    touched: datetime


def expendable(folders: Collection[Folder], needed: Collection[str], now: datetime, *, max_age: float, max_size: int) -> list[Folder]:
    """What goes, oldest first: what is older than `max_age` seconds, then as much as it takes to come under `max_size` bytes. Pure."""
    free = sorted((f for f in folders if f.case not in needed), key=lambda f: (f.touched, f.case))
    going = [f for f in free if now - f.touched > timedelta(seconds=max_age)]
    total = sum(f.size for f in folders) - sum(f.size for f in going)
    for folder in free:
        if total <= max_size:
            break
        if folder not in going:
            going.append(folder)
            total -= folder.size
    return going


def measure(root: Path) -> list[Folder]:
    """The folders under `root`. Blocking."""
    found = []
    for entry in root.iterdir() if root.is_dir() else ():
        if not entry.is_dir() or entry.is_symlink():
            continue
        stats = [p.lstat() for p in (entry, *entry.rglob("*"))]
        touched = max(s.st_mtime for s in stats)
        found.append(Folder(case=entry.name, size=sum(s.st_size for s in stats), touched=datetime.fromtimestamp(touched).astimezone()))
    return found


def remove(root: Path, folders: Collection[Folder]) -> None:
    """Delete them. Blocking. OSError when the disk refuses."""
    for folder in folders:
        shutil.rmtree(root / folder.case)
