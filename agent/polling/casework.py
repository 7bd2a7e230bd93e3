"""Cases and the steps their desks are to take: written in the transaction of the state change that causes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from agent.diagnosis.evidence import Evidence
from agent.diagnosis.machine import Change, Turn
from agent.model import Artifact, Case, Check, Desk, Device, History, Incident, Step, StepKind, StepState
from agent.polling.rules import Rules
from agent.service import texts
from agent.service.cases import case_prefix, desks_for, judged, language_of, open_case, parcels, plan_step, releasable
from agent.service.deadlines import deadlines
from agent.service.plans import NO_PLAN, plan_of
from agent.store import queries


def open_for(
    c: Connection,
    rules: Rules,
    incident: Incident,
    *,
    device: Device,
    parent: Device | None,
    history: History,
    fresh: bool,
    checklist: tuple[Check, ...],
    now: datetime,
) -> Case:
    """The case of an incident, and the first message to every desk it goes to."""
    inventory = rules.inventory
    plan_name = plan_of(device.contract, device.vendor, inventory.plans)
    prefix = case_prefix(device.site or rules.site, now)
    case = open_case(
        incident,
        case_id=f"{prefix}{queries.case_number(c, prefix):04d}",
        device=device,
        parent=parent,
        history=history,
        fresh=fresh,
        spec=rules.specs[incident.fault.code],
        checklist=checklist,
        plan_name=plan_name,
        plan=inventory.plans[plan_name],
        now=now,
    )
    queries.save_case(c, case)
    for desk in desks_for(device, plan_name, inventory.routes, inventory.desks):
        _add(c, rules, case, desk, StepKind.CREATE, now)
    return case


def follow(c: Connection, rules: Rules, change: Change, at: datetime) -> None:
    """What a recovery or a return tells the desks."""
    incident = change.incident
    if not incident.case or change.turn not in (Turn.RECOVERED, Turn.RETURNED):
        return
    case = queries.load_case(c, incident.case)
    if case is None:
        return
    recovered = change.turn is Turn.RECOVERED
    case = replace(case, state="recovered" if recovered else "open", fault=incident.fault)
    queries.save_case(c, case)
    zone = rules.office.timezone
    for desk, told in _desks_of(c, rules, case):
        language = language_of(desk, rules.plan_of(case), rules.office)
        if recovered and told and not _withdraw_unsent(c, case, desk):
            _add(c, rules, case, desk, StepKind.RESOLVE, at, note=texts.recovered_note(incident.recovered_at or at, language, zone=zone))
        elif not recovered and told:
            _add(c, rules, case, desk, StepKind.REOPEN, at, note=texts.returned_note(incident.last_seen, language, zone=zone))
        elif not recovered:
            # Its report was withdrawn before it went out, so this desk knows nothing yet.
            _add(c, rules, case, desk, StepKind.CREATE, at)
            _attach_files(c, rules, case, desk, case.evidence, at)


def add_evidence(c: Connection, rules: Rules, case: Case, evidence: Evidence, now: datetime) -> Case:
    """Note what was collected and tell the desks; the case as it is now."""
    case = queries.load_case(c, case.id) or case
    waits = (f"{', '.join(evidence.deferred)}: waits until the device is no longer in use",) if evidence.deferred else ()
    case = replace(
        case,
        evidence=(*case.evidence, *evidence.artifacts),
        evidence_note=" ".join((*evidence.notes, *waits)),
        evidence_state="partial" if evidence.deferred else "done",
    )
    case = judged(case, rules.plan_of(case))
    queries.save_case(c, case)
    for desk, told in _desks_of(c, rules, case):
        if told:
            _release(c, rules, case, desk, now)
            _attach_files(c, rules, case, desk, evidence.artifacts, now)
    return case


def approve(c: Connection, rules: Rules, case_id: str, now: datetime) -> Case:
    """A person lets the report go to the vendor. Raises KeyError."""
    case = queries.load_case(c, case_id)
    if case is None:
        raise KeyError(case_id)
    case = replace(case, approved=True)
    queries.save_case(c, case)
    for desk, told in _desks_of(c, rules, case):
        if told:
            _release(c, rules, case, desk, now)
    return case


def reconsider(c: Connection, rules: Rules, case: Case, device: Device, now: datetime) -> Case:
    """The case under the contract and plan that its device has now; a held report goes out when nothing is missing any more."""
    plan_name = plan_of(device.contract, device.vendor, rules.inventory.plans)
    case = replace(case, contract=device.contract, plan="" if plan_name == NO_PLAN else plan_name)
    if not case.identity.serial and device.serial:
        case = replace(case, identity=replace(case.identity, serial=device.serial))
    case = judged(case, rules.plan_of(case))
    queries.save_case(c, case)
    for desk, told in _desks_of(c, rules, case):
        if told:
            _release(c, rules, case, desk, now)
    return case


def reported(c: Connection, rules: Rules, step: Step, now: datetime) -> None:
    """A desk took a step: when it is a vendor's first, the vendor's clocks start, and the internal desks are told by when it answers."""
    desk = next((d for d in rules.inventory.desks if d.name == step.desk), None)
    if step.kind is not StepKind.CREATE or desk is None or desk.role != "vendor":
        return
    case = queries.load_case(c, step.case)
    if case is None or any(d.due is not None for d in case.deadlines):
        return
    case = replace(case, deadlines=deadlines(rules.plan_of(case), {"sent": now}))
    queries.save_case(c, case)
    for other, told in _desks_of(c, rules, case):
        if told and other.role == "internal":
            language = language_of(other, rules.plan_of(case), rules.office)
            _add(c, rules, case, other, StepKind.COMMENT, now, note=texts.reported_note(now, case.deadlines, language, zone=rules.office.timezone))


def _add(c: Connection, rules: Rules, case: Case, desk: Desk, kind: StepKind, at: datetime, *, note: str = "", artifacts: tuple[Artifact, ...] = ()) -> None:
    seq = queries.next_seq(c, case.id, desk.name)
    planned = plan_step(case, desk, kind, seq, rules.plan_of(case), rules.office, at=at, note=note, artifacts=artifacts)
    queries.add_step(c, planned.step, now=at, state=planned.state)


def _attach_files(c: Connection, rules: Rules, case: Case, desk: Desk, artifacts: tuple[Artifact, ...], now: datetime) -> None:
    for files in parcels(artifacts):
        _add(c, rules, case, desk, StepKind.ATTACH, now, artifacts=files)


def _desks_of(c: Connection, rules: Rules, case: Case) -> list[tuple[Desk, bool]]:
    """The desks that this case was meant for, whatever the routes say today, and whether its report stands there (or is on its way)."""
    told: dict[str, bool] = {}
    for item in queries.queued(c, case=case.id, states=list(StepState)):
        if item.step.kind is StepKind.CREATE:
            told[item.step.desk] = told.get(item.step.desk, False) or item.state not in (StepState.WITHDRAWN, StepState.DEAD)
    return [(desk, told[desk.name]) for desk in rules.inventory.desks if desk.name in told]


def _withdraw_unsent(c: Connection, case: Case, desk: Desk) -> bool:
    """Take back a report that never went out, with all that was to follow it. Whether there was one."""
    waiting = queries.queued(c, case=case.id, desk=desk.name)
    if not any(q.step.kind is StepKind.CREATE and q.state is StepState.HELD for q in waiting):
        return False
    for item in waiting:
        queries.set_step(c, item.step.id, StepState.WITHDRAWN, error="the fault was gone before the report was complete and approved")
    return True


def _release(c: Connection, rules: Rules, case: Case, desk: Desk, now: datetime) -> None:
    """Write a held report anew with what is known now, and let it go when nothing is missing."""
    for item in queries.queued(c, case=case.id, desk=desk.name, states=[StepState.HELD]):
        if item.step.kind is not StepKind.CREATE:
            continue
        fresh = plan_step(case, desk, StepKind.CREATE, item.step.seq, rules.plan_of(case), rules.office, at=now)
        queries.replace_step(c, fresh.step)
        if releasable(case, desk):
            queries.set_step(c, item.step.id, StepState.PENDING, next_at=now)
