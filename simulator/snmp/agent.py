"""The agent: takes one datagram, gives one or none. Strict as net-snmp's snmpd, which is what such devices run.

A wrong community is answered with silence. SNMPv3 follows RFC 3412 and 3414: engine discovery, signatures checked, time window checked,
reports for what is wrong.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from simulator.snmp import ber, usm
from simulator.snmp.mib import Mib, Oid

T = TypeVar("T")

GET, GET_NEXT, RESPONSE, SET, GET_BULK, REPORT = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5, 0xA8
_TOO_BIG, _NO_SUCH_NAME, _NO_ACCESS, _AUTHORIZATION_ERROR = 1, 2, 6, 16

_MAX_SIZE = 65507  # bytes in a UDP datagram
_OVERHEAD = 256  # bytes kept for what stands around the bindings
_TIME_WINDOW = 150  # seconds, RFC 3414 2.2.3
_AUTH, _PRIV, _REPORTABLE = 1, 2, 4  # msgFlags

_USM_STATS = (1, 3, 6, 1, 6, 3, 15, 1, 1)
UNSUPPORTED_LEVEL = (*_USM_STATS, 1, 0)
NOT_IN_TIME_WINDOW = (*_USM_STATS, 2, 0)
UNKNOWN_USER = (*_USM_STATS, 3, 0)
UNKNOWN_ENGINE = (*_USM_STATS, 4, 0)
WRONG_DIGEST = (*_USM_STATS, 5, 0)
DECRYPTION_ERROR = (*_USM_STATS, 6, 0)
UNKNOWN_CONTEXT = (1, 3, 6, 1, 6, 3, 12, 1, 5, 0)

_STAT_NAMES = {
    UNSUPPORTED_LEVEL: "unsupported_level",
    NOT_IN_TIME_WINDOW: "not_in_time_window",
    UNKNOWN_USER: "unknown_user",
    UNKNOWN_ENGINE: "discovery",
    WRONG_DIGEST: "wrong_digest",
    DECRYPTION_ERROR: "decryption_error",
    UNKNOWN_CONTEXT: "unknown_context",
}


class Tamper(StrEnum):
    """What an attacker on the network does to the answers."""

    NONE = ""
    WRONG_KEY = "wrong_key"  # v3 answers are signed with another key than the user's
    FOREIGN_ADDRESS = "foreign_address"  # answers come from another address than the one that was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Which versions are on, and for whom. No versions: SNMP is off."""

    v1: bool = False
    v2c: bool = False
    community: str = "public"
    users: tuple[usm.User, ...] = ()

    @property
    def enabled(self) -> bool:
        return self.v1 or self.v2c or bool(self.users)


class _Header(NamedTuple):
    """What stands around a v3 PDU."""

    id: int
    max_size: int
    flags: int
    engine: bytes
    boots: int
    time: int
    user: str
    signature: bytes
    salt: bytes


