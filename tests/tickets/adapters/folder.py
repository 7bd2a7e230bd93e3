"""The folder desk's other side: the folder, read with nothing but `json` and the documented layout."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporters.tickets.folder import PLUGIN
from exporters.tickets.folder.desk import FolderSettings
from tests.contract.desks import Breakage, DeskAdapter, HeldTicket

BREAKAGES = (
    Breakage(name="disk full", retryable=True, says="make room"),
    Breakage(name="quota", retryable=True, says="quota"),
    Breakage(name="read-only", retryable=True, says="ReadWritePaths="),
    Breakage(name="no permission", retryable=True, says="chown"),
    Breakage(name="input/output error", retryable=True, says="must be a folder"),
    Breakage(name="a file in its place", retryable=True, says="must be a folder"),
)


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings: object = FolderSettings(path=path)

    async def held(self) -> list[HeldTicket]:
        return [held_ticket(folder) for folder in sorted(self.path.iterdir())] if self.path.is_dir() else []

    @asynccontextmanager
    async def broken(self, name: str) -> AsyncIterator[None]:
        writes = {"disk full": errno.ENOSPC, "quota": errno.EDQUOT, "input/output error": errno.EIO}
        folders = {"read-only": errno.EROFS, "no permission": errno.EACCES}
        if name == "a file in its place":
            self.path.write_bytes(b"")
            yield
            self.path.unlink()
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporters.tickets.folder.files.os", FailingSystem(call="write" if name in writes else "mkdir", code={**writes, **folders}[name]))
            yield


class FailingSystem:
    """The module `os`, except that one call fails."""

    def __init__(self, *, call: str, code: int) -> None:
        self._call, self._code = call, code

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._call else getattr(os, name)

    def _fail(self, target: object, *_args: object) -> int:
        raise OSError(self._code, os.strerror(self._code), target if isinstance(target, Path) else None)


def held_ticket(folder: Path) -> HeldTicket:
    ticket = json.loads((folder / "ticket.json").read_text("utf-8"))
    sections = re.split(r"(?m)^={8} (\S+) (\S+) (\S+) ={8}\n", (folder / "ticket.txt").read_text("utf-8"))
    assert sections[0] == ""
    assert sections[1::4] == [entry["id"] for entry in ticket["steps"]], "text and data tell the same steps"
    texts = []
    for section in sections[4::4]:
        _, _, body = section.partition("\n\n")
        texts.append(re.sub(r"\n(?:-> attachments/\S+\n)+\s*\Z", "\n", body))
    entries = [attachment for entry in ticket["steps"] for attachment in entry["attachments"]]
    attachments = tuple((entry["file"], (folder / entry["file"]).read_bytes()) for entry in entries)
    names = {path.name for path in (folder / "attachments").iterdir()} if (folder / "attachments").is_dir() else set()
    assert names == {Path(name).name for name, _ in attachments}, "nothing is left over"
    subject = sections[4].partition("\n")[0]
    return HeldTicket(
        case=ticket["case"],
        key=ticket["key"],
        subject=subject,
        texts=tuple(texts),
        attachments=attachments,
        resolved={"open": False, "resolved": True}[ticket["state"]],
    )


@asynccontextmanager
async def start(folder: Path) -> AsyncIterator[Folder]:
    yield Folder(folder / "tickets")


ADAPTER = DeskAdapter(plugin=PLUGIN, start=start, breakages=BREAKAGES)
