"""HTTP to one device for one visit."""

from __future__ import annotations

import asyncio
import errno
import json as jsonlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import aiohttp
from yarl import URL

from agent.errors import CollectError, LoginBlocked, LoginRefused, NotTrusted, Reason
from agent.model import Device
from agent.ports import Services
from collectors.transport.answers import HttpAnswer, raise_for_status
from collectors.transport.auth import KnownHttp, Login
from collectors.transport.door import Door, TlsCommons
from collectors.transport.failures import SOCKET_FAILURES, failure
from collectors.transport.websocket import FAREWELL, IDLE, MESSAGE_LIMIT, WebSocket, not_opened
from collectors.transport.wire import PIECE, USER_AGENT, Reply, Wire, new_connector

MISSING: Final = object()
BODY_LIMIT: Final = 512 * 1024
"""Seven times the longest answer of a device that was recorded. What is longer holds the loop while it is parsed."""
STREAM_LIMIT: Final = 4 * 1024 * 1024
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_DRAIN: Final = 64 * 1024  # a longer body of a 401 is not worth the connection
_TRIES: Final = 4  # ask, answer the challenge, answer a stale nonce, and one to spare for a change of scheme


@dataclass(slots=True)
class HttpCommons:
    """What the HTTP visits of one plugin share."""

    services: Services
    tls: TlsCommons = field(default_factory=TlsCommons)
    known: dict[str, KnownHttp] = field(default_factory=dict)
    resolver: aiohttp.abc.AbstractResolver | None = None

    def known_of(self, device: Device) -> KnownHttp:
        return self.known.setdefault(device.id, KnownHttp())


