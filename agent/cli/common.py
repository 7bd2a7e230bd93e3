"""What several commands need: the configuration, and the daemon if it runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvloop
from sqlalchemy import Connection

from agent.app import House, find_house, read_config
from agent.control import ask_daemon
from agent.errors import StoreError
from agent.store.database import FILE, daemon_lock, open_store
from config.settings import Settings

T = TypeVar("T")

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
    """Run to the end on a uvloop: asyncio's own TLS holds six times the memory a connection."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def fail(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


async def _no_daemon(state_dir: Path) -> bool:
    try:
        async with daemon_lock(state_dir):
            return True
    except StoreError:
        return False


def daemon_runs(settings: Settings) -> bool:
    """Whether a daemon holds this state folder."""
    return settings.state_dir.is_dir() and not run_async(_no_daemon(settings.state_dir))


def through_daemon(settings: Settings, command: str, target: str) -> dict[str, Any]:
    """Let the running daemon do it. Raises ControlError."""
    return run_async(ask_daemon(settings.state_dir, command, target))


def in_store(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Do it in the database ourselves, while no daemon runs."""
    with open_store(settings.state_dir) as store, store.transaction() as connection:
        return work(connection)


def store_exists(settings: Settings) -> bool:
    return (settings.state_dir / FILE).exists()
