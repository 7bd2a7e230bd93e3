"""Service plans: when a vendor takes reports, how fast it reacts, what a report must hold.

The catalogue is `catalogues/service_plans.yaml`; a site adds plans and overrides keys under `plans:` in its config.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field

from config.document import Node, read
from config.values import Line, Names, Section

Unit = Literal["hour", "business_hour", "day", "business_day"]
Event = Literal["sent", "accepted", "diagnosed", "received"]
Requirement = Literal[
    "serial",
    "contract_number",
    "contract_valid",
    "purchase_date",
    "proof_of_purchase",
    "contact",
    "address",
    "model",
    "firmware",
    "logs_or_reason",
    "checklist",
]


class Sentence(Section):
    """A sentence in the languages of our tickets."""

    en: Line = Field(description="In English.")
    pl: Line = Field(description="In Polish.")


class Hours(Section):
    """When reports are taken: around the clock, or in business hours."""

    always: bool = Field(default=False, description="true: 24 hours, 7 days; the business hours below then only serve next-business-day targets.")
    opens: int = Field(default=9, ge=0, le=23, description="Hour at which a business day opens.")
    closes: int = Field(default=17, ge=1, le=24, description="Hour at which it closes; that minute is outside.")
    weekdays: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(strict=False)] = Field(
        default=(1, 2, 3, 4, 5), min_length=1, description="Business days of the week, Monday is 1."
    )
    timezone: Line = Field(default="Europe/Warsaw", description="Time zone of these hours: the vendor's, not the site's.")
    holidays: Line = Field(default="PL", description="Country whose public holidays are no business days (ISO 3166); empty: none.")


class Target(Section):
    """One thing the vendor promises, or asks of us, by a time."""

    within: int = Field(ge=1, description="How many units.")
    unit: Unit = Field(description="hour, business_hour, day or business_day. A target in days is due at the end of that day.")
    after: Event = Field(description="What starts its clock: the report was sent, accepted as justified, diagnosed, or the replacement was received.")
    approximate: bool = Field(default=False, description="The vendor says 'about'.")
    inferred: str = Field(default="", description="What of this the vendor does not say itself and is our reading.")


class Plan(Section):
    """One level of service."""

    vendor: Line = Field(default="", description="Whose devices it is for; empty: any.")
    name: Sentence = Field(description="What people call it.")
    language: Literal["", "pl", "en"] = Field(default="", description="Language of the support, and so of the report; empty: the file's `language`.")
    hours: Hours = Field(default=Hours(), description="When reports are taken.")
    targets: dict[Line, Target] = Field(default={}, description="By name: reaction, shipping, delivery, repair, return.")
    models: Names = Field(default=(), description="Models it is sold for; empty: all of the vendor's.")
    max_years: int | None = Field(default=None, ge=1, le=50, description="Longest duration in years.")
    bought_within_days: int | None = Field(default=None, ge=0, description="It can only be bought so many days after the device.")
    patch_days: int | None = Field(
        default=None, ge=0, description="Software corrections are included for so many days after purchase; empty: as long as the plan lasts."
    )
    upgrades: bool | None = Field(default=None, description="Whether new software functions are included; empty: not known.")
    requires: Annotated[tuple[Requirement, ...], Field(strict=False)] = Field(default=(), description="Without these the vendor does not take a report.")
    asks_for: Annotated[tuple[Requirement, ...], Field(strict=False)] = Field(
        default=(), description="What a good report also holds; its lack holds nothing up."
    )
    default_for: Line = Field(default="", description="Vendor whose devices fall under this plan when they name no contract.")
    note: str = Field(default="", description="What is inference here, and what is to be confirmed.")

    def covers(self, model: str) -> bool | None:
        """Whether it is sold for this model; None: the model is not known."""
        if not self.models:
            return True
        wanted = plain_model(model)
        return any(plain_model(known) == wanted for known in self.models) if wanted else None


def plain_model(model: str) -> str:
    """A model without brand and series words: 'Poly Studio X30' and 'StudioX30' are both 'x30'."""
    squeezed = re.sub(r"[^a-z0-9]", "", model.casefold())
    return re.sub(r"^(?:polycom|poly|hp|axis)*(?:studio)?", "", squeezed) or squeezed


def catalogue_document() -> Node:
    """The catalogue as it stands in its file: a mapping of plans."""
    source = resources.files("config") / "catalogues" / "service_plans.yaml"
    root, flaws = read(source.read_bytes(), "service_plans.yaml")
    assert not flaws, flaws
    return root
