"""A file that a person fetched by hand: what is taken, what is refused and with which advice, and that the desks of its case get it once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import handed
from agent.diagnosis.handed import PREFIX, RefusedFileError, clean_text, fit_name, kind_of, take
from agent.model import Artifact, Desk, HttpCredential, Secret, Step, StepKind, StepState, Text
from agent.polling.attach import Attached, attach
from agent.store import queries
from tests.agent.test_watch import BOX, CODEC, PLUGIN, VENDOR, Site, Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]

SECRET = b"Kanarek-only-for-tests"
SECRETIVE = replace(CODEC, credentials={"http": HttpCredential(name="a", username="root", password=Secret(SECRET.decode()))})


async def body(content: bytes, piece: int = 100) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), piece):
        yield content[start : start + piece]


def zipped(content: bytes, **more: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.txt", content, **more)
    return out.getvalue()


async def taken(tmp_path: Path, name: str, content: bytes) -> tuple[Artifact, bytes]:
    artifact = await take(name, body(content), tmp_path, (), (SECRET,), TurnedClock())
    written = artifact.path.read_bytes()
    assert (artifact.size, artifact.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    assert artifact.sensitive
    assert artifact.path.stat().st_mode & 0o077 == 0
    return artifact, written


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("serverreport.zip", zipped(b"all well"), "application/zip"),
        ("logs.tgz", gzip.compress(b"all well"), "application/gzip"),
        ("screen.png", b"\x89PNG\r\n\x1a\n\0\0\0", "image/png"),
        ("photo.JPG", b"\xff\xd8\xff\xe0\0", "image/jpeg"),
        ("invoice.pdf", b"%PDF-1.7\n\0", "application/pdf"),
        ("log.txt", "Błąd: dysk\n".encode(), "text/plain"),
        ("old.log", "Grzałka".encode("iso-8859-2"), "text/plain"),
    ],
)
async def test_what_is_taken_arrives_as_it_is_and_is_marked_as_sensitive(tmp_path: Path, name: str, content: bytes, media_type: str) -> None:
    artifact, written = await taken(tmp_path, name, content)
    assert (artifact.media_type, artifact.name) == (media_type, f"{PREFIX}{name}")
    assert written == content


@pytest.mark.parametrize(
    "content",
    [
        b"first\nlogin with " + SECRET + b" ok\npassword=of-somebody-else\nlast\n",
        b'{"list": [' + b",".join(b'{"password": "of-somebody-else", "n": %d}' % n for n in range(1000)) + b', "' + SECRET + b'"]}',
        b"<all>" + b"<x>1</x><proxyPassword>of-somebody-else</proxyPassword>" * 1000 + b"</all>",
    ],
    ids=["text", "one line of JSON", "one line of XML"],
)
async def test_a_text_loses_our_secrets_and_what_looks_like_one_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    _, written = await taken(tmp_path, "log.txt", content)
    assert SECRET not in written
    assert b"of-somebody-else" not in written
    assert b"left out" not in written
    if content.startswith(b"<"):
        assert written.count(b"<x>1</x>") == 1000
    elif content.startswith(b"{"):
        assert len(json.loads(written)["list"]) == 1001
    else:
        assert written.startswith(b"first\n")
        assert written.endswith(b"last\n")


async def test_our_secret_is_found_within_what_is_packed(tmp_path: Path) -> None:
    artifact, _ = await taken(tmp_path, "report.zip", zipped(b"user root password " + SECRET))
    assert SECRET not in zipfile.ZipFile(artifact.path).read("report.txt")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "fetch it again"),
        (b" \n", "fetch it again"),
        (b"<!DOCTYPE html><title>401</title>", "administrator's account"),
        (b"\x7fELF\0\0", "pack it as a zip"),
        ("zapis".encode("utf-16"), "pack it as a zip"),
        (zipped(b"x" * 50)[:60], "pack it again"),
        (b"\x1f\x8b\x08\0broken", "pack it again"),
    ],
)
async def test_what_is_not_taken_is_refused_with_advice_and_leaves_nothing(tmp_path: Path, content: bytes, advice: str) -> None:
    with pytest.raises(RefusedFileError, match=advice):
        await taken(tmp_path, "x", content)
    assert not left_in(tmp_path)


async def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "LIMIT", 1000)
    monkeypatch.setattr(handed, "SCRUB_WHOLE", 500)
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(1000), b"a line\n" * 100):
        with pytest.raises(RefusedFileError, match=r"larger than.*attach a part"):
            await taken(tmp_path, "x", content)
    assert not left_in(tmp_path)


@given(name=st.text(max_size=300), count=st.integers(0, 3))
def test_a_name_is_plain_and_not_taken(name: str, count: int) -> None:
    known: list[str] = []
    for _ in range(count + 1):
        fit = fit_name(name, known)
        assert fit not in known
        assert fit.startswith(PREFIX)
        assert fit.isascii()
        assert "/" not in fit
        assert len(fit) < 130
        known.append(fit)


def test_names_stay_what_people_can_read() -> None:
    assert fit_name("../../Raport  serwera (kopia).zip", ()) == "added-Raport_serwera_kopia.zip"
    assert fit_name("log.txt", ("added-log.txt",)) == "added-log-2.txt"
    assert fit_name("noending", ()) == "added-noending"
    assert fit_name("ąę", ()) == "added-file"


@given(head=st.binary(max_size=512))
def test_any_first_bytes_are_a_kind_or_a_refusal(head: bytes) -> None:
    with suppress(RefusedFileError):
        assert kind_of(head).media_type


@given(content=st.binary(max_size=400))
def test_cleaning_takes_any_bytes(content: bytes) -> None:
    assert isinstance(clean_text(content), bytes)


# --- a case


KEEPER = Desk(name="keeper", type="folder", language="pl", sensitive=False)


async def opened(here: Site, toy: Toy) -> str:
    await here.polls(3)
    toy.lamp = "out"
    await here.polls(6)
    (case,) = await here.cases()
    return case.id


async def give(here: Site, tmp_path: Path, case: str, content: bytes = b"the report\n", name: str = "report.txt", note: str = "") -> Attached:
    return await attach(here.store, here.watch.rules, tmp_path / "evidence", here.clock, case=case, name=name, note=note, body=body(content))


async def files(here: Site, desk: str) -> list[Step]:
    rows = await here.store.run(lambda c: queries.queued(c, desk=desk, states=list(StepState)))
    return [q.step for q in rows if any(a.name.startswith(PREFIX) for a in q.step.artifacts) or PREFIX in q.step.draft.body]


async def test_every_desk_of_the_case_is_given_the_file_or_told_of_it_once(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock(), codec=SECRETIVE, desks=(BOX, KEEPER, VENDOR)) as here:
        case = await opened(here, toy)
        first = await give(here, tmp_path, case, note=f"Zdjęte z {SECRET.decode()}")
        assert first.told == {"box": True, "keeper": False, "hezo": True}
        again = await give(here, tmp_path, case, name="other.txt")
        assert (again.told, again.artifact) == (None, first.artifact)
        other = await give(here, tmp_path, case, b"another\n")
        assert other.artifact.name == "added-report-2.txt"
        (found,) = await here.cases()
        assert [a.name for a in found.evidence][-2:] == ["added-report.txt", "added-report-2.txt"]
        assert {p.name for p in (tmp_path / "evidence" / case).iterdir()} == {a.name for a in found.evidence}
        for desk in ("box", "hezo"):
            attached, second = await files(here, desk)
            assert [attached.kind, second.kind] == [StepKind.ATTACH, StepKind.ATTACH]
            assert attached.artifacts == (first.artifact,)
            assert "Zdjęte z ***" in attached.draft.body
            assert SECRET.decode() not in attached.draft.body
        told, _ = await files(here, "keeper")
        assert (told.kind, told.artifacts) == (StepKind.COMMENT, ())
        assert "pobrał z urządzenia człowiek" in told.draft.body
        assert first.artifact.sha256 in told.draft.body


async def test_what_a_file_tells_at_a_glance_stands_in_the_text_of_the_desks_that_are_given_it(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock(), desks=(BOX, KEEPER)) as here:
        await here.polls(3)
        (item, heavy) = PLUGIN.evidence
        told = replace(item, scrub=bytes.upper, says=lambda body: Text(f"It hangs on {body.decode()}.", f"Wisi na {body.decode()}."))
        here.watch.watched["codec"].plugin = replace(PLUGIN, evidence=(told, heavy))
        toy.lamp = "out"
        await here.polls(6)
        rows = await here.store.run(lambda c: queries.queued(c, states=list(StepState)))
        steps = {desk: [q for q in rows if q.step.desk == desk] for desk in ("box", "keeper")}
        assert [q.step.draft.body.count("Wisi na STATUS.TXT.") for q in steps["box"]] == [0, 1]
        assert not [q for q in steps["keeper"] if "Wisi" in q.step.draft.body]


async def test_a_file_that_nobody_knows_of_is_replaced(tmp_path: Path, plans: Any) -> None:
    """As after a kill between the file and the transaction."""
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await opened(here, toy)
        (tmp_path / "evidence" / case / "added-report.txt").write_bytes(b"half of")
        (tmp_path / "evidence" / case / "added-report.txt.part").write_bytes(b"ha")
        artifact = (await give(here, tmp_path, case)).artifact
        assert artifact.path.read_bytes() == b"the report\n"
        assert [step.artifacts for step in await files(here, "box")] == [(artifact,)]
        assert not (tmp_path / "evidence" / case / "added-report.txt.part").exists()


async def test_it_does_not_take_the_place_of_what_is_still_to_be_fetched(tmp_path: Path, plans: Any) -> None:
    toy = Toy(in_use=None)
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await opened(here, toy)
        await give(here, tmp_path, case, zipped(b"mine"), "bundle.tar")
        toy.in_use = False
        await here.polls(2)
        (found,) = await here.cases()
        assert {a.name for a in found.evidence} == {"latarnik-view.json", "status.txt", "added-bundle.tar", "bundle.tar"}
        assert found.evidence_state == "done"


async def test_a_case_that_is_over_unknown_or_of_a_device_that_is_gone_takes_nothing(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await opened(here, toy)
        with pytest.raises(KeyError):
            await give(here, tmp_path, "nonsense")
        whole = here.watch.rules.inventory
        here.watch.rules = replace(here.watch.rules, inventory=replace(whole, devices=()))
        with pytest.raises(RefusedFileError, match=r"no longer in the inventory.*by hand"):
            await give(here, tmp_path, case)
        here.watch.rules = replace(here.watch.rules, inventory=whole)
        toy.lamp = "on"
        await here.polls(8)
        before = await here.steps()
        with pytest.raises(RefusedFileError, match=r"is over.*by hand"):
            await give(here, tmp_path, case)
        assert await here.steps() == before
    assert not list((tmp_path / "evidence").rglob(f"{PREFIX}*"))


async def test_a_folder_that_cannot_be_written_is_said_with_advice(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await opened(here, toy)
        (tmp_path / "file").write_text("")
        with pytest.raises(RefusedFileError, match=r"cannot be written.*give it room"):
            await attach(here.store, here.watch.rules, tmp_path / "file", here.clock, case=case, name="x", note="", body=body(b"x"))
