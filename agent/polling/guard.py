"""Promise 1: at most one refused login per device and credential version, all ways in counted together, across restarts.

The first attempt with a credential is written to the disk before it goes out. What was once accepted needs no note until it is refused.
An attempt whose end we never saw (we were killed) may have been a refused one, so it counts as one until `latarnik unblock`.

Some devices delay their refusal past our time-out, and count the login all the same. So a credential that went out and got no answer is
not simply sent again: after every such attempt there is a pause, and one that was never accepted at this device is sent twice and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from agent.errors import Busy, LoginBlocked, Reason
from agent.model import Credential
from agent.ports import Clock, SystemClock
from agent.store import queries
from agent.store.database import Store
from agent.store.queries import Login

PAUSES = (180.0, 900.0, 2700.0)
"""Seconds without a login after the first, the second and every further attempt in a row that got no answer.

A device that hangs is soon well again, or not for a while. Accounts are commonly locked after three to ten refusals within minutes up to
half an hour: no two of the later attempts fall into one such window. Longer would leave a device that recovered without its metrics.
"""

_BLOCKED = ("refused", "interrupted")
Key = tuple[str, str]


@dataclass(slots=True)
class _Pause:
    """Since when the attempts with this credential get no answer: how many in a row, and until when (monotonic) there is no other."""

    count: int
    until: float


class PassingGuard:
    """A guard that remembers for as long as the process runs: for one `latarnik poll` without a config, and the base of the one with a disk.

    One attempt at a time for each device and credential version: the others wait for its outcome.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._states: dict[Key, Login] = {}
        self._pauses: dict[Key, _Pause] = {}
        self._trying: dict[Key, asyncio.Event] = {}

    async def before(self, device: str, credential: Credential, way: str) -> None:
        key = (device, credential.version)
        while (running := self._trying.get(key)) is not None:
            await running.wait()
        # Reserved before the first await: of two ways in at once, one tries and the other waits. Also for a credential that was accepted:
        # it may have been changed on the device meanwhile, and then only one of them is to be refused.
        self._trying[key] = asyncio.Event()
        try:
            known = self._states.get(key) or await self._load(key)
            if known is not None:
                self._states[key] = known
                if known.state in _BLOCKED:
                    raise LoginBlocked(Reason.AUTH_BLOCKED, self._why_blocked(known))
            self._check_pause(key, credential)
            if known is None or known.state != "accepted":
                await self._note(key, self._login(device, credential, way, "trying"))
        except BaseException:
            self._done(key)
            raise

    def _check_pause(self, key: Key, credential: Credential) -> None:
        pause = self._pauses.get(key)
        left = pause.until - self._clock.monotonic() if pause else 0.0
        if pause and left > 0:
            attempts = "attempt" if pause.count == 1 else f"{pause.count} attempts"
            raise Busy(
                Reason.LOCKOUT,
                f"not logging in with credential {credential.name!r} for {left:.0f} s: the last {attempts} got no answer from the device, "
                "which may delay its refusals and count them all the same",
                retry_after=left,
            )

    async def _note(self, key: Key, login: Login) -> None:
        try:
            await self._save(login)
        except asyncio.CancelledError:
            # It was written all the same, and the attempt is not made: it must not look like one at the next start.
            await self._restore(key)
            raise

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        key = (device, credential.version)
        known = self._states.get(key)
        try:
            self._pauses.pop(key, None)
            if known is None or known.state != "accepted":
                login = self._login(device, credential, way, "accepted")
                await self._save(login)
                self._states[key] = login
        finally:
            self._done(key)

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> None:
        key = (device, credential.version)
        try:
            self._pauses.pop(key, None)
            # Known first, written then: a disk that is full must not let it be tried again.
            self._states[key] = self._login(device, credential, way, "refused", detail)
            await self._save(self._states[key])
        finally:
            self._done(key)

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None:
        """Not sent: the note is taken back, as if nothing had been. Sent: a pause; and for a credential never accepted here, the second is the last."""
        key = (device, credential.version)
        known = self._states.get(key)
        try:
            if sent:
                self._pause(key)
            if known is not None and known.state == "accepted":
                return
            if not sent:
                await self._restore(key)
                return
            if known is None:
                login = self._login(device, credential, way, "unanswered", "the device gave no answer to 1 attempt")
            else:
                detail = "the device gave no answer to 2 attempts; it may delay its refusals for longer than our time-out"
                login = self._login(device, credential, way, "interrupted", detail)
            self._states[key] = login
            await self._save(login)
        finally:
            self._done(key)

    def _pause(self, key: Key) -> None:
        count = self._pauses[key].count + 1 if key in self._pauses else 1
        self._pauses[key] = _Pause(count, self._clock.monotonic() + PAUSES[min(count, len(PAUSES)) - 1])

    def _login(self, device: str, credential: Credential, way: str, state: str, detail: str = "") -> Login:
        return Login(device=device, version=credential.version, state=state, credential=credential.name, way=way, at=self._clock.now(), detail=detail[:300])

    def forget(self, device: str) -> None:
        """After `latarnik unblock`: read the notes of this device anew, and try again at once."""
        for key in [k for k in self._states if k[0] == device]:
            if self._states[key].state != "accepted":
                del self._states[key]
        for key in [k for k in self._pauses if k[0] == device]:
            del self._pauses[key]

    def blocked(self, device: str) -> bool:
        """Whether some credential of this device is known to be blocked."""
        return any(login.state in _BLOCKED for key, login in self._states.items() if key[0] == device)

    def _done(self, key: Key) -> None:
        event = self._trying.pop(key, None)
        if event is not None:
            event.set()

    def _why_blocked(self, login: Login) -> str:
        when = login.at.strftime("%Y-%m-%d %H:%M UTC")
        if login.state == "interrupted":
            what = f"an attempt at {when} by {login.way} ended without an answer we know of ({login.detail})"
        else:
            what = f"the device refused it at {when} by {login.way}"
        return f"not logging in with credential {login.credential!r}: {what}. {self._remedy(login)}"

    def _remedy(self, login: Login) -> str:
        return f"Look at {login.device} and its password before the next try"

    # What outlives the process: nothing here.

    async def _load(self, key: Key) -> Login | None:
        del key
        return None

    async def _save(self, login: Login) -> None:
        del login

    async def _restore(self, key: Key) -> None:
        """Take back the note of an attempt that was not made: what was known before stands again."""
        del key


class StoredGuard(PassingGuard):
    """The guard over the store. Writes are finished also when the caller is cancelled: a stop must not leave half the truth on the disk."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(clock)
        self._store = store

    def _remedy(self, login: Login) -> str:
        return f"Correct the password in its file, or mend it on the device and run: latarnik unblock {login.device}"

    async def _load(self, key: Key) -> Login | None:
        login = await self._store.run(lambda c: queries.load_login(c, *key))
        # One that is being tried is of this process, whose start made all others interrupted: its taking back could not be written.
        return None if login is not None and login.state == "trying" else login

    async def _save(self, login: Login) -> None:
        await self._whole(lambda c: queries.save_login(c, login))

    async def _restore(self, key: Key) -> None:
        known = self._states.get(key)
        await self._whole(lambda c: queries.forget_login(c, *key) if known is None else queries.save_login(c, known))

    async def _whole(self, work: Callable[[Connection], None]) -> None:
        """Write to the end; a cancellation that comes meanwhile is raised after it."""
        writing = asyncio.create_task(self._store.run(work))
        cancelled = False
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError from writing.exception()
        writing.result()
