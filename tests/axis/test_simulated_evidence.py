"""The evidence of simulated devices of AXIS OS 12, and what is left alone during a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.diagnosis.evidence import Evidence, collect
from agent.model import History
from agent.ports import SystemClock
from collectors.axis import PLUGIN
from simulator.axis import product as axis
from simulator.axis.product import Product
from simulator.axis.state import LogLine
from tests.axis.test_simulated import CREDENTIALS, Bench, bench

REPORTS = {"serverreport.zip", "serverreport.txt"}


async def gathered(table: Bench, folder: Path, have: frozenset[str] = frozenset()) -> Evidence:
    """As the agent does it: what its last poll said of the use decides about what is heavy."""
    snapshot, _ = await table.poll()
    return await collect(
        table.device,
        PLUGIN,
        table.collector,
        folder=folder / "case",
        snapshot=snapshot,
        history=History(),
        reachable=snapshot.reachable,
        heavy=lambda: snapshot.in_use is False,
        have=have,
        clock=SystemClock(),
    )


def names(evidence: Evidence) -> set[str]:
    return {artifact.name for artifact in evidence.artifacts}


async def test_a_camera_of_axis_os_12_gives_its_audit_log_and_names_its_switch_port(tmp_path: Path) -> None:
    async with bench(axis.PTZ_12) as table:
        table.simulated.state.audit.append(LogLine(at=table.simulated.state.now(), level="INFO", process="httpd[1]", text="root changed a setting"))
        evidence = await gathered(table, tmp_path)
        assert "root changed a setting" in (tmp_path / "case" / "auditlog.txt").read_text()
        assert names(evidence) >= {"serverreport.zip", "systemlog.txt", "auditlog.txt", "lldp.json", "health.txt"}
        assert all(artifact.sensitive for artifact in evidence.artifacts if artifact.name != "latarnik-view.json")
        ((name, said),) = evidence.said
        assert name == "lldp.json"
        assert "switch switch-1.example.org, port Gi1/0/" in said.en
        assert "activeFirmwareVersion" in (tmp_path / "case" / "health.txt").read_text()
        assert table.simulated.counters.changes.total() == 0
        assert table.guard.refusals == []


@pytest.mark.parametrize("product", [axis.LEGACY_CAMERA, axis.BOX_9, axis.DOME_10], ids=lambda product: product.number)
async def test_older_ones_lack_both_without_harm(tmp_path: Path, product: Product) -> None:
    async with bench(product) as table:
        evidence = await gathered(table, tmp_path)
        assert names(evidence) >= {"serverreport.zip", "systemlog.txt"}
        assert not names(evidence) & {"auditlog.txt", "lldp.json"}
        assert {note.partition(":")[0] for note in evidence.notes} >= {"auditlog.txt", "lldp.json"}
        assert evidence.said == ()


async def test_without_a_service_account_a_person_is_told_how_to_add_the_report(tmp_path: Path) -> None:
    async with bench(axis.PTZ_12, credentials={"http": CREDENTIALS["http"]}) as table:
        evidence = await gathered(table, tmp_path)
        assert not names(evidence) & (REPORTS | {"auditlog.txt", "systemlog.txt"})
        assert evidence.notes[-1].endswith("latarnik case attach case FILE")
        assert table.simulated.counters.refused_logins == 0


async def test_no_report_is_fetched_of_an_intercom_in_a_call_nor_before_its_silence_is_known(tmp_path: Path) -> None:
    async with bench(axis.INTERCOM) as table:
        unknown = await gathered(table, tmp_path)
        await table.simulated.switch("call_running", on=True)
        calling = await gathered(table, tmp_path)
        for evidence in (unknown, calling):
            assert "serverreport.zip" in evidence.deferred
            assert not names(evidence) & REPORTS
        assert table.simulated.counters.requests["/axis-cgi/serverreport.cgi"] == 0
        await table.simulated.switch("call_running", on=False)
        free = await gathered(table, tmp_path, frozenset(names(calling)))
        assert "serverreport.zip" in names(free)
        assert free.deferred == ()


async def test_no_report_is_fetched_of_a_speaker_whose_announcements_are_not_known(tmp_path: Path) -> None:
    async with bench(axis.SPEAKER) as table:
        for _ in range(2):
            evidence = await gathered(table, tmp_path)
            assert "serverreport.zip" in evidence.deferred
        assert table.simulated.counters.requests["/axis-cgi/serverreport.cgi"] == 0
