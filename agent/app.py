"""The composition root: configuration in, running daemon out. Everything opened here is closed here, in reverse."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from agent import __version__, plugins
from agent.control import ControlError, serve_control
from agent.delivery.outbox import Courier
from agent.diagnosis.evaluate import evaluate, overridden
from agent.diagnosis.masking import mask_of, secrets_of
from agent.diagnosis.retention import clear, measure
from agent.errors import DeskError, StoreError
from agent.garbage import Garbage, garbage
from agent.inventory import Inventory, build
from agent.logs import hide, logger
from agent.model import Desk, Device, FaultSpec, History, MetricSpec
from agent.notify import Notifier, feed_watchdog, watchdog_interval
from agent.polling import casework
from agent.polling.attach import attach
from agent.polling.guard import PassingGuard, StoredGuard
from agent.polling.hearing import Ear
from agent.polling.lanes import poll_lanes
from agent.polling.poller import poll
from agent.polling.rules import Rules
from agent.polling.scheduler import Timer, timer
from agent.polling.state import Cadence, PollState
from agent.polling.streams import follow
from agent.polling.watch import Watch
from agent.ports import (
    Clock,
    Collector,
    CollectorPlugin,
    DeskContext,
    DeskPlugin,
    DeviceStatus,
    Observer,
    ObserverContext,
    PollReport,
    Services,
    SystemClock,
    TicketDesk,
)
from agent.redact import Mask
from agent.report import poll_report, read_anything
from agent.service.cases import Office
from agent.store import queries
from agent.store.database import Store, daemon_lock, open_store
from agent.store.keep import FileVault, PassingKeep, StoredMemory, StoredTrust
from agent.store.prune import needed, prune
from agent.traps.receiver import Receiver, open_traps
from config.load import load
from config.settings import Settings

OBSERVERS = ("exporters.prometheus",)
EVIDENCE = "evidence"
SESSIONS = "sessions"
QUEUE_EVERY = 5
"""Seconds between two looks at how long the queues are: a number for a graph."""
TIDY_EVERY = 3600
"""Seconds between two looks at what is old: evidence, and what is over in the database."""
STILL = 10.0
"""A timer that has not fired for so long makes /-/healthy say so; it fires every second."""
SELF_CHECK = 20.0
"""Seconds for a desk's own check at the start: well within the watchdog's minute, also at a reload."""
CANCEL_AGAIN = 1.0
"""Seconds after which what still runs is cancelled once more."""
FAREWELL = 10.0
"""Seconds that running polls get to end (and to give their sessions back) at a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """All plugins that were found, and their catalogues."""

    collectors: Mapping[str, CollectorPlugin]
    desks: Mapping[str, DeskPlugin]
    metrics: tuple[MetricSpec, ...]
    faults: tuple[FaultSpec, ...]


def find_house() -> House:
    """Raises PluginError."""
    collectors = plugins.collectors()
    return House(collectors=collectors, desks=plugins.desks(), metrics=plugins.metrics(collectors), faults=plugins.faults(collectors))


def read_config(path: Path, house: House) -> Settings:
    """Raises ConfigError with everything that is wrong."""
    return load(
        path,
        vendors={name: plugin.settings for name, plugin in house.collectors.items()},
        desks={name: plugin.settings for name, plugin in house.desks.items()},
        fault_codes=[spec.code for spec in house.faults],
    )


def rules_of(settings: Settings, inventory: Inventory, house: House) -> Rules:
    """The site's rules, from its configuration."""
    return Rules(
        specs=overridden(house.faults, {pattern: change.model_dump(exclude_none=True) for pattern, change in settings.faults.items()}),
        first_sight=settings.faults_at_first_sight,
        cadence=Cadence(interval=settings.polling.interval, missed=settings.polling.stale_after_missed),
        office=Office(language=settings.language, timezone=settings.site.timezone),
        inventory=inventory,
        site=settings.site.name,
    )


