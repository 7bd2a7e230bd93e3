"""WebSockets against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from agent.errors import BadPayload, Busy, CollectError, Forbidden, NotSupported, NotTrusted, Reason, Unreachable
from agent.model import TlsMode, TlsPolicy
from collectors.transport import WebSocket, open_transports
from tests.transport.certs import Certificate
from tests.transport.fakes import Fakes, device
from tests.transport.test_http import Talk, raw
from tests.transport.web import Handler, hello, site

Speaker = Callable[[web.WebSocketResponse], Awaitable[None]]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def speaking(speak: Speaker, **options: object) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        opened = web.WebSocketResponse(**options)  # type: ignore[arg-type] # a test's shorthand
        await opened.prepare(request)
        await speak(opened)
        return opened

    return handler


def frames(*pieces: bytes, then: Talk | None = None) -> Talk:
    """Sends these bytes after the first word of the other side."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then is not None:
            await then(reader, writer)

    return talk


@asynccontextmanager
async def switched(talk: Talk) -> AsyncIterator[int]:
    """A server that agrees to a WebSocket by hand, and then does as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"permessage-deflate" not in head.lower()
            key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def opened(fakes: Fakes, port: int, **given: object) -> AsyncIterator[WebSocket]:
    async with (
        open_transports(fakes.services()) as transports,
        transports.http(device(port, scheme="http")) as http,
        http.websocket("/vapix/ws-data-stream", params="sources=events", **given) as socket,  # type: ignore[arg-type] # a test's shorthand
    ):
        yield socket


async def refused(fakes: Fakes, port: int) -> CollectError:
    with pytest.raises(CollectError) as caught:
        async with opened(fakes, port):
            pass
    return caught.value


async def heard(fakes: Fakes, port: int, **given: object) -> tuple[list[str | bytes], CollectError | None]:
    """What came before the error, and the error."""
    found: list[str | bytes] = []
    try:
        async with opened(fakes, port, **given) as socket:
            await socket.send("go")
            async for message in socket:
                found.append(message)  # noqa: PERF401 - what came before an error counts
    except CollectError as error:
        return found, error
    return found, None


async def test_messages_go_both_ways_until_the_device_says_goodbye(fakes: Fakes) -> None:
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.send_str((await socket.receive_str()).upper())
        await socket.ping(b"there?")
        await socket.send_bytes(b"\x00\xff")
        await socket.close(code=1001)

    async with site(speaking(speak)) as served:
        async with opened(fakes, served.port, headers={"Authorization": "Bearer token"}) as socket:
            await socket.send('{"method": "events:configure"}')
            assert [message async for message in socket] == ['{"METHOD": "EVENTS:CONFIGURE"}', b"\x00\xff"]
            assert [message async for message in socket] == [], "it stays closed"
            assert socket.close_code == 1001
        ((method, path, headers),) = served.requests
    assert (method, path) == ("GET", "/vapix/ws-data-stream?sources=events")
    assert headers["authorization"] == "Bearer token"
    assert "sec-websocket-extensions" not in headers, "compression is not offered"
    assert fakes.guard.calls == []


async def test_a_device_that_is_silent_but_there_is_kept(fakes: Fakes) -> None:
    pinged = asyncio.Event()

    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.PING
        await socket.pong(message.data)
        await socket.receive()
        pinged.set()
        await socket.send_str("still here")
        await socket.close()

    async with site(speaking(speak, autoping=False)) as served:
        assert await heard(fakes, served.port, idle=0.1) == (["still here"], None)
    assert pinged.is_set()


async def test_a_device_that_answers_no_ping_is_given_up(fakes: Fakes) -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with switched(frames(b"\x81\x02hi", then=mute)) as port:
        found, error = await heard(fakes, port, idle=0.1)
    assert found == ["hi"]
    assert isinstance(error, Unreachable)
    assert error.reason is Reason.TIMEOUT


async def test_a_message_may_be_as_long_as_the_limit_and_no_longer(fakes: Fakes) -> None:
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.send_str("x" * 1000)
        await socket.send_str("x" * 1001)
        await socket.receive()

    async with site(speaking(speak)) as served:
        found, error = await heard(fakes, served.port, limit=1000)
    assert found == ["x" * 1000]
    assert error is not None
    assert error.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"\x82\x7f" + (1 << 62).to_bytes(8, "big")], Reason.TOO_LARGE),  # a frame of four exabytes
        ([b"\x82\x7f" + (1 << 40).to_bytes(8, "big")], Reason.TOO_LARGE),
        ([b"\x01\x7e\xff\xff" + b"x" * 65535] * 40, Reason.PARSE),  # a text that begins again and again
        ([b"\x01\x01x", *[b"\x00\x7e\xff\xff" + b"x" * 65535] * 40], Reason.TOO_LARGE),  # one that never ends
        ([b"\xc1\x05" + zlib.compress(b"x" * 100)[2:7]], Reason.PARSE),  # compressed, which was not agreed
        ([b"\x81\x01\xff"], Reason.PARSE),  # no UTF-8
        ([b"\x83\x00"], Reason.PARSE),  # no such opcode
        ([b"\x89\x7e\x00\x7e" + b"x" * 126], Reason.PARSE),  # a ping that is too long
        ([b"\x88\x02\x00\x01"], Reason.PARSE),  # no such close code
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], Reason.PARSE),
    ],
)
async def test_what_is_no_message_is_said_so(fakes: Fakes, pieces: list[bytes], reason: Reason) -> None:
    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with switched(frames(*pieces, then=wait)) as port:
        found, error = await heard(fakes, port)
    assert found == []
    assert error is not None
    assert error.reason is reason


async def test_a_compressed_bomb_is_not_unpacked(fakes: Fakes) -> None:
    """A server that compresses though nobody offered it: 20 MB of zeros in 20 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b"\0" * 20_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    async with switched(frames(b"\xc2\x7f" + len(bomb).to_bytes(8, "big") + bomb)) as port:
        found, error = await heard(fakes, port)
    assert found == []
    assert isinstance(error, BadPayload)


