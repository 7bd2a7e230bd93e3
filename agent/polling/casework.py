"""Cases and the steps their desks are to take: written in the transaction of the state change that causes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from agent.diagnosis.correlation import lives
from agent.diagnosis.evidence import Evidence
from agent.diagnosis.handed import RefusedFileError
from agent.diagnosis.machine import expire
from agent.model import Artifact, Case, Check, Desk, Device, History, Incident, IncidentState, Step, StepKind, StepState
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
    case = _told(c, case, incident)
    queries.save_case(c, case)
    for desk in desks_for(device, plan_name, inventory.routes, inventory.desks):
        _add(c, rules, case, desk, StepKind.CREATE, now)
    return case


def leave(c: Connection, rules: Rules, incident: Incident, now: datetime) -> None:
    """The incident's device is no longer in the inventory: nobody will see it recover. It comes back when the device does, as any other."""
    if incident.active:
        state = IncidentState.RECOVERED if incident.case else IncidentState.CLOSED
        left = replace(incident, state=state, parent="", recovered_at=now, reason="its device is no longer in the inventory")
    elif incident.state is IncidentState.SUSPECTED:
        left = replace(incident, state=IncidentState.CLOSED, reason="its device is no longer in the inventory")
    elif not queries.members(c, incident.id, limit=1) and (expired := expire([incident], now)):
        left = expired[0].incident
    else:
        return
    queries.save_incident(c, left)
    for touched in {incident.id, incident.parent} - {""}:
        follow(c, rules, touched, now, left=touched == incident.id)


def follow(c: Connection, rules: Rules, incident_id: str, at: datetime, *, left: bool = False) -> Case | None:
    """Bring an incident's case in line with it and with what is part of it, and tell the desks when all of that is over, or something of it back.

    Returns the case if it is open and stands for several devices. `left`: it is over because nobody looks any more.
    """
    root = queries.find_incident(c, incident_id)
    case = queries.load_case(c, root.case) if root is not None and root.case else None
    if root is None or case is None:
        return None
    members = queries.members(c, root.id, limit=1)
    alive = lives(root, len(members))
    if alive == (case.state == "open"):
        return case if alive and members else None
    case = replace(case, state="open" if alive else "recovered", fault=root.fault)
    if alive:
        case = _told(c, case, root)
    queries.save_case(c, case)
    zone = rules.office.timezone
    for desk, told in _desks_of(c, rules, case):
        language = language_of(desk, rules.plan_of(case), rules.office)
        if not alive and told and not _withdraw_unsent(c, case, desk):
            over = at if case.others else root.recovered_at or at
            note = texts.left_note(language) if left else texts.recovered_note(over, language, zone=zone, others=case.others)
            _add(c, rules, case, desk, StepKind.RESOLVE, at, note=note)
        elif alive and told:
            back = at if members else root.last_seen
            _add(c, rules, case, desk, StepKind.REOPEN, at, note=texts.returned_note(back, language, zone=zone, devices=_devices(c, root) if members else ()))
        elif alive:
            # Its report was withdrawn before it went out, so this desk knows nothing yet.
            _add(c, rules, case, desk, StepKind.CREATE, at)
            _attach_files(c, rules, case, desk, case.evidence, at)
    return case if members else None


def tell_growth(c: Connection, rules: Rules, case_id: str, now: datetime) -> None:
    """Tell the internal desks, all at once, which devices came to the case's cause since they were last told."""
    case = queries.load_case(c, case_id)
    root = queries.find_incident(c, case.incident) if case is not None else None
    if case is None or root is None or case.state != "open":
        return
    grown = replace(_told(c, case, root), others_at=now)
    new = [device for device in grown.others if device not in case.others]
    if not new:
        return
    queries.save_case(c, grown)
    for desk, told in _desks_of(c, rules, grown):
        if told and desk.role == "internal":
            language = language_of(desk, rules.plan_of(grown), rules.office)
            _add(c, rules, grown, desk, StepKind.COMMENT, now, note=texts.grown_note(new, len(grown.others) + 1, grown.cause, language))


def _devices(c: Connection, root: Incident) -> list[str]:
    """Those that have it now."""
    return ([root.device] if root.active else []) + queries.members(c, root.id)


def _told(c: Connection, case: Case, root: Incident) -> Case:
    """The case as it names all that have its cause now."""
    if not root.fault.shared:
        return case
    known = {case.device, *case.others}
    new = [device for device in queries.members(c, root.id) if device not in known]
    return replace(case, cause=root.fault.shared, others=(*case.others, *new))


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
            _attach_files(c, rules, case, desk, evidence.artifacts, now, note=_said(evidence, desk, language_of(desk, rules.plan_of(case), rules.office)))
    return case


