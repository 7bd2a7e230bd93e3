"""A device may send our own secrets back to us, in a name, a status word or an error. Here they are taken out, before anything is judged or kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from operator import attrgetter
from typing import Any, TypeVar

from agent.model import Component, Credential, Device, HttpCredential, Identity
from agent.ports import FacetData
from agent.redact import Mask

T = TypeVar("T")

COMMON = frozenset({"public", "private"})
"""Communities that stand in every report and are no secrets worth a mask."""


def secrets_of(credentials: Iterable[Credential]) -> Iterator[tuple[str, str]]:
    """(secret, user name) of each, the user name '' where it does not go along with the secret."""
    for credential in credentials:
        if isinstance(credential, HttpCredential):
            yield credential.password.reveal(), credential.username
        else:
            for secret in (credential.community, credential.auth_key, credential.priv_key):
                if secret.reveal() not in COMMON:
                    yield secret.reveal(), ""


def mask_of(device: Device) -> Mask:
    """What must not stand in anything that comes from this device."""
    return Mask.of(secrets_of(device.credentials.values()))


def masked(data: FacetData, mask: Mask) -> FacetData:
    """The same answer without these secrets. Of the usual answer, which holds none, nothing is copied."""
    if not mask.forbidden or not mask.finds("\0".join(_texts(data))):
        return data
    return FacetData(
        identity=_clean(data.identity, mask),
        readings=tuple(_clean(reading, mask) for reading in data.readings),
        components=tuple(_clean(part, mask) for part in data.components),
        facts={mask.text(key): mask.text(value) for key, value in data.facts.items()},
        in_use=data.in_use,
    )


_OF_IDENTITY = attrgetter(*(field.name for field in fields(Identity)))
_OF_PART = attrgetter(*(field.name for field in fields(Component) if field.type == "str"))


def _texts(data: FacetData) -> list[str]:
    found: list[str] = [*_OF_IDENTITY(data.identity), *data.facts, *data.facts.values()]
    for reading in data.readings:
        found += (reading.state, reading.raw, reading.component)
        found += reading.labels
    for part in data.components:
        found += _OF_PART(part)
    return found


def _clean(value: T, mask: Mask) -> T:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"not a value of the model: {type(value).__name__}")
    changes: dict[str, Any] = {}
    for field in fields(value):
        old = getattr(value, field.name)
        if isinstance(old, str):
            changes[field.name] = mask.text(old)
        elif isinstance(old, tuple) and all(isinstance(item, str) for item in old):
            changes[field.name] = tuple(mask.text(item) for item in old)
    return replace(value, **changes)
