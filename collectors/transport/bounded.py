"""An end to what one HTTP answer may cost: bytes on the wire, whatever they are (heads without end, chunks of one byte), and time in the loop.

aiohttp bounds a head's lines and what a reader has not taken yet. It takes any number of interim answers (1xx), chunks and packed members that
hold nothing, and parses what one read brings, up to 256 kB, without letting others have their turn: a tenth of a second for the worst of it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of an answer's head, the interim answers ahead of it counted in. Devices send a few hundred."""
BODY_SLACK: Final = 64 * 1024
"""Bytes that a body may take on the wire beyond its limit: the frames of its chunks."""
UNREAD_LIMIT: Final = 1024 * 1024
"""Bytes that may come before anybody reads them."""
SLICE: Final = 16 * 1024
"""Bytes that are parsed at a time; others have their turn in between."""


class FloodedError(aiohttp.ClientPayloadError):
    """An answer that goes on without saying anything."""


class BoundedHandler(ResponseHandler):
    """aiohttp's side of one connection, within these limits. Used as the connector's factory."""

    _left = HEAD_LIMIT
    _waiting = b""
    _next: asyncio.Handle | None = None

    def set_response_params(self, **params: Any) -> None:
        """A new request: its answer begins with a head."""
        self._left = HEAD_LIMIT
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Aiohttp's queue of answers' heads."""
        if data[0].code >= 200:
            self._left = max(self._left, UNREAD_LIMIT)
        super().feed_data(data, size)

    def allow(self, limit: int) -> None:
        """A body of so many bytes is read now."""
        self._left = limit + BODY_SLACK

    def data_received(self, data: bytes) -> None:
        if not data or self._upgraded:
            super().data_received(data)
        elif self._waiting:
            self._waiting += data
        else:
            self._take(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        super().resume_reading(resume_parser)
        if self._waiting:
            self._soon()

    def close(self) -> None:
        """Without a farewell in TLS: asyncio keeps the socket for half a minute when the device does not answer that."""
        if self.transport is not None and self.transport.get_extra_info("ssl_object") is not None:
            self.abort()
        else:
            super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        while self._waiting and not self._exception:
            piece, self._waiting = self._waiting[:SLICE], self._waiting[SLICE:]
            if self._affordable(piece):
                super().data_received(piece)
        super().connection_lost(exc)

    def _resume_transport_reading(self) -> None:
        """aiohttp's, once for each chunk that was read: not while more of what came waits here."""
        if not self._waiting:
            super()._resume_transport_reading()

    def _soon(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._next = None
        if self.transport is None:
            self._waiting = b""
        elif self._waiting and not self._reading_paused:
            self._take(self._waiting)

    def _take(self, data: bytes) -> None:
        held = bool(self._waiting)
        piece, self._waiting = data[:SLICE], data[SLICE:]
        if not self._affordable(piece):
            self._waiting = b""
            return
        super().data_received(piece)
        if self._exception is not None:
            self._waiting = b""  # it was no HTTP
        elif self._waiting:
            self._pause_transport_reading()
            self._soon()
        elif held and not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _affordable(self, piece: bytes) -> bool:
        self._left -= len(piece)
        if self._left >= 0:
            return True
        error = FloodedError("the answer goes on without end")
        payload, self._parser = self._payload, None
        if payload is not None:
            payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
        return False
