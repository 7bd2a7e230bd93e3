"""The inside of one Axis device: when it started, what its sensors and disks show, what its log says. Everything follows the clock."""

from __future__ import annotations

import hashlib
import math
import uuid
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from agent.ports import Clock
from simulator.axis.product import Product, Sensor

NONSENSE = 999.0  # °C; working clients discard 200 and more
SENTINEL = -128.0  # °C; and -50 and less
OFFSET = 95.5  # seconds; what a clock that is off is off by


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    at: datetime
    level: str
    process: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How slow the device is, in seconds. `dark`: a restart until it answers again; `settle`: from then until it is ready.

    `report`: what a server report takes; `slow`: what each answer takes with the fault of that name.
    """

    dark: float = 0.0
    settle: float = 0.0
    report: float = 0.0
    slow: float = 5.0


@dataclass(slots=True)
class Counters:
    """What a test may want to know. `sessions_open` is always 0: VAPIX has no sessions.

    `tokens` were given for event streams, `refused_tokens` came and were not good. `streams` were opened, `streams_open` are.
    `notifications`: event frames that were sent. `traps`: SNMP notifications.

    `refused_logins` were wrong; `challenges` came without a credential; `forbidden` were right, of an account that may not.
    `changes`: everything that changes the device, by what was asked.
    """

    requests: Counter[str] = field(default_factory=Counter)
    logins: Counter[str] = field(default_factory=Counter)
    refused_logins: int = 0
    challenges: int = 0
    forbidden: int = 0
    throttled: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    reports: int = 0
    reports_running: int = 0
    reports_at_once: int = 0
    reboots: int = 0
    sessions_open: int = 0
    tokens: int = 0
    refused_tokens: int = 0
    streams: int = 0
    streams_open: int = 0
    streams_at_once: int = 0
    notifications: int = 0
    traps: Counter[str] = field(default_factory=Counter)


class Storage(Enum):
    """What is in a slot."""

    OK = "OK"
    UNMOUNTED = "connected"
    FAILED = "failed"
    EMPTY = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One storage device as disks/list.cgi lists it. Sizes in kB; `wear` in % of its life; `kelvin` its temperature; `verdict` 1 is good.

    What is not known is -1, what could not be read -2, what is not there -3.
    """

    id: str
    state: Storage
    group: str
    file_system: str
    size: int = 0
    free: int = 0
    wear: int = -1
    kelvin: int = -1
    verdict: int = -1
    full: bool = False
    readonly: bool = False


