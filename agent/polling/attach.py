"""A person's file for a case: written down with the case, and told to its desks, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.diagnosis.evidence import device_secrets
from agent.diagnosis.handed import RefusedFileError, take
from agent.diagnosis.masking import mask_of
from agent.model import Artifact
from agent.polling import casework
from agent.polling.rules import Rules
from agent.ports import Clock
from agent.store import queries
from agent.store.database import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """`told`: the desks, and whether they are given the file or only told of it; None: the case had this very file, and nobody is told anew."""

    artifact: Artifact
    told: Mapping[str, bool] | None

    def summary(self) -> dict[str, Any]:
        """As the command line is told it."""
        file = self.artifact
        return {
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "media_type": file.media_type,
            "told": None if self.told is None else dict(self.told),
        }


async def attach(store: Store, rules: Rules, root: Path, clock: Clock, *, case: str, name: str, note: str, body: AsyncGenerator[bytes, None]) -> Attached:
    """Take the file into the case's evidence. One at a time: the caller sees to that.

    Killed before the transaction, it leaves a file that nobody knows of and that the next try replaces; after it, the steps stand in the outbox.
    Raises KeyError for a case that is not there, RefusedFileError, StoreError.
    """
    found = await store.run(lambda c: queries.load_case(c, case))
    if found is None:
        raise KeyError(case)
    casework.still_open(found)
    device = next((d for d in rules.inventory.devices if d.id == found.device), None)
    if device is None:
        raise RefusedFileError(
            f"device {found.device} is no longer in the inventory, so its passwords could not be taken out of the file; add the file to the ticket by hand"
        )
    folder = root / found.id
    try:
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        artifact = await take(name, body, folder, {a.name for a in found.evidence}, device_secrets(device), clock)
    except OSError as error:
        raise RefusedFileError(f"{folder} cannot be written ({error.strerror}); give it room, and to the user that runs latarnik, then attach again") from error
    plain = mask_of(device).text(note)
    kept, desks = await store.run(lambda c: casework.attach(c, rules, found.id, artifact, plain, clock.now()))
    if kept.path != artifact.path:
        await asyncio.to_thread(artifact.path.unlink, missing_ok=True)
    return Attached(artifact=kept, told=None if desks is None else {desk.name: desk.sensitive for desk in desks})
