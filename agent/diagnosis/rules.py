"""Rules for every vendor's devices. Pure: (snapshot, history, device) → judgements."""

from __future__ import annotations

from collections.abc import Iterator

from agent.errors import Reason
from agent.model import Device, FacetStatus, Fault, Healthy, History, Judgement, Severity, Snapshot

_LOGIN = frozenset({Reason.AUTH, Reason.AUTH_BLOCKED})
_TRUST = frozenset({Reason.TLS_NOT_TRUSTED, Reason.TLS_CHANGED, Reason.HOST_KEY})


def unreachable(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Nothing of the device answered in this poll."""
    if snapshot.reachable:
        yield Healthy(code="device.unreachable")
        return
    failed = [o for o in snapshot.facets.values() if o.status is FacetStatus.FAILED]
    if failed and all(o.reason == Reason.BUG for o in failed):
        return  # ours, not the device's: nobody knows
    tried = sorted({f"{o.source}: {o.detail}" for o in failed})
    yield Fault(code="device.unreachable", severity=Severity.CRITICAL, summary="No answer. " + "; ".join(tried)[:300])


def login_refused(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The device refused our credential, or we no longer try because it did."""
    refused = next((o for o in snapshot.facets.values() if o.status is FacetStatus.FAILED and o.reason in _LOGIN), None)
    if refused is not None:
        yield Fault(code="device.login_refused", severity=Severity.WARNING, summary=refused.detail[:300])
    elif any(o.status is FacetStatus.OK for o in snapshot.facets.values()):
        yield Healthy(code="device.login_refused")


def not_trusted(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The device shows a certificate or host key that nobody accepted."""
    stranger = next((o for o in snapshot.facets.values() if o.status is FacetStatus.FAILED and o.reason in _TRUST), None)
    if stranger is not None:
        yield Fault(code="device.not_trusted", severity=Severity.WARNING, summary=stranger.detail[:300])
    elif any(o.status is FacetStatus.OK for o in snapshot.facets.values()):
        yield Healthy(code="device.not_trusted")


def identity_mismatch(snapshot: Snapshot, _history: History, device: Device) -> Iterator[Judgement]:
    """The inventory names a serial number and another one answers."""
    seen = snapshot.identity.serial
    if not device.serial or not seen:
        return
    if seen.upper() == device.serial.upper():
        yield Healthy(code="device.identity_mismatch")
    else:
        summary = f"The inventory says serial {device.serial}, the device says {seen}"
        yield Fault(code="device.identity_mismatch", severity=Severity.WARNING, summary=summary)


COMMON_RULES = (unreachable, login_refused, not_trusted, identity_mismatch)
