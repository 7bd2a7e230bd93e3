"""Opening the database: locked to one daemon, checked, brought to our schema. What cannot be used is left as it was."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from agent.errors import StoreError
from agent.logs import logger
from agent.store.backup import copy

T = TypeVar("T")

FILE = "latarnik.sqlite3"
READING = "latarnik_reading"
BUSY_MS = 10_000
"""How long one process waits for another's write: the command line beside the daemon writes a row or two."""
IN_TROUBLE_MS = 200
"""And while the database is known to be out of reach: whoever waits for the writer's thread, a poll above all, is not to wait for that each time."""


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _pragmas(raw: sqlite3.Connection, _record: object) -> None:
        # pysqlite's own transaction handling would commit before DDL and delay BEGIN; we begin ourselves.
        raw.isolation_level = None
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        # A new file can give room back to the disk while it is in use. It must be said before the file's first byte is written.
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: what the outbox says was written is on the disk (promise 4).
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a reader that becomes a writer halfway would get SQLITE_BUSY without waiting.
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READING) else "BEGIN IMMEDIATE")

    return engine


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _unusable(path: Path, why: object) -> StoreError:
    return StoreError(f"{path}: {why}; it was left as it was. Put a backup in its place, or move it away to start with an empty one")


def _check_and_migrate(path: Path, engine: Engine, *, migrate: bool) -> None:
    if path.exists():
        revision = _refuse_what_is_not_ours(path)
        if not migrate:
            if revision != _scripts().get_current_head():
                raise StoreError(f"{path}: belongs to a running daemon of an older version; restart it (systemctl restart latarnik), then ask again")
            return
        if revision and revision != _scripts().get_current_head():
            _keep(path, revision)
    try:
        with engine.connect() as connection:
            config = _alembic(connection)
            command.upgrade(config, "head")
            if connection.in_transaction():
                connection.commit()
    except DatabaseError as error:
        raise _unusable(path, f"cannot be used ({error.orig})") from error
    path.chmod(0o600)


def _keep(path: Path, revision: str) -> None:
    """Copy a database of an older schema before it is changed: the way back to the version before. One such copy is kept. Raises StoreError."""
    kept = path.with_name(f"{path.name}.schema-{revision}")
    kept.unlink(missing_ok=True)  # of an upgrade that failed
    copy(path, kept)
    for older in path.parent.glob(f"{path.name}.schema-*"):
        if older != kept:
            older.unlink()
    logger("store").info("database_kept_before_upgrade", file=str(kept))


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))


def _refuse_what_is_not_ours(path: Path) -> str:
    """Look at an existing file without opening it for writing; its revision, '' for an empty file."""
    try:
        raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise _unusable(path, f"cannot be opened ({error})") from error
    try:
        verdict = raw.execute("PRAGMA quick_check(1)").fetchone()
        if verdict is None or verdict[0] != "ok":
            raise _unusable(path, f"is damaged ({verdict[0] if verdict else 'no answer'})")
        names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        revisions = [row[0] for row in raw.execute("SELECT version_num FROM alembic_version")] if "alembic_version" in names else []
    except sqlite3.DatabaseError as error:
        raise _unusable(path, f"is damaged or no SQLite database ({error})") from error
    finally:
        raw.close()
    known = {script.revision for script in _scripts().walk_revisions()}
    strangers = [r for r in revisions if r not in known]
    if strangers:
        raise StoreError(
            f"{path}: was written by a newer Latarnik (schema {strangers[0]}); it was left as it was. Install that version again, or restore a backup"
        )
    if names and not revisions:
        raise _unusable(path, "is a database of something else")
    return revisions[0] if revisions else ""


class Store:
    """The open database. `run` is for the daemon's loop, `transaction` for the command line.

    That it cannot be used is said in the log once, and once when it can be written again: whoever asks for a transaction need not.
    """

    def __init__(self, engine: Engine, writer: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._writer = writer
        self._trouble = ""

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[Connection]:
        """One transaction, on the caller's thread. Raises StoreError when the database cannot be used. `reading`: it will write nothing."""
        try:
            with self._engine.connect().execution_options(**{READING: reading}) as connection:
                raw = _raw(connection)
                raw.execute(f"PRAGMA busy_timeout={IN_TROUBLE_MS if self._trouble else BUSY_MS}")
                before = raw.total_changes
                with connection.begin():
                    yield connection
                wrote = raw.total_changes > before
        except DatabaseError as error:
            self._refused(str(error.orig))
            raise StoreError(f"the database refused: {error.orig}") from error
        if wrote and self._trouble:
            # Reading proves nothing: a full disk can be read.
            self._trouble = ""
            logger("store").info("database_writable_again")

    def _refused(self, why: str) -> None:
        if self._trouble != why:
            self._trouble = why
            logger("store").error("database_not_usable", detail=why, next="mend the disk, or end what locks the database; nothing is lost, it is tried again")

    def _run(self, work: Callable[[Connection], T], *, reading: bool = False) -> T:
        with self.transaction(reading=reading) as connection:
            return work(connection)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """`work(connection)`, which writes nothing, on the store's thread: another process that writes and does not end is not waited for."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, partial(self._run, work, reading=True))

    async def run(self, work: Callable[[Connection], T]) -> T:
        """`work(connection)` in one transaction, on the store's thread: all of it is written, or nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._run, work)

    def schema(self) -> str:
        """The revision of the schema."""
        with self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() or ""


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


@contextmanager
def open_store(state_dir: Path, *, migrate: bool = True) -> Iterator[Store]:
    """The database of `state_dir`, made if missing, migrated if older. Raises StoreError.

    Not `migrate`: an older one is refused, because a daemon of an older version works with it.
    """
    _usable(state_dir)
    path = state_dir / FILE
    engine = _engine(path)
    writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
    try:
        _check_and_migrate(path, engine, migrate=migrate)
        yield Store(engine, writer)
    finally:
        writer.shutdown()
        engine.dispose()


def _usable(state_dir: Path) -> None:
    """The state folder, made if missing. Raises StoreError."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{state_dir}: cannot be made ({error.strerror}); set state_dir to a folder that this user may write") from error
    if not os.access(state_dir, os.W_OK | os.X_OK):
        raise StoreError(f"{state_dir}: is not writable for this user; mend its owner, or set state_dir to another folder")


@asynccontextmanager
async def daemon_lock(state_dir: Path, *, patience: float = 1.0) -> AsyncIterator[None]:
    """Only one daemon a state folder: two would poll every device twice and open every ticket twice. Raises StoreError.

    Taken ahead of the database: a second daemon of a newer version must not migrate what the first one works with.
    """
    _usable(state_dir)
    path = state_dir / "daemon.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened ({error.strerror}); give the state folder and all in it to the user that runs latarnik") from error
    if os.geteuid() == 0:
        # A command of root's must not leave a file that the service's own user cannot open.
        owner = os.stat(state_dir)  # noqa: PTH116 - in an async function, and instant
        os.fchown(handle, owner.st_uid, owner.st_gid)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    # A command that looks whether a daemon runs holds it for a moment; a file lock has no event to wait for.
                    await asyncio.sleep(0.05)
                    continue
                raise StoreError(f"{state_dir}: another latarnik runs on this folder; stop it first, or give this one a state_dir of its own") from error
        yield
    finally:
        os.close(handle)
