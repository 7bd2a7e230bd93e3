"""What devices say by themselves: one stream a device, opened again when it ends. A poll reconciles what a stream missed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.errors import CollectError, NotSupported, Reason, StoreError, Unreachable
from agent.logs import logger
from agent.model import Device
from agent.ports import Clock, Listener

FIRST = 2.0
LONGEST = 300.0
"""Seconds before the second try, doubled with each failure up to this, each shortened by up to a half at random: a switch that restarts
brings back all its devices at once.
"""
LIVED = 60.0
"""A stream that was open for so many seconds ended by itself, and the next try is the first one again."""
LOCKED_OUT = 900.0
"""Seconds after a login that must not be tried, or was refused: only a person ends that."""
LACKING_AGAIN = 86_400.0
"""A device without a stream is asked for one again once a day: a firmware update may bring it. It is polled as ever."""

_FOR_A_PERSON = frozenset(
    {Reason.AUTH, Reason.AUTH_BLOCKED, Reason.NO_CREDENTIAL, Reason.TLS_CHANGED, Reason.TLS_NOT_TRUSTED, Reason.WEAKER_SCHEME, Reason.FORBIDDEN}
)


@dataclass(slots=True)
class Reach:
    """Whether the device answered its last poll: no stream is opened to one that does not, nor to one that was never polled.

    `stream` is the one that is held: it ends when a poll does not reach the device, for what it said is forgotten then and is not said again.
    """

    there: asyncio.Event = field(default_factory=asyncio.Event)
    stream: asyncio.Timeout | None = None

    def note(self, *, reachable: bool) -> None:
        if reachable:
            self.there.set()
            return
        self.there.clear()
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.reschedule(asyncio.get_running_loop().time())


def pause(failures: int, reason: str, shorten: float) -> float:
    """Seconds until the next try after so many failures in a row. `shorten`: 0 to 1, by chance."""
    if reason == Reason.NOT_SUPPORTED:
        return LACKING_AGAIN
    base = LOCKED_OUT if reason in _FOR_A_PERSON else min(LONGEST, FIRST * 2.0 ** min(failures - 1, 16))
    return base * (1.0 - shorten / 2)


async def follow(
    device: Device,
    listen: Callable[[Listener], Awaitable[None]],
    listener: Listener,
    reach: Reach,
    clock: Clock,
    chance: Callable[[], float] = random.random,
) -> None:
    """Hold a stream to this device for ever: `listen` opens one, tells `listener` of it, and returns or raises CollectError when it ends."""
    failures = 0
    while True:
        await reach.there.wait()
        started = clock.monotonic()
        reason, detail = "", "the device closed it"
        try:
            await _held(listen, listener, reach)
        except NotSupported as error:
            reason, detail = Reason.NOT_SUPPORTED, error.detail
        except CollectError as error:
            reason, detail = error.reason, error.detail
        except StoreError:
            reason, detail = "store", "what must be written down ahead of a login cannot be"  # the store said so
        except Exception as error:  # noqa: BLE001 - a bug in one device's stream costs that stream; it is logged with its traceback
            logger("streams").exception("bug_in_stream", device=device.id)
            reason, detail = Reason.BUG, f"{type(error).__name__} in the stream; the log has the traceback"
        failures = 1 if clock.monotonic() - started >= LIVED else failures + 1
        wait = pause(failures, reason, chance())
        log = logger("streams").debug if reason == Reason.NOT_SUPPORTED or failures > 1 else logger("streams").info
        log("stream_ended", device=device.id, reason=str(reason) or None, detail=detail, again_in=round(wait, 1))
        await clock.sleep(wait)


async def _held(listen: Callable[[Listener], Awaitable[None]], listener: Listener, reach: Reach) -> None:
    """One stream, for as long as polls reach the device."""
    scope = asyncio.timeout(None)
    try:
        async with scope as reach.stream:
            await listen(listener)
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unreachable(Reason.TIMEOUT, "a poll did not reach the device") from None
    finally:
        reach.stream = None
        listener.closed()
