"""The log bundle: a real tar of some megabytes. Its contents were never recorded; the names of the files are ours."""

from __future__ import annotations

import io
import itertools
import json
import random
import tarfile
from collections.abc import Iterator

from simulator.poly import payloads
from simulator.poly.state import Box

_LINES = (
    "DEBUG jvm: pc[0]: uimsg: system heartbeat {n}",
    "INFO  avc: video pipeline statistics frames={n} dropped=0",
    "INFO  hal: fan speed {n} temperature within limits",
    "DEBUG net: eth0 rx={n} tx={n}",
    "INFO  sip: registration refreshed expires=3600 cseq={n}",
    "DEBUG audio: echo canceller converged tail={n}",
)


def build(box: Box) -> bytes:
    """The archive. It holds what real logs hold too: session ids, addresses, the room's name."""
    stamp = int(box.system_time.timestamp())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in _files(box):
            info = tarfile.TarInfo(f"{box.serial}/{name}")
            info.size, info.mtime, info.mode = len(content), stamp, 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _files(box: Box) -> Iterator[tuple[str, bytes]]:
    yield "system.json", json.dumps(payloads.system(box), indent=1).encode()
    yield "peripherals.json", json.dumps(payloads.devices(box, None), indent=1).encode()
    yield "journal.log", "".join(f"{line}\n" for line in box.journal).encode()
    half = max(0, box.tuning.log_bytes // 2)
    for number in (0, 1):
        yield f"messages.{number}.log", _chatter(f"{box.serial} {number}", half)


def _chatter(seed: str, size: int) -> bytes:
    """Log lines up to `size` bytes, the same for the same seed."""
    dice = random.Random(seed)
    page = "".join(dice.choice(_LINES).format(n=dice.randrange(10**6)) + "\n" for _ in range(400)).encode()
    return b"".join(itertools.islice(itertools.repeat(page), size // len(page) + 1))[:size]
