"""The command line: `latarnik`. Exit codes: 0 done, 1 it could not be done, 2 wrong usage or configuration."""

from __future__ import annotations

import sys

import typer

from agent import logs
from agent.cli import backup, cases, daemon, demo, detection, device, fleet, trust
from agent.errors import LatarnikError
from config.errors import ConfigError

app = typer.Typer(
    name="latarnik",
    help="Watches Poly meeting rooms and Axis devices, exports their health to Prometheus, and writes the service ticket by itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(daemon.run)
app.command("check-config")(daemon.check_config)
app.command("poll")(device.poll)
app.command("list")(fleet.list_devices)
app.command("trust")(trust.trust)
app.command("unblock")(fleet.unblock)
app.command("adopt")(cases.adopt)
app.add_typer(cases.app, name="case")
app.command("detection")(detection.detection)
app.command("backup")(backup.backup)
app.command("demo")(demo.demo)
app.command("version")(daemon.version)


def main() -> None:
    """The entry point: errors that are ours become one line on standard error, never a traceback."""
    logs.set_up(level="warning", json=False)  # on standard error: a command's output is its answer alone
    try:
        app(prog_name="latarnik")  # also as `python -m agent.cli`
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except LatarnikError as error:
        print(f"latarnik: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
