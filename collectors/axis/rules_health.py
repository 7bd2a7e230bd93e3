"""What the readings beside storage, heat and firmware mean. Pure.

A part that may never have worked (a free input, a SIP account without a server, an application that nobody started) is missed only once it was
seen to work, or where the site says that it must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from agent.model import Device, FacetStatus, Fault, Healthy, History, Judgement, Reading, Severity, Snapshot
from collectors.axis import faults_events as event_code
from collectors.axis import faults_health as code
from collectors.axis.events import HAPPENED, STATE
from collectors.axis.parse_apps import UNREADABLE, address, application_key
from collectors.axis.parse_devices import SELF_TESTED
from collectors.axis.parse_network import SHOWN
from collectors.axis.settings import settings_of

CLASS_WATTS = {0: 15.4, 1: 4.0, 2: 7.0, 3: 15.4, 4: 30.0, 5: 45.0, 6: 60.0, 7: 75.0, 8: 90.0}
"""What the switch gives at its end to a device of each PoE class (IEEE 802.3)."""
LARGEST_CLASS = 90.0
WATTS_TO_USE = 10.0
"""A request so many times the most that was ever used is in another unit than watts."""
OFF = 30.0
"""Seconds."""
SOON = timedelta(days=30)
SLOW = 10e6 / 8


def _starting(snapshot: Snapshot) -> bool:
    return snapshot.facts.get("ready") == "no"


def _worked(history: History, name: str, component: str) -> bool:
    return f"{name}/{component}" in history.healthy


def _judge(reading: Reading, name: str, severity: Severity, summary: str, *, good: bool, component: str | None = None) -> Judgement:
    key = reading.component if component is None else component
    return Healthy(code=name, component=key) if good else Fault(code=name, component=key, severity=severity, summary=summary, proof=(reading,))


# --- power and clock --------------------------------------------------------------------------------------------------


def power(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """What the device asks for against the most its PoE class gives. What it used, now or at most, is no limit and says nothing."""
    granted = [int(r.value) for r in snapshot.of("latarnik_axis_poe_class") if r.value is not None]
    peaks = [r.value for r in snapshot.of("latarnik_axis_power_watts") if r.labels == ("max",) and r.value]
    for asked in snapshot.of("latarnik_axis_power_requested_watts"):
        if not granted or asked.value is None or asked.value > LARGEST_CLASS or (peaks and asked.value > WATTS_TO_USE * peaks[0]):
            continue
        best = max(granted, key=lambda found: CLASS_WATTS.get(found, LARGEST_CLASS))
        watts = CLASS_WATTS.get(best, LARGEST_CLASS)
        summary = f"The device asks for {asked.value:g} W; PoE class {best}, which it was granted, gives {watts:g} W at most"
        yield _judge(asked, code.POWER_SHORT, Severity.WARNING, summary, good=asked.value <= watts)


def clock(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Only where the device keeps its time by a server: one that does not says so, and has no readings of it.

    One that was never synchronised is missed only where it says that it should be, and names a server. Without a server it knows no offset.
    """
    if _starting(snapshot):
        return
    server = snapshot.facts.get("ntp.server", "")
    shared = f"ntp:{server}" if server else ""
    expected = (bool(server) and snapshot.facts.get("ntp.enabled") == "yes") or code.CLOCK_UNSYNCED in history.healthy
    lost = False
    for synced in snapshot.of("latarnik_axis_ntp_synced"):
        lost = not synced.value
        if not lost:
            yield Healthy(code=code.CLOCK_UNSYNCED)
        elif expected:
            summary = f"The clock is not synchronised{f' with {server}' if server else ''}"
            yield Fault(code=code.CLOCK_UNSYNCED, severity=Severity.WARNING, summary=summary, proof=(synced,), shared=shared)
    for offset in snapshot.of("latarnik_device_clock_offset_seconds"):
        if offset.value is None:
            continue
        if abs(offset.value) < OFF:
            if not lost:
                yield Healthy(code=code.CLOCK_OFF)
        else:
            summary = f"The clock is {abs(offset.value):.0f} s off, by the device's own account"
            yield Fault(code=code.CLOCK_OFF, severity=Severity.WARNING, summary=summary, proof=(offset,), shared=shared)


# --- parts ------------------------------------------------------------------------------------------------------------


