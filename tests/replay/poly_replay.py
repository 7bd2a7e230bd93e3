"""Recorded bodies of a Poly codec served behind a login, so that `latarnik poll --vendor poly` can be run against a real device's answers.

    python -m tests.replay.poly_replay FOLDER [--port 8443] [--password WORD]

FOLDER holds one body per endpoint, named `GET_rest_system_status.json`: method, then the path with `_` for `/`. A path and its
`/rest/current/` spelling are the same. What was not recorded answers 404.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from simulator.certs import server_context

USER, PASSWORD = "admin", "Nagranie-2026"


def bodies(folder: Path) -> dict[tuple[str, str], bytes]:
    """(method, path without `/rest` and `/current`) → body. Raises FileNotFoundError for a folder without recordings."""
    found = {}
    for file in sorted(folder.glob("*_rest_*.json")):
        method, _, name = file.stem.partition("_rest_")
        found[method, "/" + name.removeprefix("current_").replace("_", "/")] = file.read_bytes()
    if not found:
        raise FileNotFoundError(f"{folder} holds no file like GET_rest_system.json")
    return found


@dataclass(slots=True)
class Replay:
    """One recorded device. `sessions` are the live ones; `log` is every request, in order."""

    recorded: Mapping[tuple[str, str], bytes]
    password: str = PASSWORD
    sessions: dict[str, str] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    monotonic: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.monotonic()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/rest").removeprefix("/current")
        self.log.append((request.method, request.path))
        if (request.method, path) == ("POST", "/session"):
            return self._login(await request.json())
        identifier = self._session(request)
        if identifier is None:
            return web.Response(status=403, text="<html><body>403</body></html>", content_type="text/html")
        if (request.method, path) == ("DELETE", "/session"):
            del self.sessions[identifier]
            return web.json_response({"success": True})
        body = self.recorded.get((request.method, path))
        if body is None:
            return web.Response(status=404, text="<html><body>404</body></html>", content_type="text/html")
        response = web.Response(body=self._running(path, body), content_type="application/json")
        self.sessions[identifier] = secrets.token_hex(16)
        response.headers.add("Set-Cookie", f"XSRF-TOKEN={self.sessions[identifier]}; Path=/; Secure")
        return response

    def _login(self, wish: object) -> web.Response:
        if not isinstance(wish, dict) or (wish.get("user"), wish.get("password")) != (USER, self.password):
            return web.json_response({"success": False, "reason": "SessionInvalidUserNamePassword"}, status=403)
        identifier, token = "PS+" + secrets.token_hex(20) + "/=", secrets.token_hex(16)
        self.sessions[identifier] = token
        response = web.json_response({"session": {"sessionId": identifier}, "loginStatus": {"loginResult": "NOLOCKOUT"}, "success": True})
        response.headers.add("Set-Cookie", f"session_id={identifier}; Path=/; Secure; HttpOnly")
        response.headers.add("Set-Cookie", f"XSRF-TOKEN={token}; Path=/; Secure")
        return response

    def _session(self, request: web.BaseRequest) -> str | None:
        pairs = dict(part.strip().partition("=")[::2] for part in request.headers.get("Cookie", "").split(";"))
        identifier = pairs.get("session_id", "")
        token = self.sessions.get(identifier)
        good = token is not None and request.headers.get("X-XSRF-TOKEN") == pairs.get("XSRF-TOKEN") == token
        return identifier if good else None

    def _running(self, path: str, body: bytes) -> bytes:
        """The recorded body; its uptime goes on, because a device whose start time moves has restarted."""
        if path != "/system":
            return body
        value = json.loads(body)
        value["uptime"] += self.monotonic() - self.started
        return json.dumps(value).encode() + b"\r\n"


@asynccontextmanager
async def serve_replay(replay: Replay, *, port: int = 0) -> AsyncIterator[int]:
    """Serve on 127.0.0.1 over TLS; gives the port."""
    server = web.Server(replay.answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    context: ssl.SSLContext = server_context("poly replay", "127.0.0.1", "Replay")
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    try:
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _main(folder: Path, port: int, password: str) -> None:
    async with serve_replay(Replay(recorded=bodies(folder), password=password), port=port) as bound:
        print(f"https://127.0.0.1:{bound} as {USER}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--password", default=PASSWORD)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.folder, arguments.port, arguments.password))
