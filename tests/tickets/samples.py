"""One case with everything in it, and steps made of it, for the tests of texts and desks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from agent.model import (
    Artifact,
    Case,
    Check,
    CheckAnswer,
    Component,
    Contract,
    Deadline,
    Fault,
    Identity,
    Reading,
    Severity,
    Step,
    StepKind,
    Text,
)
from agent.service.texts import draft

ZONE = "Europe/Warsaw"
OPENED = datetime(2026, 11, 21, 9, 15, 30, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 21, 9, 16, 0, tzinfo=UTC)

CASE = Case(
    id="LK-000042",
    incident="i-0000000042",
    key="room-314/poly.peripheral.missing/8L0000SAMPLE01",
    device="room-314",
    site="krakow-hq",
    room="3.14",
    opened_at=OPENED,
    since=datetime(2026, 11, 21, 9, 10, 0, tzinfo=UTC),
    fault=Fault(
        code="poly.peripheral.missing",
        component="8L0000SAMPLE01",
        severity=Severity.CRITICAL,
        summary="Studio E70 8L0000SAMPLE01 is no longer connected",
        proof=(
            Reading(metric="latarnik_peripheral_connected", value=0.0, labels=("8L0000SAMPLE01", "camera"), raw="DISCONNECTED"),
            Reading(metric="latarnik_device_status", state="down", raw="down"),
        ),
        part=Component(
            kind="camera", key="8L0000SAMPLE01", name="Studio E70", serial="8L0000SAMPLE01", model="Studio E70", firmware="1.2.0.1", state="missing"
        ),
    ),
    title=Text("Camera is missing", "Kamera nie jest wykrywana"),
    advice=Text("Check the cable of the camera.", "Sprawdź przewód kamery."),
    identity=Identity(vendor="poly", serial="8G0000SAMPLE02", model="Studio X72", firmware="4.6.0-400001", mac="02:00:5e:00:53:01", name="Sala Żółta"),
    contract=Contract(
        id="hezo-7",
        plan="partner-poly-plus",
        number="HZ/2026/0007",
        starts=date(2026, 1, 2),
        ends=date(2029, 1, 1),
        purchased=date(2025, 12, 15),
        contact_name="Łucja Źdźbło",
        contact_phone="+48 12 000 00 00",
        contact_email="av@example.org",
        address="ul. Przykładowa 1\n30-001 Kraków",
    ),
    plan="partner-poly-plus",
    checklist=(
        Check(id="network", question=Text("Is it connected to the network?", "Czy produkt jest podłączony do sieci?"), answer=CheckAnswer.YES),
        Check(
            id="firmware",
            question=Text("Does it run the latest firmware?", "Czy ma najnowszą wersję oprogramowania?"),
            answer=CheckAnswer.NO,
            detail=Text("4.6.0 is installed, 4.6.1 is known", "zainstalowano 4.6.0, znana jest 4.6.1"),
        ),
        Check(
            id="factory_reset",
            question=Text("Was a factory reset tried?", "Czy próbowano przywrócić ustawienia fabryczne?"),
            answer=CheckAnswer.NOT_CHECKED,
            detail=Text("the program never does it", "program nigdy tego nie robi"),
        ),
    ),
    deadlines=(
        Deadline(name="reaction", due=datetime(2026, 11, 21, 10, 16, 0, tzinfo=UTC)),
        Deadline(name="delivery", due=None, starts_when=Text("when the vendor accepts the claim", "z chwilą uznania zasadności zgłoszenia")),
    ),
    missing=("proof_of_purchase",),
)


def artifact(
    folder: Path, content: bytes = b"PK\x03\x04 sample report \x00\xff" * 64, name: str = "raport-serwera.zip", media_type: str = "application/zip"
) -> Artifact:
    """A file of evidence that exists."""
    digest = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / digest
    path.write_bytes(content)
    return Artifact(name=name, media_type=media_type, path=path, size=len(content), sha256=digest, collected_at=OPENED)


def step(
    kind: StepKind,
    seq: int,
    *,
    desk: str = "helpdesk",
    case: Case = CASE,
    files: tuple[Artifact, ...] = (),
    note: str = "",
    language: str = "pl",
    role: str = "internal",
) -> Step:
    """A step as the outbox holds it."""
    said = note or ("Uzupełniono dane." if kind is StepKind.COMMENT else "")
    text = draft(case, kind, language, said, zone=ZONE, at=WRITTEN, role=role, attached=files)
    return Step(id=f"{case.id}.{desk}.{seq}", case=case.id, desk=desk, seq=seq, kind=kind, draft=text, artifacts=files)


def with_subject(given: Step, subject: str) -> Step:
    """The same step under another subject."""
    return replace(given, draft=replace(given.draft, subject=subject))
