"""What a hostile HTTP server does with a request: each behaviour writes raw bytes, so that it can break every rule there is."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from asyncio import StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

GIGABYTE = 1 << 30
PIECE = b"A" * 65536
DRIP = 1.0
"""Seconds between two bytes of what trickles."""

JSON, XML, TEXT, HTML = "application/json", "text/xml", "text/plain", "text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came. `number` counts those of this behaviour at this device."""

    method: str
    path: str
    head: bytes
    number: int


Behaviour = Callable[[StreamWriter, Call], Awaitable[None]]


def head(status: str = "200 OK", kind: str = JSON, **more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *(f"{name.replace('_', '-')}: {value}" for name, value in more.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def pour(writer: StreamWriter, piece: bytes, total: int) -> None:
    """Send `piece` again and again, as fast as it is taken."""
    piece *= max(1, len(PIECE) // len(piece))
    for _ in range(0, total, len(piece)):
        if writer.transport.is_closing():
            raise ConnectionResetError
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)  # `drain` alone lets nobody else have a turn, the news that the client is gone included


async def drip(writer: StreamWriter, data: bytes) -> None:
    """One byte a second, for ever."""
    while True:
        for byte in data:
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(DRIP)


def whole(body: bytes, kind: str = JSON, status: str = "200 OK") -> Behaviour:
    """A complete answer with this body."""

    async def answer(writer: StreamWriter, call: Call) -> None:
        del call
        writer.write(head(status, kind, Content_Length=str(len(body)), Connection="close") + body)
        await writer.drain()

    return answer


def made(body: Callable[[], bytes], kind: str = JSON) -> Behaviour:
    """The same with a body that is made when it is first asked for."""

    async def answer(writer: StreamWriter, call: Call) -> None:
        await whole(body(), kind)(writer, call)

    return answer


# --- sizes ------------------------------------------------------------------------------------------------------------


async def endless_body(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Connection="close"))
    await pour(writer, PIECE, GIGABYTE)


async def declared_gigabyte(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Content_Length=str(GIGABYTE)))
    await pour(writer, PIECE, GIGABYTE)


async def endless_chunks(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Transfer_Encoding="chunked"))
    await pour(writer, b"1\r\nA\r\n" * 8192, GIGABYTE)


async def large_chunks(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Transfer_Encoding="chunked") + b"7FFFFFFFFFFFFFFF\r\n")
    await pour(writer, PIECE, GIGABYTE)


async def chunk_extensions(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Transfer_Encoding="chunked"))
    await pour(writer, b"1;" + b"x" * 4000 + b"\r\nA\r\n", GIGABYTE)


async def endless_trailers(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Transfer_Encoding="chunked") + b"1\r\n{\r\n0\r\n")
    await pour(writer, b"X-Trailer: " + b"t" * 1000 + b"\r\n", GIGABYTE)


@cache
def bomb(kind: str) -> bytes:
    """64 MiB of zeros, packed: about 65 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if kind == "gzip" else 15)
    zeros = bytes(1 << 20)
    return b"".join([*(packer.compress(zeros) for _ in range(64)), packer.flush()])


def packed(kind: str) -> Behaviour:
    """A bomb that unpacks to a gigabyte, though we asked for nothing packed."""

    async def answer(writer: StreamWriter, _call: Call) -> None:
        body = bomb(kind)
        writer.write(head(Content_Encoding=kind, Content_Length=str(16 * len(body))))
        await pour(writer, body, 16 * len(body))

    return answer


async def false_gzip(writer: StreamWriter, call: Call) -> None:
    body = b"no gzip at all" * 100
    writer.write(head(Content_Encoding="gzip", Content_Length=str(len(body))) + body)
    await writer.drain()
    del call


async def many_members(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Content_Encoding="gzip", Transfer_Encoding="chunked"))
    member = gzip.compress(b"") * 1000
    await pour(writer, f"{len(member):x}\r\n".encode() + member + b"\r\n", GIGABYTE // 8)


async def header_count(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await pour(writer, b"".join(b"X-%d: y\r\n" % n for n in range(4096)), GIGABYTE)


async def header_size(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    await pour(writer, PIECE, GIGABYTE)


async def status_line_size(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"HTTP/1.1 200 ")
    await pour(writer, PIECE, GIGABYTE)


async def continues(writer: StreamWriter, _call: Call) -> None:
    await pour(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 2048, GIGABYTE)


async def early_hints(writer: StreamWriter, _call: Call) -> None:
    await pour(writer, (b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </x>; rel=preload\r\n" * 100 + b"\r\n") * 16, GIGABYTE)


async def cookies(writer: StreamWriter, _call: Call) -> None:
    """As many and as long as fit the head."""
    body = b"{}"
    lines = b"".join(b"Set-Cookie: session_id%d=%s\r\n" % (n, b"c" * 4000) for n in range(100))
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + lines + b"Content-Length: 2\r\n\r\n" + body)
    await writer.drain()


# --- time -------------------------------------------------------------------------------------------------------------


async def drip_body(writer: StreamWriter, _call: Call) -> None:
    writer.write(head())
    await drip(writer, b'{"data": "')


async def drip_head(writer: StreamWriter, _call: Call) -> None:
    await drip(writer, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: yes\r\n")


async def gone(writer: StreamWriter) -> None:
    """Wait until the client is gone."""
    while not writer.transport.is_closing():  # noqa: ASYNC110 - a stream tells of it to readers alone
        await asyncio.sleep(DRIP)


async def silence(writer: StreamWriter, _call: Call) -> None:
    await gone(writer)


async def half_closed(writer: StreamWriter, _call: Call) -> None:
    """Less than was promised, and the end of what it sends; the connection stays."""
    writer.write(head(Content_Length="1000") + b'{"half":')
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    await gone(writer)


def reset(writer: StreamWriter) -> None:
    """End the connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_in_body(writer: StreamWriter, _call: Call) -> None:
    writer.write(head(Content_Length="1000") + b'{"half":')
    await writer.drain()
    reset(writer)


