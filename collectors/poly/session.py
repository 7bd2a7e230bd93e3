"""The one management session with one device: kept warm across visits, renewed before it runs out, given back, never a second one.

The pool of sessions is small and shared with the web page, the touch panel and room controllers, and sessions that leak hang the device.
So: at most one of ours, its id on the disk while it lives, and a session whose end is not known is waited out. Never is one ended that is
not ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from agent.errors import Busy, CollectError, Forbidden, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import Device, HttpCredential
from agent.ports import Services
from collectors.poly.login import SESSION_COOKIE, TOKEN_COOKIE, TOKEN_HEADER, Entry, Verdict, cookies, judge, token_of
from collectors.poly.settings import settings_of
from collectors.poly.waits import HEAD_WAIT, LATER_WAIT, LOCKOUT_WAIT, ODD_WAITS, Turn, Wait, instant
from collectors.transport import HttpAnswer, HttpConnection
from collectors.transport.http import BODY_LIMIT

PATH = "/rest/session"
PROBE = "/rest/system"

_WEB_DOWN = frozenset({Reason.REFUSED, Reason.RESET})
"""No connection is taken: the web interface is starting anew or off, and with it went its sessions and their tokens."""
_NO_SESSION = frozenset({401, 403})


@dataclass(slots=True)
class Visit:
    """One visit's connection. `answered`: the device answered in it. `renewed`: its one new login after a lost session has been used up."""

    http: HttpConnection
    answered: bool = False
    renewed: bool = False


