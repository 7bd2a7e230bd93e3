"""The note of the management session on the disk: what it says, and how it is read and written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from agent.errors import CollectError, Reason, StoreError
from agent.logs import logger
from agent.ports import Vault
from collectors.poly.login import sendable
from collectors.poly.waits import SLACK, instant

LONGEST_USE = 900.0
"""Seconds that one download of the log bundle may use the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A session. `rotates`: its token changes with the answers, so this one may not be the newest. `at`: when this was noted."""

    session: str
    token: str
    version: str
    rotates: bool
    at: datetime | None

    def values(self) -> dict[str, str]:
        found = {"session": self.session, "token": self.token, "version": self.version, "rotates": "yes" if self.rotates else ""}
        return found | ({"at": self.at.isoformat()} if self.at else {})

    def unused_for(self, now: datetime, idle: float) -> float:
        """Seconds for which the session of an earlier run has surely not been used; 0 where that cannot be told.

        Where the token changes, the note is written anew at least every `idle / 2`, or the session is used no more.
        """
        if not self.rotates or self.at is None:
            return 0.0
        return max(0.0, (now - self.at).total_seconds() - idle / 2 - LONGEST_USE)


@dataclass(frozen=True, slots=True)
class Started:
    """A login of which nobody knows whether it opened a session."""

    at: datetime

    def values(self) -> dict[str, str]:
        return {"login_started": self.at.isoformat()}

    def left(self, now: datetime, idle: float) -> float:
        """Seconds until the session that it may have opened is gone. A clock that was set back makes it all of them."""
        since = (now - self.at).total_seconds()
        return idle + SLACK - since if since >= 0 else idle + SLACK


def noted(values: Mapping[str, str]) -> Held | Started | None:
    """What a note says. Raises StoreError for one that is not ours."""
    if not values:
        return None
    if session := values.get("session"):
        token = values.get("token", "")
        if sendable(session) and (not token or sendable(token)):
            rotates = values.get("rotates") == "yes"
            return Held(session=session, token=token, version=values.get("version", ""), rotates=rotates, at=instant(values.get("at", "")))
    elif started := instant(values.get("login_started", "")):
        return Started(started)
    raise StoreError("the note names neither a session nor a login")


class Notebook:
    """The note of one device. What goes wrong is said in the log, a disk that stays full only once."""

    def __init__(self, device: str, vault: Vault) -> None:
        self._device = device
        self._vault = vault
        self._unwritten = False

    async def read(self) -> Held | Started | None:
        """What an earlier run left. Raises StoreError for what cannot be read, or is no note of ours."""
        try:
            return noted(await self._vault.get(self._device))
        except (OSError, StoreError) as error:
            logger("poly").error("session_note_unreadable", device=self._device, detail=str(error), next="its session is waited out, and the note removed")
            raise StoreError(str(error)) from error

    async def write(self, note: Held | Started | None, *, synced: bool = True) -> None:
        """On the disk when this returns. Raises CollectError when it is not: no session is used that no note names.

        Not `synced`, where only the token of a session already noted has changed: after a power failure the session is waited out.
        """
        try:
            await self._vault.put(self._device, note.values() if note else {}, synced=synced)
        except (OSError, StoreError) as error:
            if not self._unwritten:
                self._unwritten = True
                logger("poly").error(
                    "session_note_not_written", device=self._device, detail=str(error), next="no session is opened with this device until it can be written"
                )
            raise CollectError(Reason.BUG, f"{self._device}: the note of its management session cannot be written, so there is none: {error}") from error
        if self._unwritten:
            self._unwritten = False
            logger("poly").info("session_note_written_again", device=self._device)

    async def clear(self) -> None:
        """The session is gone, or none came about. A note that stays behind costs the next start a wait, and nothing else."""
        with suppress(CollectError):
            await self.write(None)
