"""Defects of logging in, one test each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from agent.errors import CollectError
from agent.polling.guard import StoredGuard
from agent.ports import Services, SystemClock
from agent.store.database import open_store
from collectors.transport import open_transports
from tests.transport.fakes import WRONG, Fakes, device
from tests.transport.web import Digest, site


async def test_a_challenge_that_is_not_taken_up_frees_the_way_for_the_next_attempt(tmp_path: Path) -> None:
    """A device that says `stale` and now offers a weaker scheme: nothing more is sent, and later visits must not wait for ever."""
    weak = Digest(algorithm="SHA-256", lifetime=0)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="x", nonce="n2", algorithm=MD5, qop="auth", stale=true'})
        return weak.challenge()

    fakes = Fakes()
    with open_store(tmp_path) as store:
        services = Services(guard=StoredGuard(store, SystemClock()), trust=fakes.trust, vault=fakes.vault, memory=fakes.memory, clock=SystemClock(), timeout=5)
        async with site(handler) as served, open_transports(services) as transports:
            camera = device(served.port, scheme="http")
            for _ in range(2):
                async with asyncio.timeout(3), transports.http(camera) as http:
                    with pytest.raises(CollectError):
                        await http.request("GET", "/a")
        del served


async def test_a_device_that_is_slow_to_refuse_is_not_sent_a_wrong_password_at_every_poll(tmp_path: Path) -> None:
    """Many devices delay the answer to a failed login on purpose; the login is counted there all the same (promise 1)."""
    challenge = Digest()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization"):
            await asyncio.sleep(0.6)
        return challenge.challenge()

    fakes = Fakes()
    with open_store(tmp_path) as store:
        services = Services(
            guard=StoredGuard(store, SystemClock()), trust=fakes.trust, vault=fakes.vault, memory=fakes.memory, clock=SystemClock(), timeout=0.2
        )
        async with site(handler) as served, open_transports(services) as transports:
            for _ in range(6):
                async with transports.http(device(served.port, scheme="http", credential=WRONG)) as http:
                    with pytest.raises(CollectError):
                        await http.request("GET", "/a")
            assert len(served.authorized) <= 2