@pytest.mark.parametrize("half", [True, False])
async def test_a_connection_that_ends_without_goodbye_is_a_reset(fakes: Fakes, *, half: bool) -> None:
    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if half:
            writer.write_eof()
            await reader.read()
        else:
            writer.transport.abort()

    async with switched(frames(b"\x81\x02hi", then=end)) as port:
        found, error = await heard(fakes, port)
    assert found == ["hi"] or not half, "what was sent before a reset may be lost"
    assert isinstance(error, Unreachable)
    assert error.reason is Reason.RESET
    assert error.sent


async def test_a_device_that_talks_on_after_our_goodbye_is_hung_up_on(fakes: Fakes) -> None:
    gone = asyncio.Event()

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"\x81\x02hi")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()

    async with switched(babble) as port:
        async with opened(fakes, port) as socket:
            assert await anext(aiter(socket)) == "hi"
        async with asyncio.timeout(10):
            await gone.wait()


async def test_the_visit_can_go_on_with_requests_afterwards(fakes: Fakes) -> None:
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.send_str("hi")
        await socket.receive()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await (speaking(speak) if "Upgrade" in request.headers else hello)(request)

    async with site(handler) as served, open_transports(fakes.services(0.3)) as transports, transports.http(device(served.port, scheme="http")) as http:
        async with http.websocket("/ws") as socket:
            assert await anext(aiter(socket)) == "hi"
            with pytest.raises(Unreachable):
                await http.request("GET", "/a", account="")
        assert (await http.request("GET", "/a", account="")).body == b"hello"


@pytest.mark.parametrize(
    ("status", "kind"), [(200, CollectError), (401, CollectError), (403, Forbidden), (404, NotSupported), (426, CollectError), (500, CollectError), (503, Busy)]
)
async def test_another_answer_than_a_websocket_is_told_apart(fakes: Fakes, status: int, kind: type[CollectError]) -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text="<html>no", headers={"WWW-Authenticate": 'Basic realm="x"'})

    async with site(handler) as served:
        error = await refused(fakes, served.port)
        assert served.authorized == []
        assert len(served.requests) == 1
    assert type(error) is kind
    assert str(status) in error.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"SSH-2.0-dropbear\r\n",
    ],
)
async def test_a_handshake_that_makes_no_sense_is_a_bad_payload(fakes: Fakes, answer: bytes) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with raw(talk) as port:
        assert isinstance(await refused(fakes, port), BadPayload)


async def test_a_device_that_never_agrees_is_given_up(fakes: Fakes) -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(mute) as port:
        with pytest.raises(Unreachable) as caught:
            async with opened(fakes, port, timeout=0.2):
                pass
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.sent


async def test_over_tls_the_right_certificate_is_let_in_and_the_wrong_one_learns_nothing(fakes: Fakes, certificates: tuple[Certificate, Certificate]) -> None:
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.send_str("hi")
        await socket.close()

    async with site(speaking(speak), certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        async with (
            transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=certificates[0].sha256))) as http,
            http.websocket("/ws") as socket,
        ):
            assert [message async for message in socket] == ["hi"]
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=certificates[1].sha256))) as http:
            with pytest.raises(NotTrusted) as caught:
                async with http.websocket("/ws", params="token=secret"):
                    pass
        assert len(served.requests) == 1
    assert caught.value.fingerprint == certificates[0].sha256


async def test_a_device_that_hangs_up_gets_no_more_words(fakes: Fakes) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with switched(close) as port, opened(fakes, port) as socket:
        with pytest.raises(Unreachable):
            async for _ in socket:
                pass
        with pytest.raises(CollectError):
            await socket.send("anybody?")