class Daemon:
    """The running agent: what its parts call each other by. Made by `running`, driven by `run`."""

    def __init__(self, settings: Settings, house: House, inventory: Inventory, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.house = house
        self.inventory = inventory
        self.store = store
        self.clock = clock
        self.guard = StoredGuard(store, clock, patience=settings.polling.timeout)
        self.trust = StoredTrust(store, clock)
        self.stop = asyncio.Event()
        self.reloading = False
        """Whether another one follows after the stop."""
        self._opened_at = clock.now()
        self.observers: list[Observer] = []
        self.couriers: dict[str, Courier] = {}
        self.watch: Watch
        self.traps: Receiver
        self.timer: Timer | None = None
        self._group: asyncio.TaskGroup
        self._running: set[asyncio.Task[None]] = set()
        self._lanes = poll_lanes(settings.polling.concurrency, settings.polling.timeout, clock)
        self._beat: tuple[int, float] = (0, clock.monotonic())
        self._ready = "starting"
        self._queue_in = 0
        self._tidy_in = 0
        self._over: set[str] = set()
        self._garbage: Garbage | None = None
        self._attaching = asyncio.Lock()

    # --- what the parts tell each other

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start work that the daemon owns. Trouble with the database ends neither the work's kind nor the daemon."""
        task = self._group.create_task(self._guarded(name, work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoreError:
            pass  # the store said so, and it is tried again at the next poll
        except Exception:  # noqa: BLE001 - the trouble of one device or case must not end the watch over all others
            logger("agent").exception("bug_in_task", during=name)

    def changed(self, status: DeviceStatus) -> None:
        for observer in self.observers:
            observer.device_changed(status)

    def polled(self, report: PollReport) -> None:
        for observer in self.observers:
            observer.polled(report)
        if self._garbage is not None:
            self._garbage.polled()

    def delivered(self, desk: str, outcome: str) -> None:
        for observer in self.observers:
            observer.delivery(desk, outcome)

    def config_loaded(self, *, successful: bool) -> None:
        """The configuration was read: this daemon's, or a newer one that is wrong and was not taken."""
        for observer in self.observers:
            observer.config_loaded(self._opened_at, successful=successful)

    def news(self, desk: str) -> None:
        courier = self.couriers.get(desk)
        if courier is not None:
            courier.news.set()

    # --- the timer's calls

    async def fire(self, device: str) -> None:
        if not self.stop.is_set():
            self.spawn(f"poll:{device}", self._poll(device))

    async def _poll(self, device: str) -> None:
        if self.watch.watched[device].busy or device in self._lanes:
            return
        async with self._lanes.place(device):
            await self.watch.poll(device)

    def poke(self, device: str) -> None:
        """Poll this device now, beside its turns."""
        if not self.stop.is_set():
            self.spawn(f"poll:{device}", self._poll(device))

    def hint(self, device: str, what: str) -> None:
        """A trap came."""
        if not self.stop.is_set():
            logger("traps").debug("trap", device=device, what=what)
            self.watch.trap(device)

    async def sweep(self) -> None:
        self._lanes.sweep()
        if self.traps.addresses:
            for observer in self.observers:
                observer.traps(self.traps.counts)
        for lane, (running, waiting) in self._lanes.lengths().items():
            for observer in self.observers:
                observer.lane(lane, running, waiting)
        await self.watch.sweep()
        if self._garbage is not None:
            self._garbage.look(busy=bool(self._running))
        self._tidy_in -= 1
        if self._tidy_in <= 0:
            self._tidy_in = TIDY_EVERY
            self.spawn("tidy", self._tidy())
        self._queue_in -= 1
        if self._queue_in <= 0:
            self._queue_in = QUEUE_EVERY
            self.spawn("queue", self._tell_queue())

    async def _tidy(self) -> None:
        """Remove what is over, within the limits of the configuration."""
        state, now = self.settings.state_dir, self.clock.now()
        limits = self.settings.history
        pruned = await prune(self.store, {d.id for d in self.inventory.devices}, now, max_age=limits.max_age, max_size=limits.max_size)
        for device in pruned.devices:
            await FileVault(state / SESSIONS).put(device, {})
        if pruned.incidents or pruned.devices:
            logger("history").info("old_history_removed", incidents=pruned.incidents, devices=list(pruned.devices), bytes=pruned.freed)
        self._tell_over("history", pruned.over)
        evidence = self.settings.evidence
        folders = await asyncio.to_thread(measure, state / EVIDENCE)
        keep = await self.store.run(needed)  # after the look: the case of every folder that was seen is known by now
        removed = await asyncio.to_thread(clear, state / EVIDENCE, folders, keep, now, max_age=evidence.max_age, max_size=evidence.max_size)
        if removed.going:
            logger("evidence").info("old_evidence_removed", cases=[f.case for f in removed.going], bytes=sum(f.size for f in removed.going))
        for trouble in removed.trouble:
            logger("evidence").error("old_evidence_not_removed", detail=trouble, next="give the state folder and all in it to the user that runs latarnik")
        self._tell_over("evidence", removed.over)

    def _tell_over(self, what: str, over: int) -> None:
        """Once: what is left of it is needed, so its limit is not kept."""
        if over and what not in self._over:
            self._over.add(what)
            logger(what).warning(
                "limit_not_kept", bytes=over, next=f"what is left belongs to open cases or unsent steps: see to them, or raise {what}.max_size"
            )
        elif not over:
            self._over.discard(what)

    async def _tell_queue(self) -> None:
        counts = await self.store.read(queries.queue_lengths)
        for desk in self.couriers:
            length = counts.get(desk, queries.QueueLength())
            for observer in self.observers:
                observer.queue(desk, length.waiting, length.oldest, length.dead)

    def _streams(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """For each device whose vendor has such a thing: the work of holding a stream to it."""
        for device, watched in self.watch.watched.items():
            if watched.plugin.listen is not None:
                listen = partial(watched.plugin.listen, watched.collector, watched.device)
                yield device, follow(watched.device, listen, Ear(self.watch, watched), watched.reach, self.clock)

    # --- how we are

    def ready(self) -> str:
        return self._ready

    def healthy(self) -> str:
        if self.timer is None:
            return ""
        beats, since = self._beat
        now = self.clock.monotonic()
        if self.timer.beats != beats:
            self._beat = (self.timer.beats, now)
            return ""
        return f"the scheduler has stood still for {now - since:.0f} s" if now - since > STILL else ""

    # --- commands of the command line

    async def command_poll(self, target: str) -> dict[str, Any]:
        watched = self.watch.watched[target]
        async with watched.turn:
            pass  # a poll that runs now began before it was asked for
        watched.state.ask_all()
        await self._poll(target)
        snapshot = watched.snapshot
        if snapshot is None:
            raise ControlError(f"{target} is being polled just now; ask again in a moment")
        judgements = [i.fault for i in watched.incidents.values() if i.misses == 0]
        report = poll_report(watched.device, snapshot, judgements, self.house.metrics)
        return {"report": report, "read": read_anything(snapshot)}

    async def command_adopt(self, target: str) -> dict[str, Any]:
        incident = await self.watch.adopt(target)
        return {"incident": incident.id, "device": incident.device, "fault": incident.fault.code, "case": incident.case}

    async def command_approve(self, target: str) -> dict[str, Any]:
        case = await self.watch.approve(target)
        return {"case": case.id, "missing": list(case.missing)}

    async def command_retry(self, target: str) -> dict[str, Any]:
        steps = await self.store.run(lambda c: casework.retry(c, self.watch.rules, target, self.clock.now()))
        for desk in self.couriers:
            self.news(desk)
        return {"case": target, "steps": [{"desk": step.desk, "kind": step.kind.value} for step in steps]}

    async def upload_attach(self, query: Mapping[str, str], body: AsyncGenerator[bytes, None]) -> dict[str, Any]:
        async with self._attaching:
            attached = await attach(
                self.store,
                self.watch.rules,
                self.settings.state_dir / EVIDENCE,
                self.clock,
                case=query.get("target", ""),
                name=query.get("name", ""),
                note=query.get("note", ""),
                body=body,
            )
        for desk in self.couriers:
            self.news(desk)
        return attached.summary()

    async def command_unblock(self, target: str) -> dict[str, Any]:
        watched = self.watch.watched[target]
        unblocked = await self.guard.unblock(target, watched.device.credentials.values())
        watched.state.forgive()
        await self.fire(target)
        return {"device": target, "forgotten": unblocked.forgotten, "chosen": list(unblocked.chosen)}

    async def command_trust(self, target: str) -> dict[str, Any]:
        """`target`: device, endpoint and the SHA-256 that a person saw there, with blanks in between."""
        device, endpoint, sha256, *_ = [*target.split(" "), "", ""]
        accepted = await self.store.run(lambda c: accept_offered(c, device, endpoint, sha256, self.clock.now()))
        if accepted and device in self.watch.watched:
            await self.fire(device)
        return {"device": device, "accepted": accepted}

    # --- the run

    async def run(self, group: asyncio.TaskGroup, intervals: Mapping[str, float]) -> None:
        """From the first poll to the last. The group owns every task."""
        with garbage(time.monotonic) as self._garbage:
            await self._run(group, intervals)

    async def _run(self, group: asyncio.TaskGroup, intervals: Mapping[str, float]) -> None:
        self._group = group
        commands = {
            "poll": self.command_poll,
            "adopt": self.command_adopt,
            "approve": self.command_approve,
            "retry": self.command_retry,
            "unblock": self.command_unblock,
            "trust": self.command_trust,
        }
        notifier = Notifier()
        owned: list[asyncio.Task[Any]] = [group.create_task(c.run(), name=f"courier:{n}") for n, c in self.couriers.items()]
        async with serve_control(self.settings.state_dir, commands, {"attach": self.upload_attach}), timer(intervals, self.fire, self.sweep) as self.timer:
            running = self.timer
            owned += [group.create_task(work, name=f"stream:{device}") for device, work in self._streams()]
            interval = watchdog_interval()
            if interval is not None:
                owned.append(group.create_task(feed_watchdog(notifier, interval, lambda: running.beats), name="watchdog"))
            self._ready = ""
            notifier.send("READY=1", f"STATUS=watching {len(self.inventory.devices)} devices")
            logger("agent").info(
                "watching", version=__version__, devices=len(self.inventory.devices), desks=list(self.couriers), listen=self.settings.listen.text
            )
            await self.stop.wait()
            self._ready = "stopping"
            if self.reloading:
                notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            else:
                notifier.send("STOPPING=1")
        if self._running:
            await asyncio.wait(self._running, timeout=FAREWELL)
        await end({*owned, *self._running})
        with suppress(StoreError):  # the store said so; only facts of the last minutes go, which the next poll brings anew
            await self.watch.save()


async def end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel them, and again, until they are over: what they wait in may swallow a cancellation (`asyncio.wait_for` of Python 3.11 does)."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN)


def accept_offered(c: Connection, device: str, endpoint: str, sha256: str, at: datetime) -> bool:
    """Accept what a device offers, if that is still what the person saw who accepts it."""
    if not any(f.endpoint == endpoint and f.offered == sha256 for f in queries.load_fingerprints(c, device)):
        return False
    queries.accept_fingerprint(c, device, endpoint, sha256, "latarnik trust", at)
    return True


async def _start_collectors(stack: AsyncExitStack, house: House, used: set[str], services: Services) -> dict[str, Collector]:
    return {name: await stack.enter_async_context(house.collectors[name].start(services)) for name in sorted(used)}


async def _open_desk(stack: AsyncExitStack, plugin: DeskPlugin, desk: Desk, context: DeskContext) -> TicketDesk:
    target = await stack.enter_async_context(plugin.open(desk, context))
    try:
        async with asyncio.timeout(SELF_CHECK):
            await target.self_check()
    except TimeoutError:
        logger("delivery").error("desk_self_check_failed", desk=desk.name, reason="timeout", detail=f"no answer within {SELF_CHECK:.0f} s")
    except DeskError as error:
        # The desk may be down just now; its steps wait in the outbox.
        logger("delivery").error("desk_self_check_failed", desk=desk.name, reason=error.reason, detail=error.detail)
    return target


@asynccontextmanager
async def running(settings: Settings, house: House, clock: Clock) -> AsyncIterator[Daemon]:
    """Everything open and loaded, nothing polled yet."""
    inventory = build(settings)
    hide(Mask.of(secrets_of(c for device in inventory.devices for c in device.credentials.values())))
    state_dir = settings.state_dir
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(daemon_lock(state_dir))
        store = stack.enter_context(open_store(state_dir))
        await store.run(queries.interrupted_to_unknown)
        await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
        daemon = Daemon(settings, house, inventory, store, clock)
        polled = [d for d in inventory.devices if d.host]
        context = ObserverContext(
            listen=(settings.listen.host, settings.listen.port),
            metrics=house.metrics,
            faults=house.faults,
            devices=inventory.devices,
            desks=inventory.desks,
            clock=clock,
            ready=daemon.ready,
            healthy=daemon.healthy,
        )
        for module in OBSERVERS:
            daemon.observers.append(await stack.enter_async_context(plugins.observer(module).open(context)))
        services = Services(
            guard=daemon.guard,
            trust=daemon.trust,
            vault=FileVault(state_dir / SESSIONS),
            memory=StoredMemory(store),
            clock=clock,
            timeout=settings.polling.timeout,
        )
        collectors = await _start_collectors(stack, house, {d.vendor for d in polled}, services)
        desk_context = DeskContext(site=settings.site.name, state_dir=state_dir, config_dir=settings.directory, clock=clock)
        daemon.watch = Watch(
            [(d, house.collectors[d.vendor], collectors[d.vendor], tuple(c for c in inventory.devices if c.parent == d.id and not c.host)) for d in polled],
            rules=rules_of(settings, inventory, house),
            store=store,
            clock=clock,
            evidence_root=state_dir / EVIDENCE,
            blocked=daemon.guard.blocked,
            changed=daemon.changed,
            polled=daemon.polled,
            news=daemon.news,
            spawn=daemon.spawn,
            poke=daemon.poke,
        )
        for desk in inventory.desks:
            target = await _open_desk(stack, house.desks[desk.type], desk, desk_context)
            daemon.couriers[desk.name] = Courier(
                desk.name,
                target,
                store=store,
                clock=clock,
                evidence_root=state_dir / EVIDENCE,
                delivered=daemon.delivered,
                settled=lambda c, step, now: casework.reported(c, daemon.watch.rules, step, now),
                taken=lambda step: daemon.spawn("step", daemon.watch.step_taken(step)),
            )
        await daemon.watch.load()
        daemon.watch.show_all()
        daemon.traps = await stack.enter_async_context(open_traps(settings, polled, daemon.hint, clock=clock))
        yield daemon


async def poll_once(device: Device, house: House, services: Services, history: History, cadence: Cadence) -> tuple[dict[str, Any], bool]:
    """One poll of one device outside the daemon: (the JSON object, whether anything was read)."""
    plugin = house.collectors[device.vendor]
    hide(mask_of(device))
    async with plugin.start(services) as collector:
        snapshot, _ = await poll(device, plugin, collector, PollState(), cadence, services.clock)
    specs = {spec.code: spec for spec in house.faults}
    judged = evaluate(snapshot, history, {}, device=device, children=(), rules=plugin.rules, spec_of=lambda code: specs[code], new_id=lambda: "none").judgements
    return poll_report(device, snapshot, judged, house.metrics), read_anything(snapshot)


async def poll_configured(settings: Settings, house: House, device_id: str) -> tuple[dict[str, Any], bool]:
    """One poll of a device of the inventory, while no daemon runs: with its store, so that no login is tried that must not be. Raises KeyError."""
    clock = SystemClock()
    inventory = build(settings)
    device = next((d for d in inventory.devices if d.id == device_id and d.host), None)
    if device is None:
        raise KeyError(device_id)
    async with daemon_lock(settings.state_dir):
        with open_store(settings.state_dir) as store:
            await store.run(lambda c: queries.interrupted_logins(c, clock.now()))
            services = Services(
                guard=StoredGuard(store, clock, patience=settings.polling.timeout),
                trust=StoredTrust(store, clock),
                vault=FileVault(settings.state_dir / SESSIONS),
                memory=StoredMemory(store),
                clock=clock,
                timeout=settings.polling.timeout,
            )
            history = await store.run(lambda c: queries.load_history(c, device_id))
            return await poll_once(device, house, services, history or History(), Cadence(interval=settings.polling.interval))


async def attach_configured(settings: Settings, house: House, case: str, name: str, note: str, body: AsyncGenerator[bytes, None]) -> dict[str, Any]:
    """Attach a person's file to a case while no daemon runs: the next one tells the desks. Raises KeyError, RefusedFileError."""
    inventory = build(settings)
    rules = rules_of(settings, inventory, house)
    async with daemon_lock(settings.state_dir):
        with open_store(settings.state_dir) as store:
            attached = await attach(store, rules, settings.state_dir / EVIDENCE, SystemClock(), case=case, name=name, note=note, body=body)
    if os.geteuid() == 0:
        # What root wrote is to be the daemon's, whose user cannot open it else.
        owner, file = os.stat(settings.state_dir), attached.artifact.path  # noqa: PTH116 - in an async function, and instant
        for path in (file.parent.parent, file.parent, file):
            os.chown(path, owner.st_uid, owner.st_gid)
    return attached.summary()


async def poll_stranger(device: Device, house: House, timeout: float) -> tuple[dict[str, Any], bool]:
    """One poll of a device at hand, without a config: nothing is remembered."""
    keep = PassingKeep()
    services = Services(guard=PassingGuard(), trust=keep, vault=PassingKeep(), memory=keep, clock=SystemClock(), timeout=timeout)
    return await poll_once(device, house, services, History(), Cadence(interval=60.0))
