"""Hostile devices as a process of their own: `python -m tests.support.hostile SPEC.json`.

SPEC is a list of {"id", "vendor", "behaviour", "where"}. `where` "some": only the paths of SOME are hostile, everything else is answered by a good
simulated device behind it; "all": every request is. Prints one JSON line when it is ready: each device's entry for the inventory, and a port that
answers GET / with what each device was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agent.ports import SystemClock
from simulator.axis import product
from simulator.axis.device import AxisDevice
from simulator.device import SimulatedDevice
from simulator.fleet import COMMUNITY, ROOM_PASSWORD, SNMP_USER
from simulator.listener import Ports, serve
from simulator.poly import VideoOs
from simulator.snmp.agent import Access
from tests.support.hostile.ways import RAW, SNMP, SSH_RAW, SSH_SHELLS, V3, Hostile, ssh_server
from tests.support.hostile.web import BEHAVIOURS, Call

SOME = {
    "axis": ("/axis-cgi/systemready.cgi", "/axis-cgi/temperaturecontrol.cgi", "/axis-cgi/disks/list.cgi"),
    "poly": ("/rest/audio", "/rest/system/sipservers", "/rest/devicemanagement/devices"),
}
"""What is hostile of a device that is good otherwise: a JSON call, a text and an XML document; three of VideoOS' JSON answers."""


class Device:
    """One address with its hostile servers, in front of a good device."""

    def __init__(self, spec: dict[str, str], number: int) -> None:
        self.id, self.vendor, self.behaviour, self.where = spec["id"], spec["vendor"], spec["behaviour"], spec.get("where", "some")
        self.address = f"127.79.{number // 200}.{10 + number % 200}"
        self.hits: Counter[str] = Counter()
        clock = SystemClock()
        self.good: SimulatedDevice
        if self.vendor == "axis":
            access = Access(v2c=True, community=COMMUNITY, users=(SNMP_USER,))
            self.good = AxisDevice(name=self.id, address=self.address, product=product.DOME_11, snmp=access, clock=clock)
        else:
            self.good = VideoOs(name=self.id, address=self.address, profile="x30", room_name=self.id, password=ROOM_PASSWORD, clock=clock)

    async def start(self, stack: AsyncExitStack, ports: Ports) -> dict[str, Any]:
        """Serve; the device's entry in the inventory."""
        entry: dict[str, Any] = {"id": self.id, "vendor": self.vendor, "host": self.address, "port": ports.https, "tls": {"mode": "tofu"}}
        if self.vendor == "axis":
            entry |= {"credentials": {"http": "cameras", "service": "cameras-admin", "snmp": "snmp-ro"}, "snmp_port": ports.snmp}
        else:
            entry |= {"credentials": {"http": "rooms"}, "ssh_port": ports.ssh}
        if self.behaviour in BEHAVIOURS:
            entry["port"] = await self._listen(stack, self._front(ports.https), tls=self.good.tls())
        elif self.behaviour in RAW:
            entry["port"] = await self._listen(stack, self._raw(RAW[self.behaviour]))
        elif self.behaviour in SSH_RAW or self.behaviour in SSH_SHELLS:
            entry |= {"port": await self._listen(stack, self._raw(_hang_up)), "ssh_port": await self._ssh(stack)}
        elif self.behaviour in SNMP or self.behaviour in V3:
            entry["snmp_port"] = await self._snmp(stack)
            if self.behaviour in V3:
                entry["credentials"] = entry["credentials"] | {"snmp": "snmp-v3"}
        else:
            raise SystemExit(f"unknown behaviour {self.behaviour!r}")
        return entry

    async def _listen(self, stack: AsyncExitStack, talk: Callable[[StreamReader, StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None) -> int:
        async def one(reader: StreamReader, writer: StreamWriter) -> None:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await talk(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(one, self.address, 0, ssl=tls)
        stack.callback(server.close)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _raw(self, act: Callable[[StreamReader, StreamWriter], Awaitable[None]]) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
        async def talk(reader: StreamReader, writer: StreamWriter) -> None:
            self.hits[self.behaviour] += 1
            await act(reader, writer)

        return talk

    def _front(self, https: int) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
        """Reads requests; hostile ones are acted upon, the others go to the good device on one connection of their own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        async def talk(reader: StreamReader, writer: StreamWriter) -> None:
            behind: StreamWriter | None = None
            pump: asyncio.Task[None] | None = None
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(_length(head))
                    method, target, _ = head.split(b" ", 2)
                    path = target.decode()
                    if self.where == "all" or path.partition("?")[0] in SOME[self.vendor]:
                        number = self.hits[self.behaviour]
                        self.hits[self.behaviour] += 1
                        await BEHAVIOURS[self.behaviour](writer, Call(method=method.decode(), path=path, head=head, number=number))
                        if self.behaviour not in ("endless-401", "challenge-flood", "redirect-loop"):
                            return
                        continue
                    self.hits["good"] += 1
                    if behind is None:
                        answers, behind = await asyncio.open_connection(self.address, https, ssl=context)
                        pump = asyncio.get_running_loop().create_task(_pump(answers, writer))
                    behind.write(head + body)
                    await behind.drain()
            finally:
                if pump is not None:
                    pump.cancel()
                if behind is not None:
                    behind.transport.abort()

        return talk

    async def _ssh(self, stack: AsyncExitStack) -> int:
        if self.behaviour in SSH_RAW:
            return await self._listen(stack, self._raw(SSH_RAW[self.behaviour]))
        server = await ssh_server(self.behaviour, self.address, self.good.ssh_host_key(), self.hits)
        stack.callback(server.close)
        return int(server.get_port())

    async def _snmp(self, stack: AsyncExitStack) -> int:
        loop = asyncio.get_running_loop()
        elsewhere = None
        if self.behaviour in ("snmp-foreign", "snmp3-foreign", "snmp-other-port"):
            source = self.address if self.behaviour == "snmp-other-port" else "127.80.0.1"
            elsewhere, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(source, 0))
            stack.callback(elsewhere.close)
        agent: Any = self.good.snmp()
        transport, _ = await loop.create_datagram_endpoint(lambda: Hostile(self.behaviour, agent, elsewhere, self.hits), local_addr=(self.address, 0))
        stack.callback(transport.close)
        port: int = transport.get_extra_info("sockname")[1]
        return port


async def _hang_up(_reader: StreamReader, _writer: StreamWriter) -> None:
    """The web interface is off: only then is SSH asked."""


async def _pump(answers: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await answers.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def run(specs: list[dict[str, str]]) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    devices = [Device(spec, number) for number, spec in enumerate(specs)]
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(serve([device.good for device in devices]))
        entries = [await device.start(stack, ports) for device in devices]

        async def told(reader: StreamReader, writer: StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = json.dumps({device.id: device.hits for device in devices}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        control = await asyncio.start_server(told, "127.0.0.1", 0)
        stack.callback(control.close)
        print(json.dumps({"entries": entries, "control": control.sockets[0].getsockname()[1]}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(run(json.loads(Path(sys.argv[1]).read_text())))
