"""What collectors keep through the agent: trusted fingerprints, small facts, session ids."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from agent.ports import Clock
from agent.store import queries
from agent.store.database import Store


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
            known = await self._store.run(lambda c: queries.accepted_fingerprint(c, device, endpoint))
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
            self._known[device] = await self._store.run(lambda c: queries.load_memory(c, device))
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
    """One 0600 file a device. Written beside and renamed, synced with its folder: after a kill it is the old one or the new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, device: str) -> Path:
        return self._folder / (re.sub(r"[^A-Za-z0-9._-]", "_", device) + ".json")

    async def get(self, device: str) -> dict[str, str]:
        return await asyncio.to_thread(self._read, device)

    def _read(self, device: str) -> dict[str, str]:
        try:
            values = json.loads(self._path(device).read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            # Not a file we wrote: renaming makes ours whole. Nothing can be given back from it.
            return {}
        return {str(k): str(v) for k, v in values.items()} if isinstance(values, dict) else {}

    async def put(self, device: str, values: Mapping[str, str]) -> None:
        await asyncio.to_thread(self._write, device, dict(values))

    def _write(self, device: str, values: dict[str, str]) -> None:
        path = self._path(device)
        if not values:
            path.unlink(missing_ok=True)
        else:
            beside = path.with_suffix(".new")
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(handle, json.dumps(values).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            beside.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class PassingKeep:
    """Trust, memory and vault of one `latarnik poll` without a config: kept in this process only."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._fingerprints: dict[tuple[str, str], str] = {}

    async def get(self, device: str) -> dict[str, str]:
        return dict(self._values.get(device, {}))

    async def put(self, device: str, values: Mapping[str, str]) -> None:
        merged = {**self._values.get(device, {}), **values}
        self._values[device] = {k: v for k, v in merged.items() if v}

    async def accepted(self, device: str, endpoint: str) -> str | None:
        return self._fingerprints.get((device, endpoint))

    async def offered(self, device: str, endpoint: str, sha256: str) -> None:
        del device, endpoint, sha256

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        del by
        self._fingerprints[device, endpoint] = sha256
