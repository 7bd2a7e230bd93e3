"""What is asked of the database. Every function takes an open transaction, so that callers put several into one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from sqlalchemy import Connection, Integer, Row, RowMapping, cast, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.model import Case, History, Incident, IncidentState, Step, StepState, TicketRef
from agent.store.tables import cases, fingerprints, histories, incidents, logins, memory, outbox, proven, ticket_table

T = TypeVar("T")

_HISTORY = TypeAdapter(History)
_INCIDENT = TypeAdapter(Incident)
_CASE = TypeAdapter(Case)
_STEP = TypeAdapter(Step)

OPEN_STEPS = (StepState.HELD, StepState.PENDING, StepState.SENDING, StepState.UNKNOWN)

AGENT = ""
"""The device under which the agent remembers facts of its own: no device has this id."""
_CASES = "cases."
"""Before a prefix of case ids: the highest number with it that was removed."""
_DIGITS = "0123456789"


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, frozenset) else str(value)


def _dump(adapter: TypeAdapter[T], value: T) -> str:
    try:
        return adapter.dump_json(value).decode()
    except PydanticSerializationError:
        # Half a character, as a device sends that cuts a name in the middle: it has no UTF-8 and becomes '?'.
        return json.dumps(adapter.dump_python(value), ensure_ascii=False, default=_plain).encode("utf-8", "replace").decode()


# --- histories


def load_history(c: Connection, device: str) -> History | None:
    found = c.execute(select(histories.c.value).where(histories.c.device == device)).scalar()
    return _HISTORY.validate_json(found) if found is not None else None


def save_history(c: Connection, device: str, history: History) -> None:
    row = {"device": device, "value": _dump(_HISTORY, history)}
    c.execute(upsert(histories).values(row).on_conflict_do_update(index_elements=["device"], set_={"value": row["value"]}))


# --- incidents and cases


def open_incidents(c: Connection, devices: Iterable[str] | None = None) -> list[Incident]:
    """All that are not closed, oldest first."""
    query = select(incidents.c.value).where(incidents.c.state != IncidentState.CLOSED)
    if devices is not None:
        query = query.where(incidents.c.device.in_(list(devices)))
    return sorted((_INCIDENT.validate_json(v) for v in c.execute(query).scalars()), key=lambda i: i.first_seen)


def find_incident(c: Connection, word: str) -> Incident | None:
    """By its id or its key; of several with that key the open one."""
    query = select(incidents.c.value).where((incidents.c.id == word) | ((incidents.c.key == word) & (incidents.c.state != IncidentState.CLOSED)))
    found = c.execute(query).scalar()
    return _INCIDENT.validate_json(found) if found is not None else None


def save_incident(c: Connection, incident: Incident) -> None:
    row = {
        "id": incident.id,
        "key": incident.key,
        "device": incident.device,
        "state": incident.state.value,
        "value": _dump(_INCIDENT, incident),
        "cause": incident.fault.shared,
        "parent": incident.parent,
        "since": incident.first_seen.timestamp(),
    }
    c.execute(upsert(incidents).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


_ACTIVE = (IncidentState.CONFIRMED.value, IncidentState.CASED.value)


def roots(c: Connection, cause: str) -> list[Incident]:
    """Incidents of this shared cause that were confirmed, are not closed, and stand for themselves."""
    theirs = (incidents.c.cause == cause) & (incidents.c.parent == "") & incidents.c.state.in_((*_ACTIVE, IncidentState.RECOVERED.value))
    return [_INCIDENT.validate_json(v) for v in c.execute(select(incidents.c.value).where(theirs)).scalars()]


def members(c: Connection, incident: str, limit: int | None = None) -> list[str]:
    """The devices of the incidents that are part of this one now, in their order; at most `limit` are looked for."""
    query = select(incidents.c.device).where(incidents.c.parent == incident, incidents.c.state.in_(_ACTIVE))
    return sorted(c.execute(query if limit is None else query.limit(limit)).scalars())


def newest_member(c: Connection, incident: str) -> datetime | None:
    """When the newest of all that ever were part of it was first seen."""
    found = c.execute(select(func.max(incidents.c.since)).where(incidents.c.parent == incident)).scalar()
    return None if found is None else datetime.fromtimestamp(found, UTC)


def save_case(c: Connection, case: Case) -> None:
    row = {"id": case.id, "incident": case.incident, "device": case.device, "state": case.state, "value": _dump(_CASE, case)}
    c.execute(upsert(cases).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


def load_case(c: Connection, case: str) -> Case | None:
    found = c.execute(select(cases.c.value).where(cases.c.id == case)).scalar()
    return _CASE.validate_json(found) if found is not None else None


def load_cases(c: Connection, *, state: str | None = None) -> list[Case]:
    query = select(cases.c.value)
    if state is not None:
        query = query.where(cases.c.state == state)
    return sorted((_CASE.validate_json(v) for v in c.execute(query).scalars()), key=lambda k: (k.opened_at, k.id))


def case_number(c: Connection, prefix: str) -> int:
    """The next number of case ids `<prefix>NNNN`: above all that were ever given, also to cases that were removed since."""
    number = cast(func.substr(cases.c.id, len(prefix) + 1), Integer)
    highest = c.execute(select(func.max(number)).where(func.rtrim(cases.c.id, _DIGITS) == prefix)).scalar()
    return max(int(highest or 0), int(load_memory(c, AGENT).get(_CASES + prefix, 0))) + 1


def note_case_numbers(c: Connection, removed: Iterable[str]) -> None:
    """Before cases are removed: their numbers are not to be given again."""
    noted = load_memory(c, AGENT)
    for case in removed:
        key, number = _CASES + case.rstrip(_DIGITS), case.removeprefix(case.rstrip(_DIGITS))
        if int(number or 0) > int(noted.get(key, 0)):
            noted[key] = number
            save_memory(c, AGENT, {key: number})


# --- outbox and tickets


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A step in the outbox. `next_at`: not before this moment."""

    step: Step
    state: StepState
    attempts: int
    created_at: datetime
    next_at: datetime
    last_error: str


