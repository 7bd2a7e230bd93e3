"""The contract of `exporters/tickets/__init__.py`, for every desk found there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import DeskError
from agent.model import StepKind
from agent.plugins import desks
from tests.contract.desks import DeskUnderTest, HeldTicket, adapter, context, deliver, desk_names
from tests.tickets.samples import CASE, artifact, step, with_subject

CREATE = step(StepKind.CREATE, 1)
BREAKAGES = [pytest.param(name, breakage, id=f"{name}-{breakage.name}") for name in desk_names() for breakage in adapter(name).breakages]
SUBJECTS = {
    "polish": "Zażółć gęślą jaźń: kamera w sali Łódź nie działa",
    "very long": "Kamera nie odpowiada, a temat jest bardzo długi " * 80,
    "one long word": "x" * 3000,
    "header injection": "Kamera\r\nBcc: other@example.org\r\n\r\nbody",
    "other line ends": "Kamera\u2028stoi\x85tu\x0b\x0c\x00dalej",
    "looks encoded": "=?utf-8?q?Kamera?= =?utf-8?b?xYI=?=",
    "markup": "<b>Kamera</b> & \"cudzysłów\" 'apostrof' \\ %s {x} [#12]",
    "beyond the BMP": "📷 kamera 𝕏",
    "not Unicode": "kamera \udc80 x",
}


@pytest.fixture(params=desk_names())
async def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DeskUnderTest]:
    found = adapter(request.param)
    async with found.start(tmp_path) as other:
        yield DeskUnderTest(adapter=found, other=other, context=context(tmp_path))


async def only(under_test: DeskUnderTest) -> HeldTicket:
    held = await under_test.other.held()
    assert len(held) == 1
    return held[0]


def folders_of(root: Path, pattern: str) -> set[str]:
    return {path.parent.name for path in root.rglob(pattern)}


def test_every_desk_is_a_plugin_and_has_an_adapter() -> None:
    found = desks()
    assert {"folder", "mail"} <= set(desk_names()) <= set(found)
    for name in desk_names():
        assert adapter(name).plugin is found[name]


async def test_a_healthy_desk_passes_its_self_check_and_holds_nothing_after_it(under_test: DeskUnderTest) -> None:
    async with under_test.open() as desk:
        await desk.self_check()
        assert await desk.find(CASE.key, CASE.id) is None
    assert await under_test.other.held() == []


async def test_a_created_ticket_holds_the_draft_and_is_found(under_test: DeskUnderTest) -> None:
    async with under_test.open() as desk:
        ref = await desk.create(CREATE)
        found = await desk.find(CASE.key, CASE.id)
    assert ref.ref
    assert found == (ref if under_test.adapter.searchable else None)
    held = await only(under_test)
    assert (held.case, held.key, held.subject) == (CASE.id, CASE.key, CREATE.draft.subject)
    assert [text.split() for text in held.texts] == [CREATE.draft.body.split()]
    assert held.resolved is not True


async def test_the_same_step_twice_is_one_ticket_also_after_a_restart(under_test: DeskUnderTest) -> None:
    refs = []
    for _ in range(3):
        async with under_test.open() as desk:
            refs.append(await deliver(desk, CREATE))
    assert len(set(refs)) == 1
    assert len((await only(under_test)).texts) == 1


async def test_has_step_is_exact_or_not_known(under_test: DeskUnderTest) -> None:
    comment = step(StepKind.COMMENT, 2)
    async with under_test.open() as desk:
        ref = await desk.create(CREATE)
        answers = [await desk.has_step(CREATE, ref), await desk.has_step(comment, ref)]
        await desk.comment(comment, ref)
        answers += [await desk.has_step(comment, ref), await desk.has_step(replace(comment, id=comment.id[:-1]), ref)]
    assert answers == ([True, False, True, False] if under_test.adapter.searchable else [None] * 4)


async def test_an_attachment_arrives_byte_for_byte_and_once(under_test: DeskUnderTest, tmp_path: Path) -> None:
    file = artifact(tmp_path / "evidence", bytes(range(256)) * 500 + b"\r\n.\r\nFrom me\n")
    attach = step(StepKind.ATTACH, 2, files=(file,), note="Raport serwera.")
    async with under_test.open() as desk:
        await desk.create(CREATE)
        for _ in range(2):
            await deliver(desk, attach)
    held = await only(under_test)
    assert [content for _, content in held.attachments] == [file.path.read_bytes()]
    assert "raport-serwera.zip" in held.attachments[0][0]


async def test_all_files_of_a_step_arrive_with_one_text_and_once(under_test: DeskUnderTest, tmp_path: Path) -> None:
    contents = [bytes(range(256)) * 20, b"", "log ą\r\n.\r\n".encode(), b"x"]
    files = tuple(artifact(tmp_path / "evidence", content, name=f"plik {n}.log") for n, content in enumerate(contents))
    attach = step(StepKind.ATTACH, 2, files=files)
    async with under_test.open() as desk:
        await desk.create(CREATE)
        for _ in range(2):
            await deliver(desk, attach)
    held = await only(under_test)
    assert [content for _, content in held.attachments] == contents
    assert [text.split() for text in held.texts] == [CREATE.draft.body.split(), attach.draft.body.split()]


@pytest.mark.parametrize("media_type", ["text/plain", "application/gzip", "message/rfc822", "multipart/mixed", "nonsense", "a/b\r\nX-Evil: 1"])
async def test_an_attachment_of_any_type_keeps_its_bytes(under_test: DeskUnderTest, tmp_path: Path, media_type: str) -> None:
    file = artifact(tmp_path / "evidence", "log ą\nX: 1\r\n\r\nend".encode(), name="dziennik ą.log", media_type=media_type)
    async with under_test.open() as desk:
        await desk.create(CREATE)
        await deliver(desk, step(StepKind.ATTACH, 2, files=(file,), note="Dziennik."))
    assert [content for _, content in (await only(under_test)).attachments] == [file.path.read_bytes()]


async def test_no_name_of_an_attachment_leaves_its_place_or_hides_another(under_test: DeskUnderTest, tmp_path: Path) -> None:
    names = ["log.txt", "log.txt", "LOG.txt", "../../escape.txt", "/etc/escape", "..", ".", "", "a\r\nb: c", "x" * 400, "ticket.json", "\udc80"]
    files = [artifact(tmp_path / "evidence", f"content {n}".encode(), name=name) for n, name in enumerate(names)]
    async with under_test.open() as desk:
        await desk.create(CREATE)
        for seq, file in enumerate(files, start=2):
            await deliver(desk, step(StepKind.ATTACH, seq, files=(file,), note="Plik."))
    held = await only(under_test)
    assert sorted(content for _, content in held.attachments) == sorted(file.path.read_bytes() for file in files)
    assert len(held.texts) == len(files) + 1
    assert folders_of(tmp_path, "*escape*") <= {"attachments"}


async def test_files_of_one_step_with_odd_or_equal_names_do_not_hide_each_other(under_test: DeskUnderTest, tmp_path: Path) -> None:
    names = ["log.txt", "log.txt", "LOG.txt", "2-log.txt", "../../escape.txt", "..", "", "", "a\r\nb: c", "x" * 400, "\udc80"]
    files = tuple(artifact(tmp_path / "evidence", f"content {n}".encode(), name=name) for n, name in enumerate(names))
    async with under_test.open() as desk:
        await desk.create(CREATE)
        await deliver(desk, step(StepKind.ATTACH, 2, files=files))
    held = await only(under_test)
    assert [content for _, content in held.attachments] == [file.path.read_bytes() for file in files]
    assert len({name.casefold() for name, _ in held.attachments}) == len(files)
    assert folders_of(tmp_path, "*escape*") <= {"attachments"}


async def test_evidence_that_changed_or_is_gone_is_not_delivered(under_test: DeskUnderTest, tmp_path: Path) -> None:
    whole, changed, gone = (artifact(tmp_path / "evidence", content) for content in (b"whole", b"as collected", b"gone"))
    changed.path.write_bytes(b"as_collected")
    gone.path.unlink()
    async with under_test.open() as desk:
        await desk.create(CREATE)
        for files in ((changed,), (gone,), (whole, changed), (whole, gone)):
            with pytest.raises(DeskError, match="evidence") as caught:
                await deliver(desk, step(StepKind.ATTACH, 2, files=files))
            assert (caught.value.retryable, caught.value.unknown) == (False, False)
    assert (await only(under_test)).attachments == ()


async def test_comment_resolve_and_reopen_are_told_in_order_and_once(under_test: DeskUnderTest) -> None:
    steps = [
        CREATE,
        step(StepKind.COMMENT, 2, note="Uzupełniono numer umowy."),
        step(StepKind.RESOLVE, 3, note="Działa."),
        step(StepKind.REOPEN, 4, note="Wróciło."),
        step(StepKind.RESOLVE, 5, note="Znowu działa."),
    ]
    states = []
    async with under_test.open() as desk:
        for current in steps:
            for _ in range(2):
                await deliver(desk, current)
            states.append((await only(under_test)).resolved)
        found = await desk.find(CASE.key, CASE.id)
    held = await only(under_test)
    assert [text.split() for text in held.texts] == [current.draft.body.split() for current in steps]
    assert states == ([False, False, True, False, True] if under_test.adapter.searchable else [None] * 5)
    assert (found is not None) == under_test.adapter.searchable, "a resolved ticket is found"
    assert held.subject == CREATE.draft.subject


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
async def test_any_subject_is_data(under_test: DeskUnderTest, subject: str) -> None:
    create = with_subject(CREATE, subject)
    async with under_test.open() as desk:
        await desk.create(create)
    held = await only(under_test)
    readable = "".join(" " if c in "\x00\x0b\x0c\x85\u2028\r\n" else c for c in subject.replace("\udc80", "\ufffd"))
    assert " ".join(held.subject.split()) == " ".join(readable.split())[: under_test.adapter.subject_limit].rstrip()
    assert [text.split() for text in held.texts] == [create.draft.body.split()]


@pytest.mark.parametrize(
    ("key", "case"),
    [
        (CASE.key.upper(), CASE.id),
        (CASE.key[:-1], CASE.id),
        (CASE.key + "1", CASE.id),
        ("room-314/%", CASE.id),
        ("*", CASE.id),
        (CASE.key, CASE.id.lower()),
        (CASE.key, CASE.id[:-1]),
        (CASE.key, CASE.id + "0"),
        (CASE.key, "*"),
        (CASE.key, ""),
        (CASE.key, "../" + CASE.id),
        (CASE.key, f"x/../{CASE.id}"),
    ],
)
async def test_what_is_not_exactly_the_key_and_the_case_is_not_found(under_test: DeskUnderTest, key: str, case: str) -> None:
    async with under_test.open() as desk:
        await desk.create(CREATE)
        assert await desk.find(key, case) is None


async def test_two_cases_are_two_tickets(under_test: DeskUnderTest) -> None:
    other = replace(CASE, id="LK-0000420", key="room-315/device.unreachable")
    async with under_test.open() as desk:
        first, second = await desk.create(CREATE), await desk.create(step(StepKind.CREATE, 1, case=other))
        await desk.comment(step(StepKind.COMMENT, 2, case=other, note="Tylko do drugiego."), second)
    assert first != second
    assert {held.case: len(held.texts) for held in await under_test.other.held()} == {CASE.id: 1, other.id: 2}


@pytest.mark.parametrize(("name", "breakage"), BREAKAGES)
async def test_a_failure_is_a_desk_error_with_the_right_flags_and_ends_in_one_ticket(name: str, breakage: object, tmp_path: Path) -> None:
    found = adapter(name)
    broken = next(b for b in found.breakages if b is breakage)
    async with found.start(tmp_path) as other:
        under_test = DeskUnderTest(adapter=found, other=other, context=context(tmp_path))
        async with under_test.open() as desk:
            async with other.broken(broken.name):
                with pytest.raises(DeskError) as caught:
                    await desk.create(CREATE)
                if broken.says:
                    with pytest.raises(DeskError) as checked:
                        await desk.self_check()
                    assert broken.says in str(checked.value)
            assert (caught.value.retryable, caught.value.unknown) == (broken.retryable, broken.unknown)
            assert not any(secret in str(caught.value) for secret in found.secrets)
            await deliver(desk, CREATE)
        assert len((await only(under_test)).texts) == 1
