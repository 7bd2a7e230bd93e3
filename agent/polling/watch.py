"""The keeper's watch: what is held of each device, and what follows from one poll, in one transaction.

poll → snapshot → evaluation ─┬─ history, incidents ──┐
                              ├─ case + first steps ──┼─► one transaction ─► couriers are told
                              └─ recovery steps ──────┘
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from agent.diagnosis.correlation import concerned, gathered, tell_in
from agent.diagnosis.evaluate import Evaluation, announced, due, evaluate
from agent.diagnosis.evidence import collect
from agent.diagnosis.history import durable
from agent.diagnosis.machine import LONGEST_GAP, Change, Turn
from agent.diagnosis.masking import mask_of, masked
from agent.logs import logger
from agent.model import Case, Check, Device, History, Incident, IncidentState, Snapshot, Step, StepKind
from agent.polling import casework
from agent.polling.groups import Shared, placed, touched
from agent.polling.lanes import Transfers
from agent.polling.poller import poll
from agent.polling.rules import Rules
from agent.polling.state import Cadence, PollState, snapshot_of
from agent.polling.status import child_status, device_status
from agent.polling.streams import Reach
from agent.ports import Clock, Collector, CollectorPlugin, DeviceStatus, OpenTicket, PollReport, Signal
from agent.store import queries
from agent.store.database import Store

FACTS_EVERY = 300.0
"""Seconds between writes of a history of which only the facts moved (an uptime does at each poll)."""

HINT_EVERY = 10.0
"""Seconds between two polls for which the device itself gave the hint. Those that come meanwhile are one."""

TRAP_EVERY, TRAP_BURST = 600.0, 3
"""Traps can be forged by whoever knows a community: three hints at once, then one every ten minutes, in seconds."""

EVIDENCE_WAIT = 4 * 3600.0
"""Seconds a log bundle waits for the end of a call. A room that is in use for longer was left in a meeting, or does not tell its use."""


@dataclass(slots=True)
class Watched:
    """What is held of one polled device."""

    device: Device
    plugin: CollectorPlugin
    collector: Collector
    children: tuple[Device, ...]
    history: History = History()
    incidents: dict[str, Incident] = field(default_factory=dict)
    state: PollState = field(default_factory=PollState)
    snapshot: Snapshot | None = None
    polled_at: float | None = None
    last_poll: datetime | None = None
    saved: float = 0.0
    busy: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a poll, and by what changes incidents beside it."""
    shown_stale: bool = False
    reach: Reach = field(default_factory=Reach)
    streaming: bool | None = None
    """Whether a stream of what it says by itself is open; None: it has none."""
    hinted: set[str] | None = None
    """Facets that were hinted at since the last poll began; None: no hint."""
    hint_from: float = 0.0
    traps_until: float = 0.0