def add_step(c: Connection, step: Step, *, now: datetime, state: StepState = StepState.PENDING) -> None:
    c.execute(
        insert(outbox).values(
            id=step.id,
            case_id=step.case,
            desk=step.desk,
            seq=step.seq,
            kind=step.kind.value,
            state=state.value,
            value=_dump(_STEP, step),
            created_at=now.timestamp(),
            next_at=now.timestamp(),
        )
    )


def next_seq(c: Connection, case: str, desk: str) -> int:
    """Steps of one case at one desk are numbered from 1 without gaps."""
    found = c.execute(select(func.max(outbox.c.seq)).where(outbox.c.case_id == case, outbox.c.desk == desk)).scalar()
    return int(found or 0) + 1


def replace_step(c: Connection, step: Step) -> None:
    """Write the content of a step anew: only for one that was never sent."""
    c.execute(update(outbox).where(outbox.c.id == step.id, outbox.c.state == StepState.HELD).values(value=_dump(_STEP, step)))


def set_step(c: Connection, step: str, state: StepState, *, next_at: datetime | None = None, error: str = "", attempted: bool = False) -> None:
    values: dict[str, object] = {"state": state.value, "last_error": error}
    if next_at is not None:
        values["next_at"] = next_at.timestamp()
    if attempted:
        values["attempts"] = outbox.c.attempts + 1
    c.execute(update(outbox).where(outbox.c.id == step).values(values))


def _of_row(row: Row[Any]) -> Queued:
    return Queued(
        step=_STEP.validate_json(row.value),
        state=StepState(row.state),
        attempts=row.attempts,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        next_at=datetime.fromtimestamp(row.next_at, UTC),
        last_error=row.last_error,
    )


