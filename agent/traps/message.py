"""A datagram as a trap: taken apart, verified with a device's credential, and read as far as it is logged. Pure functions.

Sources: RFC 3416 (the PDU), RFC 3412 and 3414 (version 3), AXIS-VIDEO-MIB (alarmName and alarmText under .1.3.6.1.4.1.368.4.2).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Never

from agent.model import SnmpCredential
from agent.redact import mask_text
from agent.traps.ber import LONGEST_OID, OCTETS, OID, SEQUENCE, BadBer, Reader, dotted
from agent.traps.usm import Keys, decrypted, keys_of, signed

LONGEST = 4096
"""Bytes of a datagram that is looked at; a trap of a camera has some hundred."""
BINDINGS = 32
NAME_LENGTH = 64
TEXT_LENGTH = 160

_TRAP_PDU = 0xA7
_TRAP_OID = bytes.fromhex("2b060106030101040100")  # snmpTrapOID.0: 1.3.6.1.6.3.1.1.4.1.0
_ALARM_NAME = bytes.fromhex("2b060104018270040202")
_ALARM_TEXT = bytes.fromhex("2b060104018270040203")
_NAMES = {
    "1.3.6.1.4.1.368.4.2.0.1": "alarmNew",
    "1.3.6.1.4.1.368.4.2.0.2": "alarmCleared",
    "1.3.6.1.4.1.368.4.2.0.3": "alarmSingle",
    "1.3.6.1.6.3.1.1.5.1": "coldStart",
    "1.3.6.1.6.3.1.1.5.2": "warmStart",
    "1.3.6.1.6.3.1.1.5.3": "linkDown",
    "1.3.6.1.6.3.1.1.5.4": "linkUp",
    "1.3.6.1.6.3.1.1.5.5": "authenticationFailure",
}
_SIGNED, _ENCRYPTED = 1, 2
_USER_BASED = 3


class Outcome(StrEnum):
    """What became of a datagram: a closed set, because it becomes a metric label.

    TAKEN: the poller was told. STRANGER: of no device of the inventory, not looked at. TOO_MANY: more than the device's bucket allows, not
    looked at. UNSUPPORTED: version 1, an inform, or no notification at all. NOT_VERIFIED: another community, user, password or level.
    """

    TAKEN = "taken"
    STRANGER = "stranger"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    NO_CREDENTIAL = "no_credential"
    NOT_VERIFIED = "not_verified"
    BUG = "bug"


class Dropped(Exception):
    """Why a datagram is no trap for us."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An SNMP credential made ready: a community, or a user with keys. `version` is the credential's."""

    version: str
    community: bytes = field(default=b"", repr=False)
    keys: Keys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What is logged of a trap: short, printable and masked. `oid` in dots; `alarm` and `text` '' where it has none."""

    oid: str
    alarm: str = ""
    text: str = ""

    @property
    def what(self) -> str:
        """In a few words, such as `alarmNew: Fan Operation`."""
        name = _NAMES.get(self.oid, self.oid)
        return f"{name}: {self.alarm}" if self.alarm else name


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunityMessage:
    """Version 2c. The PDU is data[pdu:]."""

    data: bytes
    pdu: int
    community: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """Version 3 with the user-based model. The signature is data[signature[0]:signature[1]]; `body` tells where the scoped PDU or its cipher text is."""

    data: bytes
    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    signature: tuple[int, int]
    salt: bytes
    body: tuple[int, int]


def access_of(credential: SnmpCredential) -> Access:
    """Some milliseconds for a user with passwords."""
    if credential.snmp_version == 3:
        return Access(version=credential.version, keys=keys_of(credential))
    return Access(version=credential.version, community=credential.community.reveal().encode())


def read(data: bytes) -> CommunityMessage | UserMessage:
    """The outer part, which needs no key. Raises Dropped: MALFORMED, UNSUPPORTED, TOO_LARGE."""
    if len(data) > LONGEST:
        raise Dropped(Outcome.TOO_LARGE)
    try:
        outer = Reader(data, 0, len(data))
        message = outer.enter()
        outer.finish()
        version = message.integer()
        if version == 1:
            community = message.octets()
            return CommunityMessage(data=data, community=community, pdu=message.at)
        if version == 3:
            return _user_message(data, message)
    except BadBer:
        _malformed()
    raise Dropped(Outcome.UNSUPPORTED)


def verified(message: CommunityMessage | UserMessage, access: Access) -> Trap:
    """The trap, if this credential proves it. Raises Dropped: NOT_VERIFIED, and what the inner part is instead."""
    try:
        if isinstance(message, CommunityMessage):
            if access.keys is not None or not access.community or not hmac.compare_digest(message.community, access.community):
                _refused()
            return _notification(Reader(message.data, message.pdu, len(message.data)))
        if access.keys is None:
            _refused()
        return _of_user(message, access.keys)
    except BadBer:
        _malformed()


def _malformed() -> Never:
    raise Dropped(Outcome.MALFORMED) from None


def _refused() -> Never:
    raise Dropped(Outcome.NOT_VERIFIED)


def _user_message(data: bytes, message: Reader) -> UserMessage:
    header = message.enter()
    header.integer()  # the number of the message
    header.integer()  # the longest answer it could take
    flags = header.octets()
    if header.integer() != _USER_BASED:
        raise Dropped(Outcome.UNSUPPORTED)
    header.finish()
    if len(flags) != 1 or flags[0] & (_SIGNED | _ENCRYPTED) == _ENCRYPTED:
        _malformed()
    security = Reader(data, *message.expect(OCTETS))
    parameters = security.enter()
    security.finish()
    engine, boots, time = parameters.octets(), parameters.integer(), parameters.integer()
    user, signature, salt = parameters.octets(), parameters.expect(OCTETS), parameters.octets()
    parameters.finish()
    body = message.expect(OCTETS) if flags[0] & _ENCRYPTED else (message.at, message.end)
    if flags[0] & _ENCRYPTED:
        message.finish()
    if not 5 <= len(engine) <= 32 or not 0 <= boots < 2**31 or not 0 <= time < 2**31 or len(user) > 32:
        _malformed()
    return UserMessage(data=data, flags=flags[0], engine=engine, boots=boots, time=time, user=user, signature=signature, salt=salt, body=body)


def _of_user(message: UserMessage, keys: Keys) -> Trap:
    """A signed trap of a user that could encrypt is taken unencrypted too: the signature says who sent it. A user without passwords is but a name."""
    if not hmac.compare_digest(message.user, keys.user) or bool(message.flags & _SIGNED) != bool(keys.auth):
        _refused()
    if keys.auth and not signed(keys, message.engine, message.data, *message.signature):
        _refused()
    start, end = message.body
    if not message.flags & _ENCRYPTED:
        body = Reader(message.data, start, end)
        scoped = body.enter()
        body.finish()
    else:
        if not keys.priv:
            _refused()
        try:
            plain = decrypted(keys, message.engine, message.boots, message.time, message.salt, message.data[start:end])
        except ValueError:
            _malformed()
        if plain[:1] != bytes((SEQUENCE,)):
            _refused()  # signed with the right password, encrypted with another
        scoped = Reader(plain, 0, len(plain)).enter()
    scoped.octets()  # the engine and the name of the context: whose signature it is says enough
    scoped.octets()
    return _notification(scoped)


def _notification(reader: Reader) -> Trap:
    tag, start, end = reader.next()
    reader.finish()
    if tag != _TRAP_PDU:
        raise Dropped(Outcome.UNSUPPORTED)
    pdu = Reader(reader.data, start, end)
    for _ in range(3):
        pdu.integer()
    bindings = pdu.enter()
    pdu.finish()
    oid = alarm = text = ""
    for _ in range(BINDINGS):
        if not bindings.more:
            break
        binding = bindings.enter()
        name = binding.oid()
        tag, start, end = binding.next()
        binding.finish()
        if name == _TRAP_OID and tag == OID and end - start <= LONGEST_OID:
            oid = dotted(reader.data[start:end])
        elif tag == OCTETS and name.startswith(_ALARM_NAME):
            alarm = _printable(reader.data[start:end], NAME_LENGTH)
        elif tag == OCTETS and name.startswith(_ALARM_TEXT):
            text = _printable(reader.data[start:end], TEXT_LENGTH)
    if bindings.more or not oid:
        _malformed()
    return Trap(oid=oid, alarm=alarm, text=text)


def _printable(content: bytes, limit: int) -> str:
    """So much of it as one line that holds no control characters and no credentials."""
    text = mask_text(content[: 4 * limit].decode(errors="replace"))
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()
