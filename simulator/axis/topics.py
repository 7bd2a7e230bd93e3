"""The events of a device: what its stateful topics say now, and what a switched fault announces once.

Topics, items and which of them are stateful are those of recorded lists of event instances; of Fan, PowerSupply, TemperatureCritical and
VideoEncoder they are documented; SupervisedPort is ours. Values are text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from simulator.axis.product import Kind
from simulator.axis.state import Disk, State, Storage


class Event(NamedTuple):
    """One topic with the values of one source."""

    topic: str
    source: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells one source of a topic from another."""
        return (self.topic, *self.source.values())


_DEVICE = "tns1:Device/tnsaxis:"
_HARDWARE = f"{_DEVICE}HardwareFailure"


def _flag(value: object) -> str:
    return "1" if value else "0"


def stateful(state: State) -> Iterator[Event]:
    """Every stateful topic of the device, with its value now."""
    yield Event(f"{_DEVICE}Status/SystemReady", {}, {"ready": _flag(state.ready)})
    yield from _storage(state)
    yield from _heat(state)
    yield from _power(state)
    yield from _picture(state)
    yield from _ports(state)


def _storage(state: State) -> Iterator[Event]:
    """A slot without a card and a share that is not set up count as disrupted, as recorded ones do."""
    for disk in state.disks():
        yield Event("tnsaxis:Storage/Disruption", {"disk_id": disk.id}, {"disruption": _flag(disk.state is not Storage.OK)})
        yield Event(f"{_HARDWARE}/StorageFailure", {"disk_id": disk.id}, {"disruption": _flag(disk.state is Storage.FAILED)})
        yield Event("tnsaxis:Storage/Alert", {"disk_id": disk.id}, _alert(disk))
    if state.product.sd_card is not None:
        yield Event("tnsaxis:Storage/Recording", {}, {"recording": _flag(state.recording())})


def _alert(disk: Disk) -> dict[str, str]:
    alert = disk.verdict == 0 or disk.wear > 100
    return {"overall_health": str(disk.verdict), "alert": _flag(alert), "wear": str(disk.wear), "temperature": str(disk.kelvin)}


def _heat(state: State) -> Iterator[Event]:
    product = state.product
    hot = "overheating" in state.faults
    for number in range(product.fans):
        yield Event(f"{_HARDWARE}/FanFailure", {"fan": str(number)}, {"fan_failure": _flag(state.fan_failed(number))})
        yield Event(f"{_DEVICE}Fan/Status", {"fan": str(number)}, {"running": _flag(state.fan_running(number))})
    for number in range(product.heaters):
        yield Event(f"{_DEVICE}Heater/Status", {"heater": str(number)}, {"running": _flag(state.heater_running(number))})
    for number in range(len(product.sensors)):
        yield Event(f"{_HARDWARE}/TemperatureCritical", {"temperature": str(number)}, {"temperature_critical": _flag(hot and number == 0)})
    if product.sensors:
        for name, level in (("Above", hot), ("Above_or_below", hot), ("Below", False), ("Inside", not hot)):
            yield Event(f"{_DEVICE}Status/Temperature/{name}", {}, {"sensor_level": _flag(level)})


def _power(state: State) -> Iterator[Event]:
    product, faults = state.product, state.faults
    short = "power_insufficient" in faults
    for number in range(product.supplies or int(product.has("power-settings"))):
        failed = number == 0 and ("power_supply_failed" in faults or short)
        yield Event(f"{_HARDWARE}/PowerSupplyFailure", {"power": str(number)}, {"power_critical": _flag(failed)})
    if product.has("power-settings"):
        yield Event(f"{_DEVICE}RingPowerLimitExceeded", {"input": "1"}, {"limit_exceeded": _flag("ring_power" in faults)})
    if product.ptz:
        yield Event(
            "tns1:Device/HardwareFailure/PowerSupplyFailure/tnsaxis:PTZPowerFailure",
            {"Token": "1"},
            {"Failed": _flag(short or "ptz_power_failed" in faults)},
        )
        yield Event("tns1:PTZController/tnsaxis:PTZReady", {"channel": "1"}, {"ready": _flag("ptz_not_ready" not in faults)})


