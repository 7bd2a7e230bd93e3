"""The file of a device's session: private, whole or absent, on the disk when `put` returns, and never taken for what it is not."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.store.keep import FileVault

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_is_put_is_got_again_and_nothing_means_no_file(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    assert await vault.get("hall") == {}
    await vault.put("hall", {"session": "PS+/=", "token": "ąę"})
    assert await FileVault(tmp_path / "vault").get("hall") == {"session": "PS+/=", "token": "ąę"}
    await vault.put("hall", {})
    assert await vault.get("hall") == {}
    assert list((tmp_path / "vault").iterdir()) == []


async def test_only_we_may_read_it_whatever_lay_in_its_place(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    assert mode(tmp_path / "vault") == 0o700
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for before in ("open to all", "a link"):
        beside = tmp_path / "vault" / "hall.new"
        if before == "a link":
            beside.symlink_to(outside)
        else:
            beside.write_text("left by a write that was cut short")
            beside.chmod(0o666)
        await vault.put("hall", {"session": before})
        assert mode(tmp_path / "vault" / "hall.json") == 0o600
        assert not beside.exists()
        assert await vault.get("hall") == {"session": before}
    assert outside.read_text() == "mine"


async def test_it_is_synced_before_it_takes_its_place_and_its_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = FileVault(tmp_path / "vault")
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"file of {os.fstat(handle).st_size} bytes")
        fsync(handle)

    def replaced(*args: str) -> None:
        order.append("replace")
        replace(*args)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    await vault.put("hall", {"session": "PS"})
    await vault.put("hall", {})
    assert order == ["file of 17 bytes", "replace", "folder", "folder"]


async def test_what_need_not_be_synced_is_written_over_the_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = FileVault(tmp_path / "vault")
    await vault.put("hall", {"session": "PS", "token": "first"})
    note = tmp_path / "vault" / "hall.json"
    first = note.stat().st_ino
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for token in ("2nd", "a longer one than the first", "4", "x" * 900):
        await vault.put("hall", {"session": "PS", "token": token}, synced=False)
        assert await FileVault(tmp_path / "vault").get("hall") == {"session": "PS", "token": token}
        assert (note.stat().st_ino, mode(note)) == (first, 0o600)
    assert synced == []
    await vault.put("hall", {}, synced=False)
    assert list((tmp_path / "vault").iterdir()) == []


@pytest.mark.parametrize("there", ["nothing", "open to all", "a link", "with a second name", "larger than a page"])
async def test_what_lies_there_and_is_no_file_of_ours_is_not_written_over(tmp_path: Path, there: str) -> None:
    vault = FileVault(tmp_path / "vault")
    note, outside = tmp_path / "vault" / "hall.json", tmp_path / "outside"
    outside.write_text("mine")
    match there:
        case "open to all":
            note.write_text("{}")
            note.chmod(0o666)
        case "a link":
            outside.chmod(0o600)
            note.symlink_to(outside)
        case "with a second name":
            outside.chmod(0o600)
            note.hardlink_to(outside)
        case "larger than a page":
            note.write_bytes(b" " * 5000)
            note.chmod(0o600)
    await vault.put("hall", {"session": "PS"}, synced=False)
    assert await vault.get("hall") == {"session": "PS"}
    assert outside.read_text() == "mine"
    assert (mode(note), note.stat().st_nlink, note.stat().st_size) == (0o600, 1, 17)


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
async def test_when_it_cannot_be_written_the_old_one_stays_and_the_error_names_place_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    vault = FileVault(tmp_path / "vault")
    await vault.put("hall", {"session": "old"})
    real = getattr(os, step)

    def full(*args: object, **kwargs: object) -> object:
        if step == "open" and not str(args[0]).endswith(".new"):
            return real(*args, **kwargs)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(StoreError, match=r"hall\.json: cannot be written \(No space left on device\); free space"):
            await vault.put("hall", {"session": "new"})
    assert await vault.get("hall") == {"session": "old"}
    assert [file.name for file in (tmp_path / "vault").iterdir()] == ["hall.json"]


@contextmanager
def another_user() -> Iterator[None]:
    """Root reads everything: go on as somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["another user's", "a folder", "a pipe", "a link", "damaged", "no text", "a list", "numbers", "endless", "deep"])
async def test_what_is_no_file_of_ours_is_an_error_and_not_an_empty_note(tmp_path: Path, what: str) -> None:
    vault = FileVault(tmp_path / "vault")
    await vault.put("hall", {"session": "PS"})
    note = tmp_path / "vault" / "hall.json"
    bodies = {
        "damaged": b'{"session": "PS',
        "no text": b"\xff\xfe\x00",
        "a list": b'["session"]',
        "numbers": b'{"session": 7}',
        "endless": b" " * 1_000_000,
        "deep": b"[" * 60_000,
    }
    match what:
        case "another user's":
            note.chmod(0)
        case "a folder":
            note.unlink()
            note.mkdir()
        case "a pipe":
            note.unlink()
            os.mkfifo(note)
        case "a link":
            note.rename(tmp_path / "elsewhere")
            note.symlink_to(tmp_path / "elsewhere")
        case _:
            note.write_bytes(bodies[what])
    if what == "another user's":
        with another_user(), pytest.raises(StoreError, match=r"hall\.json"):
            vault._read("hall")
    else:
        async with asyncio.timeout(10):
            with pytest.raises(StoreError, match=r"hall\.json"):
                await vault.get("hall")


async def test_a_write_that_is_cancelled_ends_before_a_later_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = FileVault(tmp_path / "vault")
    begun, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(handle: int) -> None:
        if not begun.is_set():
            begun.set()
            assert go_on.wait(20)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    first = asyncio.create_task(vault.put("hall", {"session": "first"}))
    assert await asyncio.to_thread(begun.wait, 20)
    first.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not first.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    await vault.put("hall", {})
    assert await vault.get("hall") == {}
    assert list((tmp_path / "vault").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
async def test_a_file_that_root_wrote_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    os.chown(tmp_path / "vault", NOBODY, NOBODY)
    await vault.put("hall", {"session": "PS"})
    found = (tmp_path / "vault" / "hall.json").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, NOBODY, 0o600)
