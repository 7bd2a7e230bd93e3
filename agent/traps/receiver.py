"""The receiver: from the socket to the hint. It runs in the event loop, in turns that are short whatever comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from agent.logs import logger
from agent.model import Device, SnmpCredential
from agent.ports import Clock, SystemClock
from agent.traps import sockets
from agent.traps.message import LONGEST, Access, Dropped, Outcome, Trap, access_of, read, verified
from agent.traps.sources import Source, Sources, unmapped
from config.settings import Settings

Hint = Callable[[str, str], None]
"""Told the id of a device that is worth a poll now, and in a few words why. Must be quick: it runs in the loop."""

TURN = 64
"""Datagrams that are taken from a socket before others get their turn."""
REST = 0.005
"""Seconds that a socket is left alone after a full turn: what a flood can cost is bounded, the kernel drops what does not fit its buffer."""
RECOVER = 1.0
"""Seconds that a socket is left alone after an error."""


class Receiver:
    """`counts` says what became of each datagram since the start, by outcome. `addresses` are those it listens on."""

    def __init__(self, sources: Sources, hint: Hint, clock: Clock) -> None:
        self.counts: dict[str, int] = {outcome.value: 0 for outcome in Outcome}
        self.addresses: list[tuple[str, int]] = []
        self._sources = sources
        self._hint = hint
        self._clock = clock
        self._buffer = bytearray(LONGEST + 1)
        self._view = memoryview(self._buffer)
        self._sockets: list[socket.socket] = []
        self._resting: dict[int, asyncio.TimerHandle] = {}

    def listen(self, sock: socket.socket) -> None:
        """Take this socket over; `close` closes it."""
        self._sockets.append(sock)
        host, port, *_ = sock.getsockname()
        self.addresses.append((host, port))
        self._watch(sock)

    def close(self) -> None:
        for timer in self._resting.values():
            timer.cancel()
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _watch(self, sock: socket.socket) -> None:
        self._resting.pop(sock.fileno(), None)
        asyncio.get_running_loop().add_reader(sock, self._turn, sock)

    def _rest(self, sock: socket.socket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        self._resting[sock.fileno()] = loop.call_later(seconds, self._watch, sock)

    def _turn(self, sock: socket.socket) -> None:
        for _ in range(TURN):
            try:
                size, peer = sock.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                logger("traps").error("not_received", error=error.strerror or str(error), next=f"it is tried again in {RECOVER:g} s")
                self._rest(sock, RECOVER)
                return
            self.counts[self._taken(peer[0], size)] += 1
        self._rest(sock, REST)

    def _taken(self, address: str, size: int) -> Outcome:
        """What becomes of the datagram in the buffer. Nothing in it is looked at before its source is known and has a token left."""
        source = self._sources.find(unmapped(address))
        if source is None:
            return Outcome.STRANGER
        if not source.allows(self._clock.monotonic()):
            return Outcome.TOO_MANY
        try:
            devices, trap = self._verified(source, bytes(self._view[:size]))
        except Dropped as dropped:
            self._tell(source, address, dropped.outcome)
            return dropped.outcome
        except Exception:  # noqa: BLE001 - what one datagram does to us must not end the receiver
            logger("traps").exception("bug_in_trap", source=address)
            return Outcome.BUG
        for device in devices:
            logger("traps").debug("trap", device=device.id, oid=trap.oid, alarm=trap.alarm, text=trap.text)
            try:
                self._hint(device.id, trap.what)
            except Exception:  # noqa: BLE001 - as above
                logger("traps").exception("bug_in_hint", device=device.id)
                return Outcome.BUG
        return Outcome.TAKEN

    def _verified(self, source: Source, datagram: bytes) -> tuple[tuple[Device, ...], Trap]:
        candidates = self._sources.candidates(source)
        if not candidates:
            raise Dropped(Outcome.NO_CREDENTIAL)
        message = read(datagram)
        for access, devices in candidates:
            try:
                return devices, verified(message, access)
            except Dropped as dropped:
                if dropped.outcome is not Outcome.NOT_VERIFIED:
                    raise
        raise Dropped(Outcome.NOT_VERIFIED)

    def _tell(self, source: Source, address: str, outcome: Outcome) -> None:
        """Each time for who looks closely; once an address for everybody, since the address may be forged."""
        devices = [device.id for device in source.devices]
        logger("traps").debug("trap_dropped", devices=devices, source=address, outcome=outcome.value)
        if outcome in (Outcome.NOT_VERIFIED, Outcome.NO_CREDENTIAL) and not source.told:
            source.told = True
            remedy = "give the device's trap receiver the community, or the user and passwords, of the snmp credential that the device has here"
            logger("traps").warning("trap_not_verified", devices=devices, source=address, outcome=outcome.value, next=remedy)


@asynccontextmanager
async def open_traps(settings: Settings, devices: Iterable[Device], hint: Hint, *, clock: Clock | None = None) -> AsyncIterator[Receiver]:
    """Receive until it is left: on what systemd handed over, else on `traps.listen`, else on nothing. Raises StartError."""
    inventory, clock = tuple(devices), clock or SystemClock()
    opened = sockets.handed_over()
    if opened and settings.traps.listen is not None:
        logger("traps").info("traps_listen_not_used", next="systemd's socket is used; leave traps.listen out, or disable latarnik-traps.socket")
    elif settings.traps.listen is not None:
        opened = await sockets.bound(settings.traps.listen)
    try:
        accesses = await asyncio.to_thread(_accesses, inventory) if opened else {}
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    sources = Sources(inventory if opened else (), accesses, clock)
    receiver = Receiver(sources, hint, clock)
    for sock in opened:
        receiver.listen(sock)
    if receiver.addresses:
        logger("traps").info("receiving_traps", addresses=[f"{host} port {port}" for host, port in receiver.addresses])
    resolver = asyncio.create_task(sources.keep_resolved(), name="traps:names") if sources.names else None
    try:
        yield receiver
    finally:
        receiver.close()
        if resolver is not None:
            resolver.cancel()
            await asyncio.wait({resolver})


def _accesses(devices: Iterable[Device]) -> Mapping[str, Access]:
    """The devices' SNMP credentials made ready, each once."""
    credentials: dict[str, SnmpCredential] = {c.version: c for device in devices if (c := device.snmp_credential()) is not None}
    return {version: access_of(credential) for version, credential in credentials.items()}
