"""What the service desk verifies before it accepts a report: answered as far as the agent knows. Pure."""

from __future__ import annotations

from datetime import timedelta

from agent.model import Check, CheckAnswer, Device, Fault, History, Snapshot, Text
from collectors.poly import metrics as m
from collectors.poly.settings import settings_of

YES, NO, NOT_CHECKED = CheckAnswer.YES, CheckAnswer.NO, CheckAnswer.NOT_CHECKED


def _answer(known: bool | None) -> CheckAnswer:
    return NOT_CHECKED if known is None else YES if known else NO


def checklist(snapshot: Snapshot | None, history: History, fault: Fault, device: Device) -> tuple[Check, ...]:
    """The desk asks for the serial and the contract number, for tests done and for logs; the rest is what its engineer asks on the telephone."""
    return (
        _serial(snapshot, history, fault, device),
        _contract(device),
        _network(snapshot),
        _link(snapshot),
        _power(fault),
        _restart(snapshot),
        _firmware(snapshot, history, fault),
        _repeated(fault),
        _tests(device),
        Check(
            id="logs",
            question=Text("Are the device's logs attached?", "Czy dołączono dzienniki urządzenia?"),
            answer=NOT_CHECKED,
            detail=Text(
                "They are fetched when the room is free; the list of attachments says which came, and why one did not.",
                "Są pobierane, gdy sala jest wolna; lista załączników mówi, które udało się pobrać i dlaczego któregoś brakuje.",
            ),
        ),
    )


def _serial(snapshot: Snapshot | None, history: History, fault: Fault, device: Device) -> Check:
    serial = fault.part.serial if fault.part is not None else ""
    if fault.part is None:
        serial = (snapshot.identity.serial if snapshot else "") or history.identity.serial or device.serial
    return Check(
        id="serial",
        question=Text("Is the serial number of the faulty unit known?", "Czy znany jest numer seryjny uszkodzonego urządzenia?"),
        answer=_answer(bool(serial)),
        detail=Text(serial or "The device did not give one: read it from the label.", serial or "Urządzenie go nie podało: odczytaj z etykiety."),
    )


def _contract(device: Device) -> Check:
    number = device.contract.number if device.contract else ""
    return Check(
        id="contract",
        question=Text("Is the number of the service contract known?", "Czy znany jest numer umowy serwisowej?"),
        answer=_answer(bool(number)),
        detail=Text(number or "The inventory names none.", number or "Brak w inwentarzu."),
    )


def _network(snapshot: Snapshot | None) -> Check:
    reachable = snapshot.reachable if snapshot else None
    at = f"{snapshot.at:%Y-%m-%d %H:%M} UTC" if snapshot else ""
    return Check(
        id="network",
        question=Text("Does the device answer on the network?", "Czy urządzenie odpowiada w sieci?"),
        answer=_answer(reachable),
        detail=Text(f"Asked at {at}." if at else "", f"Sprawdzono {at}." if at else ""),
    )


def _link(snapshot: Snapshot | None) -> Check:
    readings = {r.metric: r for r in snapshot.readings} if snapshot is not None and snapshot.ok("system") else {}
    speed, duplex = readings.get(m.LINK_SPEED), readings.get(m.LAN_FULL_DUPLEX)
    good = None
    if speed is not None and duplex is not None:
        good = (speed.value or 0.0) >= 125_000_000 and duplex.value == 1.0
    said = f"{speed.raw} Mbit/s, {duplex.raw}" if speed is not None and duplex is not None else ""
    return Check(
        id="link",
        question=Text("Does the network port run at full speed and full duplex?", "Czy port sieciowy pracuje z pełną szybkością, w trybie full-duplex?"),
        answer=_answer(good),
        detail=Text(said, said),
    )


def _power(fault: Fault) -> Check:
    what = fault.part.name or fault.part.model or fault.part.kind if fault.part is not None else ""
    return Check(
        id="power",
        question=Text("Were power supply and cables checked on the spot?", "Czy na miejscu sprawdzono zasilanie i okablowanie?"),
        answer=NOT_CHECKED,
        detail=Text(
            f"Only a person in the room can ({what})." if what else "Only a person in the room can.",
            f"Może to zrobić tylko osoba w sali ({what})." if what else "Może to zrobić tylko osoba w sali.",
        ),
    )


def _restart(snapshot: Snapshot | None) -> Check:
    """A restart within the last hour, with the fault still there, is a restart that did not help."""
    boot = next(snapshot.of(m.BOOT), None) if snapshot is not None and snapshot.ok("system") else None
    answer, detail = (
        NOT_CHECKED,
        Text("The start time is not known; the agent never restarts a device.", "Czas startu nieznany; agent nigdy nie restartuje urządzeń."),
    )
    if boot is not None and boot.value is not None and snapshot is not None:
        up = timedelta(seconds=max(0.0, snapshot.at.timestamp() - boot.value))
        hours = up.total_seconds() / 3600
        answer = YES if up <= timedelta(hours=1) else NO
        detail = Text(
            f"It has been running for {hours:.1f} h; the agent never restarts a device.", f"Pracuje od {hours:.1f} h; agent nigdy nie restartuje urządzeń."
        )
    return Check(
        id="restart",
        question=Text("Was the device restarted, without success?", "Czy urządzenie uruchomiono ponownie, bez skutku?"),
        answer=answer,
        detail=detail,
    )


def _firmware(snapshot: Snapshot | None, history: History, fault: Fault) -> Check:
    if fault.part is not None:
        firmware = fault.part.firmware
    else:
        firmware = (snapshot.identity.firmware if snapshot else "") or history.identity.firmware
    return Check(
        id="firmware",
        question=Text("Is the software version known?", "Czy znana jest wersja oprogramowania?"),
        answer=_answer(bool(firmware)),
        detail=Text(firmware, firmware),
    )


def _repeated(fault: Fault) -> Check:
    proof = "; ".join(f"{r.metric} {r.raw or r.state or r.value}" for r in fault.proof[:3])
    return Check(
        id="repeated",
        question=Text("Was the fault seen repeatedly, not once?", "Czy usterka wystąpiła wielokrotnie, a nie jednorazowo?"),
        answer=YES,
        detail=Text(f"{fault.summary}. {proof}".strip(), f"{fault.summary}. {proof}".strip()),
    )


def _tests(device: Device) -> Check:
    gateway = settings_of(device).gateway
    return Check(
        id="tests",
        question=Text("Were the device's own network tests run?", "Czy wykonano testy sieciowe z samego urządzenia?"),
        answer=NOT_CHECKED,
        detail=Text(
            f"Ping and route to {gateway} are among the attachments if the device answered." if gateway else "No gateway is set for this device.",
            f"Ping i trasa do {gateway} są w załącznikach, jeśli urządzenie odpowiedziało." if gateway else "Dla tego urządzenia nie podano bramy.",
        ),
    )
