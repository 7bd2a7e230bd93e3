"""SNMP v3 through pysnmp: the engine that checks the signature of every answer.

Engines are shared, one per credential and SHARD targets: building one takes about 0.1 s of CPU (done in a thread), and finding a target in one
costs more the more it has. At most IN_FLIGHT requests run at once, and a request's time-out starts when it is sent: pysnmp answers
slower than it asks, so a longer queue would run into its own time-outs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.carrier.asyncio.dispatch import AsyncioDispatcher
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdgen
from pysnmp.error import PySnmpError
from pysnmp.proto import errind
from pysnmp.proto.api import v2c

from agent.errors import BadPayload, CollectError, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import Device, SnmpCredential
from agent.ports import Services
from collectors.transport.snmp import GET_AT_ONCE, REPETITIONS, TRIES, WALK_LIMIT, SnmpValue, WalkOrder, checked_oid, resolved, status_error
from collectors.transport.snmp_exact import plain_value

SHARD = 100
IN_FLIGHT = 50
_WAY = "snmp"
_TICK = 0.5  # seconds between an engine's looks at its timers
_TOO_BIG = 1
_AUTH = {
    "": config.USM_AUTH_NONE,
    "md5": config.USM_AUTH_HMAC96_MD5,
    "sha1": config.USM_AUTH_HMAC96_SHA,
    "sha256": config.USM_AUTH_HMAC192_SHA256,
    "sha512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIV = {
    "": config.USM_PRIV_NONE,
    "des": config.USM_PRIV_CBC56_DES,
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,  # the lengthening net-snmp uses; the other one is Cisco's
}
# What the device itself reports about our credential (RFC 3414, 3.2): its word, not our engine's opinion of an answer.
_REFUSALS = (errind.UnknownUserName, errind.WrongDigest, errind.DecryptionError, errind.UnsupportedSecurityLevel)


class _Answer(NamedTuple):
    trouble: Any
    status: int
    name: str
    bindings: list[tuple[str, SnmpValue | None]]


class _FromKnownPeers:
    """Drops datagrams from addresses that were not asked, before they cost anything."""

    peers: set[tuple[str, int]]

    def datagram_received(self, datagram: bytes, transportAddress: Any) -> None:  # noqa: N803 - pysnmp's name
        if tuple(transportAddress[:2]) in self.peers:
            super().datagram_received(datagram, transportAddress)  # type: ignore[misc] # stands before pysnmp's transport


class _Udp(_FromKnownPeers, udp.UdpAsyncioTransport):  # type: ignore[misc] # pysnmp has no types
    pass


class _Udp6(_FromKnownPeers, udp6.Udp6AsyncioTransport):  # type: ignore[misc] # pysnmp has no types
    pass


class _Shard:
    """One engine with the user of one credential and up to SHARD targets."""

    def __init__(self, engine: Any, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._targets: dict[tuple[str, int], str] = {}
        self._peers: set[tuple[str, int]] = set()
        self._domains: set[tuple[int, ...]] = set()
        self._get = cmdgen.GetCommandGenerator()
        self._bulk = cmdgen.BulkCommandGeneratorSingleRun()
        engine.register_transport_dispatcher(AsyncioDispatcher(timeout=_TICK))

    def __len__(self) -> int:
        return len(self._targets)

    def target(self, host: str, port: int) -> str:
        """The engine's name for this address."""
        name = self._targets.get((host, port))
        if name is None:
            six = ":" in host
            domain = udp6.DOMAIN_NAME if six else udp.DOMAIN_NAME
            if domain not in self._domains:
                transport = (_Udp6 if six else _Udp)()
                transport.peers = self._peers
                config.add_transport(self._engine, domain, transport.open_client_mode())
                self._domains.add(domain)
            name = f"t{len(self._targets)}"
            config.add_target_address(self._engine, name, domain, (host, port), "p", int(self._timeout * 100), TRIES - 1)
            self._targets[host, port] = name
            self._peers.add((host, port))
        return name

    async def ask(self, name: str, bindings: list[tuple[Any, Any]], repetitions: int) -> _Answer:
        """GET, or GETBULK when `repetitions` is not 0."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        if repetitions:
            self._bulk.send_varbinds(self._engine, name, None, "", 0, repetitions, bindings, _answered, answer)
        else:
            self._get.send_varbinds(self._engine, name, None, "", bindings, _answered, answer)
        return await answer

    def close(self) -> None:
        self._engine.close_dispatcher()


def _answered(_engine: Any, _handle: Any, trouble: Any, status: Any, _index: Any, bindings: Any, answer: asyncio.Future[_Answer]) -> None:
    if answer.done():
        return
    word = status.prettyPrint() if status else ""
    answer.set_result(_Answer(trouble, int(status), word, [(str(oid), plain_value(value)) for oid, value in bindings]))


class Engines:
    """The v3 engines of one plugin."""

    def __init__(self, services: Services) -> None:
        self._timeout = services.timeout / TRIES
        self._shards: dict[str, list[_Shard]] = {}
        self._homes: dict[tuple[str, str, str, int], _Shard] = {}
        self._oids: dict[str, tuple[Any, Any]] = {}
        self._building = asyncio.Lock()
        self.slots = asyncio.Semaphore(IN_FLIGHT)

    async def home(self, device: Device, credential: SnmpCredential, host: str) -> tuple[_Shard, str]:
        """The shard of this device, and its name there."""
        key = (device.id, credential.version, host, device.snmp_port)
        shard = self._homes.get(key)
        if shard is None:
            async with self._building:
                shards = self._shards.setdefault(credential.version, [])
                shard = next((shard for shard in shards if len(shard) < SHARD), None)
                if shard is None:
                    shard = _Shard(await asyncio.to_thread(_new_engine, credential), self._timeout)
                    shards.append(shard)
                name = shard.target(host, device.snmp_port)
                self._homes[key] = shard
                return shard, name
        return shard, shard.target(host, device.snmp_port)

    def bindings(self, oids: Sequence[str]) -> list[tuple[Any, Any]]:
        """The OIDs as pysnmp wants them, each made once."""
        for oid in oids:
            if oid not in self._oids:
                if len(self._oids) > 4096:  # a walk's last rows come and go; a vendor's own OIDs are soon here again
                    self._oids.clear()
                self._oids[oid] = (v2c.ObjectIdentifier(oid), v2c.null)
        return [self._oids[oid] for oid in oids]

    def close(self) -> None:
        for shards in self._shards.values():
            for shard in shards:
                shard.close()


def _new_engine(credential: SnmpCredential) -> Any:
    """In a thread: 0.1 s for the engine's own MIB, and the password-to-key hash over a megabyte, twice."""
    engine = SnmpEngine()
    auth, priv = credential.auth, credential.priv
    config.add_v3_user(
        engine, credential.user, _AUTH[auth], credential.auth_key.reveal() if auth else None, _PRIV[priv], credential.priv_key.reveal() if priv else None
    )
    level = "authPriv" if priv else "authNoPriv" if auth else "noAuthNoPriv"
    config.add_target_parameters(engine, "p", credential.user, level)
    return engine


