"""The mail desk beyond the contract: threads, sizes, encryption, passwords, bytes."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.errors import DeskError
from agent.model import Artifact, Desk, StepKind, TicketRef
from agent.service.texts import one_line
from exporters.tickets.mail import PLUGIN
from exporters.tickets.mail.desk import MailDesk
from exporters.tickets.mail.message import file_names, fitting, header, message, message_id
from exporters.tickets.mail.settings import MailSettings
from tests.contract.desks import context
from tests.support.certificates import self_authority
from tests.tickets.adapters.mail import TO, settings
from tests.tickets.relay import Relay, relay
from tests.tickets.samples import CASE, OPENED, artifact, step, with_subject

REF = TicketRef(ref="thread")
FILE = Artifact(name="x", media_type="text/plain", path=Path("x"), size=0, sha256="0" * 64, collected_at=OPENED)
CREATE = step(StepKind.CREATE, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "pa55-żółw-do-not-show"


def mail_desk(folder: Path, kept: Relay, role: str = "internal", **more: object) -> MailDesk:
    chosen = settings(kept, **more)
    return MailDesk(Desk(name="vendor", type="mail", role=role, settings=chosen), chosen, context(folder))


def offline(**more: object) -> MailSettings:
    return MailSettings.model_validate({"to": [TO], "from": "rooms@example.org", "smtp": "relay.example.org", **more})


# --- one thread -------------------------------------------------------------------------------------------------------


async def test_the_messages_of_a_case_are_one_thread_with_one_subject(tmp_path: Path) -> None:
    async with relay() as kept:
        desk = mail_desk(tmp_path, kept)
        ref = await desk.create(CREATE)
        await desk.comment(step(StepKind.COMMENT, 2, note="Dane."), ref)
        await desk.resolve(step(StepKind.RESOLVE, 3, note="Działa."), ref)
    first, second, third = kept.messages()
    ids = [f"<LK-000042.helpdesk.{n}@krakow-hq.example.org>" for n in (1, 2, 3)]
    assert [str(m["Message-ID"]) for m in (first, second, third)] == ids
    assert ref.ref == ids[0].strip("<>")
    assert (first["In-Reply-To"], first["References"]) == (None, None)
    assert (second["In-Reply-To"], second["References"]) == (ids[0], ids[0])
    assert (third["In-Reply-To"], third["References"]) == (ids[1], f"{ids[0]} {ids[1]}")
    assert len({str(m["Subject"]) for m in (first, second, third)}) == 1
    assert str(first["Date"]) == "Sat, 21 Nov 2026 10:16:00 +0100"
    assert (first["From"], first["To"], first["X-Latarnik-Key"]) == ("rooms@example.org", TO, CASE.key)
    assert (first["Auto-Submitted"], first["Reply-To"]) == (None, None)


def test_identifiers_longer_than_a_line_are_never_encoded() -> None:
    long = step(StepKind.COMMENT, 40, desk="d" * 64, note="x")
    raw = message(long, offline(), "site-" * 15, now=NOW)
    head = raw.partition(b"\r\n\r\n")[0]
    assert head.count(b"<LK-000042.") == 1 + 1 + 39
    assert b"=?" not in head.partition(b"Subject:")[0]
    parsed = message_from_bytes(raw, policy=default)
    assert str(parsed["References"]).split() == [message_id(f"LK-000042.{'d' * 64}.{n}", offline(), "site-" * 15) for n in range(1, 40)]


def test_a_step_sent_again_is_the_same_bytes_whenever_that_is(tmp_path: Path) -> None:
    files = (artifact(tmp_path), artifact(tmp_path, b"log", name="a.log", media_type="text/plain"))
    attach = step(StepKind.ATTACH, 2, files=files, note="Raport.")
    contents = [(file, file.path.read_bytes()) for file in files]
    raws = {message(attach, offline(), "s", now=NOW + timedelta(days=d), files=contents) for d in (0, 1)}
    assert len(raws) == 1
    (raw,) = raws
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998


async def test_a_message_whose_fate_is_unknown_is_sent_again_as_the_same_message(tmp_path: Path) -> None:
    async with relay() as kept:
        desk = mail_desk(tmp_path, kept)
        kept.data = "close"
        with pytest.raises(DeskError) as caught:
            await desk.create(CREATE)
        assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("unknown", True, True)
        kept.data = ""
        await mail_desk(tmp_path, kept).create(CREATE)
        assert len(kept.taken) == 2
        assert len(kept.messages()) == 1


@hypothesis_settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(), max_size=200))
def test_any_subject_comes_out_as_it_went_in_on_one_line(text: str) -> None:
    raw = message(with_subject(CREATE, text), offline(), "s", now=NOW)
    parsed = message_from_bytes(raw, policy=default)
    assert " ".join(str(parsed["Subject"]).split()) == one_line(text)
    assert [name for name in parsed if name not in ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")] == [
        "From",
        "To",
        "Message-ID",
        "Subject",
        "Date",
        "X-Latarnik-Case",
        "X-Latarnik-Key",
        "Content-Language",
    ]


@hypothesis_settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(), max_size=300))
def test_a_header_has_no_bare_line_end_and_no_line_too_long(text: str) -> None:
    line = header("X-Latarnik-Key", one_line(text))
    assert line.isascii()
    assert line.endswith("\r\n")
    first, *others = line[:-2].split("\r\n")
    assert first.startswith("X-Latarnik-Key: ")
    assert all(other.startswith(" ") and other.strip() for other in others)
    assert all(len(part) <= 78 for part in (first, *others))


def test_a_draft_with_a_time_that_is_none_is_an_error() -> None:
    odd = step(StepKind.CREATE, 1)
    odd.draft.fields["written_at"] = "yesterday"
    with pytest.raises(DeskError, match="written_at"):
        message(odd, offline(), "s", now=NOW)


def test_a_draft_that_does_not_say_when_it_was_written_bears_the_time_of_sending() -> None:
    undated = step(StepKind.CREATE, 1)
    del undated.draft.fields["written_at"]
    assert b"\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n" in message(undated, offline(), "s", now=NOW)


async def test_marks_and_reply_address_are_sent_when_they_are_asked_for(tmp_path: Path) -> None:
    async with relay() as kept:
        await mail_desk(tmp_path, kept, auto_submitted=True, reply_to="agent@example.org").create(CREATE)
    (sent,) = kept.messages()
    assert (sent["Auto-Submitted"], sent["Reply-To"]) == ("auto-generated", "agent@example.org")


async def test_a_vendor_hears_of_a_recovery_and_is_asked_whether_to_keep_the_case_open(tmp_path: Path) -> None:
    async with relay() as kept:
        await mail_desk(tmp_path, kept, role="vendor").resolve(step(StepKind.RESOLVE, 4, note="Działa od 10:00.", role="vendor"), REF)
    body = kept.messages()[0].get_body()
    assert body is not None
    assert "czy pozostawić zgłoszenie otwarte" in body.get_content()
    assert "rozwiązane" not in body.get_content()


# --- sizes ------------------------------------------------------------------------------------------------------------


async def test_a_file_too_big_for_the_relay_is_named_in_the_text_instead(tmp_path: Path) -> None:
    file = artifact(tmp_path / "state" / "cases" / CASE.id, bytes(100_000))
    async with relay(size=200_000) as kept:
        await mail_desk(tmp_path, kept).attach(step(StepKind.ATTACH, 2, files=(file,), note="Raport."), REF)
    (sent,) = kept.messages()
    body = sent.get_body()
    assert body is not None
    assert not list(sent.iter_attachments())
    for fact in (file.name, str(file.size), file.sha256, "krakow-hq", f"cases/{CASE.id}/{file.path.name}", "Raport."):
        assert fact in body.get_content()
    assert str(tmp_path) not in body.get_content()


@pytest.mark.parametrize(("size", "attached"), [(100_000, True), (100_001, False)])
async def test_our_own_limit_counts_as_well(tmp_path: Path, size: int, attached: bool) -> None:
    file = artifact(tmp_path / "evidence", bytes(size))
    async with relay() as kept:
        await mail_desk(tmp_path, kept, max_size="100kB").attach(step(StepKind.ATTACH, 2, files=(file,), note="Raport."), REF)
    assert len(list(kept.messages()[0].iter_attachments())) == attached


async def test_a_relay_that_finds_it_too_big_after_all_gets_the_text_alone(tmp_path: Path) -> None:
    file = artifact(tmp_path / "evidence", bytes(100_000))
    async with relay() as kept:
        kept.refuse_above = 50_000
        await mail_desk(tmp_path, kept).attach(step(StepKind.ATTACH, 2, files=(file,), note="Raport.", language="en"), REF)
    (sent,) = kept.messages()
    body = sent.get_body()
    assert body is not None
    assert "Too big for a mail, and therefore not attached:" in body.get_content()
    assert file.sha256 in body.get_content()


async def test_a_relay_that_finds_several_too_big_after_all_gets_none_of_them_and_the_names_of_all(tmp_path: Path) -> None:
    files = tuple(artifact(tmp_path / "evidence", bytes([n]) * 40_000, name=f"{n}.log") for n in range(3))
    async with relay() as kept:
        kept.refuse_above = 50_000
        for _ in range(2):
            await mail_desk(tmp_path, kept).attach(step(StepKind.ATTACH, 2, files=files), REF)
    assert len(kept.taken) == 2
    (sent,) = kept.messages()
    assert withheld_in(sent) == [(file.name, file.size, file.sha256) for file in files]
    assert not list(sent.iter_attachments())


async def test_a_relay_that_finds_even_the_text_too_big_is_not_asked_again(tmp_path: Path) -> None:
    file = artifact(tmp_path / "evidence", bytes(100_000))
    async with relay(size=200_000) as kept:
        kept.refuse_above = 100
        with pytest.raises(DeskError) as caught:
            await mail_desk(tmp_path, kept).attach(step(StepKind.ATTACH, 2, files=(file,)), REF)
    assert (caught.value.reason, caught.value.retryable, kept.taken) == ("too_large", False, [])


async def test_the_biggest_files_are_left_out_until_the_rest_fits_and_every_try_says_the_same(tmp_path: Path) -> None:
    sizes = {"a.log": 30_000, "b.zip": 60_000, "c.log": 10_000, "d.zip": 70_000}
    files = tuple(artifact(tmp_path / "state" / "cases", bytes(size), name=name) for name, size in sizes.items())
    async with relay() as kept:
        for _ in range(2):
            await mail_desk(tmp_path, kept, max_size="100kB").attach(step(StepKind.ATTACH, 2, files=files), REF)
    assert len(kept.taken) == 2
    (sent,) = kept.messages()
    assert [part.get_filename() for part in sent.iter_attachments()] == ["a.log", "b.zip", "c.log"]
    assert withheld_in(sent) == [("d.zip", 70_000, files[3].sha256)]


@given(sizes=st.lists(st.integers(0, 50), max_size=8), room=st.integers(-1, 200))
def test_what_fits_is_attached_in_order_and_only_the_biggest_are_left_out(sizes: list[int], room: int) -> None:
    files = [replace(FILE, name=str(n), size=size) for n, size in enumerate(sizes)]
    attached, withheld = fitting(files, room)
    assert sorted(attached + withheld, key=files.index) == files
    assert attached == sorted(attached, key=files.index)
    assert withheld == sorted(withheld, key=files.index)
    assert sum(file.size for file in attached) <= max(room, 0)
    if withheld:
        smallest = min(file.size for file in withheld)
        assert all(file.size <= smallest for file in attached)
        assert sum(file.size for file in attached) + smallest > room


@given(names=st.lists(st.sampled_from(["a", "A", "2-a", "3-A", "", "attachment", "/", "_", "x\ny", "x y"]), max_size=12))
def test_no_two_files_of_a_message_have_one_name(names: list[str]) -> None:
    given_out = file_names([replace(FILE, name=name) for name in names])
    assert len({name.casefold() for name in given_out}) == len(names)
    assert all(name and "/" not in name and "\n" not in name for name in given_out)
    assert not given_out or given_out[0] == (one_line(names[0]).replace("/", "_") or "attachment")


async def test_a_file_that_fits_exactly_is_attached(tmp_path: Path) -> None:
    room = int(2_000_000 / 1.37) - 64 * 1024
    file = artifact(tmp_path / "evidence", bytes(room))
    async with relay(size=2_000_000) as kept:
        await mail_desk(tmp_path, kept).attach(step(StepKind.ATTACH, 2, files=(file,), note="Raport."), REF)
    (attachment,) = kept.messages()[0].iter_attachments()
    assert attachment.get_payload(decode=True) == bytes(room)


def withheld_in(sent: EmailMessage) -> list[tuple[str, int, str]]:
    """The files that the text names as not attached."""
    body = sent.get_body()
    assert body is not None
    found = re.findall(r"(?m)^- (.+), (\d+) B, SHA-256 ([0-9a-f]{64}), miejsce: \S+$", "\n".join(body.get_content().splitlines()))
    return [(name, int(size), digest) for name, size, digest in found]


# --- recipients -------------------------------------------------------------------------------------------------------


async def test_one_refused_recipient_does_not_keep_the_message_from_the_others_and_is_reported(tmp_path: Path) -> None:
    async with relay() as kept:
        desk = mail_desk(tmp_path, kept, to=[TO, "gone@example.org"])
        kept.rcpt["gone@example.org"] = "550 5.1.1 no such user"
        with structlog.testing.capture_logs() as logs:
            await desk.create(CREATE)
        with pytest.raises(DeskError, match=r"gone@example\.org: 550"):
            await desk.self_check()
    assert [to for to, _ in kept.taken] == [[TO]]
    assert [(entry["event"], entry["recipient"], entry["code"]) for entry in logs] == [("mail_recipient_refused", "gone@example.org", 550)]


async def test_all_refused_is_retried_if_one_refusal_is_for_now(tmp_path: Path) -> None:
    async with relay() as kept:
        kept.rcpt.update({TO: "550 no", "b@example.org": "451 later"})
        with pytest.raises(DeskError, match=r"b@example\.org: 451") as caught:
            await mail_desk(tmp_path, kept, to=[TO, "b@example.org"]).create(CREATE)
    assert (caught.value.reason, caught.value.retryable) == ("recipients", True)
    assert kept.taken == []


async def test_a_relay_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with relay() as kept:
        pass
    with pytest.raises(DeskError, match=f"127.0.0.1:{kept.port}") as caught:
        await mail_desk(tmp_path, kept).create(CREATE)
    assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("unreachable", True, False)


@pytest.mark.parametrize(("greeting", "retryable"), [(b"421 too busy\r\n", True), (b"554 go away\r\n", False), (b"nonsense\r\n", True), (b"", True)])
async def test_a_relay_that_does_not_greet_is_an_error_before_anything_was_sent(tmp_path: Path, greeting: bytes, retryable: bool) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        desk = mail_desk(tmp_path, Relay(port=server.sockets[0].getsockname()[1]))
        with pytest.raises(DeskError) as caught:
            await desk.create(CREATE)
    assert (caught.value.retryable, caught.value.unknown) == (retryable, False)


async def test_a_cancelled_send_closes_its_connection(tmp_path: Path) -> None:
    async with relay() as kept:
        kept.data = "hang"
        task = asyncio.create_task(mail_desk(tmp_path, kept, timeout="30s").create(CREATE))
        await kept.hanging.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- encryption and passwords -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that is its own authority, and a server's context with it."""
    return self_authority(tmp_path_factory.mktemp("tls"))


