"""SNMP v1 and v2c through gufo_snmp.

A community is no login: a device answers a wrong one with silence and locks nothing, so the login guard is not asked.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import ParamSpec, TypeVar

from gufo.snmp import SnmpAuthError, SnmpError
from gufo.snmp._fast import GetIter, SnmpV1ClientSocket, SnmpV2cClientSocket
from gufo.snmp.utils import format_sock_addr

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
P = ParamSpec("P")
Rows = Sequence[tuple[str, object] | None]
_PANIC = "PanicException"  # of Rust, under BaseException and importable from nowhere: gufo_snmp 0.13 panics on some malformed answers


class _Session:
    """gufo_snmp's socket, without the session that gufo puts around it.

    That one waits with `asyncio.wait_for`, which in Python 3.11 loses a cancellation when a datagram comes in the same instant; its iterator
    hides the marker that a walk saw what lies beyond; and nothing looks at a datagram before it is decoded.
    `seconds`: how long one answer may take, however many datagrams come meanwhile. All three requests raise TimeoutError, SnmpError, OSError.
    """

    def __init__(self, address: str, port: int, community: str, *, version: int, seconds: float, source: str) -> None:
        make = SnmpV1ClientSocket if version == 1 else SnmpV2cClientSocket
        self._sock = make(format_sock_addr(address, port), community, 0, 0, 0, 0)  # no ToS, buffers as they are, and no timer of gufo's own
        self._fd = self._sock.get_fd()
        self._seconds = seconds
        if source:  # gufo's own cannot be bound: another takes its place, under the same number, so that gufo need not know
            with bound(address, port, source) as made:
                os.dup2(made.fileno(), self._fd, inheritable=False)

    async def values(self, oids: list[str]) -> Mapping[str, object]:
        """What these OIDs hold; empty also when the device refused."""
        return await self._asked(lambda: self._sock.send_get_many(oids), self._sock.recv_get_many)

    async def rows(self, place: GetIter) -> Rows:
        """The next rows of a walk; None at the end says the prefix was left. Empty: the device said no more, for whatever reason."""
        try:
            return await self._asked(lambda: self._sock.send_get_bulk(place), lambda: self._sock.recv_get_bulk(place))
        except StopAsyncIteration:
            return ()

    async def row(self, place: GetIter) -> Rows:
        """The same by GETNEXT."""
        try:
            return (await self._asked(lambda: self._sock.send_get_next(place), lambda: self._sock.recv_get_next(place)),)
        except StopAsyncIteration:
            return ()

    async def _asked(self, send: Callable[[], None], receive: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with suppress(BlockingIOError):  # no room for it: lost, as a datagram may be
            send()
        loop.add_reader(self._fd, self._receive, receive, answer)
        timer = loop.call_later(self._seconds, _expire, answer)
        try:
            return await answer
        finally:
            timer.cancel()
            loop.remove_reader(self._fd)

    def _receive(self, receive: Callable[[], T], answer: asyncio.Future[T]) -> None:
        """A datagram is there; one that answers nothing we asked is passed over."""
        if answer.done():
            return
        try:
            self._look()
            answer.set_result(receive())
        except BlockingIOError:
            return
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
                raise
            answer.set_exception(error)

    def _look(self) -> None:
        """Take the next datagram away if gufo must not see it. Raises SnmpError, and BlockingIOError when there is none."""
        sock = socket.SocketType(socket.AF_INET, socket.SOCK_DGRAM, 0, self._fd)  # the family is of no consequence for what is done with it
        try:
            if not well_formed(sock.recv(DATAGRAM_LIMIT + 1, socket.MSG_PEEK)):
                sock.recv(1)
                raise SnmpError("it is broken, or too large")
        finally:
            sock.detach()


def _expire(answer: asyncio.Future[T]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


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
        session = self._session or await self._open()
        wanted = list(dict.fromkeys(map(checked_oid, oids)))
        found: dict[str, SnmpValue] = {}
        for start in range(0, len(wanted), GET_AT_ONCE):
            part = wanted[start : start + GET_AT_ONCE]
            answer = await self._tries("SNMP get", session.values, part)
            if answer:
                found |= {oid: value for oid in part if (value := _plain(answer.get(oid))) is not None}
            else:
                found |= await self._get_exactly(part)
        return found

    async def walk(self, prefix: str, *, limit: int = WALK_LIMIT) -> list[tuple[str, SnmpValue]]:
        order = WalkOrder(checked_oid(prefix), limit, self._where)
        session = self._session or await self._open()
        place, step = (GetIter(order.last, REPETITIONS), session.rows) if self._version == 2 else (GetIter(order.last), session.row)
        while True:
            rows = await self._tries("SNMP walk", step, place)
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

    async def _tries(self, tried: str, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask, and once more if nothing came. gufo reports a closed port as a time-out too, only at once."""
        clock, seconds = self._services.clock, self._services.timeout / TRIES
        start = asked = clock.monotonic()
        for attempt in range(1, TRIES + 1):
            try:
                async with self._turn:
                    asked = clock.monotonic()
                    return await call(*args, **kwargs)
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
        device, seconds = self._device, self._services.timeout
        self._host = await resolved(device, seconds)
        self._session = _Session(self._host, device.snmp_port, self._community, version=self._version, seconds=seconds / TRIES, source=device.source_address)
        return self._session


def _plain(value: object) -> SnmpValue | None:
    return value if isinstance(value, (int, bytes, str)) else None
