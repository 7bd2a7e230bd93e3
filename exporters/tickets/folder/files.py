"""Writing a file so that a kill at any instant leaves the old content or the new, never half of one. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o750
"""Evidence may hold names and logs of people: nobody but the owner and the group of the folder reads it."""


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """Put `pieces` where `path` is, whole or not at all, and synced when this returns.

    An error leaves `path` as it was, and frees what was written. The temporary name is fixed: what a kill left there the next try overwrites.
    """
    temporary = path.with_name(f".{path.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - a system call by its name, like the others here
    except Exception:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make this folder if it is not there; its parent must be."""
    try:
        os.mkdir(path, FOLDER_MODE)  # noqa: PTH102 - a system call by its name, like the others here
    except FileExistsError:
        if not path.is_dir():
            raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in this folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
