"""A simulated room and a collector that looks at it: what the tests of the Poly collector share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.diagnosis.history import remember
from agent.model import Credential, Device, Fault, Healthy, History, HttpCredential, Judgement, Secret, Snapshot, TlsMode, TlsPolicy
from agent.polling.guard import PassingGuard
from agent.polling.poller import poll
from agent.polling.state import Cadence, PollState
from agent.ports import Clock, Services
from agent.store.keep import FileVault, PassingKeep
from collectors.poly import PLUGIN
from collectors.poly.collector import PolyCollector, start
from collectors.poly.settings import PolySettings
from simulator.listener import Ports, serve
from simulator.poly import VideoOs
from tests.support.clock import TurnedClock

ADDRESS = "127.72.0.1"
PASSWORD = "Sternik-4711"


@dataclass(slots=True)
class CountingGuard(PassingGuard):
    """Notes what was said of each attempt."""

    clock: Clock
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        PassingGuard.__init__(self, self.clock)

    async def before(self, device: str, credential: Credential, way: str) -> None:
        await PassingGuard.before(self, device, credential, way)
        self.said.append("before")

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        self.said.append("accepted")
        await PassingGuard.accepted(self, device, credential, way)

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> str:
        self.said.append("refused")
        return await PassingGuard.refused(self, device, credential, way, detail)

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None:
        self.said.append("unclear, sent" if sent else "unclear")
        await PassingGuard.unclear(self, device, credential, way, sent=sent)


@dataclass(slots=True)
class Room:
    """The simulated codec, the inventory's entry for it, and an agent's view of it."""

    sim: VideoOs
    ports: Ports
    device: Device
    clock: TurnedClock
    services: Services
    guard: CountingGuard
    collector: PolyCollector
    state: PollState = field(default_factory=PollState)
    history: History = History()
    judgements: tuple[Judgement, ...] = ()

    async def look(self, *, after: float = 60.0, clock: Clock | None = None) -> Snapshot:
        """Turn the clock, poll, judge, remember."""
        self.clock.turn(after)
        snapshot, _ = await poll(self.device, PLUGIN, self.collector, self.state, Cadence(interval=60.0), clock or self.clock)
        self.judgements = tuple(j for rule in PLUGIN.rules for j in rule(snapshot, self.history, self.device))
        self.history = remember(self.history, snapshot, self.judgements)
        return snapshot

    @property
    def faults(self) -> set[str]:
        """Code and component of each fault of the last look."""
        return {f"{j.code}/{j.component}".rstrip("/") for j in self.judgements if isinstance(j, Fault)}

    @property
    def healthy(self) -> set[str]:
        return {f"{j.code}/{j.component}".rstrip("/") for j in self.judgements if isinstance(j, Healthy)}

    def fault(self, code: str) -> Fault:
        return next(j for j in self.judgements if isinstance(j, Fault) and j.code == code)

    @property
    def logins(self) -> int:
        return self.sim.box.counters.requests["POST", "/rest/session"]

    @property
    def ours(self) -> int:
        """Live sessions of this machine."""
        return sum(1 for row in self.sim.sessions.listing() if row["location"].startswith("127."))


def credential(password: str = PASSWORD) -> HttpCredential:
    return HttpCredential(name="rooms", username="admin", password=Secret(password), version=f"v-{password}")


def services_in(folder: Path, clock: Clock, guard: CountingGuard, timeout: float = 5.0) -> Services:
    return Services(guard=guard, trust=PassingKeep(), vault=FileVault(folder / "vault"), memory=PassingKeep(), clock=clock, timeout=timeout)


@asynccontextmanager
async def room(
    folder: Path,
    profile: str = "x30",
    *,
    password: str = PASSWORD,
    settings: Mapping[str, Any] | None = None,
    uptime: float = 90_000.0,
    timeout: float = 5.0,
    **sim: Any,
) -> AsyncIterator[Room]:
    """A room with a running collector, in turned time."""
    clock = TurnedClock()
    codec = VideoOs(name="room-314", address=ADDRESS, profile=profile, password=PASSWORD, clock=clock, uptime=uptime, **sim)
    guard = CountingGuard(clock)
    services = services_in(folder, clock, guard, timeout)
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(serve([codec]))
        device = Device(
            id="room-314",
            vendor="poly",
            host=ADDRESS,
            port=ports.https,
            ssh_port=ports.ssh,
            credentials={"http": credential(password)},
            tls=TlsPolicy(mode=TlsMode.INSECURE),
            settings=PolySettings.model_validate(settings or {}),
        )
        collector = await stack.enter_async_context(start(services))
        yield Room(sim=codec, ports=ports, device=device, clock=clock, services=services, guard=guard, collector=collector)
