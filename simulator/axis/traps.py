"""SNMP notifications of a device: AXIS-VIDEO-MIB alarmNew, alarmCleared and alarmSingle, and coldStart."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from simulator.axis.mib import ENTERPRISE
from simulator.axis.state import State
from simulator.snmp import ber, trap, usm
from simulator.snmp.mib import Oid

_NOTIFICATIONS = (*ENTERPRISE, 4, 2)
NEW, CLEARED, SINGLE = ((*_NOTIFICATIONS, 0, number) for number in (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where traps go, on this machine only: as SNMP v2c with this community, or as v3 where a user is named."""

    address: str
    port: int
    community: str = "public"
    user: usm.User | None = None

    def __post_init__(self) -> None:
        if not ipaddress.IPv4Address(self.address).is_loopback:
            raise ValueError(f"simulated traps go to an address in 127.0.0.0/8, not to {self.address}")
        if not 0 < self.port < 65536:
            raise ValueError(f"a port for traps is 1 to 65535, not {self.port}")


class Alarm(NamedTuple):
    """What a trap says of a fault; `single`: it is told once and has no end."""

    name: str
    text: str
    single: bool = False


_STORAGE = "Edge Storage Operation"
ALARMS: dict[str, Alarm] = {
    "sd_failed": Alarm(_STORAGE, "Storage device SD_DISK needs attention"),
    "sd_removed": Alarm(_STORAGE, "Storage device SD_DISK needs attention"),
    "sd_worn": Alarm(_STORAGE, "Storage device SD_DISK is worn"),
    "share_lost": Alarm(_STORAGE, "Storage device NetworkShare needs attention"),
    "share_disconnected": Alarm(_STORAGE, "Storage device NetworkShare needs attention"),
    "disk_failed": Alarm(_STORAGE, "Storage device HARD_DISK_1 needs attention"),
    "fan_failed": Alarm("Fan Operation", "Fan 0 does not turn"),
    "heater_failed": Alarm("Heater Operation", "Heater 0 does not heat"),
    "overheating": Alarm("Temperature", "The temperature is above its limit"),
    "power_insufficient": Alarm("Power Supply", "Power is not sufficient"),
    "power_supply_failed": Alarm("Power Supply", "Power supply 0 has failed"),
    "ptz_power_failed": Alarm("Power Supply", "The PTZ unit has no power"),
    "casing_open": Alarm("Casing", "The casing is open"),
    "video_lost": Alarm("Video Signal", "Channel 1 has no signal"),
    "audio_lost": Alarm("Audio Signal", "Channel 1 has no signal"),
    "network_lost": Alarm("Network", "An interface is lost"),
    "mqtt_disconnected": Alarm("MQTT", "The client is not connected"),
    "scene_change": Alarm("Camera Scene", "The scene has changed"),
    "io_supervision": Alarm("Supervised Input", "Port 0 is tampered with"),
    "tampering": Alarm("Camera Tampering", "The view is blocked, moved or out of focus", single=True),
    "ptz_error": Alarm("PTZ", "The unit reports an error", single=True),
    "siren_failed": Alarm("Siren", "The self test failed", single=True),
    "siren_light_failed": Alarm("Light", "The self test failed", single=True),
    "speaker_test_failed": Alarm("Speaker", "The self test failed", single=True),
}


class Traps:
    """The traps of one device. `signed` makes a v3 message out of a PDU for a user. An alarm that ends carries the number it began with."""

    def __init__(self, state: State, signed: Callable[[bytes, usm.User], bytes]) -> None:
        self._state = state
        self._signed = signed
        self._numbers = count(1)
        self._requests = count(1)
        self._running: dict[str, int] = {}
        self.receiver: Receiver | None = None

    def switched(self, fault: str, *, on: bool) -> None:
        """Tell the receiver, where there is one, of a fault that came or went."""
        alarm = ALARMS.get(fault)
        if alarm is None or self.receiver is None:
            return
        if on:
            number = next(self._numbers)
            if not alarm.single:
                self._running[fault] = number
            self._send("alarmSingle" if alarm.single else "alarmNew", SINGLE if alarm.single else NEW, _bindings(number, alarm))
        elif (running := self._running.pop(fault, None)) is not None:
            self._send("alarmCleared", CLEARED, _bindings(running, alarm))

    def started(self) -> None:
        """The device has started; alarms that ran are forgotten."""
        self._running.clear()
        if self.receiver is not None:
            self._send("coldStart", trap.COLD_START, [])

    def _send(self, name: str, oid: Oid, bindings: list[tuple[Oid, bytes]]) -> None:
        """One datagram from the device's own address. Nobody may be listening: UDP does not say."""
        receiver, state = self.receiver, self._state
        if receiver is None or not state.powered:
            return
        body = trap.pdu(next(self._requests), state.uptime, oid, bindings)
        message = self._signed(body, receiver.user) if receiver.user else trap.v2c(receiver.community, body)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((state.address, 0))
            sender.sendto(message, (receiver.address, receiver.port))
        state.counters.traps[name] += 1


def _bindings(number: int, alarm: Alarm) -> list[tuple[Oid, bytes]]:
    values = (ber.gauge32(number), ber.octets(alarm.name), ber.octets(alarm.text))
    return [((*_NOTIFICATIONS, place), value) for place, value in enumerate(values, 1)]
