"""Archives made to hurt whoever looks into them: what is unpacked, kept in memory and written stays bounded."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis import archives
from agent.diagnosis.archives import UnreadableArchiveError, scrub_archive
from agent.diagnosis.evidence import collect
from agent.model import Device, History
from agent.polling.lanes import Transfers
from agent.ports import EvidenceItem
from tests.agent.test_evidence import ToyCollector, item, run
from tests.support.clock import TurnedClock
from tests.support.promises import Tried

SECRET = b"Kanarek-secret-7"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return out.getvalue()


def many_members(count: int) -> bytes:
    """A zip whose directory lists one member so many times."""
    plain = zipped(("a", b""))
    at = plain.index(b"PK\x01\x02")
    entry = plain[at : plain.index(b"PK\x05\x06")]
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, at, 0)
    return plain[:at] + entry * count + end


def shared_bytes(copies: int, size: int) -> bytes:
    """A zip in which every member of the directory is the same stored megabyte, with a secret in it."""
    body = SECRET + os.urandom(size)
    plain = zipped(("a", body), method=zipfile.ZIP_STORED)
    at = plain.index(b"PK\x01\x02")
    entry = plain[at : plain.index(b"PK\x05\x06")]
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, copies, copies, len(entry) * copies, at, 0)
    return plain[:at] + entry * copies + end


def named_gzip(size: int) -> bytes:
    """A gzip whose head holds a name of this length."""
    packed = gzip.compress(b"")
    return packed[:3] + b"\x08" + packed[4:10] + b"n" * size + b"\0" + packed[10:]


HOSTILE = {
    "a directory of a million members": many_members(300_000),
    "members that share their bytes": shared_bytes(40, 1 << 17),
    "a method without a bound": zipped(("a", bytes(1 << 20)), method=zipfile.ZIP_BZIP2),
    "another one": zipped(("a", bytes(1 << 20)), method=zipfile.ZIP_LZMA),
    "a bomb": zipped(*((f"z{n}", bytes(1 << 20)) for n in range(20))),
    "a packed bomb": gzip.compress(bytes(20 << 20)),
    "members without end": gzip.compress(b"") * 20_000,
    "one that breaks off": gzip.compress(b"x" * 100_000)[:-9],
}


@pytest.mark.promise(9)
@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_looked_into_within_bounds_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 8 << 20)
    path = tmp_path / "report"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(UnreadableArchiveError):
        scrub_archive(path, [SECRET])
    assert [f.name for f in tmp_path.iterdir()] == ["report"]
    tried("hostile archives", 1)


@pytest.mark.parametrize("pack", [lambda body: zipped(("a", body)), gzip.compress], ids=["zip", "gzip"])
def test_a_cleaned_archive_that_grows_out_of_bounds_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_GROWTH", 0)
    monkeypatch.setattr(archives, "MAX_DIRECTORY", 1000)
    path = tmp_path / "report"
    path.write_bytes(pack(SECRET + os.urandom(1 << 20)))
    with pytest.raises(UnreadableArchiveError, match="again"):
        scrub_archive(path, [SECRET])
    assert [f.name for f in tmp_path.iterdir()] == ["report"]


def test_a_name_of_megabytes_in_the_head_of_a_gzip_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "logs.gz"
    path.write_bytes(named_gzip(64 << 20))
    assert scrub_archive(path, [SECRET]) == 0


def test_an_archive_without_a_secret_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(archives, "_beside", write)
    for number, body in enumerate((zipped(("a", b"x" * 1000)), gzip.compress(b"y" * 1000) + bytes(100) + gzip.compress(b"z" * 70_000))):
        path = tmp_path / str(number)
        path.write_bytes(body)
        assert scrub_archive(path, [SECRET]) == 0
        assert path.read_bytes() == body


def test_a_secret_that_lies_across_the_pieces_of_a_gzip_is_found(tmp_path: Path) -> None:
    for before in (0, archives.PIECE - 5, 3 * archives.PIECE - 1):
        plain = os.urandom(before) + SECRET + os.urandom(10)
        path = tmp_path / "logs.gz"
        path.write_bytes(gzip.compress(plain))
        assert scrub_archive(path, [SECRET]) == 1
        cleaned = gzip.decompress(path.read_bytes())
        assert cleaned == plain.replace(SECRET, b"*" * len(SECRET))
        assert path.stat().st_mode & 0o077 == 0


async def test_a_file_that_comes_a_byte_at_a_time_is_not_written_a_byte_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = 0
    to_thread = asyncio.to_thread

    async def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal trips
        trips += 1
        return await to_thread(*arguments, **named)

    monkeypatch.setattr("agent.diagnosis.evidence.asyncio.to_thread", counted)
    body = os.urandom(100_000)
    evidence = await run(tmp_path, item("a.bin", *(body[n : n + 1] for n in range(len(body)))))
    assert (tmp_path / "case" / "a.bin").read_bytes() == body
    assert len(evidence.artifacts) == 2
    assert trips < 20


async def test_each_file_waits_for_its_turn_and_asks_then_whether_the_device_is_free(tmp_path: Path) -> None:
    """A call began while the files of other devices were fetched: the heavy one waits for its end."""
    transfers = Transfers(TurnedClock())
    device = Device(id="cam", vendor="toy", host="127.0.0.1")
    busy = asyncio.Event()
    asked: list[bool] = []

    def heavy() -> bool:
        asked.append(busy.is_set())
        return not busy.is_set()

    async def fetch(_client: object) -> AsyncGenerator[bytes, None]:
        yield b"x"

    def plugin(*items: EvidenceItem) -> Any:
        return type("Plugin", (), {"evidence": items})()

    async with transfers.turn(device):
        collecting = asyncio.create_task(
            collect(
                device,
                plugin(EvidenceItem(name="logs.tar", media_type="application/x-tar", fetch=fetch, limit=1000, timeout=5.0)),
                ToyCollector(),
                folder=tmp_path / "case",
                snapshot=None,
                history=History(),
                reachable=True,
                heavy=heavy,
                have=frozenset(),
                clock=TurnedClock(),
                turn=lambda: transfers.turn(device),
            )
        )
        done, _ = await asyncio.wait([collecting], timeout=0.2)
        assert not done
        assert not asked
        busy.set()
    assert (await collecting).deferred == ("logs.tar",)


def test_the_hostile_archives_are_what_they_are_called() -> None:
    assert len(zlib.compress(bytes(1 << 20))) < 2000
    assert zipfile.ZipFile(io.BytesIO(HOSTILE["members that share their bytes"])).infolist()[39].file_size > 1 << 17


def test_a_zip_with_something_ahead_of_its_first_member_is_scrubbed_too(tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.txt", "a secret-word here\n" * 40)
    path.write_bytes(b"PK" + path.read_bytes())
    assert scrub_archive(path, [b"secret-word"])
    with zipfile.ZipFile(path) as archive:
        assert b"secret-word" not in archive.read("report.txt")
