"""The user-based security model of SNMPv3 (RFC 3414, 3826, 7860): keys, signatures, encryption."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

_MEGABYTE = 1 << 20  # RFC 3414 A.2: the password repeated to this length is hashed


class Auth(StrEnum):
    """Authentication protocols."""

    NONE = ""
    MD5 = "md5"
    SHA1 = "sha1"
    SHA224 = "sha224"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def mac_size(self) -> int:
        """Bytes of the truncated HMAC."""
        return {Auth.MD5: 12, Auth.SHA1: 12, Auth.SHA224: 16, Auth.SHA256: 24, Auth.SHA384: 32, Auth.SHA512: 48}[self]


class Priv(StrEnum):
    """Privacy protocols. For 192 and 256 bits out of a short hash there are two ways to lengthen the key: the one of
    draft-blumenthal-aes-usm-04, which net-snmp uses, and (`-c`) that of draft-reeder-snmpv3-usm-3desede, which Cisco uses.
    """

    NONE = ""
    DES = "des"
    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"
    AES192C = "aes192-c"
    AES256C = "aes256-c"

    @property
    def key_size(self) -> int:
        return {"": 0, "des": 16, "aes128": 16, "aes192": 24, "aes256": 32}[self.removesuffix("-c")]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A v3 user; requests below the user's own security level are refused."""

    name: str
    auth: Auth = Auth.NONE
    auth_password: str = ""
    priv: Priv = Priv.NONE
    priv_password: str = ""

    def __post_init__(self) -> None:
        if self.priv and not self.auth:
            raise ValueError(f"SNMP user {self.name!r} has privacy without authentication: SNMPv3 does not know that")
        for what, used, password in (("auth", self.auth, self.auth_password), ("priv", self.priv, self.priv_password)):
            if used and len(password) < 8:
                raise ValueError(f"SNMP user {self.name!r}: the {what} password must have 8 characters or more")


class Keys(NamedTuple):
    """A user's keys, localised to one engine."""

    auth: bytes
    priv: bytes


@lru_cache(maxsize=256)
def master_key(auth: Auth, password: str) -> bytes:
    """Ku: costs the hash of a megabyte, hence the cache: a fleet shares its passwords."""
    secret = password.encode()
    return hashlib.new(auth, (secret * (_MEGABYTE // len(secret) + 1))[:_MEGABYTE]).digest()


def _localise(auth: Auth, key: bytes, engine: bytes) -> bytes:
    return hashlib.new(auth, key + engine + key).digest()


def _lengthen(key: bytes, user: User, engine: bytes) -> bytes:
    """A key long enough for the cipher, out of a hash that may be shorter."""
    while len(key) < user.priv.key_size:
        if user.priv.endswith("-c"):
            again = hashlib.new(user.auth, (key * (_MEGABYTE // len(key) + 1))[:_MEGABYTE]).digest()
            key += _localise(user.auth, again, engine)
        else:
            key += hashlib.new(user.auth, key).digest()
    return key[: user.priv.key_size]


@lru_cache(maxsize=65536)
def keys(user: User, engine: bytes) -> Keys:
    """The user's keys at this engine."""
    if not user.auth:
        return Keys(b"", b"")
    auth = _localise(user.auth, master_key(user.auth, user.auth_password), engine)
    if not user.priv:
        return Keys(auth, b"")
    return Keys(auth, _lengthen(_localise(user.auth, master_key(user.auth, user.priv_password), engine), user, engine))


def signature(auth: Auth, key: bytes, message: bytes) -> bytes:
    """The truncated HMAC over a message whose authentication parameters are zero."""
    return hmac.digest(key, message, auth)[: auth.mac_size]


_salts = count(1)


def encrypt(priv: Priv, key: bytes, boots: int, time: int, plain: bytes) -> tuple[bytes, bytes]:
    """(privacy parameters, encrypted)."""
    if priv == Priv.DES:
        salt = (boots & 0xFFFFFFFF).to_bytes(4, "big") + (next(_salts) & 0xFFFFFFFF).to_bytes(4, "big")
        encryptor = _des(key, salt).encryptor()
        plain += bytes(-len(plain) % 8)
    else:
        salt = (next(_salts) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
        encryptor = _aes(key, boots, time, salt).encryptor()
    return salt, encryptor.update(plain) + encryptor.finalize()


def decrypt(priv: Priv, key: bytes, boots: int, time: int, salt: bytes, data: bytes) -> bytes:
    """The plain text, which may be followed by padding. Raises ValueError where the parameters cannot be right."""
    if len(salt) != 8:
        raise ValueError(f"privacy parameters have 8 bytes, not {len(salt)}")
    if priv == Priv.DES:
        if len(data) % 8:
            raise ValueError("DES encrypts whole blocks of 8 bytes")
        decryptor = _des(key, salt).decryptor()
    else:
        decryptor = _aes(key, boots, time, salt).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _des(key: bytes, salt: bytes) -> Cipher[CBC]:
    """DES-CBC as EDE with the same key thrice, which is the same cipher."""
    vector = bytes(a ^ b for a, b in zip(key[8:16], salt, strict=True))
    return Cipher(TripleDES(key[:8] * 3), CBC(vector))


def _aes(key: bytes, boots: int, time: int, salt: bytes) -> Cipher[CFB]:
    vector = (boots & 0xFFFFFFFF).to_bytes(4, "big") + (time & 0xFFFFFFFF).to_bytes(4, "big") + salt
    return Cipher(AES(key), CFB(vector))