def lights(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The error that the device reports of a light."""
    if _starting(snapshot):
        return
    for light in snapshot.of("latarnik_axis_light_ok"):
        part = snapshot.component(light.component)
        name = part.name if part is not None else light.component
        if light.value:
            yield Healthy(code=code.LIGHT_FAILED, component=light.component)
        else:
            summary = f"{name} reports a failure ({light.raw})"
            yield Fault(code=code.LIGHT_FAILED, component=light.component, severity=Severity.CRITICAL, summary=summary, proof=(light,), part=part)


def siren(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The last self test, where the event stream has not told of one; and a maintenance mode that lasts."""
    if f"{HAPPENED}self_test.{SELF_TESTED}" not in snapshot.facts:
        for test in snapshot.of("latarnik_axis_self_test_ok"):
            yield _judge(test, event_code.SELF_TEST_FAILED, Severity.CRITICAL, f"Test of the {test.component}: {test.raw}", good=bool(test.value))
    for mode in snapshot.of("latarnik_axis_siren_maintenance"):
        yield _judge(mode, code.SIREN_MAINTENANCE, Severity.WARNING, "The siren is in maintenance mode", good=not mode.value)


def signals(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Inputs that had a signal before, and the casing."""
    if _starting(snapshot):
        return
    inputs = (
        ("latarnik_axis_video_signal_ok", code.VIDEO_LOST, Severity.CRITICAL, "Video input"),
        ("latarnik_axis_audio_signal_ok", code.AUDIO_LOST, Severity.WARNING, "Audio input"),
    )
    for metric, name, severity, what in inputs:
        for signal in snapshot.of(metric):
            channel = signal.labels[0]
            if signal.value or _worked(history, name, channel):
                yield _judge(signal, name, severity, f"{what} {channel} has no signal", good=bool(signal.value), component=channel)
    for casing in snapshot.of("latarnik_axis_casing_open"):
        name = casing.labels[0]
        yield _judge(casing, code.CASING_OPEN, Severity.CRITICAL, f"The casing {name} is open", good=not casing.value, component=name)


# --- applications and picture -----------------------------------------------------------------------------------------


def applications(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """Applications that ran, or that the site expects."""
    if _starting(snapshot):
        return
    expected = settings_of(device.settings).expect_apps
    for running in snapshot.of("latarnik_axis_application_running"):
        name, key = running.labels[0], application_key(running.labels[0])
        why = "the configuration expects it" if name in expected else "it ran before" if _worked(history, code.APPLICATION_STOPPED, key) else ""
        if running.value:
            yield Healthy(code=code.APPLICATION_STOPPED, component=key)
        elif why:
            summary = f"Application {name} does not run, and {why}"
            part = snapshot.component(key)
            yield Fault(code=code.APPLICATION_STOPPED, component=key, severity=Severity.WARNING, summary=summary, proof=(running,), part=part)
    if snapshot.ok("applications"):
        listed = {part.key for part in snapshot.components if part.kind == "application"}
        for name in expected:
            key = application_key(name)
            if key not in listed:
                summary = f"Application {name} is not installed, and the configuration expects it"
                yield Fault(code=code.APPLICATION_STOPPED, component=key, severity=Severity.WARNING, summary=summary)


def _ends(snapshot: Snapshot, metric: str, name: str, what: str) -> Iterator[Judgement]:
    for reading in snapshot.of(metric):
        if reading.value is None:
            continue
        left = reading.value - snapshot.at.timestamp()
        days = abs(left) / 86_400
        when = f"ends in {days:.0f} days" if left > 0 else f"ended {days:.0f} days ago"
        yield _judge(reading, name, Severity.WARNING, f"{what} {reading.labels[0]} {when}", good=left > SOON.total_seconds())


def licenses(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """Licences that end; not of applications that are stopped, never ran and are not expected to: trials of long ago."""
    expected = settings_of(device.settings).expect_apps
    unused = {
        r.component
        for r in snapshot.of("latarnik_axis_application_running")
        if not r.value and r.labels[0] not in expected and not _worked(history, code.APPLICATION_STOPPED, r.component)
    }
    for judgement in _ends(snapshot, "latarnik_axis_application_license_expiry_timestamp_seconds", code.LICENSE_ENDS, "The licence of application"):
        if isinstance(judgement, Healthy) or judgement.component not in unused:
            yield judgement


def picture(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """What the camera's own analysis finds wrong with its picture."""
    for trouble in snapshot.of("latarnik_axis_picture_trouble"):
        yield _judge(trouble, code.PICTURE_BAD, Severity.WARNING, f"The picture is {trouble.labels[0]}", good=not trouble.value)


# --- network ----------------------------------------------------------------------------------------------------------


def network(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """The mode of each link that is up. One that may be down, for all that is told, is not slow."""
    up = {r.labels[0] for r in snapshot.of("latarnik_device_network_link_up") if r.value}
    speeds = {r.labels[0]: r for r in snapshot.of("latarnik_device_network_speed_bytes_per_second")}
    duplex = {r.labels[0]: r for r in snapshot.of("latarnik_axis_network_full_duplex")}
    for name in dict.fromkeys((*speeds, *duplex)):
        speed, full = speeds.get(name), duplex.get(name)
        proof = tuple(r for r in (speed, full) if r is not None)
        slow = speed is not None and speed.value is not None and speed.value <= SLOW
        if slow or (full is not None and not full.value):
            if name not in up:
                continue
            summary = f"Interface {name} runs at {proof[0].raw}"
            yield Fault(code=code.NETWORK_SLOW, component=name, severity=Severity.WARNING, summary=summary, proof=proof)
        else:
            yield Healthy(code=code.NETWORK_SLOW, component=name)


def certificates(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Certificates that end, and the one that our connection is shown if it is another than before."""
    yield from _ends(snapshot, "latarnik_axis_certificate_expiry_timestamp_seconds", code.CERTIFICATE_ENDS, "Certificate")
    before, now = history.facts.get(f"certificate.{SHOWN}"), snapshot.facts.get(f"certificate.{SHOWN}")
    if before and now:
        if before == now:
            yield Healthy(code=code.CERTIFICATE_CHANGED)
        else:
            yield Fault(code=code.CERTIFICATE_CHANGED, severity=Severity.INFO, summary=f"The certificate is another one: sha256 {now}, before {before}")


def mqtt(snapshot: Snapshot, _history: History, _device: Device) -> Iterator[Judgement]:
    """A client that is active; one that is not has no reading."""
    host = snapshot.facts.get("mqtt.server", "")
    for connected in snapshot.of("latarnik_axis_mqtt_connected"):
        if connected.value:
            yield Healthy(code=code.MQTT_LOST)
        else:
            summary = f"The MQTT client is active and not connected{f' to {host}' if host else ''} ({connected.raw})"
            shared = f"mqtt:{host}" if host else ""
            yield Fault(code=code.MQTT_LOST, severity=Severity.WARNING, summary=summary, proof=(connected,), shared=shared)


def sip(snapshot: Snapshot, history: History, _device: Device) -> Iterator[Judgement]:
    """Accounts that were registered before: those that call without a server never are."""
    for account in snapshot.of("latarnik_axis_sip_registered"):
        if account.value or _worked(history, code.SIP_UNREGISTERED, account.component):
            summary = f"SIP account {account.labels[0]} is not registered ({account.raw})"
            yield _judge(account, code.SIP_UNREGISTERED, Severity.CRITICAL, summary, good=bool(account.value))


def recorder(snapshot: Snapshot, _history: History, device: Device) -> Iterator[Judgement]:
    """Only where the site names the recorder. Without the list of streams the event stream tells whether anybody at all takes the picture.

    A stream that cannot be read may be the recorder's.
    """
    wanted = settings_of(device.settings).recorder
    if not wanted or _starting(snapshot):
        return
    playing = next(snapshot.of("latarnik_axis_streams_playing"), None)
    if playing is not None:
        where = playing.raw.split()
        if address(wanted) in where:
            yield Healthy(code=code.NOT_RECORDED)
        elif UNREADABLE not in where:
            to = f"; streams play to {', '.join(where)}" if where else ""
            summary = f"No stream plays to the recorder {wanted}{to}"
            yield Fault(code=code.NOT_RECORDED, severity=Severity.CRITICAL, summary=summary[:300], proof=(playing,))
        return
    outcome = snapshot.facets.get("streams")
    if outcome is not None and outcome.status in (FacetStatus.FAILED, FacetStatus.STALE):
        return  # it has the list, and nobody else's stream stands for the recorder's
    accessed = [value for name, value in snapshot.facts.items() if name.startswith(f"{STATE}live_stream.")]
    if "yes" in accessed:
        yield Healthy(code=code.NOT_RECORDED)
    elif accessed:
        yield Fault(code=code.NOT_RECORDED, severity=Severity.CRITICAL, summary="Nobody takes the picture, by the device's own account")


HEALTH_RULES = (power, clock, lights, siren, signals, applications, licenses, picture, network, certificates, mqtt, sip, recorder)
