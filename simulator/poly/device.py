"""A whole simulated VideoOS device, as the listener and the tests see it."""

from __future__ import annotations

import asyncio
import ssl

import asyncssh
from aiohttp import web

from agent.ports import SystemClock
from simulator import certs
from simulator.device import SnmpAgent
from simulator.poly.faults import faults_of
from simulator.poly.profiles import PROFILES, Profile
from simulator.poly.rest import Rest, public_path
from simulator.poly.sessions import Door, PoolFull, SessionPool
from simulator.poly.shell import CommandLine
from simulator.poly.state import Box, Clock, Counters, Phase, Tuning, Witness

_CONTROLLER = "192.0.2.50"  # a room controller with sessions of its own
_DAYS_UP = 3 * 86400.0 + 4217.31


class VideoOs:
    """One room system. `profile` is a key of PROFILES or a Profile of your own; `serial` '' makes one up out of the name.

    `uptime`: seconds it has been running already, 0 for a device that has just got power. `ssh_enabled`: the command line's switch.
    `snmp_agent`: what answers SNMP, off as delivered. `witness`: told of each request, and may meddle with it. `clock` offers `now()` and `monotonic()`.
    """

    def __init__(
        self,
        *,
        name: str,
        address: str,
        profile: str | Profile = "x30",
        room_name: str = "",
        serial: str = "",
        password: str = "Sternik-4711",
        clock: Clock | None = None,
        tuning: Tuning | None = None,
        uptime: float = _DAYS_UP,
        panel_address: str = "192.0.2.214",
        ssh_enabled: bool = True,
        snmp_agent: SnmpAgent | None = None,
        witness: Witness | None = None,
    ) -> None:
        if isinstance(profile, str) and profile not in PROFILES:
            raise ValueError(f"no profile {profile!r}; known are {', '.join(PROFILES)}")
        self.name = name
        self.address = address
        self.ssh_enabled = ssh_enabled
        self.box = Box(
            name=name,
            address=address,
            profile=PROFILES[profile] if isinstance(profile, str) else profile,
            room_name=room_name,
            serial=serial,
            password=password,
            clock=clock or SystemClock(),
            tuning=tuning or Tuning(),
            uptime=uptime,
            panel_address=panel_address,
        )
        self.box.witness = witness
        self.sessions = SessionPool(self.box)
        self._door = Door(self.box)
        self._rest = Rest(self.box, self.sessions, self._door, reboot=self.reboot)
        self._snmp_agent = snmp_agent
        self._certificate = 0
        self._context: ssl.SSLContext | None = None
        self._host_key: asyncssh.SSHKey | None = None
        self._transports: set[asyncio.Transport] = set()
        self._shells: set[asyncssh.SSHServerConnection] = set()
        self._hang_over = asyncio.Event()
        self._others_log_in()

    # --- what the listener asks ---

    @property
    def powered(self) -> bool:
        """False while the plug is out, and for the first while of a restart."""
        return self.box.phase not in (Phase.OFF, Phase.DARK)

    @powered.setter
    def powered(self, on: bool) -> None:
        unplugged = self.box.has("unplugged")
        if on and unplugged:
            self.box.faults.discard("unplugged")
            self.reboot()
        elif not on and not unplugged:
            self.box.faults.add("unplugged")
            self._drop_connections()

    def tls(self) -> ssl.SSLContext:
        if self._context is None:
            common_name = f"{self.box.profile.model}-{self.box.serial}"
            self._context = certs.server_context(f"{self.name} {self._certificate}", common_name, "Poly")
        return self._context

    async def http(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        """Answer one request; a hung interface never does, one that is off drops the connection."""
        if request.transport is not None:
            self._transports = {t for t in self._transports if not t.is_closing()} | {request.transport}
        if self.box.has("web_off") or (not secure and self.box.tuning.https_only):
            return _dropped(request)
        self.box.counters.requests[request.method, public_path(request.path)] += 1
        while self.hung:
            self._hang_over.clear()
            await self._hang_over.wait()
        if not self.powered:
            return _dropped(request)
        if self.box.has("slow"):
            await asyncio.sleep(self.box.tuning.slow_by)
        if not secure:
            return web.Response(status=301, headers={"Location": f"https://{self.address}{request.path_qs}"})
        return await self._rest.answer(request)

    def snmp(self) -> SnmpAgent | None:
        return self._snmp_agent

    def ssh(self) -> asyncssh.SSHServer | None:
        if not (self.ssh_enabled and self.powered):
            return None
        return CommandLine(self.box, self.sessions, self._door, reboot=self.reboot, opened=self._shells.add, closed=self._shells.discard)

    def ssh_host_key(self) -> asyncssh.SSHKey:
        if self._host_key is None:
            self._host_key = certs.host_key(self.name)
        return self._host_key

    def faults(self) -> dict[str, str]:
        return faults_of(self.box.profile)

    async def switch(self, fault: str, on: bool) -> None:
        known = self.faults()
        if fault not in known:
            raise KeyError(f"{self.name} has no fault {fault!r}; known are {', '.join(sorted(known))}")
        match fault:
            case "reboot":
                if on:
                    self.reboot()
                return
            case "certificate_changed":
                if on:
                    self._renew_certificate()
                return
            case "unplugged":
                self.powered = not on
                return
        if on == self.box.has(fault):
            return
        (self.box.faults.add if on else self.box.faults.discard)(fault)
        match fault:
            case "in_call":
                self.box.call_since = self.box.clock.now() if on else None
            case "sessions_full" if on:
                self._fill_pool()
            case "sessions_full":
                self.sessions.end_all(location=_CONTROLLER)
            case "tc8_lost" if on:
                self.sessions.end_all(location=self.box.panel_address)
            case "tc8_lost":
                self._panel_logs_in()
            case "hang" | "web_off" if not on:
                self._hang_over.set()
            case "web_off":
                self._drop_web()

    # --- what tests ask and do ---

    @property
    def counters(self) -> Counters:
        return self.box.counters

    @property
    def hung(self) -> bool:
        """The web interface accepts and never answers."""
        return self.box.has("hang") or self.sessions.hung

    def reboot(self) -> None:
        """Restart now: connections drop, sessions and the call end, the certificate is new, nothing answers for a while."""
        box = self.box
        box.counters.reboots += 1
        box.started = box.clock.monotonic()
        box.call_since = None
        box.faults -= {"hang", "in_call", "in_meeting", "reboot_needed"}
        box.note("INFO system restarted")
        self.sessions.end_all()
        self.sessions.hung = False
        self._renew_certificate()
        self._drop_connections()
        self._others_log_in()

    def _others_log_in(self) -> None:
        """The panel's session, and the room controller's when it takes all there are."""
        self._panel_logs_in()
        if self.box.has("sessions_full"):
            self._fill_pool()

    def _panel_logs_in(self) -> None:
        if self.box.panel_there:
            try:
                self.sessions.open("WEB", self.box.panel_address, kept=True)
            except PoolFull:
                self.box.note("WARN the touch panel found no free session")

    def _fill_pool(self) -> None:
        while len(self.sessions) < self.box.tuning.max_sessions:
            self.sessions.open("WEB", _CONTROLLER, kept=True)

    def _renew_certificate(self) -> None:
        self._certificate += 1
        self._context = None

    def _drop_connections(self) -> None:
        self._drop_web()
        for shell in list(self._shells):
            shell.abort()

    def _drop_web(self) -> None:
        for transport in self._transports:
            if not transport.is_closing():  # Python 3.11.2 breaks at the abort of one that is closed
                transport.abort()
        self._transports.clear()
        self._hang_over.set()


def _dropped(request: web.BaseRequest) -> web.Response:
    """Cut the connection; what is returned reaches nobody."""
    if request.transport is not None and not request.transport.is_closing():
        request.transport.abort()
    return web.Response(status=503)
