"""The words of a ticket: subject, body and `fields`, in Polish or English, written from a `Case` and from nothing else.

Texts and fields cannot disagree: the templates see only `fields`, which is also what a desk stores as data. Its keys are public, `schema` 1:

    schema, step, role, language, timezone, written_at, note
    case, key, incident, state, opened_at, since, site, room, device, plan, plan_name, evidence_note, missing: [word]
    identity, parent (null: it hangs on nothing): {vendor model serial firmware hardware mac name known_at}
    fault: {code component severity title summary advice part readings: [{metric value state labels component raw}]}
    shared (null: the fault is this device's own): {cause devices: [name]}
    fault.part (null: the device itself): {kind key name model serial firmware mac state raw}
    contract (null: none known): {id number plan starts ends purchased proof_of_purchase address contact: {name phone email}}
    checklist: [{id question answer detail}], deadlines: [{name due starts_when}]
    evidence (all files of the case), attached (those that come with this step): [{name media_type size sha256 collected_at}]

'' is unknown; a time is ISO 8601 with the offset of `timezone`, or null. Words (`answer`, `severity`, `step`, `role`, `missing`, a deadline's `name`)
are the program's own in every language; `title`, `advice`, `question`, `detail`, `starts_when`, `note` are in `language`. See `docs/ticket-fields.md`.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.model import Artifact, Case, Component, Contract, Deadline, Fault, Identity, Reading, StepKind, Text, TicketDraft
from agent.service.completeness import MISSING

SCHEMA = 1
LANGUAGES = ("pl", "en")
NAMED = 100
"""Devices that a text names; of those beyond it gives the number. The data name them all."""
SUBJECT_LENGTH = 160
"""Characters. A subject that a desk had to cut would no longer match its thread."""

WORDS: dict[str, Text] = {
    "yes": Text("yes", "tak"),
    "no": Text("no", "nie"),
    "not_checked": Text("not checked", "nie sprawdzono"),
    "info": Text("information", "informacja"),
    "warning": Text("warning", "ostrzeżenie"),
    "critical": Text("critical", "krytyczna"),
    "ok": Text("works", "działa prawidłowo"),
    "failed": Text("failed", "awaria"),
    "missing": Text("missing", "nie wykryto"),
    "off": Text("off", "wyłączony"),
    "unknown": Text("unknown", "nieznany"),
    "camera": Text("camera", "kamera"),
    "microphone": Text("microphone", "mikrofon"),
    "speaker": Text("speaker", "głośnik"),
    "display": Text("display", "wyświetlacz"),
    "touch_panel": Text("touch panel", "panel dotykowy"),
    "touch panel": Text("touch panel", "panel dotykowy"),
    "disk": Text("disk", "dysk"),
    "storage": Text("storage", "nośnik danych"),
    "fan": Text("fan", "wentylator"),
    "heater": Text("heater", "grzałka"),
    "sensor": Text("sensor", "czujnik"),
    "application": Text("application", "aplikacja"),
    "part": Text("part", "część"),
    "reaction": Text("reaction", "reakcja"),
    "acceptance": Text("acceptance of the report", "uznanie zasadności zgłoszenia"),
    "repair": Text("repair", "naprawa"),
    "shipping": Text("shipping of the replacement", "wysyłka sprzętu zastępczego"),
    "delivery": Text("delivery of the replacement", "dostawa sprzętu zastępczego"),
    "return": Text("return of the faulty unit", "zwrot uszkodzonego sprzętu"),
}
"""The program's words as people say them; those of `Case.missing` stand in `completeness.MISSING`, and `word` knows both."""


CAUSES: dict[str, Text] = {
    "credential": Text("credential", "dane logowania"),
    "certificates": Text("renewed certificates at site", "odnowione certyfikaty w obiekcie"),
    "enrolment": Text("new certificates at site", "nowe certyfikaty w obiekcie"),
}
"""Kinds of causes that several devices share, before the cause's own name. A kind that does not stand here is shown as it is."""


def draft(
    case: Case,
    step: StepKind,
    language: str,
    note: str = "",
    *,
    zone: str,
    at: datetime,
    role: str = "internal",
    plan_name: str = "",
    attached: Sequence[Artifact] = (),
) -> TicketDraft:
    """What is written into a ticket at this step.

    `language` pl or en; `note` in that language, as `recovered_note` and the others below make it (a comment is nothing but its note).
    `zone` is the IANA name of the site's time zone: all times are shown in it. `at`: when this is written; a resend carries the same.
    `role` of the desk: a vendor is greeted, is not told what our own people should do, and is never told that a case is closed.
    `plan_name`: the service level as people call it; without it the plan is named as in the catalogue.
    `attached`: the files that come with this step; the text of an attachment lists these and no others of the case.
    The subject is the same for all steps of a case: a helpdesk finds the thread by it.
    ValueError: another language, a comment without a note, an attachment without a file, or a file at another step.
    """
    if language not in LANGUAGES:
        raise ValueError(f"tickets are written in {' or '.join(LANGUAGES)}, not in {language!r}")
    if step is StepKind.COMMENT and not note.strip():
        raise ValueError("a comment needs a note")
    if (step is StepKind.ATTACH) != bool(attached):
        raise ValueError("an attachment needs a file, and no other step has one")
    fields = _fields(case, step, language, note.strip(), ZoneInfo(zone), at, role, plan_name, attached)
    body = _environment(language).get_template(f"{step.value}.{language}.j2").render(f=fields)
    return TicketDraft(case=case.id, key=case.key, subject=_subject(case, language), body=body.strip() + "\n", language=language, fields=fields)


