"""The simulated Axis devices beside recorded ones: the same request, and an answer of the same shape.

Runs when LATARNIK_RECORDINGS names a folder with `axis/<product>@<AXIS OS>/*.request.http` and `*.response.http` (request line, content type,
blank line, body; status line, blank line, body). A simulated device of the same generation and kind is asked the same.

Compared: the status; whether the body is JSON, XML, parameter lines or a page; of JSON every key and the type of every value, of a list the keys
that all of its recorded rows have; of param.cgi the form of each line and, for each name that both have, the kind of its value.

Not compared, because the simulator does not have what they ask, and a collector never asks it:
 - /vapix/services: SOAP (event instances, action rules);
 - /config/rest/...: the Device Configuration interface beyond its list (storage destinations, siren and light); a DELETE or POST there changes things;
 - pwdgrp.cgi: adds and removes accounts;
 - any other path that no simulated device has, and files that are not of this layout.
What is left out is printed by `pytest -rP`; a folder of which nothing can be compared fails.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.axis.cgi import CGIS
from simulator.axis.device import DEMO_PASSWORD, AxisDevice
from simulator.axis.generation import Policy
from simulator.axis.json_api import APIS
from simulator.axis.product import BODY_8, BOX_9, DOME_10, DOME_11, IO_MODULE, LEGACY_CAMERA, PTZ_12, STROBE_SPEAKER, Product
from simulator.listener import serve
from tests.simulator.axis_http import StillClock, basic

VARIABLE = "LATARNIK_RECORDINGS"
RECORDINGS = os.environ.get(VARIABLE, "")

pytestmark = pytest.mark.skipif(not RECORDINGS, reason=f"the environment variable {VARIABLE} names no folder of recorded device answers")

NOT_COMPARED = ("vapix/services", "config/rest/", "axis-cgi/pwdgrp.cgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    name: str
    method: str
    path: str
    content_type: str
    body: bytes
    status: int
    answer: bytes


def folders() -> list[Path]:
    root = Path(RECORDINGS) / "axis"
    return sorted(folder for folder in root.iterdir() if "@" in folder.name) if RECORDINGS and root.is_dir() else []


def recordings(folder: Path) -> list[Recording]:
    found = []
    for asked in sorted(folder.glob("*.request.http")):
        answered = asked.with_name(asked.name.replace(".request.", ".response."))
        if not answered.exists():
            continue
        head, _, body = asked.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
        line, *headers = head.decode().splitlines()
        method, _, path = line.partition(" ")
        fields = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
        status, _, answer = answered.read_bytes().partition(b"\n\n")
        found.append(
            Recording(
                name=asked.name,
                method=method,
                path=path,
                content_type=fields.get("content-type", ""),
                body=body,
                status=int(status.split()[0]),
                answer=answer,
            )
        )
    return found


def alike(folder: Path) -> Product:
    """The simulated product nearest to a recorded one: of its generation, and a speaker for a speaker."""
    product, _, version = folder.name.partition("@")
    major = int(version.split(".")[0])
    if major == 1:
        return IO_MODULE
    if major >= 12:
        return STROBE_SPEAKER if product.startswith(("C", "D")) else PTZ_12
    for least, found in ((11, DOME_11), (10, DOME_10), (9, BOX_9), (8, BODY_8)):
        if major >= least:
            return found
    return LEGACY_CAMERA


def kind(body: bytes) -> str:
    """What a body is, told by itself: recordings carry no content type of answers."""
    text = body.strip()
    if text[:2] == b"\xff\xd8":
        return "picture"
    if text[:1] in {b"{", b"["}:
        return "json"
    if text[:5] == b"<?xml":
        return "xml"
    if text[:1] == b"<":
        return "page"
    return "lines"


CONTENT_TYPES = {
    "json": ("application/json",),
    "xml": ("text/xml", "application/soap+xml"),
    "page": ("text/html",),
    "lines": ("text/plain",),
    "picture": ("image/jpeg",),
}


def differences(recorded: Any, ours: Any, where: str = "$") -> Iterable[str]:
    """Where two JSON values are not of one shape."""
    if type(recorded) is not type(ours) and not (isinstance(recorded, int | float) and isinstance(ours, int | float)):
        yield f"{where}: recorded {type(recorded).__name__}, simulated {type(ours).__name__}"
    elif isinstance(recorded, dict):
        if where == "$.apis":  # which interfaces there are differs by product
            recorded, ours = {"*": next(iter(recorded.values()))}, {"*": next(iter(ours.values()))}
        if re.fullmatch(r"\$\.apis\.\*", where):
            recorded, ours = {"v": next(iter(recorded.values()))}, {"v": next(iter(ours.values()))}
        for name in recorded.keys() ^ ours.keys():
            yield f"{where}.{name}: only {'recorded' if name in recorded else 'simulated'}"
        for name in recorded.keys() & ours.keys():
            yield from differences(recorded[name], ours[name], f"{where}.{name}")
    elif isinstance(recorded, list) and recorded and ours and isinstance(recorded[0], dict):
        always = set.intersection(*(set(row) for row in recorded))
        ever = set().union(*recorded)
        for row in ours:
            if missing := always - row.keys():
                yield f"{where}[]: simulated row lacks {sorted(missing)}"
            if unknown := row.keys() - ever:
                yield f"{where}[]: only simulated: {sorted(unknown)}"
            for name in row.keys() & always:
                yield from differences(recorded[0][name], row[name], f"{where}[].{name}")


def value_kind(value: str) -> str:
    for name, pattern in (("empty", ""), ("flag", "yes|no"), ("number", r"-?\d+"), ("masked", r"\*+")):
        if re.fullmatch(pattern, value):
            return name
    return "text"


def parameters(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def line_differences(recorded: str, ours: str) -> Iterable[str]:
    """Where two param.cgi answers are not of one shape. Names that only one has are the product's own business."""
    errors = [[line for line in text.splitlines() if line.startswith("#")] for text in (recorded, ours)]
    if errors[0] != errors[1]:
        yield f"error lines: recorded {errors[0]}, simulated {errors[1]}"
    theirs, own = parameters(recorded), parameters(ours)
    for text in (recorded, ours):
        if strange := [line for line in text.splitlines() if line and "=" not in line and not line.startswith("#")]:
            yield f"lines that are neither a value nor an error: {strange[:3]}"
    if {name.startswith("root.") for name in theirs} != {name.startswith("root.") for name in own}:
        yield "the prefix root. differs"
    for name in theirs.keys() & own.keys():
        if {"empty"} & (kinds := {value_kind(theirs[name]), value_kind(own[name])}) == set() and len(kinds) > 1:
            yield f"{name}: recorded {value_kind(theirs[name])}, simulated {value_kind(own[name])}"
    if theirs and not theirs.keys() & own.keys():
        yield "not one name in common"


