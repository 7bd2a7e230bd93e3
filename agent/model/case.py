"""What a service desk needs, and the steps by which it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.model.device import Contract
from agent.model.fault import Fault, Text
from agent.model.reading import Identity


class CheckAnswer(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One point of the vendor's checklist with its answer and, in `detail`, how we know (or why nobody can)."""

    id: str
    question: Text
    answer: CheckAnswer
    detail: Text = Text("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of evidence. `path` is under the state folder; `sensitive`: may hold names, addresses, logs of people."""

    name: str
    media_type: str
    path: Path
    size: int
    sha256: str
    collected_at: datetime
    sensitive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """`due` None: the clock has not started (`starts_when` says what starts it)."""

    name: str
    due: datetime | None
    starts_when: Text = Text("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`id` is ours and stays; `missing` lists what a vendor's desk still wants before it takes the case.
    `approved`: a person let it go to the vendor. `state` open or recovered.
    `evidence_state` 'pending' or 'done'; `evidence_note` says what could not be had, and why.

    `cause`: the fault's shared one, '' if it has none; `others`: the devices beside `device` that have it, as the desks
    were told; `others_at`: when they were told by a message of its own, None if never.
    `since`: when the fault was first seen. `identity_at`: when `identity` and `parent` were read, where an earlier poll than the case's did it.
    """

    id: str
    incident: str
    key: str
    device: str
    site: str
    room: str
    opened_at: datetime
    fault: Fault
    title: Text
    advice: Text
    identity: Identity
    since: datetime | None = None
    identity_at: datetime | None = None
    parent: Identity | None = None
    contract: Contract | None = None
    plan: str = ""
    checklist: tuple[Check, ...] = ()
    evidence: tuple[Artifact, ...] = ()
    evidence_note: str = ""
    evidence_state: str = "pending"
    deadlines: tuple[Deadline, ...] = ()
    missing: tuple[str, ...] = ()
    approved: bool = False
    state: str = "open"
    cause: str = ""
    others: tuple[str, ...] = ()
    others_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRef:
    """A ticket at a desk: its own name for it, and where a person can open it."""

    ref: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDraft:
    """What is to be written into a ticket. `fields` is the content of `ticket.json`: its keys are public."""

    case: str
    key: str
    subject: str
    body: str
    language: str
    fields: dict[str, Any]


class StepKind(StrEnum):
    CREATE = "create"
    ATTACH = "attach"
    COMMENT = "comment"
    RESOLVE = "resolve"
    REOPEN = "reopen"


class StepState(StrEnum):
    """HELD waits for completeness or a person; UNKNOWN: the desk may have it; WITHDRAWN: not sent, because the fault was gone first;
    DEAD: given up, a person must look.
    """

    HELD = "held"
    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    DONE = "done"
    WITHDRAWN = "withdrawn"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to tell one desk about one case. `id` = `<case>.<desk>.<seq>`, the same at every try: a Message-ID, an idempotency key.

    `artifacts`: the files that an ATTACH step brings, at least one; empty at every other step.
    """

    id: str
    case: str
    desk: str
    seq: int
    kind: StepKind
    draft: TicketDraft
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A desk of the config: `role` internal or vendor; `approval`: a person says yes before the first message goes out.

    `sensitive`: it is given files that are marked as sensitive too; else they stay on the site server and are named.
    """

    name: str
    type: str
    role: str = "internal"
    language: str = ""
    approval: bool = False
    sensitive: bool = True
    settings: object = None
