"""What several commands need: the configuration, and the daemon if it runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from agent.app import House, find_house, read_config
from agent.control import ask_daemon
from agent.errors import StoreError
from agent.store.database import FILE, open_store
from config.settings import Settings

T = TypeVar("T")

LOCK = "daemon.lock"
"""The file a daemon holds a lock on, in its state folder."""

ConfigFile = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration.", envvar="LATARNIK_CONFIG")]
DEFAULT_CONFIG = Path("/etc/latarnik/latarnik.yaml")


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="text for people, json for programs.")]


def configured(path: Path) -> tuple[Settings, House]:
    """The settings of this file. Raises ConfigError, PluginError."""
    house = find_house()
    return read_config(path, house), house


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on asyncio's own loop: see docs/dependencies.md for what uvloop did with a device that resets its connections."""
    with asyncio.Runner() as runner:
        return runner.run(work)


def fail(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


UNPRINTED_WIDTH = 10_000
"""Columns where standard output is no terminal: nothing is cut or folded in what goes into a file or to another program."""


def console() -> Console:
    """Standard output, for people."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=UNPRINTED_WIDTH)


def table(*headers: str) -> Table:
    """A table without lines. On a narrow terminal its cells are folded, never cut: a serial number that is cut is no serial number."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


def daemon_runs(settings: Settings) -> bool:
    """Whether a daemon holds this state folder. It looks only at a lock that is there: one made here would belong to this user, not to the daemon's.

    Raises StoreError where this user may not look.
    """
    path = settings.state_dir / LOCK
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _out_of_reach(path, error) from error
    try:
        # Shared: commands do not take each other for a daemon.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _out_of_reach(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be looked into ({error.strerror}); run this as the user that runs latarnik, or as root")


def through_daemon(settings: Settings, command: str, target: str) -> dict[str, Any]:
    """Let the running daemon do it. Raises ControlError."""
    return run_async(ask_daemon(settings.state_dir, command, target))


def in_store(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Do it in the database ourselves, while no daemon runs."""
    with open_store(settings.state_dir, migrate=not daemon_runs(settings)) as store, store.transaction() as connection:
        return work(connection)


def store_exists(settings: Settings) -> bool:
    """Whether anything was ever written down. Raises StoreError where this user may not look."""
    try:
        return (settings.state_dir / FILE).exists()
    except OSError as error:
        raise _out_of_reach(settings.state_dir, error) from error
