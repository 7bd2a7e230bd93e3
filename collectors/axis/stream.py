"""One stream of events of an Axis device: open, configure, listen until it ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from agent.errors import CollectError, Reason, Unreachable
from agent.ports import Listener, Signal
from collectors.axis.client import WEBSOCKET_TOKEN, AxisClient
from collectors.axis.events import AGEING, CONFIGURE, acknowledged, event, signal, token_of
from collectors.transport import WebSocket

EVENTS: Final = "/vapix/ws-data-stream"
MESSAGE_LIMIT: Final = 64 * 1024
"""Bytes of one event; those seen have some hundred."""
ACKNOWLEDGED_WITHIN: Final = 10.0
FLOOD: Final = 2000
FLOOD_TIME: Final = 10.0
"""So many events in so many seconds are a device that is out of order; it is left alone for a while, and polled as ever. The present values that
come first are a few dozen.
"""
AGED: Final = 128
"""States whose age is remembered of one device; one that makes up more has the oldest forgotten."""


async def listen(client: AxisClient, listener: Listener, since: dict[str, tuple[str, float]]) -> None:
    """Tell `listener` what the device says, until it ends the stream. `since`: when each lasting state was first heard, kept from stream to stream."""
    token = token_of(await client.text(WEBSOCKET_TOKEN))
    async with client.http.websocket(EVENTS, params=f"sources=events&wssession={quote(token, safe='')}", limit=MESSAGE_LIMIT) as socket:
        await socket.send(CONFIGURE)
        first = await _first(socket)
        listener.opened()
        _tell(client, listener, first, since)
        window, count = client.clock.monotonic(), 0
        async for frame in socket:
            _tell(client, listener, frame, since)
            count += 1
            now = client.clock.monotonic()
            if now - window >= FLOOD_TIME:
                window, count = now, 0
            elif count > FLOOD:
                raise CollectError(Reason.TOO_LARGE, f"{client.device.id}: more than {FLOOD} events in {FLOOD_TIME:.0f} s")
            await asyncio.sleep(0)  # what is in the queue already comes without a turn for the others


async def _first(socket: WebSocket) -> str | bytes:
    """The answer to our wish. Some clients were seen to get the first event before it, or instead."""
    try:
        async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
            async for frame in socket:
                acknowledged(frame)
                return frame
    except TimeoutError:
        raise Unreachable(Reason.TIMEOUT, f"{EVENTS}: the device does not answer events:configure", sent=True) from None
    raise Unreachable(Reason.RESET, f"{EVENTS}: the device closed the stream instead of answering events:configure", sent=True)


def _tell(client: AxisClient, listener: Listener, frame: str | bytes, since: dict[str, tuple[str, float]]) -> None:
    heard = event(frame)
    if heard is None:
        return
    now = client.clock.now()
    found = signal(heard, now)
    if found is not None:
        listener.heard([_dated(found, now.timestamp(), since)])


def _dated(found: Signal, now: float, since: dict[str, tuple[str, float]]) -> Signal:
    """A state of which its age matters, with the time since which it is known to last: `no 1772350580`."""
    facts = {name: value for name, value in found.data.facts.items() if name.startswith(AGEING)}
    if not facts:
        return found
    for name, value in facts.items():
        known = since.get(name)
        if known is None or known[0] != value:
            if known is None and len(since) >= AGED:
                del since[next(iter(since))]
            since[name] = known = (value, now)
        facts[name] = f"{value} {known[1]:.0f}"
    return replace(found, data=replace(found.data, facts={**found.data.facts, **facts}))
