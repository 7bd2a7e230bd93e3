"""Promise 1: at most one refused login per device and credential version, all ways in counted together, across restarts and kills.

**Written down first.** An attempt is on the disk before it goes out. One whose end we never saw (we were killed) may have been a refused one,
so it counts as one until `latarnik unblock`. What a device accepted is written down again by the first attempt of each run only: a kill in that
one starts a pause, a kill in a later one is not noticed. So a password that is changed on a device can be refused there a second time if we are
killed in the very attempt that finds out; whatever the restarts, no more often than the pauses allow.

**One device first.** A version that no device ever accepted is tried at one device at a time; others that want it wait for the outcome.
Accepted: it is proven for the fleet, for good. Refused, or interrupted by a kill: every other device is held back until the password changes
or `latarnik unblock DEVICE` chooses where it is tried next. No answer, or not sent: the next device that wants it tries it.

**Silence.** Some devices delay their refusal past our time-out, and count the login all the same. So a credential that went out and got no answer
is not simply sent again. Never accepted here: it goes out once, and a second time, after a pause, only if another device has accepted this version
(which makes it likely that the device hung, and not that the password is wrong). Accepted here before: a pause after each such attempt. Pauses
outlast restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection

from agent.errors import Busy, LoginBlocked, Reason
from agent.model import Credential
from agent.ports import Clock, SystemClock
from agent.store import queries
from agent.store.database import Store
from agent.store.queries import Login

T = TypeVar("T")

PAUSES = (180.0, 900.0, 2700.0)
"""Seconds without a login after the first, the second and every further attempt in a row that got no answer.

A device that hangs is soon well again, or not for a while. Accounts are commonly locked after three to ten refusals within minutes up to
half an hour: no two of the later attempts fall into one such window. Longer would leave a device that recovered without its metrics.
"""

PATIENCE = 10.0
"""Seconds that a login waits for the trial of its credential at another device: the agent's default time-out, after which that trial is over."""

Key = tuple[str, str]


