"""What the agent lends the collector, kept in memory; and device entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.errors import LoginBlocked, Reason
from agent.model import Credential, Device, HttpCredential, Secret, SnmpCredential
from agent.ports import Services, SystemClock

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OPERATOR = HttpCredential(name="cameras", username="operator", password=Secret("only-for-tests-1"))
ADMIN = HttpCredential(name="cameras-admin", username="admin", password=Secret("only-for-tests-2"))
COMMUNITY = SnmpCredential(name="snmp", snmp_version=2, community=Secret("only-for-tests-3"))


class Guard:
    """Counts refused logins, and blocks after the first."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    async def before(self, device: str, credential: Credential, way: str) -> None:
        if f"{device}/{credential.version}" in self.refusals:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"{way}: refused before")

    async def accepted(self, device: str, credential: Credential, way: str) -> None: ...

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> str:
        self.refusals.append(f"{device}/{credential.version}")
        return detail

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None: ...


class Trust:
    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}

    async def accepted(self, device: str, endpoint: str) -> str | None:
        return self.known.get((device, endpoint))

    async def offered(self, device: str, endpoint: str, sha256: str) -> None: ...

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        self.known[device, endpoint] = sha256


class Memory:
    def __init__(self) -> None:
        self.values: dict[str, dict[str, str]] = {}

    async def get(self, device: str) -> dict[str, str]:
        return dict(self.values.get(device, {}))

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        del synced
        merged = {**self.values.get(device, {}), **values}
        self.values[device] = {key: value for key, value in merged.items() if value}


def services(guard: Guard | None = None, **options: Any) -> Services:
    return Services(guard=guard or Guard(), trust=Trust(), vault=Memory(), memory=Memory(), clock=SystemClock(), **options)


def entry(**options: Any) -> Device:
    """A device of the inventory, on plain http unless told otherwise."""
    return Device(**{"id": "gate-2", "vendor": "axis", "host": "127.0.0.1", "scheme": "http", **options})
