"""Sockets for a whole fleet: one port a protocol, and the address that was called says which device is meant.

Thousands of devices live in one process, so there is one listening socket for each of HTTPS, HTTP, SSH and SNMP, on 0.0.0.0 but bound to the
interface `lo`: nothing outside this machine can reach it.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from simulator.device import SimulatedDevice

_log = logging.getLogger("simulator.listener")

_IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it
_PKTINFO = struct.Struct("=i4s4s")  # struct in_pktinfo: interface index, local address, destination address
_KEEP_ALIVE = 180.0  # seconds; the value recorded Axis devices carry in System.BoaKeepAliveTimeout
_HANDSHAKE = 10.0  # seconds a client has for its TLS handshake
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True)
class Traffic:
    """What the listener counted since it started. Sizes are those of HTTP bodies."""

    connections: int = 0
    handshakes: int = 0
    requests: int = 0
    body_bytes: int = 0
    datagrams: int = 0
    ssh_connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the fleet listens, and what it counted."""

    https: int
    http: int
    snmp: int
    ssh: int
    traffic: Traffic = field(default_factory=Traffic, compare=False)


@asynccontextmanager
async def serve(devices: Iterable[SimulatedDevice], *, https_port: int = 0, http_port: int = 0, snmp_port: int = 0, ssh_port: int = 0) -> AsyncIterator[Ports]:
    """Let the devices answer until the block is left; port 0 takes a free one.

    Raises ValueError for two devices at one address or an address outside 127.0.0.0/8, and OSError when a socket cannot be had.
    """
    fleet = _by_address(devices)
    traffic = Traffic()
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(_bind(port, socket.SOCK_STREAM)) for port in (https_port, http_port, ssh_port)]
        udp = stack.enter_context(_bind(snmp_port, socket.SOCK_DGRAM))
        tcp = _Welcome(fleet, traffic)
        await stack.enter_async_context(tcp.running())
        for listening, room in zip(sockets, (tcp.https, tcp.http, tcp.ssh), strict=True):
            tcp.spawn(tcp.accept(listening, room))
        loop = asyncio.get_running_loop()
        loop.add_reader(udp.fileno(), _answer_datagrams, udp, fleet, traffic)
        stack.callback(loop.remove_reader, udp.fileno())
        https, http, ssh = (s.getsockname()[1] for s in sockets)
        yield Ports(https=https, http=http, ssh=ssh, snmp=udp.getsockname()[1], traffic=traffic)


def _by_address(devices: Iterable[SimulatedDevice]) -> Mapping[str, SimulatedDevice]:
    fleet: dict[str, SimulatedDevice] = {}
    for device in devices:
        if not ipaddress.IPv4Address(device.address).is_loopback:
            raise ValueError(f"simulated device {device.name!r} has the address {device.address}: give it one in 127.0.0.0/8")
        if device.address in fleet:
            raise ValueError(f"simulated devices {fleet[device.address].name!r} and {device.name!r} both have the address {device.address}")
        fleet[device.address] = device
    return fleet


