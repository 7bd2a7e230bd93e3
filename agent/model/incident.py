"""The life of one fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.model.fault import Fault


class IncidentState(StrEnum):
    """suspected → confirmed → cased → recovered → closed.

    A first-sight fault is confirmed and stays so, listed, until a person adopts it. RECOVERED: gone, its tickets not yet told everywhere.
    """

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    CASED = "cased"
    RECOVERED = "recovered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`id` is unique for ever; `key` = `device/code[/component]` names the fault and is unique among open incidents.

    `hits` and `misses` count polls in a row that saw the fault / saw it gone; `gone_since` is the first of those misses;
    `returned_since`: seen again after it recovered.
    `parent`: id of the incident that it is part of, because one cause has both; '' when it stands for itself.
    `reason` says in words why it is in this state.
    """

    id: str
    key: str
    device: str
    fault: Fault
    state: IncidentState
    first_seen: datetime
    last_seen: datetime
    hits: int = 1
    misses: int = 0
    gone_since: datetime | None = None
    confirmed_at: datetime | None = None
    recovered_at: datetime | None = None
    returned_since: datetime | None = None
    first_sight: bool = False
    adopted: bool = False
    case: str = ""
    parent: str = ""
    reason: str = ""

    @property
    def active(self) -> bool:
        """Confirmed and not gone: what people are shown as a fault."""
        return self.state in (IncidentState.CONFIRMED, IncidentState.CASED)


def fault_key(device: str, code: str, component: str = "") -> str:
    """The name of a fault: the same tomorrow, on every machine."""
    return f"{device}/{code}/{component}" if component else f"{device}/{code}"