def compare(recording: Recording, status: int, content_type: str, ours: bytes) -> list[str]:
    found = [] if status == recording.status else [f"status: recorded {recording.status}, simulated {status}"]
    if status != recording.status:
        return found
    form = kind(recording.answer)
    if kind(ours) != form:
        return [f"body: recorded {form}, simulated {kind(ours)}"]
    if content_type not in CONTENT_TYPES[form]:
        found.append(f"content type: a recorded body of {form}, simulated {content_type}")
    if form == "json":
        found += differences(json.loads(recording.answer), json.loads(ours))
    elif form == "lines":
        found += line_differences(recording.answer.decode("latin-1"), ours.decode("latin-1"))
    return found


def reason_left_out(recording: Recording, product: Product) -> str:
    for start in NOT_COMPARED:
        if recording.path.startswith(start):
            return f"the simulator has no {start}"
    path = "/" + recording.path.partition("?")[0]
    if path not in APIS and path not in CGIS:
        return f"the simulator has no {path}"
    if "Properties.Image" in recording.path and product.video and b"# Error" in recording.answer:
        return "the recorded product has no picture, the simulated one has"
    return ""


async def answer_of(session: aiohttp.ClientSession, base: str, recording: Recording) -> tuple[int, str, bytes]:
    headers: Mapping[str, str] = {"Authorization": basic("root", DEMO_PASSWORD)}
    if recording.content_type:
        headers = {**headers, "Content-Type": recording.content_type}
    async with session.request(recording.method, base + recording.path, data=recording.body or None, headers=headers, ssl=False) as answer:
        return answer.status, answer.content_type, await answer.read()


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
async def test_a_simulated_device_answers_in_the_shape_of_the_recorded_one(folder: Path) -> None:
    device = AxisDevice(name="recorded", address="127.77.9.7", product=alike(folder), policy=Policy.BASIC, clock=StillClock())
    wrong: dict[str, list[str]] = {}
    compared = 0
    async with serve([device]) as ports, aiohttp.ClientSession() as session:
        for recording in recordings(folder):
            if reason := reason_left_out(recording, device.product):
                print(f"{folder.name}/{recording.name}: not compared, {reason}")
                continue
            compared += 1
            status, content_type, ours = await answer_of(session, f"https://{device.address}:{ports.https}/", recording)
            if found := compare(recording, status, content_type, ours):
                wrong[recording.name] = found
    assert compared, f"nothing in {folder.name} could be compared"
    assert wrong == {}


def test_the_folder_has_recordings() -> None:
    assert folders(), f"{VARIABLE}={RECORDINGS} has no folder axis/<product>@<AXIS OS>"
