"""All of one poll."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.model.quick import quick
from agent.model.reading import UNNAMED, Component, Identity, Reading, by_metric


class FacetStatus(StrEnum):
    """What came of one facet. STALE: it was not asked when it should have been, or its last good answer is too old to show."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    STALE = "stale"
    FAILED = "failed"


@quick
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


class _Grouped:
    """Room beside the fields of a snapshot for its readings by metric, as rules and exporters look for them."""

    __slots__ = ("_by_metric",)
    _by_metric: Mapping[str, Sequence[Reading]]


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(_Grouped):
    """What is known of a device at `at`: readings of this poll, and of earlier ones that are not yet due again.

    `reachable`: the device answered something in this poll, if only a refusal.
    `in_use`: None means unknown, which counts as in use.
    `facts` are words the rules need and no metric carries (a boot id, a reset source).
    """

    device: str
    at: datetime
    duration: float
    reachable: bool
    identity: Identity = UNNAMED
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
        return iter(self.measured().get(metric, ()))

    def measured(self) -> Mapping[str, Sequence[Reading]]:
        """The readings by metric."""
        try:
            return self._by_metric
        except AttributeError:  # the first who looks
            object.__setattr__(self, "_by_metric", by_metric(self.readings))
            return self._by_metric

    def component(self, key: str) -> Component | None:
        return next((c for c in self.components if c.key == key), None)