class Watch:
    """All devices. `changed(status)` and `polled(report)` tell the observers; `news(desk)` wakes a courier; `spawn` starts owned work."""

    def __init__(
        self,
        devices: Iterable[tuple[Device, CollectorPlugin, Collector, tuple[Device, ...]]],
        *,
        rules: Rules,
        store: Store,
        clock: Clock,
        evidence_root: Path,
        blocked: Callable[[str], bool],
        changed: Callable[[DeviceStatus], None],
        polled: Callable[[PollReport], None],
        news: Callable[[str], None],
        spawn: Callable[[str, Coroutine[None, None, None]], None],
        poke: Callable[[str], None],
    ) -> None:
        self.watched = {device.id: Watched(device, plugin, collector, children) for device, plugin, collector, children in devices}
        self.rules = rules
        self._owners = {child.id: w for w in self.watched.values() for child in w.children} | dict(self.watched)
        self._store = store
        self._clock = clock
        self._evidence_root = evidence_root
        self._blocked = blocked
        self._changed = changed
        self._polled = polled
        self._news = news
        self._spawn = spawn
        self._poke = poke
        self._tickets: dict[str, list[OpenTicket]] = {}
        self._waiting: dict[str, Case] = {}
        self._collecting: set[str] = set()
        self._transfers = Transfers(clock)
        self._shared = Shared()
        self._growing: dict[str, float] = {}
        """Cases of several devices about which there may be more to tell, and when to (monotonic)."""

    # --- start

    async def load(self) -> None:
        """What the last run left: histories, open incidents, tickets, cases whose evidence was not fetched."""

        def read(c: Connection) -> tuple[dict[str, History], list[Incident], list[Case]]:
            histories = {d: h for d in self.watched if (h := queries.load_history(c, d)) is not None}
            incidents = queries.open_incidents(c)
            for incident in incidents:
                if incident.device not in self._owners:
                    casework.leave(c, self.rules, incident, self._clock.now())
            return histories, incidents, queries.load_cases(c)

        await self._store.run(self._reconsider)
        histories, incidents, cases = await self._store.run(read)
        for device, history in histories.items():
            self.watched[device].history = history
        for incident in incidents:
            owner = self._owners.get(incident.device)
            if owner is None:
                logger("watch").warning("incident_of_a_device_no_longer_in_the_inventory", incident=incident.id, device=incident.device)
                continue
            if incident.fault.code not in self.rules.specs:
                logger("watch").warning("incident_of_a_fault_code_no_longer_known", incident=incident.id, code=incident.fault.code)
                continue
            owner.incidents[incident.key] = incident
        for device, watched in self.watched.items():
            self._shared.note(device, {}, watched.incidents)
        for case in cases:
            if case.cause and case.state == "open":
                self._notice_growth(case)
        self._waiting = {case.id: case for case in cases if case.evidence_state != "done" and case.device in self._owners}
        await self._load_tickets()

    def _reconsider(self, c: Connection) -> None:
        """Held reports are judged by the inventory of today: a person may have written down what was missing."""
        devices = {d.id: d for d in self.rules.inventory.devices}
        for case in queries.load_cases(c, state="open"):
            device = devices.get(case.device)
            if device is not None and case.missing:
                casework.reconsider(c, self.rules, case, device, self._clock.now())

    async def _load_tickets(self) -> None:
        def read(c: Connection) -> list[tuple[queries.TicketRow, Case | None]]:
            return [(row, queries.load_case(c, row.case)) for row in queries.tickets(c, state="open")]

        for row, case in await self._store.run(read):
            if case is not None:
                self._tickets.setdefault(case.device, []).append(_open_ticket(row, case))

    async def step_taken(self, step: Step) -> None:
        """A desk took a step (or gave it up): show its ticket as it is now, and wake the desks that hear of it."""

        def read(c: Connection) -> tuple[Case | None, list[queries.TicketRow]]:
            return queries.load_case(c, step.case), queries.tickets(c, state="open", case=step.case)

        case, rows = await self._store.run(read)
        if case is None:
            return
        others = [t for t in self._tickets.get(case.device, []) if t.case != case.id]
        self._tickets[case.device] = others + [_open_ticket(row, case) for row in rows]
        if step.kind is StepKind.CREATE:
            self._wake()
        owner = self._owners.get(case.device)
        if owner is not None:
            self._show(owner)

    def show_all(self) -> None:
        for watched in self.watched.values():
            self._show(watched)

    # --- one poll

    def cadence(self, device: Device) -> Cadence:
        base = self.rules.cadence
        return replace(base, interval=device.interval) if device.interval is not None else base

    async def poll(self, device: str) -> None:
        """Poll one device and draw every consequence. Raises nothing but cancellation and StoreError."""
        watched = self.watched[device]
        if watched.busy:
            return
        watched.busy = True
        await watched.turn.acquire()
        hinted, watched.hinted = watched.hinted, None
        if hinted is not None:
            watched.hint_from = self._clock.monotonic() + HINT_EVERY
            watched.state.ask_these(hinted)
        try:
            snapshot, report = await poll(watched.device, watched.plugin, watched.collector, watched.state, self.cadence(watched.device), self._clock)
            self._polled(report)
            await self.take(watched, snapshot)
        finally:
            watched.turn.release()
            watched.busy = False

    async def take(self, watched: Watched, snapshot: Snapshot) -> None:
        """Evaluate a snapshot and write what follows from it."""
        evaluation = self._evaluate(watched, snapshot)
        self._shared.note_held_back(snapshot)
        watched.reach.note(reachable=snapshot.reachable)
        was = watched.history
        watched.snapshot, watched.last_poll, watched.polled_at, watched.shown_stale = snapshot, snapshot.at, self._clock.monotonic(), False
        try:
            if evaluation is not None:
                await self._settle(watched, snapshot, evaluation, was)
        finally:
            if any(_undecided(i, snapshot.at) for i in watched.incidents.values()):
                watched.state.ask_again()
            # Also when nothing can be written down: what was read is the newest there is.
            self._show(watched)
        self._collect_what_waits(watched)

    def _evaluate(self, watched: Watched, snapshot: Snapshot) -> Evaluation | None:
        try:
            return evaluate(
                snapshot,
                watched.history,
                watched.incidents,
                device=watched.device,
                children=watched.children,
                rules=watched.plugin.rules,
                spec_of=lambda code: self.rules.specs[code],
                new_id=lambda: uuid.uuid4().hex[:12],
                held=self._shared.members,
            )
        except Exception:  # noqa: BLE001 - see below
            # A bug in a rule: the readings are still shown, the incidents stay as they are, and the log has the traceback.
            logger("watch").exception("bug_in_rule", device=watched.device.id)
            return None

    async def _settle(self, watched: Watched, snapshot: Snapshot, evaluation: Evaluation, was: History) -> None:
        changes = evaluation.changes
        before, incidents = watched.incidents, dict(evaluation.incidents)
        counted = any(_worth_a_write(i, before.get(k)) for k, i in incidents.items())
        now_mono = self._clock.monotonic()
        history_moved = durable(evaluation.history) != durable(was)
        only_facts = history_moved and durable(replace(evaluation.history, facts={})) == durable(replace(was, facts={}))
        write_history = history_moved and (not only_facts or now_mono - watched.saved >= FACTS_EVERY)
        opened: list[Case] = []
        grown: list[Case] = []

        def write(c: Connection) -> None:
            if write_history:
                queries.save_history(c, watched.device.id, evaluation.history)
            for change in changes:
                if change.incident.state is IncidentState.CLOSED:
                    queries.save_incident(c, change.incident)
            for key, incident in incidents.items():
                incidents[key] = incident = placed(c, self.rules, incident, snapshot.at)
                if _worth_a_write(incident, before.get(key)):
                    queries.save_incident(c, incident)
            for incident in [i for i in incidents.values() if self._ripe(i, snapshot.at)]:
                case = self._open(c, watched, incident, snapshot, evaluation.history)
                opened.append(case)
                cased = replace(incident, state=IncidentState.CASED, case=case.id, reason=f"case {case.id} opened: {incident.reason}")
                incidents[incident.key] = cased
                queries.save_incident(c, cased)
            for incident_id in touched(changes, before, incidents):
                case_of_many = casework.follow(c, self.rules, incident_id, snapshot.at)
                if case_of_many is not None:
                    grown.append(case_of_many)

        if write_history or changes or counted or any(concerned(i) or self._ripe(i, snapshot.at) for i in incidents.values()):
            await self._store.run(write)
        watched.history = evaluation.history
        if write_history:
            watched.saved = now_mono
        told = {k: i for k, i in watched.incidents.items() if i.hits == 0 and k not in before and k not in incidents}
        watched.incidents = incidents | told  # what the device told of while the database was written
        for other in self._shared.note(watched.device.id, before, incidents):
            self._show(self.watched[other])
        for change in changes:
            _log(change)
        for case in opened:
            logger("watch").info("case_opened", case=case.id, device=case.device, fault=case.fault.code, missing=list(case.missing) or None)
            self._waiting[case.id] = case
        for case in grown:
            self._notice_growth(case)
        if opened or grown or any(ch.turn in (Turn.RECOVERED, Turn.RETURNED) for ch in changes):
            self._wake()

    def _ripe(self, incident: Incident, now: datetime) -> bool:
        """Whether a case is to be opened for it now."""
        wanted = due(incident, self.rules.specs[incident.fault.code], first_sight=self.rules.first_sight)
        return wanted and not incident.parent and gathered(incident, now, self.rules.cadence.interval)

    def _open(self, c: Connection, watched: Watched, incident: Incident, snapshot: Snapshot, history: History) -> Case:
        device = next((d for d in watched.children if d.id == incident.device), watched.device)
        return casework.open_for(
            c,
            self.rules,
            incident,
            device=device,
            parent=watched.device if device is not watched.device else None,
            history=history,
            fresh=snapshot.reachable,
            checklist=self._answers(watched, snapshot, history, incident, device),
            now=snapshot.at,
        )

    def _answers(self, watched: Watched, snapshot: Snapshot, history: History, incident: Incident, device: Device) -> tuple[Check, ...]:
        try:
            return watched.plugin.checklist(snapshot, history, incident.fault, device)
        except Exception:  # noqa: BLE001 - a case without answers is better than no case; the log has the traceback
            logger("watch").exception("bug_in_checklist", device=device.id)
            return ()

    # --- evidence

    def _collect_what_waits(self, watched: Watched) -> None:
        """Start fetching what may be fetched now: all of it from a free device, from one that is in use only what does not disturb."""
        snapshot = watched.snapshot
        if snapshot is None or not self._waiting:
            return
        mine = {watched.device.id, *(child.id for child in watched.children)}
        for case in [k for k in self._waiting.values() if k.device in mine and k.id not in self._collecting]:
            given_up = (snapshot.at - case.opened_at).total_seconds() > EVIDENCE_WAIT
            if _free(snapshot) or given_up or case.evidence_state == "pending":
                self._collecting.add(case.id)
                self._spawn(f"evidence:{case.id}", self._collect(watched, case, last=given_up or not snapshot.reachable))

    async def _collect(self, watched: Watched, case: Case, *, last: bool) -> None:
        snapshot = watched.snapshot
        try:
            try:
                evidence = await collect(
                    watched.device,
                    watched.plugin,
                    watched.collector,
                    folder=self._evidence_root / case.id,
                    snapshot=snapshot,
                    history=watched.history,
                    reachable=snapshot is not None and snapshot.reachable,
                    heavy=lambda: _free(watched.snapshot),
                    taken=lambda: watched.snapshot is not None and watched.snapshot.in_use is True,
                    have=frozenset(a.name for a in case.evidence),
                    turn=lambda: self._transfers.turn(watched.device),
                    clock=self._clock,
                )
            except OSError as error:
                logger("watch").error("evidence_not_written", case=case.id, detail=f"{error.strerror}; the disk of the state folder must be mended")
                return
            if evidence.deferred and last:
                waited = f"{', '.join(evidence.deferred)}: not fetched, because the device was in use, or its use was unknown, for {EVIDENCE_WAIT / 3600:.0f} h"
                evidence = replace(evidence, notes=(*evidence.notes, waited), deferred=())
            case = await self._store.run(lambda c: casework.add_evidence(c, self.rules, case, evidence, self._clock.now()))
            if case.evidence_state == "done":
                self._waiting.pop(case.id, None)
            else:
                self._waiting[case.id] = case
            for note in evidence.notes:
                logger("watch").warning("evidence_missing", case=case.id, detail=note)
            self._wake()
        finally:
            self._collecting.discard(case.id)

    def _wake(self) -> None:
        for desk in self.rules.inventory.desks:
            self._news(desk.name)

    # --- what devices say by themselves

    def hear(self, watched: Watched, signals: Iterable[Signal]) -> None:
        """Show what is new at once, and have it looked at by a poll."""
        mask = watched.state.mask = watched.state.mask or mask_of(watched.device)
        clean = (replace(s, key=mask.text(s.key), data=masked(s.data, mask)) for s in signals)
        news = watched.state.heard.take(clean, self._clock.monotonic(), watched.state.answered_at)
        if news is not None:
            self._redraw(watched, announce=True)
            self.hint(watched, news)

    def stream(self, watched: Watched, *, up: bool) -> None:
        """The stream was opened, or is over: nothing that was said on the last one is known to hold."""
        said = bool(watched.state.heard.said)
        watched.state.heard.clear()
        watched.streaming = up
        if said:
            self._redraw(watched, announce=False)
        else:
            self._show(watched)

    def hint(self, watched: Watched, facets: Iterable[str]) -> None:
        """Poll this device now, these facets among what is due; at most once in HINT_EVERY."""
        watched.hinted = (watched.hinted or set()) | set(facets)
        self._poll_hinted(watched)

    def trap(self, device: str) -> None:
        """An SNMP trap came from this device, or from somebody who knows how to make it look so."""
        watched, now = self.watched[device], self._clock.monotonic()
        until = max(watched.traps_until, now) + TRAP_EVERY
        if until - now > TRAP_BURST * TRAP_EVERY:
            return
        watched.traps_until = until
        self.hint(watched, (f.name for f in watched.plugin.facets if f.every <= FACTS_EVERY))

    def _poll_hinted(self, watched: Watched) -> None:
        if watched.hinted is not None and not watched.busy and self._clock.monotonic() >= watched.hint_from:
            self._poke(watched.device.id)

    def _redraw(self, watched: Watched, *, announce: bool) -> None:
        """The last poll's snapshot anew, with what was said since laid over it; nothing is written down."""
        last = watched.snapshot
        if last is None or not last.reachable or watched.shown_stale:
            return
        device, plugin = watched.device, watched.plugin
        now = self._clock.monotonic()
        snapshot = snapshot_of(device, plugin, watched.state, self.cadence(device), at=last.at, duration=last.duration, reachable=True, now=now)
        watched.snapshot = snapshot
        if announce:
            try:
                told = announced(
                    replace(snapshot, at=self._clock.now()),
                    watched.history,
                    watched.incidents,
                    device=device,
                    children=watched.children,
                    rules=plugin.rules,
                    spec_of=lambda code: self.rules.specs[code],
                    new_id=lambda: uuid.uuid4().hex[:12],
                )
            except Exception:  # noqa: BLE001 - as in a poll: the readings are shown all the same
                logger("watch").exception("bug_in_rule", device=device.id)
                told = {}
            watched.incidents = {**watched.incidents, **told}
        self._show(watched)

    # --- what people decide

    async def adopt(self, incident_id: str) -> Incident:
        """A person takes a fault that was there before us (or one that makes no ticket by itself) as a case. Raises KeyError."""
        for watched in self.watched.values():
            for key, incident in watched.incidents.items():
                if incident_id in (incident.id, key):
                    if incident.case:
                        return incident
                    async with watched.turn:
                        current = watched.incidents.get(key)
                        if current is None:
                            raise KeyError(incident_id)  # it closed while we waited for the poll to end
                        if current.case:
                            return current
                        adopted = replace(current, adopted=True)
                        await self._store.run(lambda c: queries.save_incident(c, adopted))  # noqa: B023 - awaited before the loop goes on
                        watched.incidents[key] = adopted
                    self._spawn(f"poll:{watched.device.id}", self.poll(watched.device.id))
                    return adopted
        raise KeyError(incident_id)

    async def approve(self, case_id: str) -> Case:
        """A person lets the report of a case go to the vendor (as soon as it is complete). Raises KeyError."""
        case = await self._store.run(lambda c: casework.approve(c, self.rules, case_id, self._clock.now()))
        self._wake()
        return case

    # --- what is shown

    async def sweep(self) -> None:
        """Values of a device whose polls were missed are no longer shown; desks are told of devices that came to a cause."""
        now = self._clock.monotonic()
        for case, when in list(self._growing.items()):
            if now >= when:
                del self._growing[case]
                self._spawn(f"growth:{case}", self._tell_growth(case, when))
        for watched in self.watched.values():
            cadence = self.cadence(watched.device)
            if watched.polled_at is not None and not watched.shown_stale and now - watched.polled_at > cadence.interval * cadence.missed:
                watched.shown_stale = True
                logger("watch").warning("polls_missed", device=watched.device.id, since=watched.last_poll.isoformat() if watched.last_poll else None)
                self._show(watched)
            self._poll_hinted(watched)

    def _notice_growth(self, case: Case) -> None:
        wait = tell_in(case.others_at, self._clock.now(), self.rules.cadence.interval)
        self._growing.setdefault(case.id, self._clock.monotonic() + wait)

    async def _tell_growth(self, case: str, when: float) -> None:
        try:
            await self._store.run(lambda c: casework.tell_growth(c, self.rules, case, self._clock.now()))
        except BaseException:
            self._growing.setdefault(case, when)
            raise
        self._wake()

    async def save(self) -> None:
        """At the end: histories of which only the facts had moved."""

        def write(c: Connection) -> None:
            for watched in self.watched.values():
                if watched.last_poll is not None:
                    queries.save_history(c, watched.device.id, watched.history)

        await self._store.run(write)

    def _show(self, watched: Watched) -> None:
        fresh = not watched.shown_stale
        status = device_status(
            watched.device,
            watched.snapshot,
            watched.history,
            fresh=fresh,
            incidents=self._incidents(watched, watched.device.id),
            tickets=self._tickets.get(watched.device.id, ()),
            blocked=self._blocked(watched.device.id),
            members=self._shared.members,
            held_back=self._shared.held_back,
            streaming=watched.streaming,
        )
        self._changed(status)
        for child in watched.children:
            incidents = self._incidents(watched, child.id)
            self._changed(child_status(child, watched.snapshot, watched.history, fresh=fresh, incidents=incidents, tickets=self._tickets.get(child.id, ())))

    def _incidents(self, watched: Watched, device: str) -> tuple[Incident, ...]:
        return tuple(i for i in watched.incidents.values() if i.device == device and i.state is not IncidentState.RECOVERED)


