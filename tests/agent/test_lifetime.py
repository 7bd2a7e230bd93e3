"""From one daemon to the next: what ends, what is waited for, and what is tried again."""

from __future__ import annotations

import asyncio
from typing import Any

from agent.app import end


async def test_a_task_that_swallows_a_cancellation_does_not_keep_the_daemon_from_ending() -> None:
    """`asyncio.wait_for` of Python 3.11 does, when what it waits for comes in the same moment. A courier in a mail library's hands then went on for ever."""
    swallowed = asyncio.Event()

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed.is_set():
                    raise
                swallowed.set()

    task: asyncio.Task[Any] = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await end({task})
    assert swallowed.is_set()
    assert task.cancelled()
