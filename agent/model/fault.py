"""What a rule says of a device: this is broken, or: this was looked at and is fine. Saying nothing is 'not known'."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.model.quick import quick
from agent.model.reading import Component, Reading


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in the languages of our tickets."""

    en: str
    pl: str

    def __getitem__(self, language: str) -> str:
        return self.pl if language == "pl" else self.en


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """What a vendor declares of one fault code (`<vendor>.<part>.<what>`; `device.` for those of all vendors).

    `hold`: seconds the fault must last, seen in at least `hits` polls, before it counts. `clear`: seconds it must be gone, in at least `misses` polls.
    `ticket` False: exported and listed, but no service case. A site overrides these under `faults:` in its config;
    a rule may find a fault graver or lesser than `severity`, unless the site says otherwise (`severity_override`).
    `share_least`: so many devices with the same `Fault.shared` are one incident; `share_within`: only if each began within so many seconds of
    another of them, None where the time does not matter.
    """

    code: str
    severity: Severity
    title: Text
    advice: Text
    hold: float = 120.0
    hits: int = 2
    clear: float = 300.0
    misses: int = 3
    ticket: bool = True
    severity_override: Severity | None = None
    share_least: int = 2
    share_within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something is broken. Its key holds no values, times or addresses: the same fault tomorrow has the same key.

    `component` is a `Component.key` or ''; `part` that component as last known; `summary` one English line; `proof` the readings that show it.
    `shared` names a cause that other devices may have too, as `kind:name` ("credential:cameras"); '' where it is the device's own.
    """

    code: str
    component: str = ""
    severity: Severity
    summary: str
    proof: tuple[Reading, ...] = ()
    part: Component | None = None
    shared: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """This was looked at in this poll and is fine."""

    code: str
    component: str = ""


Judgement = Fault | Healthy
