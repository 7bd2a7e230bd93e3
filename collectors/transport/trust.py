"""Whether the other end is the device we know: one rule for certificates and for SSH host keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.errors import NotTrusted, Reason
from agent.model import Device, TlsMode
from agent.ports import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the other end shows: the SHA-256 (hex) of its certificate or host key, and the certificate's last day (ISO), '' where there is none."""

    sha256: str
    until: str = ""


def normal_fingerprint(text: str) -> str:
    """Hex in lower case without colons."""
    return text.replace(":", "").strip().lower()


async def expected_fingerprint(services: Services, device: Device, endpoint: str, offer: Callable[[], Awaitable[Shown]]) -> str:
    """The SHA-256 the other end must show. `offer` finds out what it shows, and sends nothing secret.

    Nothing accepted yet: on first use it is accepted under TOFU; otherwise it is noted for a person and NotTrusted is raised.
    """
    store = services.trust
    accepted = await store.accepted(device.id, endpoint)
    if accepted:
        return normal_fingerprint(accepted)
    shown = await offer()
    await _note(services, device, endpoint, shown)
    if device.tls.mode is TlsMode.TOFU:
        await store.accept(device.id, endpoint, shown.sha256, "tofu")
        return shown.sha256
    reason = Reason.HOST_KEY if endpoint.startswith("ssh:") else Reason.TLS_NOT_TRUSTED
    said = f"{device.id} {endpoint} shows sha256 {shown.sha256}, which nobody accepted yet: `latarnik trust {device.id}`"
    raise NotTrusted(reason, said, fingerprint=shown.sha256)


async def changed(services: Services, device: Device, endpoint: str, *, expected: str, shown: Shown) -> NotTrusted:
    """Note what is shown instead of what was expected; the error to raise."""
    await _note(services, device, endpoint, shown)
    reason = Reason.HOST_KEY if endpoint.startswith("ssh:") else Reason.TLS_CHANGED
    remedy = "correct the pin in the config" if device.tls.mode is TlsMode.PIN and reason is Reason.TLS_CHANGED else f"`latarnik trust {device.id}`"
    said = f"{device.id} {endpoint} shows sha256 {shown.sha256}, expected was {expected}: if the device was renewed, {remedy}"
    return NotTrusted(reason, said, fingerprint=shown.sha256)


async def _note(services: Services, device: Device, endpoint: str, shown: Shown) -> None:
    """For `latarnik trust`: what is shown, and until when it is valid."""
    await services.trust.offered(device.id, endpoint, shown.sha256)
    if shown.until:
        await services.memory.put(device.id, {f"certificate.{endpoint}": f"{shown.sha256} {shown.until}"})
