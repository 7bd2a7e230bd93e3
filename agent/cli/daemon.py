"""run, check-config, version."""

from __future__ import annotations

import gc
import platform
import resource
import signal
import sys
from typing import Annotated

import typer

from agent import __version__, logs
from agent.cli.common import DEFAULT_CONFIG, ConfigFile, configured, fail, run_async
from agent.lifetime import run as run_agent
from config.errors import ConfigError


def run(
    config: ConfigFile = DEFAULT_CONFIG,
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(metavar="FORMAT", help="auto: readable on a terminal, JSON otherwise; or text, or json.")] = "auto",
) -> None:
    """Watch the devices, until SIGTERM. SIGHUP reads the configuration again."""
    if log_level not in ("debug", "info", "warning", "error") or log_format not in ("auto", "text", "json"):
        fail("latarnik: --log-level is debug, info, warning or error; --log-format is auto, text or json", 2)
    logs.set_up(level=log_level, json=None if log_format == "auto" else log_format == "json")
    # A core dump would hold the passwords.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings, house = configured(config)
    for warning in settings.warnings:
        logs.logger("config").warning("doubtful", detail=str(warning))
    # What the start made stays: it need not be walked by every collection of garbage.
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until it can be answered
    run_async(run_agent(settings, house))


def check_config(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the configuration: every mistake at once, as FILE:LINE: KEY: what is wrong and what would be right."""
    try:
        settings, _ = configured(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        noun = "problem" if len(error.problems) == 1 else "problems"
        fail(f"{len(error.problems)} {noun} in {config}", 2)
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    counts = ((len(settings.devices), "device"), (len(settings.desks), "desk"), (len(settings.contracts), "contract"))
    print(f"{config}: fine. " + ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts) + ".")


def version() -> None:
    """Say which version this is."""
    print(f"latarnik {__version__} (Python {platform.python_version()}, {platform.machine()})")
