"""What the event stream's facts mean. Pure. Without an open stream nothing is judged here: silence is neither sickness nor health."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from agent.model import Device, Fault, Healthy, History, Judgement, Severity, Snapshot
from collectors.axis import faults as polled
from collectors.axis import faults_events as code
from collectors.axis.events import HAPPENED, STATE
from collectors.axis.settings import settings_of

RECENT = timedelta(minutes=10)
"""What only happens, and has no end, counts for so long: devices repeat it while it goes on."""
STUCK = timedelta(hours=30)
"""Outdoors no day and no night lasts as long between the polar circles."""


def _happened(snapshot: Snapshot, key: str) -> Iterator[tuple[str, str, timedelta]]:
    """(about what, in what words, how long ago) of each event with this key that was heard on the open stream."""
    prefix = f"{HAPPENED}{key}."
    for name, told in snapshot.facts.items():
        if name.startswith(prefix):
            at, _, words = told.partition(" ")
            yield name.removeprefix(prefix), words, timedelta(seconds=snapshot.at.timestamp() - float(at))


def _states(snapshot: Snapshot, key: str) -> Iterator[tuple[str, str]]:
    prefix = f"{STATE}{key}."
    return ((name.removeprefix(prefix), value) for name, value in snapshot.facts.items() if name.startswith(prefix))


def _state(snapshot: Snapshot, key: str, bad: str, name: str, severity: Severity, summary: str) -> Iterator[Judgement]:
    for of, value in _states(snapshot, key):
        if value == bad:
            yield Fault(code=name, component=of, severity=severity, summary=summary.format(of))
        else:
            yield Healthy(code=name, component=of)


def _recent(snapshot: Snapshot, key: str, name: str, severity: Severity, summary: str) -> Iterator[Judgement]:
    for of, words, ago in _happened(snapshot, key):
        if ago <= RECENT:
            yield Fault(code=name, component=of, severity=severity, summary=summary.format(of) + (f": {words}" if words else ""))
        else:
            yield Healthy(code=name, component=of)


def ptz(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """An error of the drive, or a drive that does not get ready."""
    failing = {of: words for of, words, ago in _happened(snapshot, "ptz_error") if ago <= RECENT}
    ready = dict(_states(snapshot, "ptz_ready"))
    for channel in dict.fromkeys((*ready, *(of for of, _, _ in _happened(snapshot, "ptz_error")))):
        if channel in failing:
            summary = f"The drive of channel {channel} reports: {failing[channel]}"
            yield Fault(code=code.PTZ_FAILED, component=channel, severity=Severity.CRITICAL, summary=summary)
        elif ready.get(channel) == "no":
            yield Fault(code=code.PTZ_FAILED, component=channel, severity=Severity.CRITICAL, summary=f"The drive of channel {channel} is not ready")
        else:
            yield Healthy(code=code.PTZ_FAILED, component=channel)


def picture(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """Tampering, and another view than before."""
    yield from _recent(snapshot, "tampering", code.TAMPERED, Severity.WARNING, "Channel {} reports tampering")
    yield from _state(snapshot, "scene_changed", "yes", code.SCENE_CHANGED, Severity.WARNING, "Source {} sees another scene than before")
    yield from _recent(snapshot, "shock", code.SHOCK, Severity.INFO, "The device reports a shock")


def hardware(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """What the device says of power, temperature and supervised lines. Where it publishes limits, those judge the temperature."""
    yield from _state(snapshot, "power_overload", "yes", code.POWER_OVERLOAD, Severity.CRITICAL, "Output {}: the power limit is exceeded")
    yield from _state(snapshot, "io_tampered", "yes", code.LINE_TAMPERED, Severity.CRITICAL, "Supervised input {}: the line is cut or shorted")
    if next(snapshot.of("latarnik_device_temperature_limit_celsius"), None) is None:
        for of, value in _states(snapshot, "temperature_critical"):
            key = f"critical {of}"
            if value == "yes":
                yield Fault(
                    code=polled.TEMPERATURE_HIGH, component=key, severity=Severity.CRITICAL, summary=f"Sensor {of}: critical by the device's own account"
                )
            else:
                yield Healthy(code=polled.TEMPERATURE_HIGH, component=key)


def self_test(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The last test of siren, light or speaker. It holds until the next one; a word that is not known says neither yes nor no."""
    for of, words, _ in _happened(snapshot, "self_test"):
        said = words.lower()
        if "fail" in said or "error" in said:
            yield Fault(code=code.SELF_TEST_FAILED, component=of, severity=Severity.CRITICAL, summary=f"Test of the {of}: {words}")
        elif said in {"passed", "pass", "ok", "success", "succeeded"}:
            yield Healthy(code=code.SELF_TEST_FAILED, component=of)


def recording(snapshot: Snapshot, _history: History, device: Device) -> Iterator[Judgement]:
    """Only where the site says that the device records all the time: others record when something moves."""
    if settings_of(device.settings).expect_recording:
        for _, value in _states(snapshot, "recording"):
            if value == "no":
                yield Fault(code=code.RECORDING_STOPPED, severity=Severity.CRITICAL, summary="The device says that it does not record")
            else:
                yield Healthy(code=code.RECORDING_STOPPED)


def day_night(snapshot: Snapshot, _history: History, device: Device) -> Iterator[Judgement]:
    """Only where the site says that the mode follows daylight. The time without a change counts since we first heard of that mode."""
    if not settings_of(device.settings).expect_day_night:
        return
    for of, value in _states(snapshot, "day"):
        mode, _, since = value.partition(" ")
        if since and timedelta(seconds=snapshot.at.timestamp() - float(since)) > STUCK:
            lasting = f"for more than {STUCK.total_seconds() / 3600:.0f} h"
            yield Fault(
                code=code.DAY_NIGHT_STUCK,
                component=of,
                severity=Severity.WARNING,
                summary=f"Source {of} has been in {'day' if mode == 'yes' else 'night'} mode {lasting}",
            )
        else:
            yield Healthy(code=code.DAY_NIGHT_STUCK, component=of)


EVENT_RULES = (ptz, picture, hardware, self_test, recording, day_night)
