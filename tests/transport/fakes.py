"""What the agent lends a collector, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.errors import LoginBlocked, Reason
from agent.model import Credential, Device, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from agent.ports import Services, SystemClock


class Guard:
    """Counts; blocks a credential version after a refusal, as the real one does."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.blocked: set[str] = set()
        self.sent: list[bool] = []

    async def before(self, device: str, credential: Credential, way: str) -> None:
        if credential.version in self.blocked:
            raise LoginBlocked(Reason.AUTH_BLOCKED, "refused before")
        self.calls.append(("before", credential.name, way))

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        self.calls.append(("accepted", credential.name, way))

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> str:
        self.blocked.add(credential.version)
        self.calls.append(("refused", credential.name, way))
        return detail

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None:
        self.sent.append(sent)
        self.calls.append(("unclear", credential.name, way))

    @property
    def words(self) -> list[str]:
        return [word for word, _, _ in self.calls]


class Trust:
    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.shown: list[tuple[str, str, str]] = []
        self.by: list[str] = []

    async def accepted(self, device: str, endpoint: str) -> str | None:
        return self.known.get((device, endpoint))

    async def offered(self, device: str, endpoint: str, sha256: str) -> None:
        self.shown.append((device, endpoint, sha256))

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        self.known[device, endpoint] = sha256
        self.by.append(by)


class Box:
    """A vault or a memory."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, str]] = {}

    async def get(self, device: str) -> dict[str, str]:
        return dict(self.values.get(device, {}))

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        del synced
        merged = {**self.values.get(device, {}), **values}
        self.values[device] = {key: value for key, value in merged.items() if value}


@dataclass
class Fakes:
    guard: Guard = field(default_factory=Guard)
    trust: Trust = field(default_factory=Trust)
    memory: Box = field(default_factory=Box)
    vault: Box = field(default_factory=Box)

    def services(self, timeout: float = 5.0) -> Services:
        return Services(guard=self.guard, trust=self.trust, vault=self.vault, memory=self.memory, clock=SystemClock(), timeout=timeout)


ACCOUNT = HttpCredential(name="cameras", username="operator", password=Secret("s3cret word"), version="v1")
WRONG = HttpCredential(name="cameras", username="operator", password=Secret("wrong"), version="v2")
SERVICE = HttpCredential(name="admins", username="root", password=Secret("r00t"), version="v3")


def device(port: int = 0, *, mode: TlsMode = TlsMode.INSECURE, credential: Credential | None = ACCOUNT, **changes: object) -> Device:
    credentials: dict[str, Credential] = {}
    if isinstance(credential, HttpCredential):
        credentials["http"] = credential
    elif isinstance(credential, SnmpCredential):
        credentials["snmp"] = credential
    given = {
        "id": "gate-2",
        "vendor": "axis",
        "host": "127.0.0.1",
        "port": port,
        "ssh_port": port,
        "snmp_port": port,
        "credentials": credentials,
        "tls": TlsPolicy(mode=mode),
    }
    return Device(**(given | changes))  # type: ignore[arg-type] # a test's own shorthand
