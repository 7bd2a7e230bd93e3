"""Rules for every vendor's devices. Pure: (snapshot, history, device) → judgements."""

from __future__ import annotations

from collections.abc import Iterator

from agent.errors import Reason
from agent.model import Device, FacetOutcome, FacetStatus, Fault, Healthy, History, Judgement, Severity, Snapshot

_LOGIN = frozenset({Reason.AUTH, Reason.AUTH_BLOCKED})
_KEPT_OUT = _LOGIN | {Reason.AUTH_WAITS, Reason.LOCKOUT}
WAITS = frozenset({Reason.AUTH_WAITS})
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
    """The device refused our credential, or we no longer try because it did. The cause is the credential: others may refuse it too. Of several it is
    the first of the vendor's table that does not get us in, be it only that it got no answer just now: so devices on which several were changed have
    the same cause, whichever of them was refused where.

    A device at which we wait for the outcome of another one's login refused nothing, and let nobody in: nothing is known.
    """
    refused = _failed(snapshot, _LOGIN)
    if refused is not None:
        kept_out = next((o.credential for o in snapshot.facets.values() if o.status is FacetStatus.FAILED and o.reason in _KEPT_OUT and o.credential), "")
        shared = f"credential:{kept_out}" if kept_out else ""
        yield Fault(code="device.login_refused", severity=Severity.WARNING, summary=refused.detail[:300], shared=shared)
    elif not _failed(snapshot, WAITS) and any(o.status is FacetStatus.OK for o in snapshot.facets.values()):
        yield Healthy(code="device.login_refused")


def not_trusted(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """The device shows a certificate or host key that nobody accepted. Those that were renewed are not mixed with those that are new to us."""
    stranger = _failed(snapshot, _TRUST)
    if stranger is not None:
        trusted_before = stranger.reason == Reason.TLS_CHANGED or "device.not_trusted" in history.healthy
        shared = f"{'certificates' if trusted_before else 'enrolment'}:{device.site}"
        yield Fault(code="device.not_trusted", severity=Severity.WARNING, summary=stranger.detail[:300], shared=shared)
    elif any(o.status is FacetStatus.OK for o in snapshot.facets.values()):
        yield Healthy(code="device.not_trusted")


def _failed(snapshot: Snapshot, reasons: frozenset[Reason]) -> FacetOutcome | None:
    """The first facet of the vendor's table that failed for one of these reasons."""
    return next((o for o in snapshot.facets.values() if o.status is FacetStatus.FAILED and o.reason in reasons), None)


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