class Agent(Generic[T]):
    """One device's agent. `boots` and `time` are the engine's, as RFC 3414 wants them; `counted` says what was asked and refused."""

    def __init__(self, mib: Mib[T], subject: T, *, access: Access, engine: bytes, boots: Callable[[], int], time: Callable[[], float]) -> None:
        self._mib = mib
        self._subject = subject
        self._access = access
        self._community = access.community.encode()
        self._users: Mapping[str, usm.User] = {user.name: user for user in access.users}
        self._engine = engine
        self._boots = boots
        self._time = time
        self.tamper = Tamper.NONE
        self.counted: Counter[str] = Counter()

    @property
    def source(self) -> str:
        """The address answers leave from; '' for the one that was asked."""
        return "127.255.255.1" if self.tamper is Tamper.FOREIGN_ADDRESS else ""

    def answer(self, datagram: bytes) -> bytes | None:
        """The answer, or None for silence."""
        try:
            message = ber.Reader(datagram).enter()
            version = message.integer()
            if version == 3:
                return self._answer_v3(datagram, message)
            return self._answer_community(version, message)
        except ber.BerError:
            self.counted["malformed"] += 1
            return None

    # --- versions 1 and 2c ---

    def _answer_community(self, version: int, message: ber.Reader) -> bytes | None:
        if not ((version == 0 and self._access.v1) or (version == 1 and self._access.v2c)):
            return None
        community = message.octets()
        if not hmac.compare_digest(community, self._community):
            self.counted["wrong_community"] += 1
            return None
        pdu = self._answer_pdu(message, version=version, limit=_MAX_SIZE)
        return None if pdu is None else ber.sequence(ber.integer(version), ber.octets(community), pdu)

    # --- requests ---

    def _answer_pdu(self, message: ber.Reader, *, version: int, limit: int, allowed: bool = True) -> bytes | None:
        tag, start, end = message.any()
        pdu = ber.Reader(message.data, start, end)
        request, second, third = pdu.integer(), pdu.integer(), pdu.integer()
        bindings = pdu.enter()
        oids: list[Oid] = []
        while bindings.more:
            binding = bindings.enter()
            oids.append(binding.oid())
            binding.any()
        if tag not in {GET, GET_NEXT, SET, GET_BULK} or (tag == GET_BULK and version == 0):
            return None
        self.counted[{GET: "get", GET_NEXT: "getnext", SET: "set", GET_BULK: "getbulk"}[tag]] += 1
        if tag == SET:  # nothing is writable: v1 says noSuchName, v2 noAccess
            return _error(request, _NO_SUCH_NAME if version == 0 else _NO_ACCESS, 1, oids)
        if not allowed:
            return _error(request, _AUTHORIZATION_ERROR, 1 if oids else 0, oids)
        if tag == GET_BULK:
            found = self._bulk(oids, max(second, 0), max(third, 0), limit - _OVERHEAD)
        else:
            found = []
            for index, oid in enumerate(oids, 1):
                position = self._mib.position(oid) if tag == GET else self._mib.after(oid)
                if position is not None:
                    found.append(self._mib.binding(position, self._subject))
                elif version == 0:
                    return _error(request, _NO_SUCH_NAME, index, oids)
                else:
                    found.append(ber.sequence(ber.oid(oid), self._mib.missing(oid) if tag == GET else ber.END_OF_MIB_VIEW))
            if sum(map(len, found)) > limit - _OVERHEAD:
                return _error(request, _TOO_BIG, 0, [])
        return ber.sequence(ber.integer(request), ber.integer(0), ber.integer(0), ber.sequence(*found), tag=RESPONSE)

    def _bulk(self, oids: list[Oid], non_repeaters: int, repetitions: int, room: int) -> list[bytes]:
        """GETBULK: as many bindings as fit."""
        found: list[bytes] = []

        def add(oid: Oid) -> Oid | None:
            """Append what follows `oid`; its name, or None when there is no room."""
            nonlocal room
            position = self._mib.after(oid)
            binding = ber.sequence(ber.oid(oid), ber.END_OF_MIB_VIEW) if position is None else self._mib.binding(position, self._subject)
            room -= len(binding)
            if room < 0:
                return None
            found.append(binding)
            return oid if position is None else self._mib.oid(position)

        for oid in oids[:non_repeaters]:
            if add(oid) is None:
                return found
        current = oids[non_repeaters:]
        for _ in range(repetitions if current else 0):
            following: list[Oid] = []
            for oid in current:
                name = add(oid)
                if name is None:
                    return found
                following.append(name)
            if following == current:  # every one is at its end
                return found
            current = following
        return found

    # --- version 3 ---

    def _answer_v3(self, datagram: bytes, message: ber.Reader) -> bytes | None:
        if not self._users:
            return None
        head = message.enter()
        number, max_size, flags, model = head.integer(), head.integer(), head.octets(), head.integer()
        if len(flags) != 1 or model != 3 or flags[0] & (_AUTH | _PRIV) == _PRIV:
            raise ber.BerError("not a message of the user-based security model")
        security = ber.Reader(datagram, *message.expect(ber.OCTETS)).enter()
        engine, boots, time, user_name = security.octets(), security.integer(), security.integer(), security.octets()
        signed_at, signed_end = security.expect(ber.OCTETS)
        header = _Header(
            number,
            min(max(max_size, 484), _MAX_SIZE),
            flags[0],
            engine,
            boots,
            time,
            user_name.decode(errors="replace"),
            datagram[signed_at:signed_end],
            security.octets(),
        )
        if header.engine != self._engine:
            return self._report(header, UNKNOWN_ENGINE)
        user = self._users.get(header.user)
        if user is None:
            return self._report(header, UNKNOWN_USER)
        if (header.flags & _AUTH and not user.auth) or (header.flags & _PRIV and not user.priv):
            return self._report(header, UNSUPPORTED_LEVEL)
        keys = usm.keys(user, self._engine)
        if header.flags & _AUTH:
            unsigned = datagram[:signed_at] + bytes(signed_end - signed_at) + datagram[signed_end:]
            if not hmac.compare_digest(usm.signature(user.auth, keys.auth, unsigned), header.signature):
                return self._report(header, WRONG_DIGEST)
            if header.boots != self._boots() or abs(header.time - self._time()) > _TIME_WINDOW:
                return self._report(header, NOT_IN_TIME_WINDOW, user=user)
        scoped = message
        if header.flags & _PRIV:
            try:
                plain = usm.decrypt(user.priv, keys.priv, header.boots, header.time, header.salt, message.octets())
                scoped = ber.Reader(plain).enter()
            except ValueError:  # BerError is one: a wrong key gives noise
                return self._report(header, DECRYPTION_ERROR, user=user)
        else:
            scoped = message.enter()
        scoped.octets()  # contextEngineID
        if scoped.octets() != b"":
            return self._report(header, UNKNOWN_CONTEXT, user=user)
        allowed = bool(header.flags & _AUTH) == bool(user.auth) and bool(header.flags & _PRIV) == bool(user.priv)
        if not allowed:
            self.counted["level_too_low"] += 1
        pdu = self._answer_pdu(scoped, version=3, limit=header.max_size, allowed=allowed)
        return None if pdu is None else self._wrap(header, pdu, flags=header.flags & (_AUTH | _PRIV), user=user)

    def _report(self, header: _Header, what: Oid, *, user: usm.User | None = None) -> bytes | None:
        """A report: in clear, but signed when the sender proved to be `user`."""
        self.counted[_STAT_NAMES[what]] += 1
        if not header.flags & _REPORTABLE:
            return None
        binding = ber.sequence(ber.oid(what), ber.counter32(self.counted[_STAT_NAMES[what]]))
        pdu = ber.sequence(ber.integer(0), ber.integer(0), ber.integer(0), ber.sequence(binding), tag=REPORT)
        return self._wrap(header, pdu, flags=header.flags & _AUTH if user else 0, user=user)

    def notification(self, pdu: bytes, user: usm.User) -> bytes:
        """A v3 message that this engine sends by itself, in which it is the authoritative one (RFC 3414 3.1)."""
        flags = (_AUTH if user.auth else 0) | (_PRIV if user.priv else 0)
        self.counted["notification"] += 1
        header = _Header(self.counted["notification"], _MAX_SIZE, flags, self._engine, self._boots(), int(self._time()), user.name, b"", b"")
        return self._wrap(header, pdu, flags=flags, user=user)

    def _wrap(self, header: _Header, pdu: bytes, *, flags: int, user: usm.User | None) -> bytes:
        """A whole v3 message around a PDU."""
        boots, time = self._boots(), int(self._time())
        data = ber.sequence(ber.octets(self._engine), ber.octets(b""), pdu)
        salt = signature = b""
        if user is not None and flags & _PRIV:
            salt, data = usm.encrypt(user.priv, usm.keys(user, self._engine).priv, boots, time, data)
            data = ber.octets(data)
        if user is not None and flags & _AUTH:
            signature = bytes(user.auth.mac_size)
        salt_element = ber.octets(salt)
        message = ber.sequence(
            ber.integer(3),
            ber.sequence(ber.integer(header.id), ber.integer(_MAX_SIZE), ber.octets(bytes((flags,))), ber.integer(3)),
            ber.octets(
                ber.sequence(ber.octets(self._engine), ber.integer(boots), ber.integer(time), ber.octets(header.user), ber.octets(signature), salt_element)
            ),
            data,
        )
        if not signature or user is None:
            return message
        key = usm.keys(user, self._engine).auth
        if self.tamper is Tamper.WRONG_KEY:
            key = bytes(byte ^ 0xFF for byte in key)
        end = len(message) - len(data) - len(salt_element)
        return message[: end - len(signature)] + usm.signature(user.auth, key, message) + message[end:]


def _error(request: int, status: int, index: int, oids: list[Oid]) -> bytes:
    """An error answer; the bindings come back without values."""
    bindings = ber.sequence(*(ber.sequence(ber.oid(oid), ber.NULL_VALUE) for oid in oids))
    return ber.sequence(ber.integer(request), ber.integer(status), ber.integer(index), bindings, tag=RESPONSE)
