"""A file that a person fetched from a device by hand, made a file of evidence: what kind it is, under which limits, and cleaned as our own are."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from pathlib import Path

from agent.diagnosis.archives import UnreadableArchiveError
from agent.diagnosis.evidence import SCRUB_WHOLE, keep
from agent.diagnosis.plaintext import SCRUB_PIECE, scrub
from agent.errors import CollectError, LatarnikError
from agent.model import Artifact
from agent.ports import Clock, EvidenceItem

LIMIT = 256 << 20
"""Bytes of one file. The largest log bundle seen is a fifth of it."""
TIMEOUT = 600.0
PREFIX = "added-"
"""What names of such files begin with: they never take the place of a file that the agent fetches."""
_NAME = 100
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class RefusedFileError(LatarnikError):
    """The file is not taken; the text says why and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file that is taken, told by its first bytes at `offset`. `text`: it is searched for what looks like a secret."""

    media_type: str
    magic: tuple[bytes, ...] = ()
    offset: int = 0
    text: bool = False


KINDS = (
    Kind(media_type="application/zip", magic=(b"PK\x03\x04",)),
    Kind(media_type="application/gzip", magic=(b"\x1f\x8b",)),
    Kind(media_type="application/x-tar", magic=(b"ustar",), offset=257),
    Kind(media_type="image/png", magic=(b"\x89PNG\r\n\x1a\n",)),
    Kind(media_type="image/jpeg", magic=(b"\xff\xd8\xff",)),
    Kind(media_type="application/pdf", magic=(b"%PDF-",)),
)
TEXT = Kind(media_type="text/plain", text=True)
TAKEN = "zip, gzip, tar, PNG, JPEG, PDF, or a text in UTF-8 or Latin-1"


def kind_of(head: bytes) -> Kind:
    """What a file with these first bytes (512 are enough) is. Raises RefusedFileError."""
    if not head.strip():
        raise RefusedFileError("the file is empty; fetch it again and look at it before you attach it")
    for kind in KINDS:
        if any(head.startswith(magic, kind.offset) for magic in kind.magic):
            return kind
    if head.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html")):
        raise RefusedFileError("the file is a web page, as a device shows it in place of a report; fetch the report again, with an administrator's account")
    if _CONTROL.search(head):
        raise RefusedFileError(f"the file is of a kind that is not taken; pack it as a zip, or give one of these: {TAKEN}")
    return TEXT


def fit_name(name: str, taken: Collection[str]) -> str:
    """A name for the file that is none of the `taken`, of plain letters and digits, with what it was called in it."""
    stem, dot, end = _UNFIT.sub("_", Path(name).name).strip("._-").rpartition(".")
    if not dot or len(end) > 8:
        stem, end = (f"{stem}{dot}{end}", "") if dot else (end, "")
    stem, ending = stem[:_NAME].rstrip("_") or "file", f".{end}" if end else ""
    for number in range(1, len(taken) + 2):
        fit = f"{PREFIX}{stem}{f'-{number}' if number > 1 else ''}{ending}"
        if fit not in taken:
            return fit
    raise AssertionError("one of so many names is free")


def clean_text(body: bytes) -> bytes:
    """The text without what looks like a secret. One that a program wrote in a single line is laid out first: what is searched is lines."""
    if any(len(line) >= SCRUB_PIECE for line in body.splitlines()):
        body = _laid_out(body)
    return scrub(body)


def _laid_out(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    except (ValueError, RecursionError):
        return body.replace(b"><", b">\n<")


async def take(name: str, body: AsyncGenerator[bytes, None], folder: Path, taken: Collection[str], secrets: Collection[bytes], clock: Clock) -> Artifact:
    """Write the file to the case's `folder` under a name that is none of the `taken`, always marked as sensitive. Raises RefusedFileError, OSError."""
    head, rest = await _headed(body)
    kind = kind_of(head)
    item = EvidenceItem(
        name=fit_name(name, taken),
        media_type=kind.media_type,
        fetch=lambda _client: rest,
        limit=SCRUB_WHOLE if kind.text else LIMIT,
        timeout=TIMEOUT,
        scrub=clean_text if kind.text else None,
    )
    try:
        return await keep(item, rest, folder, lambda: secrets, clock)
    except UnreadableArchiveError as error:
        raise RefusedFileError(f"{error}, so nobody can say that it holds no password: unpack it and pack it again as a plain zip") from error
    except CollectError as error:
        raise RefusedFileError(f"{error.detail}; attach a part of it, or pack it as a zip") from error
    except TimeoutError:
        raise RefusedFileError(f"the file did not come within {TIMEOUT:.0f} s; copy it to this server's own disk first") from None


async def _headed(body: AsyncGenerator[bytes, None]) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    """The first bytes of a body, and the whole of it."""
    head = b""
    async for piece in body:
        head += piece
        if len(head) >= 512:
            break

    async def whole() -> AsyncGenerator[bytes, None]:
        yield head
        async for piece in body:
            yield piece

    return head[:512], whole()