@dataclass(slots=True)
class _Trial:
    """A version that no device ever accepted is being tried at `device`, since this moment (monotonic)."""

    device: str
    since: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class PassingGuard:
    """A guard that remembers for as long as the process runs: for one `latarnik poll` without a config, and the base of the one with a disk.

    One attempt at a time for each device and credential version: the others wait for its outcome. Who waits holds nothing.
    """

    def __init__(self, clock: Clock | None = None, *, patience: float = PATIENCE) -> None:
        self._clock = clock or SystemClock()
        self._patience = patience
        self._logins: dict[str, dict[str, Login]] = {}  # by version, then by device
        self._proven: set[str] = set()  # versions that some device accepted
        self._fresh: set[Key] = set()  # accepted in this run: needs no note
        self._pauses: dict[Key, float] = {}  # until when (monotonic) there is no other attempt
        self._attempts: dict[Key, asyncio.Event] = {}
        self._trials: dict[str, _Trial] = {}
        self._waited: dict[Key, float] = {}  # until when (monotonic) this one does not wait for trials again

    async def before(self, device: str, credential: Credential, way: str) -> None:
        key = (device, credential.version)
        await self._learn(credential.version)
        deadline = self._clock.monotonic() + self._patience
        while True:
            running = self._attempts.get(key)
            if running is not None:
                await running.wait()
                continue
            self._check(key, credential)
            trial = self._trials.get(credential.version)
            if trial is None:
                break
            await self._wait_for(trial, key, credential, deadline)
        # Reserved in the same breath as the checks: of two ways in at once, one tries and the other waits. Also for a credential that was
        # accepted: it may have been changed on the device meanwhile, and then only one of them is to be refused.
        self._attempts[key] = asyncio.Event()
        if credential.version not in self._proven:
            self._trials[credential.version] = _Trial(device, self._clock.monotonic())
        try:
            if key not in self._fresh:
                known = self._known(key)
                again = known is not None and known.state == "accepted"
                await self._note(key, self._login(device, credential, way, "retrying" if again else "trying", unanswered=known.unanswered if known else 0))
        except BaseException:
            self._done(key)
            raise

    def _check(self, key: Key, credential: Credential) -> None:
        """Raises LoginBlocked and Busy when there must be no attempt here, whatever is under way elsewhere."""
        known, proven = self._known(key), credential.version in self._proven
        if known is not None and _bars(known, proven=proven):
            raise LoginBlocked(Reason.AUTH_BLOCKED, self._why_blocked(known))
        left = self._pauses.get(key, 0.0) - self._clock.monotonic()
        if known is not None and left > 0:
            attempts = "attempt" if known.unanswered == 1 else f"{known.unanswered} attempts"
            raise Busy(
                Reason.LOCKOUT,
                f"not logging in with credential {credential.name!r} for {left:.0f} s: the last {attempts} got no answer from the device, "
                "which may delay its refusals and count them all the same",
                retry_after=left,
            )
        if not proven and not (known is not None and known.state == "chosen"):
            elsewhere = self._holding_back(key)
            if elsewhere is not None:
                raise LoginBlocked(Reason.AUTH_WAITS, _why_held_back(elsewhere, key[0]))

    def _holding_back(self, key: Key) -> Login | None:
        """The other device that stands in the way of a version that none accepted: where it is to be tried next, or refused it last."""
        device, version = key
        others = [login for login in self._logins[version].values() if login.device != device and login.state in ("chosen", "refused", "interrupted")]
        return max(others, key=lambda login: (login.state == "chosen", login.at), default=None)

    async def _wait_for(self, trial: _Trial, key: Key, credential: Credential, deadline: float) -> None:
        """Returns when the trial has ended or it is too late to wait on; raises Busy when it is too late already."""
        now = self._clock.monotonic()
        left = min(deadline, trial.since + self._patience) - now
        if left > 0 and now >= self._waited.get(key, 0.0):
            waits = [asyncio.ensure_future(trial.ended.wait()), asyncio.ensure_future(self._clock.sleep(left))]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            return
        if now >= self._waited.get(key, 0.0):
            # The other facets of the same visit ask in turn: they do not wait as long each.
            self._waited[key] = now + self._patience
        raise Busy(
            Reason.AUTH_WAITS,
            f"not logging in with credential {credential.name!r} yet: no device has accepted it so far, and it is being tried at {trial.device} first",
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
        try:
            self._pauses.pop(key, None)
            if key not in self._fresh:
                login = self._login(device, credential, way, "accepted")
                await self._save(login)
                self._put(login)
                self._proven.add(credential.version)
                self._fresh.add(key)
        finally:
            self._done(key)

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> str:
        """Returns the detail, and what other devices say of this credential."""
        key = (device, credential.version)
        try:
            self._pauses.pop(key, None)
            # Known first, written then: a disk that is full must not let it be tried again.
            login = self._login(device, credential, way, "refused", detail)
            self._put(login)
            await self._save(login)
        finally:
            self._done(key)
        return detail + self._elsewhere(key)

    async def unclear(self, device: str, credential: Credential, way: str, *, sent: bool) -> None:
        """Not sent: the note is taken back, as if nothing had been. Sent: it counts as one without an answer."""
        key = (device, credential.version)
        known = self._known(key)
        try:
            if not sent:
                if key not in self._fresh:
                    await self._restore(key)
                return
            count = (known.unanswered if known else 0) + 1
            state = "accepted" if known is not None and known.state == "accepted" else "unanswered"
            login = self._login(device, credential, way, state, "the device gave no answer; it may delay its refusals past our time-out", unanswered=count)
            self._put(login)
            await self._save(login)
        finally:
            self._done(key)

    def _put(self, login: Login) -> None:
        key = (login.device, login.version)
        self._logins.setdefault(login.version, {})[login.device] = login
        self._fresh.discard(key)
        if login.unanswered:
            pause = PAUSES[min(login.unanswered, len(PAUSES)) - 1]
            # From the wall clock, for what an earlier run left; never longer than the pause, should somebody have set the clock back.
            left = min(pause, pause - (self._clock.now() - login.at).total_seconds())
            self._pauses[key] = self._clock.monotonic() + left

    def _known(self, key: Key) -> Login | None:
        return self._logins.get(key[1], {}).get(key[0])

    def _login(self, device: str, credential: Credential, way: str, state: str, detail: str = "", *, unanswered: int = 0) -> Login:
        return Login(
            device=device,
            version=credential.version,
            state=state,
            credential=credential.name,
            way=way,
            at=self._clock.now(),
            detail=detail[:300],
            unanswered=unanswered,
        )

    def blocked(self, device: str) -> bool:
        """Whether some credential of this device is known to be blocked here. One that is held back because of another device is not."""
        return any(device in logins and _bars(logins[device], proven=version in self._proven) for version, logins in self._logins.items())

    def _done(self, key: Key) -> None:
        event = self._attempts.pop(key, None)
        if event is not None:
            event.set()
        trial = self._trials.get(key[1])
        if trial is not None and trial.device == key[0]:
            del self._trials[key[1]]
            trial.ended.set()

    def _elsewhere(self, key: Key) -> str:
        device, version = key
        count = sum(login.state == "accepted" for login in self._logins.get(version, {}).values() if login.device != device)
        if count:
            others = "another device" if count == 1 else f"{count} other devices"
            return f"; accepted by {others}, so the account is missing, locked or has another password or role on this one"
        return "" if version in self._proven else "; no device has accepted it yet"

    def _why_blocked(self, login: Login) -> str:
        if login.state == "interrupted":
            what = f"an attempt at {_moment(login)} by {login.way} ended without an answer we know of ({login.detail})"
        elif login.state == "unanswered":
            attempts = "1 attempt" if login.unanswered == 1 else f"{login.unanswered} attempts"
            what = f"the device gave no answer to {attempts}, the last at {_moment(login)} by {login.way}; it may delay its refusals past our time-out"
        else:
            what = f"the device refused it at {_moment(login)} by {login.way}"
        return f"not logging in with credential {login.credential!r}: {what}{self._elsewhere((login.device, login.version))}. {self._remedy(login.device)}"

    def _remedy(self, device: str) -> str:
        return f"Look at {device} and its password before the next try"

    async def _learn(self, version: str) -> None:
        """Before the first attempt with this version: what is known of it, at all devices."""
        if version not in self._logins:
            known, proven = await self._load(version)
            if version not in self._logins:
                self._logins[version] = {}
                for login in known:
                    self._put(login)
                if proven:
                    self._proven.add(version)

    # What outlives the process: nothing here.

    async def _load(self, version: str) -> tuple[list[Login], bool]:
        del version
        return [], False

    async def _save(self, login: Login) -> None:
        del login

    async def _restore(self, key: Key) -> None:
        """Take back the note of an attempt that was not made: what was known before stands again."""
        del key


def _bars(login: Login, *, proven: bool) -> bool:
    """Whether this note forbids another attempt at its own device."""
    return login.state in ("refused", "interrupted") or (login.state == "unanswered" and (login.unanswered > 1 or not proven))


def _moment(login: Login) -> str:
    return login.at.strftime("%Y-%m-%d %H:%M UTC")


def _why_held_back(other: Login, device: str) -> str:
    what = {
        "chosen": f"is to be tried at {other.device} next, as a person asked at {_moment(other)} (latarnik unblock {other.device})",
        "refused": f"was refused by {other.device} at {_moment(other)}",
        "interrupted": f"was tried at {other.device} when the agent stopped, before {_moment(other)}, and may have been refused",
    }[other.state]
    return (
        f"credential {other.credential!r} {what}, and no device has accepted it yet, so it is held back here. "
        f"Correct the password in its file, or run `latarnik unblock {device}` to try it on {device}"
    )


class StoredGuard(PassingGuard):
    """The guard over the store. Writes are finished also when the caller is cancelled: a stop must not leave half the truth on the disk."""

    def __init__(self, store: Store, clock: Clock, *, patience: float = PATIENCE) -> None:
        super().__init__(clock, patience=patience)
        self._store = store

    async def unblock(self, device: str, credentials: Iterable[Credential]) -> queries.Unblocked:
        """`latarnik unblock`: each of these credentials may be tried at the device again, and what is held back is tried there next."""
        names = {credential.version: credential.name for credential in credentials}
        keys = [(device, version) for version in names]
        for version in names:
            await self._learn(version)
        while running := [self._attempts[key] for key in keys if key in self._attempts]:
            await running[0].wait()
        for key in keys:  # an attempt that began now would be forgotten with its note
            self._attempts[key] = asyncio.Event()
        try:
            return await self._whole(lambda c: queries.unblock_logins(c, device, names, self._clock.now()))
        finally:
            try:
                for key in keys:
                    now = await self._store.run(lambda c, key=key: queries.load_login(c, *key))  # type: ignore[misc] # bound at once
                    self._logins[key[1]].pop(device, None)
                    self._fresh.discard(key)
                    self._pauses.pop(key, None)
                    self._waited.pop(key, None)
                    if now is not None:
                        self._put(now)
            finally:
                for key in keys:
                    self._done(key)

    def _remedy(self, device: str) -> str:
        return f"Correct the password in its file, or mend it on the device and run: latarnik unblock {device}"

    async def _load(self, version: str) -> tuple[list[Login], bool]:
        return await self._store.run(lambda c: queries.load_version(c, version))

    async def _save(self, login: Login) -> None:
        await self._whole(lambda c: queries.save_login(c, login))

    async def _restore(self, key: Key) -> None:
        known = self._known(key)
        await self._whole(lambda c: queries.forget_login(c, *key) if known is None else queries.save_login(c, known))

    async def _whole(self, work: Callable[[Connection], T]) -> T:
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
        return writing.result()
