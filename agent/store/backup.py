"""A copy of the database that can be put in its place, made while the daemon works with it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from agent.errors import StoreError
from agent.model import StepState


def copy(database: Path, target: Path) -> int:
    """Copy `database` to the new file `target`, mode 0600: its state of one moment, synced to the disk. Returns the bytes. Raises StoreError.

    What was to be sent at that moment may have been sent by the time the copy is used. So its steps are marked in the copy as of unknown fate: the desk
    is searched for them before they are sent again, and one that cannot tell gets them under the same id (promise 4).
    """
    beside = target.with_name(target.name + ".partial")
    try:
        # Ours alone from its first byte. What an attempt that was killed left there is of no use.
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(f"{beside}: cannot be written ({error.strerror}); name a file in a folder that this user may write") from error
    try:
        _copy(database, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        # Unlike a rename this replaces nothing.
        os.link(beside, target)
        size = target.stat().st_size
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise StoreError(f"{target}: is there already; name a file that is not, or remove it") from error
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror})") from error
    except sqlite3.Error as error:
        raise StoreError(f"{database}: cannot be copied to {target} ({error}); mend the disk, or name a file on one with more room") from error
    finally:
        beside.unlink(missing_ok=True)
    return size


def _copy(database: Path, target: Path) -> None:
    source = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
    try:
        source.execute("PRAGMA busy_timeout=10000")
        # One read transaction: in WAL mode the daemon goes on writing beside it.
        source.execute("VACUUM INTO ?", (str(target),))
    finally:
        source.close()
    made = sqlite3.connect(target)
    try:
        with made:
            made.execute("UPDATE outbox SET state = ? WHERE state IN (?, ?)", (StepState.UNKNOWN.value, StepState.PENDING.value, StepState.SENDING.value))
    finally:
        made.close()
