"""What can be asked of an Axis device: a closed table of reads, and one visit's client that can send nothing else.

Promise 10: the agent changes nothing on a device. `READS` names every request there is; the client refuses any other before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agent.errors import BadPayload, Busy, CollectError, Forbidden, NotSupported, Reason
from agent.model import Device
from agent.ports import Clock
from collectors.axis.known import Known
from collectors.axis.parse import Timed, number, parameter_errors, word
from collectors.axis.parse_storage import xml, xml_error
from collectors.axis.settings import AxisSettings, settings_of
from collectors.transport import HttpAnswer, HttpConnection, SnmpConnection, raise_for_status
from collectors.transport.challenge import parse_challenges

API_VERSION: Final = "1.0"
"""Devices take any minor version within the major one; what apidiscovery lists can disagree with the API's own answer."""

BASIC_DEVICE_INFO: Final = "/axis-cgi/basicdeviceinfo.cgi"
SYSTEM_READY: Final = "/axis-cgi/systemready.cgi"
FIRMWARE: Final = "/axis-cgi/firmwaremanagement.cgi"
PARAMETERS: Final = "/axis-cgi/param.cgi"
TEMPERATURES: Final = "/axis-cgi/temperaturecontrol.cgi?action=statusall"
DISKS: Final = "/axis-cgi/disks/list.cgi?diskid=all"
DISK_HEALTH: Final = "/axis-cgi/disks/gethealth.cgi"
APPLICATIONS: Final = "/axis-cgi/applications/list.cgi"
API_DISCOVERY: Final = "/axis-cgi/apidiscovery.cgi"
POWER: Final = "/axis-cgi/power-settings.cgi"
NTP: Final = "/axis-cgi/ntp.cgi"
LIGHTS: Final = "/axis-cgi/lightcontrol.cgi"
PORTS: Final = "/axis-cgi/io/portmanagement.cgi"
SIREN: Final = "/axis-cgi/siren_and_light.cgi"
MQTT: Final = "/axis-cgi/mqtt/client.cgi"
NETWORK: Final = "/axis-cgi/network_settings.cgi"
STREAMS: Final = "/axis-cgi/streamstatus.cgi"
DISCOVER: Final = "/config/discover"
IMAGE_HEALTH: Final = "/local/AXISImageHealthAnalytics/v1/status"
CALL_SERVICE: Final = "/vapix/call"
WEBSOCKET_TOKEN: Final = "/axis-cgi/wssession.cgi"  # noqa: S105 - a path
SYSTEM_LOG: Final = "/axis-cgi/systemlog.cgi"
AUDIT_LOG: Final = "/axis-cgi/auditlog.cgi?tail=1000"
REPORT_TEXT: Final = "/axis-cgi/serverreport.cgi?mode=text"
REPORT_ZIP: Final = "/axis-cgi/serverreport.cgi?mode=zip"
REPORT_PICTURE: Final = "/axis-cgi/serverreport.cgi?mode=zip_with_image"

JSON_READS: Final = frozenset(
    {
        (BASIC_DEVICE_INFO, "getAllUnrestrictedProperties"),
        (BASIC_DEVICE_INFO, "getAllProperties"),
        (SYSTEM_READY, "systemready"),
        (FIRMWARE, "status"),
        (API_DISCOVERY, "getApiList"),
        (POWER, "getPowerStatus"),
        (NTP, "getNTPInfo"),
        (LIGHTS, "getLightInformation"),
        (PORTS, "getPorts"),
        (SIREN, "getHealthCheckStatus"),
        (MQTT, "getClientStatus"),
        (NETWORK, "getNetworkInfo"),
        (STREAMS, "getAllStreams"),
    }
)
GET_READS: Final = frozenset(
    {TEMPERATURES, DISKS, DISK_HEALTH, SYSTEM_LOG, AUDIT_LOG, REPORT_TEXT, REPORT_ZIP, REPORT_PICTURE, APPLICATIONS, DISCOVER, IMAGE_HEALTH, WEBSOCKET_TOKEN}
)
IDENTITY_GROUPS: Final = ("root.Brand", "root.Properties.Firmware", "root.Properties.System")
CALL_READS: Final = frozenset({"GetCallStatus", "GetSIPAccountStatus"})
_REST: Final = re.compile(
    r"/config/rest/(?:(?:cert|network-time-sync|lldp)/v[0-9]{1,3}(?:alpha|beta)?"
    r"|lldp/v[0-9]{1,3}(?:alpha|beta)?/neighbors|siren-and-light/v[0-9]{1,3}(?:alpha|beta)?/maintenanceMode)"
)
"""Of the interface for configuration; which version a device has, /config/discover tells."""
_GROUP: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*")

