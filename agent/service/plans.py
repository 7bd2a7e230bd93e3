"""Which service plan a device falls under, and which software it is entitled to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from agent.model import Contract, Text
from config.plans import Plan

NO_PLAN = "none"


def plan_of(contract: Contract | None, vendor: str, plans: Mapping[str, Plan]) -> str:
    """Name of the plan: the contract's, else the one that every device of the vendor falls under, else 'none'.

    A contract that names no plan, or one that is unknown, counts as no contract.
    """
    if contract is not None and contract.plan in plans and contract.plan != NO_PLAN:
        return contract.plan
    return next((name for name, plan in plans.items() if plan.default_for and plan.default_for == vendor), NO_PLAN)


def software(plan: Plan, contract: Contract | None, today: date) -> Text:
    """Whether newer software may be had under this plan, for a finding 'firmware is behind': a sentence, or '' where nothing is known."""
    if plan.patch_days is not None:
        bought = contract.purchased if contract else None
        if bought is None:
            return Text(
                f"Software corrections are included for {plan.patch_days} days after purchase; the day of purchase is not known.",
                f"Poprawki oprogramowania przysługują przez {plan.patch_days} dni od zakupu; data zakupu nie jest znana.",
            )
        last = bought + timedelta(days=plan.patch_days)
        if today > last:
            return Text(f"Software corrections were included until {last}.", f"Poprawki oprogramowania przysługiwały do {last}.")
        return Text(f"Software corrections are included until {last}.", f"Poprawki oprogramowania przysługują do {last}.")
    if plan.upgrades is None:
        return Text("", "")
    if plan.upgrades:
        return Text(
            "Software corrections and new versions are included while the contract is valid.",
            "Poprawki i nowe wersje oprogramowania przysługują przez cały okres umowy.",
        )
    return Text("Software corrections are included while the contract is valid.", "Poprawki oprogramowania przysługują przez cały okres umowy.")
