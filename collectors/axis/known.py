"""What the collector remembers of a device from visit to visit: what it offers, and what kind of device it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.errors import BadPayload
from collectors.axis.parse import identity_account, parameters, word

_INTERCOM = re.compile(r"intercom|door ?(?:station|phone)", re.IGNORECASE)


@dataclass(slots=True)
class Known:
    """`apis`: the ids that its discovery lists, None before it was asked and where it has none: then everything is asked once.

    `rest`: name → path of its configuration interfaces. `speaks`: it may be in a call or play an announcement; None while its kind is not known.
    `intercom`: a device that without a call is free. `calls_told`: its call service was understood when it was last asked. `calls_decide`: what its
    identity said of its use relies on that, so that it has to be asked, and its silence means that the use is not known.
    """

    apis: frozenset[str] | None = None
    rest: Mapping[str, str] = field(default_factory=dict)
    speaks: bool | None = None
    intercom: bool = False
    calls_told: bool = False
    calls_decide: bool = False

    def has(self, *apis: str) -> bool:
        """Whether it lists one of these, or may have it for all that is known."""
        return self.apis is None or not self.apis.isdisjoint(apis)

    def meet(self, payload: Any) -> None:
        """Remember its kind: of an answer of basicdeviceinfo, or of the parameters as a text. One that cannot be read changes nothing."""
        try:
            self.speaks = identity_account(payload).in_use is None
        except BadPayload:
            return
        self.intercom = bool(_INTERCOM.search(_kind(payload)))
        self.calls_decide = self.speaks and self.intercom and self.calls_told


def _kind(payload: Any) -> str:
    """Type and model, of an answer that was read as one already."""
    if isinstance(payload, str):
        told = parameters(payload)
        return f"{word(told.get('Brand.ProdType'))} {word(told.get('Brand.ProdFullName'))}"
    properties = payload["data"]["propertyList"]
    return f"{word(properties.get('ProdType'))} {word(properties.get('ProdFullName'))}"
