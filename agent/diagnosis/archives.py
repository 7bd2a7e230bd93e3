"""Taking our own secrets out of archives that a device packed: zip, and tar compressed by gzip.

A plain tar or text is scrubbed while it passes (`agent.redact.StreamScrubber`); what is compressed has to be unpacked to be looked at.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.redact import StreamScrubber

PIECE = 1 << 16
MAX_UNPACKED = 2 << 30
"""Bytes an archive may hold unpacked: ten times the largest log bundle we take. Beyond it is a bomb."""
MAX_MEMBERS = 10_000
MAX_DIRECTORY = 128 * MAX_MEMBERS
"""Bytes of a zip's list of members: it is read whole, and takes some ten times as much memory."""
MAX_GROWTH = 4
"""A cleaned archive may be so many times as large as it came (we may pack worse); members that overlap would fill the disk."""
_END = struct.Struct("<4s8xL4xH")
"""The end of a zip's directory: signature, bytes of the directory, bytes of the comment behind it."""


class UnreadableArchiveError(Exception):
    """The archive cannot be looked into, so nobody can say that it holds no secret."""


def scrub_archive(path: Path, secrets: Collection[bytes]) -> int:
    """Mask `secrets` inside the archive at `path`, in place; how many were found. Files that are no zip or gzip are not touched.

    An archive without a find is only read; one with a find is packed anew, without its remarks. Blocking: call it in a thread. Raises UnreadableArchiveError.
    """
    if not secrets:
        return 0
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic.startswith(b"PK"):  # also with something ahead of its first member, which zip programs skip
            return _scrub_zip(path, secrets)
        if magic[:2] == b"\x1f\x8b":
            return _scrub_gzip(path, secrets)
    except (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnreadableArchiveError(f"{path.name} cannot be unpacked ({error})") from error
    except OSError as error:
        # A directory of members that points outside the file: seeking there is refused. Anything else is our disk's trouble.
        if error.errno != errno.EINVAL:
            raise
        raise UnreadableArchiveError(f"{path.name} cannot be unpacked ({error.strerror})") from error
    return 0


def scrub_plain(path: Path, secrets: Collection[bytes]) -> int:
    """Mask `secrets` in the file at `path` as it stands, in place and of the same length; how many were found. Blocking."""
    scrubber = StreamScrubber(secrets)
    with path.open("rb") as source, _beside(path) as target:
        for piece in _masked(iter(lambda: source.read(PIECE), b""), scrubber):
            target.write(piece)
    return scrubber.replaced


def _scrub_zip(path: Path, secrets: Collection[bytes]) -> int:
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise UnreadableArchiveError(f"{path.name} has more than {MAX_MEMBERS} members")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise UnreadableArchiveError(f"{path.name} is packed by a method whose output cannot be bounded")
        if len({member.filename for member in members}) < len(members):
            raise UnreadableArchiveError(f"{path.name} holds two members of one name, which may share their bytes")
        budget = [MAX_UNPACKED]
        found = sum(_search(_member(archive, member, path, budget), secrets) for member in members) or _search(_raw(path), secrets)
        if not found:
            return 0
        budget = [MAX_UNPACKED]
        with _beside(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as clean:
            for member in members:
                info = zipfile.ZipInfo(_plain(member.filename, secrets), member.date_time)
                info.compress_type = zipfile.ZIP_DEFLATED
                with clean.open(info, "w", force_zip64=True) as target:
                    for piece in _masked(_member(archive, member, path, budget), StreamScrubber(secrets)):
                        target.write(piece)
                        _check_growth(out, path)
    return found


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, budget: list[int]) -> Iterator[bytes]:
    def read() -> Iterator[bytes]:
        with archive.open(member) as source:
            while piece := source.read(PIECE):
                yield piece

    return _within(read(), path, budget)


def _check_directory(path: Path) -> None:
    """Refuse a directory of members that is too large, before it is read. A zip without an end of its directory is zipfile's to refuse."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END.size - 0xFFFF - 20))
        tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        return
    _, directory, _ = _END.unpack_from(tail, at)
    # With a "zip64" locator ahead of it, other numbers count: no device needs them for a file of less than 4 GiB.
    if directory > MAX_DIRECTORY or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        raise UnreadableArchiveError(f"{path.name} has a directory of more than {MAX_DIRECTORY} bytes, or of the kind for huge archives")


def _scrub_gzip(path: Path, secrets: Collection[bytes]) -> int:
    found = _search(_within(_gunzipped(path), path, [MAX_UNPACKED]), secrets) or _search(_raw(path), secrets)
    if found:
        with _beside(path) as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as target:
            for piece in _masked(_within(_gunzipped(path), path, [MAX_UNPACKED]), StreamScrubber(secrets)):
                target.write(piece)
                _check_growth(out, path)
    return found


def _gunzipped(path: Path) -> Iterator[bytes]:
    """What is packed in all members of a gzip file. zlib reads their heads too: Python's gzip takes a head's name byte by byte, however long."""
    members = 0
    unpacker = None
    with path.open("rb") as file:
        while data := file.read(PIECE):
            while data:
                if unpacker is None:
                    data = data.lstrip(b"\0")  # padding
                    if not data:
                        break
                    members += 1
                    if members > MAX_MEMBERS:
                        raise UnreadableArchiveError(f"{path.name} has more than {MAX_MEMBERS} members")
                    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
                piece = unpacker.decompress(data, PIECE)
                while piece:
                    yield piece
                    piece = unpacker.decompress(unpacker.unconsumed_tail, PIECE)
                data, unpacker = (unpacker.unused_data, None) if unpacker.eof else (b"", unpacker)
    if unpacker is not None:
        raise EOFError("it breaks off")


def _within(pieces: Iterator[bytes], path: Path, budget: list[int]) -> Iterator[bytes]:
    for piece in pieces:
        budget[0] -= len(piece)
        if budget[0] < 0:
            raise UnreadableArchiveError(f"{path.name} holds more than {MAX_UNPACKED >> 20} MiB unpacked")
        yield piece


def _raw(path: Path) -> Iterator[bytes]:
    """The file as it stands: names and remarks are not packed, nor is a member that is only stored."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _plain(name: str, secrets: Collection[bytes]) -> str:
    return b"".join(_masked(iter([name.encode("utf-8", "replace")]), StreamScrubber(secrets))).decode("utf-8", "replace")


def _search(pieces: Iterator[bytes], secrets: Collection[bytes]) -> int:
    scrubber = StreamScrubber(secrets)
    for piece in pieces:
        scrubber.feed(piece)
    return scrubber.replaced


def _masked(pieces: Iterator[bytes], scrubber: StreamScrubber) -> Iterator[bytes]:
    for piece in pieces:
        yield scrubber.feed(piece)
    yield scrubber.finish()


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all went well, and else leaves nothing behind."""
    beside = path.with_name(path.name + ".scrubbed")
    try:
        with beside.open("wb") as out:
            beside.chmod(0o600)
            yield out
        shutil.move(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _check_growth(out: BinaryIO, path: Path) -> None:
    if out.tell() > MAX_GROWTH * path.stat().st_size + MAX_DIRECTORY:
        raise UnreadableArchiveError(f"{path.name} cannot be packed again in {MAX_GROWTH} times its size")
