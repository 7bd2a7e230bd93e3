"""Fetching the evidence of a case: once, streamed to disk under limits, our own secrets taken out, each file with its SHA-256.

A case without a file is better than no case: what could not be had is said, with the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from agent.diagnosis.archives import UnreadableArchiveError, scrub_archive, scrub_plain
from agent.diagnosis.masking import mask_of, secrets_of
from agent.errors import CollectError, Reason
from agent.logs import logger
from agent.model import Artifact, Device, History, Snapshot
from agent.ports import Clock, Collector, CollectorPlugin, EvidenceItem, Session
from agent.redact import StreamScrubber, spellings

SCRUB_WHOLE = 32 << 20
"""A file that needs its vendor's own scrubbing is held in memory whole: no larger than this."""

BATCH = 1 << 18
"""Bytes that are written at once: a device may send its file a byte at a time, and each write is a trip to a thread."""

OWN_VIEW = "latarnik-view.json"

_SNAPSHOT = TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`notes`: one sentence for each file that could not be had. `deferred`: names of those that wait until the device is free."""

    artifacts: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()


def device_secrets(device: Device) -> tuple[bytes, ...]:
    """Every spelling of every secret that we use at this device."""
    found = {spelling for secret, username in secrets_of(device.credentials.values()) for spelling in spellings(secret, username)}
    return tuple(sorted(found, key=len, reverse=True))


async def collect(
    device: Device,
    plugin: CollectorPlugin,
    collector: Collector,
    *,
    folder: Path,
    snapshot: Snapshot | None,
    history: History,
    reachable: bool,
    heavy: Callable[[], bool],
    have: frozenset[str],
    clock: Clock,
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Evidence:
    """Fetch what the vendor's table names and is not in `have` yet into `folder`; while not `heavy()` only what does not
    disturb a call (promise 3): a call may begin while the files before it are fetched, so it is asked anew for each file.
    Each file waits for its `turn()`, in which nothing else is fetched from this device and little else from its site.

    Raises nothing but cancellation and OSError of the disk.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    artifacts = [] if OWN_VIEW in have else [await _own_view(folder, snapshot, history, clock)]
    notes: list[str] = []
    deferred: list[str] = []
    if not reachable:
        notes.append("The device does not answer, so it gave no report; what the agent knew of it before is in latarnik-view.json.")
        return Evidence(artifacts=tuple(artifacts), notes=tuple(notes))
    had = set(have)
    for item in plugin.evidence:
        if item.name in had or item.fallback_for in had:
            continue
        try:
            async with turn():
                if not item.light and not heavy():
                    if item.fallback_for not in deferred:
                        deferred.append(item.name)
                    continue
                async with collector.open(device) as session:
                    artifacts.append(await _fetch(item, session, folder, device_secrets(device), clock))
            had.add(item.name)
        except CollectError as error:
            notes.append(f"{item.name}: not available ({mask_of(device).text(error.detail)})")
        except TimeoutError:
            notes.append(f"{item.name}: not finished within {item.timeout:.0f} s")
        except UnreadableArchiveError as error:
            notes.append(f"{item.name}: left out, because {error}")
        except asyncio.CancelledError:
            raise
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one item costs that item; it is logged with its traceback
            logger("evidence").exception("bug_in_evidence", device=device.id, item=item.name)
            notes.append(f"{item.name}: failed ({type(error).__name__}, see the agent's log)")
    return Evidence(artifacts=tuple(artifacts), notes=tuple(notes), deferred=tuple(deferred))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _own_view(folder: Path, snapshot: Snapshot | None, history: History, clock: Clock) -> Artifact:
    """What the agent itself knew when the case was opened: always there, also for a dead device."""
    view = {
        "what": "What Latarnik knew of the device when the case was opened",
        "snapshot": _SNAPSHOT.dump_python(snapshot) if snapshot is not None else None,
        "last_known": {
            "identity": {f: getattr(history.identity, f) for f in history.identity.__slots__},
            "identity_at": history.identity_at.isoformat() if history.identity_at else None,
            "last_success": history.last_success.isoformat() if history.last_success else None,
            "reboots": [at.isoformat() for at in history.reboots],
            "parts": [{f: getattr(c, f) for f in c.__slots__} for c in history.components.values()],
        },
    }
    body = json.dumps(view, indent=2, default=_plain, ensure_ascii=False).encode("utf-8", "replace")
    path = folder / OWN_VIEW
    await asyncio.to_thread(_write, path, [body])
    return Artifact(
        name=path.name,
        media_type="application/json",
        path=path,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        collected_at=clock.now(),
        sensitive=False,
    )


def _spelled(item: EvidenceItem, session: Session) -> list[bytes]:
    """Every spelling of what the device itself made a secret of."""
    return [spelling for secret in item.secrets(session.client) for spelling in spellings(secret)]


async def _fetch(item: EvidenceItem, session: Session, folder: Path, secrets: Collection[bytes], clock: Clock) -> Artifact:
    path = folder / item.name
    part = folder / (item.name + ".part")
    secrets = {*secrets, *_spelled(item, session)}
    scrubber = StreamScrubber(secrets)
    size = 0
    head = b""
    waiting: list[bytes] = []
    written = 0
    handle = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        async with asyncio.timeout(item.timeout):
            async with aclosing(item.fetch(session.client)) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    if size > item.limit:
                        raise CollectError(Reason.TOO_LARGE, f"larger than the limit of {item.limit >> 20} MiB")
                    if len(head) < 512:
                        head = (head + piece)[:512]
                    if item.scrub is not None and size > SCRUB_WHOLE:
                        raise CollectError(Reason.TOO_LARGE, f"larger than the {SCRUB_WHOLE >> 20} MiB that can be scrubbed")
                    waiting.append(piece)
                    if item.scrub is None and size - written >= BATCH:
                        await asyncio.to_thread(_append, handle, waiting, scrubber)
                        waiting, written = [], size
        complaint = item.check(head) if size else "the device sent an empty file"
        if complaint:
            raise CollectError(Reason.PARSE, complaint)
        if item.scrub is not None:
            waiting = [await asyncio.to_thread(item.scrub, b"".join(waiting))]
        await asyncio.to_thread(_append, handle, waiting, scrubber, last=True)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    # A session may have been opened for this very download, and the file tell of it.
    later = set(_spelled(item, session)) - secrets
    try:
        if later:
            await asyncio.to_thread(scrub_plain, part, later)
        await asyncio.to_thread(scrub_archive, part, (*secrets, *later))
    except UnreadableArchiveError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    digest = await asyncio.to_thread(_digest, path)
    return Artifact(
        name=item.name,
        media_type=item.media_type,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        collected_at=clock.now(),
        sensitive=item.sensitive,
    )


def _append(handle: int, pieces: Sequence[bytes], scrubber: StreamScrubber, *, last: bool = False) -> None:
    """Write these pieces, scrubbed; with `last` what the scrubber held back too, and onto the disk."""
    with os.fdopen(handle, "wb", closefd=False) as file:
        file.write(scrubber.feed(b"".join(pieces)))
        if last:
            file.write(scrubber.finish())
            file.flush()
            os.fsync(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, pieces: Sequence[bytes]) -> None:
    beside = path.with_name(path.name + ".part")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
