"""Reading WWW-Authenticate: what a device offers, and which offer is the strongest we can take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Scheme(IntEnum):
    """Ways to prove a password over HTTP, the weakest first."""

    BASIC = 1
    DIGEST_MD5 = 2
    DIGEST_SHA256 = 3

    @property
    def word(self) -> str:
        """The name kept in the device's memory and shown to people."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def of_word(cls, word: str) -> Scheme | None:
        return next((scheme for scheme in cls if scheme.word == word), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One offer. `qop` is '', 'auth' or 'auth-int'; `session` is True for the `-sess` algorithms; `algorithm` the device's own spelling or ''."""

    scheme: Scheme
    realm: str = ""
    nonce: str = ""
    opaque: str | None = None
    algorithm: str = ""
    session: bool = False
    qop: str = ""
    stale: bool = False


_DIGEST_SCHEMES = {"": Scheme.DIGEST_MD5, "MD5": Scheme.DIGEST_MD5, "SHA-256": Scheme.DIGEST_SHA256}
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's token, no secret
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=\s*(?:,|$))', re.DOTALL)
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?=\s|,|$)")
_TOKEN68 = re.compile(r"\s+[A-Za-z0-9._~+/-]+=*\s*(?=,|$)")
_LONGEST = 8192


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The offers of all WWW-Authenticate headers that we can use, in their order. What cannot be read is left out."""
    found = []
    for value in values:
        for scheme, parameters in _split(value[:_LONGEST]):
            challenge = _challenge(scheme.lower(), parameters)
            if challenge is not None:
                found.append(challenge)
    return found


def strongest(challenges: Iterable[Challenge]) -> Challenge | None:
    """The strongest offer; the first of equals."""
    return max(challenges, key=lambda challenge: challenge.scheme, default=None)


def _split(value: str) -> Iterable[tuple[str, dict[str, str]]]:
    position = 0
    while scheme := _SCHEME.match(value, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(value, position):
            name, quoted, token = parameter.groups()
            parameters.setdefault(name.lower(), token if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
            position = parameter.end()
        if not parameters and (token68 := _TOKEN68.match(value, position)):
            position = token68.end()
        yield scheme[1], parameters


def _challenge(scheme: str, parameters: dict[str, str]) -> Challenge | None:
    if scheme == "basic":
        return Challenge(scheme=Scheme.BASIC, realm=parameters.get("realm", ""))
    if scheme != "digest" or not parameters.get("nonce"):
        return None
    algorithm = parameters.get("algorithm", "")
    base, session = (algorithm[:-5], True) if algorithm.upper().endswith("-SESS") else (algorithm, False)
    strength = _DIGEST_SCHEMES.get(base.upper())
    offered = [word.strip().lower() for word in parameters["qop"].split(",")] if parameters.get("qop") else [""]
    qop = next((word for word in ("auth", "auth-int", "") if word in offered), None)
    if strength is None or qop is None:
        return None
    return Challenge(
        scheme=strength,
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        opaque=parameters.get("opaque"),
        algorithm=algorithm,
        session=session,
        qop=qop,
        stale=parameters.get("stale", "").lower() == "true",
    )
