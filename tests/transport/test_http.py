"""HTTP against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from agent.errors import BadPayload, Busy, CollectError, NotSupported, Reason, Unreachable
from collectors.transport import HttpConnection, open_transports
from tests.transport.fakes import Fakes, device
from tests.transport.web import Handler, hello, site

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def visit(fakes: Fakes, port: int, timeout: float = 5.0, **changes: object) -> AsyncIterator[HttpConnection]:
    async with open_transports(fakes.services(timeout)) as transports, transports.http(device(port, scheme="http", **changes)) as http:  # type: ignore[arg-type] # passed on
        yield http


@asynccontextmanager
async def raw(talk: Talk) -> AsyncIterator[int]:
    """A server that reads one request head and then does as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
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


def sending(data: bytes) -> Talk:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return talk


def answering(**given: object) -> Handler:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(**given)  # type: ignore[arg-type] # a test's shorthand

    return handler


async def test_entering_does_no_io_and_leaving_closes(fakes: Fakes) -> None:
    async with site(hello) as served:
        async with visit(fakes, served.port) as http:
            assert served.requests == []
            assert http.requests == 0
            await http.request("GET", "/a", account="")
            transport = next(iter(served.connections))
            assert transport
        with pytest.raises(OSError):
            async with asyncio.timeout(1):
                await _connected(served.port)


async def _connected(port: int) -> None:
    """Raises when no established connection to this port is left in this process."""
    while True:
        await asyncio.sleep(0.01)
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()][1:]  # noqa: ASYNC240 - a file of the kernel
        if not any(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows):
            raise OSError


async def test_the_target_goes_out_byte_for_byte(fakes: Fakes) -> None:
    async with site(hello) as served, visit(fakes, served.port) as http:
        await http.request("GET", "/a/../b%2fc", params="x=%20+&y=a,b*;(c)'&z=%c5%bc", account="")
        assert served.requests[0][1] == "/a/../b%2fc?x=%20+&y=a,b*;(c)'&z=%c5%bc"


@pytest.mark.parametrize("path", ["a", "/a b", "/ż", "/a\r\nX: y", "/a#b", "//[", ""])
async def test_a_path_that_is_not_encoded_is_our_own_mistake(fakes: Fakes, path: str) -> None:
    async with site(hello) as served, visit(fakes, served.port) as http:
        if path == "//[":
            await http.request("GET", path, account="")
            assert served.requests[0][1] == path
        else:
            with pytest.raises(ValueError):
                await http.request("GET", path, account="")


async def test_json_and_bytes_are_sent_as_given_and_headers_added(fakes: Fakes) -> None:
    bodies = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append((request.headers["Content-Type"], await request.read()))
        return web.Response()

    async with site(handler) as served, visit(fakes, served.port) as http:
        await http.request("POST", "/a", json={"method": "x"}, account="")
        await http.request("POST", "/a", json=None, account="")
        await http.request("POST", "/a", body=b"raw", headers={"Content-Type": "text/xml", "Cookie": "session_id=1+/="}, account="")
        assert served.requests[2][2]["cookie"] == "session_id=1+/="
    assert bodies == [("application/json", b'{"method":"x"}'), ("application/json", b"null"), ("text/xml", b"raw")]


async def test_redirects_are_answers_and_cookies_are_not_kept(fakes: Fakes) -> None:
    async with site(answering(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})) as served, visit(fakes, served.port) as http:
        answer = await http.request("GET", "/a", account="")
        assert (answer.status, answer.headers["location"], answer.headers.getall("SET-COOKIE")) == (302, "/elsewhere", ["a=b"])
        await http.request("GET", "/a", account="")
        assert [(path, "cookie" in headers) for _, path, headers in served.requests] == [("/a", False)] * 2


async def test_a_body_up_to_the_limit_is_taken_and_beyond_it_refused(fakes: Fakes) -> None:
    async with site(answering(body=b"x" * 1000)) as served, visit(fakes, served.port) as http:
        assert len((await http.request("GET", "/a", account="", limit=1000)).body) == 1000
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a", account="", limit=999)
        assert caught.value.reason is Reason.TOO_LARGE
        assert len((await http.request("GET", "/a", account="")).body) == 1000  # the visit goes on


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_stopped_at_the_limit(fakes: Fakes, encoding: str) -> None:
    bomb = (
        (gzip.compress if encoding == "gzip" else zlib.compress)(bytes(300 * 1024 * 1024), 9)
        if encoding == "gzip"
        else zlib.compress(bytes(64 * 1024 * 1024), 9)
    )
    async with site(answering(body=bomb, headers={"Content-Encoding": encoding})) as served, visit(fakes, served.port) as http:
        sizes: list[int] = []

        async def take() -> None:
            async for piece in http.stream("GET", "/a", account="", limit=1024 * 1024):
                sizes.append(len(piece))  # noqa: PERF401 - kept also when the stream breaks off

        with pytest.raises(CollectError) as caught:
            await take()
        assert caught.value.reason is Reason.TOO_LARGE
        assert sum(sizes) <= 1024 * 1024
        assert max(sizes, default=0) <= 1024 * 1024


async def test_a_packed_body_is_unpacked(fakes: Fakes) -> None:
    async with site(answering(body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})) as served, visit(fakes, served.port) as http:
        assert (await http.request("GET", "/a", account="")).body == b"hello"


