"""What is broken. Pure: (snapshot, history, device) → judgements; silence where a rule cannot know.

One physical fault must not become several tickets, so what explains another is judged once: a missing camera explains the camera rows,
a bad row explains the camera input or the microphone count behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from agent.errors import Reason
from agent.model import Component, Device, FacetStatus, Fault, Healthy, History, Judgement, Reading, Severity, Snapshot
from collectors.poly import faults as f
from collectors.poly import metrics as m
from collectors.poly.settings import ExpectedPart, settings_of

AFTER_BOOT = 600.0
"""Seconds after a start in which parts may still be coming back."""
REBOOT_MARGIN = 120.0
"""Seconds by which two readings of one start time may differ."""
SEEN_MARGIN = 900.0
"""A start that we call a restart lies after the last answer, or so little before that a starting codec gave that answer."""
MANY_REBOOTS = 3
LAN_SPEED = 125_000_000.0

NEVER = frozenset({"autoanswerp2p", "remotecontrol", "logthreshold"})
"""Rows that are settings, a battery, or have a rule of their own."""
REGISTRATIONS = frozenset({"sipserver", "gatekeeper"})
GRAVE = frozenset({"ipnetwork", "trackablecamera", "mr.camera", "mr.audio"})
CAMERA_ROWS = frozenset({"trackablecamera", "mr.camera"})
IN_TRANSIT = frozenset({"UPDATING", "UPGRADING", "CONNECTING", "PAIRING", "INITIALIZING", "REBOOTING"})
"""Words for a part on its way, neither there nor gone (CONNECTED and PAIRED are the only words that were ever recorded)."""
_BUSY_STATES = frozenset({"initializing", "updating", "shutting_down", "down"})

_FLAGS = (
    ("system", m.REBOOT_NEEDED, 1.0, f.REBOOT_NEEDED, Severity.INFO, "The codec says that it needs a restart"),
    ("system", m.TIME_SERVER_UP, 0.0, f.TIME_SERVER_DOWN, Severity.WARNING, "The codec says that its time server is down"),
    ("status", m.LOG_FULL, 1.0, f.LOG_FULL, Severity.INFO, "The codec's log is full and overwrites its oldest part"),
)
_FINE = {
    name: Healthy(code=name)
    for name in (
        *(code for _, _, _, code, _, _ in _FLAGS),
        *(f.MICROPHONE_NONE, f.LAN_DEGRADED, f.UPDATING_LONG, f.NOT_READY, f.SESSIONS_FULL, "device.rebooted", "device.rebooting"),
    )
}
"""Of the codec as a whole."""


def _one(snapshot: Snapshot, metric: str) -> Reading | None:
    return next(snapshot.of(metric), None)


def _state(snapshot: Snapshot) -> str:
    reading = _one(snapshot, m.STATE) if snapshot.ok("system") else None
    return reading.state if reading else ""


def _settled(snapshot: Snapshot) -> bool:
    """Whether the codec runs, and has for a while. A firmware without `system` never says, and is taken at its rows."""
    if not snapshot.ok("system"):
        outcome = snapshot.facets.get("system")
        return outcome is not None and outcome.status is FacetStatus.UNSUPPORTED
    boot = _one(snapshot, m.BOOT)
    young = boot is not None and boot.value is not None and snapshot.at.timestamp() - boot.value < AFTER_BOOT
    return _state(snapshot) not in _BUSY_STATES and not young


def peripheral_missing(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """A part known by its serial, or declared, is not in the list or not connected."""
    if not snapshot.ok("peripherals") or not _settled(snapshot):
        return
    declared = settings_of(device).expect
    present = {c.key: c for c in snapshot.components if c.removable}
    known = {key: c for key, c in history.components.items() if c.removable and c.serial}
    for expected in declared:
        if _matching(expected, present.values()) is not None:
            yield Healthy(code=f.PERIPHERAL_MISSING, component=expected.key)
        elif _matching(expected, known.values()) is None:
            part = Component(kind="part", key=expected.key, serial=expected.serial, model=expected.model, state="missing", removable=True)
            yield _missing(part, "is declared in the inventory and not in the codec's list")
    for key in {**known, **present}:
        here, last = present.get(key), known.get(key)
        if here is None:
            if last is not None:
                yield _missing(last, "is not in the codec's list any more")
        elif here.state == "ok":
            yield Healthy(code=f.PERIPHERAL_MISSING, component=key)
        elif here.raw and here.raw not in IN_TRANSIT and (last is not None or any(_matching(e, (here,)) for e in declared)):
            # The row of a part that is gone has often lost its version: the ticket tells the part as last known.
            yield _missing(last or here, f"is in the codec's list as {here.raw}")


def _matching(expected: ExpectedPart, parts: Iterable[Component]) -> Component | None:
    for part in parts:
        if expected.serial:
            if part.serial.upper() == expected.serial.upper():
                return part
        elif _squeeze(expected.model) in _squeeze(f"{part.model} {part.name}"):
            return part
    return None


def _squeeze(text: str) -> str:
    return "".join(ch for ch in text.lower() if ch.isalnum())


def _missing(part: Component, how: str) -> Fault:
    what = part.name or part.model or part.kind
    serial = f" {part.serial}" if part.serial else ""
    return Fault(
        code=f.PERIPHERAL_MISSING,
        component=part.key,
        severity=Severity.CRITICAL,
        summary=f"{what}{serial} {how}",
        proof=(Reading(metric=m.PERIPHERAL_CONNECTED, value=0.0, labels=(part.key, part.kind), component=part.key, raw=part.raw),),
        part=part,
    )


def status_down(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """A row of the codec's own status list that is down, or up in part."""
    if not snapshot.ok("status") or _state(snapshot) in _BUSY_STATES:
        return
    rows = {r.labels[0]: r for r in snapshot.of(m.STATUS)}
    bad = any(r.state in ("down", "degraded") for r in rows.values())
    missing = _missing_kinds(snapshot, history, device) if bad else frozenset()
    for name, row in rows.items():
        if name in NEVER or row.state not in ("up", "down", "degraded", "off"):
            continue
        if name in REGISTRATIONS and (registers := _registers(snapshot)) is not True:
            if registers is False:
                yield Healthy(code=f.STATUS_DOWN, component=name)
            continue
        if row.state in ("up", "off"):
            yield Healthy(code=f.STATUS_DOWN, component=name)
            continue
        if _state(snapshot) == "asleep" and name in CAMERA_ROWS:
            continue
        if (name in CAMERA_ROWS and missing & {"camera", "part"}) or (name == "mr.audio" and "microphone" in missing):
            continue
        if name == "mr.camera" and "trackablecamera" in rows and rows["trackablecamera"].state == "down":
            continue
        grave = row.state == "down" and name in GRAVE
        yield Fault(
            code=f.STATUS_DOWN,
            component=name,
            severity=Severity.CRITICAL if grave else Severity.WARNING,
            summary=f"The codec's status list says {row.raw} for {name}",
            proof=(row,),
        )