def password_file(folder: Path, content: str = PASSWORD) -> Path:
    path = folder / "relay.password"
    path.write_text(content + "\n", "utf-8")
    path.chmod(0o600)
    return path


async def test_a_login_goes_over_a_verified_connection_and_a_new_password_counts_at_once(tmp_path: Path, authority: tuple[Path, ssl.SSLContext]) -> None:
    async with relay(tls=authority[1], login=PASSWORD) as kept:
        path = password_file(tmp_path, "old")
        desk = mail_desk(tmp_path, kept, tls="starttls", ca_file=str(authority[0]), username="agent", password_file=str(path))
        with structlog.testing.capture_logs() as logs, pytest.raises(DeskError) as caught:
            await desk.create(CREATE)
        assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("auth", False, False)
        assert kept.passwords == [("PLAIN", "old")], "one refused login, not one for every way to log in"
        assert "old" not in str(caught.value)
        assert logs == []
        password_file(tmp_path)
        await desk.self_check()
        await desk.create(CREATE)
        assert kept.passwords[1:] == [("PLAIN", PASSWORD)] * 2
        assert len(kept.taken) == 1


async def test_a_certificate_that_is_not_trusted_sees_no_password_and_no_message(tmp_path: Path, authority: tuple[Path, ssl.SSLContext]) -> None:
    async with relay(tls=authority[1], login=PASSWORD) as kept:
        desk = mail_desk(tmp_path, kept, tls="starttls", username="agent", password_file=str(password_file(tmp_path)))
        with pytest.raises(DeskError, match="ca_file") as caught:
            await desk.create(CREATE)
        assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("tls", True, False)
        assert PASSWORD not in str(caught.value)
        assert (kept.passwords, kept.taken) == ([], [])


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_relay_without_encryption_gets_nothing_unless_the_config_says_so(tmp_path: Path, mode: str) -> None:
    async with relay() as kept:
        with pytest.raises(DeskError, match="tls: none") as caught:
            await mail_desk(tmp_path, kept, tls=mode).create(CREATE)
        assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("tls", True, False)
        assert kept.taken == []


