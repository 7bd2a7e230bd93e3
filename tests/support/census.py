"""How often a daemon calls what in one life: from that a test knows every point at which it can be killed."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import crash

FILE = "census"


@dataclass(frozen=True, slots=True)
class Census:
    """For `forked(..., prepare=[Census(functions)])`: each call of one of these is a line in a file beside the daemon's log."""

    functions: Sequence[str]

    def __call__(self) -> None:
        handle = os.open(Path("/proc/self/fd/1").readlink().parent / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for where in self.functions:
            crash.observe(where, functools.partial(_note, handle, f"{where}\n".encode()))


def _note(handle: int, line: bytes, when: str) -> None:
    if when == "before":
        os.write(handle, line)


def counted(folder: Path) -> list[str]:
    """All calls, in their order."""
    return (folder / FILE).read_text().split()
