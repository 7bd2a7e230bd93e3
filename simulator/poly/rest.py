"""The REST interface: sessions, tokens, routes, and the ways in which it refuses."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from simulator.poly import bundle, media, payloads, settings
from simulator.poly.profiles import Refusal, Xsrf
from simulator.poly.sessions import Door, PoolFull, Session, SessionPool, shown
from simulator.poly.state import Box, Exchange, Moment, Phase, Witness

_CHUNK = 65536
_READING_POSTS = frozenset({"/session", "/devicemanagement/devices", "/system/network/ping", "/system/network/traceroute"})
_CALL_PATH = re.compile(r"^/conferences/(?P<id>[^/]+)(?P<rest>(?:/[a-z]+)?)$")

# While the box starts, single endpoints answer with an error or with null; which ones was never recorded.
_NOT_YET: Mapping[str, int | None] = {
    "/audio": 404,
    "/audio/microphones": None,
    "/cameras/near/all": None,
    "/conferences": 404,
    "/devicemanagement/devices": 403,
    "/system/apps/state": 404,
    "/system/status": None,
}
_BROKEN_PAGES = frozenset({"/system/status", "/cameras/near/all", "/devicemanagement/devices"})
_NOT_UNDER_APPS = frozenset({"/system/sipservers", "/system/h323gatekeepers", "/calendar", "/calendar/meetings"})
_NOT_AS_CAMERA = _NOT_UNDER_APPS | {"/conferences", "/conferences/capabilities", "/collaboration"}

_GET: Mapping[str, Callable[[Box], Any]] = {
    "/audio": media.audio,
    "/audio/microphones": media.microphones,
    "/audio/muted": lambda box: box.muted,
    "/audio/volume": lambda box: box.volume,
    "/calendar": media.calendar,
    "/calendar/meetings": lambda _: [],
    "/calllog/entries": media.call_log,
    "/cameras/contentstatus": media.content_status,
    "/cameras/near/all": media.cameras,
    "/cameras/near/content": lambda box: [c for c in media.cameras(box) if c["sourceType"] == "SRC_CONTENT"],
    "/cameras/near/people": lambda box: [c for c in media.cameras(box) if c["sourceType"] == "SRC_PEOPLE"],
    "/collaboration": media.collaboration,
    "/conferences": media.conferences,
    "/conferences/capabilities": media.call_capabilities,
    "/mediastats": lambda _: {"vars": []},
    "/system": payloads.system,
    "/system/apps": payloads.apps,
    "/system/apps/all": payloads.apps_all,
    "/system/apps/state": payloads.apps_state,
    "/system/h323gatekeepers": payloads.gatekeepers,
    "/system/mode": payloads.mode,
    "/system/mode/device": lambda box: {"result": box.device_mode},
    "/system/mode/signage": lambda _: {"result": False},
    "/system/sipservers": payloads.sip_servers,
    "/system/status": payloads.status,
    "/system/time": payloads.time,
    "/system/time/local": lambda box: box.system_time.isoformat(),
    "/video/local/mute": lambda _: {"result": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back, headers of the session aside."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    reboots: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Rest:
    """The web interface of one box."""

    def __init__(self, box: Box, pool: SessionPool, door: Door, *, reboot: Callable[[], None]) -> None:
        self._box = box
        self._pool = pool
        self._door = door
        self._reboot = reboot
        self._last_login = ("", 0)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that came over TLS."""
        path = _short(request.path)
        if path is None:
            return _plain(Answer(body=_page("VideoOS"), content_type="text/html") if request.path == "/" else _html(404))
        body = await request.read()
        if request.method == "POST" and request.content_type != "application/json":
            return _plain(_html(415))  # unverified: every known client sends it, so nobody knows what comes without
        if _changes(request.method, path, body):
            self._box.counters.changes.append(f"{request.method} /rest{path}")
        if self._box.witness is None:
            return await self._act(request, path, body)
        return await self._witnessed(self._box.witness, request, path, body)

    async def _witnessed(self, witness: Witness, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        """The same before a witness. Between RECEIVED and DONE nothing is awaited: who is gone by then is served all the same."""
        seen = Exchange(moment=Moment.RECEIVED, method=request.method, path=f"/rest{path}", session=_cookies(request).get("session_id", ""))
        if verdict := await witness(seen):
            return self._instead(request, verdict)
        before = self._pool.newest
        response = await self._act(request, path, body)
        session = self._pool.newest if self._pool.newest != before else seen.session
        seen = replace(seen, moment=Moment.DONE, session=session, status=response.status)
        if verdict := await witness(seen):
            return self._instead(request, verdict)
        if not response.prepared:
            await response.prepare(request)
            await response.write_eof()
        await witness(replace(seen, moment=Moment.SENT))
        return response

    def _instead(self, request: web.BaseRequest, verdict: int) -> web.Response:
        if verdict < 0 and request.transport is not None and not request.transport.is_closing():
            request.transport.abort()
        return _plain(_html(max(verdict, 400)))

    async def _act(self, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        if path == "/session":
            found = self._login(request, body) if request.method == "POST" else self._logout(request) if request.method == "DELETE" else (_html(405), None)
            return self._response(*found)
        session = self._session(request, path)
        if session is None:
            return self._response(self._no_session(), None)
        if request.method == "GET" and path == "/system/logs" and not self._missing(path):
            return await self._logs(request, session)
        answer = self._route(request.method, path, body)
        response = self._response(answer, session)
        if answer.reboots:
            await response.prepare(request)
            await response.write_eof()
            self._reboot()
        return response

    # --- sessions ---

    def _login(self, request: web.BaseRequest, body: bytes) -> tuple[Answer, Session | None]:
        wish = _parsed(body)
        if not isinstance(wish, dict) or not isinstance(wish.get("user"), str) or not isinstance(wish.get("password"), str):
            return self._refusal(400, "SessionRequestInvalid"), None
        if self._pool.find(_cookies(request).get("session_id", "")):
            return self._refusal(400, "SessionAlreadyActive"), None
        if self._door.port_locked("http"):
            self._box.counters.logins_refused["http"] += 1
            return self._refusal(400, "SessionPortLockout"), None
        if not self._door.let_in("http", wish["user"], wish["password"]):
            match self._box.firmware.refusal:
                case Refusal.BAD_REQUEST:
                    return self._refusal(400, "SessionRequestInvalid"), None
                case Refusal.SUCCESS_FALSE:
                    return self._refusal(200, ""), None
                case Refusal.FORBIDDEN:
                    return self._refusal(403, "SessionInvalidUserNamePassword"), None
        status = self._login_status()
        location = request.remote or ""
        try:
            session = self._pool.open("WEB", location)
        except PoolFull:
            return self._refusal(403, "SessionMaxActiveSessionsReached"), None
        self._last_login = (location, int(self._box.system_time.timestamp() * 1000))
        answer = self._json({"loginStatus": status, "session": shown(session), "success": True})
        # The id goes out as it is: '+', '/' and '=' unquoted.
        return replace(answer, headers={"Set-Cookie": f"session_id={session.id}; Path=/; Secure; HttpOnly"}), session

    def _login_status(self) -> dict[str, Any]:
        client, at = self._last_login
        return {
            "failedLogins": self._door.failed_logins,
            "isPasswordAgeLimitReached": False,
            "lastLoginClient": client,
            "lastLoginClientType": "WEB",
            "lastLoginTime": at,
            # Any other word than NOLOCKOUT means locked; which one was not recorded.
            "loginResult": "PORTLOCKOUT" if self._door.port_locked("http") else "ACCOUNTLOCKOUT" if self._door.account_locked else "NOLOCKOUT",
        }

    def _refusal(self, status: int, reason: str) -> Answer:
        return self._json({"loginStatus": self._login_status(), "success": False} | ({"reason": reason} if reason else {}), status=status)

    def _logout(self, request: web.BaseRequest) -> tuple[Answer, None]:
        session = self._session(request, "/session")
        if session is None:
            old = self._box.firmware.refusal is Refusal.BAD_REQUEST
            return (self._json({"reason": "SessionNoActiveSession", "success": False}, status=400) if old else self._no_session()), None
        self._pool.end(session.id)
        return self._json({"success": True}), None

    def _session(self, request: web.BaseRequest, path: str) -> Session | None:
        """The session this request belongs to, when cookies and token are as the firmware wants them."""
        cookies = _cookies(request)
        session = self._pool.find(cookies.get("session_id", ""))
        if session is None:
            return None
        xsrf = self._box.firmware.xsrf
        if xsrf is Xsrf.EVERYWHERE or (xsrf is Xsrf.EXCEPT_SESSION and path != "/session"):
            header = request.headers.get("X-XSRF-TOKEN")
            if header != cookies.get("XSRF-TOKEN") or header not in (session.token, *session.stale_tokens):
                return None
        return session

    def _no_session(self) -> Answer:
        if self._box.firmware.html_403:
            return _html(403)
        return self._json({"reason": "SessionNoActiveSession", "success": False}, status=403)

    # --- answers ---

    def _missing(self, path: str) -> bool:
        box = self._box
        gone = box.firmware.missing | box.tuning.missing
        if box.device_mode:
            gone |= _NOT_AS_CAMERA
        elif not payloads.sip_in_use(box):
            gone |= _NOT_UNDER_APPS
        return path in gone

    def _route(self, method: str, path: str, body: bytes) -> Answer:
        box = self._box
        if self._missing(path):
            return _html(404)
        if box.phase is Phase.STARTING and path in _NOT_YET:
            status = _NOT_YET[path]
            return _html(status) if status else self._json(None)
        if box.has("html_errors") and path in _BROKEN_PAGES:
            return Answer(body=_page("Service temporarily unavailable"))
        if method == "GET":
            return self._get(path)
        return self._post(path, body) if method == "POST" else _html(405)

    def _get(self, path: str) -> Answer:
        box = self._box
        if path in _GET:
            return self._json(_GET[path](box))
        if path == "/session/sessions":
            return self._json({"sessionList": self._pool.listing()})
        if path == "/provisioning/config":
            return Answer(body=settings.export(box).encode(), content_type="application/xml")
        call = _CALL_PATH.match(path)
        views: Mapping[str, Callable[[Box], Any]] = {
            "": media.conference,
            "/mediastats": media.media_stats,
            "/connections": media.connections,
            "/terminals": media.terminals,
        }
        if call and call["rest"] in views and box.call_since is not None and call["id"] == str(media.call_id(box)):
            return self._json(views[call["rest"]](box))
        return _html(404)

    def _post(self, path: str, body: bytes) -> Answer:
        box, wish = self._box, _parsed(body)
        match path, wish:
            case "/devicemanagement/devices", None | dict():
                return self._json(payloads.devices(box, wish))
            case "/system/network/ping", {"destination": str(destination)}:
                return self._json(payloads.ping(box, destination))
            case "/system/network/traceroute", {"destination": str(destination)}:
                return self._json(payloads.traceroute(box, destination))
            case "/config", {"names": list(names)}:
                return self._json(settings.read(box, names))
            case "/config", {"vars": list(variables)} if all(isinstance(v, dict) and {"name", "value"} <= v.keys() for v in variables):
                return self._json(settings.write(box, variables))
            case "/system/reboot", {"action": "reboot"} | {"restartAll": True}:
                return replace(self._json({"success": True}), reboots=True)
            case "/system/resetsettings", _:
                box.settings.clear()
                return replace(self._json({"success": True}), reboots=True)
            case "/system/mode", {"enabledapps": list(wanted)}:
                (box.faults.add if "Device Mode" in wanted else box.faults.discard)("device_mode")
                return self._json({"error": "NOERROR"})
            case "/audio/muted", bool(muted):
                box.muted = muted
                return self._json(muted)
            case "/audio/volume", int(volume) if not isinstance(volume, bool) and 0 <= volume <= 100:
                box.volume = volume
                return self._json(volume)
        known = {"/config", "/system/reboot", "/system/mode", "/audio/muted", "/audio/volume", *_READING_POSTS}
        return _html(400 if path in known else 405 if path in _GET else 404)

    async def _logs(self, request: web.BaseRequest, session: Session) -> web.StreamResponse:
        """The log bundle, a piece at a time and without a length, as a busy device sends it."""
        box = self._box
        archive = bundle.build(box)
        head = Answer(content_type="application/x-tar", headers={"Content-Disposition": f'attachment; filename="{box.serial}-logs.tar"'})
        response = web.StreamResponse(headers={"Content-Type": head.content_type, **head.headers})
        self._stamp(response, session)
        await response.prepare(request)
        pieces = [archive[i : i + _CHUNK] for i in range(0, len(archive), _CHUNK)]
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(box.tuning.log_seconds / len(pieces))
        await response.write_eof()
        return response

    def _json(self, value: Any, *, status: int = 200) -> Answer:
        text = value if isinstance(value, media.Word) else json.dumps(value, separators=(",", ":"))
        return Answer(status=status, body=(text + self._box.firmware.tail).encode())

    def _response(self, answer: Answer, session: Session | None) -> web.Response:
        if self._box.has("html_errors") and answer.status >= 400:
            answer = _html(answer.status)
        response = _plain(answer)
        if session is not None:
            self._stamp(response, session)
        return response

    def _stamp(self, response: web.StreamResponse, session: Session) -> None:
        """Every answer of a session carries its next token."""
        self._pool.rotate(session)
        match self._box.firmware.xsrf:
            case Xsrf.HEADER:
                response.headers["X-XSRF-Token"] = session.token
            case Xsrf.EXCEPT_SESSION | Xsrf.EVERYWHERE:
                response.headers.add("Set-Cookie", f"XSRF-TOKEN={session.token}; Path=/; Secure")
            case Xsrf.ABSENT:
                pass


def public_path(path: str) -> str:
    """The path as counters know it: `/rest/current/...` is `/rest/...`."""
    short = _short(path)
    return path if short is None else f"/rest{short}"


def _short(path: str) -> str | None:
    """The path without `/rest` or `/rest/current`, None when it is no REST path."""
    for prefix in ("/rest/current/", "/rest/"):
        if path.startswith(prefix):
            return path[len(prefix) - 1 :]
    return None


def _changes(method: str, path: str, body: bytes) -> bool:
    """Whether this call would change the device; asked before anything else, so that refused ones count too."""
    if method in ("GET", "HEAD", "OPTIONS") or path == "/session":
        return False
    if method == "POST" and path == "/config":
        wish = _parsed(body)
        return not (isinstance(wish, dict) and "names" in wish and "vars" not in wish)
    return not (method == "POST" and path in _READING_POSTS)


def _cookies(request: web.BaseRequest) -> dict[str, str]:
    """Cookies as they stand in the header: a quoted or encoded value is another value."""
    pairs = (part.strip().partition("=") for header in request.headers.getall("Cookie", []) for part in header.split(";"))
    return {name: value for name, _, value in pairs if name}


class _Unreadable:
    """Stands for a body that is no JSON: null is a body of its own."""


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return _Unreadable()


def _plain(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type, **answer.headers})


def _page(title: str) -> bytes:
    return f"<!DOCTYPE html>\r\n<html><head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body></html>\r\n".encode()


def _html(status: int) -> Answer:
    titles = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 415: "Unsupported Media Type"}
    return Answer(status=status, body=_page(f"{status} {titles.get(status, 'Error')}"), content_type="text/html")