def _picture(state: State) -> Iterator[Event]:
    product, faults = state.product, state.faults
    if product.kind in {Kind.CAMERA, Kind.INTERCOM}:
        yield Event("tns1:VideoSource/GlobalSceneChange/ImagingService", {"Source": "0"}, {"State": _flag("scene_change" in faults)})
        yield Event("tns1:VideoSource/tnsaxis:DayNightVision", {"VideoSourceConfigurationToken": "1"}, {"day": _flag("daynight_stuck" not in faults)})
        yield Event("tns1:VideoSource/tnsaxis:ABR", {"VideoSourceConfigurationToken": "1"}, {"abr_error": _flag("abr_error" in faults)})
    if product.video:
        yield Event("tns1:VideoSource/tnsaxis:LiveStreamAccessed", {}, {"accessed": _flag("no_stream" not in faults)})
    if product.infrared:
        yield Event(f"{_DEVICE}Light/Status", {"id": "0"}, {"state": "OFF"})
    for channel in range(1, product.video_inputs + 1):
        yield Event("tns1:VideoEncoder/tnsaxis:Connections", {"channel": str(channel)}, {"connected": _flag(channel > 1 or "video_lost" not in faults)})
    for number in range(product.audio_inputs):
        silent = "audio_lost" in faults and number == 0
        source = {"input": str(number)}
        yield Event("tnsaxis:AudioControl/DigitalSignalStatus", source, {"signal_status": "No signal" if silent else "OK"})
        yield Event("tnsaxis:AudioControl/DigitalSignalStatusNoSignal", source, {"signal_status_no_signal": _flag(silent)})
        yield Event("tnsaxis:AudioControl/DigitalSignalStatusOK", source, {"signal_status_ok": _flag(not silent)})


def _ports(state: State) -> Iterator[Event]:
    product, faults = state.product, state.faults
    if product.casing:
        yield Event(f"{_DEVICE}Casing/Open", {"Name": product.casing}, {"Open": _flag("casing_open" in faults)})
    for number in range(product.ports):
        yield Event(f"{_DEVICE}IO/Port", {"port": str(number)}, {"state": "0"})
    if product.has("supervised-io"):
        cut = "io_supervision" in faults
        yield Event(f"{_DEVICE}IO/SupervisedPort", {"port": "0"}, {"tampered": _flag(cut), "state": "cut" if cut else "open"})
    for interface in ("Any", "All", "eth0", "wlan0"):
        yield Event(f"{_DEVICE}Network/Lost", {"interface": interface}, {"lost": _flag(interface in {"Any", "wlan0"} and "network_lost" in faults)})
    if product.has("mqtt-client"):
        connected = product.mqtt and "mqtt_disconnected" not in faults
        yield Event(f"{_DEVICE}MQTT/ClientStatus", {}, {"active": _flag(product.mqtt), "connected": _flag(connected)})
    if product.kind is Kind.SENSOR:
        source = {"source": "AirQuality", "sensor_name": "CO2"}
        yield Event("tnsaxis:AirQualityMonitor/Alarm", source, {"active": _flag("air_alarm" in faults)})


def announced(state: State, fault: str, *, on: bool) -> list[Event]:
    """What switching this fault announces once, without a state."""
    siren = f"{_DEVICE}SirenAndLight/HealthCheck"
    match fault:
        case "siren_failed":
            return [Event(f"{siren}Done", {}, {}), Event(f"{siren}{'Failed' if on else 'Success'}", {}, {})]
        case "siren_light_failed":
            return [Event(f"{siren}Done", {}, {}), Event(f"{siren}{'LightFailed' if on else 'Success'}", {}, {})]
        case "speaker_test_failed":
            result = {"SpeakerTestStatus": "Failed" if on else "Passed"}
            return [Event(f"{_DEVICE}SpeakerTest/TestResult", {"DeviceUUID": f"00000000-0000-0000-0000-{state.serial.lower()}"}, result)]
        case "tampering" if on:
            return [Event("tns1:VideoSource/tnsaxis:Tampering", {"channel": "1"}, {"tampering": "1"})]
        case "ptz_error" if on:
            return [Event("tns1:PTZController/tnsaxis:PTZError", {"channel": "1"}, {"ptz_error": "pan motor: position lost"})]
        case "action_failed" if on:
            return [Event(f"{_DEVICE}SystemMessage/ActionFailed", {}, {"description": "sending a notification failed"})]
        case "link_degraded":
            moved = {"origin": "dhcp", "address": state.address}
            return [Event(f"{_DEVICE}Network/Address{kind}", {"interface": "eth0"}, moved) for kind in ("Removed", "Added")]
        case _:
            return []


def blocked(address: str) -> Event:
    return Event(f"{_DEVICE}Network/BlockedIP", {}, {"address": address})


def audited(kind: str, message: str) -> Event:
    return Event(f"{_DEVICE}Log/Audit", {}, {"class": kind, "message": message})


def matches(topic: str, pattern: str) -> bool:
    """Whether a topic is one of a filter: `//.` all, `a/b//.` a branch, `a/b` one topic; several with `|` between them."""
    for part in pattern.split("|"):
        branch, below, _ = part.strip().partition("//.")
        if topic == branch or (below and (not branch or topic.startswith(f"{branch}/"))):
            return True
    return False