def due_step(c: Connection, desk: str, now: datetime, *, longest: float) -> tuple[Queued | None, float]:
    """The step that goes to this desk next, and else the seconds until one may (infinity: none waits). One step is read, however many wait.

    Only a case's first undelivered step may go, and the case that has waited longest goes first. A step that is to wait for more than `longest`
    seconds, the longest wait there is, goes now: the clock was set back since.
    """
    at = now.timestamp()
    waits = outbox.c.state.in_([s.value for s in OPEN_STEPS])
    firsts = select(outbox.c.case_id, func.min(outbox.c.seq).label("seq")).where(outbox.c.desk == desk, waits).group_by(outbox.c.case_id).subquery()
    first = (outbox.c.desk == desk) & (outbox.c.case_id == firsts.c.case_id) & (outbox.c.seq == firsts.c.seq) & (outbox.c.state != StepState.HELD.value)
    due = (outbox.c.next_at <= at) | (outbox.c.next_at > at + longest)
    row = c.execute(select(outbox).join(firsts, first).where(due).order_by(outbox.c.created_at, outbox.c.case_id).limit(1)).first()
    if row is not None:
        return _of_row(row), 0.0
    soonest = c.execute(select(func.min(outbox.c.next_at)).join(firsts, first)).scalar()
    return None, math.inf if soonest is None else float(soonest) - at


def queued(c: Connection, *, desk: str | None = None, case: str | None = None, states: Iterable[StepState] = OPEN_STEPS) -> list[Queued]:
    """Steps in these states, in the order in which they must go out."""
    query = select(outbox).where(outbox.c.state.in_([s.value for s in states])).order_by(outbox.c.created_at, outbox.c.case_id, outbox.c.seq)
    if desk is not None:
        query = query.where(outbox.c.desk == desk)
    if case is not None:
        query = query.where(outbox.c.case_id == case)
    return [_of_row(row) for row in c.execute(query)]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLength:
    """How a desk's queue stands: steps that wait to be sent, since when the oldest does, and steps that were given up."""

    waiting: int = 0
    oldest: datetime | None = None
    dead: int = 0


def queue_lengths(c: Connection) -> dict[str, QueueLength]:
    """By desk, those that have any. What is held for completeness does not count as waiting."""
    waiting = outbox.c.state.in_([s.value for s in OPEN_STEPS if s is not StepState.HELD])
    dead = outbox.c.state == StepState.DEAD.value
    numbers = func.count().filter(waiting), func.min(outbox.c.created_at).filter(waiting), func.count().filter(dead)
    return {
        desk: QueueLength(waiting=count, oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC), dead=given_up)
        for desk, count, oldest, given_up in c.execute(select(outbox.c.desk, *numbers).where(waiting | dead).group_by(outbox.c.desk))
    }


def revive_step(c: Connection, step: str, now: datetime) -> None:
    """Try a step that was given up for as long as a new one. A desk may have taken it before it was given up, so it is looked for there first."""
    values = {"state": StepState.UNKNOWN.value, "attempts": 0, "next_at": now.timestamp()}
    c.execute(update(outbox).where(outbox.c.id == step, outbox.c.state == StepState.DEAD.value).values(values))


def interrupted_to_unknown(c: Connection) -> int:
    """At start: what was being sent when we died may have arrived. Returns how many."""
    done = c.execute(update(outbox).where(outbox.c.state == StepState.SENDING).values(state=StepState.UNKNOWN.value))
    return int(done.rowcount)


def save_ticket(c: Connection, case: str, desk: str, ref: TicketRef, state: str) -> None:
    row = {"case_id": case, "desk": desk, "ref": ref.ref, "url": ref.url, "state": state}
    c.execute(upsert(ticket_table).values(row).on_conflict_do_update(index_elements=["case_id", "desk"], set_=row))


