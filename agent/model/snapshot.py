"""All of one poll."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.model.reading import Component, Identity, Reading


class FacetStatus(StrEnum):
    """What came of one facet. STALE: it was not asked when it should have been, or its last good answer is too old to show."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetOutcome:
    """`at` is when the facet was last asked; `reason` and `detail` belong to FAILED; `source` is http, snmp or ssh.

    `credential`: name of the account that the facet asks with, '' for none.
    """

    status: FacetStatus
    source: str
    at: datetime
    reason: str = ""
    detail: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is known of a device at `at`: readings of this poll, and of earlier ones that are not yet due again.

    `reachable`: the device answered something in this poll, if only a refusal.
    `in_use`: None means unknown, which counts as in use.
    `facts` are words the rules need and no metric carries (a boot id, a reset source).
    """

    device: str
    at: datetime
    duration: float
    reachable: bool
    identity: Identity = Identity()
    readings: tuple[Reading, ...] = ()
    components: tuple[Component, ...] = ()
    facets: Mapping[str, FacetOutcome] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    in_use: bool | None = None

    def ok(self, facet: str) -> bool:
        """Whether this facet's readings can be trusted now."""
        outcome = self.facets.get(facet)
        return outcome is not None and outcome.status is FacetStatus.OK

    def of(self, metric: str) -> Iterator[Reading]:
        """The readings of one metric."""
        return (r for r in self.readings if r.metric == metric)

    def component(self, key: str) -> Component | None:
        return next((c for c in self.components if c.key == key), None)
