"""Digest access authentication, RFC 7616 and its forerunners RFC 2617 and RFC 2069 (a challenge without qop, as old camera firmware sends)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from collectors.transport.challenge import Challenge, Scheme


def _md5(text: bytes) -> str:
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _new_cnonce() -> str:
    return secrets.token_hex(8)


@dataclass(slots=True, kw_only=True)
class DigestSession:
    """One challenge in use: counts its nonce's uses, and keeps one client nonce, which the `-sess` algorithms need.

    `proof` is H(user:realm:password); the password itself is not kept.
    """

    challenge: Challenge
    username: str
    proof: str = field(repr=False)
    cnonce: str = field(default_factory=_new_cnonce)
    uses: int = 0

    def authorization(self, method: str, target: str, body: bytes = b"") -> str:
        """The Authorization header for one request. `target` is the request target byte for byte, query included."""
        challenge = self.challenge
        digest = _hash_of(challenge)
        self.uses += 1
        count = f"{self.uses:08x}"
        first = digest(f"{self.proof}:{challenge.nonce}:{self.cnonce}".encode()) if challenge.session else self.proof
        second = f"{method}:{target}"
        if challenge.qop == "auth-int":
            second += f":{digest(body)}"
        second = digest(second.encode())
        middle = f"{challenge.nonce}:{count}:{self.cnonce}:{challenge.qop}" if challenge.qop else challenge.nonce
        fields = [
            f"username={_quoted(self.username)}",
            f"realm={_quoted(challenge.realm)}",
            f"nonce={_quoted(challenge.nonce)}",
            f"uri={_quoted(target)}",
            f'response="{digest(f"{first}:{middle}:{second}".encode())}"',
        ]
        if challenge.algorithm:
            fields.append(f"algorithm={challenge.algorithm}")
        if challenge.opaque is not None:
            fields.append(f"opaque={_quoted(challenge.opaque)}")
        if challenge.qop:
            fields += [f"qop={challenge.qop}", f"nc={count}"]
        if challenge.qop or challenge.session:
            fields.append(f'cnonce="{self.cnonce}"')
        return "Digest " + ", ".join(fields)


def new_session(challenge: Challenge, username: str, password: str) -> DigestSession:
    """Take up a digest challenge."""
    proof = _hash_of(challenge)(f"{username}:{challenge.realm}:{password}".encode())
    return DigestSession(challenge=challenge, username=username, proof=proof)


def _hash_of(challenge: Challenge) -> Callable[[bytes], str]:
    return _sha256 if challenge.scheme is Scheme.DIGEST_SHA256 else _md5


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
