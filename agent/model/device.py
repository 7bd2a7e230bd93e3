"""A device as the inventory names it, and what is needed to reach it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path


class Secret:
    """A string that never shows itself: only `reveal()` gives it, and only a transport calls that."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def _version(*parts: str) -> str:
    """A short name for one exact set of secrets: changes when any of them does, and does not give them away (PBKDF2, 12 hex digits)."""
    return hashlib.pbkdf2_hmac("sha256", "\0".join(parts).encode(), b"latarnik credential version", 50_000).hex()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCredential:
    """User name and password, for the web interface and the command line (`name` is the one in the config)."""

    name: str
    username: str
    password: Secret
    version: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.version:
            object.__setattr__(self, "version", _version(self.username, self.password.reveal()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpCredential:
    """SNMP access: `community` for versions 1 and 2, the others for version 3.

    `snmp_version` 1, 2 or 3; `auth` one of '', 'md5', 'sha1', 'sha256', 'sha512'; `priv` one of '', 'des', 'aes128', 'aes256'.
    """

    name: str
    snmp_version: int
    community: Secret = Secret("")
    user: str = ""
    auth: str = ""
    auth_key: Secret = Secret("")
    priv: str = ""
    priv_key: Secret = Secret("")
    version: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.version:
            secrets = (self.community.reveal(), self.user, self.auth, self.auth_key.reveal(), self.priv, self.priv_key.reveal())
            object.__setattr__(self, "version", _version(*secrets))


Credential = HttpCredential | SnmpCredential


class TlsMode(StrEnum):
    """How a device's certificate (and SSH host key) comes to be trusted."""

    ENROL = "enrol"
    TOFU = "tofu"
    PIN = "pin"
    CA = "ca"
    INSECURE = "insecure"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """`sha256` (hex, no colons) with PIN; `ca_file` with CA. `legacy`: TLS 1.0 and 1.1, short keys, SHA-1 and old renegotiation are good enough."""

    mode: TlsMode = TlsMode.ENROL
    sha256: str = ""
    ca_file: Path | None = None
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A service contract of the inventory. `plan` names an entry of the plan catalogue; '' where none is known.

    `proof_of_purchase`: an invoice number, or the name of a file.
    """

    id: str
    plan: str = ""
    number: str = ""
    starts: date | None = None
    ends: date | None = None
    purchased: date | None = None
    proof_of_purchase: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One entry of the inventory. `id` is stable and is the `device` label of every metric.

    `host` is '' for a part that hangs on another device (`parent`) and has no address of its own, as a Studio E70 on its codec;
    such a part is recognised by `serial`, or by `model` when no serial is given.
    `source_address`: the address of this machine that it is spoken to from; '' leaves it to the system. `ssh_legacy`: old SSH algorithms will do.
    `credentials` by role: 'http' (polling), 'service' (reports and logs), 'snmp', 'ssh' (absent: the http one).
    `settings` is the vendor's own settings value.
    """

    id: str
    vendor: str
    host: str = ""
    port: int | None = None
    scheme: str = "https"
    snmp_port: int = 161
    ssh_port: int = 22
    ssh_legacy: bool = False
    source_address: str = ""
    site: str = ""
    room: str = ""
    parent: str = ""
    serial: str = ""
    model: str = ""
    tags: tuple[str, ...] = ()
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    contract: Contract | None = None
    tls: TlsPolicy = TlsPolicy()
    allow_basic_over_http: bool = False
    interval: float | None = None
    settings: object = None

    def credential(self, role: str) -> Credential | None:
        """The account that is used in this role: where 'service' or 'ssh' has none of its own, the polling one."""
        return self.credentials.get(role) or (self.credentials.get("http") if role in ("service", "ssh") else None)

    def http_credential(self, role: str = "http") -> HttpCredential | None:
        """The account of this role, or None."""
        found = self.credentials.get(role)
        return found if isinstance(found, HttpCredential) else None

    def snmp_credential(self) -> SnmpCredential | None:
        found = self.credentials.get("snmp")
        return found if isinstance(found, SnmpCredential) else None