def _said(evidence: Evidence, desk: Desk, language: str) -> str:
    """What the files tell at a glance, but for those that this desk is not given."""
    kept = {artifact.name for artifact in evidence.artifacts if _kept(artifact, desk)}
    return "\n".join(words[language] for name, words in evidence.said if name not in kept)


def _kept(artifact: Artifact, desk: Desk) -> bool:
    return artifact.sensitive and not desk.sensitive


def still_open(case: Case) -> None:
    """Raises RefusedFileError for a case that is over."""
    if case.state != "open":
        raise RefusedFileError(f"case {case.id} is over: its desks were told so; add the file to the ticket by hand, or wait until the fault is back")


def attach(c: Connection, rules: Rules, case_id: str, artifact: Artifact, note: str, now: datetime) -> tuple[Artifact, list[Desk] | None]:
    """A file that a person brought becomes part of the case, and its desks are told: (the file, the desks that are told). The very same file again
    changes nothing: (the one the case has, None). Raises KeyError, RefusedFileError.
    """
    case = queries.load_case(c, case_id)
    if case is None:
        raise KeyError(case_id)
    still_open(case)
    same = next((a for a in case.evidence if a.sha256 == artifact.sha256), None)
    if same is not None:
        return same, None
    case = replace(case, evidence=(*case.evidence, artifact))
    case = judged(case, rules.plan_of(case))
    queries.save_case(c, case)
    desks = [desk for desk, told in _desks_of(c, rules, case) if told]
    for desk in desks:
        said = texts.added_note(note, language_of(desk, rules.plan_of(case), rules.office))
        _release(c, rules, case, desk, now)
        _attach_files(c, rules, case, desk, (artifact,), now, note=said)
    return artifact, desks


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


def retry(c: Connection, rules: Rules, case_id: str, now: datetime) -> list[Step]:
    """A person mended what made a desk refuse this case: the steps that were given up, which are tried again now. Raises KeyError.

    While its report was given up a desk was told nothing more, so what it missed follows: the files, and that the fault is over.
    """
    case = queries.load_case(c, case_id)
    if case is None:
        raise KeyError(case_id)
    revived: list[Step] = []
    for desk in rules.inventory.desks:
        steps = sorted(queries.queued(c, case=case.id, desk=desk.name, states=list(StepState)), key=lambda q: q.step.seq)
        reports = [q for q in steps if q.step.kind is StepKind.CREATE and q.state is not StepState.WITHDRAWN]
        # A newer report than one that was given up has taken its place, with all that followed it.
        steps = [q for q in steps if reports and q.step.seq >= reports[-1].step.seq]
        dead = [q.step for q in steps if q.state is StepState.DEAD]
        if not dead:
            continue
        for step in dead:
            queries.revive_step(c, step.id, now)
        revived += dead
        sent = {artifact.name for q in steps for artifact in q.step.artifacts}
        _attach_files(c, rules, case, desk, tuple(a for a in case.evidence if a.name not in sent), now)
        last = [q.step.kind for q in steps if q.step.kind in (StepKind.CREATE, StepKind.RESOLVE, StepKind.REOPEN)][-1]
        if case.state == "recovered" and last is not StepKind.RESOLVE:
            incident = queries.find_incident(c, case.incident)
            over = incident.recovered_at if incident is not None and incident.recovered_at is not None else now
            language = language_of(desk, rules.plan_of(case), rules.office)
            _add(c, rules, case, desk, StepKind.RESOLVE, now, note=texts.recovered_note(over, language, zone=rules.office.timezone))
    return revived


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


def _attach_files(c: Connection, rules: Rules, case: Case, desk: Desk, artifacts: tuple[Artifact, ...], now: datetime, *, note: str = "") -> None:
    kept = tuple(artifact for artifact in artifacts if _kept(artifact, desk))
    for number, files in enumerate(parcels([artifact for artifact in artifacts if artifact not in kept])):
        _add(c, rules, case, desk, StepKind.ATTACH, now, artifacts=files, note="" if number else note)
    if kept:
        told = texts.kept_note(case.id, kept, language_of(desk, rules.plan_of(case), rules.office))
        _add(c, rules, case, desk, StepKind.COMMENT, now, note=f"{note}\n\n{told}" if note else told)


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
