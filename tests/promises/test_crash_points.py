"""The launcher that kills the daemon at a chosen point: the other tests build on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.crash import Point, forked
from tests.support.processes import free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "latarnik.yaml"
    text = f"""
site: {{name: test, timezone: Europe/Warsaw}}
listen: 127.0.0.1:{free_port()}
state_dir: {tmp_path / "state"}
devices: [{{id: gate, vendor: axis, host: 127.0.0.1, port: {free_port()}}}]
desks: {{}}
routes: []
"""
    file.write_text(text)
    return file


def test_without_a_point_it_is_the_ordinary_daemon(config: Path, tmp_path: Path) -> None:
    with forked(config, tmp_path / "log") as daemon:
        daemon.ready()
        assert daemon.stop() == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_it_dies_at_its_point_and_not_earlier(config: Path, tmp_path: Path, when: str) -> None:
    opened = Point(where="agent.store.database:Store.run", nth=2, when="before" if when == "before" else "after")
    with forked(config, tmp_path / "log", opened) as daemon:
        assert daemon.died(within=30)
        assert '"watching"' not in daemon.text()
