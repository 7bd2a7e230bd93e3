"""backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.common import DEFAULT_CONFIG, ConfigFile, configured, fail, store_exists
from agent.store.backup import copy
from agent.store.database import FILE


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy: a file that is not there yet, in a folder that this user may write.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Copy the database to a file, also while the daemon runs: its state of one moment, whole."""
    settings, _ = configured(config)
    if not store_exists(settings):
        fail(f"latarnik backup: there is no database in {settings.state_dir}, so nothing to copy", 1)
    size = copy(settings.state_dir / FILE, file)
    print(f"{file}: {size / 2**20:.1f} MiB.")
