"""What a collector, a ticket desk, an observer and a clock must offer, and what the agent lends them.

A plugin is a value: a module-level `PLUGIN` in the folder's `__init__.py`. Nothing registers itself at import.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from agent.model import (
    Check,
    Component,
    Contract,
    Credential,
    Desk,
    Device,
    Fault,
    FaultSpec,
    History,
    Identity,
    Incident,
    Judgement,
    MetricSpec,
    Reading,
    Snapshot,
    Step,
    Text,
    TicketRef,
)
from agent.model.quick import quick
from agent.model.reading import UNNAMED


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# --- what the agent lends a collector ---------------------------------------------------------------------------------


class LoginGuard(Protocol):
    """Promise 1: at most one refused login per device and credential version, all ways in counted together.

    A transport calls `before` ahead of the first bytes that carry or prove a credential, and exactly one of the other three after it returned.
    """

    async def before(self, device: str, credential: Credential, way: str) -> None:
        """Write the attempt down. `way` is http, ssh or snmp.

        Waits while another way in tries the same credential at this device, and for a while when no device ever accepted it and another device is
        trying it. Raises LoginBlocked when it must not be made (AUTH_BLOCKED: because of this device; AUTH_WAITS: because of another one),
        Busy(LOCKOUT) with `retry_after` while attempts without an answer are waited out, and Busy(AUTH_WAITS) when the other device takes too long.
        """

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        """The device let us in."""

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> str:
        """The device refused this credential, in so many words. Returns the detail with what is known of it at other devices, for LoginRefused."""

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None:
        """The attempt ended without an answer to the credential.

        `sent`: the credential went out, or may have, and the device did not say what it thinks of it (time-out, reset, cancelled): it may have
        counted a refused login. Not sent: no connection, or an answer by which the device did not look at the credential (busy, booting).
        """


class TrustStore(Protocol):
    """Which certificates and host keys were seen and which are accepted. `endpoint` is `https:PORT` or `ssh:PORT`."""

    async def accepted(self, device: str, endpoint: str) -> str | None:
        """The accepted SHA-256 (hex), or None."""

    async def offered(self, device: str, endpoint: str, sha256: str) -> None:
        """Note what the device shows, for a person to accept."""

    async def accept(self, device: str, endpoint: str, sha256: str, by: str) -> None:
        """Accept it (trust on first use does, `latarnik trust` does)."""


class Vault(Protocol):
    """Small secrets that must survive a kill, such as a management session's id: one 0600 file a device."""

    async def get(self, device: str) -> dict[str, str]:
        """Empty when nothing was put. Raises StoreError for what is there and cannot be read or is damaged: that is not "nothing"."""

    async def put(self, device: str, values: Mapping[str, str], *, synced: bool = True) -> None:
        """Written and synced before this returns. Empty: the file goes away. Raises StoreError when it is not written.

        Not `synced`: a kill does not lose it, a power failure may; then what was put before is there, or something damaged.
        """


class Memory(Protocol):
    """Small facts about a device that are no secret and survive restarts: the login scheme seen, an endpoint the firmware lacks."""

    async def get(self, device: str) -> dict[str, str]: ...

    async def put(self, device: str, values: Mapping[str, str]) -> None:
        """Merge these in; an empty value removes the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a collector may use of the agent's."""

    guard: LoginGuard
    trust: TrustStore
    vault: Vault
    memory: Memory
    clock: Clock
    timeout: float = 10.0