def recovered_note(at: datetime, language: str, *, zone: str, others: Sequence[str] = ()) -> str:
    """The device is healthy again since `at`, and with it the `others` that had the same cause."""
    when = _time(at, ZoneInfo(zone))
    if others:
        count = len(others) + 1
        return Text(
            f"The last of the {count} devices concerned has been working properly since {when} ({zone}).",
            f"Wszystkie urządzenia, których to dotyczyło ({count}), działają poprawnie od {when} ({zone}).",
        )[language]
    return Text(f"The device has been working properly since {when} ({zone}).", f"Urządzenie działa poprawnie od {when} ({zone}).")[language]


def left_note(language: str) -> str:
    """Nobody watches the device any more, so nobody knows how it is."""
    return Text(
        "The device is no longer in the inventory, so it is not watched any more. Whether the fault is gone is not known.",
        "Urządzenia nie ma już w inwentarzu, więc nie jest obserwowane. Nie wiadomo, czy usterka ustąpiła.",
    )[language]


def kept_note(case: str, kept: Sequence[Artifact], language: str) -> str:
    """What is said where a desk is not given files in which a device may tell more than it should."""
    head = Text(
        f"Files that stay on the site server, in its folder evidence/{case}, because they may hold account names and addresses:",
        f"Pliki pozostające na serwerze lokalnym, w katalogu evidence/{case}, bo mogą zawierać nazwy kont i adresy:",
    )[language]
    return "\n".join([head, *(f"- {file.name}, {file.size} B, SHA-256 {file.sha256}" for file in kept)])


def added_note(note: str, language: str) -> str:
    """What is said with a file that a person fetched by hand; `note` in that person's words."""
    head = Text("A person fetched this file from the device by hand.", "Ten plik pobrał z urządzenia człowiek, ręcznie.")[language]
    return f"{head}\n{note}" if note else head


def reported_note(at: datetime, deadlines: Iterable[Deadline], language: str, *, zone: str) -> str:
    """The report went to the vendor at this moment, and this is due by when."""
    site = ZoneInfo(zone)
    head = Text(
        f"The report was sent to the vendor's service at {_time(at, site)} ({zone}).", f"Zgłoszenie wysłano do serwisu producenta {_time(at, site)} ({zone})."
    )
    lines = [head[language]]
    for deadline in deadlines:
        due = _time(deadline.due, site)
        when = Text(f"due {due}", f"termin {due}") if due else Text(f"the clock starts {deadline.starts_when.en}", f"termin liczony {deadline.starts_when.pl}")
        lines.append(f"- {word(deadline.name, language)}: {when[language]}")
    return "\n".join(lines)


def returned_note(at: datetime, language: str, *, zone: str, devices: Sequence[str] = ()) -> str:
    """The fault is back since `at`; `devices`: where it is now, when several have its cause."""
    when = _time(at, ZoneInfo(zone))
    head = Text(f"The fault is back since {when} ({zone}).", f"Usterka wystąpiła ponownie {when} ({zone}).")[language]
    return "\n".join((head, Text("Devices concerned:", "Urządzenia, których to dotyczy:")[language], *listed(devices, language))) if devices else head


def grown_note(new: Sequence[str], count: int, cause: str, language: str) -> str:
    """These devices came to the cause of a case; `count`: how many it has concerned by now."""
    named = cause_words(cause, language)
    head = Text(
        f"More devices have the same cause ({named}), {count} so far:", f"Kolejne urządzenia z tą samą przyczyną ({named}), dotychczas łącznie {count}:"
    )
    return "\n".join((head[language], *listed(new, language)))


def listed(devices: Sequence[str], language: str) -> list[str]:
    """A line a device, not without end."""
    more = len(devices) - NAMED
    rest = [Text(f"- and {more} more", f"- i jeszcze {more}")[language]] if more > 0 else []
    return [*(f"- {device}" for device in devices[:NAMED]), *rest]


def cause_words(cause: str, language: str) -> str:
    """A cause `kind:name` as people say it."""
    kind, _, name = cause.partition(":")
    known = CAUSES.get(kind)
    return f"{known[language]} {name}" if known else cause


