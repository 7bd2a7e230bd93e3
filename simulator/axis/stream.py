"""Events over WebSocket: tokens, connections, `events:configure` and `events:notify`.

Frames and the token's fifteen seconds are those that working clients know; the codes of errors are those of the JSON interfaces.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from simulator.axis.state import State
from simulator.axis.topics import Event, matches, stateful

PATH = "/vapix/ws-data-stream"
TOKEN_LIFETIME = 15.0  # seconds
_BACKLOG = 4096  # frames; a client that reads slower than this is dropped
_FLOOD, _FLOOD_PAUSE = 100, 0.05  # 2,000 frames a second
_LARGEST = 64 * 1024  # bytes of a request

_NONSENSE: tuple[str | bytes, ...] = (
    "",
    "{",
    "null",
    "[]",
    '"events:notify"',
    b"\x00\xff\xfe",
    '{"apiVersion":"1.0","method":"events:notify"}',
    '{"apiVersion":"1.0","method":"events:notify","params":null}',
    '{"apiVersion":"1.0","method":"events:notify","params":{"notification":[]}}',
    '{"apiVersion":"1.0","method":"events:notify","params":{"notification":{"topic":7,"timestamp":"soon","message":"none"}}}',
    '{"apiVersion":"1.0","method":"events:notify","params":{"notification":{"topic":"tnsaxis:Storage/Disruption","message":{"data":{"disruption":["1"]}}}}}',
    '{"apiVersion":"1.0","method":"events:notify","params":{"notification":{"topic":"tnsaxis:Storage/Disruption","timestamp":1e400,"message":null}}}',
    '{"apiVersion":"9.9","method":"events:nonsense","params":{}}',
    '{"apiVersion":"1.0","method":"events:notify","params":{"notification":{"topic":"' + "x" * 100_000 + '","message":{}}}}',
    "[" * 2000,
)


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hub:
    """The event streams of one device, and the tokens that open them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tokens: dict[str, float] = {}
        self._open: set[_Connection] = set()

    def token(self) -> str:
        """A token that opens one stream."""
        now = self._state.clock.monotonic()
        self._tokens = {token: until for token, until in self._tokens.items() if until >= now}
        token = secrets.token_urlsafe(24)
        self._tokens[token] = now + TOKEN_LIFETIME
        self._state.counters.tokens += 1
        return token

    def redeem(self, token: str) -> bool:
        """Whether the token is good; it is used up."""
        until = self._tokens.pop(token, None)
        good = until is not None and self._state.clock.monotonic() <= until
        self._state.counters.refused_tokens += not good
        return good

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One stream, until either end closes it."""
        socket = web.WebSocketResponse(autoping=False, timeout=1.0, max_msg_size=_LARGEST, compress=False)
        await socket.prepare(request)
        counters = self._state.counters
        connection = _Connection(socket, self._state)
        self._open.add(connection)
        counters.streams += 1
        counters.streams_open += 1
        counters.streams_at_once = max(counters.streams_at_once, counters.streams_open)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)
            counters.streams_open -= 1
        return socket

    def tell(self, *events: Event) -> None:
        """These events, and whatever stateful topic has changed, to everybody who listens."""
        for connection in self._open:
            connection.tell(events)

    def close(self) -> None:
        """The device ends its streams, and forgets its tokens."""
        self._tokens.clear()
        for connection in self._open:
            connection.close()


class _Connection:
    """One stream. What it has to send waits in a queue, so that a device never waits for a listener; None in it is the end."""

    def __init__(self, socket: web.WebSocketResponse, state: State) -> None:
        self._socket = socket
        self._state = state
        self._filters: tuple[str, ...] = ()
        self._told: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(_BACKLOG)
        self._late = False

    @property
    def _silent(self) -> bool:
        return not self._state.faults.isdisjoint({"stream_silent", "hang"})

    @property
    def _flooding(self) -> bool:
        return bool(self._filters) and "stream_floods" in self._state.faults

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write())
            await self._read()
            writer.cancel()

    # --- what is heard ---

    async def _read(self) -> None:
        async for message in self._socket:
            if self._silent:
                continue
            match message.type:
                case WSMsgType.PING:
                    await self._pong(message.data)
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self._answer(message.data)
                case _:
                    pass

    async def _pong(self, content: bytes) -> None:
        try:
            await self._socket.pong(content)
        except ConnectionError:
            self._late = True  # the listener is gone; reading ends by itself

    def _answer(self, content: str | bytes) -> None:
        reply: dict[str, Any] = {"apiVersion": "1.0"}
        try:
            request = _parsed(content)
            reply |= {name: request[name] for name in ("context", "method") if isinstance(request.get(name), str)}
            filters = _filters(request)
        except _Refused as problem:
            self._put(json.dumps({**reply, "error": {"code": problem.code, "message": str(problem)}}))
            return
        self._put(json.dumps({**reply, "data": {}}))
        self._filters = filters
        self._told = {}
        self.tell(())
        if "stream_closes" in self._state.faults:
            self.close()

    # --- what is said ---

    def tell(self, events: tuple[Event, ...]) -> None:
        """Queue these events, and what has changed since it was told last."""
        if self._silent or not self._filters:
            return
        for event in [*self._changed(), *(event for event in events if self._wanted(event))]:
            self._put(_notification(event, self._state))
            self._state.counters.notifications += 1
        if "stream_nonsense" in self._state.faults:
            for frame in _NONSENSE:
                self._put(frame)
        if self._flooding:
            self._put("")  # wakes the writer, which floods

    def close(self) -> None:
        self._put(None)

    def _wanted(self, event: Event) -> bool:
        return any(matches(event.topic, pattern) for pattern in self._filters)

    def _changed(self) -> Iterator[Event]:
        for event in stateful(self._state):
            if self._told.get(event.key) != event.data and self._wanted(event):
                self._told[event.key] = event.data
                yield event

    def _put(self, frame: str | bytes | None) -> None:
        try:
            self._waiting.put_nowait(frame)
        except asyncio.QueueFull:
            self._late = True

    async def _write(self) -> None:
        try:
            while not self._late:
                frame = await self._waiting.get()
                if frame is None:
                    await self._socket.close(code=WSCloseCode.GOING_AWAY)
                    return
                if isinstance(frame, bytes):
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(frame)
                while self._flooding and self._waiting.empty() and not self._silent:
                    await self._flood()
            await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        except ConnectionError:
            return  # the listener is gone; the reader sees it too

    async def _flood(self) -> None:
        for number in range(_FLOOD):
            event = Event("tns1:Device/tnsaxis:IO/VirtualInput", {"port": str(number % 32 + 1)}, {"active": str(number // 32 % 2)})
            await self._socket.send_str(_notification(event, self._state))
            self._state.counters.notifications += 1
        await asyncio.sleep(_FLOOD_PAUSE)


def _notification(event: Event, state: State) -> str:
    """A frame. The timestamp is in milliseconds since 1970."""
    message = {"source": event.source, "key": {}, "data": event.data}
    told = {"topic": event.topic, "timestamp": int(state.now().timestamp() * 1000), "message": message}
    return json.dumps({"apiVersion": "1.0", "method": "events:notify", "params": {"notification": told}})


def _parsed(content: str | bytes) -> dict[str, Any]:
    try:
        request = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Refused(4000, "JSON input error") from error
    if not isinstance(request, dict):
        raise _Refused(4000, "JSON input error")
    return request


def _filters(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The topic filters of `events:configure`."""
    version = request.get("apiVersion")
    if version is None or "method" not in request:
        raise _Refused(4002, f"JSON semantic error: Missing '{'apiVersion' if version is None else 'method'}'")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise _Refused(2003, f"The requested API version is not supported: {version}")
    if request["method"] != "events:configure":
        raise _Refused(2004, f"JSON semantic error: Unknown method '{request['method']}'")
    parameters = request.get("params")
    rows = parameters.get("eventFilterList") if isinstance(parameters, dict) else None
    if not isinstance(rows, list):
        raise _Refused(4002, "JSON semantic error: Missing 'eventFilterList'")
    if not all(isinstance(row, dict) and isinstance(row.get("topicFilter"), str) for row in rows):
        raise _Refused(1000, "Invalid parameter: eventFilterList")
    return tuple(row["topicFilter"] for row in rows)
