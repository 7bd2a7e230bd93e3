"""A person's file, and the daemon killed while it takes it: tried again it is at the desk, whole and once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import latarnik
from tests.e2e.site import Simulator, Site, attached, entry, simulator
from tests.promises import troubles
from tests.promises.test_crash_site import delivered, watching
from tests.support.crash import Point, forked
from tests.support.processes import wait_for
from tests.support.promises import Tried, scale

DEVICE = "spare-2"
POINTS = tuple(
    Point(where=where, when=when)
    for where in ("agent.polling.casework:attach", "agent.app:attach", "agent.diagnosis.handed:keep")
    for when in ("after", "before")
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("fleet") / "simulator.log") as running:
        yield running


@pytest.mark.promise(4)
@pytest.mark.timeout(300)
def test_a_kill_while_a_persons_file_is_taken_leaves_it_at_the_desk_once(fleet: Simulator, tmp_path: Path, tried: Tried) -> None:
    site = Site(folder=tmp_path, fleet=fleet)
    site.write([entry(fleet, DEVICE)])
    with watching(site):
        site.healthy(DEVICE)
        fleet.switch(DEVICE, "sd_failed", on=True)
        wait_for("the ticket is whole", lambda: delivered(site), 60)
    case = site.ticket(DEVICE)["case"]
    file = tmp_path / "report.txt"
    file.write_text("all that the device said\n" * 20_000)
    for folder in ("state", "tickets"):
        shutil.copytree(tmp_path / folder, tmp_path / "before" / folder, ignore=shutil.ignore_patterns("*.sock"))
    for point in POINTS[: scale(3, len(POINTS))]:
        for folder in ("state", "tickets"):
            shutil.rmtree(tmp_path / folder)
            shutil.copytree(tmp_path / "before" / folder, tmp_path / folder)
        with forked(site.config, site.log, point, prepare=[troubles.with_short_pauses]) as daemon:
            daemon.ready()
            said = latarnik("case", "attach", case, str(file), "--config", str(site.config))
            assert said.code == 1, said
            assert daemon.died(within=30)
        with forked(site.config, site.log, prepare=[troubles.with_short_pauses]) as daemon:
            daemon.ready()
            site.cli("case", "attach", case, str(file))
            wait_for("it is at the desk", lambda: "added-report.txt" in attached(site.ticket(DEVICE)) and delivered(site), 60)
        ticket = site.ticket(DEVICE)
        assert [f["name"] for step in ticket["steps"] for f in step["attachments"] if f["name"].startswith("added-")] == ["added-report.txt"]
        assert attached(ticket)["added-report.txt"].read_text() == file.read_text()
        assert not list((site.state / "evidence").rglob("*.part"))
        assert [f.name for f in (site.state / "evidence" / case).iterdir() if f.name.startswith("added-")] == ["added-report.txt"]
    fleet.switch(DEVICE, "sd_failed", on=False)
    tried("kills while a person's file is taken", scale(3, len(POINTS)))
