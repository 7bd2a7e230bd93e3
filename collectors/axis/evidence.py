"""What goes into a case of an Axis device: the files its support asks for, and the answers to its checklist."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.diagnosis.plaintext import scrub
from agent.errors import CollectError, NotSupported, Reason
from agent.model import Check, CheckAnswer, Device, Fault, History, Snapshot, Text
from agent.ports import EvidenceItem
from collectors.axis import client as axis
from collectors.axis.client import AxisClient
from collectors.axis.firmware import track_of, version_of
from collectors.axis.neighbours import switch_port
from collectors.axis.parse_devices import rest_paths
from collectors.axis.settings import settings_of

ZIP_MAGIC = b"PK\x03\x04"
REPORT_TIMEOUT = 300.0
"""A report was seen to take 30 to 40 s on a new camera; old ones are slower."""
REPORT_LIMIT = 64 * 1024 * 1024
TEXT_LIMIT = 16 * 1024 * 1024
LOG_TIMEOUT = 60.0
LLDP_LIMIT = 1024 * 1024

# --- files ------------------------------------------------------------------------------------------------------------


def is_zip(head: bytes) -> str:
    """Devices were seen to answer 200 with an error text in place of the report."""
    return "" if head.startswith(ZIP_MAGIC) else "no ZIP archive: the device answered with something else"


def is_text(head: bytes) -> str:
    """Not empty and no web page."""
    if not head.strip():
        return "empty"
    return "a web page in place of a text" if head.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html")) else ""


async def _report_zip(client: AxisClient) -> AsyncGenerator[bytes, None]:
    """The archive; with a picture where the site allows pictures and the product can take one."""
    account = client.service_account
    if client.settings.pictures:
        async with aclosing(client.stream(axis.REPORT_PICTURE, account=account, limit=REPORT_LIMIT, timeout=REPORT_TIMEOUT / 2)) as pieces:
            head = await _head(pieces)
            if not is_zip(head):
                yield head
                async for piece in pieces:
                    yield piece
                return
    async for piece in client.stream(axis.REPORT_ZIP, account=account, limit=REPORT_LIMIT, timeout=REPORT_TIMEOUT):
        yield piece


async def _head(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """The first bytes, enough to see whether it is an archive; b'' where the product has no report with a picture."""
    head = b""
    try:
        async for piece in pieces:
            head += piece
            if len(head) >= len(ZIP_MAGIC):
                break
    except CollectError as error:
        if error.reason not in (Reason.NOT_SUPPORTED, Reason.HTTP_STATUS):
            raise
        return b""
    return head


async def _report_text(client: AxisClient) -> AsyncGenerator[bytes, None]:
    async for piece in client.stream(axis.REPORT_TEXT, account=client.service_account, limit=TEXT_LIMIT, timeout=REPORT_TIMEOUT):
        yield piece


async def _system_log(client: AxisClient) -> AsyncGenerator[bytes, None]:
    async for piece in client.stream(axis.SYSTEM_LOG, account=client.service_account, limit=TEXT_LIMIT, timeout=LOG_TIMEOUT):
        yield piece


async def _parameters(client: AxisClient) -> AsyncGenerator[bytes, None]:
    async for piece in client.stream(axis.parameters_path(()), account=client.service_account, limit=TEXT_LIMIT, timeout=LOG_TIMEOUT):
        yield piece


async def _health(client: AxisClient) -> AsyncGenerator[bytes, None]:
    """What the device says of its health now, one answer after the other; where one is refused, the reason stands in its place."""
    yield f"{client.device.id}, asked at {client.clock.now():%Y-%m-%dT%H:%M:%SZ}\n".encode()
    answered = False
    for path in (axis.TEMPERATURES, axis.parameters_path(("root.TemperatureControl", "root.Storage")), axis.DISKS, axis.DISK_HEALTH):
        yield f"\n== GET {path}\n".encode()
        try:
            yield (await client.text(path)).encode()
            answered = True
        except CollectError as error:
            yield f"not read: {error.detail}\n".encode()
    if not answered:
        raise NotSupported("none of the health interfaces answered")
    yield f"\n== POST {axis.FIRMWARE} status\n".encode()
    try:
        yield _laid_out(await client.json_api(axis.FIRMWARE, "status", account=client.service_account))
    except CollectError as error:
        yield f"not read: {error.detail}\n".encode()


async def _audit_log(client: AxisClient) -> AsyncGenerator[bytes, None]:
    """Its newest lines: who logged in, what was changed; AXIS OS 12 (documented)."""
    async for piece in client.stream(axis.AUDIT_LOG, account=client.service_account, limit=TEXT_LIMIT, timeout=LOG_TIMEOUT):
        yield piece


async def _neighbours(client: AxisClient) -> AsyncGenerator[bytes, None]:
    """What the device knows of the switch it hangs on. Which path it has for that, it says itself; the answers were never seen."""
    account = client.service_account
    paths = client.known.rest or rest_paths(await client.rest(axis.DISCOVER))
    root = paths.get("lldp")
    if root is None:
        raise NotSupported(f"{axis.DISCOVER} does not list lldp")
    answers: dict[str, object] = {}
    trouble: CollectError | None = None
    for path in (f"{root}/neighbors", root):
        try:
            answers[path] = await client.rest(path, account=account)
        except CollectError as error:
            trouble = trouble or error
    if not answers and trouble is not None:
        raise trouble
    yield _laid_out(answers)


def _laid_out(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


EVIDENCE = (
    EvidenceItem(name="health.txt", media_type="text/plain", fetch=_health, limit=TEXT_LIMIT, timeout=LOG_TIMEOUT, light=True, scrub=scrub),
    EvidenceItem(
        name="serverreport.zip",
        media_type="application/zip",
        fetch=_report_zip,
        limit=REPORT_LIMIT,
        timeout=REPORT_TIMEOUT,
        account="service",
        check=is_zip,
    ),
    EvidenceItem(
        name="serverreport.txt",
        media_type="text/plain",
        fetch=_report_text,
        limit=TEXT_LIMIT,
        timeout=REPORT_TIMEOUT,
        account="service",
        check=is_text,
        scrub=scrub,
        fallback_for="serverreport.zip",
    ),
    EvidenceItem(
        name="systemlog.txt",
        media_type="text/plain",
        fetch=_system_log,
        limit=TEXT_LIMIT,
        timeout=LOG_TIMEOUT,
        account="service",
        light=True,
        check=is_text,
        scrub=scrub,
    ),
    EvidenceItem(
        name="auditlog.txt",
        media_type="text/plain",
        fetch=_audit_log,
        limit=TEXT_LIMIT,
        timeout=LOG_TIMEOUT,
        account="service",
        light=True,
        check=is_text,
        scrub=scrub,
    ),
    EvidenceItem(
        name="lldp.json",
        media_type="application/json",
        fetch=_neighbours,
        limit=LLDP_LIMIT,
        timeout=LOG_TIMEOUT,
        account="service",
        light=True,
        scrub=scrub,
        says=switch_port,
    ),
    EvidenceItem(
        name="parameters.txt",
        media_type="text/plain",
        fetch=_parameters,
        limit=TEXT_LIMIT,
        timeout=LOG_TIMEOUT,
        account="service",
        light=True,
        check=is_text,
        scrub=scrub,
    ),
)


# --- checklist --------------------------------------------------------------------------------------------------------


def checklist(snapshot: Snapshot | None, history: History, _fault: Fault, device: Device) -> tuple[Check, ...]:
    """The four things Axis support wants done before it is asked. What needs eyes or hands is not answered for people."""
    return (_power(snapshot), _network(snapshot), _newest_firmware(snapshot, history, device), _factory_reset())


def _power(snapshot: Snapshot | None) -> Check:
    if snapshot is not None and snapshot.reachable:
        detail = Text(
            "It answers on the network, so it has power. Nobody has looked at the LED.",
            "Odpowiada w sieci, a więc ma zasilanie. Diody nikt nie obejrzał.",
        )
    else:
        detail = Text(
            "It does not answer on the network, so power cannot be told from here. Look at the LED and at the PoE port.",
            "Nie odpowiada w sieci, więc zasilania nie da się stąd ocenić. Sprawdź diodę i port PoE.",
        )
    question = Text("Does the device have power, and is its power LED lit?", "Czy urządzenie ma zasilanie i czy świeci jego dioda?")
    return Check(id="power", question=question, answer=CheckAnswer.NOT_CHECKED, detail=detail)


def _network(snapshot: Snapshot | None) -> Check:
    question = Text("Can the device be reached over the network?", "Czy urządzenie jest osiągalne przez sieć?")
    if snapshot is None:
        detail = Text("It has not been polled yet.", "Nie zostało jeszcze odpytane.")
        return Check(id="network", question=question, answer=CheckAnswer.NOT_CHECKED, detail=detail)
    at = f"{snapshot.at:%Y-%m-%d %H:%M} UTC"
    if snapshot.reachable:
        detail = Text(f"It answered the poll of {at}.", f"Odpowiedziało na zapytanie z {at}.")
        return Check(id="network", question=question, answer=CheckAnswer.YES, detail=detail)
    detail = Text(f"It did not answer the poll of {at}.", f"Nie odpowiedziało na zapytanie z {at}.")
    return Check(id="network", question=question, answer=CheckAnswer.NO, detail=detail)


def _newest_firmware(snapshot: Snapshot | None, history: History, device: Device) -> Check:
    question = Text("Does it run the newest firmware of its track?", "Czy ma najnowsze oprogramowanie swojej linii?")
    running = (snapshot.identity.firmware if snapshot is not None else "") or history.identity.firmware
    target = settings_of(device.settings).firmware.get(track_of(running), "")
    if not running:
        answer, detail = CheckAnswer.NOT_CHECKED, Text("Its firmware version is not known.", "Wersja oprogramowania nie jest znana.")
    elif not target:
        answer = CheckAnswer.NOT_CHECKED
        detail = Text(
            f"It runs {running}. The configuration names no version to compare with on this track.",
            f"Działa na wersji {running}. Konfiguracja nie podaje wersji docelowej dla tej linii.",
        )
    elif version_of(running) >= version_of(target):
        answer = CheckAnswer.YES
        detail = Text(f"It runs {running}; this site's version is {target}.", f"Działa na wersji {running}; wersja docelowa to {target}.")
    else:
        answer = CheckAnswer.NO
        detail = Text(f"It runs {running}, older than this site's version {target}.", f"Działa na wersji {running}, starszej od docelowej {target}.")
    return Check(id="firmware", question=question, answer=answer, detail=detail)


def _factory_reset() -> Check:
    detail = Text(
        "Latarnik never resets a device: a person must do it and say so here.",
        "Latarnik nigdy nie resetuje urządzeń: musi to zrobić i tu potwierdzić człowiek.",
    )
    question = Text("Was the device reset to factory default, and did the fault stay?", "Czy przywrócono ustawienia fabryczne i czy usterka pozostała?")
    return Check(id="factory-reset", question=question, answer=CheckAnswer.NOT_CHECKED, detail=detail)
