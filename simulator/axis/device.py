"""A whole simulated Axis device, as the listener and the tests see it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import asyncssh
from aiohttp import web

from agent.ports import Clock, SystemClock
from simulator import certs
from simulator.axis import cgi, json_api, params, stream, topics
from simulator.axis.auth import Account, BadAuthorization, Gate, Role, Unauthorized
from simulator.axis.call import Call, Insufficient, as_json, missing_item, page
from simulator.axis.faults import faults_of
from simulator.axis.generation import Policy
from simulator.axis.mib import mib_of
from simulator.axis.product import DOME_11, Product
from simulator.axis.state import Counters, LogLine, State, Tuning
from simulator.axis.traps import Receiver, Traps
from simulator.device import SnmpAgent
from simulator.snmp.agent import Access, Agent
from simulator.snmp.usm import User

DEMO_PASSWORD = "Kotwica-2026"
ACCOUNTS: Mapping[str, Account] = {
    "root": Account(password=DEMO_PASSWORD, role=Role.ADMINISTRATOR),
    "operator": Account(password=DEMO_PASSWORD, role=Role.OPERATOR),
    "viewer": Account(password=DEMO_PASSWORD, role=Role.VIEWER),
}
_NO_SNMP = Access()
_PROMPT = Tuning()
_DAYS_UP = 3 * 86400.0 + 5021.0
_ENGINE_PREFIX = bytes.fromhex("8000017003")  # enterprise 368, format: MAC address


class AxisDevice:
    """One device. `serial` '' makes one up out of the name; `policy` None is that of the firmware generation.

    `uptime`: seconds it has been running already. `snmp`: who may ask over SNMP, nobody as delivered.
    `recorder`: the address that fetches its picture.
    """

    def __init__(
        self,
        *,
        name: str,
        address: str,
        product: Product = DOME_11,
        serial: str = "",
        accounts: Mapping[str, Account] = ACCOUNTS,
        policy: Policy | str | None = None,
        snmp: Access = _NO_SNMP,
        clock: Clock | None = None,
        tuning: Tuning = _PROMPT,
        uptime: float = _DAYS_UP,
        recorder: str = "192.0.2.20",
    ) -> None:
        self.name = name
        self.address = address
        self.product = product
        self.accounts = dict(accounts)
        self.access = snmp
        serial = serial or "B8A44F" + hashlib.sha256(name.encode()).hexdigest()[:6].upper()
        self.state = State(product=product, serial=serial, address=address, clock=clock or SystemClock(), tuning=tuning, uptime=uptime)
        generation = product.generation
        self._gate = Gate(
            realm=f"AXIS_{serial}",
            policy=Policy(policy) if policy else generation.policy,
            qop=generation.qop,
            throttling=generation.throttling,
            clock=self.state.clock,
        )
        self.recorder = recorder
        self._hub = stream.Hub(self.state)
        self._traps = Traps(self.state, self._signed)
        self._agent: Agent[State] | None = None
        self._contexts: dict[tuple[str, datetime], ssl.SSLContext] = {}
        self._transports: set[asyncio.Transport] = set()
        self._hang_over = asyncio.Event()

    # --- what the listener asks ---

    @property
    def powered(self) -> bool:
        """False while the plug is out, and for the first while of a restart."""
        return self.state.powered

    @powered.setter
    def powered(self, on: bool) -> None:
        if on == self.state.plugged:
            return
        self.state.plugged = on
        if on:
            self.state.faults.discard("unplugged")
            self._restart()
        else:
            self.state.faults.add("unplugged")
            self._drop_connections()

    def tls(self) -> ssl.SSLContext:
        seed, ends = self.certificate_seed(), self.certificate_ends()
        if (seed[0], ends) not in self._contexts:
            newest = ssl.TLSVersion.TLSv1_3 if self.product.generation.tls13 else ssl.TLSVersion.TLSv1_2
            self._contexts[seed[0], ends] = certs.server_context(*seed, newest=newest, ends=ends)
        return self._contexts[seed[0], ends]

    def certificate_ends(self) -> datetime:
        """When the certificate that is shown now ends; the same all day."""
        today = self.state.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        if "certificate_expired" in self.state.faults:
            return today - timedelta(days=3)
        return today + timedelta(days=10) if "certificate_expiring" in self.state.faults else certs.NOT_AFTER

    def certificate_seed(self) -> tuple[str, str, str]:
        """Arguments for `simulator.certs.fingerprint` of the certificate that is shown now, beside `ends`."""
        changed = "certificate_changed" in self.state.faults
        return f"{self.name} {2 if changed else 1}", f"axis-{self.state.serial.lower()}", "Axis Communications AB"

    def snmp(self) -> SnmpAgent | None:
        if not self.access.enabled:
            return None
        return self.agent

    @property
    def agent(self) -> Agent[State]:
        """The SNMP agent, for tests that look into it."""
        if self._agent is None:
            state = self.state
            self._agent = Agent(
                mib_of(self.product),
                state,
                access=self.access,
                engine=_ENGINE_PREFIX + bytes.fromhex(state.serial),
                boots=lambda: state.boots,
                time=lambda: state.uptime,
            )
        return self._agent

    def _signed(self, pdu: bytes, user: User) -> bytes:
        return self.agent.notification(pdu, user)

    def ssh(self) -> asyncssh.SSHServer | None:
        """SSH is off on every device whose parameters were recorded, and closed to administrators of AXIS OS."""
        return None

    def ssh_host_key(self) -> asyncssh.SSHKey:
        return certs.host_key(self.name)

    def faults(self) -> dict[str, str]:
        return faults_of(self.product)

    @property
    def active(self) -> frozenset[str]:
        """The faults that are on."""
        return frozenset(self.state.faults)

    @property
    def counters(self) -> Counters:
        return self.state.counters

    def traps_to(self, address: str, port: int, *, version: int = 2) -> None:
        """Send traps there from now on, as v2c with the community of the device or as v3 with its first user.

        Raises ValueError for an address outside 127.0.0.0/8, and for a version that the device is not set up for.
        """
        if version not in {2, 3} or (version == 3 and not self.access.users):
            raise ValueError(f"{self.name} cannot send traps with SNMP version {version}")
        user = self.access.users[0] if version == 3 else None
        self._traps.receiver = Receiver(address=address, port=port, community=self.access.community, user=user)

    async def switch(self, fault: str, on: bool) -> None:
        known = self.faults()
        if fault not in known:
            raise KeyError(f"{self.name} has no fault {fault!r}; known are {', '.join(sorted(known))}")
        if fault == "reboot":
            if on:
                self._restart()
            return
        if on == (fault in self.state.faults):
            return
        (self.state.faults.add if on else self.state.faults.discard)(fault)
        match fault:
            case "unplugged":
                self.powered = not on
            case "crashed":
                self._restart(crash=on)
            case "hang" if not on:
                self._hang_over.set()
        if on and (line := _LOG_LINES.get(fault)):
            self.state.note(*line)
        self._hub.tell(*topics.announced(self.state, fault, on=on))
        if on and fault == "stream_closes":
            self._hub.close()
        self._traps.switched(fault, on=on)

    # --- requests ---

    async def http(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        """Answer one request."""
        state = self.state
        if request.transport is not None:
            self._transports = {transport for transport in self._transports if not transport.is_closing()} | {request.transport}
        state.counters.requests[request.path] += 1
        while "hang" in state.faults:
            self._hang_over.clear()
            await self._hang_over.wait()
        if "slow" in state.faults:
            await state.clock.sleep(state.tuning.slow)
        if "html_errors" in state.faults:
            return page("Error", "An internal error has occurred.", state=state, status=200)
        client = request.remote or ""
        if self._gate.blocked(client):
            state.counters.throttled += 1
            return page("Forbidden", "Too many failed attempts. Try again later.", state=state, status=403)
        try:
            return await self._answer(request, secure=secure)
        except BadAuthorization as error:
            return page("Bad Request", f"The Authorization header is not valid: {error}.", state=state, status=400)
        except Unauthorized as error:
            if error.refused:
                state.counters.refused_logins += 1
                self._refused(client)
            else:
                state.counters.challenges += 1
            return self._unauthorized(secure=secure, stale=error.stale)

    def _refused(self, client: str) -> None:
        """A wrong login goes into the logs; too many shut the client out for a while."""
        state, message = self.state, f"{client}: authentication failure"
        state.note("WARN", "httpd[487]", message)
        self._gate.failed(client)
        if self.product.has("audit-log"):
            state.audit.append(LogLine(at=state.now(), level="WARN", process="httpd[487]", text=message))
            self._hub.tell(topics.audited("authentication", message))
        if self._gate.blocked(client):
            self._hub.tell(topics.blocked(client))

    async def _answer(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        path = request.path
        api, plain = json_api.APIS.get(path), cgi.CGIS.get(path)
        if not path.startswith(("/axis-cgi/", "/config/", "/vapix/", "/local/")):
            return page("Not Found", "The requested URL was not found on this server.", state=self.state, status=404)
        if path == stream.PATH and self.product.has("event-streaming-over-websocket"):
            return await self._stream(request, secure=secure)
        gone = self.product.generation.gone.get(path)
        offered = not gone and ((api is not None and self.product.has(api.id)) or (plain is not None and plain.offered(self.product)))
        asks = Role.VIEWER if not offered else min([api.level, *api.levels.values()]) if api else plain.level if plain else Role.VIEWER
        user = ""
        refusal = Unauthorized()
        if asks > Role.ANONYMOUS or "Authorization" in request.headers:
            try:
                user = self._gate.check(request, self._known(), secure=secure)
                self.state.counters.logins[user] += 1
            except Unauthorized as error:
                if asks > Role.ANONYMOUS:
                    raise
                refusal = error  # what needs no account does not look at it
        if not offered:
            if path.startswith("/config/") and self.product.has("device-config"):
                return missing_item()
            if gone:
                return page("Not available", "The requested interface is not available.", state=self.state, status=gone)
            return page("Not Found", "The requested URL was not found on this server.", state=self.state, status=404)
        call = await self._call(request, user, secure=secure)
        try:
            if api is not None:
                return await json_api.answer(api, call)
            assert plain is not None
            call.require(plain.level)
            return await plain.answer(call)
        except Insufficient:
            if not user:
                raise refusal from None
            return self._forbidden(secure=secure)

    async def _stream(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        """An event stream, for a token or for an account that may."""
        if (token := request.query.get("wssession")) is not None:
            if not self._hub.redeem(token):
                return self._unauthorized(secure=secure)
        else:
            user = self._gate.check(request, self._known(), secure=secure)
            self.state.counters.logins[user] += 1
            if self._known()[user].role < Role.OPERATOR:
                return self._forbidden(secure=secure)
        if "events" not in request.query.get("sources", "").split(",") or not web.WebSocketResponse().can_prepare(request):
            return page("Bad Request", "Not a request for an event stream.", state=self.state, status=400)
        return await self._hub.serve(request)

    async def _call(self, request: web.BaseRequest, user: str, *, secure: bool) -> Call:
        account = self._known().get(user)
        form = request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}
        return Call(
            request=request,
            state=self.state,
            secure=secure,
            body=b"" if form else await request.read(),
            role=account.role if account else Role.ANONYMOUS,
            user=user,
            password=account.password if account else "",
            accounts={name: known.role for name, known in self._known().items()},
            parameters=self._parameters,
            policy=self._gate.policy,
            restart=lambda: self._after_answer(self._restart),
            reset=lambda: self._after_answer(self._reset),
            token=self._hub.token,
            certificate=self._certificate,
            snmp=self.access,
            recorder=self.recorder,
        )

    def _certificate(self) -> tuple[str, datetime]:
        ends = self.certificate_ends()
        return certs.certificate(*self.certificate_seed(), ends=ends)[0].decode(), ends

    def _known(self) -> Mapping[str, Account]:
        """The accounts as they are now: none on a device that waits for its set-up."""
        if "needs_setup" in self.state.faults:
            return {}
        if "wrong_password" in self.state.faults:
            return {name: Account(password=account.password + " changed", role=account.role) for name, account in self.accounts.items()}
        return self.accounts

    def _parameters(self) -> dict[str, str]:
        access = self.access
        snmp = {
            "Enabled": "yes" if access.enabled else "no",
            "V1": "yes" if access.v1 else "no",
            "V2c": "yes" if access.v2c else "no",
            "V3": "yes" if access.users else "no",
            "V1ReadCommunity": access.community,
            "InitialUserPasswdSet": "yes" if access.users else "no",
            "InitialUserPasswd": params.MASK if access.users else "",
        }
        return params.tree(self.state, policy=self._gate.policy, snmp=snmp)

    def _unauthorized(self, *, secure: bool, stale: bool = False) -> web.StreamResponse:
        state = self.state
        if self.product.generation.json_401:
            response: web.Response = as_json({"status": "error", "error": {"code": 401, "message": "Unauthorized"}}, status=401)
        else:
            response = page("Unauthorized", "Your client is not authorized to access this document.", state=state, status=401)
        for challenge in self._gate.challenges(secure=secure, stale=stale):
            response.headers.add("WWW-Authenticate", challenge)
        return response

    def _forbidden(self, *, secure: bool) -> web.StreamResponse:
        """The credential was right, the account may not: 401 or 403, by generation."""
        self.state.counters.forbidden += 1
        if self.product.generation.forbidden == 401:
            return self._unauthorized(secure=secure)
        return page("Forbidden", "You do not have permission to access this document.", state=self.state, status=403)

    # --- life ---

    def _restart(self, *, crash: bool = False) -> None:
        self.state.restart(crash=crash)
        if not crash:
            self.state.faults.discard("crashed")
        self._hub.close()
        dark = self.state.tuning.dark
        if dark:
            self._drop_connections()
        if settle := self.state.tuning.settle:
            asyncio.get_running_loop().call_later(dark + settle, self._hub.tell)  # that it is ready now
        if self._traps.receiver is None:
            return
        if dark:
            asyncio.get_running_loop().call_later(dark, self._traps.started)
        else:
            self._traps.started()

    def _after_answer(self, change: Callable[[], None]) -> None:
        """What a request set off happens when it has been answered; at once where it takes no time."""
        if self.state.tuning.dark:
            asyncio.get_running_loop().call_later(0.1, change)
        else:
            change()

    def _reset(self) -> None:
        """Factory default: the accounts are gone."""
        self.state.faults.add("needs_setup")
        self.state.parameters.clear()
        self._restart()

    def _drop_connections(self) -> None:
        for transport in self._transports:
            if not transport.is_closing():  # Python 3.11.2 breaks at the abort of one that is closed
                transport.abort()
        self._transports.clear()
        self._hang_over.set()


_LOG_LINES = {
    "sd_failed": ("ERR", "storaged[611]", "SD_DISK: I/O error, the file system cannot be mounted"),
    "sd_removed": ("WARN", "storaged[611]", "SD_DISK: the card was removed"),
    "sd_full": ("WARN", "storaged[611]", "SD_DISK: no space left"),
    "sd_readonly": ("ERR", "storaged[611]", "SD_DISK: remounted read-only"),
    "sd_worn": ("WARN", "storaged[611]", "SD_DISK: the card is worn"),
    "recording_stopped": ("WARN", "recordingd[640]", "continuous recording stopped"),
    "share_lost": ("ERR", "storaged[611]", "NetworkShare: mounting failed"),
    "share_disconnected": ("ERR", "storaged[611]", "NetworkShare: the host does not answer"),
    "disk_failed": ("ERR", "storaged[611]", "HARD_DISK_1: I/O error"),
    "overheating": ("WARN", "thermald[402]", "the temperature is above the limit of the sensor"),
    "sensor_nonsense": ("ERR", "thermald[402]", "reading the sensor failed"),
    "sensor_sentinel": ("ERR", "thermald[402]", "reading the sensor failed"),
    "fan_failed": ("ERR", "thermald[402]", "fan 0: no rotation"),
    "heater_failed": ("ERR", "thermald[402]", "heater 0: no current"),
    "power_insufficient": ("ERR", "powerd[398]", "the power that was granted is not enough"),
    "poe_class_low": ("WARN", "powerd[398]", "the PoE class is lower than asked for"),
    "power_supply_failed": ("CRIT", "powerd[398]", "power supply 0: no voltage"),
    "light_error": ("ERR", "lightd[455]", "led0: driver failure"),
    "link_degraded": ("WARN", "netd[312]", "eth0: link up, 10 Mbit/s half duplex"),
    "ntp_unsynced": ("WARN", "ntpd[344]", "no server can be reached"),
    "mqtt_disconnected": ("WARN", "mqttd[520]", "connection to the broker lost"),
    "sip_unregistered": ("WARN", "sipd[533]", "registration failed: 403"),
    "app_stopped": ("ERR", "acapd[701]", "application ended with status 139"),
    "ptz_error": ("ERR", "ptzd[566]", "pan motor: position lost"),
    "pending_commit": ("INFO", "fwmgr[377]", "the new firmware waits for its confirmation"),
}
