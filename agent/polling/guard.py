"""Promise 1: at most one refused login per device and credential version, all ways in counted together, across restarts.

The first attempt with a credential is written to the disk before it goes out. What was once accepted needs no note until it is refused.
An attempt whose end we never saw (we were killed) may have been a refused one, so it counts as one until `latarnik unblock`.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from agent.errors import LoginBlocked, Reason
from agent.model import Credential
from agent.ports import Clock
from agent.store import queries
from agent.store.database import Store
from agent.store.queries import Login


class StoredGuard:
    """The guard over the store. One attempt at a time for each device and credential version: the others wait for its outcome."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._states: dict[tuple[str, str], Login] = {}
        self._trying: dict[tuple[str, str], asyncio.Event] = {}

    async def before(self, device: str, credential: Credential, way: str) -> None:
        key = (device, credential.version)
        while (running := self._trying.get(key)) is not None:
            await running.wait()
        # Reserved before the first await: of two ways in at once, one tries and the other waits. Also for a credential that was accepted:
        # it may have been changed on the device meanwhile, and then only one of them is to be refused.
        self._trying[key] = asyncio.Event()
        known = self._states.get(key)
        if known is not None and known.state == "accepted":
            return
        try:
            known = await self._store.run(lambda c: self._note(c, device, credential, way))
        except BaseException:
            self._done(key)
            raise
        self._states[key] = known
        if known.state not in ("trying", "accepted"):
            self._done(key)
            raise LoginBlocked(Reason.AUTH_BLOCKED, _why_blocked(known))

    def _note(self, c: Connection, device: str, credential: Credential, way: str) -> Login:
        known = queries.load_login(c, device, credential.version)
        if known is not None and known.state in ("accepted", "refused", "interrupted"):
            return known
        login = Login(device=device, version=credential.version, state="trying", credential=credential.name, way=way, at=self._clock.now(), detail="")
        queries.save_login(c, login)
        return login

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        await self._end(device, credential, way, "accepted", "")

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> None:
        await self._end(device, credential, way, "refused", detail)

    async def _end(self, device: str, credential: Credential, way: str, state: str, detail: str) -> None:
        key = (device, credential.version)
        known = self._states.get(key)
        if known is not None and known.state == state:
            self._done(key)
            return
        login = Login(device=device, version=credential.version, state=state, credential=credential.name, way=way, at=self._clock.now(), detail=detail[:300])
        try:
            await self._store.run(lambda c: queries.save_login(c, login))
            self._states[key] = login
        finally:
            self._done(key)

    async def unclear(self, device: str, credential: Credential, way: str) -> None:
        """No answer to the credential came: the note is taken back, so that the device may be tried again."""
        key = (device, credential.version)
        known = self._states.get(key)
        try:
            if known is not None and known.state == "trying":
                del self._states[key]
                await self._store.run(lambda c: queries.forget_login(c, device, credential.version))
        finally:
            self._done(key)

    def forget(self, device: str) -> None:
        """After `latarnik unblock`: read the notes of this device anew."""
        for key in [k for k in self._states if k[0] == device]:
            if self._states[key].state != "accepted":
                del self._states[key]

    def blocked(self, device: str) -> bool:
        """Whether some credential of this device is known to be blocked."""
        return any(login.state in ("refused", "interrupted") for key, login in self._states.items() if key[0] == device)

    def _done(self, key: tuple[str, str]) -> None:
        event = self._trying.pop(key, None)
        if event is not None:
            event.set()


def _why_blocked(login: Login) -> str:
    when = login.at.strftime("%Y-%m-%d %H:%M UTC")
    if login.state == "interrupted":
        what = f"an attempt at {when} ended without an answer we know of"
    else:
        what = f"the device refused it at {when} by {login.way}"
    return (
        f"not logging in with credential {login.credential!r}: {what}. "
        f"Correct the password in its file, or mend it on the device and run: latarnik unblock {login.device}"
    )


class PassingGuard:
    """A guard for one `latarnik poll` without a config: nothing is remembered beyond this process."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], str] = {}

    async def before(self, device: str, credential: Credential, way: str) -> None:
        detail = self._refused.get((device, credential.version))
        if detail is not None:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"not logging in by {way}: the device refused credential {credential.name!r} a moment ago ({detail})")

    async def accepted(self, device: str, credential: Credential, way: str) -> None:
        return

    async def refused(self, device: str, credential: Credential, way: str, detail: str) -> None:
        self._refused[device, credential.version] = f"{way}: {detail}"

    async def unclear(self, device: str, credential: Credential, way: str) -> None:
        return
