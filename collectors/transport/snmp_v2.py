"""SNMP v1 and v2c through gufo_snmp.

A community is no login: a device answers a wrong one with silence and locks nothing, so the login guard is not asked.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gufo.snmp import SnmpAuthError, SnmpError, SnmpVersion
from gufo.snmp._fast import GetIter
from gufo.snmp.aio import SnmpSession

from agent.errors import BadPayload, Reason, Unreachable
from agent.model import Device, SnmpCredential
from agent.ports import Services
from collectors.transport import snmp_exact
from collectors.transport.failures import failure
from collectors.transport.snmp import (
    DATAGRAM_LIMIT,
    GET_AT_ONCE,
    REPETITIONS,
    TRIES,
    WALK_LIMIT,
    SnmpValue,
    WalkOrder,
    bound,
    checked_oid,
    resolved,
    status_error,
    well_formed,
)

T = TypeVar("T")
Rows = list[tuple[str, object] | None]
_PANIC = "PanicException"  # of Rust, under BaseException and importable from nowhere: gufo_snmp 0.13 panics on some malformed answers
_NEVER = 3600.0  # gufo's own timer runs anew at every datagram; ours bounds the whole


class _Session(SnmpSession):
    """A session that shows how a walk ended: gufo's own iterator hides the marker that it saw what lies beyond."""

    async def _recv(self, receiver: Callable[[], T]) -> T:
        """gufo's, without `asyncio.wait_for`: in Python 3.11 that loses a cancellation, and so our time-out, when a datagram comes in the same instant."""
        loop = asyncio.get_running_loop()
        while True:
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._fd, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._fd)
            try:
                self._look()
                return receiver()
            except BlockingIOError:
                continue

    def _look(self) -> None:
        """Take the next datagram away if gufo must not see it. Raises SnmpError, and BlockingIOError when there is none."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, self._fd)  # the family is of no consequence for what is done with it
        try:
            if not well_formed(sock.recv(DATAGRAM_LIMIT + 1, socket.MSG_PEEK)):
                sock.recv(1)
                raise SnmpError("it is broken, or too large")
        finally:
            sock.detach()

    async def rows(self, place: GetIter) -> Rows:
        """The next rows of a walk; None at the end says the prefix was left. Empty: the device said no more, for whatever reason."""
        try:
            await self._send(lambda: self._sock.send_get_bulk(place))
            return list(await self._recv(lambda: self._sock.recv_get_bulk(place)))
        except StopAsyncIteration:
            return []

    def speak_from(self, made: socket.socket) -> None:
        """Take this socket in the place of gufo's own, which cannot be bound: under the same number, so that gufo need not know."""
        with made:
            os.dup2(made.fileno(), self._fd, inheritable=False)

    async def row(self, place: GetIter) -> Rows:
        """The same by GETNEXT."""
        try:
            await self._send(lambda: self._sock.send_get_next(place))
            return [await self._recv(lambda: self._sock.recv_get_next(place))]
        except StopAsyncIteration:
            return []