def arrived_note(words: Iterable[str], language: str) -> str:
    """What was missing before (words as in `Case.missing`) is known now."""
    head = Text("Data that was missing has been added:", "Uzupełniono brakujące dane:")[language]
    return "\n".join((head, *(f"- {word(w, language)}" for w in words)))


def word(code: str, language: str) -> str:
    """A word of WORDS or of `completeness.MISSING` as people say it; one that is not known is shown as it is."""
    known = WORDS.get(code) or MISSING.get(code)
    return known[language] if known else code


def one_line(value: object) -> str:
    """Text of a device or a person as one line that can stand in a text or a header: single spaces, no control characters, nothing but Unicode text."""
    shown = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else "\ufffd" if unicodedata.category(c) == "Cs" else c for c in str(value))
    return " ".join(shown.split())


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # noqa: S701 - plain text; escaping HTML would spoil it
        undefined=StrictUndefined,
        finalize=one_line,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # an included line ends where its file does
    )
    environment.filters["word"] = lambda code: word(code, language)
    environment.filters["cause"] = lambda cause: cause_words(cause, language)
    environment.filters["listed"] = lambda devices: listed(devices, language)
    return environment


def _subject(case: Case, language: str) -> str:
    room = Text(f", room {case.room}", f", sala {case.room}")[language] if case.room else ""
    whole = one_line(f"[{case.id}] {case.title[language]}: {case.device}{room}")
    return whole if len(whole) <= SUBJECT_LENGTH else whole[: SUBJECT_LENGTH - 1].rstrip() + "…"


def _fields(
    case: Case, step: StepKind, language: str, note: str, zone: ZoneInfo, at: datetime, role: str, plan_name: str, attached: Sequence[Artifact]
) -> dict[str, Any]:
    known_at = _time(case.identity_at, zone)
    return {
        "schema": SCHEMA,
        "step": step.value,
        "role": role,
        "language": language,
        "timezone": zone.key,
        "written_at": _time(at, zone),
        "note": note,
        "case": case.id,
        "key": case.key,
        "incident": case.incident,
        "state": case.state,
        "opened_at": _time(case.opened_at, zone),
        "since": _time(case.since, zone),
        "site": case.site,
        "room": case.room,
        "device": case.device,
        "identity": _identity(case.identity, known_at),
        "parent": _identity(case.parent, known_at) if case.parent else None,
        "fault": _fault(case.fault, case, language),
        "shared": {"cause": case.cause, "devices": [case.device, *case.others]} if case.others else None,
        "plan": case.plan,
        "plan_name": plan_name,
        "contract": _contract(case.contract) if case.contract else None,
        "checklist": [{"id": c.id, "question": c.question[language], "answer": c.answer.value, "detail": c.detail[language]} for c in case.checklist],
        "evidence": [_file(artifact, zone) for artifact in case.evidence],
        "attached": [_file(artifact, zone) for artifact in attached],
        "evidence_note": case.evidence_note,
        "deadlines": [{"name": d.name, "due": _time(d.due, zone), "starts_when": d.starts_when[language]} for d in case.deadlines],
        "missing": list(case.missing),
    }


def _identity(identity: Identity, known_at: str | None) -> dict[str, Any]:
    return {name: getattr(identity, name) for name in ("vendor", "model", "serial", "firmware", "hardware", "mac", "name")} | {"known_at": known_at}


def _fault(fault: Fault, case: Case, language: str) -> dict[str, Any]:
    return {
        "code": fault.code,
        "component": fault.component,
        "severity": fault.severity.value,
        "title": case.title[language],
        "summary": fault.summary,
        "advice": case.advice[language],
        "part": _part(fault.part) if fault.part else None,
        "readings": [_reading(reading) for reading in fault.proof],
    }


def _part(part: Component) -> dict[str, Any]:
    return {name: getattr(part, name) for name in ("kind", "key", "name", "model", "serial", "firmware", "mac", "state", "raw")}


def _reading(reading: Reading) -> dict[str, Any]:
    finite = reading.value is not None and math.isfinite(reading.value)
    return {
        "metric": reading.metric,
        "value": reading.value if finite else None,  # JSON has no NaN
        "state": reading.state,
        "labels": list(reading.labels),
        "component": reading.component,
        "raw": reading.raw,
    }


def _file(artifact: Artifact, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "collected_at": _time(artifact.collected_at, zone),
    }


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "number": contract.number,
        "plan": contract.plan,
        "starts": _day(contract.starts),
        "ends": _day(contract.ends),
        "purchased": _day(contract.purchased),
        "proof_of_purchase": contract.proof_of_purchase,
        "contact": {"name": contract.contact_name, "phone": contract.contact_phone, "email": contract.contact_email},
        "address": contract.address,
    }


def _time(value: datetime | None, zone: ZoneInfo) -> str | None:
    return value.astimezone(zone).isoformat(timespec="seconds") if value else None


def _day(value: date | None) -> str | None:
    return value.isoformat() if value else None
