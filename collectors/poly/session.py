"""The one management session with one device: kept warm across visits, renewed before it runs out, given back, never a second one.

The pool of sessions is small and shared with the web page, the touch panel and room controllers, and sessions that leak hang the device.
So: at most one of ours, its id on the disk while it lives, and a session whose end is not known is waited out. Never is one ended that is
not ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from agent.errors import Busy, CollectError, Forbidden, LoginBlocked, LoginRefused, Reason, StoreError, Unreachable
from agent.model import Device, HttpCredential
from agent.ports import Services
from collectors.poly.login import SESSION_COOKIE, TOKEN_COOKIE, TOKEN_HEADER, Entry, Verdict, cookies, judge, token_of
from collectors.poly.notes import Held, Notebook, Started
from collectors.poly.settings import settings_of
from collectors.poly.waits import HEAD_WAIT, LATER_WAIT, LOCKOUT_WAIT, ODD_WAITS, SLACK, Patience, Turn
from collectors.transport import HttpAnswer, HttpConnection
from collectors.transport.http import BODY_LIMIT

PATH = "/rest/session"
PROBE = "/rest/system"
LOGOUT = ("DELETE", PATH)

_NO_SESSION = frozenset({401, 403})
_GONE = b"SessionNoActiveSession"
_MAYBE_OPENED = frozenset({500, 502, 504})
"""Answers to a login that a server in front of the one that acts may give, or one that failed halfway: there may be a session behind them."""


@dataclass(slots=True)
class Visit:
    """One visit's connection. `renewed`: its one new login after a lost session has been used up. `shell`: an SSH session of ours is open in it."""

    http: HttpConnection
    renewed: bool = False
    shell: bool = False


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
        self._saved = ("", 0.0)  # the token in the note, and when it was written
        self._version = ""
        self._ending = False  # to be given back before anything else: of an earlier run, without a note, or half given back
        self._idle = False  # nothing was answered to it yet
        self._unsure = False  # a token may have been sent to us that we never got
        self._rotates = False
        self._last: tuple[str, str] = ("", "")
        self._used = 0.0  # the newest answer within it
        self._touched = 0.0  # the newest request, answered or not: the device may count its idle time from there
        self._streams = 0
        self._shells = 0
        self._notebook = Notebook(device.id, services.vault)
        self._patience = Patience(device.id, services.memory, services.clock)
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
        mine = ""

        def head(answer: HttpAnswer) -> None:
            nonlocal began
            began = True
            if self._id == mine:
                self._take_token(answer)
            turn.over()

        try:
            await self._ready(visit)
            asyncio.get_running_loop().call_later(HEAD_WAIT, turn.over)
            mine = self._id
            self._streams += 1
            self._touched = self._clock.monotonic()
            try:
                async with aclosing(visit.http.stream("GET", path, account="", headers=self._headers(), limit=limit, timeout=timeout, head=head)) as pieces:
                    async for piece in pieces:
                        self._alive(path)
                        yield piece
            finally:
                self._streams -= 1
                self._unsure = self._unsure or (self._rotates and not began and visit.http.sent)
        finally:
            turn.over()

    async def make_way(self, visit: Visit) -> None:
        """Before an SSH session, which takes one of the same pool: Busy when a session of ours is there or may be. None is opened until the visit ends."""
        async with self._turn:
            if visit.shell:
                return
            await self._load()
            left = self._idle_time() + SLACK - (self._clock.monotonic() - self._touched)
            if self._shells:
                raise self._beside("another SSH session of ours is open")
            if self._id and left > 0:
                raise self._beside(f"the web interface's session of ours ends only in {left:.0f} s")
            if wait := self._patience.why():
                raise wait
            visit.shell = True
            self._shells += 1

    @property
    def secrets(self) -> tuple[str, ...]:
        """What lets anybody into this session."""
        return tuple(secret for secret in (self._id, self._token) if secret)

    async def end(self, visit: Visit) -> None:
        """Give the session back, if there is one."""
        async with self._turn:
            if self._id:
                await self._give_back(visit)

    async def leave(self, visit: Visit) -> None:
        """At the end of a visit: keep the newest token on the disk where the device wants it even for the logout."""
        if visit.shell:
            visit.shell = False
            self._shells -= 1
        async with self._turn:
            token, at = self._saved
            old = self._clock.monotonic() - at > self._idle_time() / 4
            if self._id and self._rotates and not self._ending and (token != self._token or old):
                with suppress(CollectError):  # said in the log, and the session is given back before it is used again
                    await self._save(synced=False)

    # --- the life of a session; all below runs within the turn ---

    async def _ready(self, visit: Visit) -> None:
        await self._load()
        if self._id:
            credential = self.device.http_credential()
            same = credential is not None and credential.version == self._version
            now, young = self._clock.monotonic(), self._idle_time() / 2
            fresh = self._streams > 0 or (now - self._used < young and not (self._rotates and now - self._saved[1] >= young))
            if fresh and same and not self._ending:
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
        self._used = self._touched = self._clock.monotonic()
        self._idle = False
        self._denied.discard(path)

    async def _load(self) -> None:
        """What an earlier run left on the disk."""
        if self._loaded:
            return
        facts = await self._services.memory.get(self.device.id)
        idle, now, started = self._idle_time(), self._clock.now(), self._clock.monotonic()
        self._proven = facts.get("poly.proven", "")
        version, _, count = facts.get("poly.odd", "").rpartition(":")
        if count.isdecimal() and version == self._credential_version():
            self._odd = int(count)
        self._patience.recall(facts, longest=max(*ODD_WAITS, idle + SLACK))
        try:
            note = await self._notebook.read()
        except StoreError:
            await self._wait_out("the note of an earlier run's session cannot be read; the session is waited out")
            await self._notebook.write(None)
            note = None
        match note:
            case Held():
                self._id, self._token, self._version = note.session, note.token, note.version
                self._rotates = self._unsure = note.rotates
                self._ending = True
                self._used = self._touched = started - note.unused_for(now, idle)
            case Started() if (left := note.left(now, idle)) > 0:
                # The note stays until the next login: a kill during the wait must not lose it.
                self._patience.hold_off(left, Reason.SESSIONS_FULL, "a login of an earlier run ended unseen; the session it may have opened is waited out")
        self._loaded = True

    async def _give_back(self, visit: Visit) -> None:
        """`DELETE /rest/session` with our own id. Raises when the device may do it later, and keeps the id then. What cannot be told is waited out."""
        expired = self._clock.monotonic() - self._touched > self._idle_time() + SLACK
        self._ending = True
        over = await self._ended(visit) or expired
        self._id = self._token = ""
        self._ending = self._unsure = False
        if not over:
            await self._wait_out("a session of ours could not be given back and is waited out")
        await self._notebook.clear()

    async def _wait_out(self, why: str) -> None:
        await self._patience.put_off(self._idle_time() + SLACK, Reason.SESSIONS_FULL, why)

    async def _ended(self, visit: Visit) -> bool:
        """Whether the device surely has our session no more.

        A refusal without a reason may be a stray one, as a busy device gives: only three in a row are taken as its word. And without its newest
        token a device ends no session, and does not say whether it still has it.
        """
        self._last = (self._id, self._token)
        sure = True
        for method, path in (LOGOUT, ("GET", PROBE), LOGOUT):
            answer = await self._send(visit, method, path, None, BODY_LIMIT)
            if answer.status >= 500 and self._clock.monotonic() - self._used < self._idle_time() + SLACK:
                raise Busy(Reason.BOOTING, f"{answer.request} answered {answer.status}: the session could not be given back", retry_after=LATER_WAIT)
            if path == PROBE:
                sure = answer.status in _NO_SESSION
            elif answer.status < 300:
                self._last = ("", "")
                return True
            elif _GONE in answer.body:
                return not self._unsure
            elif answer.status not in _NO_SESSION:
                return False
        return sure and not self._unsure

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
        if wait := self._patience.why():
            raise wait
        if self._shells:
            raise self._beside("an SSH session of ours is open")
        guard = self._services.guard
        try:
            await guard.before(self.device.id, credential, "http")
        except LoginBlocked as error:
            if error.reason is not Reason.AUTH_BLOCKED:
                raise
            # The device has answered in this visit: AUTH says that it is there and does not let us in, AUTH_BLOCKED alone would not.
            raise LoginBlocked(Reason.AUTH, error.detail) from None
        written = False
        try:
            await self._notebook.write(Started(self._clock.now()))
            written = True
            wish = {"user": credential.username, "password": credential.password.reveal()}
            answer = await visit.http.request("POST", PATH, account="", json=wish)
            entry = judge(answer)
        except BaseException as error:
            sent = written and (error.sent if isinstance(error, Unreachable) else visit.http.sent)
            try:
                await guard.unclear(self.device.id, credential, "http", sent=sent)
            finally:
                await self._lost(sent=sent)
            raise
        await self._enter(visit, entry, answer, credential)

    async def _lost(self, *, sent: bool) -> None:
        """A login without an answer. If it went out, the device may have opened a session whose id we do not know."""
        if sent:
            self._patience.hold_off(self._idle_time() + SLACK, Reason.SESSIONS_FULL, "a login ended unseen; the session it may have opened is waited out")
        else:
            await self._notebook.clear()

    async def _enter(self, visit: Visit, entry: Entry, answer: HttpAnswer, credential: HttpCredential) -> None:
        """What the device's answer means. The guard is told exactly once, whatever becomes of our notes."""
        guard, device = self._services.guard, self.device
        if entry.verdict is Verdict.IN:
            self._id, self._token, self._version = entry.session_id, entry.token, credential.version
            self._idle, self._rotates, self._unsure = True, TOKEN_COOKIE in cookies(answer), False
            self._used = self._touched = self._clock.monotonic()
            trouble = None
            try:
                await self._save()
            except CollectError as error:
                trouble = error
            finally:
                await guard.accepted(device.id, credential, "http")
            if trouble is not None:
                await self._give_back(visit)
                raise trouble
            await self._settled(credential)
            return
        verdict, detail = entry.verdict, entry.detail
        known = verdict is Verdict.HELD and self._last[0] != ""
        opened = verdict in (Verdict.ODD, Verdict.LATER) and (answer.status < 300 or answer.status in _MAYBE_OPENED)
        if verdict is Verdict.ODD and self._proven != credential.version and self._odd >= len(ODD_WAITS):
            verdict, detail = Verdict.REFUSED, f"{detail}, {self._odd + 1} times in a row; taken as a refusal"
        try:
            if verdict is Verdict.REFUSED:
                detail = await guard.refused(device.id, credential, "http", detail)
            else:
                # An answer, and not about the password: it was not counted against us. Of odd ones we keep our own count.
                await guard.unclear(device.id, credential, "http", sent=False)
        finally:
            if not opened and not known:
                await self._notebook.clear()
        if verdict is Verdict.REFUSED:
            raise LoginRefused(Reason.AUTH, f"{device.id}: login as {credential.username!r} refused: {detail}")
        if opened:
            await self._wait_out(f"{detail}; the session it may have opened is waited out")
        wait = self._patience.put_off
        match verdict:
            case Verdict.HELD if known:
                self._id, self._token = self._last
                self._version, self._idle = credential.version, True
                self._used = self._touched = self._clock.monotonic()
                await self._save()
                return
            case Verdict.HELD:
                await self._wait_out(f"{detail}; that session is not ours and is left alone")
            case Verdict.FULL:
                await wait(self._idle_time(), Reason.SESSIONS_FULL, f"{detail}: every management session is taken")
            case Verdict.LOCKED:
                await wait(LOCKOUT_WAIT, Reason.LOCKOUT, f"{detail}: too many failed logins, by whomever")
            case Verdict.LATER:
                await wait(LATER_WAIT, Reason.BOOTING, detail)
            case _:
                pause = ODD_WAITS[min(self._odd, len(ODD_WAITS) - 1)]
                self._odd += 1
                await self._services.memory.put(device.id, {"poly.odd": f"{credential.version}:{self._odd}"})
                await wait(pause, Reason.BOOTING, f"{detail}, as a device does that is starting")
        why = self._patience.why()
        assert why is not None
        raise why

    async def _settled(self, credential: HttpCredential) -> None:
        """Logged in: what was held against it is over."""
        self._odd, self._proven, self._last = 0, credential.version, ("", "")
        await self._services.memory.put(self.device.id, {"poly.proven": credential.version, "poly.odd": "", **self._patience.over()})

    async def _save(self, *, synced: bool = True) -> None:
        """Write the session down; without that it is given back before anything else."""
        self._ending = True
        token, at = self._token, self._clock.monotonic()
        await self._notebook.write(Held(session=self._id, token=token, version=self._version, rotates=self._rotates, at=self._clock.now()), synced=synced)
        self._saved = (token, at)
        self._ending = False

    def _beside(self, why: str) -> Busy:
        return Busy(Reason.SESSIONS_FULL, f"{self.device.id}: no second management session: {why}")

    def _idle_time(self) -> float:
        return settings_of(self.device).idle_timeout

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
        sent_before = visit.http.requests
        try:
            answer = await visit.http.request(method, path, account="", body=body, headers=headers, limit=limit)
        except BaseException as error:
            sent = error.sent if isinstance(error, Unreachable) else visit.http.sent
            self._unsure = self._unsure or (self._rotates and sent)
            raise
        finally:
            self._touched = self._clock.monotonic()
        # Sent twice, because the connection broke: the device may have acted on the first, and its answer held a token.
        self._unsure = self._unsure or (self._rotates and visit.http.requests > sent_before + 1)
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
    visit = Visit(http)
    try:
        yield visit
    finally:
        await session.leave(visit)


def _forbidden(request: str, status: int) -> Forbidden:
    return Forbidden(Reason.FORBIDDEN, f"{request} answered {status}: this account may not read it, or not now")