_UNKNOWN_CODES: Final = frozenset({300, 404, 405, 410, 417, 501, 2002, 2003, 2004, 2100})
_FORBIDDEN_CODES: Final = frozenset({401, 403, 2001})


class ForbiddenRequestError(Exception):
    """Somebody tried to send something that is not in the table of reads: a bug of ours, never a device's doing."""


@dataclass(slots=True, kw_only=True)
class AxisClient:
    """One visit to one device.

    `account` is a credential's role: '' for none, 'http' for polling, 'service' for what needs an administrator.
    Errors are those of `agent.errors.CollectError`; besides, an error in the body of a 200 is raised as what it says.
    What an account was never allowed to read is NotSupported; Forbidden is what it could read before and no longer may.

    `known` is what the collector remembers of the device, from visit to visit.
    `readable` holds, by account (`device/role/version`), the paths it was let into; the collector keeps it from visit to visit.
    An account is first shown to be good on something every account may read: many devices answer 401 both to a wrong password
    and to an account without the right, and only then can the two be told apart.
    """

    device: Device
    http: HttpConnection
    snmp: SnmpConnection
    clock: Clock
    readable: dict[str, set[str]]
    shown_good: set[str] = field(default_factory=set)
    known: Known = field(default_factory=Known)

    @property
    def settings(self) -> AxisSettings:
        return settings_of(self.device.settings)

    @property
    def requests(self) -> int:
        """HTTP requests sent in this visit."""
        return self.http.requests

    @property
    def service_account(self) -> str:
        """The role to ask with for what needs an administrator: the polling account where no other is configured."""
        return "service" if self.device.http_credential("service") is not None else "http"

    def timed(self, payload: object) -> Timed:
        """An answer with the time at which it came."""
        now: datetime = self.clock.now()
        return Timed(payload=payload, at=now)

    async def json_api(self, path: str, method: str, *, account: str = "http") -> dict[str, Any]:
        """POST one JSON call; the whole answer object, free of an error."""
        if (path, method) not in JSON_READS:
            raise ForbiddenRequestError(f"{method} of {path} is not in the table of reads")
        known = await self._known(path, account)
        try:
            answer = await self.http.request("POST", path, account=account if known is not None else "", json={"apiVersion": API_VERSION, "method": method})
            _checked(answer)
            payload = answer.json()
            if not isinstance(payload, dict):
                raise BadPayload(f"{path} {method}: the answer is no JSON object")
            said = json_error(path, method, payload)
            if said is not None:
                raise said
        except Forbidden as error:
            self._weigh(error, path, account, known)
            raise
        if known is not None:
            known.add(path)
        return payload

    async def open_api(self, path: str, method: str) -> dict[str, Any]:
        """As `json_api`, without a credential; a device that wants one for it is asked again with the polling account, where there is one."""
        try:
            return await self.json_api(path, method, account="")
        except Forbidden:
            if self.device.http_credential() is None:
                raise
        return await self.json_api(path, method)

    async def rest(self, path: str, *, account: str = "http") -> dict[str, Any]:
        """GET one JSON object. Errors of these interfaces come with a status of their own, or with status 200 and the word `error`."""
        payload = (await self._get(path, account)).json()
        if not isinstance(payload, dict):
            raise BadPayload(f"{path}: the answer is no JSON object")
        if payload.get("status") == "error":
            error = payload.get("error")
            raise CollectError(Reason.HTTP_STATUS, f"{path} answered: {word(error.get('message')) if isinstance(error, dict) else 'an error'}")
        return payload

    async def call_service(self, method: str, *, account: str = "http") -> dict[str, Any]:
        """POST one method of the call service of intercoms (unverified). NotSupported for its `Fault`."""
        if method not in CALL_READS:
            raise ForbiddenRequestError(f"{method} of {CALL_SERVICE} is not in the table of reads")
        known = await self._known(CALL_SERVICE, account)
        try:
            answer = await self.http.request("POST", CALL_SERVICE, account=account if known is not None else "", json={f"axcall:{method}": {}})
            _checked(answer)
        except Forbidden as error:
            self._weigh(error, CALL_SERVICE, account, known)
            raise
        payload = answer.json()
        if not isinstance(payload, dict):
            raise BadPayload(f"{CALL_SERVICE} {method}: the answer is no JSON object")
        if "Fault" in payload:
            raise NotSupported(f"{CALL_SERVICE} {method}: the device answers with a fault")
        if known is not None:
            known.add(CALL_SERVICE)
        return payload

    async def realms(self, path: str) -> list[str]:
        """The realms for which the device wants an account, when it is asked without one. NotSupported where it wants none."""
        target, params = _readable_request(path)
        answer = await self.http.request("GET", target, account="", params=params)
        if answer.status != 401:
            raise NotSupported(f"{answer.request} answered {answer.status} without an account")
        return [challenge.realm for challenge in parse_challenges(answer.headers.getall("WWW-Authenticate", []))]

    async def shown_certificate(self) -> bytes:
        """The certificate that this visit's connection is shown, in DER; one is made where there is none yet. NotSupported without TLS."""
        if not self.http.certificate:
            try:
                await self.http.request("GET", "/", account="")
            except CollectError as error:
                if error.reason is not Reason.TOO_LARGE:
                    raise
        if not self.http.certificate:
            raise NotSupported("the connection was shown no certificate")
        return self.http.certificate

    async def param(self, *groups: str, account: str = "http") -> str:
        """The `key=value` lines of these parameter groups, or of all when none is named. NotSupported when the device has none of them."""
        return await self.text(parameters_path(groups), account=account)

    async def text(self, path: str, *, account: str = "http") -> str:
        """GET a text. NotSupported when the whole answer is `# Error` lines."""
        text = (await self._get(path, account)).text()
        if parameter_errors(text):
            raise NotSupported(f"{path.partition('?')[0]}: {word(text.strip().splitlines()[0])}")
        return text

    async def xml(self, path: str, *, account: str = "http") -> bytes:
        """GET an XML document that is no error. CollectError(HTTP_STATUS) with the device's words when it is one."""
        body = (await self._get(path, account)).body
        # What has no such word is no error, and is parsed once, by the facet's parser; NUL: an encoding in which the word has other bytes.
        said = xml_error(xml(body)) if b"error" in body.lower() or b"\0" in body else ""
        if said:
            raise CollectError(Reason.HTTP_STATUS, f"{path.partition('?')[0]} answered: {said}")
        return body

    async def stream(self, path: str, *, account: str, limit: int, timeout: float) -> AsyncGenerator[bytes, None]:
        """GET a long body in pieces. `limit` in bytes, `timeout` in seconds. Close it when leaving early."""
        target, params = _readable_request(path)
        known = await self._known(target, account)
        sent = account if known is not None else ""
        try:
            async with aclosing(self.http.stream("GET", target, account=sent, params=params, limit=limit, timeout=timeout)) as body:
                async for piece in body:
                    yield piece
        except Forbidden as error:
            self._weigh(error, target, account, known)
            raise
        if known is not None:
            known.add(target)

    async def _get(self, path: str, account: str) -> HttpAnswer:
        target, params = _readable_request(path)
        known = await self._known(path, account)
        try:
            answer = await self.http.request("GET", target, account=account if known is not None else "", params=params)
            _checked(answer)
        except Forbidden as error:
            self._weigh(error, path, account, known)
            raise
        if known is not None:
            known.add(path)
        return answer

    async def _known(self, path: str, account: str) -> set[str] | None:
        """The paths this account was let into; None where none is configured: the device is asked without, for what it may tell anybody.

        Ahead of a request: the account is shown to be good before it is tried where it may lack the right.
        """
        credential = self.device.http_credential(account) if account else None
        if credential is None:
            return None
        known = self.readable.setdefault(f"{self.device.id}/{account}/{credential.version}", set())
        if path not in known and path not in FOR_EVERY_ACCOUNT and account not in self.shown_good:
            await self._show_good(account)
        return known

    def _weigh(self, error: Forbidden, path: str, account: str, known: set[str] | None) -> None:
        """Raises NotSupported in place of a refusal of what this account could never read."""
        if known is None and account:
            raise NotSupported(f"{error.detail}, and none is configured for it") from error
        if known is not None and path not in known:
            raise NotSupported(error.detail) from error

    async def _show_good(self, account: str) -> None:
        """Log in where every account may read. Raises LoginRefused when the account is not good. A device that has neither interface is no Axis device."""
        try:
            await self.json_api(BASIC_DEVICE_INFO, "getAllProperties", account=account)
        except (NotSupported, BadPayload):
            with suppress(NotSupported):
                await self.param(*IDENTITY_GROUPS, account=account)
        self.shown_good.add(account)


