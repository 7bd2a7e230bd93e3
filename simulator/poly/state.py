"""What a simulated box is and does right now, without any network: identity, boot, faults, call, settings."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from simulator.poly.profiles import Profile


class Clock(Protocol):
    """The time a device lives by: tests turn it."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockoutPolicy:
    """`attempts` None: off. `lock_time` in seconds. `window` in seconds, None: failures count however old they are."""

    attempts: int | None = 10
    lock_time: float = 60.0
    window: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the box is set and how fast it is; times in seconds. The defaults of sessions and lockouts are those of an X30's export.

    `refuse_for`: no connection is accepted for that long after a restart; `boot_for`: until it is READY (really about 3 minutes).
    The web interface hangs once the session pool has been full for `hang_after` with `hang_logins` logins refused meanwhile (both guesses).
    `stale_tokens`: how many earlier XSRF tokens of a session are still taken; real devices' patience is unknown, 0 is the strictest.
    `missing`: endpoints (without `/rest`) that answer 404 besides those the firmware lacks.
    """

    max_sessions: int = 50
    idle_timeout: float = 600.0
    account_lockout: LockoutPolicy = LockoutPolicy()
    web_lockout: LockoutPolicy = LockoutPolicy()
    ssh_lockout: LockoutPolicy = LockoutPolicy(attempts=None)
    refuse_for: float = 60.0
    boot_for: float = 180.0
    hang_after: float = 600.0
    hang_logins: int = 5
    slow_by: float = 3.0
    log_bytes: int = 3_000_000
    log_seconds: float = 3.0
    https_only: bool = False
    stale_tokens: int = 0
    missing: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not (10 <= self.max_sessions <= 50 and self.max_sessions % 5 == 0):
            raise ValueError(f"max_sessions is {self.max_sessions}; the device takes 10 to 50 in steps of 5")
        if self.refuse_for > self.boot_for:
            raise ValueError(f"refuse_for ({self.refuse_for}) is longer than boot_for ({self.boot_for})")


class Phase(Enum):
    OFF = "no power"
    DARK = "just restarted: connections are refused"
    STARTING = "answers, but not all of it is up"
    UP = "running"


class Moment(Enum):
    RECEIVED = "the request was read whole"
    DONE = "the device has acted on it and answers next"
    SENT = "the answer has gone out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request of the web interface, as a witness sees it. `session`: the id in its cookie, or the one it opened. `status` 0 before DONE."""

    moment: Moment
    method: str
    path: str
    session: str = ""
    status: int = 0


Witness = Callable[[Exchange], Awaitable[int]]
"""Told of each request at each of its moments. Gives 0 for a device that goes on as it would; at RECEIVED the status of a bare HTML page that is
answered instead of acting, at DONE the same instead of its answer; -1: the connection is cut. What it awaits, the device waits for too.
"""


@dataclass(slots=True, kw_only=True)
class Counters:
    """What tests ask. `requests` by (method, path with `/rest/current` written as `/rest`); logins by way: http, ssh.

    `changes`: every call or command that would change the device, also one that failed, as `POST /rest/system/reboot` or `ssh reboot now`.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    logins_ok: Counter[str] = field(default_factory=Counter)
    logins_refused: Counter[str] = field(default_factory=Counter)
    changes: list[str] = field(default_factory=list)
    reboots: int = 0
    max_sessions: int = 0


class Box:
    """The state that REST, command line and tests look at. Everything that passes with time is worked out from the clock when asked."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        profile: Profile,
        room_name: str,
        serial: str,
        password: str,
        clock: Clock,
        tuning: Tuning,
        uptime: float,
        panel_address: str,
    ) -> None:
        self.name = name
        self.address = address
        self.profile = profile
        self.firmware = profile.firmware
        self.clock = clock
        self.tuning = tuning
        self.password = password
        self.panel_address = panel_address
        self.serial = serial or made_up_serial(profile.code, name)
        self.mac = mac_of(self.serial, name)
        self.panel_serial = made_up_serial("FD", f"{name} panel") if profile.panel else ""
        self.panel_mac = mac_of(self.panel_serial, f"{name} panel").replace(":", "") if profile.panel else ""
        self.e70_serial = made_up_serial("GK", f"{name} e70") if profile.e70 else ""
        self.room_name = room_name or f"{profile.model}-{self.serial[-8:]}"
        self.faults: set[str] = set()
        self.counters = Counters()
        self.settings: dict[str, str] = {}
        self.unreachable: set[str] = set()
        self.volume = 42
        self.muted = False
        self.call_since: datetime | None = None
        self.journal: deque[str] = deque(maxlen=400)
        self.witness: Witness | None = None
        self.started = clock.monotonic() - uptime

    def has(self, fault: str) -> bool:
        return fault in self.faults

    @property
    def uptime(self) -> float:
        return self.clock.monotonic() - self.started

    @property
    def phase(self) -> Phase:
        if self.has("unplugged"):
            return Phase.OFF
        if self.uptime < self.tuning.refuse_for:
            return Phase.DARK
        if self.uptime < self.tuning.boot_for or self.has("booting_stays"):
            return Phase.STARTING
        return Phase.UP

    @property
    def state_word(self) -> str:
        if self.phase is not Phase.UP:
            return "INITIALIZING"
        if self.has("updating"):
            return "UPDATING"
        return "ASLEEP" if self.has("asleep") else "READY"

    @property
    def system_time(self) -> datetime:
        """The device's own idea of the time: without its time server it runs ahead."""
        return self.clock.now() + (timedelta(seconds=97) if self.has("time_server_down") else timedelta())

    @property
    def device_mode(self) -> bool:
        return self.has("device_mode")

    @property
    def panel_there(self) -> bool:
        return bool(self.profile.panel) and not self.has("tc8_lost")

    @property
    def e70_there(self) -> bool:
        return self.profile.e70 and not self.has("e70_unplugged")

    @property
    def camera_works(self) -> bool:
        """Whether the people camera (built in, or the E70) delivers a picture."""
        return not self.has("camera_down") and (bool(self.profile.camera) or self.e70_there)

    @property
    def microphones(self) -> tuple[tuple[int, str], ...]:
        """Those that are connected: a lost one is the last of the list."""
        return self.profile.microphones[:-1] if self.has("mic_lost") else self.profile.microphones

    def note(self, line: str) -> None:
        """One line for the log bundle."""
        self.journal.append(f"{self.system_time:%Y-%m-%d %H:%M:%S.%f} {line}")


def made_up_serial(code: str, seed: str) -> str:
    """`8L` + year and week + six hex digits + the product's two letters, as Poly numbers its units; without a code ten characters, as HP does."""
    digest = hashlib.sha256(seed.encode()).hexdigest().upper()
    if not code:
        letters = "".join("BCDFGHJKLMNPQRSTVWXYZ"[int(digest[i : i + 2], 16) % 21] for i in (0, 2, 4))
        return f"8C{int(digest[6:8], 16) % 10}{4 + int(digest[8:10], 16) % 2}{1 + int(digest[10:14], 16) % 52:02d}{letters}{digest[20]}"
    year, week = 20 + int(digest[0], 16) % 5, 1 + int(digest[1:5], 16) % 52
    return f"8L{year:02d}{week:02d}{digest[5:11]}{code}"


def mac_of(serial: str, seed: str) -> str:
    """A Poly serial holds the last six hex digits of the MAC; other units get digits of their own."""
    tail = serial[6:12] if len(serial) == 14 else hashlib.sha256(seed.encode()).hexdigest()[-6:]
    return ":".join(("00", "e0", "db", *(tail[i : i + 2].lower() for i in (0, 2, 4))))
