"""What is asked of the database. Every function takes an open transaction, so that callers put several into one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.model import Case, History, Incident, IncidentState, Step, StepState, TicketRef
from agent.store.tables import cases, fingerprints, histories, incidents, logins, memory, outbox, ticket_table

T = TypeVar("T")

_HISTORY = TypeAdapter(History)
_INCIDENT = TypeAdapter(Incident)
_CASE = TypeAdapter(Case)
_STEP = TypeAdapter(Step)

OPEN_STEPS = (StepState.HELD, StepState.PENDING, StepState.SENDING, StepState.UNKNOWN)


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
    }
    c.execute(upsert(incidents).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


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
    """The next free number of case ids `<prefix>NNNN`."""
    taken = c.execute(select(func.count()).select_from(cases).where(cases.c.id.like(prefix.replace("%", "") + "%"))).scalar_one()
    return int(taken) + 1


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


def queued(c: Connection, *, desk: str | None = None, case: str | None = None, states: Iterable[StepState] = OPEN_STEPS) -> list[Queued]:
    """Steps in these states, in the order in which they must go out."""
    query = select(outbox).where(outbox.c.state.in_([s.value for s in states])).order_by(outbox.c.created_at, outbox.c.case_id, outbox.c.seq)
    if desk is not None:
        query = query.where(outbox.c.desk == desk)
    if case is not None:
        query = query.where(outbox.c.case_id == case)
    return [
        Queued(
            step=_STEP.validate_json(row.value),
            state=StepState(row.state),
            attempts=row.attempts,
            created_at=datetime.fromtimestamp(row.created_at, UTC),
            next_at=datetime.fromtimestamp(row.next_at, UTC),
            last_error=row.last_error,
        )
        for row in c.execute(query)
    ]


def queue_lengths(c: Connection) -> dict[str, tuple[int, datetime]]:
    """For each desk with a queue: how many steps wait to be sent, and since when the oldest does. What is held for completeness does not count."""
    waiting = [s.value for s in OPEN_STEPS if s is not StepState.HELD]
    query = select(outbox.c.desk, func.count(), func.min(outbox.c.created_at)).where(outbox.c.state.in_(waiting)).group_by(outbox.c.desk)
    return {desk: (count, datetime.fromtimestamp(oldest, UTC)) for desk, count, oldest in c.execute(query)}


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
    """What became of logging in to `device` with one version of a credential: trying, accepted, refused, unanswered (once) or interrupted."""

    device: str
    version: str
    state: str
    credential: str
    way: str
    at: datetime
    detail: str


def load_login(c: Connection, device: str, version: str) -> Login | None:
    row = c.execute(select(logins).where(logins.c.device == device, logins.c.version == version)).first()
    return _login(row._mapping) if row is not None else None  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


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
    )


def save_login(c: Connection, login: Login) -> None:
    row = {
        "device": login.device,
        "version": login.version,
        "state": login.state,
        "credential": login.credential,
        "way": login.way,
        "at": login.at.timestamp(),
        "detail": login.detail,
    }
    c.execute(upsert(logins).values(row).on_conflict_do_update(index_elements=["device", "version"], set_=row))


def blocked_logins(c: Connection, device: str | None = None) -> list[Login]:
    query = select(logins).where(logins.c.state.in_(["refused", "interrupted"]))
    if device is not None:
        query = query.where(logins.c.device == device)
    return [_login(row) for row in c.execute(query).mappings()]


def forget_logins(c: Connection, device: str) -> int:
    """Let the device be tried again. Returns how many notes were dropped."""
    return int(c.execute(delete(logins).where(logins.c.device == device, logins.c.state != "accepted")).rowcount)


def forget_login(c: Connection, device: str, version: str) -> None:
    """Take back the note of one attempt that got no answer."""
    c.execute(delete(logins).where(logins.c.device == device, logins.c.version == version))


def interrupted_logins(c: Connection, at: datetime) -> int:
    """At start: an attempt without an end may have been a refused one, and counts as such until a person says otherwise."""
    done = c.execute(
        update(logins).where(logins.c.state == "trying").values(state="interrupted", at=at.timestamp(), detail="the agent stopped before the device answered")
    )
    return int(done.rowcount)


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