def ticket(c: Connection, case: str, desk: str) -> TicketRef | None:
    row = c.execute(select(ticket_table).where(ticket_table.c.case_id == case, ticket_table.c.desk == desk)).first()
    return TicketRef(ref=row.ref, url=row.url) if row is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    case: str
    desk: str
    ref: TicketRef
    state: str


def tickets(c: Connection, *, state: str | None = None, case: str | None = None) -> list[TicketRow]:
    query = select(ticket_table)
    if state is not None:
        query = query.where(ticket_table.c.state == state)
    if case is not None:
        query = query.where(ticket_table.c.case_id == case)
    return [TicketRow(case=r.case_id, desk=r.desk, ref=TicketRef(ref=r.ref, url=r.url), state=r.state) for r in c.execute(query)]


# --- logins


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What became of logging in to `device` with one version of a credential.

    `state`: trying, retrying (under way; retrying where it was accepted before), accepted, refused, interrupted (we were killed meanwhile),
    unanswered (it went out, was never accepted here, and got no answer), chosen (a person wants it tried here next).
    `unanswered`: so many attempts in a row got no answer. `at`: when it came to this state.
    """

    device: str
    version: str
    state: str
    credential: str
    way: str
    at: datetime
    detail: str
    unanswered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblocked:
    """What `latarnik unblock` did at one device: so many notes forgotten; names of credentials that are tried there before they are anywhere else."""

    forgotten: int
    chosen: tuple[str, ...]


def load_login(c: Connection, device: str, version: str) -> Login | None:
    row = c.execute(select(logins).where(logins.c.device == device, logins.c.version == version)).first()
    return _login(row._mapping) if row is not None else None  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def load_version(c: Connection, version: str) -> tuple[list[Login], bool]:
    """What is known of this version at all devices, and whether any ever accepted it."""
    found = [_login(row) for row in c.execute(select(logins).where(logins.c.version == version)).mappings()]
    return found, _proven(c, version)


def _proven(c: Connection, version: str) -> bool:
    return c.execute(select(proven.c.version).where(proven.c.version == version)).first() is not None


def _login(row: RowMapping) -> Login:
    at = float(row["at"])
    return Login(
        device=str(row["device"]),
        version=str(row["version"]),
        state=str(row["state"]),
        credential=str(row["credential"]),
        way=str(row["way"]),
        at=datetime.fromtimestamp(at, UTC),
        detail=str(row["detail"]),
        unanswered=int(row["unanswered"]),
    )


def save_login(c: Connection, login: Login) -> None:
    """Write it down. Accepted: from now on this version is proven, whatever becomes of the note."""
    row = {
        "device": login.device,
        "version": login.version,
        "state": login.state,
        "credential": login.credential,
        "way": login.way,
        "at": login.at.timestamp(),
        "detail": login.detail,
        "unanswered": login.unanswered,
    }
    c.execute(upsert(logins).values(row).on_conflict_do_update(index_elements=["device", "version"], set_=row))
    if login.state == "accepted":
        proof = {"version": login.version, "device": login.device, "at": login.at.timestamp()}
        c.execute(upsert(proven).values(proof).on_conflict_do_nothing())


def blocked_logins(c: Connection, device: str | None = None) -> list[Login]:
    """Notes that forbid another attempt at their device, also of versions that are no longer in use."""
    unsure = (logins.c.state == "unanswered") & ((logins.c.unanswered > 1) | logins.c.version.not_in(select(proven.c.version)))
    query = select(logins).where(logins.c.state.in_(["refused", "interrupted"]) | unsure)
    if device is not None:
        query = query.where(logins.c.device == device)
    return [_login(row) for row in c.execute(query).mappings()]


def unblock_logins(c: Connection, device: str, credentials: Mapping[str, str], at: datetime) -> Unblocked:
    """Let these credentials (names by version) be tried at the device again. One that no device has accepted is tried there before anywhere else."""
    forgotten, chosen = 0, []
    for version, name in credentials.items():
        known = load_login(c, device, version)
        if known is not None and known.state in ("accepted", "retrying"):
            if known.unanswered or known.state == "retrying":
                save_login(c, replace(known, state="accepted", unanswered=0))
                forgotten += 1
            continue
        barred = known is not None and known.state != "chosen"
        elsewhere = select(logins.c.device).where(
            logins.c.version == version, logins.c.device != device, logins.c.state.in_(["refused", "interrupted", "chosen"])
        )
        if _proven(c, version):
            forget_login(c, device, version)
        elif barred or (known is None and c.execute(elsewhere).first() is not None):
            save_login(c, Login(device=device, version=version, state="chosen", credential=name, way="", at=at, detail=""))
            chosen.append(name)
        forgotten += barred
    return Unblocked(forgotten=forgotten, chosen=tuple(chosen))


def forget_login(c: Connection, device: str, version: str) -> None:
    """Take back the note of one attempt that got no answer."""
    c.execute(delete(logins).where(logins.c.device == device, logins.c.version == version))


def interrupted_logins(c: Connection, at: datetime) -> int:
    """At start: an attempt without an end may have been a refused one, and counts as such until a person says otherwise.

    Where the device had accepted the credential before, it counts as one without an answer: a pause.
    """
    ended = {"at": at.timestamp(), "detail": "the agent stopped before the device answered"}
    new = c.execute(update(logins).where(logins.c.state == "trying").values(state="interrupted", **ended))
    again = c.execute(update(logins).where(logins.c.state == "retrying").values(state="accepted", unanswered=logins.c.unanswered + 1, **ended))
    return int(new.rowcount) + int(again.rowcount)


# --- fingerprints


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What an endpoint showed last (`offered`) and which one is accepted ('' = none)."""

    device: str
    endpoint: str
    accepted: str
    accepted_by: str
    offered: str
    at: datetime


