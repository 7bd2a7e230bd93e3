"""What collectors keep through the agent: trusted fingerprints, small facts, session ids."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from agent.errors import StoreError
from agent.ports import Clock
from agent.store import queries
from agent.store.database import Store

_VAULT_LIMIT = 64 * 1024
"""A file of the vault is some hundred bytes long."""
_WRITTEN_OVER = 4096
"""Bytes of a file's first page: so much the kernel copies as a whole."""


class StoredTrust:
    """Accepted fingerprints, read from the store each time: `latarnik trust` writes there while the daemon runs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._accepted: dict[tuple[str, str], str] = {}
        self._offered: dict[tuple[str, str], str] = {}

    async def accepted(self, device: str, endpoint: str) -> str | None:
        known = self._accepted.get((device, endpoint))
        if known is None:
            known = await self._store.read(lambda c: queries.accepted_fingerprint(c, device, endpoint))
            if known:
                self._accepted[device, endpoint] = known
        return known

    async def offered(self, device: str, endpoint: str, sha256: str) -> None:
        # A device that shows another certificate than the accepted one may have had a new one accepted by a person meanwhile.
        self._accepted.pop((device, endpoint), None)
        if self._offered.get((device, endpoint)) == sha256:
            return
        await self._store.run(lambda c: queries.offer_fingerprint(c, device, endpoint, sha256, self._clock.now()))
        self._offered[device, endpoint] = sha256

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        await self._store.run(lambda c: queries.accept_fingerprint(c, device, endpoint, sha256, by, self._clock.now()))
        self._accepted[device, endpoint] = sha256


class StoredMemory:
    """Small facts in the store, cached: only this process writes them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, str]] = {}

    async def get(self, device: str) -> dict[str, str]:
        if device not in self._known:
            self._known[device] = await self._store.read(lambda c: queries.load_memory(c, device))
        return dict(self._known[device])

    async def put(self, device: str, values: Mapping[str, str]) -> None:
        known = await self.get(device)
        changed = {k: v for k, v in values.items() if known.get(k, "") != v}
        if not changed:
            return
        await self._store.run(lambda c: queries.save_memory(c, device, changed))
        merged = {**known, **changed}
        self._known[device] = {k: v for k, v in merged.items() if v}


class FileVault:
    """One 0600 file a device. Written beside and renamed, synced with its folder: after a kill it is the old one or the new one.

    What need not be synced is written over the file that is there, in one call, which no kill divides: a rename makes file systems start
    writing to the disk. After a power failure there may be a part of either.

    Raises StoreError: at `get` for what is there and is no file of ours (damaged, another user's), at `put` for what cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, device: str) -> Path:
        return self._folder / (re.sub(r"[^A-Za-z0-9._-]", "_", device) + ".json")

    async def get(self, device: str) -> dict[str, str]:
        return await asyncio.to_thread(self._read, device)

    def _read(self, device: str) -> dict[str, str]:
        path = self._path(device)
        try:
            # Neither a link nor a pipe is followed: we wrote a plain file.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                values = json.loads(file.read(_VAULT_LIMIT + 1)) if stat.S_ISREG(os.fstat(handle).st_mode) else None
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path}: is damaged (no whole JSON)") from error
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise StoreError(f"{path}: is damaged (not what we write there)")
        return values

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        """Ends when the file is written, also when it is cancelled meanwhile: no write of ours goes on behind a later one."""
        writing = asyncio.get_running_loop().run_in_executor(None, self._write, device, dict(values), synced)
        cancelled = False
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError from writing.exception()
        writing.result()

    def _write(self, device: str, values: dict[str, str], synced: bool) -> None:
        path = self._path(device)
        try:
            if values and not synced and _written_over(path, json.dumps(values).encode()):
                return
            if values:
                self._replace(path, json.dumps(values).encode(), synced=synced)
            else:
                path.unlink(missing_ok=True)
            if not synced:
                return
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}); free space on its disk, or give the folder and all in it to the user that runs latarnik"
            ) from error

    def _replace(self, path: Path, body: bytes, *, synced: bool) -> None:
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)  # of a write that was cut short; its mode and owner are not to be relied on
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                if os.geteuid() == 0:
                    # A command of root's must not leave a file that the service's own user cannot open.
                    owner = self._folder.stat()
                    os.fchown(handle, owner.st_uid, owner.st_gid)
                file.write(body)
                file.flush()
                if synced:
                    os.fsync(handle)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def _written_over(path: Path, body: bytes) -> bool:
    """Whether a file of ours was there and holds `body` now, with blanks up to its length. Raises OSError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # to be written anew, which says what is wrong if that fails too
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o600 or found.st_nlink != 1 or max(found.st_size, len(body)) > _WRITTEN_OVER:
            return False
        whole = body.ljust(found.st_size)
        return os.pwrite(handle, whole, 0) == len(whole)
    finally:
        os.close(handle)


class PassingKeep:
    """Trust, memory and vault of one `latarnik poll` without a config: kept in this process only."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._fingerprints: dict[tuple[str, str], str] = {}

    async def get(self, device: str) -> dict[str, str]:
        return dict(self._values.get(device, {}))

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        del synced
        merged = {**self._values.get(device, {}), **values}
        self._values[device] = {k: v for k, v in merged.items() if v}

    async def accepted(self, device: str, endpoint: str) -> str | None:
        return self._fingerprints.get((device, endpoint))

    async def offered(self, device: str, endpoint: str, sha256: str) -> None:
        del device, endpoint, sha256

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        del by
        self._fingerprints[device, endpoint] = sha256
