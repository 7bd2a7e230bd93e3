"""A device's TLS server that keeps every byte it is sent: as it came off the wire, and as it reads when decrypted."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


def challenging(head: bytes) -> bytes:
    """Asks for Basic, the scheme that gives a password away."""
    if b"authorization:" in head.lower():
        return ANSWER
    return b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'


PRE_SHARED_KEY = 41


def extensions(hello: bytes) -> set[int]:
    """The extensions of a ClientHello that came in one record; none when it is something else."""
    if hello[:1] != b"\x16":
        return set()
    at = 5 + 4 + 2 + 32  # record, handshake, version, random
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    at += 2
    found = set()
    while at + 4 <= len(hello):
        found.add(int.from_bytes(hello[at : at + 2], "big"))
        at += 4 + int.from_bytes(hello[at + 2 : at + 4], "big")
    return found


@dataclass
class Wire:
    """`context` may be exchanged while it runs. `resumed` counts connections that took up a session.

    `at_resumption`: what a client that offers a TLS 1.3 session is answered before it is hung up on, b'' for a reset; `broken` counts these.
    """

    context: ssl.SSLContext
    answer: Callable[[bytes], bytes] = challenging
    port: int = 0
    raw: bytes = b""
    plain: bytes = b""
    connections: int = 0
    handshakes: int = 0
    resumed: int = 0
    at_resumption: bytes | None = None
    broken: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        try:
            await self._talk(reader, writer, tls, incoming, outgoing)
        except (ssl.SSLError, ConnectionError):
            pass
        finally:
            writer.write(outgoing.read())
            self.writers.discard(writer)
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        shaken, head = False, b""
        while True:
            try:
                if not shaken:
                    tls.do_handshake()
                    shaken = True
                    self.handshakes += 1
                    self.resumed += bool(tls.session_reused)
                piece = tls.read(65536)
                if not piece:  # the other end took its leave
                    return
                self.plain += piece
                head += piece
                if b"\r\n\r\n" in head:
                    tls.write(self.answer(head))
                    head = b""
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                data = await reader.read(65536)
                self.raw += data
                if not data:
                    return
                if not shaken and self.at_resumption is not None and PRE_SHARED_KEY in extensions(data):
                    self.broken += 1
                    writer.write(self.at_resumption)
                    if not self.at_resumption:
                        writer.transport.abort()
                    return
                incoming.write(data)

    def hang_up(self) -> None:
        """Break every connection that is open."""
        for writer in tuple(self.writers):
            writer.close()


@asynccontextmanager
async def wire(context: ssl.SSLContext, answer: Callable[[bytes], bytes] = challenging, *, host: str = "127.0.0.1") -> AsyncIterator[Wire]:
    served = Wire(context, answer)
    server = await asyncio.start_server(served.serve, host, 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.hang_up()
        server.close()
        await server.wait_closed()


def spellings(*secrets: str) -> list[bytes]:
    """How a secret may look on the wire: as it is, percent-encoded, and in base64 (at each of the three offsets)."""
    found = []
    for secret in secrets:
        raw = secret.encode()
        found += [raw, quote(secret).encode(), raw.hex().encode()]
        found += [b64encode(b"x" * offset + raw)[offset + 2 : -4] for offset in range(3)]
    return found