@pytest.mark.parametrize(("mode", "says"), [(0o600, "no such file"), (0o644, "chmod 600")])
async def test_a_password_file_that_cannot_be_used_is_named_by_its_key(tmp_path: Path, authority: tuple[Path, ssl.SSLContext], mode: int, says: str) -> None:
    path = password_file(tmp_path)
    if mode == 0o600:
        path.unlink()
    else:
        path.chmod(mode)
    async with relay(tls=authority[1], login=PASSWORD) as kept:
        desk = mail_desk(tmp_path, kept, tls="starttls", ca_file=str(authority[0]), username="agent", password_file=str(path))
        with pytest.raises(DeskError, match=f"password_file: .*{says}") as caught:
            await desk.self_check()
    assert (caught.value.reason, caught.value.retryable) == ("secret", False)


async def test_an_authority_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeskError, match=r"ca_file .*missing\.pem"):
        await mail_desk(tmp_path, Relay(port=1), tls="tls", ca_file="missing.pem").self_check()


# --- dry run and settings ---------------------------------------------------------------------------------------------


async def test_a_dry_run_writes_what_would_be_sent_and_connects_to_nothing(tmp_path: Path) -> None:
    file = artifact(tmp_path / "evidence")
    desk = mail_desk(tmp_path, Relay(port=1), dry_run=True)
    await desk.self_check()
    for _ in range(2):
        await desk.create(CREATE)
        await desk.attach(step(StepKind.ATTACH, 2, files=(file,), note="Raport."), REF)
    written = {path.name: message_from_bytes(path.read_bytes(), policy=default) for path in files_in(tmp_path / "state" / "mail" / "vendor")}
    assert set(written) == {"self-check.eml", "LK-000042.helpdesk.1.eml", "LK-000042.helpdesk.2.eml"}
    (attached,) = written["LK-000042.helpdesk.2.eml"].iter_attachments()
    assert attached.get_payload(decode=True) == file.path.read_bytes()


