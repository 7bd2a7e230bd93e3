from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import SECRETS, Simulator, Site, simulator


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The simulated devices: one process for all tests of the command line."""
    with simulator(tmp_path_factory.mktemp("fleet") / "simulator.log") as running:
        yield running


@pytest.fixture
def site(fleet: Simulator, tmp_path: Path) -> Site:
    return Site(folder=tmp_path, fleet=fleet)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder with the secret files, as a person would keep them."""
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path
