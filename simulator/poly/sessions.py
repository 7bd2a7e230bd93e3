"""The session pool that REST, touch panel and SSH share, the XSRF tokens, and the login lockouts."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.poly.state import Box, LockoutPolicy


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One entry of the pool. `kept`: its owner keeps it busy, so it never idles out. `on_end` tells its owner that it is gone."""

    id: str
    client_type: str
    location: str
    created: float
    last_used: float
    kept: bool = False
    user: str = "admin"
    token: str = ""
    stale_tokens: list[str] = field(default_factory=list)
    on_end: Callable[[], None] = lambda: None


class PoolFull(Exception):
    """No session is free."""


class SessionPool:
    """Sessions of one box. Idle ones go when anybody looks."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._sessions: dict[str, Session] = {}
        self._full_since: float | None = None
        self._refused_while_full = 0
        self.hung = False
        self.newest = ""

    def __len__(self) -> int:
        self._expire()
        return len(self._sessions)

    def open(self, client_type: str, location: str, *, kept: bool = False, on_end: Callable[[], None] = lambda: None) -> Session:
        """A new session, or PoolFull. Logins that keep coming while the pool stays full end in a hung web interface."""
        self._expire()
        tuning, now = self._box.tuning, self._box.clock.monotonic()
        if len(self._sessions) >= tuning.max_sessions:
            self._full_since = now if self._full_since is None else self._full_since
            self._refused_while_full += 1
            if now - self._full_since >= tuning.hang_after and self._refused_while_full >= tuning.hang_logins:
                self.hung = True
            raise PoolFull
        # Base64 letters, so '+', '/' and '=' occur in the cookie as they do on real devices.
        identifier = "PS" + base64.b64encode(secrets.token_bytes(37)).decode()
        session = Session(
            id=identifier, client_type=client_type, location=location, created=self._box.uptime, last_used=now, kept=kept, token=_token(), on_end=on_end
        )
        self._sessions[session.id] = session
        self.newest = session.id
        self._box.counters.max_sessions = max(self._box.counters.max_sessions, len(self._sessions))
        self._box.note(f"INFO session {session.id} opened for admin from {location} ({client_type})")
        return session

    def find(self, identifier: str) -> Session | None:
        """The live session of that id, marked as used now."""
        self._expire()
        session = self._sessions.get(identifier)
        if session:
            session.last_used = self._box.clock.monotonic()
        return session

    def end(self, identifier: str) -> None:
        session = self._sessions.pop(identifier, None)
        if session:
            self._forget_full()
            session.on_end()

    def end_all(self, *, location: str = "") -> None:
        """End every session, or those of one client."""
        for session in [s for s in self._sessions.values() if not location or s.location == location]:
            self.end(session.id)

    def rotate(self, session: Session) -> None:
        """Give the session a new token; earlier ones stay good as far as the tuning says."""
        session.stale_tokens = [session.token, *session.stale_tokens][: self._box.tuning.stale_tokens]
        session.token = _token()

    def listing(self) -> list[dict[str, Any]]:
        """The rows of /session/sessions, as seen in recordings of an X30."""
        self._expire()
        return [shown(s) for s in self._sessions.values()]

    def _expire(self) -> None:
        now = self._box.clock.monotonic()
        for session in [s for s in self._sessions.values() if not s.kept and now - s.last_used > self._box.tuning.idle_timeout]:
            self.end(session.id)

    def _forget_full(self) -> None:
        self._full_since = None
        self._refused_while_full = 0


def _token() -> str:
    return secrets.token_hex(16)


def shown(session: Session) -> dict[str, Any]:
    """One session as REST shows it. `creationTime` is uptime in seconds out of a signed 32-bit millisecond counter, so it wraps to negative."""
    milliseconds = (int(session.created * 1000) + 2**31) % 2**32 - 2**31
    return {
        "clientType": session.client_type,
        "creationTime": int(milliseconds / 1000),
        "isAuthenticated": True,
        "isConnected": False,
        "isNew": True,
        "isStale": False,
        "location": session.location,
        "role": "ADMIN",
        "sessionId": session.id,
        "userId": session.user,
    }


class Lockout:
    """Counts failed logins and locks for a while after too many."""

    def __init__(self, policy: LockoutPolicy) -> None:
        self._policy = policy
        self._failures: list[float] = []
        self._locked_until = float("-inf")

    def locked(self, now: float) -> bool:
        return now < self._locked_until

    def count(self, now: float) -> int:
        window = self._policy.window
        self._failures = [t for t in self._failures if window is None or now - t < window]
        return len(self._failures)

    def failed(self, now: float) -> None:
        self._failures.append(now)
        if self._policy.attempts is not None and self.count(now) >= self._policy.attempts:
            self._locked_until = now + self._policy.lock_time
            self._failures.clear()

    def succeeded(self) -> None:
        self._failures.clear()


class Door:
    """Checks passwords, for both ways in: the account's lockout is shared, each port has its own."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._account = Lockout(box.tuning.account_lockout)
        self._ports = {"http": Lockout(box.tuning.web_lockout), "ssh": Lockout(box.tuning.ssh_lockout)}

    @property
    def account_locked(self) -> bool:
        return self._account.locked(self._box.clock.monotonic())

    @property
    def failed_logins(self) -> int:
        return self._account.count(self._box.clock.monotonic())

    def port_locked(self, way: str) -> bool:
        return self._ports[way].locked(self._box.clock.monotonic())

    def let_in(self, way: str, user: object, password: object) -> bool:
        """Whether this login is right and nothing is locked. Every refusal is counted; a locked door does not even look."""
        now = self._box.clock.monotonic()
        account, port = self._account, self._ports[way]
        if port.locked(now) or (user == "admin" and account.locked(now)):
            self._box.counters.logins_refused[way] += 1
            return False
        if user == "admin" and password == self._box.password and not self._box.has("wrong_password"):
            account.succeeded()
            port.succeeded()
            self._box.counters.logins_ok[way] += 1
            return True
        self._box.counters.logins_refused[way] += 1
        self._box.note(f"WARN login refused ({way})")
        if user == "admin":
            account.failed(now)
        port.failed(now)
        return False
