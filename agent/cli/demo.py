"""demo: the main job on a simulated fleet. The simulator is loaded by name: the agent does not depend on it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Without a terminal: run the whole story, check that each part of it happened, exit 0 or 1.")] = False,
    folder: Annotated[Path, typer.Option(help="Where tickets, logs and state go; emptied at the start.")] = Path("demo-out"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics on 127.0.0.1; 0 takes a free one.")] = 9877,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the table as SVG when both tickets are in it.")] = None,
) -> None:
    """Poll a simulated fleet with the code that runs in production, break two devices, watch the tickets being written and resolved."""
    story = importlib.import_module("simulator.demo")
    raise typer.Exit(story.main(once=once, folder=folder, port=port, picture=picture))
