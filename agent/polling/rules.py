"""The site's rules for all devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.inventory import Inventory
from agent.model import Case, FaultSpec
from agent.polling.state import Cadence
from agent.service.cases import Office
from agent.service.plans import NO_PLAN
from config.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`specs` by fault code, the site's overrides in them; `first_sight` 'list' or 'ticket'."""

    specs: Mapping[str, FaultSpec]
    first_sight: str
    cadence: Cadence
    office: Office
    inventory: Inventory
    site: str

    def plan_of(self, case: Case) -> Plan:
        """The plan a case was opened under; one that is no longer in the catalogue counts as none."""
        plans = self.inventory.plans
        return plans.get(case.plan or NO_PLAN, plans[NO_PLAN])
