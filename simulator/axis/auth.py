"""Who may come in: basic and digest authentication, roles, and the brake on guessing. As Apache does it on these devices."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from aiohttp import web

from agent.ports import Clock
from simulator.axis.generation import Policy, Throttling

_NONCE_LIFETIME = 300.0  # seconds; Apache's default
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')


class Role(IntEnum):
    """Account levels; each includes those below."""

    ANONYMOUS = 0
    VIEWER = 1
    OPERATOR = 2
    ADMINISTRATOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    password: str
    role: Role


class Unauthorized(Exception):
    """No valid credential came. `refused`: one came and was wrong. `stale`: it was right, with a nonce that is too old."""

    def __init__(self, *, refused: bool = False, stale: bool = False) -> None:
        super().__init__("refused" if refused else "stale nonce" if stale else "no credential")
        self.refused = refused
        self.stale = stale


class BadAuthorization(Exception):
    """An Authorization header that cannot be meant for this request: answered with 400."""


def parse_digest(header: str) -> dict[str, str]:
    """The parameters of `Digest a="b", c=d`; names in lower case. Raises BadAuthorization for anything else."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        raise BadAuthorization("not a digest")
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            raise BadAuthorization(f"cannot be read from character {at}")
        name, quoted, token = match.groups()
        if name.lower() in found:
            raise BadAuthorization(f"{name} comes twice")
        found[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = match.end()
    return found


def digest_response(parameters: Mapping[str, str], *, method: str, realm: str, password: str) -> str:
    """The MD5 response RFC 2617 wants; without qop that of RFC 2069."""
    username, nonce, uri = parameters["username"], parameters["nonce"], parameters["uri"]
    ha1 = _md5(f"{username}:{realm}:{password}")
    ha2 = _md5(f"{method}:{uri}")
    if "qop" in parameters:
        return _md5(f"{ha1}:{nonce}:{parameters['nc']}:{parameters['cnonce']}:{parameters['qop']}:{ha2}")
    return _md5(f"{ha1}:{nonce}:{ha2}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Gate:
    """The authentication of one device."""

    def __init__(self, *, realm: str, policy: Policy, qop: bool, throttling: Throttling | None, clock: Clock) -> None:
        self.realm = realm
        self.policy = policy
        self._qop = qop
        self._throttling = throttling
        self._clock = clock
        self._secret = secrets.token_bytes(16)
        self._newest = 0
        self._counts: dict[str, set[int]] = {}
        self._failures: dict[str, deque[float]] = {}
        self._blocked: dict[str, float] = {}

    # --- the brake ---

    def blocked(self, client: str) -> bool:
        """Whether this client is shut out now."""
        until = self._blocked.get(client)
        if until is not None and self._clock.monotonic() >= until:
            del self._blocked[client]
            return False
        return until is not None

    def failed(self, client: str) -> None:
        """Note a refused login."""
        if (limits := self._throttling) is None:
            return
        now = self._clock.monotonic()
        recent = self._failures.setdefault(client, deque())
        recent.append(now)
        while now - recent[0] > limits.interval:
            recent.popleft()
        if len(recent) >= limits.count:
            self._blocked[client] = now + limits.block
            recent.clear()

    # --- challenges and answers ---

    def challenges(self, *, secure: bool, stale: bool = False) -> list[str]:
        """The WWW-Authenticate headers, one a scheme."""
        return [self._digest_challenge(stale=stale) if scheme == "Digest" else f'Basic realm="{self.realm}"' for scheme in self.policy.schemes(secure=secure)]

    def _digest_challenge(self, *, stale: bool) -> str:
        nonce = self._nonce(self._clock.monotonic())
        parts = [f'realm="{self.realm}"', f'nonce="{nonce}"', "algorithm=MD5"]
        if self._qop:
            parts.append('qop="auth"')
        if stale:
            parts.insert(0, "stale=true")
        return "Digest " + ", ".join(parts)

    def _nonce(self, issued: float) -> str:
        """Opaque to the client: when it was issued, and our signature. No two are alike: each counts its uses for itself."""
        self._newest = max(int(issued * 1_000_000), self._newest + 1)
        stamp = self._newest.to_bytes(8, "big")
        return base64.b64encode(stamp + hmac.digest(self._secret, stamp, "sha1")).decode()

    def _fresh(self, nonce: str) -> bool:
        try:
            raw = base64.b64decode(nonce, validate=True)
        except (binascii.Error, ValueError):
            return False
        if not hmac.compare_digest(raw[8:], hmac.digest(self._secret, raw[:8], "sha1")):
            return False
        return self._clock.monotonic() - int.from_bytes(raw[:8], "big") / 1_000_000 <= _NONCE_LIFETIME

    def check(self, request: web.BaseRequest, accounts: Mapping[str, Account], *, secure: bool) -> str:
        """The name of the account that asks. Raises Unauthorized or BadAuthorization."""
        header = request.headers.get("Authorization", "")
        scheme = header.partition(" ")[0].capitalize()
        if scheme not in self.policy.schemes(secure=secure):
            raise Unauthorized  # another scheme than those offered is not even looked at
        return self._basic(header, accounts) if scheme == "Basic" else self._digest(header, request, accounts)

    def _basic(self, header: str, accounts: Mapping[str, Account]) -> str:
        try:
            user, colon, password = base64.b64decode(header.partition(" ")[2].strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadAuthorization("the Basic credential cannot be read") from error
        account = accounts.get(user)
        if not colon or account is None or not hmac.compare_digest(account.password.encode(), password.encode()):
            raise Unauthorized(refused=True)
        return user

    def _digest(self, header: str, request: web.BaseRequest, accounts: Mapping[str, Account]) -> str:
        given = parse_digest(header)
        wanted = {"username", "realm", "nonce", "uri", "response"} | ({"cnonce", "nc"} if "qop" in given else set())
        if missing := wanted - given.keys():
            raise BadAuthorization(f"{', '.join(sorted(missing))} is missing")
        if given["uri"] != request.raw_path:
            raise BadAuthorization("the uri is not the one that is asked for")
        if given.get("algorithm", "MD5").upper() != "MD5" or given.get("qop", "auth") != "auth" or given["realm"] != self.realm:
            raise Unauthorized(refused=True)
        account = accounts.get(given["username"])
        expected = digest_response(given, method=request.method, realm=self.realm, password=account.password if account else "")
        if account is None or not hmac.compare_digest(expected, given["response"].lower()):
            raise Unauthorized(refused=True)
        if not self._fresh(given["nonce"]):
            self._counts.pop(given["nonce"], None)
            raise Unauthorized(stale=True)
        if "qop" in given:
            self._count(given["nonce"], given["nc"])
        return given["username"]

    def _count(self, nonce: str, text: str) -> None:
        """Each nonce count may be used once; a second use is a replay and needs a new nonce."""
        if not re.fullmatch("[0-9a-fA-F]{8}", text):
            raise BadAuthorization("nc has eight hexadecimal digits")
        if nonce not in self._counts and len(self._counts) >= 64:
            self._counts = {known: used for known, used in self._counts.items() if self._fresh(known)}
        used = self._counts.setdefault(nonce, set())
        if (number := int(text, 16)) in used:
            raise Unauthorized(stale=True)
        used.add(number)