def _set(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


class CommunityConnection:
    """SNMP v1 or v2c with one device."""

    def __init__(self, device: Device, credential: SnmpCredential, services: Services) -> None:
        self._device = device
        self._services = services
        self._community = credential.community.reveal()
        self._version = credential.snmp_version
        self._where = f"{device.host}:{device.snmp_port}"
        self._host = ""
        self._session: _Session | None = None
        self._turn = asyncio.Lock()  # gufo's socket takes the next answer for its own

    async def get(self, oids: Sequence[str]) -> dict[str, SnmpValue]:
        wanted = list(dict.fromkeys(map(checked_oid, oids)))
        found: dict[str, SnmpValue] = {}
        for start in range(0, len(wanted), GET_AT_ONCE):
            part = wanted[start : start + GET_AT_ONCE]
            answer = await self._ask("SNMP get", lambda session, part=part: session.get_many(part))  # type: ignore[misc] # a default argument in a lambda
            if answer:
                found |= {oid: value for oid in part if (value := _plain(answer.get(oid))) is not None}
            else:
                found |= await self._get_exactly(part)
        return found

    async def walk(self, prefix: str, *, limit: int = WALK_LIMIT) -> list[tuple[str, SnmpValue]]:
        order = WalkOrder(checked_oid(prefix), limit, self._where)
        bulk = self._version == 2
        place = GetIter(order.last, REPETITIONS) if bulk else GetIter(order.last)
        while True:
            rows = await self._ask("SNMP walk", lambda session: session.rows(place) if bulk else session.row(place))
            for row in rows:
                value = None if row is None else _plain(row[1])
                if row is None or value is None or not order.add(row[0], value):
                    return order.rows
            if not rows:
                await self._check_end(order)
                return order.rows

    async def _get_exactly(self, oids: list[str]) -> dict[str, SnmpValue]:
        left = list(oids)
        while left:
            exact = await self._exact(left, following=False)
            if exact.status == snmp_exact.NO_SUCH_NAME and self._version == 1 and 0 < exact.at <= len(left):
                del left[exact.at - 1]
                continue
            if exact.status:
                raise status_error(exact.status, exact.name, self._where, "SNMP get")
            return {oid: value for oid, value in exact.bindings if oid in left and value is not None}
        return {}

    async def _check_end(self, order: WalkOrder) -> None:
        """The walk stopped without showing what lies beyond: fine at the end of everything, an error if the device refused to go on."""
        exact = await self._exact([order.last], following=True)
        if exact.status == snmp_exact.NO_SUCH_NAME and self._version == 1:
            return
        if exact.status:
            raise status_error(exact.status, exact.name, self._where, f"SNMP walk after {order.last}")
        if not exact.bindings:
            raise BadPayload(f"{self._where}: SNMP walk: an answer without a binding after {order.last}")
        oid, value = exact.bindings[0]
        if value is not None and order.add(oid, value):
            raise BadPayload(f"{self._where}: SNMP walk: the device stopped at {order.rows[-2][0] if len(order.rows) > 1 else 'the start'} though more follows")

    async def _exact(self, oids: list[str], *, following: bool) -> snmp_exact.Exact:
        port, seconds, source = self._device.snmp_port, self._services.timeout / TRIES, self._device.source_address
        return await self._tries(
            "SNMP get",
            lambda: snmp_exact.ask(self._host, port, self._community, oids, version=self._version, following=following, timeout=seconds, source=source),
        )

    async def _ask(self, tried: str, call: Callable[[_Session], Awaitable[T]]) -> T:
        session = self._session or await self._open()
        return await self._tries(tried, lambda: call(session))

    async def _tries(self, tried: str, call: Callable[[], Awaitable[T]]) -> T:
        """Ask, and once more if nothing came. gufo reports a closed port as a time-out too, only at once."""
        clock, seconds = self._services.clock, self._services.timeout / TRIES
        start = clock.monotonic()
        for attempt in range(1, TRIES + 1):
            asked = clock.monotonic()
            try:
                async with self._turn, asyncio.timeout(seconds):
                    asked = clock.monotonic()
                    return await call()
            except TimeoutError:
                if clock.monotonic() - asked < seconds / 2:
                    trouble = Unreachable(Reason.REFUSED, f"{self._where}: {tried}: nothing listens there")
                    break
                silence = f"no answer to {attempt} requests ({clock.monotonic() - start:.1f} s): switched off, filtered, or a wrong community"
                trouble = Unreachable(Reason.TIMEOUT, f"{self._where}: {tried}: {silence}")
            except SnmpAuthError:
                raise status_error(16, "authorizationError", self._where, tried) from None
            except (SnmpError, RuntimeError) as error:
                raise BadPayload(f"{self._where}: {tried}: the answer cannot be read ({error})") from None
            except OSError as error:
                raise failure(error, where=self._where, tried=tried, seconds=clock.monotonic() - start) from None
            except BaseException as error:
                if type(error).__name__ != _PANIC:
                    raise
                self._session = None  # what panicked is not used again
                raise BadPayload(f"{self._where}: {tried}: the answer cannot be read (gufo_snmp: {error})") from None
        raise trouble

    async def _open(self) -> _Session:
        self._host = await resolved(self._device, self._services.timeout)
        version = SnmpVersion.v1 if self._version == 1 else SnmpVersion.v2c
        self._session = _Session(self._host, self._device.snmp_port, community=self._community, version=version, timeout=_NEVER)
        if self._device.source_address:
            self._session.speak_from(bound(self._host, self._device.snmp_port, self._device.source_address))
        return self._session


def _plain(value: object) -> SnmpValue | None:
    return value if isinstance(value, (int, bytes, str)) else None