async def test_a_body_that_does_not_unpack_is_a_bad_payload(fakes: Fakes) -> None:
    async with site(answering(body=b"not packed at all", headers={"Content-Encoding": "gzip"})) as served, visit(fakes, served.port) as http:
        with pytest.raises(BadPayload):
            await http.request("GET", "/a", account="")


async def test_a_slow_body_runs_into_the_time_out(fakes: Fakes) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw(drip) as port, visit(fakes, port) as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="", timeout=0.3)
    assert (caught.value.reason, caught.value.sent) == (Reason.TIMEOUT, True)
    assert f"127.0.0.1:{port}: GET /a" in caught.value.detail


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", Reason.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Reason.RESET),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Reason.RESET),
        (b"SSH-2.0-dropbear\r\n\r\n", Reason.PARSE),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", Reason.PARSE),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n", Reason.PARSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Reason.PARSE),
    ],
)
async def test_a_broken_answer_is_one_of_our_errors(fakes: Fakes, sent: bytes, reason: Reason) -> None:
    async with raw(sending(sent)) as port, visit(fakes, port) as http:
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason is reason


async def test_a_half_closed_connection_without_a_length_is_a_whole_body(fakes: Fakes) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
        writer.write_eof()
        await reader.read()

    async with raw(half) as port, visit(fakes, port) as http:
        assert (await http.request("GET", "/a", account="")).text() == "all of it"


async def test_a_reset_is_told_as_such(fakes: Fakes) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    async with raw(reset) as port, visit(fakes, port) as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason is Reason.RESET


async def test_a_closed_port_is_refused(fakes: Fakes, unused_tcp_port: int) -> None:
    async with visit(fakes, unused_tcp_port) as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="")
    assert (caught.value.reason, caught.value.sent) == (Reason.REFUSED, False)


async def test_a_name_nobody_knows_is_dns(fakes: Fakes) -> None:
    async with visit(fakes, 80, host="gate-2.invalid") as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason is Reason.DNS


async def test_a_network_without_a_way_is_unreachable(fakes: Fakes) -> None:
    async with visit(fakes, 80, host="255.255.255.255") as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="", timeout=1)
    assert caught.value.reason is Reason.UNREACHABLE


async def test_https_asked_of_a_plain_port_is_tls(fakes: Fakes) -> None:
    async with (
        site(hello) as served,
        visit(fakes, served.port) as _,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port)) as http,
    ):
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a", account="")
    assert (caught.value.reason, caught.value.sent) == (Reason.TLS, False)


async def test_a_kept_connection_the_device_closed_is_replaced_once_for_reading_only(fakes: Fakes) -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the first request of each connection and hangs up on the second."""
        nonlocal served
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        served += 1

    async with raw(once) as port, visit(fakes, port) as http:
        assert (await http.request("GET", "/a", account="")).status == 200
        assert (await http.request("GET", "/a", account="")).status == 200
        assert served == 3
        with pytest.raises(Unreachable):
            await http.request("PUT", "/a", account="")
        assert served == 4


async def test_a_stream_gives_the_body_in_pieces(fakes: Fakes) -> None:
    async with site(answering(body=b"x" * 1_000_000)) as served, visit(fakes, served.port) as http:
        pieces = [piece async for piece in http.stream("GET", "/a", account="")]
        assert len(pieces) > 1
        assert b"".join(pieces) == b"x" * 1_000_000
        assert (await http.request("GET", "/a", account="", limit=4_000_000)).status == 200
        assert len(served.connections) == 1


@pytest.mark.parametrize(("status", "error"), [(404, NotSupported), (503, Busy), (204, CollectError), (302, CollectError)])
async def test_a_stream_of_anything_but_a_200_raises(fakes: Fakes, status: int, error: type[CollectError]) -> None:
    async with site(answering(status=status)) as served, visit(fakes, served.port) as http:
        with pytest.raises(error):
            _ = [piece async for piece in http.stream("GET", "/a", account="")]


async def test_a_stream_left_early_does_not_hold_the_visit(fakes: Fakes) -> None:
    async with site(answering(body=b"x" * 3_000_000)) as served, visit(fakes, served.port) as http:
        async with aclosing(http.stream("GET", "/a", account="")) as pieces:
            async for _ in pieces:
                break
        assert (await http.request("GET", "/a", account="", limit=4_000_000)).status == 200


async def test_a_request_inside_a_stream_times_out_instead_of_hanging(fakes: Fakes) -> None:
    async with site(answering(body=b"x" * 3_000_000)) as served, visit(fakes, served.port) as http, aclosing(http.stream("GET", "/a", account="")) as pieces:
        async for _ in pieces:
            with pytest.raises(Unreachable) as caught:
                await http.request("GET", "/a", account="", timeout=0.1)
            assert not caught.value.sent  # it only waited for its turn, while the stream's request is out
            break


async def test_a_stream_shows_its_head_before_the_first_piece(fakes: Fakes) -> None:
    seen: list[str] = []
    async with site(answering(body=b"x", headers={"X-XSRF-TOKEN": "next"})) as served, visit(fakes, served.port) as http:
        pieces = http.stream("GET", "/a", account="", head=lambda answer: seen.append(answer.headers["x-xsrf-token"]))
        seen.extend([piece.decode() async for piece in pieces])
    assert seen == ["next", "x"]