def _bind(port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket on every loopback address and on no other."""
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)  # a burst of a whole fleet's polls
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        except OSError as error:
            raise OSError(
                error.errno,
                f"the kernel does not let us bind a socket to the interface lo ({error.strerror}); "
                "the simulator answers with well-known passwords and must not be reachable from outside: run it as root or with CAP_NET_RAW",
            ) from error
        try:
            sock.bind(("0.0.0.0", port))
        except OSError as error:
            raise OSError(error.errno, f"port {port} cannot be bound ({error.strerror}); choose another one, or 0 for a free one") from error
        if kind == socket.SOCK_STREAM:
            sock.listen(4096)
    except BaseException:
        sock.close()
        raise
    return sock


def _reset(conn: socket.socket) -> None:
    """End a connection as a host without that device does: with RST."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


class _Web(web.Server):
    """aiohttp's low-level server, of which we need to know when its last connection is gone."""

    async def close(self) -> None:
        """Abort every connection and wait for the handlers, which end by cancellation."""
        async with asyncio.timeout(10):
            while handlers := self.connections:
                for handler in handlers:
                    if handler.transport is not None and not handler.transport.is_closing():
                        handler.transport.abort()
                await asyncio.sleep(0)  # aiohttp has no event for "the last handler has ended"; each needs a few turns of the loop


class _Welcome:
    """Accepts TCP connections and gives each to the device whose address was called."""

    def __init__(self, fleet: Mapping[str, SimulatedDevice], traffic: Traffic) -> None:
        self._fleet = fleet
        self._traffic = traffic
        self._tasks: set[asyncio.Task[None]] = set()
        self._secure = self._server(secure=True)
        self._plain = self._server(secure=False)

    def _server(self, *, secure: bool) -> _Web:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._answer(request, secure=secure)

        return _Web(answer, handler_cancellation=True, access_log=None, keepalive_timeout=_KEEP_ALIVE, tcp_keepalive=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """On the way out nothing is left: no task, no connection."""
        try:
            yield
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._secure.close()
            await self._plain.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection ended with an unexpected error", exc_info=error)

    async def accept(self, listening: socket.socket, room: Callable[[socket.socket, SimulatedDevice], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                conn, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    raise
                _log.warning("no file descriptors left for another connection: raise the limit (ulimit -n)")
                await asyncio.sleep(0.1)  # nothing tells us when one is free again
                continue
            self._traffic.connections += 1
            try:
                device = self._fleet.get(conn.getsockname()[0])
                if device is None or not device.powered:
                    _reset(conn)
                else:
                    room(conn, device)
            except OSError:
                conn.close()  # the client was gone before we looked

    def https(self, conn: socket.socket, device: SimulatedDevice) -> None:
        self.spawn(self._connect(conn, self._secure, device.tls()))

    def http(self, conn: socket.socket, _device: SimulatedDevice) -> None:
        self.spawn(self._connect(conn, self._plain, None))

    def ssh(self, conn: socket.socket, device: SimulatedDevice) -> None:
        server = device.ssh()
        if server is None:
            _reset(conn)
        else:
            self.spawn(self._shell(conn, server, device.ssh_host_key()))

    async def _connect(self, conn: socket.socket, server: Callable[[], RequestHandler], context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            if context is None:
                await loop.connect_accepted_socket(server, conn)
            else:
                await loop.connect_accepted_socket(server, conn, ssl=context, ssl_handshake_timeout=_HANDSHAKE)
                self._traffic.handshakes += 1
        except OSError as error:  # ssl.SSLError is one: a client that does not like the certificate, or speaks no TLS, or went away
            _log.debug("a connection was not established: %s", error)

    async def _shell(self, conn: socket.socket, server: asyncssh.SSHServer, key: asyncssh.SSHKey) -> None:
        self._traffic.ssh_connections += 1
        try:
            connection = await asyncssh.run_server(conn, server_factory=lambda: server, server_host_keys=[key])
        except (asyncssh.Error, OSError) as error:  # refused login, unknown host key, client gone
            _log.debug("an SSH connection was not established: %s", error)
            return
        try:
            await connection.wait_closed()
        finally:
            connection.abort()
            await connection.wait_closed()

    async def _answer(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left before its request was read")
        device = self._fleet[transport.get_extra_info("sockname")[0]]
        self._traffic.requests += 1
        if device.powered:
            response = await device.http(request, secure=secure)
            if device.powered:
                self._traffic.body_bytes += response.body_length if response.prepared else (response.content_length or 0)
                return response
        if not transport.is_closing():
            transport.abort()  # the cable was pulled; what is returned below reaches nobody
        return web.Response(status=503)


def _answer_datagrams(sock: socket.socket, fleet: Mapping[str, SimulatedDevice], traffic: Traffic) -> None:
    """Answer what is waiting, each from the address that was asked. Bounded, so that TCP has its turn too."""
    for _ in range(64):
        try:
            datagram, ancillary, _, sender = sock.recvmsg(65535, socket.CMSG_SPACE(_PKTINFO.size))
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error of an earlier answer whose receiver is gone
            _log.debug("receiving a datagram failed: %s", error)
            return
        asked = next((socket.inet_ntoa(_PKTINFO.unpack(data)[2]) for level, kind, data in ancillary if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO)), "")
        device = fleet.get(asked)
        if device is None or not device.powered or (agent := device.snmp()) is None:
            continue
        traffic.datagrams += 1
        answer = agent.answer(datagram)
        if answer is None:
            continue
        source = getattr(agent, "source", "") or asked  # an agent that is being tampered with answers from a foreign address
        control = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, socket.inet_aton(source), bytes(4)))
        try:
            sock.sendmsg([answer], [control], 0, sender)
        except OSError as error:  # a full buffer or a receiver that is gone: UDP may lose it
            _log.debug("a datagram to %s was lost: %s", sender, error)