def _open_ticket(row: queries.TicketRow, case: Case) -> OpenTicket:
    return OpenTicket(case=row.case, desk=row.desk, ref=row.ref.ref, url=row.ref.url, severity=case.fault.severity.value, opened_at=case.opened_at)


def _undecided(incident: Incident, now: datetime) -> bool:
    """Whether the next polls decide what becomes of it. One of which nothing was heard for long does not make us ask all facets for ever."""
    heard = max(incident.last_seen, incident.gone_since or incident.last_seen)
    open_question = incident.state is IncidentState.SUSPECTED or incident.returned_since is not None or (incident.active and incident.gone_since is not None)
    return open_question and now - heard < LONGEST_GAP


def _free(snapshot: Snapshot | None) -> bool:
    """Whether something heavy may run: the device answered, and said that it is not in use (promise 3)."""
    return snapshot is not None and snapshot.reachable and snapshot.in_use is False


def _worth_a_write(incident: Incident, before: Incident | None) -> bool:
    """Of an incident that merely lasts, the count is not written at each poll."""
    if before is None or incident.state is not before.state or incident.state is IncidentState.SUSPECTED:
        return incident is not before
    if incident.parent != before.parent or incident.fault.shared != before.fault.shared:
        return True
    return incident.misses != before.misses or incident.returned_since != before.returned_since


def _log(change: Change) -> None:
    """One line for an outage, one for a recovery."""
    incident = change.incident
    words = {"device": incident.device, "fault": incident.fault.code, "component": incident.fault.component or None, "incident": incident.id}
    log = logger("watch")
    match change.turn:
        case Turn.CONFIRMED:
            log.warning("fault", **words, severity=incident.fault.severity.value, summary=incident.fault.summary, first_sight=incident.first_sight or None)
        case Turn.RECOVERED:
            log.info("recovered", **words, reason=incident.reason)
        case Turn.RETURNED:
            log.warning("fault_is_back", **words, summary=incident.fault.summary)
        case _:
            log.debug(change.turn.value, **words)