class UserConnection:
    """SNMP v3 with one device."""

    def __init__(self, device: Device, credential: SnmpCredential, services: Services, engines: Engines) -> None:
        self._device = device
        self._credential = credential
        self._services = services
        self._engines = engines
        self._where = f"{device.host}:{device.snmp_port}"
        self._host = ""
        self._proven = False
        self._refused = False
        self._turn = asyncio.Lock()

    async def get(self, oids: Sequence[str]) -> dict[str, SnmpValue]:
        wanted = list(dict.fromkeys(map(checked_oid, oids)))
        found: dict[str, SnmpValue] = {}
        for start in range(0, len(wanted), GET_AT_ONCE):
            part = wanted[start : start + GET_AT_ONCE]
            answer = await self._ask("SNMP get", part, 0)
            if answer.status == _TOO_BIG and len(part) > 1:
                for half in (part[: len(part) // 2], part[len(part) // 2 :]):
                    found |= await self.get(half)
                continue
            if answer.status:
                raise status_error(answer.status, answer.name, self._where, "SNMP get")
            found |= {oid: value for oid, value in answer.bindings if oid in part and value is not None}
        return found

    async def walk(self, prefix: str, *, limit: int = WALK_LIMIT) -> list[tuple[str, SnmpValue]]:
        order = WalkOrder(checked_oid(prefix), limit, self._where)
        while True:
            answer = await self._ask("SNMP walk", [order.last], REPETITIONS)
            if answer.status:
                raise status_error(answer.status, answer.name, self._where, f"SNMP walk after {order.last}")
            if not answer.bindings:
                raise BadPayload(f"{self._where}: SNMP walk: an answer without a binding after {order.last}")
            for oid, value in answer.bindings:
                if value is None or not order.add(oid, value):
                    return order.rows

    async def _ask(self, tried: str, oids: list[str], repetitions: int) -> _Answer:
        async with self._turn:  # requests at the same time would be as many refused logins
            return await self._ask_guarded(tried, oids, repetitions)

    async def _ask_guarded(self, tried: str, oids: list[str], repetitions: int) -> _Answer:
        if self._refused:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"{self._where}: refused earlier in this visit; not tried again")
        guard, device, credential = self._services.guard, self._device.id, self._credential
        if not self._host:
            self._host = await resolved(self._device, self._services.timeout)
        shard, name = await self._engines.home(self._device, credential, self._host)
        attempt = not self._proven
        if attempt:
            await guard.before(device, credential, _WAY)
        try:
            async with self._engines.slots:
                answer = await self._sent(shard, name, oids, repetitions, tried)
        except BaseException:
            if attempt:
                # A datagram without an answer is no login: a device that reports a wrong key does so at once, and locks nothing.
                await guard.unclear(device, credential, _WAY, sent=False)
            raise
        if isinstance(answer.trouble, _REFUSALS) and attempt:
            self._refused = True
            detail = f"{tried} {self._where}: credential {credential.name} (user {credential.user}): {answer.trouble}"
            await guard.refused(device, credential, _WAY, detail)
            raise LoginRefused(Reason.AUTH, detail)
        if answer.trouble is not None:
            if attempt:
                await guard.unclear(device, credential, _WAY, sent=False)
            raise self._trouble(answer.trouble, tried)
        if attempt:
            self._proven = True
            await guard.accepted(device, credential, _WAY)
        return answer

    async def _sent(self, shard: _Shard, name: str, oids: list[str], repetitions: int, tried: str) -> _Answer:
        """Sends now. pysnmp times itself out; the outer bound is for the case that it loses track, with room for discovery of the engine."""
        try:
            async with asyncio.timeout(self._services.timeout * 2 + 4 * _TICK):
                return await shard.ask(name, self._engines.bindings(oids), repetitions)
        except TimeoutError:
            trouble: CollectError = Unreachable(Reason.TIMEOUT, f"{self._where}: {tried}: no answer in time")
        except PySnmpError as error:
            trouble = CollectError(Reason.SNMP_ERROR, f"{self._where}: {tried}: {cast('Any', error).__class__.__name__}")
        raise trouble from None

    def _trouble(self, trouble: Any, tried: str) -> CollectError:
        if isinstance(trouble, errind.RequestTimedOut):
            said = f"no answer to {TRIES} requests that we could trust: switched off, filtered, or a wrong key"
            return Unreachable(Reason.TIMEOUT, f"{self._where}: {tried}: {said}")
        if isinstance(trouble, _REFUSALS):
            return CollectError(Reason.AUTH, f"{self._where}: {tried}: {trouble}, though it was accepted before")
        return CollectError(Reason.SNMP_ERROR, f"{self._where}: {tried}: {trouble}")
