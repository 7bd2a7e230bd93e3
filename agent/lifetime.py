"""The life of the process: what signals it is told, and one daemon after the other, each with the configuration that was read last."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import Any

from agent.app import Daemon, House, read_config, running
from agent.errors import LatarnikError, StartError
from agent.logs import logger
from agent.ports import SystemClock
from config.settings import Settings

START_AGAIN = 5.0
"""Seconds between two tries to go on after a reload: the disk may be full just now."""


class Life:
    """What the process was told, and what it is doing. The signals' handlers stay as long as it lives: none is lost between two daemons."""

    def __init__(self, settings: Settings, house: House) -> None:
        self.settings = settings
        self.ending = asyncio.Event()
        self._house = house
        self._clock = SystemClock()
        self._daemon: Daemon | None = None
        self._opening: asyncio.Task[Any] | None = None
        self._reload_asked = False
        self._following: Settings | None = None

    def end(self) -> None:
        """SIGTERM, SIGINT."""
        self.ending.set()
        if self._opening is not None:
            self._opening.cancel()
        if self._daemon is not None:
            self._daemon.stop.set()

    def reload(self) -> None:
        """SIGHUP: go on with the configuration as it stands in the file now, if that is good."""
        if self._daemon is None or self._following is not None:
            self._reload_asked = True  # seen to by the next daemon
            return
        self._reload_asked = False
        try:
            self._following = read_config(self.settings.file, self._house)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new file, the old configuration goes on
            self._daemon.config_loaded(successful=False)
            self._refused(str(error))
            return
        self._daemon.reloading = True
        self._daemon.stop.set()

    async def daemons(self) -> None:
        """One after the other, until the end. Raises StartError when the first cannot start."""
        worked: Settings | None = None  # the configuration that ran last
        while not self.ending.is_set():
            try:
                await self._one(worked)
            except StartError as error:
                if worked is None:
                    raise
                if self.settings is not worked:
                    self._refused(str(error))
                    self.settings = worked
                else:
                    logger("agent").error("not_started_again", detail=str(error), next=f"mend this; it is tried again every {START_AGAIN:.0f} s")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(START_AGAIN):
                            await self.ending.wait()
                continue
            worked = self.settings
            self.settings = self._following or self.settings
            self._following = None

    async def _one(self, worked: Settings | None) -> None:
        """`worked`: the configuration that ran last."""
        async with AsyncExitStack() as stack:
            # Its threads end with it: what one of them still writes must not come between what the next daemon does.
            pool = ThreadPoolExecutor(thread_name_prefix="daemon")
            stack.callback(pool.shutdown)
            asyncio.get_running_loop().set_default_executor(pool)
            daemon = await self._open(stack)
            if daemon is None:
                return
            self._daemon = daemon
            daemon.config_loaded(successful=self.settings is not worked)
            if worked is not None and worked is not self.settings:
                logger("agent").info("config_reloaded", file=str(self.settings.file))
            try:
                if self._reload_asked:
                    self.reload()
                intervals = {d: daemon.watch.cadence(w.device).interval for d, w in daemon.watch.watched.items()}
                async with asyncio.TaskGroup() as group:
                    await daemon.run(group, intervals)
            finally:
                self._daemon = None

    async def _open(self, stack: AsyncExitStack) -> Daemon | None:
        """None: told to end meanwhile."""
        self._opening = asyncio.current_task()
        try:
            return await stack.enter_async_context(running(self.settings, self._house, self._clock))
        except asyncio.CancelledError:
            if not self.ending.is_set():
                raise
            if self._opening is not None:
                self._opening.uncancel()
            return None
        except (LatarnikError, OSError) as error:
            raise StartError(str(error)) from error
        finally:
            self._opening = None

    def _refused(self, why: str) -> None:
        logger("agent").error("config_not_reloaded", detail=why, next="mend this and send SIGHUP again; the old configuration goes on")


async def run(settings: Settings, house: House) -> None:
    """The daemon, until SIGTERM or SIGINT; SIGHUP reads the configuration again. Raises StartError.

    The caller may have blocked SIGHUP, which kills a process that is not ready for it: one that came meanwhile is seen to now.
    """
    life = Life(settings, house)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end)
    loop.add_signal_handler(signal.SIGHUP, life.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    await life.daemons()
