"""A web application of the test's own, served in a thread while commands run against it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web


@contextmanager
def in_thread(open: Callable[[], AbstractAsyncContextManager[int]]) -> Iterator[int]:
    """Run `open()` on a loop of its own thread; gives the port it gives, until the block ends."""
    started = threading.Event()
    told: dict[str, Any] = {}

    async def serve() -> None:
        stop = asyncio.Event()
        told["stop"] = lambda: told["loop"].call_soon_threadsafe(stop.set)
        told["loop"] = asyncio.get_running_loop()
        try:
            async with open() as port:
                told["port"] = port
                started.set()
                await stop.wait()
        finally:
            started.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="served", daemon=True)
    thread.start()
    assert started.wait(10)
    assert "port" in told, "the server did not start"
    try:
        yield told["port"]
    finally:
        told["stop"]()
        thread.join(10)
        assert not thread.is_alive()


@asynccontextmanager
async def site_of(app: web.Application, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The application on a free port of 127.0.0.1."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
