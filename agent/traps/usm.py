"""The receiving half of SNMPv3's user-based security model (RFC 3414, 3826, 7860) for traps, where the sender is the authoritative engine.

Not pysnmp's: it compares signatures byte by byte until the first difference, takes the first place that looks like the signature for its
place, and wants an engine with a cache of other engines, which whoever sends can fill.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from agent.model import SnmpCredential

_MEGABYTE = 1 << 20  # RFC 3414, A.2: the password is repeated to this length and hashed
_SIGNATURE = {"md5": 12, "sha1": 12, "sha256": 24, "sha512": 48}  # bytes of the HMAC that are sent
_KEY = {"des": 16, "aes128": 16, "aes256": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A user with the keys of its passwords, not yet of an engine. `auth` and `priv` are the names of the algorithms, '' for none."""

    user: bytes
    auth: str
    priv: str
    auth_key: bytes = field(repr=False)
    priv_key: bytes = field(repr=False)


def keys_of(credential: SnmpCredential) -> Keys:
    """Some milliseconds: each password costs the hash of a megabyte."""
    auth = credential.auth
    return Keys(
        user=credential.user.encode(),
        auth=auth,
        priv=credential.priv if auth else "",
        auth_key=_of_password(auth, credential.auth_key.reveal()) if auth else b"",
        priv_key=_of_password(auth, credential.priv_key.reveal()) if auth and credential.priv else b"",
    )


def _of_password(auth: str, password: str) -> bytes:
    secret = password.encode()
    return hashlib.new(auth, (secret * (_MEGABYTE // max(len(secret), 1) + 1))[:_MEGABYTE]).digest()


def _localised(auth: str, key: bytes, engine: bytes) -> bytes:
    return hashlib.new(auth, key + engine + key).digest()


def signed(keys: Keys, engine: bytes, message: bytes, start: int, end: int) -> bool:
    """Whether message[start:end] is this user's signature of the message, made with the key of this engine."""
    if not keys.auth or end - start != _SIGNATURE[keys.auth]:
        return False
    blank = message[:start] + bytes(end - start) + message[end:]
    right = hmac.digest(_localised(keys.auth, keys.auth_key, engine), blank, keys.auth)[: end - start]
    return hmac.compare_digest(right, message[start:end])


def decrypted(keys: Keys, engine: bytes, boots: int, time: int, salt: bytes, data: bytes) -> bytes:
    """The plain text, which padding may follow. Raises ValueError where salt or length cannot be right."""
    if len(salt) != 8:
        raise ValueError("privacy parameters have 8 bytes")
    key = _localised(keys.auth, keys.priv_key, engine)
    while len(key) < _KEY[keys.priv]:  # draft-blumenthal-aes-usm-04, as net-snmp and our own requests do
        key += hashlib.new(keys.auth, key).digest()
    key = key[: _KEY[keys.priv]]
    cipher: Cipher[CBC] | Cipher[CFB]
    if keys.priv == "des":
        if len(data) % 8:
            raise ValueError("DES encrypts whole blocks of 8 bytes")
        # Three times the same key is DES itself.
        cipher = Cipher(TripleDES(key[:8] * 3), CBC(bytes(a ^ b for a, b in zip(key[8:16], salt, strict=True))))
    else:
        cipher = Cipher(AES(key), CFB(boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt))
    decryptor = cipher.decryptor()
    return decryptor.update(data) + decryptor.finalize()
