"""Evidence: streamed under limits, our own secrets taken out whatever they are wrapped in, what is lacking is said."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agent.diagnosis.archives import UnreadableArchiveError, scrub_archive
from agent.diagnosis.evidence import OWN_VIEW, Evidence, collect, device_secrets
from agent.errors import CollectError, Reason
from agent.model import Device, History, HttpCredential, Identity, Secret, SnmpCredential
from agent.ports import CollectorPlugin, EvidenceItem, Facet, Session
from agent.redact import StreamScrubber, mask_text, mask_values, spellings
from tests.support.clock import TurnedClock

PASSWORD = 'Kanarek "7" ąę/+'
CANARY = HttpCredential(name="cameras", username="root", password=Secret(PASSWORD))
DEVICE = Device(
    id="cam",
    vendor="toy",
    host="127.0.0.1",
    credentials={"http": CANARY, "snmp": SnmpCredential(name="s", snmp_version=2, community=Secret("kanarek-wspolnota"))},
)
EVERY_SPELLING = (
    PASSWORD.encode(),
    json.dumps(PASSWORD)[1:-1].encode(),
    quote(PASSWORD, safe="").encode(),
    base64.b64encode(PASSWORD.encode()),
    base64.b64encode(f"root:{PASSWORD}".encode()),
    b"kanarek-wspolnota",
)


class ToySession:
    client = None

    @property
    def sent(self) -> dict[str, int]:
        return {}

    async def knock(self) -> None: ...

    def offers(self, facet: Facet) -> bool:
        return True


class ToyCollector:
    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[Session]:
        yield ToySession()


def item(name: str, *pieces: bytes | Exception, **changes: Any) -> EvidenceItem:
    async def fetch(_client: object) -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    values = {"media_type": "text/plain", "fetch": fetch, "limit": 1 << 20, "timeout": 5.0, **changes}
    return EvidenceItem(name=name, **values)


async def run(tmp_path: Path, *items: EvidenceItem, **changes: Any) -> Evidence:
    plugin = CollectorPlugin(
        name="toy",
        settings=BaseModel,
        facets=(),
        metrics=(),
        faults=(),
        rules=(),
        evidence=items,
        checklist=lambda *_: (),
        start=lambda _: (_ for _ in ()).throw(AssertionError),
    )
    history = History(identity=Identity(serial="S1", model="M"))
    values = {"reachable": True, "heavy": lambda: True, "have": frozenset[str](), **changes}
    return await collect(DEVICE, plugin, ToyCollector(), folder=tmp_path / "case", snapshot=None, history=history, clock=TurnedClock(), **values)


def read(evidence: Evidence, name: str) -> bytes:
    (found,) = [a for a in evidence.artifacts if a.name == name]
    content = found.path.read_bytes()
    assert len(content) == found.size
    assert hashlib.sha256(content).hexdigest() == found.sha256
    assert found.path.stat().st_mode & 0o077 == 0
    return content


async def test_a_file_arrives_as_it_was_sent_with_its_sum(tmp_path: Path) -> None:
    evidence = await run(tmp_path, item("log.txt", b"one ", b"two"))
    assert read(evidence, "log.txt") == b"one two"
    assert json.loads(read(evidence, OWN_VIEW))["last_known"]["identity"]["serial"] == "S1"
    assert evidence.notes == ()


async def test_what_cannot_be_had_is_said_with_its_reason_and_the_others_come(tmp_path: Path) -> None:
    evidence = await run(
        tmp_path,
        item("refused.txt", CollectError(Reason.FORBIDDEN, "not with this account")),
        item("half.txt", b"half", CollectError(Reason.RESET, "the connection broke")),
        item("big.txt", b"x" * 600_000, b"x" * 600_000),
        item("empty.txt"),
        item("page.zip", b"<html>", check=lambda head: "" if head.startswith(b"PK") else "a page and no zip"),
        item("buggy.txt", ZeroDivisionError()),
        item("good.txt", b"good"),
    )
    assert {a.name for a in evidence.artifacts} == {OWN_VIEW, "good.txt"}
    assert len(evidence.notes) == 6
    for name, words in {"refused": "not with this account", "half": "broke", "big": "limit of 1 MiB", "empty": "empty", "page": "a page and no zip"}.items():
        assert any(note.startswith(name) and words in note for note in evidence.notes), name
    assert {p.name for p in (tmp_path / "case").iterdir()} == {OWN_VIEW, "good.txt"}, "no half file is left"


async def test_a_device_that_trickles_costs_the_time_limit_and_no_more(tmp_path: Path) -> None:
    async def trickle(_client: object) -> AsyncGenerator[bytes, None]:
        yield b"x"
        await asyncio.Event().wait()

    evidence = await run(tmp_path, item("slow.txt", timeout=0.05, fetch=trickle))
    assert evidence.notes == ("slow.txt: not finished within 0 s",)


async def test_an_unreachable_device_gives_what_is_known_and_why_there_is_no_more(tmp_path: Path) -> None:
    evidence = await run(tmp_path, item("log.txt", AssertionError()), reachable=False)
    assert [a.name for a in evidence.artifacts] == [OWN_VIEW]
    assert "does not answer" in evidence.notes[0]


async def test_a_device_in_use_is_asked_only_for_what_does_not_disturb_and_the_rest_waits(tmp_path: Path) -> None:
    items = (item("light.txt", b"light", light=True), item("bundle.tar", b"heavy"), item("small.txt", b"small", fallback_for="bundle.tar"))
    first = await run(tmp_path, *items, heavy=lambda: False)
    assert {a.name for a in first.artifacts} == {OWN_VIEW, "light.txt"}
    assert first.deferred == ("bundle.tar",)
    second = await run(tmp_path, *items, have=frozenset(a.name for a in first.artifacts))
    assert {a.name for a in second.artifacts} == {"bundle.tar"}
    assert second.deferred == ()


async def test_a_call_that_begins_while_files_are_fetched_holds_back_the_heavy_ones(tmp_path: Path) -> None:
    free = iter([True, False])
    evidence = await run(tmp_path, item("first.tar", b"heavy"), item("light.txt", b"light", light=True), item("second.tar", b"heavy"), heavy=lambda: next(free))
    assert {a.name for a in evidence.artifacts} == {OWN_VIEW, "first.tar", "light.txt"}
    assert evidence.deferred == ("second.tar",)


async def test_a_substitute_is_fetched_only_when_the_first_choice_fails(tmp_path: Path) -> None:
    fallback = item("report.txt", b"text", fallback_for="report.zip")
    assert {a.name for a in (await run(tmp_path / "a", item("report.zip", b"zip"), fallback)).artifacts} == {OWN_VIEW, "report.zip"}
    failed = await run(tmp_path / "b", item("report.zip", CollectError(Reason.HTTP_STATUS, "500")), fallback)
    assert {a.name for a in failed.artifacts} == {OWN_VIEW, "report.txt"}


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/report.txt", content)
        archive.writestr("other.bin", b"\x00" * 100)
    return buffer.getvalue()


def tarred(content: bytes, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # the mode is a test's parameter
        info = tarfile.TarInfo("logs/messages")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(name: str, content: bytes) -> bytes:
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            return b"".join(archive.read(n) for n in archive.namelist())
    if ".tar" in name:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            member = archive.extractfile("logs/messages")
            assert member is not None
            return member.read()
    return content


@pytest.mark.parametrize(
    ("name", "wrap"),
    [("r.txt", lambda c: c), ("r.zip", zipped), ("r.tar", lambda c: tarred(c, "w")), ("r.tar.gz", lambda c: tarred(c, "w:gz")), ("r.gz", gzip.compress)],
)
async def test_a_device_that_echoes_our_secrets_does_not_carry_them_into_a_ticket(tmp_path: Path, name: str, wrap: Callable[[bytes], bytes]) -> None:
    body = b"".join(b"line before\n" + spelling + b"\nline after\n" for spelling in EVERY_SPELLING) * 3
    whole = wrap(body)
    evidence = await run(tmp_path, item(name, *(whole[i : i + 7] for i in range(0, len(whole), 7))))
    content = read(evidence, name)
    shown = gzip.decompress(content) if name == "r.gz" else unpacked(name, content)
    for spelling in EVERY_SPELLING:
        assert spelling not in shown
        assert spelling not in content
    assert shown.count(b"line before") == len(EVERY_SPELLING) * 3


async def test_an_archive_without_our_secrets_keeps_its_own_bytes(tmp_path: Path) -> None:
    whole = zipped(b"nothing of ours")
    assert read(await run(tmp_path, item("r.zip", whole)), "r.zip") == whole


async def test_an_archive_that_cannot_be_looked_into_is_left_out(tmp_path: Path) -> None:
    evidence = await run(tmp_path, item("r.zip", zipped(b"x" * 5000)[:-40]))
    assert [a.name for a in evidence.artifacts] == [OWN_VIEW]
    assert "cannot be unpacked" in evidence.notes[0]


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.diagnosis.archives.MAX_UNPACKED", 1 << 20)
    for name, content in (("b.zip", zipped(b"\0" * (4 << 20))), ("b.gz", gzip.compress(b"\0" * (4 << 20)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableArchiveError, match="more than 1 MiB"):
            scrub_archive(tmp_path / name, [b"secret"])


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=40), st.integers(0, 300))
def test_wherever_the_pieces_are_cut_the_secret_is_found_and_nothing_else_changes(body: bytes, cuts: list[int], at: int) -> None:
    secret = b"kanarek-0815"
    whole = body[:at] + secret + body[at:]
    scrubber = StreamScrubber([secret])
    out, rest = b"", whole
    for cut in cuts:
        out += scrubber.feed(rest[:cut])
        rest = rest[cut:]
    out += scrubber.feed(rest) + scrubber.finish()
    assert out == whole.replace(secret, b"*" * len(secret))


def test_every_spelling_of_a_devices_secrets_is_known_and_a_public_community_is_none() -> None:
    found = device_secrets(DEVICE)
    assert set(EVERY_SPELLING) <= set(found)
    public = Device(id="x", vendor="toy", credentials={"snmp": SnmpCredential(name="s", snmp_version=2, community=Secret("public"))})
    assert device_secrets(public) == ()
    assert spellings("abc") == ()


def test_the_logs_mask_by_key_and_by_pattern() -> None:
    masked = mask_values(
        {
            "password": "x1",
            "nested": {"api_key": "x2", "text": "Authorization: Basic eDM="},
            "url": "https://user:x4@example.org/",
            "device": "cam",
            "key": "cam/x",
        }
    )
    assert not any(f"x{n}" in str(masked) for n in (1, 2, 4))
    assert "eDM=" not in str(masked)
    assert masked["device"] == "cam"
    assert masked["key"] == "cam/x"
    assert mask_text("Set-Cookie: session_id=abc; Path=/\r\nDate: now") == "Set-Cookie: ***\r\nDate: now"


async def test_a_call_that_begins_while_a_heavy_file_comes_ends_the_transfer_and_the_file_waits(tmp_path: Path) -> None:
    calls: list[bool] = []

    def big(name: str, **changes: Any) -> EvidenceItem:
        async def fetch(_client: object) -> AsyncGenerator[bytes, None]:
            yield b"first"
            calls.append(True)
            yield b"second"

        return item(name, fetch=fetch, **changes)

    items = (big("heavy.zip"), item("heavy.txt", b"x", fallback_for="heavy.zip"), big("light.txt", light=True))
    evidence = await run(tmp_path, *items, heavy=lambda: not calls, taken=lambda: bool(calls))
    assert evidence.deferred == ("heavy.zip",)
    assert {a.name for a in evidence.artifacts} == {OWN_VIEW, "light.txt"}
    assert evidence.notes == ()
    assert {p.name for p in (tmp_path / "case").iterdir()} == {OWN_VIEW, "light.txt"}


async def test_a_report_that_only_an_administrator_gets_is_left_to_a_person(tmp_path: Path) -> None:
    refused = CollectError(Reason.FORBIDDEN, "not with this account")
    report = item("report.zip", refused, account="service")
    text = item("report.txt", refused, account="service", fallback_for="report.zip")
    evidence = await run(tmp_path, report, text, item("log.txt", refused, account="service", light=True))
    assert evidence.notes[-1].startswith("report.zip: a person with an administrator's account may fetch it")
    assert evidence.notes[-1].endswith("latarnik case attach case FILE")
    for items, changes in (((report, item("report.txt", b"x", account="service", fallback_for="report.zip")), {}), ((report,), {"heavy": lambda: False})):
        found = await run(tmp_path, *items, **changes)
        assert not [note for note in found.notes if "case attach" in note]


@pytest.mark.parametrize("place", ["stored member", "name", "remark", "remark of a member"])
async def test_a_secret_that_is_not_packed_is_taken_out_of_a_zip_that_stays_whole(tmp_path: Path, place: str) -> None:
    """Masked as the bytes pass, it would break the sums, and the whole report would be left out."""
    secret = "kanarek-wspolnota"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo(f"log-{secret}.txt" if place == "name" else "log.txt")
        info.comment = secret.encode() if place == "remark of a member" else b""
        archive.writestr(info, secret if place == "stored member" else "all well")
        archive.comment = secret.encode() if place == "remark" else b""
    evidence = await run(tmp_path, item("report.zip", out.getvalue(), media_type="application/zip"))
    assert evidence.notes == ()
    cleaned = read(evidence, "report.zip")
    assert secret.encode() not in cleaned
    with zipfile.ZipFile(io.BytesIO(cleaned)) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        assert name == (f"log-{'*' * len(secret)}.txt" if place == "name" else "log.txt")
        assert archive.read(name) == (b"*" * len(secret) if place == "stored member" else b"all well")


async def test_a_secret_in_the_head_of_a_gzip_is_taken_out(tmp_path: Path) -> None:
    out = io.BytesIO()
    with gzip.GzipFile("kanarek-wspolnota.txt", "wb", fileobj=out) as packed:
        packed.write(b"all well")
    evidence = await run(tmp_path, item("log.gz", out.getvalue()))
    assert b"kanarek-wspolnota" not in read(evidence, "log.gz")
    assert gzip.decompress(read(evidence, "log.gz")) == b"all well"
