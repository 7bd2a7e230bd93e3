"""A WebSocket of one device: messages in, text out, and no error that is not ours."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from agent.errors import BadPayload, CollectError, Reason, Unreachable
from collectors.transport.answers import HttpAnswer, raise_for_status
from collectors.transport.failures import SOCKET_FAILURES, failure

MESSAGE_LIMIT: Final = 1024 * 1024
IDLE: Final = 30.0
FAREWELL: Final = 2.0
"""Seconds the device gets to answer our goodbye."""


class WebSocket:
    """An open one. `async for message in it`: text as str, binary as bytes, until the device closes it in an orderly way.

    Raises Unreachable when the connection breaks, or when the device answers no ping; CollectError(TOO_LARGE) for a message over the limit;
    BadPayload for what is no WebSocket's frame or no UTF-8. After an error it is unusable.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, where: str, tried: str, timeout: float) -> None:
        self._socket = socket
        self._where = where
        self._tried = tried
        self._timeout = timeout
        self._over = False

    @property
    def close_code(self) -> int | None:
        """Why the device closed it (RFC 6455, 7.4): 1000 done, 1008 not allowed; 0 it did not say; None while it is open."""
        return self._socket.close_code

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> str | bytes:
        if self._over:
            raise StopAsyncIteration
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        self._over = True
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise StopAsyncIteration
        error = message.data if message.type is aiohttp.WSMsgType.ERROR else self._socket.exception()
        raise self._trouble(error or ConnectionResetError())

    async def send(self, text: str) -> None:
        """Send one text message."""
        trouble: CollectError
        try:
            async with asyncio.timeout(self._timeout):
                await self._socket.send_str(text)
        except SOCKET_FAILURES as error:
            trouble = self._trouble(error)
        else:
            return
        raise trouble from None

    async def close(self) -> None:
        """Say goodbye; a device that goes on talking is hung up on."""
        try:
            async with asyncio.timeout(FAREWELL):
                await self._socket.close()
        except TimeoutError:
            return

    def _trouble(self, error: BaseException) -> CollectError:
        at = f"{self._where}: {self._tried}"
        if isinstance(error, aiohttp.WebSocketError):
            if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return CollectError(Reason.TOO_LARGE, f"{at}: a message is longer than it may be")
            return BadPayload(f"{at}: this is no WebSocket's message (close code {int(error.code)})")
        if isinstance(error, aiohttp.ServerTimeoutError):
            return Unreachable(Reason.TIMEOUT, f"{at}: the device answers no ping", sent=True)
        return failure(error, where=self._where, tried=self._tried, seconds=0.0, sent=True)


def not_opened(error: aiohttp.WSServerHandshakeError, request: str) -> CollectError:
    """The device answered our wish for a WebSocket with something else."""
    if error.status == 101:
        return BadPayload(f"{request}: the device agrees, but not to a WebSocket")
    try:
        raise_for_status(HttpAnswer(status=error.status, request=request))
    except CollectError as refusal:
        return refusal
    return CollectError(Reason.HTTP_STATUS, f"{request} answered {error.status} instead of opening a WebSocket")
