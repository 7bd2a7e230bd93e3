"""Hostile ways in below HTTP: TLS handshakes, SSH servers, SNMP agents."""

from __future__ import annotations

import asyncio
import contextlib
import random
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncssh

from simulator.snmp.agent import Agent, Tamper
from tests.support.hostile.web import PIECE, drip, gone, pour, reset
from tests.transport.ber import Request, integer, parse, response, tlv

# --- TCP, before anything of TLS or SSH was agreed on -----------------------------------------------------------------

Raw = Callable[[StreamReader, StreamWriter], Awaitable[None]]


async def drip_handshake(reader: StreamReader, writer: StreamWriter) -> None:
    """The beginning of a ServerHello that never ends."""
    await reader.read(1)
    await drip(writer, b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(64))


async def reset_handshake(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.read(64)
    writer.write(b"\x16\x03\x03\x00\x7a\x02")
    await writer.drain()
    reset(writer)


async def silent_handshake(reader: StreamReader, writer: StreamWriter) -> None:
    while await reader.read(65536):
        pass
    await gone(writer)


async def endless_handshake(reader: StreamReader, writer: StreamWriter) -> None:
    """Handshake records without end: a message of 16 MiB in pieces."""
    await reader.read(1)
    writer.write(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff" + bytes(16384 - 4))
    await pour(writer, b"\x16\x03\x03\x40\x00" + bytes(16384), 1 << 28)


async def noise(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.read(1)
    await pour(writer, random.Random(7).randbytes(65536), 1 << 28)


async def ssh_lines(_reader: StreamReader, writer: StreamWriter) -> None:
    """RFC 4253 4.2 allows lines before the version; these do not end."""
    await pour(writer, b"Welcome. Please wait.\r\n" * 1000, 1 << 30)


async def ssh_line(_reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"SSH-2.0-")
    await pour(writer, PIECE, 1 << 30)


async def ssh_drip(_reader: StreamReader, writer: StreamWriter) -> None:
    await drip(writer, b"SSH-2.0-slow")


async def ssh_noise(_reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"SSH-2.0-noise\r\n")
    await pour(writer, random.Random(8).randbytes(65536), 1 << 28)


RAW: dict[str, Raw] = {
    "drip-handshake": drip_handshake,
    "reset-handshake": reset_handshake,
    "silent-handshake": silent_handshake,
    "endless-handshake": endless_handshake,
    "noise": noise,
}
SSH_RAW: dict[str, Raw] = {"ssh-lines": ssh_lines, "ssh-line": ssh_line, "ssh-drip": ssh_drip, "ssh-noise": ssh_noise}

# --- SSH, logged in ---------------------------------------------------------------------------------------------------


class _Open(asyncssh.SSHServer):
    """Lets everybody in, with a banner of its own."""

    def __init__(self, banner: str) -> None:
        self._banner = banner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._banner:
            conn.send_auth_banner(self._banner)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return True


async def _without_end(process: asyncssh.SSHServerProcess[bytes], piece: bytes, times: int) -> None:
    """`piece` so many times a turn, a packet each, until the client is gone."""
    with contextlib.suppress(asyncssh.Error, OSError):
        while not process.is_closing():
            for _ in range(times):
                process.stdout.write(piece)
            await asyncio.wait_for(process.stdout.drain(), 5)
            await asyncio.sleep(0.001)


async def _flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
    await _without_end(process, PIECE, 1)


async def _small(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One byte a packet, without end and without a prompt."""
    await _without_end(process, b"x", 100)


async def _prompts(process: asyncssh.SSHServerProcess[bytes]) -> None:
    await _without_end(process, b"\x1b[2J\x1b[0;0H\x1b(B\r\r\r\n-> -> ->" * 200, 1)


async def _mute(process: asyncssh.SSHServerProcess[bytes]) -> None:
    await process.wait_closed()


SSH_SHELLS: dict[str, Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]] = {
    "ssh-flood": _flood,
    "ssh-small": _small,
    "ssh-prompts": _prompts,
    "ssh-mute": _mute,
    "ssh-banner": _mute,
}


async def ssh_server(name: str, address: str, key: asyncssh.SSHKey, hits: Counter[str]) -> asyncssh.SSHAcceptor:
    """Listens on a free port of `address`."""

    async def shell(process: asyncssh.SSHServerProcess[bytes]) -> None:
        hits[name] += 1
        await SSH_SHELLS[name](process)

    banner = "B" * 200_000 if name == "ssh-banner" else ""
    return await asyncssh.listen(address, 0, server_factory=lambda: _Open(banner), server_host_keys=[key], process_factory=cast("Any", shell), encoding=None)


# --- SNMP -------------------------------------------------------------------------------------------------------------

FLOOD = 50
"""Datagrams at a time, every hundredth of a second, for as long as FLOOD_FOR seconds after a request."""
FLOOD_FOR = 10.0
_TEXT = tlv(4, b"x")


def _standing(request: Request) -> list[bytes]:
    """Every row is the one that was asked from."""
    return [response(request, [(name, _TEXT) for name in request.oids])]


def _backwards(request: Request) -> list[bytes]:
    return [response(request, [(f"{name}.5", _TEXT) for name in request.oids] + [(f"{name}.4", _TEXT) for name in request.oids])]


def _loop(request: Request) -> list[bytes]:
    """Two rows that follow each other for ever."""
    one, two = (f"1.3.6.1.4.1.368.4.1.3.1.4.1.{n}" for n in (1, 2))
    return [response(request, [(two if request.oids[0] == one else one, _TEXT)])]


def _endless(request: Request) -> list[bytes]:
    """Always forward, and never at an end."""
    base = request.oids[0]
    return [response(request, [(f"{base}.{n}", _TEXT) for n in range(1, max(request.repetitions, 1) + 1)])]


def _wrong_id(request: Request) -> list[bytes]:
    return [response(request, [(name, _TEXT) for name in request.oids], id=request.id ^ 0x5A5A)]


def _giant(request: Request) -> list[bytes]:
    """The largest datagram there is, full of small bindings."""
    rows = [(f"1.3.6.1.4.1.368.4.1.3.1.4.1.{n}", integer(1)) for n in range(2400)]
    return [response(request, rows)]


def _giant_text(request: Request) -> list[bytes]:
    return [response(request, [(request.oids[0], tlv(4, b"T" * 64000))])]


def _deep(_request: Request) -> list[bytes]:
    """Sequences in sequences, with lengths that say they go on."""
    data = b""
    for _ in range(15000):
        data = tlv(0x30, data)
        if len(data) > 60000:
            break
    return [data, b"\x30\x80" * 30000, b"\x30\x84\x7f\xff\xff\xff" * 100]


def _junk(request: Request) -> list[bytes]:
    pick = random.Random(request.id)
    good = response(request, [(name, _TEXT) for name in request.oids])
    return [pick.randbytes(pick.randrange(1, 200)) for _ in range(20)] + [good[: pick.randrange(len(good))] for _ in range(20)]


SNMP: dict[str, Callable[[Request], list[bytes]]] = {
    "snmp-standing": _standing,
    "snmp-backwards": _backwards,
    "snmp-loop": _loop,
    "snmp-endless": _endless,
    "snmp-wrong-id": _wrong_id,
    "snmp-giant": _giant,
    "snmp-giant-text": _giant_text,
    "snmp-deep": _deep,
    "snmp-junk": _junk,
    "snmp-foreign": _standing,
    "snmp-other-port": _standing,
    "snmp-flood": _wrong_id,
}
V3 = ("snmp3-wrong-key", "snmp3-junk", "snmp3-flood", "snmp3-deep", "snmp3-giant", "snmp3-engines", "snmp3-foreign")


class Hostile(asyncio.DatagramProtocol):
    """An agent that answers as its name says; v3 by a real agent that is tampered with. `elsewhere` sends from another address or port."""

    def __init__(self, name: str, agent: Agent[Any] | None, elsewhere: asyncio.DatagramTransport | None, hits: Counter[str]) -> None:
        self._name = name
        self._agent = agent
        self._elsewhere = elsewhere
        self._hits = hits
        self._floods: dict[Any, asyncio.Task[None]] = {}
        self._random = random.Random(9)
        if agent is not None and name == "snmp3-wrong-key":
            agent.tamper = Tamper.WRONG_KEY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._hits[self._name] += 1
        for answer in self._answers(data):
            (self._elsewhere or self._transport).sendto(answer, addr)
            if self._name.endswith("flood") and (addr not in self._floods or self._floods[addr].done()):
                self._floods[addr] = asyncio.get_running_loop().create_task(self._flood(answer, addr))

    def _answers(self, data: bytes) -> list[bytes]:
        if not self._name.startswith("snmp3"):
            return SNMP[self._name](parse(data))
        if self._name == "snmp3-engines" and self._agent is not None:
            self._agent._engine = b"\x80\x00\x00\x00\x05" + self._random.randbytes(8)
        good = self._agent.answer(data) if self._agent is not None else None
        if good is None:
            return []
        match self._name:
            case "snmp3-junk":
                broken = bytearray(good)
                for _ in range(3):
                    broken[self._random.randrange(len(broken))] ^= 1 << self._random.randrange(8)
                return [bytes(broken) for _ in range(10)] + [good[: self._random.randrange(len(good))] for _ in range(10)]
            case "snmp3-deep":
                return _deep(Request(3, b"", 0, 0, 0, 0, []))
            case "snmp3-giant":
                return [good[:-1] + bytes(60000), good + bytes(60000)]
            case "snmp3-flood":
                return [good[: len(good) // 2]]
            case _:
                return [good]

    async def _flood(self, answer: bytes, addr: Any) -> None:
        for _ in range(int(FLOOD_FOR * 100)):
            for _ in range(FLOOD):
                self._transport.sendto(answer, addr)
            await asyncio.sleep(0.01)

    def connection_lost(self, exc: Exception | None) -> None:
        for flood in self._floods.values():
            flood.cancel()
