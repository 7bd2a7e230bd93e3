"""Devices, their traps as bytes (made with the simulator's own BER and keys, which share nothing with the receiver), and a receiver under test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count

from agent.model import Device, Secret, SnmpCredential
from agent.ports import Clock
from agent.traps.receiver import Receiver, open_traps
from config.settings import Settings, Site, Traps
from config.values import parse_listen
from simulator.snmp import ber, usm

ALARM_NEW = (1, 3, 6, 1, 4, 1, 368, 4, 2, 0, 1)
ALARM_NAME = (1, 3, 6, 1, 4, 1, 368, 4, 2, 2)
ALARM_TEXT = (1, 3, 6, 1, 4, 1, 368, 4, 2, 3)
UP_TIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
ENGINE = bytes.fromhex("800001700300408c123456")

COMMUNITY = SnmpCredential(name="traps-v2", snmp_version=2, community=Secret("garden-gate"))
USERS: Mapping[str, tuple[SnmpCredential, usm.User]] = {
    f"{auth}-{priv or 'none'}": (
        SnmpCredential(
            name="traps-v3", snmp_version=3, user="monitor", auth=auth, auth_key=Secret("authauth1"), priv=priv, priv_key=Secret("privpriv1" if priv else "")
        ),
        usm.User(name="monitor", auth=usm.Auth(auth), auth_password="authauth1", priv=usm.Priv(priv), priv_password="privpriv1"),
    )
    for auth, priv in (("md5", "des"), ("sha1", "aes128"), ("sha256", "aes128"), ("sha1", "aes256"), ("sha512", "aes256"), ("sha256", ""))
}
STRONG, STRONG_USER = USERS["sha256-aes128"]
_numbers = count(1)


def camera(host: str = "127.0.0.1", credential: SnmpCredential | None = COMMUNITY, name: str = "gate-2") -> Device:
    return Device(id=name, vendor="axis", host=host, credentials={"snmp": credential} if credential else {})


def bindings(*more: bytes, oid: Sequence[int] = ALARM_NEW) -> bytes:
    head = (ber.sequence(ber.oid(UP_TIME), ber.time_ticks(5)), ber.sequence(ber.oid(TRAP_OID), ber.oid(oid)))
    return ber.sequence(*head, *more)


FAN = (ber.sequence(ber.oid(ALARM_NAME), ber.octets("Fan Operation")), ber.sequence(ber.oid((*ALARM_TEXT, 0)), ber.octets("Check the fan")))


def pdu(listed: bytes | None = None, tag: int = 0xA7) -> bytes:
    return ber.sequence(ber.integer(next(_numbers)), ber.integer(0), ber.integer(0), bindings(*FAN) if listed is None else listed, tag=tag)


def v2c(community: str = "garden-gate", content: bytes | None = None, version: int = 1) -> bytes:
    return ber.sequence(ber.integer(version), ber.octets(community), pdu() if content is None else content)


def v3(
    user: usm.User = STRONG_USER, content: bytes | None = None, *, engine: bytes = ENGINE, boots: int = 7, encrypt: bool = True, name: str | None = None
) -> bytes:
    """Signed and encrypted as far as the user can."""
    keys = usm.keys(user, engine)
    time = 4711
    body = ber.sequence(ber.octets(engine), ber.octets(b""), pdu() if content is None else content)
    salt, flags = b"", 0
    if user.priv and encrypt:
        salt, cipher = usm.encrypt(user.priv, keys.priv, boots, time, body)
        body, flags = ber.octets(cipher), 2
    flags |= 1 if user.auth else 0

    def whole(signature: bytes) -> bytes:
        security = ber.sequence(
            ber.octets(engine), ber.integer(boots), ber.integer(time), ber.octets(name or user.name), ber.octets(signature), ber.octets(salt)
        )
        header = ber.sequence(ber.integer(next(numbers)), ber.integer(65507), ber.octets(bytes((flags,))), ber.integer(3))
        return ber.sequence(ber.integer(3), header, ber.octets(security), body)

    number = next(_numbers)
    numbers = iter((number, number))
    if not user.auth:
        return whole(b"")
    blank = whole(bytes(user.auth.mac_size))
    return whole(usm.signature(user.auth, keys.auth, blank))


class Hints:
    """The poller's place: what it was told, up to a thousand; `number` counts all."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.number = 0

    def __call__(self, device: str, what: str) -> None:
        self.number += 1
        if len(self.told) < 1000:
            self.told.append((device, what))


@asynccontextmanager
async def receiving(devices: Sequence[Device], hints: Hints, *, clock: Clock | None = None, listen: str = "127.0.0.1:0") -> AsyncIterator[Receiver]:
    settings = Settings(site=Site(name="hq"), devices=(), traps=Traps(listen=parse_listen(listen)))
    async with open_traps(settings, devices, hints, clock=clock) as receiver:
        yield receiver


@contextmanager
def sender(source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        yield sock


async def counted(receiver: Receiver, number: int) -> None:
    """Until so many datagrams came; a minute is only there to tell a hang."""
    async with asyncio.timeout(60):
        while sum(receiver.counts.values()) < number:  # noqa: ASYNC110 - the receiver has no event of its own
            await asyncio.sleep(0)


async def send(receiver: Receiver, *datagrams: bytes, source: str = "127.0.0.1") -> dict[str, int]:
    """From this address, one after the other, each only when the one before was taken. What became of them."""
    before = dict(receiver.counts)
    total = sum(before.values())
    with sender(source) as sock:
        for number, datagram in enumerate(datagrams, 1):
            sock.sendto(datagram, receiver.addresses[0])
            await counted(receiver, total + number)
    return {outcome: more for outcome, count in receiver.counts.items() if (more := count - before[outcome])}
