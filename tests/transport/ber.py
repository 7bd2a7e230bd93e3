"""Just enough BER to be an SNMP agent that misbehaves on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value: int, tag: int = 2) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytearray([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(septets))
    return tlv(6, bytes(out))


def read(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content, rest."""
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    return tag, data[start : start + size], data[start + size :]


def read_oid(content: bytes) -> str:
    arcs, arc = [content[0] // 40, content[0] % 40], 0
    for byte in content[1:]:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    return ".".join(map(str, arcs))


@dataclass
class Request:
    version: int
    community: bytes
    kind: int
    id: int
    non_repeaters: int
    repetitions: int
    oids: list[str]


def parse(datagram: bytes) -> Request:
    _, message, _ = read(datagram)
    _, version, rest = read(message)
    _, community, rest = read(rest)
    kind, pdu, _ = read(rest)
    _, number, pdu = read(pdu)
    _, first, pdu = read(pdu)
    _, second, pdu = read(pdu)
    _, bindings, _ = read(pdu)
    oids = []
    while bindings:
        _, binding, bindings = read(bindings)
        oids.append(read_oid(read(binding)[1]))
    return Request(
        int.from_bytes(version, "big"),
        community,
        kind,
        int.from_bytes(number, "big", signed=True),
        int.from_bytes(first, "big"),
        int.from_bytes(second, "big"),
        oids,
    )


def response(request: Request, bindings: list[tuple[str, bytes]], *, status: int = 0, index: int = 0, id: int | None = None) -> bytes:
    pairs = b"".join(tlv(0x30, oid(name) + value) for name, value in bindings)
    pdu = tlv(0xA2, integer(request.id if id is None else id) + integer(status) + integer(index) + tlv(0x30, pairs))
    return tlv(0x30, integer(request.version) + tlv(4, request.community) + pdu)


class Responder(asyncio.DatagramProtocol):
    """Answers each datagram with what `answer` returns; None is silence. `through` sends the answer from another socket."""

    def __init__(self, answer: Callable[[Request], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.through: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = addr
        request = parse(data)
        self.requests.append(request)
        reply = self.answer(request)
        if reply is not None:
            (self.through or self.transport).sendto(reply, addr)


async def start_responder(answer: Callable[[Request], bytes | None]) -> tuple[Responder, int]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Responder(answer), local_addr=("127.0.0.1", 0))
    return protocol, transport.get_extra_info("sockname")[1]
