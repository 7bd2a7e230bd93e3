"""The daemon's own door for the command line: HTTP on a Unix socket in the state folder, open to the daemon's user (and root) alone."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.errors import LatarnikError
from agent.logs import logger

SOCKET = "control.sock"
POLL_TIMEOUT = 120.0
UPLOAD_TIMEOUT = 900.0
PIECE = 1 << 18

Command = Callable[[str], Awaitable[dict[str, Any]]]
Upload = Callable[[Mapping[str, str], AsyncGenerator[bytes, None]], Awaitable[dict[str, Any]]]
"""A command that takes a file: the words of the query, and its body in pieces."""


class ControlError(LatarnikError):
    """The daemon did not do what it was asked; the text is its own."""


@asynccontextmanager
async def serve_control(state_dir: Path, commands: Mapping[str, Command], uploads: Mapping[str, Upload] | None = None) -> AsyncIterator[None]:
    """Answer `POST /<command>` with body `{"target": ...}`, and `PUT /<upload>?target=...` with a file as its body.

    A KeyError of a command is a 404, a LatarnikError a 409.
    """
    taken = uploads or {}

    async def handle(request: web.Request) -> web.Response:
        command = commands.get(request.match_info["command"])
        if command is None:
            return web.json_response({"error": "no such command"}, status=404)
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return web.json_response({"error": 'the body must be {"target": ...}'}, status=400)
        target = str(body.get("target", ""))
        return await answered(request, target, command(target))

    async def receive(request: web.Request) -> web.Response:
        upload = taken.get(request.match_info["command"])
        if upload is None:
            return web.json_response({"error": "no such command"}, status=404)

        async def body() -> AsyncGenerator[bytes, None]:
            async for piece in request.content.iter_chunked(PIECE):
                yield piece

        return await answered(request, request.query.get("target", ""), upload(request.query, body()))

    async def answered(request: web.Request, target: str, work: Awaitable[dict[str, Any]]) -> web.Response:
        try:
            return web.json_response(await work)
        except KeyError:
            return web.json_response({"error": f"{target!r} is not known"}, status=404)
        except LatarnikError as error:
            return web.json_response({"error": str(error)}, status=409)
        except Exception as error:  # noqa: BLE001 - told to the person who asked; the log has the traceback
            logger("control").exception("bug_in_command", command=request.match_info["command"])
            return web.json_response({"error": f"{type(error).__name__} in the daemon; its log has the traceback"}, status=500)

    path = state_dir / SOCKET
    path.unlink(missing_ok=True)
    app = web.Application()
    app.router.add_post("/{command}", handle)
    app.router.add_put("/{command}", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    try:
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


async def ask_daemon(state_dir: Path, command: str, target: str) -> dict[str, Any]:
    """What the running daemon answers. Raises ControlError."""
    return await _asked(state_dir, POLL_TIMEOUT, "POST", command, json={"target": target})


async def send_file(state_dir: Path, command: str, query: Mapping[str, str], body: AsyncGenerator[bytes, None]) -> dict[str, Any]:
    """What the running daemon answers to this file. Raises ControlError, and OSError of the file."""
    return await _asked(state_dir, UPLOAD_TIMEOUT, "PUT", command, params=dict(query), data=body)


async def _asked(state_dir: Path, seconds: float, method: str, command: str, **sent: Any) -> dict[str, Any]:
    connector = aiohttp.UnixConnector(path=str(state_dir / SOCKET))
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, f"http://daemon/{command}", **sent) as answer,
        ):
            body: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise ControlError(str(body.get("error", answer.reason)))
            return body
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        raise ControlError(f"the daemon on {state_dir} does not answer ({type(error).__name__}); is this the user it runs as?") from error