async def reset_in_head(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await writer.drain()
    reset(writer)


# --- sense ------------------------------------------------------------------------------------------------------------


async def endless_401(writer: StreamWriter, call: Call) -> None:
    challenge = f'Digest realm="hostile", nonce="{call.number:032x}", qop="auth", stale=true'
    writer.write(head("401 Unauthorized", HTML, WWW_Authenticate=challenge, Content_Length="0"))
    await writer.drain()


async def challenge_flood(writer: StreamWriter, _call: Call) -> None:
    challenge = ", ".join(f'Digest realm="r{n}", nonce="{n}", qop="auth"' for n in range(150))
    writer.write(head("401 Unauthorized", HTML, WWW_Authenticate=challenge, Content_Length="0"))
    await writer.drain()


async def redirect_loop(writer: StreamWriter, call: Call) -> None:
    writer.write(head("302 Found", HTML, Location=f"{call.path}&again={call.number}", Content_Length="0"))
    await writer.drain()


async def no_http(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"SSH-2.0-not_http\r\n\x00\xff\xfe" * 100)
    await writer.drain()


async def smuggled(writer: StreamWriter, _call: Call) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    await writer.drain()


async def two_answers(writer: StreamWriter, _call: Call) -> None:
    """A second answer that nobody asked for, to be taken for that of the next request."""
    one = head(Content_Length="2") + b"{}"
    writer.write(one + one.replace(b"{}", b"[]"))
    await writer.drain()
    await asyncio.sleep(0.2)


ANY_STATUS = (200, 201, 204, 206, 299, 301, 304, 400, 403, 404, 405, 407, 418, 429, 500, 501, 502, 503, 599, 999)


async def any_status(writer: StreamWriter, call: Call) -> None:
    """A web page under every status in turn."""
    status = ANY_STATUS[call.number % len(ANY_STATUS)]
    page = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
    writer.write(head(f"{status} Whatever", HTML, Content_Length=str(len(page)), Connection="close") + page)
    await writer.drain()


def laughs() -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    return b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "ha">' + entities + b"]><disks>&l9;</disks>"


OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><disks><disk diskid="&e;"/>&e;</disks>'
NUMBERS = b'{"data": {"a": 1e400, "b": -1e400, "c": ' + b"7" * 4200 + b', "uptime": 1e308, "boottime": 99999999999999999999}, "list": [1e400]}'
MANY_DIGITS = b'{"data": ' + b"9" * 5000 + b"}"
NO_NUMBERS = b'{"data": NaN, "x": [Infinity, -Infinity]}'
NO_UTF8 = b'{"data": {"propertyList": {"ProdNbr": "\xff\xfe\xc3\x28\xed\xa0\x80"}}}'

BEHAVIOURS: dict[str, Behaviour] = {
    "endless-body": endless_body,
    "declared-gigabyte": declared_gigabyte,
    "endless-chunks": endless_chunks,
    "large-chunks": large_chunks,
    "chunk-extensions": chunk_extensions,
    "endless-trailers": endless_trailers,
    "gzip-bomb": packed("gzip"),
    "deflate-bomb": packed("deflate"),
    "gzip-members": many_members,
    "false-gzip": false_gzip,
    "header-count": header_count,
    "header-size": header_size,
    "status-line-size": status_line_size,
    "continues": continues,
    "early-hints": early_hints,
    "cookies": cookies,
    "drip-body": drip_body,
    "drip-head": drip_head,
    "silence": silence,
    "half-closed": half_closed,
    "reset-in-body": reset_in_body,
    "reset-in-head": reset_in_head,
    "endless-401": endless_401,
    "challenge-flood": challenge_flood,
    "redirect-loop": redirect_loop,
    "no-http": no_http,
    "smuggled": smuggled,
    "two-answers": two_answers,
    "any-status": any_status,
    "xml-laughs": made(laughs, XML),
    "xml-outside": whole(OUTSIDE, XML),
    "xml-deep": made(lambda: b"<a>" * 100_000 + b"</a>" * 100_000, XML),
    "xml-wide": made(lambda: b"<disks>" + b'<a b=""/>' * 110_000 + b"</disks>", XML),
    "xml-attributes": made(lambda: b"<disks " + b" ".join(b'a%d=""' % n for n in range(80_000)) + b"/>", XML),
    "json-deep": made(lambda: b"[" * 100_000 + b"]" * 100_000),
    "json-deep-objects": made(lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "json-wide": made(lambda: b"[" + b"{}," * 300_000 + b"{}]"),
    "json-keys": made(lambda: b"{" + b",".join(b'"k%d":[]' % n for n in range(80_000)) + b"}"),
    "json-numbers": whole(NUMBERS),
    "json-digits": whole(MANY_DIGITS),
    "json-nan": whole(NO_NUMBERS),
    "json-unicode": whole(NO_UTF8),
    "lines": made(lambda: b"a=b\n" * 250_000, TEXT),
    "keys": made(lambda: b"\n".join(b"root.a%d=b" % n for n in range(80_000)), TEXT),
    "words": made(lambda: b"Z" * 1_000_000, TEXT),
    "punycode": made(lambda: b"a" * 500_000 + b"-" + b"b" * 500_000, "text/plain; charset=punycode"),
    "nulls": made(lambda: bytes(1_000_000), TEXT),
    "wrong-type": whole(b'{"data": {}}', "image/svg+xml; charset=utf-16"),
    "empty": whole(b""),
}
"""By name. All of them end by themselves or when the client is gone."""
