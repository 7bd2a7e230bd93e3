"""Whether the other end is the device we know: one rule for certificates and for SSH host keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent.errors import NotTrusted, Reason
from agent.model import Device, TlsMode
from agent.ports import TrustStore


def normal_fingerprint(text: str) -> str:
    """Hex in lower case without colons."""
    return text.replace(":", "").strip().lower()


async def expected_fingerprint(store: TrustStore, device: Device, endpoint: str, offer: Callable[[], Awaitable[str]]) -> str:
    """The SHA-256 the other end must show. `offer` finds out what it shows, and sends nothing secret.

    Nothing accepted yet: on first use it is accepted under TOFU; otherwise it is noted for a person and NotTrusted is raised.
    """
    accepted = await store.accepted(device.id, endpoint)
    if accepted:
        return normal_fingerprint(accepted)
    shown = await offer()
    await store.offered(device.id, endpoint, shown)
    if device.tls.mode is TlsMode.TOFU:
        await store.accept(device.id, endpoint, shown, "tofu")
        return shown
    reason = Reason.HOST_KEY if endpoint.startswith("ssh:") else Reason.TLS_NOT_TRUSTED
    raise NotTrusted(reason, f"{device.id} {endpoint} shows sha256 {shown}, which nobody accepted yet: `latarnik trust {device.id}`", fingerprint=shown)


async def changed(store: TrustStore, device: Device, endpoint: str, *, expected: str, shown: str) -> NotTrusted:
    """Note what is shown instead of what was expected; the error to raise."""
    await store.offered(device.id, endpoint, shown)
    reason = Reason.HOST_KEY if endpoint.startswith("ssh:") else Reason.TLS_CHANGED
    remedy = "correct the pin in the config" if device.tls.mode is TlsMode.PIN and reason is Reason.TLS_CHANGED else f"`latarnik trust {device.id}`"
    return NotTrusted(reason, f"{device.id} {endpoint} shows sha256 {shown}, expected was {expected}: if the device was renewed, {remedy}", fingerprint=shown)