class ManagementSession:
    """The session with one device. `device` is the newest the inventory has of it."""

    def __init__(self, device: Device, services: Services) -> None:
        self.device = device
        self._services = services
        self._clock = services.clock
        self._turn = asyncio.Lock()
        self._loaded = False
        self._id = ""
        self._token = ""
        self._saved_token = ""
        self._version = ""
        self._found = False  # from an earlier run: to be given back before anything else
        self._idle = False  # nothing was answered to it yet
        self._unsure = False  # a token may have been sent to us that we never got
        self._rotates = False
        self._last: tuple[str, str] = ("", "")
        self._used = 0.0
        self._streams = 0
        self._wait: Wait | None = None
        self._proven = ""
        self._odd = 0
        self._denied: set[str] = set()

    # --- requests ---

    async def request(self, visit: Visit, method: str, path: str, *, body: bytes | None = None, limit: int = BODY_LIMIT) -> HttpAnswer:
        """One request within the session; logs in when there is none. Raises Forbidden when this account may not.

        One at a time for each device, whichever visit asks.
        """
        async with self._turn:
            await self._ready(visit)
            sent = self._token
            answer = await self._send(visit, method, path, body, limit)
            if answer.status in _NO_SESSION and self._token != sent:
                # A download that began meanwhile brought a newer token than the one that went out.
                answer = await self._send(visit, method, path, body, limit)
            if answer.status in _NO_SESSION and self._may_renew(visit, path):
                await self._renew(visit)
                answer = await self._send(visit, method, path, body, limit)
            if answer.status in _NO_SESSION:
                self._denied.add(path)
                raise _forbidden(answer.request, answer.status)
            self._alive(path)
            return answer

    async def stream(self, visit: Visit, path: str, *, limit: int, timeout: float) -> AsyncGenerator[bytes, None]:
        """A long body in pieces. Other visits use the session meanwhile; it is not renewed under a running download."""
        try:
            async with aclosing(self._download(visit, path, limit, timeout)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        except Forbidden:
            if not self._may_renew(visit, path):
                self._denied.add(path)
                raise
        async with self._turn:
            await self._renew(visit)
        async with aclosing(self._download(visit, path, limit, timeout)) as pieces:
            async for piece in pieces:
                yield piece

    async def _download(self, visit: Visit, path: str, limit: int, timeout: float) -> AsyncGenerator[bytes, None]:
        await self._turn.acquire()
        turn = Turn(self._turn)
        began = False

        def head(answer: HttpAnswer) -> None:
            nonlocal began
            began = True
            self._take_token(answer)
            turn.over()

        try:
            await self._ready(visit)
            asyncio.get_running_loop().call_later(HEAD_WAIT, turn.over)
            self._streams += 1
            try:
                async with aclosing(visit.http.stream("GET", path, account="", headers=self._headers(), limit=limit, timeout=timeout, head=head)) as pieces:
                    async for piece in pieces:
                        self._alive(path)
                        yield piece
            finally:
                self._streams -= 1
                self._unsure = self._unsure or (self._rotates and not began)
        finally:
            turn.over()

    async def held(self) -> str:
        """Why no other kind of session may be opened now: ours is there, or may be; '' when there is none."""
        await self._load()
        left = settings_of(self.device).idle_timeout - (self._clock.monotonic() - self._used)
        if self._id and left > 0:
            return f"the web interface's session of ours ends only in {left:.0f} s"
        wait = self._waiting()
        return wait.detail if wait else ""

    async def end(self, visit: Visit) -> None:
        """Give the session back, if this run has one."""
        async with self._turn:
            if self._id and not self._found:
                await self._give_back(visit)

    async def leave(self) -> None:
        """At the end of a visit: keep the newest token on the disk where the device wants it even for the logout."""
        if self._id and self._rotates and self._token != self._saved_token:
            await self._save()

    # --- the life of a session; all below runs within the turn ---

    async def _ready(self, visit: Visit) -> None:
        await self._load()
        if self._id:
            credential = self.device.http_credential()
            same = credential is not None and credential.version == self._version
            fresh = self._streams > 0 or self._clock.monotonic() - self._used < settings_of(self.device).idle_timeout / 2
            if fresh and same and not self._found:
                return
            await self._give_back(visit)
        await self._log_in(visit)

    def _may_renew(self, visit: Visit, path: str) -> bool:
        """Whether a refusal may mean that the session is gone: not right after a login, not twice a visit, not where it was no help before."""
        return not (visit.renewed or self._idle or path in self._denied)

    async def _renew(self, visit: Visit) -> None:
        visit.renewed = True
        if self._id:
            await self._give_back(visit)
        await self._log_in(visit)

    def _alive(self, path: str) -> None:
        self._used = self._clock.monotonic()
        self._idle = False
        self._denied.discard(path)

    async def _load(self) -> None:
        """What an earlier run left on the disk."""
        if self._loaded:
            return
        kept = await self._services.vault.get(self.device.id)
        facts = await self._services.memory.get(self.device.id)
        idle = timedelta(seconds=settings_of(self.device).idle_timeout)
        now = self._clock.now()
        self._proven = facts.get("poly.proven", "")
        version, _, count = facts.get("poly.odd", "").rpartition(":")
        if count.isdecimal() and version == self._credential_version():
            self._odd = int(count)
        if until := instant(facts.get("poly.wait_until", "")):
            reason = facts.get("poly.wait_reason", "")
            known = Reason(reason) if reason in (Reason.LOCKOUT, Reason.SESSIONS_FULL, Reason.BOOTING) else Reason.BOOTING
            self._wait = Wait(until, known, "the device asked us to come later, before the agent's restart")
        if kept.get("session"):
            self._id, self._token, self._found = kept["session"], kept.get("token", ""), True
            self._saved_token, self._version = self._token, kept.get("version", "")
            self._rotates = self._unsure = kept.get("rotates") == "yes"
            saved = instant(kept.get("at", ""))
            age = max(0.0, (now - saved).total_seconds()) if saved and self._rotates else 0.0
            self._used = self._clock.monotonic() - age
        elif started := instant(kept.get("login_started", "")):
            if started + idle > now:
                self._wait = Wait(started + idle, Reason.SESSIONS_FULL, "a login of an earlier run ended unseen; the session it may have opened is waited out")
            await self._services.vault.put(self.device.id, {})
        self._loaded = True

    async def _give_back(self, visit: Visit) -> None:
        """`DELETE /rest/session` with our own id. Raises when it cannot be told whether it ended, and keeps the id then."""
        idle = settings_of(self.device).idle_timeout
        for _ in range(2):
            before = self._token
            answer = await self._send(visit, "DELETE", PATH, None, BODY_LIMIT)
            if answer.status not in _NO_SESSION or self._token == before:
                break
        unsure = answer.status in _NO_SESSION and self._unsure
        left = idle - (self._clock.monotonic() - self._used)
        if answer.status >= 500 and left > 0:
            raise Busy(Reason.BOOTING, f"{answer.request} answered {answer.status}: the session could not be given back", retry_after=LATER_WAIT)
        self._last = ("", "") if answer.status < 300 else (self._id, self._token)
        self._id = self._token = self._saved_token = ""
        self._found = self._unsure = False
        if unsure and left > 0:
            # Without its newest token the device ends no session, and does not say whether it still has it.
            await self._put_off(idle, Reason.SESSIONS_FULL, "a session of ours could not be given back and is waited out")
        await self._services.vault.put(self.device.id, {})

    async def _log_in(self, visit: Visit) -> None:
        credential = self.device.http_credential()
        if credential is None:
            raise CollectError(Reason.NO_CREDENTIAL, f"{self.device.id} has no credential for the web interface: add `credentials:`")
        if self.device.scheme != "https" and not self.device.allow_basic_over_http:
            raise CollectError(
                Reason.WEAKER_SCHEME, f"{self.device.id}: a login over plain http would show the password; use https, or set allow_basic_over_http for it"
            )
        if visit.http.requests == 0:
            # Nothing secret, and answered by any device that is up: a time-out after this one belongs to the login, not to the connection.
            await visit.http.request("GET", PROBE, account="")
        if wait := self._waiting():
            left = (wait.until - self._clock.now()).total_seconds()
            raise Busy(wait.reason, f"{self.device.id}: {wait.detail}; no login for {left:.0f} s", retry_after=left)
        guard = self._services.guard
        try:
            await guard.before(self.device.id, credential, "http")
        except LoginBlocked as error:
            # The device has answered in this visit: AUTH says that it is there and does not let us in, AUTH_BLOCKED alone would not.
            raise LoginBlocked(Reason.AUTH, error.detail) from None
        noted = False
        try:
            await self._services.vault.put(self.device.id, {"login_started": self._clock.now().isoformat()})
            noted = True
            wish = {"user": credential.username, "password": credential.password.reveal()}
            answer = await visit.http.request("POST", PATH, account="", json=wish)
            entry = judge(answer)
        except BaseException as error:
            sent = noted and (error.sent if isinstance(error, Unreachable) else visit.http.sent)
            try:
                await guard.unclear(self.device.id, credential, "http", sent=sent)
            finally:
                await self._lost(sent=sent)
            raise
        await self._enter(entry, answer, credential)

    async def _lost(self, *, sent: bool) -> None:
        """A login without an answer. If it went out, the device may have opened a session whose id we do not know."""
        if not sent:
            await self._services.vault.put(self.device.id, {})
            return
        idle = settings_of(self.device).idle_timeout
        self._wait = Wait(
            self._clock.now() + timedelta(seconds=idle), Reason.SESSIONS_FULL, "a login ended unseen; the session it may have opened is waited out"
        )

    async def _enter(self, entry: Entry, answer: HttpAnswer, credential: HttpCredential) -> None:
        """What the device's answer means. The guard is told exactly once, whatever becomes of our notes."""
        guard, device = self._services.guard, self.device
        if entry.verdict is Verdict.IN:
            self._id, self._token, self._version = entry.session_id, entry.token, credential.version
            self._idle, self._used, self._rotates, self._unsure = True, self._clock.monotonic(), TOKEN_COOKIE in cookies(answer), False
            try:
                await self._save()
            finally:
                await guard.accepted(device.id, credential, "http")
            await self._settled(credential)
            return
        verdict, detail = entry.verdict, entry.detail
        if verdict is Verdict.ODD and self._proven != credential.version and self._odd >= len(ODD_WAITS):
            verdict, detail = Verdict.REFUSED, f"{detail}, {self._odd + 1} times in a row; taken as a refusal"
        try:
            if verdict is Verdict.REFUSED:
                await guard.refused(device.id, credential, "http", detail)
            else:
                # An answer, and not about the password: it was not counted against us. Of odd ones we keep our own count.
                await guard.unclear(device.id, credential, "http", sent=False)
        finally:
            await self._services.vault.put(device.id, {})
        if verdict is Verdict.REFUSED:
            raise LoginRefused(Reason.AUTH, f"{device.id}: login as {credential.username!r} refused: {detail}")
        idle = settings_of(device).idle_timeout
        match verdict:
            case Verdict.HELD if self._last[0]:
                self._id, self._token = self._last
                self._version, self._idle, self._used = credential.version, True, self._clock.monotonic()
                await self._save()
                return
            case Verdict.HELD:
                await self._put_off(idle, Reason.SESSIONS_FULL, f"{detail}; that session is not ours and is left alone")
            case Verdict.FULL:
                await self._put_off(idle, Reason.SESSIONS_FULL, f"{detail}: every management session is taken")
            case Verdict.LOCKED:
                await self._put_off(LOCKOUT_WAIT, Reason.LOCKOUT, f"{detail}: too many failed logins, by whomever")
            case Verdict.LATER:
                await self._put_off(LATER_WAIT, Reason.BOOTING, detail)
            case _:
                pause = ODD_WAITS[min(self._odd, len(ODD_WAITS) - 1)]
                self._odd += 1
                await self._services.memory.put(device.id, {"poly.odd": f"{credential.version}:{self._odd}"})
                await self._put_off(pause, Reason.BOOTING, f"{detail}, as a device does that is starting")
        assert self._wait is not None
        left = (self._wait.until - self._clock.now()).total_seconds()
        raise Busy(self._wait.reason, f"{device.id}: {self._wait.detail}", retry_after=left)

    async def _settled(self, credential: HttpCredential) -> None:
        """Logged in: what was held against it is over."""
        self._odd, self._wait, self._proven, self._last = 0, None, credential.version, ("", "")
        await self._services.memory.put(self.device.id, {"poly.proven": credential.version, "poly.odd": "", "poly.wait_until": "", "poly.wait_reason": ""})

    async def _put_off(self, seconds: float, reason: Reason, detail: str) -> None:
        self._wait = Wait(self._clock.now() + timedelta(seconds=seconds), reason, detail)
        await self._services.memory.put(self.device.id, {"poly.wait_until": self._wait.until.isoformat(), "poly.wait_reason": str(reason)})

    def _waiting(self) -> Wait | None:
        return self._wait if self._wait is not None and self._clock.now() < self._wait.until else None

    async def _save(self) -> None:
        self._saved_token = self._token
        values = {"session": self._id, "token": self._token, "version": self._version, "at": self._clock.now().isoformat()}
        await self._services.vault.put(self.device.id, {**values, "rotates": "yes" if self._rotates else ""})

    def _credential_version(self) -> str:
        credential = self.device.http_credential()
        return credential.version if credential else ""

    # --- the wire ---

    def _headers(self) -> dict[str, str]:
        pairs = [f"{SESSION_COOKIE}={self._id}"] + ([f"{TOKEN_COOKIE}={self._token}"] if self._token else [])
        return {"Cookie": "; ".join(pairs)} | ({TOKEN_HEADER: self._token} if self._token else {})

    async def _send(self, visit: Visit, method: str, path: str, body: bytes | None, limit: int) -> HttpAnswer:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await visit.http.request(method, path, account="", body=body, headers=headers, limit=limit)
        except BaseException as error:
            if not visit.answered and isinstance(error, CollectError) and error.reason in _WEB_DOWN:
                self._unsure = False
            else:
                self._unsure = self._unsure or self._rotates
            raise
        visit.answered = True
        self._take_token(answer)
        return answer

    def _take_token(self, answer: HttpAnswer) -> None:
        if token := token_of(answer):
            self._token = token
            self._rotates = self._rotates or TOKEN_COOKIE in cookies(answer)
            self._unsure = False


@asynccontextmanager
async def visiting(session: ManagementSession, http: HttpConnection) -> AsyncIterator[Visit]:
    """A visit of the session."""
    try:
        yield Visit(http)
    finally:
        await session.leave()


def _forbidden(request: str, status: int) -> Forbidden:
    return Forbidden(Reason.FORBIDDEN, f"{request} answered {status}: this account may not read it, or not now")
