"""Fetching the evidence of a case: once, streamed to disk under limits, our own secrets taken out, each file with its SHA-256.

A case without a file is better than no case: what could not be had is said, with the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from agent.diagnosis.archives import UnreadableArchiveError, scrub_archive, scrub_plain
from agent.diagnosis.masking import mask_of, secrets_of
from agent.errors import CollectError, Reason
from agent.logs import logger
from agent.model import Artifact, Device, History, Snapshot, Text
from agent.ports import Clock, Collector, CollectorPlugin, EvidenceItem, Session
from agent.redact import StreamScrubber, spellings

SCRUB_WHOLE = 32 << 20
"""A file that needs its vendor's own scrubbing is held in memory whole: no larger than this."""

BATCH = 1 << 18
"""Bytes that are written at once: a device may send its file a byte at a time, and each write is a trip to a thread."""

PACKED = (b"PK", b"\x1f\x8b")
"""What begins like this is no plain text or tar: `scrub_archive` looks into it."""

_AS_IT_IS = StreamScrubber(())

OWN_VIEW = "latarnik-view.json"

_SNAPSHOT = TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`notes`: one sentence for each file that could not be had. `deferred`: names of those that wait until the device is free.

    `said`: (name of a file, what people should read of it at once).
    """

    artifacts: tuple[Artifact, ...] = ()
    said: tuple[tuple[str, Text], ...] = ()
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
    taken: Callable[[], bool] = lambda: False,
    have: frozenset[str],
    clock: Clock,
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Evidence:
    """Fetch what the vendor's table names and is not in `have` yet into `folder`; while not `heavy()` only what does not
    disturb a call (promise 3): a call may begin while the files before it are fetched, so it is asked anew for each file. One that began while such a
    file comes, as `taken()` says, ends the transfer, and the file waits; that the use is not known ends none: a device that packs its report may be slow.
    Each file waits for its `turn()`, in which nothing else is fetched from this device and little else from its site.

    Raises nothing but cancellation and OSError of the disk.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    artifacts = [] if OWN_VIEW in have else [await _own_view(folder, snapshot, history, clock)]
    notes: list[str] = []
    said: list[tuple[str, Text]] = []
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
                    artifacts.append(await _fetch(item, session, folder, device_secrets(device), clock, (lambda: False) if item.light else taken))
            had.add(item.name)
            words = item.says(await asyncio.to_thread(artifacts[-1].path.read_bytes)) if item.scrub is not None else None
            if words is not None:
                said.append((item.name, words))
        except _InUseError:
            if item.fallback_for not in deferred:
                deferred.append(item.name)
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
    by_hand = [item.name for item in plugin.evidence if _for_people(item, plugin.evidence, had, deferred)]
    if by_hand:
        command = f"latarnik case attach {folder.name} FILE"
        notes.append(f"{', '.join(by_hand)}: a person with an administrator's account may fetch it from the device and add it: {command}")
    return Evidence(artifacts=tuple(artifacts), said=tuple(said), notes=tuple(notes), deferred=tuple(deferred))


def _for_people(item: EvidenceItem, items: Sequence[EvidenceItem], had: Collection[str], deferred: Collection[str]) -> bool:
    """Whether it is a large report that only an administrator gets, and neither it nor what replaces it could be had."""
    if item.light or item.account != "service" or item.fallback_for or item.name in had or item.name in deferred:
        return False
    return not any(other.fallback_for == item.name and other.name in had for other in items)


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


class _InUseError(Exception):
    """A call or meeting began while a heavy file came."""


async def _fetch(item: EvidenceItem, session: Session, folder: Path, secrets: Collection[bytes], clock: Clock, taken: Callable[[], bool]) -> Artifact:
    return await keep(item, _until(item.fetch(session.client), taken), folder, lambda: {*secrets, *_spelled(item, session)}, clock)


async def _until(body: AsyncGenerator[bytes, None], taken: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    async with aclosing(body) as pieces:
        async for piece in pieces:
            if taken():
                raise _InUseError
            yield piece


async def keep(
    item: EvidenceItem, body: AsyncGenerator[bytes, None], folder: Path, secrets: Callable[[], Collection[bytes]], clock: Clock, *, name: str = ""
) -> Artifact:
    """Write a body to `folder` under the limits of its item, without our secrets and what the item's own scrubbing takes out; half of it is never left there.

    `secrets()` is asked before and after: a session may be opened for this very download, and the file tell of it. `name`: another one than the item's.
    Raises what the body raises, CollectError for what is not what it should be, UnreadableArchiveError, TimeoutError, and OSError of the disk.
    """
    path = folder / (name or item.name)
    part = path.with_name(path.name + ".part")
    known = set(secrets())
    scrubber = StreamScrubber(known)
    size = 0
    head = b""
    waiting: list[bytes] = []
    written = 0
    handle = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        async with asyncio.timeout(item.timeout):
            async with aclosing(body) as pieces:
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
                        await asyncio.to_thread(_append, handle, waiting, _passing(head, scrubber))
                        waiting, written = [], size
        complaint = item.check(head) if size else "the device sent an empty file"
        if complaint:
            raise CollectError(Reason.PARSE, complaint)
        if item.scrub is not None:
            waiting = [await asyncio.to_thread(item.scrub, b"".join(waiting))]
        await asyncio.to_thread(_append, handle, waiting, _passing(head, scrubber), last=True)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    later = set(secrets()) - known
    try:
        if later and not head.startswith(PACKED):
            await asyncio.to_thread(scrub_plain, part, later)
        await asyncio.to_thread(scrub_archive, part, (*known, *later))
    except UnreadableArchiveError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    digest = await asyncio.to_thread(_digest, path)
    return Artifact(
        name=path.name,
        media_type=item.media_type,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        collected_at=clock.now(),
        sensitive=item.sensitive,
    )


def _passing(head: bytes, scrubber: StreamScrubber) -> StreamScrubber:
    """How the body is scrubbed while it passes. Not at all where it is packed: a mask in there would break its sums, and it is packed anew later."""
    return _AS_IT_IS if head.startswith(PACKED) else scrubber


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
