"""From a confirmed incident to a case, and from a case to the steps each desk is to take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.model import Artifact, Case, Check, Component, Desk, Device, Fault, FaultSpec, History, Identity, Incident, Step, StepKind, StepState
from agent.service.completeness import missing
from agent.service.deadlines import deadlines
from agent.service.plans import NO_PLAN
from agent.service.texts import draft
from config.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """How cases are written: the language where neither desk nor plan says one, and the site's time zone."""

    language: str
    timezone: str


def case_prefix(site: str, at: datetime) -> str:
    """Case ids are `<site>-<year>-<number>`: people read them out on the telephone."""
    clean = "".join(ch if ch.isascii() and ch.isalnum() else "-" for ch in site.lower()).strip("-") or "site"
    return f"{clean}-{at.year}-"


def open_case(
    incident: Incident,
    *,
    case_id: str,
    device: Device,
    parent: Device | None,
    history: History,
    fresh: bool,
    spec: FaultSpec,
    checklist: tuple[Check, ...],
    plan_name: str,
    plan: Plan,
    now: datetime,
) -> Case:
    """The case of an incident. `history` is that of the device that is polled (the parent's, for a part); `fresh`: it answered in this poll."""
    identity, codec = _identities(incident.fault, device, parent, history)
    case = Case(
        id=case_id,
        incident=incident.id,
        key=incident.key,
        device=device.id,
        site=device.site,
        room=device.room,
        opened_at=now,
        since=incident.first_seen,
        fault=incident.fault,
        title=spec.title,
        advice=spec.advice,
        identity=identity,
        identity_at=None if fresh else history.identity_at,
        parent=codec,
        contract=device.contract,
        plan="" if plan_name == NO_PLAN else plan_name,
        checklist=checklist,
    )
    return judged(replace(case, deadlines=deadlines(plan, {})), plan)


def judged(case: Case, plan: Plan) -> Case:
    """The case with what a vendor's desk still wants."""
    return replace(case, missing=missing(case, plan, "vendor"))


def _identities(fault: Fault, device: Device, parent: Device | None, history: History) -> tuple[Identity, Identity | None]:
    """(identity of what is broken, identity of what it hangs on). A part with a serial number of its own is what the vendor replaces."""
    known = history.identity.filled_from(Identity(vendor=device.vendor, serial=device.serial, model=device.model)) if parent is None else history.identity
    part = fault.part
    if part is not None and part.serial:
        own = _part_identity(part, device.vendor)
        return own.filled_from(Identity(serial=device.serial, model=device.model)) if parent is not None else own, known
    if parent is not None:
        return Identity(vendor=device.vendor, serial=device.serial, model=device.model), known
    return known, None


def _part_identity(part: Component, vendor: str) -> Identity:
    return Identity(vendor=vendor, serial=part.serial, model=part.model or part.name, firmware=part.firmware, mac=part.mac, name=part.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step and the state in which it enters the outbox."""

    step: Step
    state: StepState


def language_of(desk: Desk, plan: Plan, office: Office) -> str:
    """'pl' or 'en': the desk's own, else the plan's, else the site's."""
    return desk.language or plan.language or office.language


PARCEL = 5_000_000
"""Bytes of files that go in one step: with base64 and text a message of 7 MB, which most mail systems let through."""


def parcels(artifacts: Sequence[Artifact], limit: int = PARCEL) -> tuple[tuple[Artifact, ...], ...]:
    """The files in their order, in groups of at most `limit` bytes; a file that is bigger than that goes alone."""
    groups: list[list[Artifact]] = []
    size = 0
    for artifact in artifacts:
        if not groups or size + artifact.size > limit:
            groups.append([])
            size = 0
        groups[-1].append(artifact)
        size += artifact.size
    return tuple(tuple(group) for group in groups)


def plan_step(
    case: Case, desk: Desk, kind: StepKind, seq: int, plan: Plan, office: Office, *, at: datetime, note: str = "", artifacts: tuple[Artifact, ...] = ()
) -> Planned:
    """One step for one desk; `artifacts`: the files it brings, one of `parcels`.

    The first message to a vendor's desk is held until the case is complete and, where asked for, approved.
    """
    language = language_of(desk, plan, office)
    named = plan.name.pl if language == "pl" else plan.name.en
    text = draft(case, kind, language, note=note, zone=office.timezone, at=at, role=desk.role, plan_name=named if case.plan else "", attached=artifacts)
    step = Step(id=f"{case.id}.{desk.name}.{seq}", case=case.id, desk=desk.name, seq=seq, kind=kind, draft=text, artifacts=artifacts)
    held = kind is StepKind.CREATE and desk.role == "vendor" and not releasable(case, desk)
    return Planned(step=step, state=StepState.HELD if held else StepState.PENDING)


def releasable(case: Case, desk: Desk) -> bool:
    """Promise 6: whether a held report may go to the vendor now."""
    return not case.missing and (case.approved or not desk.approval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which cases go `to` which desks; an empty tuple matches all."""

    to: tuple[str, ...]
    plan: tuple[str, ...] = ()
    contract: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()

    def takes(self, device: Device, plan: str) -> bool:
        contract = device.contract.id if device.contract is not None else ""
        return (
            (not self.plan or plan in self.plan)
            and (not self.contract or contract in self.contract)
            and (not self.vendor or device.vendor in self.vendor)
            and (not self.site or device.site in self.site)
            and (not self.tag or bool(set(device.tags) & set(self.tag)))
        )


def desks_for(device: Device, plan: str, routes: Sequence[Route], desks: Sequence[Desk]) -> tuple[Desk, ...]:
    """The desks a case goes to: those of the first route that fits; where none fits every internal desk; without routes every desk."""
    for route in routes:
        if route.takes(device, plan):
            return tuple(d for d in desks if d.name in route.to)
    return tuple(d for d in desks if not routes or d.role == "internal")