def load_fingerprints(c: Connection, device: str | None = None) -> list[Fingerprint]:
    query = select(fingerprints).order_by(fingerprints.c.device, fingerprints.c.endpoint)
    if device is not None:
        query = query.where(fingerprints.c.device == device)
    return [
        Fingerprint(
            device=r.device, endpoint=r.endpoint, accepted=r.accepted, accepted_by=r.accepted_by, offered=r.offered, at=datetime.fromtimestamp(r.at, UTC)
        )
        for r in c.execute(query)
    ]


def accepted_fingerprint(c: Connection, device: str, endpoint: str) -> str | None:
    found = c.execute(select(fingerprints.c.accepted).where(fingerprints.c.device == device, fingerprints.c.endpoint == endpoint)).scalar()
    return found or None


def offer_fingerprint(c: Connection, device: str, endpoint: str, sha256: str, at: datetime) -> None:
    row = {"device": device, "endpoint": endpoint, "offered": sha256, "at": at.timestamp()}
    c.execute(upsert(fingerprints).values(row).on_conflict_do_update(index_elements=["device", "endpoint"], set_={"offered": sha256, "at": at.timestamp()}))


def accept_fingerprint(c: Connection, device: str, endpoint: str, sha256: str, by: str, at: datetime) -> None:
    row = {"device": device, "endpoint": endpoint, "accepted": sha256, "accepted_by": by, "offered": sha256, "at": at.timestamp()}
    c.execute(upsert(fingerprints).values(row).on_conflict_do_update(index_elements=["device", "endpoint"], set_=row))


# --- memory


def load_memory(c: Connection, device: str) -> dict[str, str]:
    return {r.key: r.value for r in c.execute(select(memory).where(memory.c.device == device))}


def save_memory(c: Connection, device: str, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if value:
            row = {"device": device, "key": key, "value": value}
            c.execute(upsert(memory).values(row).on_conflict_do_update(index_elements=["device", "key"], set_={"value": value}))
        else:
            c.execute(delete(memory).where(memory.c.device == device, memory.c.key == key))