async def test_a_dry_run_that_cannot_write_says_where(tmp_path: Path) -> None:
    desk = mail_desk(tmp_path, Relay(port=1), dry_run=True)
    (tmp_path / "state" / "mail").write_bytes(b"")
    with pytest.raises(DeskError, match="mail") as caught:
        await desk.self_check()
    assert caught.value.retryable is True


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize(
    ("smtp", "tls", "server"),
    [
        ("relay.example.org", "starttls", ("relay.example.org", 587)),
        ("relay.example.org", "tls", ("relay.example.org", 465)),
        ("relay.example.org", "none", ("relay.example.org", 25)),
        ("relay.example.org:2525", "tls", ("relay.example.org", 2525)),
        ("192.0.2.7:25", "none", ("192.0.2.7", 25)),
        ("[2001:db8::1]:25", "none", ("2001:db8::1", 25)),
        ("[2001:db8::1]", "none", ("2001:db8::1", 25)),
        ("2001:db8::1", "none", ("2001:db8::1", 25)),
    ],
)
def test_the_relay_is_a_host_with_or_without_a_port(smtp: str, tls: str, server: tuple[str, int]) -> None:
    assert offline(smtp=smtp, tls=tls).server == server


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"smtp": "smtp://relay.example.org"}, "smtp"),
        ({"smtp": "relay.example.org:99999"}, "smtp"),
        ({"smtp": ":25"}, "smtp"),
        ({"smtp": "relay.example.org:0"}, "smtp"),
        ({"smtp": ""}, "smtp"),
        ({"to": []}, "to"),
        ({"to": ["Serwis <service@example.org>"]}, "without a display name"),
        ({"to": ["a@example.org\r\nBcc: b@example.org"]}, "one line"),
        ({"to": ["żółw@example.org"]}, "ASCII"),
        ({"from": "rooms"}, "no mail address"),
        ({"from": ""}, "from"),
        ({"username": "agent"}, "belong together"),
        ({"password_file": "x"}, "belong together"),
        ({"username": "agent", "password_file": "x", "tls": "none"}, "without encryption"),
        ({"tls": "maybe"}, "starttls"),
        ({"max_size": "7 apples"}, "max_size"),
        ({"timeout": "0s"}, "timeout"),
        ({"pasword_file": "x"}, "pasword_file"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        offline(**wrong)


@hypothesis_settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_for_the_relay_or_an_address_is_taken_or_refused_by_name(text: str) -> None:
    for key in ("smtp", "to", "from", "reply_to"):
        taken, said = None, key
        try:
            taken = offline(**{key: text})
        except ValidationError as error:
            said = str(error)
        assert key in said
        assert taken is None or (taken.server[0].isascii() and taken.server[1] > 0)


async def test_the_plugin_opens_the_desk_of_its_settings(tmp_path: Path) -> None:
    async with relay() as kept:
        async with PLUGIN.open(Desk(name="d", type="mail", settings=settings(kept)), context(tmp_path)) as desk:
            await desk.create(CREATE)
        assert len(kept.taken) == 1
