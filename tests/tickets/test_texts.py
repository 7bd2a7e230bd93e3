"""The words of a ticket."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Artifact, Case, CheckAnswer, Component, Fault, Identity, Reading, Severity, StepKind, Text
from agent.service import texts
from agent.service.completeness import MISSING
from agent.service.texts import arrived_note, cause_words, draft, grown_note, one_line, recovered_note, returned_note, word
from tests.tickets.samples import CASE, OPENED, WRITTEN, ZONE, artifact

TEMPLATES = Path(texts.__file__).parent / "templates"
BARE = Case(
    id="LK-1",
    incident="i",
    key="cam/device.unreachable",
    device="cam",
    site="s",
    room="",
    opened_at=OPENED,
    fault=Fault(code="device.unreachable", severity=Severity.CRITICAL, summary="no answer"),
    title=Text("No answer", "Brak odpowiedzi"),
    advice=Text("", ""),
    identity=Identity(),
)


def written(case: Case, step: StepKind = StepKind.CREATE, language: str = "pl", note: str = "Notatka.", *, role: str = "internal") -> str:
    return draft(case, step, language, note, zone=ZONE, at=WRITTEN, role=role, attached=files_for(step)).body


def files_for(step: StepKind) -> tuple[Artifact, ...]:
    """What a step of this kind brings; the texts never open it."""
    file = Artifact(name="raport.zip", media_type="application/zip", path=Path("raport.zip"), size=7, sha256="0" * 64, collected_at=OPENED)
    return (file,) if step is StepKind.ATTACH else ()


def test_the_polish_report_holds_all_that_a_service_asks_for(tmp_path: Path) -> None:
    file = artifact(tmp_path)
    body = written(replace(CASE, evidence=(file,), parent=Identity(serial="CODEC1", model="Studio X72", firmware="4.6.0")), role="vendor")
    for line in (
        "Kamera nie jest wykrywana: room-314, sala 3.14, od 2026-11-21T10:10:00+01:00.",
        "Wszystkie godziny podano w strefie czasowej Europe/Warsaw.",
        "Numer seryjny: 8G0000SAMPLE02",
        "Numer seryjny: 8L0000SAMPLE01",
        "Numer seryjny: CODEC1",
        "Wersja oprogramowania: 4.6.0-400001",
        "Sala: 3.14",
        "Numer umowy: HZ/2026/0007",
        "Poziom usługi: partner-poly-plus",
        "Umowa obowiązuje do: 2029-01-01",
        "Data zakupu: 2025-12-15",
        "Osoba kontaktowa: Łucja Źdźbło",
        "Telefon: +48 12 000 00 00",
        "E-mail: av@example.org",
        "Adres dostawy: ul. Przykładowa 1, 30-001 Kraków",
        "- latarnik_peripheral_connected [8L0000SAMPLE01, camera] = 0 (słowo urządzenia: DISCONNECTED)",
        "- latarnik_device_status = down (słowo urządzenia: down)",
        "- Czy produkt jest podłączony do sieci? tak",
        "- Czy ma najnowszą wersję oprogramowania? nie (zainstalowano 4.6.0, znana jest 4.6.1)",
        "- Czy próbowano przywrócić ustawienia fabryczne? nie sprawdzono (program nigdy tego nie robi)",
        f"- raport-serwera.zip, {file.size} B, SHA-256 {file.sha256}, zebrano 2026-11-21T10:15:30+01:00",
        "- reakcja: do 2026-11-21T11:16:00+01:00",
        "- dostawa sprzętu zastępczego: czas jeszcze nie biegnie; zacznie biec z chwilą uznania zasadności zgłoszenia",
        "- dowód zakupu",
        "Nasz numer zgłoszenia: LK-000042",
    ):
        assert line in body.splitlines()
    assert "Sprawdź przewód" not in body, "advice is for our own people"
    assert "Zalecenie: Sprawdź przewód kamery." in written(CASE).splitlines()


def test_a_part_that_is_itself_what_the_case_is_about_is_shown_once() -> None:
    part = CASE.fault.part
    assert part is not None
    body = written(replace(CASE, identity=Identity(serial=part.serial, model=part.model), parent=Identity(serial="CODEC1")))
    assert body.count(f"Numer seryjny: {part.serial}\n") == 1
    assert "CZĘŚĆ" not in body
    assert "PODŁĄCZONE DO\nNumer seryjny: CODEC1\n" in body


def test_the_service_level_is_called_by_its_name() -> None:
    body = draft(CASE, StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN, plan_name="Partner POLY +").body
    assert "Poziom usługi: Partner POLY +\n" in body


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    body = written(BARE)
    for line in (
        "Brak odpowiedzi: cam, początek usterki nieznany (zgłoszenie z 2026-11-21T10:15:30+01:00).",
        "Numer seryjny: nieznany",
        "Do urządzenia nie przypisano umowy serwisowej.",
        "Brak odczytów, które można przytoczyć.",
        "Jeszcze nie zebrano plików z urządzenia.",
        "Zgłoszenie zawiera wszystkie dane wymagane przez serwis.",
    ):
        assert line in body.splitlines()
    assert "None" not in body


def test_an_earlier_reading_is_marked_with_its_time() -> None:
    case = replace(CASE, identity_at=datetime(2026, 7, 1, 8, 0, tzinfo=UTC), parent=Identity(serial="CODEC1"))
    assert "według stanu z 2026-07-01T10:00:00+02:00" in written(case), "summer time of that day"
    assert written(case, language="en").count("as known at 2026-07-01T10:00:00+02:00") == 2
    assert "as known at" not in written(CASE, language="en")


def test_the_reason_for_missing_evidence_stands_in_the_report() -> None:
    body = written(replace(CASE, evidence_note="Urządzenie nie odpowiada: raportu nie można pobrać."))
    assert "Urządzenie nie odpowiada: raportu nie można pobrać." in body.splitlines()
    assert "Jeszcze nie zebrano" not in body


SHARED = replace(CASE, cause="credential:cameras", others=("gate", "dock"))


@pytest.mark.parametrize(("language", "cause"), [("pl", "z jednej przyczyny: dane logowania cameras."), ("en", "with one cause: credential cameras.")])
def test_what_several_devices_share_names_them_all(language: str, cause: str) -> None:
    body = written(SHARED, language=language)
    assert cause in body
    assert f"\n- {CASE.device}\n- gate\n- dock\n\n" in body
    assert cause not in written(CASE, language=language)


@pytest.mark.parametrize("language", ["pl", "en"])
def test_the_notes_about_several_devices_name_them_and_end_somewhere(language: str) -> None:
    many = [f"cam-{n:03d}" for n in range(150)]
    grown = grown_note(many, 151, "certificates:krakow", language).splitlines()
    assert "krakow" in grown[0]
    assert "151" in grown[0]
    assert grown[1:101] == [f"- {name}" for name in many[:100]]
    assert len(grown) == 102
    assert "50" in grown[101]
    assert "3" in recovered_note(OPENED, language, zone=ZONE, others=("gate", "dock"))
    assert returned_note(OPENED, language, zone=ZONE, devices=("gate", "dock")).endswith(":\n- gate\n- dock")
    assert cause_words("switch:sw-4/12", language) == "switch:sw-4/12"


@pytest.mark.parametrize("language", ["pl", "en"])
@pytest.mark.parametrize("role", ["internal", "vendor"])
@pytest.mark.parametrize("case", [CASE, BARE, SHARED], ids=["full", "bare", "shared"])
def test_every_step_has_a_text_and_all_have_one_subject(case: Case, role: str, language: str) -> None:
    drafts = [draft(case, step, language, "Note.\nSecond line.", zone=ZONE, at=WRITTEN, role=role, attached=files_for(step)) for step in StepKind]
    assert {d.subject for d in drafts} == {drafts[0].subject}
    for each in drafts:
        assert "Note.\nSecond line.\n" in each.body
        assert case.id in each.body
        assert "\n\n\n" not in each.body
        assert not re.search(r"None|Undefined|[ \t]\n|\{|\}", each.body)
        assert each.body == each.body.strip() + "\n"
        assert (each.case, each.key, each.language) == (case.id, case.key, language)


@pytest.mark.parametrize("note", ["", "Urządzenie działa poprawnie."])
@pytest.mark.parametrize(("language", "asked"), [("pl", "czy pozostawić zgłoszenie otwarte"), ("en", "whether to keep this request open")])
def test_a_vendor_is_asked_and_never_told_that_a_case_is_closed(note: str, language: str, asked: str) -> None:
    body = written(replace(CASE, state="closed"), StepKind.RESOLVE, language, note, role="vendor")
    assert asked in body
    assert not re.search(r"(?i)zamkn|zamyk|rozwiąz|closed|resolved", body)
    assert re.search(r"(?i)rozwiązane|resolved", written(CASE, StepKind.RESOLVE, language, note))


def test_the_notes_name_times_in_the_zone_of_the_site() -> None:
    assert recovered_note(OPENED, "pl", zone=ZONE) == "Urządzenie działa poprawnie od 2026-11-21T10:15:30+01:00 (Europe/Warsaw)."
    assert returned_note(OPENED, "en", zone="UTC") == "The fault is back since 2026-11-21T09:15:30+00:00 (UTC)."
    assert arrived_note(("serial", "contract_number", "x_other"), "pl").splitlines()[1:] == [
        "- numer seryjny urządzenia, które uległo awarii",
        "- numer umowy serwisowej",
        "- x_other",
    ]


@pytest.mark.parametrize("note", ["", "Notatka."])
def test_an_attachment_lists_its_own_files_and_the_fields_keep_those_of_the_case(tmp_path: Path, note: str) -> None:
    first, second, third = (artifact(tmp_path, name.encode(), name=name) for name in ("a\nb.zip", "c.log", "d.log"))
    written = draft(replace(CASE, evidence=(first, second, third)), StepKind.ATTACH, "en", note, zone=ZONE, at=WRITTEN, attached=(first, third))
    for file, shown in ((first, "a b.zip"), (third, "d.log")):
        assert f"- {shown}, {file.size} B, SHA-256 {file.sha256}, collected at 2026-11-21T10:15:30+01:00" in written.body.splitlines()
    assert note in written.body
    assert "c.log" not in written.body
    evidence = written.fields["evidence"]
    assert [file["name"] for file in evidence] == ["a\nb.zip", "c.log", "d.log"]
    assert written.fields["attached"] == [evidence[0], evidence[2]]


def test_a_language_a_note_or_a_file_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="pl or en"):
        written(CASE, language="de")
    with pytest.raises(ValueError, match="needs a note"):
        written(CASE, StepKind.COMMENT, note=" ")
    with pytest.raises(ValueError, match="needs a file"):
        draft(CASE, StepKind.ATTACH, "pl", "Notatka.", zone=ZONE, at=WRITTEN)
    with pytest.raises(ValueError, match="no other step has one"):
        draft(CASE, StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN, attached=files_for(StepKind.ATTACH))


def test_the_subject_is_short_enough_to_survive_and_begins_with_our_number() -> None:
    subject = draft(replace(CASE, room="r" * 500), StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN).subject
    assert len(subject) == texts.SUBJECT_LENGTH
    assert subject.startswith("[LK-000042] Kamera")


def test_the_same_case_gives_the_same_draft() -> None:
    assert draft(CASE, StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN) == draft(CASE, StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN)


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".pl.j2") for path in TEMPLATES.glob("*.pl.j2")))
def test_both_languages_say_the_same_things(name: str) -> None:
    def logic(language: str) -> list[str]:
        text = (TEMPLATES / f"{name}.{language}.j2").read_text("utf-8").replace(f".{language}.j2", ".j2")
        tags = re.findall(r"\{%.*?%\}|\{\{.*?\}\}", text)
        return [re.sub(r' or "[^"]*"', " or", tag) for tag in tags]

    assert logic("pl") == logic("en")
    assert (TEMPLATES / f"{name}.en.j2").exists()


def documented(table: str) -> set[str]:
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", table))


def keys_of(value: Any, prefix: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{prefix}{key}" for key in value}.union(*(keys_of(inner, f"{prefix}{key}.") for key, inner in value.items()), set())
    if isinstance(value, list):
        return set().union(*(keys_of(inner, f"{prefix.removesuffix('.')}[].") for inner in value), set())
    return set()


def test_every_field_is_documented_and_every_documented_field_exists(tmp_path: Path) -> None:
    case = replace(CASE, evidence=(artifact(tmp_path),), cause="credential:cameras", others=("gate",))
    fields = draft(case, StepKind.CREATE, "pl", zone=ZONE, at=WRITTEN).fields
    page = (Path(__file__).parents[2] / "docs" / "ticket-fields.md").read_text("utf-8")
    assert documented(page.partition("## The folder desk")[0]) == keys_of(fields)


def test_the_fields_are_strict_json_also_with_odd_numbers() -> None:
    odd = tuple(Reading(metric="m", value=value) for value in (float("nan"), float("inf"), -0.0, 1e300, 0.1))
    case = replace(CASE, fault=replace(CASE.fault, proof=odd))
    written_fields = draft(case, StepKind.CREATE, "en", zone=ZONE, at=WRITTEN).fields
    assert json.loads(json.dumps(written_fields, allow_nan=False)) == written_fields
    assert [reading["value"] for reading in written_fields["fault"]["readings"]] == [None, None, -0.0, 1e300, 0.1]
    assert "- m = no value" in written(case, language="en").splitlines()


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(), min_size=1, max_size=40), step=st.sampled_from(list(StepKind)), language=st.sampled_from(["pl", "en"]))
def test_no_text_of_a_device_can_add_a_line_or_a_control_character(text: str, step: StepKind, language: str) -> None:
    def case(value: str) -> Case:
        return replace(
            BARE,
            fault=Fault(
                code="a.b.c",
                component=value,
                severity=Severity.INFO,
                summary=value,
                proof=(Reading(metric="m", state=value, labels=(value,), raw=value),),
                part=Component(kind=value, key=value, name=value, serial=value, raw=value),
            ),
            identity=Identity(serial=value, model=value, firmware=value, name=value, mac=value, hardware=value),
            room=value,
            missing=(value,),
        )

    files = tuple(replace(file, name=f"x{text}") for file in files_for(step))
    shown = draft(case(text), step, language, "n", zone=ZONE, at=WRITTEN, attached=files)
    if one_line(text):
        assert shown.body.count("\n") == draft(case("x"), step, language, "n", zone=ZONE, at=WRITTEN, attached=files_for(step)).body.count("\n")
    assert re.sub(r"[^\n\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]", "", shown.body) == "\n" * shown.body.count("\n")
    assert "\n" not in shown.subject
    shown.body.encode("utf-8")


def test_answers_severities_and_states_all_have_words() -> None:
    for code in (*CheckAnswer, *Severity, "ok", "failed", "missing", "off", "unknown"):
        assert code in texts.WORDS


@pytest.mark.parametrize("language", ["pl", "en"])
def test_every_word_for_what_is_missing_reads_as_part_of_a_sentence(language: str) -> None:
    assert not MISSING.keys() & texts.WORDS.keys(), "one word, one meaning"
    for code in MISSING:
        said = word(code, language)
        assert said not in ("", code)
        assert said[0].islower()
        assert not re.search(r"[_.!?;]|^\s|\s$", said)
        assert f"- {said}\n" in written(replace(CASE, missing=(code,)), language=language)
    assert word("no_such_word", language) == "no_such_word"


@pytest.mark.parametrize(("language", "held"), [("pl", "zgłoszenie nie zostanie wysłane do serwisu."), ("en", "no report is sent to the vendor.")])
def test_our_own_people_read_that_the_vendors_report_waits_and_for_what(language: str, held: str) -> None:
    waits = written(replace(CASE, missing=("contract_expired", "address")), language=language)
    listed = "".join(f"- {word(code, language)}\n" for code in ("contract_expired", "address"))
    assert re.search(re.escape(listed) + r".*" + re.escape(held) + r"\n", waits)
    assert held not in written(replace(CASE, missing=()), language=language)
    assert held not in written(CASE, language=language, role="vendor")
