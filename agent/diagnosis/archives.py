"""Taking our own secrets out of archives that a device packed: zip, and tar compressed by gzip.

A plain tar or text is scrubbed while it passes (`agent.redact.StreamScrubber`); what is compressed has to be unpacked to be looked at.
What is packed twice, as a rotated log in a bundle is, is looked at and not packed anew: with a secret in it the whole file is refused.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
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
MOST_WITHIN = 8
"""Archives within archives, tars counted."""
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
            with path.open("rb") as file:
                _look_into_zip(file, path, secrets, [MAX_UNPACKED], layers=1, depth=0)
            return _scrub_zip(path, secrets)
        _look(_raw(path), path, secrets, [MAX_UNPACKED], layers=0, depth=0)
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
    with path.open("rb") as file, _opened(file, path) as (archive, members):
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


@contextmanager
def _opened(file: BinaryIO, path: Path) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """A zip that is looked into, and its members. Raises UnreadableArchiveError for one that could do harm."""
    _check_directory(file, path)
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise UnreadableArchiveError(f"{path.name} has more than {MAX_MEMBERS} members")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise UnreadableArchiveError(f"{path.name} is packed by a method whose output cannot be bounded")
        if len({member.filename for member in members}) < len(members):
            raise UnreadableArchiveError(f"{path.name} holds two members of one name, which may share their bytes")
        yield archive, members


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, budget: list[int]) -> Iterator[bytes]:
    def read() -> Iterator[bytes]:
        with archive.open(member) as source:
            while piece := source.read(PIECE):
                yield piece

    return _within(read(), path, budget)


def _check_directory(file: BinaryIO, path: Path) -> None:
    """Refuse a directory of members that is too large, before it is read. A zip without an end of its directory is zipfile's to refuse."""
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
    found = _search(_within(_gunzipped(_raw(path)), path, [MAX_UNPACKED]), secrets) or _search(_raw(path), secrets)
    if found:
        with _beside(path) as out, gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=6, mtime=0) as target:
            for piece in _masked(_within(_gunzipped(_raw(path)), path, [MAX_UNPACKED]), StreamScrubber(secrets)):
                target.write(piece)
                _check_growth(out, path)
    return found


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What is packed in all members of a gzip file. zlib reads their heads too: Python's gzip takes a head's name byte by byte, however long."""
    members = 0
    unpacker = None
    for data in pieces:
        while data:
            if unpacker is None:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    break
                members += 1
                if members > MAX_MEMBERS:
                    raise UnreadableArchiveError(f"a gzip file of more than {MAX_MEMBERS} members")
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


# --- archives within archives -----------------------------------------------------------------------------------------


class _Body:
    """A body that comes in pieces, taken in parts."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def peek(self, size: int) -> bytes:
        while len(self._piece) - self._at < size and (more := next(self._pieces, b"")):
            self._piece, self._at = self._piece[self._at :] + more, 0
        return self._piece[self._at : self._at + size]

    def take(self, size: int) -> Iterator[bytes]:
        while size > 0:
            part = self._piece[self._at : self._at + size]
            if not part:
                self._piece, self._at = next(self._pieces, b""), 0
                if not self._piece:
                    return
                continue
            self._at += len(part)
            size -= len(part)
            yield part


def _look(pieces: Iterator[bytes], path: Path, secrets: Collection[bytes], budget: list[int], *, layers: int, depth: int) -> None:
    """Refuse the file at `path` where a secret stands in what is packed more than once. `layers`: how often this body was unpacked to get here."""
    if depth > MOST_WITHIN:
        raise UnreadableArchiveError(f"{path.name} holds archives within archives, more than {MOST_WITHIN} deep")
    scrubber = StreamScrubber(secrets if layers > 1 else ())
    body = _Body(_counted(pieces, scrubber))
    head, rest = body.peek(_BLOCK), body.take(sys.maxsize)
    if head.startswith(b"\x1f\x8b"):
        _look(_within(_so_far(_gunzipped(rest)), path, budget), path, secrets, budget, layers=layers + 1, depth=depth + 1)
    elif head.startswith(b"PK\x03\x04"):
        with tempfile.TemporaryFile(dir=path.parent) as file:
            for piece in rest:
                file.write(piece)
            _look_into_zip(file, path, secrets, budget, layers=layers + 1, depth=depth + 1)
    elif head[_USTAR].startswith(b"ustar"):
        for member in _tarred(body):
            _look(member, path, secrets, budget, layers=layers, depth=depth + 1)
    for _ in rest:
        pass
    if scrubber.replaced:
        raise UnreadableArchiveError(f"{path.name} holds an archive within an archive that cannot be cleaned of a password")


def _look_into_zip(file: BinaryIO, path: Path, secrets: Collection[bytes], budget: list[int], *, layers: int, depth: int) -> None:
    with _opened(file, path) as (archive, members):
        for member in members:
            _look(_member(archive, member, path, budget), path, secrets, budget, layers=layers, depth=depth + 1)


_BLOCK = 512
_USTAR, _SIZE, _TYPE = slice(257, 262), slice(124, 136), slice(156, 157)
_WITHOUT_BODY = b"123456"
"""Types of tar members that are links, devices and folders."""


def _tarred(body: _Body) -> Iterator[Iterator[bytes]]:
    """The members of a tar. What cannot be a member's head is passed over."""
    while head := body.peek(_BLOCK):
        for _ in body.take(_BLOCK):
            pass
        number = head[_SIZE].strip(b"\0 ")
        if not head[_USTAR].startswith(b"ustar") or not number.isdigit() or b"8" in number or b"9" in number or head[_TYPE] in _WITHOUT_BODY:
            continue
        size = int(number, 8)
        member = body.take(size)
        yield member
        for _ in member:
            pass
        for _ in body.take(-size % _BLOCK):
            pass


def _so_far(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Of a gzip that breaks off, as a log's does that was written when the power went: what can be unpacked."""
    with suppress(zlib.error, EOFError):
        yield from pieces


def _counted(pieces: Iterator[bytes], scrubber: StreamScrubber) -> Iterator[bytes]:
    """The same pieces; the scrubber counts what it finds in them."""
    for piece in pieces:
        scrubber.feed(piece)
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
