"""What is remembered of a device between polls and across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent.model.quick import quick
from agent.model.reading import UNNAMED, Component, Identity


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`identity` as last read, at `identity_at`. `components`: parts seen in good state, by key: what may be missed.

    `healthy`: keys `code[/component]` that were once judged healthy; a fault whose key was never healthy was there before we came.
    `replaced`: parts that went while exactly one new part of their kind and model came: old key → new key.
    `facts`: the last poll's (a rule compares the boot id with it). `reboots`: when reboots were seen, newest last, at most 32.
    """

    first_success: datetime | None = None
    last_success: datetime | None = None
    identity: Identity = UNNAMED
    identity_at: datetime | None = None
    components: Mapping[str, Component] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    healthy: frozenset[str] = frozenset()
    reboots: tuple[datetime, ...] = ()
    reboot_count: int = 0
