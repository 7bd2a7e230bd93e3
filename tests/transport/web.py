"""A device's web server on loopback, which keeps what it was sent."""

from __future__ import annotations

import hashlib
import re
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.transport.fakes import ACCOUNT, SERVICE

ACCOUNTS = {credential.username: credential.password.reveal() for credential in (ACCOUNT, SERVICE)}
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    handler: Handler
    port: int = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path, {name.lower(): value for name, value in request.headers.items()}))
        self.connections.add(id(request.transport))
        return await self.handler(request)

    @property
    def authorized(self) -> list[str]:
        return [headers["authorization"] for _, _, headers in self.requests if "authorization" in headers]


@asynccontextmanager
async def site(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    served = Site(handler)
    runner = web.ServerRunner(web.Server(served.handle), shutdown_timeout=0.1)
    await runner.setup()
    endpoint = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await endpoint.start()
    served.port = runner.addresses[0][1]
    try:
        yield served
    finally:
        await runner.cleanup()


async def hello(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


def basic(inner: Handler = hello, *, realm: str = "AXIS_00408C000001") -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if given.startswith("Basic "):
            user, _, password = b64decode(given[6:]).decode().partition(":")
            if ACCOUNTS.get(user) == password:
                return await inner(request)
        return web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'}, text="no")

    return handler


@dataclass
class Digest:
    """A digest server that computes everything by itself and counts uses of a nonce."""

    inner: Handler = hello
    algorithm: str = "MD5"
    qop: str = "auth"
    says_stale: bool = True
    lifetime: int = 1000  # uses of a nonce
    also: str = ""
    forbidden: frozenset[str] = frozenset()  # paths that answer 401 to a good login, as cameras do
    issued: int = 0
    uses: dict[str, int] = field(default_factory=dict)
    counts: list[str] = field(default_factory=list)

    def forget(self) -> None:
        self.uses.clear()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not given.startswith("Digest "):
            return self.challenge()
        fields = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        left = self.uses.get(fields["nonce"], 0)
        if not left:
            return self.challenge(stale=self.says_stale)
        self.uses[fields["nonce"]] = left - 1
        digest = hashlib.sha256 if self.algorithm.startswith("SHA-256") else hashlib.md5
        first = digest(f"{fields['username']}:{fields['realm']}:{ACCOUNTS.get(fields['username'], '')}".encode()).hexdigest()
        if self.algorithm.endswith("-sess"):
            first = digest(f"{first}:{fields['nonce']}:{fields['cnonce']}".encode()).hexdigest()
        second = digest(f"{request.method}:{request.raw_path}".encode()).hexdigest()
        middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}" if self.qop else fields["nonce"]
        good = digest(f"{first}:{middle}:{second}".encode()).hexdigest() == fields["response"] and fields["uri"] == request.raw_path
        self.counts.append(fields.get("nc", ""))
        if not good or request.path in self.forbidden:
            return self.challenge()
        return await self.inner(request)

    def challenge(self, *, stale: bool = False) -> web.Response:
        self.issued += 1
        nonce = f"nonce{self.issued}"
        self.uses[nonce] = self.lifetime
        offer = f'Digest realm="AXIS_00408C000001", nonce="{nonce}", algorithm={self.algorithm}'
        offer += f', qop="{self.qop}"' if self.qop else ""
        offer += ", stale=true" if stale else ""
        return web.Response(status=401, headers=[("WWW-Authenticate", offer), *([("WWW-Authenticate", self.also)] if self.also else [])], text="no")
