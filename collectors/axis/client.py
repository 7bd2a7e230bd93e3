"""What can be asked of an Axis device: a closed table of reads, and one visit's client that can send nothing else.

Promise 10: the agent changes nothing on a device. `READS` names every request there is; the client refuses any other before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agent.errors import BadPayload, Busy, CollectError, Forbidden, NotSupported, Reason
from agent.model import Device
from agent.ports import Clock
from collectors.axis.parse import Timed, parameter_errors, word
from collectors.axis.parse_storage import xml, xml_error
from collectors.axis.settings import AxisSettings, settings_of
from collectors.transport import HttpAnswer, HttpConnection, SnmpConnection, raise_for_status

API_VERSION: Final = "1.0"
"""Devices take any minor version within the major one; what apidiscovery lists can disagree with the API's own answer."""

BASIC_DEVICE_INFO: Final = "/axis-cgi/basicdeviceinfo.cgi"
SYSTEM_READY: Final = "/axis-cgi/systemready.cgi"
FIRMWARE: Final = "/axis-cgi/firmwaremanagement.cgi"
PARAMETERS: Final = "/axis-cgi/param.cgi"
TEMPERATURES: Final = "/axis-cgi/temperaturecontrol.cgi?action=statusall"
DISKS: Final = "/axis-cgi/disks/list.cgi?diskid=all"
DISK_HEALTH: Final = "/axis-cgi/disks/gethealth.cgi"
SYSTEM_LOG: Final = "/axis-cgi/systemlog.cgi"
REPORT_TEXT: Final = "/axis-cgi/serverreport.cgi?mode=text"
REPORT_ZIP: Final = "/axis-cgi/serverreport.cgi?mode=zip"
REPORT_PICTURE: Final = "/axis-cgi/serverreport.cgi?mode=zip_with_image"

JSON_READS: Final = frozenset(
    {
        (BASIC_DEVICE_INFO, "getAllUnrestrictedProperties"),
        (BASIC_DEVICE_INFO, "getAllProperties"),
        (SYSTEM_READY, "systemready"),
        (FIRMWARE, "status"),
    }
)
GET_READS: Final = frozenset({TEMPERATURES, DISKS, DISK_HEALTH, SYSTEM_LOG, REPORT_TEXT, REPORT_ZIP, REPORT_PICTURE})
IDENTITY_GROUPS: Final = ("root.Brand", "root.Properties.Firmware", "root.Properties.System")
_GROUP: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*")

_UNKNOWN_CODES: Final = frozenset({300, 404, 405, 410, 417, 501, 2002, 2003, 2004, 2100})
_FORBIDDEN_CODES: Final = frozenset({401, 403, 2001})


class ForbiddenRequestError(Exception):
    """Somebody tried to send something that is not in the table of reads: a bug of ours, never a device's doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisClient:
    """One visit to one device.

    `account` is a credential's role: '' for none, 'http' for polling, 'service' for what needs an administrator.
    Errors are those of `agent.errors.CollectError`; besides, an error in the body of a 200 is raised as what it says.
    What an account was never allowed to read is NotSupported; Forbidden is what it could read before and no longer may.

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
        async with self._entered(path, account):
            answer = await self.http.request("POST", path, account=self._sent(account), json={"apiVersion": API_VERSION, "method": method})
            _checked(answer)
            payload = answer.json()
            if not isinstance(payload, dict):
                raise BadPayload(f"{path} {method}: the answer is no JSON object")
            error = json_error(path, method, payload)
            if error is not None:
                raise error
            return payload

    async def open_api(self, path: str, method: str) -> dict[str, Any]:
        """As `json_api`, without a credential; a device that wants one for it is asked again with the polling account, where there is one."""
        try:
            return await self.json_api(path, method, account="")
        except Forbidden:
            if self.device.http_credential() is None:
                raise
        return await self.json_api(path, method)

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
        async with (
            self._entered(target, account),
            aclosing(self.http.stream("GET", target, account=self._sent(account), params=params, limit=limit, timeout=timeout)) as body,
        ):
            async for piece in body:
                yield piece

    async def _get(self, path: str, account: str) -> HttpAnswer:
        target, params = _readable_request(path)
        async with self._entered(path, account):
            answer = await self.http.request("GET", target, account=self._sent(account), params=params)
            _checked(answer)
            return answer

    def _sent(self, account: str) -> str:
        """The role whose credential goes along: none where none is configured, for what the device may tell anybody."""
        return account if account and self.device.http_credential(account) is not None else ""

    @asynccontextmanager
    async def _entered(self, path: str, account: str) -> AsyncIterator[None]:
        """Around one request: the account is good before it is tried where it may lack the right, and what it was let into is remembered."""
        credential = self.device.http_credential(account) if account else None
        if credential is None:
            try:
                yield
            except Forbidden as error:
                if not account:
                    raise
                raise NotSupported(f"{error.detail}, and none is configured for it") from error
            return
        holder = f"{self.device.id}/{account}/{credential.version}"
        known = self.readable.setdefault(holder, set())
        if path not in known and path not in FOR_EVERY_ACCOUNT and account not in self.shown_good:
            await self._show_good(account)
        try:
            yield
        except Forbidden as error:
            if path in known:
                raise
            raise NotSupported(error.detail) from error
        known.add(path)

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
    if path not in GET_READS and not _is_parameter_list(target, params):
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
    code, message = told.get("code"), word(told.get("message"))
    said = f"{path} {method} answered error {word(code) or '?'}: {message or 'no message'}"
    if code in _UNKNOWN_CODES or "unknown method" in message.lower() or "not supported" in message.lower():
        return NotSupported(said)
    if code in _FORBIDDEN_CODES:
        return Forbidden(Reason.FORBIDDEN, said)
    if code == 503:
        return Busy(Reason.BOOTING, said)
    return CollectError(Reason.HTTP_STATUS, said)
