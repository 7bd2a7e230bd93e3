"""Telling systemd how we are: the notify protocol is a datagram to $NOTIFY_SOCKET. Without that variable nothing is sent."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

from agent.logs import logger


class Notifier:
    """Sends states such as READY=1, never waiting: while systemd does not read, the event loop must not stand still.

    A lost datagram is systemd's to notice (its time-outs and its watchdog), so it is not sent again; an outage is one line in the log, its end another.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ is the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._complained = False

    def send(self, *states: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto("\n".join(states).encode(), self._address)
        except OSError as error:
            if not self._complained:
                self._complained = True
                logger("notify").warning("systemd_not_told", detail=str(error))
        else:
            if self._complained:
                self._complained = False
                logger("notify").info("systemd_told_again")


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two feedings: half of what systemd waits; None when it does not watch us."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None


async def feed_watchdog(notifier: Notifier, interval: float, beats: Callable[[], int]) -> None:
    """Feed while the loop runs (this task does) and the scheduler fires (`beats` grew since the last time). Until cancelled."""
    last = -1
    while True:
        now = beats()
        if now != last:
            notifier.send("WATCHDOG=1")
            last = now
        else:
            logger("watchdog").error("scheduler_stands_still", beats=now)
        await asyncio.sleep(interval)