class State:
    """All that changes on a device. `serial` is its MAC address, twelve hexadecimal digits."""

    def __init__(self, *, product: Product, serial: str, address: str, clock: Clock, tuning: Tuning, uptime: float) -> None:
        self.product = product
        self.serial = serial
        self.address = address
        self.clock = clock
        self.tuning = tuning
        self.faults: set[str] = set()
        self.parameters: dict[str, str] = {}
        self.counters = Counters()
        self.log: deque[LogLine] = deque(maxlen=400)
        self.audit: deque[LogLine] = deque(maxlen=200)
        self.plugged = True
        self.boots = 1
        self.crash = False
        self.born = clock.monotonic()
        self._started = self.born - uptime
        self._dark_until = self._ready_at = self._started
        self._boot_lines()

    # --- starting ---

    def restart(self, *, crash: bool = False) -> None:
        """Start anew now: dark for a while, then not ready for a while."""
        if crash:
            self.note("CRIT", "kernel", "Kernel panic - not syncing: Fatal exception in interrupt")
        self.counters.reboots += 1
        self.boots += 1
        self.crash = crash
        self._started = self.clock.monotonic()
        self._dark_until = self._started + self.tuning.dark
        self._ready_at = self._dark_until + self.tuning.settle
        self._boot_lines()

    @property
    def powered(self) -> bool:
        return self.plugged and self.clock.monotonic() >= self._dark_until

    @property
    def settling(self) -> float:
        """Seconds until the device is ready by itself, 0 when it is."""
        return max(0.0, self._ready_at - self.clock.monotonic())

    @property
    def ready(self) -> bool:
        return "not_ready" not in self.faults and self.settling == 0

    @property
    def uptime(self) -> float:
        return max(0.0, self.clock.monotonic() - self._started)

    @property
    def boot_id(self) -> str:
        """A UUID, new with each start."""
        return str(uuid.UUID(bytes=hashlib.md5(f"{self.serial} {self.boots}".encode(), usedforsecurity=False).digest(), version=4))

    # --- log ---

    def now(self) -> datetime:
        """What the device takes the time for."""
        return self.clock.now() + timedelta(seconds=OFFSET if "clock_offset" in self.faults else 0)

    def note(self, level: str, process: str, text: str) -> None:
        self.log.append(LogLine(at=self.now(), level=level, process=process, text=text))

    def _boot_lines(self) -> None:
        started = self.clock.now() - timedelta(seconds=self.uptime)
        version = f"{self.product.short_name} {self.product.firmware}"
        for offset, process, text in (
            (0, "kernel", f"Booting on {self.product.soc}"),
            (4, "systemd[1]", "Reached target Basic System"),
            (7, "netd[312]", f"eth0: link up, 100 Mbit/s, address {self.address}"),
            (12, "httpd[487]", "Server configured, resuming normal operations"),
            (16, "systemd[1]", f"{version} is ready"),
        ):
            self.log.append(LogLine(at=started + timedelta(seconds=offset), level="INFO", process=process, text=text))

    # --- what it measures ---

    def celsius(self, number: int) -> float:
        """What sensor `number` shows: its own resting value with a slow wave of half a degree."""
        sensor = self.product.sensors[number]
        if number == 0 and "sensor_nonsense" in self.faults:
            return NONSENSE
        if number == 0 and "sensor_sentinel" in self.faults:
            return SENTINEL
        wave = 0.5 * math.sin(self.clock.monotonic() / 300 + zlib.crc32(f"{self.serial}{number}".encode()))
        if "overheating" in self.faults:
            rest = sensor.high + 4.0 if number == 0 else min(sensor.base + 18.0, sensor.high - 2.0)
            return rest + wave
        return sensor.base + wave

    def out_of_bounds(self, number: int) -> bool:
        sensor: Sensor = self.product.sensors[number]
        return not sensor.low <= self.celsius(number) <= sensor.high

    def fan_failed(self, number: int) -> bool:
        return number == 0 and "fan_failed" in self.faults

    def heater_failed(self, number: int) -> bool:
        return number == 0 and "heater_failed" in self.faults

    def fan_running(self, number: int) -> bool:
        return not self.fan_failed(number) and bool(self.product.sensors) and self.celsius(0) > 45

    def heater_running(self, number: int) -> bool:
        return not self.heater_failed(number) and bool(self.product.sensors) and self.celsius(0) < 15

    def application(self, name: str) -> str:
        """The status of an installed application, '' for one that is not there."""
        if name not in self.product.apps or (name == "AXISImageHealthAnalytics" and "analytics_missing" in self.faults):
            return ""
        if name == "AXISImageHealthAnalytics" and "analytics_stopped" in self.faults:
            return "Stopped"
        if name == self.product.apps[0] and "app_stopped" in self.faults:
            return "Stopped"
        return "Idle" if name == "loiteringguard" and "app_licence_expired" in self.faults else "Running"

    def recording(self) -> bool:
        """Whether the device records to its own card."""
        usable = any(disk.id == "SD_DISK" and disk.state is Storage.OK and not disk.readonly for disk in self.disks())
        return usable and "recording_stopped" not in self.faults

    def disks(self) -> list[Disk]:
        """The SD slot, where there is one, the built-in disks, and the network share, which need not be set up."""
        slots = [] if self.product.sd_card is None else [self._card(self.product.sd_card)]
        built_in = [self._hard_disk(number, size) for number, size in enumerate(self.product.hard_disks, 1)]
        return [*slots, *built_in, self._share()]

    def _free(self, size: int) -> int:
        return int(size * (0.35 + 0.1 * math.sin(self.clock.monotonic() / 3600)))

    def _card(self, size: int) -> Disk:
        faults = self.faults
        if not size or "sd_removed" in faults:
            return Disk(id="SD_DISK", state=Storage.EMPTY, group="S0", file_system="ext4", wear=-3, kelvin=-3, verdict=-3)
        if "sd_failed" in faults:
            return Disk(id="SD_DISK", state=Storage.FAILED, group="S0", file_system="ext4", size=size, wear=-2, kelvin=311, verdict=0)
        wear, kelvin, verdict = (-1, -2, -1) if "sd_sentinels" in faults else (104 if "sd_worn" in faults else 11, 311, 1)
        full = "sd_full" in faults
        return Disk(
            id="SD_DISK",
            state=Storage.OK,
            group="S0",
            file_system="ext4",
            size=size,
            free=0 if full else self._free(size),
            full=full,
            readonly="sd_readonly" in faults,
            wear=wear,
            kelvin=kelvin,
            verdict=verdict,
        )

    def _hard_disk(self, number: int, size: int) -> Disk:
        """The names of the built-in disks of a recorder are ours."""
        failed = number == 1 and "disk_failed" in self.faults
        return Disk(
            id=f"HARD_DISK_{number}",
            state=Storage.FAILED if failed else Storage.OK,
            group=f"S{number + 1}",
            file_system="ext4",
            size=size,
            free=0 if failed else self._free(size),
            kelvin=-2 if failed else 309,
            verdict=0 if failed else 1,
        )

    def _share(self) -> Disk:
        size = self.product.share
        if not size or "share_disconnected" in self.faults:
            return Disk(id="NetworkShare", state=Storage.EMPTY, group="S1", file_system="cifs", wear=-3, kelvin=-3, verdict=-3)
        if "share_lost" in self.faults:
            return Disk(id="NetworkShare", state=Storage.UNMOUNTED, group="S1", file_system="cifs", size=0)
        return Disk(id="NetworkShare", state=Storage.OK, group="S1", file_system="cifs", size=size, free=self._free(size))
