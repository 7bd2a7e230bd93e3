"""What may be asked of a codec, and nothing else: every request passes one closed table of reads."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from agent.errors import Busy, CollectError, NotSupported, Reason
from agent.model import Device
from agent.ports import Clock
from collectors.poly.lenient import is_null
from collectors.poly.session import ManagementSession, Visit
from collectors.poly.settings import PolySettings, settings_of
from collectors.transport import Shell, SshConnection, raise_for_status

READS: Final = frozenset(
    {
        "/rest/system",
        "/rest/system/status",
        "/rest/system/mode",
        "/rest/system/mode/device",
        "/rest/system/apps",
        "/rest/system/apps/state",
        "/rest/system/sipservers",
        "/rest/system/h323gatekeepers",
        "/rest/system/logs",
        "/rest/audio",
        "/rest/audio/microphones",
        "/rest/cameras/near/all",
        "/rest/conferences",
        "/rest/calendar",
        "/rest/current/session/sessions",
        "/rest/provisioning/config",
    }
)
"""Paths of GET."""

DEVICES: Final = "/rest/devicemanagement/devices"
PING: Final = "/rest/system/network/ping"
TRACEROUTE: Final = "/rest/system/network/traceroute"
CONFIG: Final = "/rest/config"

COMMANDS: Final = frozenset({"whoami", "status", "callinfo all"})
"""Lines of the command line."""

_PAUSE: Final = 0.2  # seconds the command line wants between two commands
_BODY_LIMIT: Final = 512 * 1024


def _names_only(body: Any) -> bool:
    """`{"vars": ...}` on the same path writes settings."""
    return isinstance(body, dict) and body.keys() == {"names"} and isinstance(body["names"], list) and all(isinstance(n, str) for n in body["names"])


def _destination(body: Any) -> bool:
    return isinstance(body, dict) and body.keys() == {"destination"} and isinstance(body["destination"], str)


def _filter(body: Any) -> bool:
    return body is None or (isinstance(body, dict) and body.keys() == {"deviceState"} and isinstance(body["deviceState"], str))


QUESTIONS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType({DEVICES: _filter, CONFIG: _names_only, PING: _destination, TRACEROUTE: _destination})
"""Paths of POST that only ask, each with what its body may be."""


def permitted(method: str, path: str, body: Any = None) -> bool:
    """Whether this is a request that changes nothing on the device."""
    if method == "GET":
        return path in READS and body is None
    return method == "POST" and path in QUESTIONS and QUESTIONS[path](body)


class PolyClient:
    """Reads of one device during one visit.

    `starting`: whether the codec said in this visit that it is starting, None while it said nothing. What is missing then will come.
    """

    def __init__(self, *, device: Device, session: ManagementSession, visit: Visit, ssh: SshConnection, clock: Clock) -> None:
        self.starting: bool | None = None
        self._device = device
        self._session = session
        self._visit = visit
        self._ssh = ssh
        self._clock = clock
        self._shell: Shell | None = None

    @property
    def settings(self) -> PolySettings:
        return settings_of(self._device)

    def now(self) -> datetime:
        return self._clock.now()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The session's id and its newest token: who has them is logged in."""
        return self._session.secrets

    async def get(self, path: str, *, optional: bool = False) -> str:
        """The text of a GET. `optional`: JSON null means that the codec does not have it in this mode. Raises CollectError and its kinds."""
        return await self._ask("GET", path, None, optional=optional)

    async def post(self, path: str, body: Any) -> str:
        """The text of a question that is asked by POST."""
        return await self._ask("POST", path, body, optional=False)

    async def _ask(self, method: str, path: str, body: Any, *, optional: bool) -> str:
        if not permitted(method, path, body):
            raise ValueError(f"{method} {path} with this body is not in the table of reads")
        sent = json.dumps(body, separators=(",", ":")).encode() if method == "POST" else None
        answer = await self._session.request(self._visit, method, path, body=sent, limit=_BODY_LIMIT)
        try:
            raise_for_status(answer)
            text = answer.text()
            if optional and is_null(text):
                raise NotSupported(f"{method} {path} answered null")
        except NotSupported as error:
            if self.starting:
                raise Busy(Reason.BOOTING, f"{error.detail}, while the codec is starting") from None
            raise
        return text

    async def stream(self, path: str, *, limit: int, timeout: float) -> AsyncGenerator[bytes, None]:
        """A long body in pieces."""
        if not permitted("GET", path):
            raise ValueError(f"GET {path} is not in the table of reads")
        async with aclosing(self._session.stream(self._visit, path, limit=limit, timeout=timeout)) as pieces:
            async for piece in pieces:
                yield piece

    async def command(self, line: str) -> str:
        """The answer of the SSH command line, which counts as a management session: not while we have one over REST."""
        if line not in COMMANDS:
            raise ValueError(f"{line!r} is not in the table of commands")
        if self._shell is None:
            await self._session.make_way(self._visit)
            self._shell = await self._ssh.shell(prompt="-> ", ready="SNMP Enabled:")
        else:
            await self._clock.sleep(_PAUSE)
        answer = await self._shell.command(line)
        if answer.strip().startswith("error:"):
            raise NotSupported(f"SSH {line}: {answer.strip()[:80]}")
        return answer


def too_large(what: str, limit: int) -> CollectError:
    return CollectError(Reason.TOO_LARGE, f"{what} is larger than {limit >> 20} MiB (`log_bundle_limit`)")
