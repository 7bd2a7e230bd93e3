"""Taking our own secrets out of archives that a device packed: zip, and tar compressed by gzip.

A plain tar or text is scrubbed while it passes (`agent.redact.StreamScrubber`); what is compressed has to be unpacked to be looked at.
"""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from agent.redact import StreamScrubber

PIECE = 1 << 16
MAX_UNPACKED = 2 << 30
"""Bytes an archive may hold unpacked: ten times the largest log bundle we take. Beyond it is a bomb."""
MAX_MEMBERS = 10_000


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class UnreadableArchiveError(Exception):
    """The archive cannot be looked into, so nobody can say that it holds no secret."""


def scrub_archive(path: Path, secrets: Sequence[bytes]) -> int:
    """Mask `secrets` inside the archive at `path`, in place; how many were found. Files that are no zip or gzip are not touched.

    Blocking: call it in a thread. Raises UnreadableArchiveError.
    """
    if not secrets:
        return 0
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic == b"PK\x03\x04":
            return _scrub_zip(path, secrets)
        if magic[:2] == b"\x1f\x8b":
            return _scrub_gzip(path, secrets)
    except (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnreadableArchiveError(f"{path.name} cannot be unpacked ({error})") from error
    return 0


def _pieces(file: _Readable, path: Path, budget: list[int]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        budget[0] -= len(piece)
        if budget[0] < 0:
            raise UnreadableArchiveError(f"{path.name} holds more than {MAX_UNPACKED >> 20} MiB unpacked")
        yield piece


def _masked(pieces: Iterator[bytes], scrubber: StreamScrubber) -> Iterator[bytes]:
    for piece in pieces:
        yield scrubber.feed(piece)
    yield scrubber.finish()


def _scrub_zip(path: Path, secrets: Sequence[bytes]) -> int:
    budget = [MAX_UNPACKED]
    found = 0
    beside = path.with_name(path.name + ".scrubbed")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise UnreadableArchiveError(f"{path.name} has more than {MAX_MEMBERS} members")
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as clean:
            for member in members:
                if member.is_dir():
                    continue
                scrubber = StreamScrubber(secrets)
                info = zipfile.ZipInfo(member.filename, member.date_time)
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(member) as source, clean.open(info, "w", force_zip64=True) as target:
                    for piece in _masked(_pieces(source, path, budget), scrubber):
                        target.write(piece)
                found += scrubber.replaced
    _settle(path, beside, found)
    return found


def _scrub_gzip(path: Path, secrets: Sequence[bytes]) -> int:
    scrubber = StreamScrubber(secrets)
    beside = path.with_name(path.name + ".scrubbed")
    with gzip.open(path, "rb") as source, gzip.open(beside, "wb", compresslevel=6) as target:
        for piece in _masked(_pieces(source, path, [MAX_UNPACKED]), scrubber):
            target.write(piece)
    _settle(path, beside, scrubber.replaced)
    return scrubber.replaced


def _settle(path: Path, beside: Path, found: int) -> None:
    """The device's own bytes stay unless a secret was in them."""
    if found:
        beside.chmod(0o600)
        shutil.move(beside, path)
    else:
        beside.unlink()
