"""Recordings of real Axis devices, served over HTTP on loopback.

The folder of recordings is named by the environment variable LATARNIK_RECORDINGS; nothing of it is kept here. Replayed are the units of which
the answers that we ask for were recorded whole, and one device put together from single answers of one product:

- D4200-VE 12.9.57 and P3245-LVE 11.11.192, with all their parameters
- M3066-V 10.12.323 and Q1951-E 11.11.192, without parameters: those requests are answered 404
- M1065-LW 9.80.1, assembled of `kane610-axis`: identity, parameters and a temperature answer that looks made up

Left out: the other files of `kane610-axis` are events or belong to products of which neither serial number nor firmware was recorded together
with a model; `rs4acap-fixtures` holds single answers of different devices (one of them, error 2004, is served by the assembled device).

What was not recorded is answered as a device answers what it does not have: 404, error 2004, or `# Error` for a parameter group.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

WHOLE = ("D4200-VE@12.9.57", "M3066-V@10.12.323", "P3245-LVE@11.11.192", "Q1951-E@11.11.192")
ASSEMBLED = "kane610-axis"
RECORDINGS = "LATARNIK_RECORDINGS"


def recordings() -> Path | None:
    """The folder of Axis recordings, or None when it is not named or not there."""
    named = os.environ.get(RECORDINGS, "")
    folder = Path(named) / "axis" if named else None
    return folder if folder is not None and folder.is_dir() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Recording:
    """Answers of one device: `calls` by (path, JSON method), `gets` by path with query, `parameters` the lines of a whole list."""

    calls: dict[tuple[str, str], Answer] = field(default_factory=dict)
    gets: dict[str, Answer] = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)

    def answer(self, method: str, target: str, query: str, body: bytes) -> Answer:
        """The recorded answer, or the one of a device that has no such thing."""
        if method == "GET":
            if target == "/axis-cgi/param.cgi" and self.parameters:
                return self._list(parse_qs(query))
            return self.gets.get(f"{target}?{query}" if query else target, Answer(status=404, body=b"<html>Not Found</html>"))
        called = _json_method(body)
        found = self.calls.get((target, called))
        if found is not None:
            return found
        if any(path == target for path, _ in self.calls):
            error = {"code": 2004, "message": f"JSON semantic error: Unknown method '{called}'"}
            return Answer(body=json.dumps({"apiVersion": "1.0", "error": error}).encode())
        return Answer(status=404, body=b"<html>Not Found</html>")

    def _list(self, query: Mapping[str, list[str]]) -> Answer:
        if query.get("action") != ["list"]:
            return Answer(status=400)
        lines: list[str] = []
        groups = query.get("group", [""])[0].split(",")
        for group in groups:
            wanted = f"root.{group.removeprefix('root.')}" if group else "root"
            found = [line for line in self.parameters if line.startswith((f"{wanted}.", f"{wanted}="))]
            lines += found or [f"# Error: Error -1 getting param in group '{group}'"]
        return Answer(body="\n".join([*lines, ""]).encode("latin-1"))


def _json_method(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("method", "")) if isinstance(told, dict) else ""


def whole(folder: Path) -> Recording:
    """A unit recorded as pairs of `*.request.http` and `*.response.http`. Requests whose body is no JSON (uploads) are not replayed."""
    found = Recording()
    for request in sorted(folder.glob("*.request.http")):
        head, _, body = request.read_bytes().partition(b"\n\n")
        method, _, target = head.decode("latin-1").splitlines()[0].partition(" ")
        status, _, content = request.with_name(request.name.replace(".request.", ".response.")).read_bytes().partition(b"\n\n")
        answer = Answer(status=int(status.split()[0]), body=content)
        path, _, query = f"/{target}".partition("?")
        if method == "POST" and _json_method(body):
            found.calls[path, _json_method(body)] = answer
        elif method == "GET" and path == "/axis-cgi/param.cgi" and query == "action=list":
            found.parameters = content.decode("latin-1").splitlines()
        elif method == "GET":
            found.gets[f"/{target}"] = answer
    return found


def assembled(folder: Path) -> Recording:
    """A device of single recorded answers of one product, the M1065-LW."""
    info = (folder / "basic_device_info.GET_ALL_PROPERTIES_RESPONSE.json").read_bytes()
    missing = (folder.parent / "rs4acap-fixtures" / "basic_device_info_1.get_all_unrestricted_properties_2004_error_1_0.json").read_bytes()
    return Recording(
        calls={
            ("/axis-cgi/basicdeviceinfo.cgi", "getAllProperties"): Answer(body=info),
            ("/axis-cgi/basicdeviceinfo.cgi", "getAllUnrestrictedProperties"): Answer(body=missing),
        },
        gets={
            "/axis-cgi/temperaturecontrol.cgi?action=statusall": Answer(body=(folder / "temperature_control.STATUS_ALL_RESPONSE.txt").read_bytes()),
        },
        parameters=(folder / "parameters_param_cgi.PARAM_RESPONSE.txt").read_text("latin-1").splitlines(),
    )


def replay(folder: Path, *, seen: Callable[[str, str], None] | None = None) -> web.Application:
    """A web application that answers as the recorded device did. `seen(method, path with query)` is told of each request."""
    recording = assembled(folder) if folder.name == ASSEMBLED else whole(folder)

    async def handle(request: web.Request) -> web.Response:
        if seen is not None:
            seen(request.method, request.raw_path)
        answer = recording.answer(request.method, request.path, request.query_string, await request.read())
        kind = "application/json" if answer.body.lstrip().startswith(b"{") else "text/html" if answer.status != 200 else "text/plain"
        return web.Response(status=answer.status, body=answer.body, content_type=kind)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    return app
