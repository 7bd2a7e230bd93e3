"""What goes into a case of an Axis device: the files its support asks for, and the answers to its checklist."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from agent.errors import CollectError, NotSupported, Reason
from agent.model import Check, CheckAnswer, Device, Fault, History, Snapshot, Text
from agent.ports import EvidenceItem
from collectors.axis import client as axis
from collectors.axis.client import AxisClient
from collectors.axis.firmware import track_of, version_of
from collectors.axis.settings import settings_of

ZIP_MAGIC = b"PK\x03\x04"
REPORT_TIMEOUT = 300.0
"""A report was seen to take 30 to 40 s on a new camera; old ones are slower."""
REPORT_LIMIT = 64 * 1024 * 1024
TEXT_LIMIT = 16 * 1024 * 1024
LOG_TIMEOUT = 60.0

# --- scrubbing --------------------------------------------------------------------------------------------------------

_NAMES = rb"(?:passw|passphrase|passwd|pwd|secret|token|community|credential|privatekey|private_key|privkey|authkey|apikey|api_key|psk)[\w.\-]{0,80}"
# Every repetition is bounded: a device may send one line of megabytes, and the time must grow with the length alone.
_PAIR = re.compile(rb"(?im)^([ \t]{0,40}[\w.\- ]{0,120}" + _NAMES + rb"[ \t]{0,8}[=:][ \t]{0,8})(?=[^\s])[^\r\n]+")
_QUOTED = re.compile(rb"(?i)([\"']?\b[\w.\-]{0,40}" + _NAMES + rb"[\"']?\s{0,8}[=:]\s{0,8})([\"'])(?:(?!\2)[^\r\n]){1,4096}\2")
_IN_LINE = re.compile(rb"(?i)\b((?:password|passwd|passphrase|pwd|token|secret)\s{0,8}[=:]\s{0,8})[^\s\"'&,;]+")
_URL = re.compile(rb"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@]{1,256}@")
_HEADER = re.compile(rb"(?im)\b(authorization[ \t]*:[ \t]*)[^\r\n]+")
_KEY_BEGIN = re.compile(rb"-----BEGIN ([A-Z ]{0,32}PRIVATE KEY)-----")
SCRUB_PIECE = 16 * 1024
"""Bytes that are searched at a time: Python's other threads, and with them all polls, stand still while one expression runs."""


def scrub(body: bytes) -> bytes:
    """A text of the device without what looks like a secret: values of password-like keys, private keys, accounts within URLs."""
    return b"".join(map(_scrub_lines, _lines(_without_keys(body))))


def _without_keys(body: bytes) -> bytes:
    kept: list[bytes] = []
    at = 0
    while (begin := _KEY_BEGIN.search(body, at)) is not None:
        kept += [body[at : begin.start()], b"-----" + begin[1] + b" removed-----"]
        mark = b"-----END " + begin[1] + b"-----"
        end = body.find(mark, begin.end())
        at = len(body) if end < 0 else end + len(mark)
    return b"".join([*kept, body[at:]])


def _lines(body: bytes) -> Iterator[bytes]:
    """Whole lines, as many as fit a piece. One that does not fit is no line of a log or a setting: it is left out, and that is said."""
    at = 0
    while at < len(body):
        end = len(body) if len(body) - at <= SCRUB_PIECE else body.rfind(b"\n", at, at + SCRUB_PIECE) + 1
        if end:
            yield body[at:end]
        else:
            end = body.find(b"\n", at) + 1 or len(body)
            yield b"(a line of %d bytes is left out)\n" % (end - at)
        at = end


def _scrub_lines(body: bytes) -> bytes:
    body = _HEADER.sub(rb"\1***", body)
    body = _URL.sub(rb"\1***@", body)
    body = _PAIR.sub(rb"\1***", body)
    body = _QUOTED.sub(rb"\1\2***\2", body)
    return _IN_LINE.sub(rb"\1***", body)


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
