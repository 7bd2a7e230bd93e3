from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Simulator, Site, simulator


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The simulated devices: one process for all tests, each of which breaks only its own."""
    with simulator(tmp_path_factory.mktemp("fleet") / "simulator.log") as running:
        yield running


@pytest.fixture
def site(fleet: Simulator, tmp_path: Path) -> Site:
    return Site(folder=tmp_path, fleet=fleet)