def _checked(answer: HttpAnswer) -> None:
    if answer.status == 401:  # only of a request that carries no credential
        raise Forbidden(Reason.FORBIDDEN, f"{answer.request} wants an account")
    raise_for_status(answer)


def _readable_request(path: str) -> tuple[str, str]:
    """(path, query) of a request in the table of reads. Raises ForbiddenRequestError for any other."""
    target, _, params = path.partition("?")
    if path not in GET_READS and not _REST.fullmatch(path) and not _is_parameter_list(target, params):
        raise ForbiddenRequestError(f"GET {path} is not in the table of reads")
    return target, params


def parameters_path(groups: Sequence[str]) -> str:
    """The request for these parameter groups. Commas are sent encoded, as devices were seen to take them."""
    query = "action=list" + (f"&group={'%2C'.join(groups)}" if groups else "")
    return f"{PARAMETERS}?{query}"


FOR_EVERY_ACCOUNT: Final = frozenset({BASIC_DEVICE_INFO, parameters_path(IDENTITY_GROUPS)})
"""What the lowest account may read."""


def _is_parameter_list(target: str, params: str) -> bool:
    if target != PARAMETERS:
        return False
    action, _, group = params.partition("&group=")
    return action == "action=list" and (params == action or all(_GROUP.fullmatch(g) for g in group.split("%2C")))


def json_error(path: str, method: str, payload: dict[str, Any]) -> CollectError | None:
    """The error a JSON answer with status 200 holds, or None.

    Codes seen or documented: 2001 forbidden, 2003 unsupported version, 2004 unknown method, 300 not supported by this product; HTTP-like codes.
    """
    error = payload.get("error")
    if error is None:
        return None
    told = error if isinstance(error, dict) else {}
    code, message = number(told.get("code")), word(told.get("message"))
    said = f"{path} {method} answered error {word(told.get('code')) or '?'}: {message or 'no message'}"
    if code in _UNKNOWN_CODES or "unknown method" in message.lower() or "not supported" in message.lower():
        return NotSupported(said)
    if code in _FORBIDDEN_CODES:
        return Forbidden(Reason.FORBIDDEN, said)
    if code == 503:
        return Busy(Reason.BOOTING, said)
    return CollectError(Reason.HTTP_STATUS, said)
