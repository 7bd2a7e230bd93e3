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
from agent.logs import logger
from agent.model import Device, SnmpCredential
from agent.ports import Services
from collectors.transport.failures import failure
from collectors.transport.snmp import GET_AT_ONCE, REPETITIONS, TRIES, WALK_LIMIT, SnmpValue, WalkOrder, checked_oid, resolved, status_error, well_formed
from collectors.transport.snmp_exact import plain_value

SHARD = 100
IN_FLIGHT = 50
_WAY = "snmp"
_LOOKED_AT = 16  # datagrams of one request that are decoded: discovery, clock and answer, each twice, are six
_TICK = 0.5  # seconds between an engine's looks at its timers
_TOO_BIG = 1
_ONCE = "-once"  # a target to which pysnmp sends nothing again by itself: it would repeat what the device refused
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


class _OneTarget:
    """pysnmp's transport with a socket of its own for each request, connected to its one target: nobody else is heard, nobody's flood
    crowds out another's answers, and what comes late reaches nothing. Only so many datagrams of a request are decoded.
    """

    transport: asyncio.DatagramTransport | None
    _callback_function: Any
    _left = 0

    async def open(self, address: tuple[str, int], source: str) -> None:
        """Raises OSError."""
        self._left = _LOOKED_AT
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cast("asyncio.DatagramProtocol", self), remote_addr=address, local_addr=(source, 0) if source else None
        )

    def shut(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    def send_message(self, outgoingMessage: bytes, transportAddress: Any) -> None:  # noqa: N803 - pysnmp's names
        del transportAddress
        if self.transport is not None:  # else it is pysnmp's repetition for a request that nobody waits for any more
            self.transport.sendto(outgoingMessage)

    def datagram_received(self, datagram: bytes, transportAddress: Any) -> None:  # noqa: N803 - pysnmp's names
        if self._left <= 0 or not well_formed(datagram) or self._callback_function is None:
            return
        self._left -= 1
        try:
            self._callback_function(self, transportAddress, datagram)
        except Exception as error:  # noqa: BLE001 - an answer that pysnmp stumbles over is no answer
            logger("snmp").debug("answer_not_decoded", target=str(transportAddress), error=type(error).__name__)


class _Udp(_OneTarget, udp.UdpAsyncioTransport):  # type: ignore[misc] # pysnmp has no types
    pass


class _Udp6(_OneTarget, udp6.Udp6AsyncioTransport):  # type: ignore[misc] # pysnmp has no types
    pass


class _Target(NamedTuple):
    """`turn`: the socket is one request's."""

    address: tuple[str, int]
    transport: _Udp | _Udp6
    turn: asyncio.Lock


class _Shard:
    """One engine with the user of one credential and up to SHARD targets."""

    def __init__(self, engine: Any, timeout: float, source: str) -> None:
        self._engine = engine
        self._source = source
        self._timeout = timeout
        self._names: dict[tuple[str, int], str] = {}
        self._targets: dict[str, _Target] = {}
        self._get = cmdgen.GetCommandGenerator()
        self._bulk = cmdgen.BulkCommandGeneratorSingleRun()
        engine.register_transport_dispatcher(AsyncioDispatcher(timeout=_TICK))

    def __len__(self) -> int:
        return len(self._names)

    def target(self, host: str, port: int) -> str:
        """The engine's name for this address."""
        name = self._names.get((host, port))
        if name is None:
            six = ":" in host
            number = len(self._names)
            domain = (*(udp6.DOMAIN_NAME if six else udp.DOMAIN_NAME), number)
            transport = (_Udp6 if six else _Udp)()
            config.add_transport(self._engine, domain, transport)
            name = f"t{number}"
            for called, again in ((name, TRIES - 1), (f"{name}{_ONCE}", 0)):
                config.add_target_address(self._engine, called, domain, (host, port), "p", int(self._timeout * 100), again)
            self._names[host, port] = name
            self._targets[name] = _Target((host, port), transport, asyncio.Lock())
        return name

    async def ask(self, name: str, bindings: list[tuple[Any, Any]], repetitions: int) -> _Answer:
        """GET, or GETBULK when `repetitions` is not 0. Raises OSError."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        target = self._targets[name.removesuffix(_ONCE)]
        async with target.turn:
            await target.transport.open(target.address, self._source)
            try:
                if repetitions:
                    self._bulk.send_varbinds(self._engine, name, None, "", 0, repetitions, bindings, _answered, answer)
                else:
                    self._get.send_varbinds(self._engine, name, None, "", bindings, _answered, answer)
                return await answer
            finally:
                target.transport.shut()

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
        self._shards: dict[tuple[str, str], list[_Shard]] = {}
        self._homes: dict[tuple[str, str, str, int], _Shard] = {}
        self._oids: dict[str, tuple[Any, Any]] = {}
        self._building = asyncio.Lock()
        self.slots = asyncio.Semaphore(IN_FLIGHT)

    async def home(self, device: Device, credential: SnmpCredential, host: str) -> tuple[_Shard, str]:
        """The shard of this device, and its name there."""
        key = (device.id, credential.version, host, device.snmp_port)
        source = device.source_address
        shard = self._homes.get(key)
        if shard is None:
            async with self._building:
                shards = self._shards.setdefault((credential.version, source), [])
                shard = next((shard for shard in shards if len(shard) < SHARD), None)
                if shard is None:
                    shard = _Shard(await asyncio.to_thread(_new_engine, credential), self._timeout, source)
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
                answer = await self._sent(shard, name + _ONCE if attempt else name, oids, repetitions, tried)
                if attempt and isinstance(answer.trouble, errind.RequestTimedOut):
                    answer = await self._sent(shard, name + _ONCE, oids, repetitions, tried)
        except BaseException:
            if attempt:
                # A datagram without an answer is no login: a device that reports a wrong key does so at once, and locks nothing.
                await guard.unclear(device, credential, _WAY, sent=False)
            raise
        if isinstance(answer.trouble, _REFUSALS) and attempt:
            self._refused = True
            detail = f"{tried} {self._where}: credential {credential.name} (user {credential.user}): {answer.trouble}"
            raise LoginRefused(Reason.AUTH, await guard.refused(device, credential, _WAY, detail))
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
        except OSError as error:
            trouble = failure(error, where=self._where, tried=tried, seconds=0.0)
        raise trouble from None

    def _trouble(self, trouble: Any, tried: str) -> CollectError:
        if isinstance(trouble, errind.RequestTimedOut):
            said = f"no answer to {TRIES} requests that we could trust: switched off, filtered, or a wrong key"
            return Unreachable(Reason.TIMEOUT, f"{self._where}: {tried}: {said}")
        if isinstance(trouble, _REFUSALS):
            return CollectError(Reason.AUTH, f"{self._where}: {tried}: {trouble}, though it was accepted before")
        return CollectError(Reason.SNMP_ERROR, f"{self._where}: {tried}: {trouble}")
