"""What the tests of the simulated Poly devices share: a clock that is turned by hand, and a client that sends exactly what it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncssh

from simulator.listener import Ports, serve
from simulator.poly import VideoOs

ADDRESS = "127.71.0.1"
PASSWORD = "Latarnia-2026"


class HandClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 5, 12, tzinfo=UTC) + timedelta(seconds=self.seconds - 1_000_000.0)

    def turn(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """What Set-Cookie carries, byte for byte."""
        pairs = (line.split(";")[0].partition("=") for line in self.headers.getall("Set-Cookie", []))
        return {name: value for name, _, value in pairs}


class Visitor:
    """One client: keeps cookies raw and follows the token, unless told otherwise."""

    def __init__(self, device: VideoOs, ports: Ports, http: aiohttp.ClientSession) -> None:
        self.device = device
        self.ports = ports
        self._http = http
        self.cookies: dict[str, str] = {}
        self.token: str | None = None

    async def call(self, method: str, path: str, *, body: bytes | None = None, cookies: dict[str, str] | None = None, token: str | None = None) -> Reply:
        """`token` '' sends none; None sends the newest."""
        sent = self.cookies if cookies is None else cookies
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        if sent:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in sent.items())
        xsrf = sent.get("XSRF-TOKEN") if token is None else token
        if xsrf:
            headers["X-XSRF-TOKEN"] = xsrf
        url = f"https://{self.device.address}:{self.ports.https}{path}"
        async with self._http.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            reply = Reply(status=response.status, body=await response.read(), headers=response.headers)
        if cookies is None:
            self.cookies |= reply.cookies
        return reply

    async def get(self, path: str) -> Reply:
        return await self.call("GET", path)

    async def post(self, path: str, value: Any) -> Reply:
        return await self.call("POST", path, body=json.dumps(value).encode())

    async def login(self, password: str = PASSWORD, user: str = "admin") -> Reply:
        return await self.post("/rest/session", {"user": user, "password": password})

    def another(self) -> Visitor:
        """A client of its own, without cookies."""
        return Visitor(self.device, self.ports, self._http)

    async def certificate(self) -> bytes:
        """The certificate shown now, DER."""
        return await _certificate(self.device.address, self.ports.https)

    @asynccontextmanager
    async def shell(self, password: str = PASSWORD) -> AsyncIterator[asyncssh.SSHClientConnection]:
        async with asyncssh.connect(
            self.device.address, self.ports.ssh, username="admin", password=password, known_hosts=None, client_keys=None, config=None, agent_path=None
        ) as connection:
            yield connection


async def _certificate(host: str, port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert isinstance(der, bytes)
        return der
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def visiting(device: VideoOs, *, keep: bool = False) -> AsyncIterator[Visitor]:
    """The device on loopback and a client that has not logged in yet. Each call has a connection of its own unless they are to be kept."""
    connector = aiohttp.TCPConnector(ssl=False, force_close=not keep)
    async with (
        serve([device]) as ports,
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=5)) as http,
    ):
        yield Visitor(device, ports, http)


def a_device(profile: str = "x70", **more: Any) -> VideoOs:
    return VideoOs(**({"name": "room-1", "address": ADDRESS, "profile": profile, "password": PASSWORD} | more))