def _missing_kinds(snapshot: Snapshot, history: History, device: Device) -> frozenset[str]:
    """The kinds of the parts that are missing."""
    return frozenset(j.part.kind for j in peripheral_missing(snapshot, history, device) if isinstance(j, Fault) and j.part is not None)


def _registers(snapshot: Snapshot) -> bool | None:
    """Whether SIP and H.323 mean something: not under Teams, Zoom or another application, not as a USB camera. None: not known."""
    if not snapshot.ok("use"):
        return None
    return snapshot.facts.get("mode", "") in ("", "poly")


def _bad_rows(snapshot: Snapshot) -> set[str]:
    return {r.labels[0] for r in snapshot.of(m.STATUS) if r.state in ("down", "degraded")} if snapshot.ok("status") else set()


def camera_down(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """A people camera input that was connected and is not. A sleeping codec lets go of its camera, which says nothing."""
    if not snapshot.ok("cameras") or not _settled(snapshot) or _state(snapshot) == "asleep":
        return
    cameras = [part for part in snapshot.components if part.key.startswith("camera:")]
    gone = any(part.state == "off" and part.key in history.components for part in cameras)
    explained = gone and bool(_bad_rows(snapshot) & CAMERA_ROWS or _missing_kinds(snapshot, history, device) & {"camera", "part"})
    for part in cameras:
        if part.state == "ok":
            yield Healthy(code=f.CAMERA_DOWN, component=part.key)
        elif part.state == "off" and part.key in history.components and not explained:
            last = history.components[part.key]
            proof = tuple(r for r in snapshot.of(m.CAMERA_CONNECTED) if r.component == part.key)
            summary = f"Camera {last.name or part.key} ({last.model or 'model unknown'}) was connected and is not"
            yield Fault(code=f.CAMERA_DOWN, component=part.key, severity=Severity.CRITICAL, summary=summary, proof=proof, part=last)


def microphone_none(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """No microphone at all. Asleep says nothing."""
    count = _one(snapshot, m.MICROPHONES) if snapshot.ok("audio") else None
    if count is None or count.value is None:
        return
    if count.value > 0:
        yield _FINE[f.MICROPHONE_NONE]
    elif _settled(snapshot) and _state(snapshot) != "asleep" and "mr.audio" not in _bad_rows(snapshot):
        yield Fault(code=f.MICROPHONE_NONE, severity=Severity.CRITICAL, summary="The codec counts 0 microphones", proof=(count,))


def lan_degraded(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Below 1000 Mbit/s, or half duplex."""
    if not snapshot.ok("system"):
        return
    speed, duplex = _one(snapshot, m.LINK_SPEED), _one(snapshot, m.LAN_FULL_DUPLEX)
    bad = [r for r in (speed, duplex) if r is not None and r.value is not None and (r.value < LAN_SPEED if r.metric == m.LINK_SPEED else r.value == 0.0)]
    if bad:
        said = " ".join(f"{r.raw} Mbit/s" if r.metric == m.LINK_SPEED else f"{r.raw} duplex" for r in bad)
        yield Fault(code=f.LAN_DEGRADED, severity=Severity.WARNING, summary=f"The network port runs at {said}", proof=tuple(bad))
    elif speed is not None and duplex is not None:
        yield _FINE[f.LAN_DEGRADED]


def stuck(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Updating, or starting, for longer than that takes: the hold times of the two codes say how long."""
    state = _one(snapshot, m.STATE) if snapshot.ok("system") else None
    if state is None or state.state not in m.STATES:
        return
    for code, words in ((f.UPDATING_LONG, ("updating",)), (f.NOT_READY, ("initializing", "shutting_down", "down"))):
        if state.state in words:
            severity = Severity.WARNING if code == f.UPDATING_LONG else Severity.CRITICAL
            yield Fault(code=code, severity=severity, summary=f"The codec says {state.raw}", proof=(state,))
        else:
            yield _FINE[code]


def flags(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """What the codec says in one word: a restart is needed, the time server is lost, the log is full."""
    for facet, metric, bad, code, severity, summary in _FLAGS:
        reading = _one(snapshot, metric) if snapshot.ok(facet) else None
        if reading is None:
            continue
        if reading.value == bad:
            yield Fault(code=code, severity=severity, summary=summary, proof=(reading,))
        else:
            yield _FINE[code]


def sessions_full(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The codec has no management session for us."""
    outcome = snapshot.facets.get("system")
    if outcome is not None and outcome.status is FacetStatus.FAILED and outcome.reason == Reason.SESSIONS_FULL:
        yield Fault(code=f.SESSIONS_FULL, severity=Severity.WARNING, summary=outcome.detail[:300])
    elif snapshot.ok("system"):
        yield _FINE[f.SESSIONS_FULL]


def rebooted(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """The start time moved; three starts within a day outside the update window are trouble."""
    boot = _boot(snapshot.facts)
    if not snapshot.ok("system") or boot is None:
        return
    before = _boot(history.facts)
    seen = history.last_success
    anew = before is not None and boot > before + REBOOT_MARGIN and (seen is None or boot > seen.timestamp() - SEEN_MARGIN)
    if anew:
        proof = tuple(snapshot.of(m.BOOT))
        started = datetime.fromtimestamp(boot, UTC)
        yield Fault(code="device.rebooted", severity=Severity.INFO, summary=f"Started at {started:%Y-%m-%d %H:%M} UTC", proof=proof)
    else:
        yield _FINE["device.rebooted"]
    day = [at for at in (*history.reboots, *((snapshot.at,) if anew else ())) if snapshot.at - at <= timedelta(days=1)]
    counted = [at for at in day if not _in_window(at, snapshot, device)]
    if len(counted) >= MANY_REBOOTS:
        summary = f"{len(counted)} starts within 24 hours outside the update window"
        yield Fault(code="device.rebooting", severity=Severity.CRITICAL, summary=summary, proof=tuple(snapshot.of(m.BOOT)))
    else:
        yield _FINE["device.rebooting"]


def _boot(facts: Mapping[str, str]) -> float | None:
    try:
        return float(facts.get("boot", ""))
    except ValueError:
        return None


def _in_window(at: datetime, snapshot: Snapshot, device: Device) -> bool:
    """Whether this was in the device's own update hours. Without its offset from UTC nobody can say, and it counts as trouble."""
    window = settings_of(device).window()
    try:
        offset = timedelta(seconds=int(snapshot.facts.get("time_offset", "")))
    except ValueError:
        return False
    if window is None:
        return False
    local = (at.astimezone(UTC) + offset).time()
    start, end = window
    return start <= local < end if start <= end else local >= start or local < end


RULES = (peripheral_missing, status_down, camera_down, microphone_none, lan_degraded, stuck, flags, sessions_full, rebooted)