class HttpConnection:
    """One visit's HTTP: at most one connection, made at the first request, kept until the visit ends, and one request at a time.

    Redirects are answers like others, cookies are the caller's business, proxies of the environment are not used.
    """

    def __init__(self, device: Device, commons: HttpCommons) -> None:
        self.requests = 0
        self.sent = False
        """Whether the newest request has gone out; False while its connection is being made."""
        self._device = device
        self._services = commons.services
        self._commons = commons
        port = device.port or (443 if device.scheme == "https" else 80)
        host = f"[{device.host}]" if ":" in device.host else device.host
        self._port = port
        self._where = f"{host}:{port}"
        self._origin = f"{device.scheme}://{self._where}"
        self._wire: Wire | None = None
        self._session: aiohttp.ClientSession | None = None
        """In place of the wire while a WebSocket is open."""
        self._door = Door(device, port, commons.services, commons.tls) if device.scheme == "https" else None
        self._logins: dict[str, Login] = {}
        self._refused = False
        self._turn = asyncio.Lock()

    @property
    def certificate(self) -> bytes:
        """What the newest connection of this visit was shown, in DER; b'' before there was one, and without TLS."""
        connection = self._door.peer.connection if self._door is not None else None
        return (connection.getpeercert(binary_form=True) or b"") if connection is not None else b""

    async def close(self) -> None:
        """Give the connection back."""
        opened = self._wire or self._session
        if opened is None:
            return
        self._wire = self._session = None
        if self._door is not None:
            self._door.leave()
        await opened.close()
        if self._door is not None:
            await self._door.note()

    async def request(
        self,
        method: str,
        path: str,
        *,
        account: str = "http",
        params: str = "",
        body: bytes | None = None,
        json: object = MISSING,
        headers: Mapping[str, str] = NO_HEADERS,
        limit: int = BODY_LIMIT,
        timeout: float | None = None,
    ) -> HttpAnswer:
        """Send one request and read the whole answer, whatever its status, except the 401s that belong to logging in.

        `path` starts with '/'. `params` is a query already encoded; it is sent byte for byte. `json` is sent as a JSON body.
        `account` is the role of the credential to use if the device asks for one; '' never sends any, and a 401 is then an answer.
        Ask what needs no login with account ''. `limit` in bytes, after unpacking; `timeout` in seconds, for each of the
        at most four requests on the wire (default: the agent's). Raises CollectError and its kinds, and nothing else.
        """
        target, sent, body = _message(path, params, body, json, headers)
        seconds = self._services.timeout if timeout is None else timeout
        start = self._services.clock.monotonic()
        mine = False
        trouble: CollectError
        try:
            await self._my_turn(seconds)
            mine, self.sent = True, False
            reply: Reply | None = None
            try:
                reply = await self._answer(method, path, target, account, body, sent, seconds)
                data = await self._read(reply, limit, f"{method} {path}")
                return HttpAnswer(
                    status=reply.status,
                    headers=reply.headers,
                    body=data,
                    content_type=reply.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                    request=f"{method} {self._origin}{path}",
                )
            finally:
                if reply is not None:
                    reply.release()
                self._turn.release()
        except SOCKET_FAILURES as error:
            trouble = self._trouble(error, f"{method} {path}", self._services.clock.monotonic() - start, sent=mine and self.sent)
        raise trouble from None  # aiohttp's exceptions know the request's headers

    async def stream(
        self,
        method: str,
        path: str,
        *,
        account: str = "http",
        params: str = "",
        body: bytes | None = None,
        json: object = MISSING,
        headers: Mapping[str, str] = NO_HEADERS,
        limit: int = STREAM_LIMIT,
        timeout: float | None = None,
        head: Callable[[HttpAnswer], None] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The body of a 200 in pieces; another status raises as `raise_for_status` does, past `limit` CollectError(TOO_LARGE).

        Arguments as for `request`; `timeout` bounds the whole body. Close the generator (`contextlib.aclosing`) when leaving early;
        no other request of this visit runs meanwhile. `head` is shown the answer's status and headers before all else.
        """
        target, sent, body = _message(path, params, body, json, headers)
        seconds = self._services.timeout if timeout is None else timeout
        start = self._services.clock.monotonic()
        mine = False
        trouble: CollectError
        try:
            await self._my_turn(seconds)
            mine, self.sent = True, False
            reply: Reply | None = None
            try:
                reply = await self._answer(method, path, target, account, body, sent, seconds)
                answer = HttpAnswer(status=reply.status, headers=reply.headers, request=f"{method} {self._origin}{path}")
                if head is not None:
                    head(answer)
                if reply.status != 200:
                    raise_for_status(answer)
                    raise CollectError(Reason.HTTP_STATUS, f"{answer.request} answered {reply.status} instead of a file")
                async for piece in self._pieces(reply, limit, f"{method} {path}"):
                    yield piece
                return
            finally:
                if reply is not None:
                    reply.release()
                self._turn.release()
        except SOCKET_FAILURES as error:
            trouble = self._trouble(error, f"{method} {path}", self._services.clock.monotonic() - start, sent=mine and self.sent)
        raise trouble from None

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        params: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
        limit: int = MESSAGE_LIMIT,
        idle: float = IDLE,
        timeout: float | None = None,
    ) -> AsyncIterator[WebSocket]:
        """Open a WebSocket under the same TLS policy as a request; leaving closes it, and the visit's connection with it.

        It sends no credential but what the caller puts into `params` and `headers` (a session token). `limit` in bytes for one message;
        compression is not offered. A device silent for `idle` seconds is pinged, and given up when it does not answer within half of that.
        `timeout` in seconds bounds the opening (default: the agent's). No request of this visit runs meanwhile: open it in one of its own.
        Raises CollectError and its kinds, and nothing else.
        """
        url = URL(self._origin + _target(path, params), encoded=True)
        seconds = self._services.timeout if timeout is None else timeout
        tried = f"WebSocket {path}"
        clock = self._services.clock
        start = clock.monotonic()
        mine = False
        trouble: CollectError | None = None
        opened: WebSocket | None = None
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._turn.acquire()
                    mine, self.sent = True, False
                    await self.close()  # a session of aiohttp's takes the place of the wire there may be
                    context = await self._settle(seconds)
                    session = self._session = self._new_session()
                    if self._door is not None:
                        self._door.offered = None  # a connection that lasts
                    self.requests += 1
                    socket = await session.ws_connect(
                        url,
                        headers=headers,
                        ssl=context,
                        autoclose=False,
                        heartbeat=idle,
                        max_msg_size=limit + 1,
                        timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=FAREWELL),
                    )
                opened = WebSocket(socket, where=self._where, tried=tried, timeout=self._services.timeout)
            except aiohttp.WSServerHandshakeError as error:
                trouble = not_opened(error, f"WebSocket {self._origin}{path}")
            except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
                trouble = await self._distrust(error)
            except SOCKET_FAILURES as error:
                trouble = self._trouble(error, tried, clock.monotonic() - start, sent=mine and self.sent)
            if trouble is not None:
                raise trouble from None
            assert opened is not None
            yield opened
        finally:
            if opened is not None:
                await opened.close()
            if mine:
                await self.close()
                self._turn.release()

    async def _my_turn(self, seconds: float) -> None:
        if self._turn.locked():
            async with asyncio.timeout(seconds):
                await self._turn.acquire()
        else:
            await self._turn.acquire()

    async def _answer(self, method: str, path: str, target: str, account: str, body: bytes | None, headers: dict[str, str], seconds: float) -> Reply:
        wire = self._wire or await self._open(seconds)
        if not account:
            return await self._send(wire, method, target, body, headers, seconds, again=method in ("GET", "HEAD"))
        login = self._login(account)
        await login.start()
        asked = f"{method}:{target}"
        login.check(asked)
        try:
            for _ in range(_TRIES):
                authorization = login.authorization(path, method, target, body or b"")
                if not authorization:
                    reply = await self._send(wire, method, target, body, headers, seconds, again=method in ("GET", "HEAD"))
                    if reply.status != 401:
                        return reply
                    offers = await _drained(reply)
                    await login.challenged(path, offers)
                    continue
                await login.begin()
                again = login.proven and method in ("GET", "HEAD")
                reply = await self._send(wire, method, target, body, {**headers, "Authorization": authorization}, seconds, again=again)
                if reply.status != 401:
                    await login.passed(reply.status, asked)
                    return reply
                await login.answered_401(asked, await _drained(reply))
            raise CollectError(Reason.AUTH, f"{self._where}: {method} {path}: the device answers every login with a new challenge")
        except LoginRefused:
            self._refused = True
            raise
        finally:
            # However it ended: who waits for the outcome of this attempt must not wait for ever. A 401 that says neither yes nor no
            # (a new challenge again and again, or one that must not be taken up) may have been counted as a refusal.
            await login.unclear(sent=self.sent)

    def _login(self, account: str) -> Login:
        if self._refused:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"{self._where}: the device refused a login earlier in this visit; no other is tried")
        login = self._logins.get(account)
        if login is None:
            credential = self._device.http_credential(account)
            if credential is None:
                raise CollectError(Reason.NO_CREDENTIAL, f"{self._device.id} has no credential for the role '{account}': add it under credentials")
            login = self._logins[account] = Login(self._services, self._device, account, credential, self._commons.known_of(self._device))
        return login

    async def _send(self, wire: Wire, method: str, target: str, body: bytes | None, headers: dict[str, str], seconds: float, *, again: bool) -> Reply:
        """One request on the wire. `again`: a kept connection that the device had closed meanwhile is replaced once."""
        kept = self.requests > 0
        try:
            try:
                return await self._once(wire, method, target, body, headers, seconds)
            except aiohttp.ClientConnectorError as error:  # nothing was sent
                if self._door is None or isinstance(error, aiohttp.ClientConnectorCertificateError) or not self._door.offered_in_vain(error):
                    raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError) as error:
                if not (again and kept and _hung_up(error)):
                    raise
            return await self._once(wire, method, target, body, headers, seconds)
        except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
            distrust = await self._distrust(error)
        raise distrust from None

    async def _once(self, wire: Wire, method: str, target: str, body: bytes | None, headers: dict[str, str], seconds: float) -> Reply:
        self.requests += 1
        try:
            return await wire.ask(method, target, headers, body, seconds)
        finally:
            self.sent = wire.sent

    async def _settle(self, seconds: float) -> ssl.SSLContext | bool:
        """What the device's certificate must be, before the first byte of HTTP."""
        return True if self._door is None else await self._door.settle(seconds)

    async def _open(self, seconds: float) -> Wire:
        context = await self._settle(seconds)
        self._wire = Wire(URL(self._origin + "/", encoded=True), self._new_connector(), context, self._door)
        return self._wire

    def _new_connector(self) -> aiohttp.TCPConnector:
        return new_connector(door=self._door, resolver=self._commons.resolver, source=self._device.source_address)

    def _new_session(self) -> aiohttp.ClientSession:
        """What opens a WebSocket."""
        session = aiohttp.ClientSession(
            connector=self._new_connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            read_bufsize=PIECE,
            trace_configs=[self._watched()],
        )
        # aiohttp would send the request twice by itself when its connection breaks, a token included.
        session._retry_connection = False  # noqa: SLF001 - has no public name; a test holds it
        return session

    def _watched(self) -> aiohttp.TraceConfig:
        """Notes when the request goes out: aiohttp raises the same time-out before and after.

        And ends a redirect that it would follow by itself: opening a WebSocket has no `allow_redirects`.
        """

        async def sent(_session: aiohttp.ClientSession, _context: object, _params: aiohttp.TraceRequestHeadersSentParams) -> None:
            self.sent = True

        async def redirected(_session: aiohttp.ClientSession, _context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
            params.response.close()
            raise CollectError(Reason.HTTP_STATUS, f"{self._where}: the device answered {params.response.status}: redirects are not followed")

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(sent)
        trace.on_request_redirect.append(redirected)
        return trace

    async def _distrust(self, error: aiohttp.ServerFingerprintMismatch | aiohttp.ClientConnectorCertificateError) -> NotTrusted:
        assert self._door is not None
        return await self._door.distrust(error)

    def _trouble(self, error: BaseException, tried: str, seconds: float, *, sent: bool) -> CollectError:
        return failure(error, where=self._where, tried=tried, seconds=seconds, sent=sent, legacy=self._device.tls.legacy)

    async def _read(self, reply: Reply, limit: int, tried: str) -> bytes:
        reply.allow(limit)
        declared = reply.length
        if declared is not None and declared <= limit and "Content-Encoding" not in reply.headers:
            return await reply.content.read()
        pieces = [piece async for piece in self._pieces(reply, limit, tried)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _pieces(self, reply: Reply, limit: int, tried: str) -> AsyncIterator[bytes]:
        size = 0
        reply.allow(limit)
        declared = reply.length
        if declared is None or declared <= limit:
            async for piece in reply.content.iter_any():
                size += len(piece)
                if size > limit:
                    break
                yield piece
            else:
                return
        raise CollectError(Reason.TOO_LARGE, f"{self._where}: {tried}: the body is longer than {limit} bytes")


def _hung_up(error: BaseException) -> bool:
    """Whether the device closed the connection: in an orderly way, or by a reset in answer to our request."""
    return not isinstance(error, aiohttp.ClientOSError) or isinstance(error, ConnectionResetError) or error.errno in (errno.ECONNRESET, errno.EPIPE)


def _target(path: str, params: str) -> str:
    """What goes out byte for byte."""
    target = f"{path}?{params}" if params else path
    if not path.startswith("/") or not target.isascii() or not target.isprintable() or " " in target or "#" in target:
        raise ValueError(f"not an encoded path and query: {target!r}")
    return target


def _message(path: str, params: str, body: bytes | None, json: object, headers: Mapping[str, str]) -> tuple[str, dict[str, str], bytes | None]:
    """(target, headers, body) of a request."""
    sent = dict(headers)
    if json is not MISSING:
        body = jsonlib.dumps(json, separators=(",", ":")).encode()
        sent.setdefault("Content-Type", "application/json")
    return _target(path, params), sent, body


async def _drained(reply: Reply) -> list[str]:
    """The challenges of a 401, its body out of the way."""
    size = 0
    try:
        async for piece in reply.content.iter_any():
            size += len(piece)
            if size > _DRAIN:
                break
    finally:
        reply.release()
    return reply.headers.getall("WWW-Authenticate", [])