# --- a collector ------------------------------------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class FacetData:
    """What a parser made of one answer. `in_use` None: this facet says nothing about use."""

    identity: Identity = UNNAMED
    readings: tuple[Reading, ...] = ()
    components: tuple[Component, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    in_use: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One row of a vendor's table of what is asked.

    `fetch(client)` moves bytes and returns a raw answer; `parse(raw)` is pure, and raises BadPayload only.
    `every` in seconds. `account`: the role of the credential it needs, '' for none: 'http', 'service', 'snmp', 'ssh'.
    `light`: may run while the device is in use, or when its use is unknown.
    `fallback_for`: runs only in a poll in which that facet was not answered.
    `decides_use`: its answer says whether the device is in use; when it fails, the use is unknown.
    `what`, `endpoint` and `since` (the vendor's version that has it first, as far as that is known) are for the generated tables.
    """

    name: str
    source: str
    every: float
    fetch: Callable[[Any], Awaitable[Any]]
    parse: Callable[[Any], FacetData]
    what: str
    endpoint: str
    account: str = "http"
    light: bool = True
    fallback_for: str = ""
    decides_use: bool = False
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something a device said by itself. It shows at once, and is confirmed by polls before anything follows from it.

    `key`: what it is about; a newer signal with the same key takes its place. `data`: what it says, in the metrics and facts of the facets.
    `facets`: those that tell the same when they are asked. They are asked next, and what one of them answers after the signal counts more
    than the signal. None: it counts while the stream lives.
    """

    key: str
    data: FacetData
    facets: tuple[str, ...] = ()


class Listener(Protocol):
    """Who hears what a device says by itself. Its calls return at once."""

    def opened(self) -> None:
        """The stream is open. What is said first is how things are; from now on silence is news, too."""

    def heard(self, signals: Sequence[Signal]) -> None: ...

    def closed(self) -> None:
        """The stream is over: what it said is no longer known to hold. May come more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One file that can be fetched for a case.

    `fetch(client)` yields the body in pieces, and raises as a facet does. `limit` in bytes, `timeout` in seconds.
    `check(first bytes)` returns why this is not the file it should be, or ''.
    `alternatives`: names of items that are tried only if this one fails.
    `says(file)`: what of it people should read at once, in words for the ticket; pure, raises nothing. Asked of the file as it was kept.
    `secrets(client)`: what the device gave us and must not leave either, such as the id of our session; asked before and after `fetch`.
    """

    name: str
    media_type: str
    fetch: Callable[[Any], AsyncGenerator[bytes, None]]
    limit: int
    timeout: float
    account: str = "http"
    sensitive: bool = True
    light: bool = False
    check: Callable[[bytes], str] = lambda _head: ""
    scrub: Callable[[bytes], bytes] | None = None
    secrets: Callable[[Any], Iterable[str]] = lambda _client: ()
    says: Callable[[bytes], Text | None] = lambda _body: None
    fallback_for: str = ""


class Session(Protocol):
    """One visit to one device: one connection, closed at the end."""

    @property
    def client(self) -> object:
        """What the facets' and evidence items' `fetch` is given."""

    @property
    def sent(self) -> Mapping[str, int]:
        """Requests of this visit that went out, by source, where that can be told; of other sources the facets asked are counted."""

    async def knock(self) -> None:
        """See whether anybody is there, with nothing secret: returns when the device answered anything, else raises as a facet does."""

    def offers(self, facet: Facet) -> bool:
        """Whether this device's accounts and interfaces allow the facet at all (no SNMP credential: no SNMP facets)."""


class Collector(Protocol):
    """A vendor's collector while the agent runs: it owns what lives longer than a visit (warm sessions, SNMP engines)."""

    def open(self, device: Device) -> AbstractAsyncContextManager[Session]:
        """A visit. Opening does no I/O with the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorPlugin:
    """A vendor. `settings` is checked under the key `<name>:` of the config and of a device's entry.

    `rules` are pure: (snapshot, history) → judgements. `checklist` answers the vendor's own questions for a case.
    `evidence` is in the order in which it is fetched. `start` gives the running collector.
    `shown_by`: the facets whose answers show a fault, by its code; where several can, each of them alone does. The published detection
    times are computed from it (promise 7).
    `listen(collector, device, listener)` opens one stream of what a device says by itself and returns when it ends; it raises as a facet does,
    NotSupported where the device has none. None: this vendor's devices are only polled.
    """

    name: str
    settings: type[BaseModel]
    facets: tuple[Facet, ...]
    metrics: tuple[MetricSpec, ...]
    faults: tuple[FaultSpec, ...]
    rules: tuple[Callable[[Snapshot, History, Device], Iterable[Judgement]], ...]
    evidence: tuple[EvidenceItem, ...]
    checklist: Callable[[Snapshot | None, History, Fault, Device], tuple[Check, ...]]
    start: Callable[[Services], AbstractAsyncContextManager[Collector]]
    shown_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    listen: Callable[[Any, Device, Listener], Awaitable[None]] | None = None


# --- a ticket desk ----------------------------------------------------------------------------------------------------


class TicketDesk(Protocol):
    """A ticket system. Every call raises DeskError(reason, retryable, unknown) and nothing else.

    `step.id` is the same at every try of the same step; a desk that can, uses it to make the second try harmless.
    """

    async def self_check(self) -> None:
        """Can we get in, and does the desk have what we need? At start, before the first ticket."""

    async def find(self, key: str, case: str) -> TicketRef | None:
        """The ticket of this case, exact match, also a resolved one; None when there is none."""

    async def has_step(self, step: Step, ref: TicketRef | None) -> bool | None:
        """Whether the desk already has this step; None when it cannot be told (mail)."""

    async def create(self, step: Step) -> TicketRef: ...

    async def attach(self, step: Step, ref: TicketRef) -> None:
        """All files of `step.artifacts` and the draft's text, as one step: the desk has it when it has every file."""

    async def comment(self, step: Step, ref: TicketRef) -> None: ...

    async def resolve(self, step: Step, ref: TicketRef) -> None: ...

    async def reopen(self, step: Step, ref: TicketRef) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPlugin:
    """A kind of ticket desk: the `type:` of a desk in the config. `settings` are its keys beside the common ones."""

    name: str
    settings: type[BaseModel]
    open: Callable[[Desk, DeskContext], AbstractAsyncContextManager[TicketDesk]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskContext:
    """What the agent lends a desk. `secret(path)` reads a secret file named in the config (relative to it)."""

    site: str
    state_dir: Path
    config_dir: Path
    clock: Clock


# --- observers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTicket:
    """A ticket that is not resolved: for `/metrics` and the tables."""

    case: str
    desk: str
    ref: str
    url: str
    severity: str
    opened_at: datetime


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """All that is shown of one device. `snapshot` None: never polled, or the polls failed for so long that nothing is fresh.

    `up`: the last poll reached it. `incidents`: the open ones. `polls`/`failures` count since the start, failures by (source, reason).
    `identity` is the last known one, also while the device is down. `sharing`: how many devices have the cause of an incident that others
    are part of, by its id. `streaming`: whether a stream of what the device says by itself is open; None: it has none.
    """

    device: Device
    up: bool | None
    snapshot: Snapshot | None
    identity: Identity
    last_poll: datetime | None
    last_success: datetime | None
    incidents: tuple[Incident, ...]
    tickets: tuple[OpenTicket, ...]
    reboots: int
    blocked: bool
    contract: Contract | None
    streaming: bool | None = None
    sharing: Mapping[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """One finished poll, for counters. `failures`: (source, reason) of each facet that failed."""

    device: str
    vendor: str
    duration: float
    requests: Mapping[str, int]
    failures: Sequence[tuple[str, str]]


class Observer(Protocol):
    """Something that shows the fleet: it is told, and never asks a device."""

    def device_changed(self, status: DeviceStatus) -> None:
        """Called after each poll and whenever incidents or tickets of the device changed. Must be quick: it runs in the loop."""

    def polled(self, report: PollReport) -> None: ...

    def delivery(self, desk: str, outcome: str) -> None:
        """A step was delivered ('ok') or not (the reason)."""

    def queue(self, desk: str, length: int, oldest: datetime | None, dead: int) -> None:
        """Steps that wait for this desk, since when the oldest does, and steps that were given up."""

    def lane(self, lane: str, running: int, waiting: int) -> None:
        """Polls that run and that wait in this lane: `fast`, or `slow` for devices that answer late or not at all. Told every second."""

    def traps(self, counts: Mapping[str, int]) -> None:
        """How many datagrams came to the receiver of traps since its start, by what became of them. Told every second while it is on."""

    def config_loaded(self, at: datetime, *, successful: bool) -> None:
        """The configuration was read, now or at the start: this one runs since `at`; not successful: a newer one was wrong and is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverContext:
    """What the agent lends an observer that listens: where, and whether the daemon is ready.

    `listen` is (host, port). `ready()` returns '' or why the daemon is not ready. `metrics` and `faults` are the whole catalogue.
    """

    listen: tuple[str, int]
    metrics: tuple[MetricSpec, ...]
    faults: tuple[FaultSpec, ...]
    devices: tuple[Device, ...]
    desks: tuple[Desk, ...]
    clock: Clock
    ready: Callable[[], str]
    healthy: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverPlugin:
    """`open` starts listening; the yielded observer is told of every change; leaving stops it."""

    name: str
    open: Callable[[ObserverContext], AbstractAsyncContextManager[Observer]]
