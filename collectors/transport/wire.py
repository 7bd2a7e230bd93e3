"""One visit's connection and the requests on it, one after another.

aiohttp makes the connection (names, addresses, TLS, the check of the other end) and reads the answers. What it has in between, sessions with
cookies, redirects, proxies and second tries, is nothing we want of a device, and costs as much as all the rest of a request.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.connector import Connection
from aiohttp.helpers import TimeoutHandle
from multidict import CIMultiDictProxy
from yarl import URL

from collectors.transport.bounded import BoundedHandler
from collectors.transport.door import Door
from collectors.transport.resumption import OFFERED

PIECE: Final = 64 * 1024
USER_AGENT: Final = "latarnik"
_IDLE: Final = 60.0  # seconds after which a connection that is kept is not used any more
_NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)  # the request's own time runs already
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Reply:
    """The head of an answer, its body still to be read from `content`. `release` it in the end."""

    __slots__ = ("_handler", "_time", "_wire", "content", "headers", "status")

    def __init__(
        self,
        wire: Wire,
        handler: BoundedHandler,
        time: asyncio.TimerHandle | None,
        *,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
    ) -> None:
        self._wire = wire
        self._handler = handler
        self._time = time
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def length(self) -> int | None:
        """Of the body, as the device declared it."""
        declared = self.headers.get("Content-Length")
        return None if declared is None else int(declared)

    def allow(self, limit: int) -> None:
        """`limit` bytes of the body are wanted. Nothing where it has come already."""
        if not self.content.is_eof():
            self._handler.allow(limit)

    def release(self) -> None:
        """Done with it: the connection is free for the next request, or closed when the body was not read to its end."""
        if self._time is not None:
            self._time.cancel()
        if self.content.at_eof():
            self._wire.keep()
        else:
            self._wire.drop()


class Wire:
    """At most one connection to `origin`. `sent`: whether the newest request has gone out; False while its connection is being made."""

    __slots__ = ("_connection", "_connector", "_door", "_host", "_loop", "_place", "_used", "sent")

    def __init__(self, origin: URL, connector: aiohttp.TCPConnector, context: ssl.SSLContext | bool, door: Door | None) -> None:
        self.sent = False
        self._connector = connector
        self._door = door
        self._loop = asyncio.get_running_loop()
        # What the connector wants to know of a request, and how aiohttp writes a host.
        self._place = aiohttp.ClientRequest("GET", origin, loop=self._loop, ssl=context)
        self._host = self._place.headers["Host"]
        self._connection: Connection | None = None
        self._used = 0.0

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, seconds: float) -> Reply:
        """Send a request and read the answer's head. `seconds` bound that and the reading of the body.

        Host, User-Agent, Accept, Accept-Encoding and Content-Length are ours and not among `headers`. Raises what aiohttp and sockets raise.
        """
        self.sent = False
        message = self._message(method, target, headers, body)
        allowed = TimeoutHandle(self._loop, seconds)
        time, timer = allowed.start(), allowed.timer()
        try:
            with timer:
                handler = await self._connected()
                handler.set_response_params(timer=timer, skip_payload=method == "HEAD", read_until_eof=True, read_bufsize=PIECE)
                self._write(handler, message)
                head, content = await handler.read()
                while 100 <= head.code < 200 and head.code != 101:
                    head, content = await handler.read()
        except BaseException:
            if time is not None:
                time.cancel()
            self.drop()
            raise
        return Reply(self, handler, time, status=head.code, headers=head.headers, content=content)

    def keep(self) -> None:
        """The connection is free for the next request."""
        self._used = self._loop.time()

    def drop(self) -> None:
        """Close the connection; the next request makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        """Close it for good; returns when it is closed."""
        over = None
        if self._connection is not None and (handler := self._connection.protocol) is not None:
            over = handler.closed
            if self._door is not None:
                handler.abort()  # as aiohttp: a farewell in TLS would have to wait for the device's
        self.drop()
        await self._connector.close()
        if over is not None:
            with suppress(aiohttp.ClientError):  # it broke just now, instead of being closed
                await over

    async def _connected(self) -> BoundedHandler:
        connection = self._connection
        if connection is not None:
            handler = connection.protocol
            if isinstance(handler, BoundedHandler) and handler.is_connected() and not handler.should_close and self._loop.time() - self._used <= _IDLE:
                return handler
            self.drop()
        offered = OFFERED.set(self._door.offered if self._door is not None else None)
        try:
            connection = self._connection = await self._connector.connect(self._place, [], _NO_LIMITS)
        finally:
            OFFERED.reset(offered)
        handler = connection.protocol
        assert isinstance(handler, BoundedHandler)
        return handler

    def _write(self, handler: BoundedHandler, message: bytes) -> None:
        transport = handler.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection is closing")
        self.sent = True
        transport.write(message)

    def _message(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", f"User-Agent: {USER_AGENT}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("Accept: */*")
        if body is not None or method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body or b'')}")
            if "Content-Type" not in headers and (body is not None or method == "POST"):
                lines.append("Content-Type: application/octet-stream")
        for line in lines:
            if _CONTROL.search(line):
                raise ValueError("a control character in a request's head")
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def new_connector(*, door: Door | None, resolver: aiohttp.abc.AbstractResolver | None, source: str) -> aiohttp.TCPConnector:
    """For one connection at a time, its answers bounded. `source`: the address we speak from, '' for any."""
    connector = aiohttp.TCPConnector(
        limit=1,
        ssl=door.peer if door else True,
        resolver=resolver,
        local_addr=(source, 0) if source else None,
        keepalive_timeout=_IDLE,
    )
    bounded: Any = partial(BoundedHandler, loop=connector._loop)  # noqa: SLF001 - neither has a public name; a test holds them
    connector._factory = bounded  # noqa: SLF001
    return connector
