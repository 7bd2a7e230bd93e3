"""Hostile devices beside good ones: the good ones keep their cadence and lose nothing, the memory stays bounded, each costs its own facets alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hostile.__main__ import SOME
from tests.support.hostile.run import every, run
from tests.support.hostile.ways import RAW, SNMP, SSH_RAW, SSH_SHELLS, V3
from tests.support.promises import Tried, scale

BOUND = 600 << 20
NOISE = 40 << 20
SHORT = (
    "endless-body",
    "endless-chunks",
    "gzip-bomb",
    "continues",
    "drip-body",
    "drip-head",
    "header-count",
    "half-closed",
    "reset-in-body",
    "redirect-loop",
    "xml-laughs",
    "json-deep",
    "json-wide",
    "punycode",
    "any-status",
    "drip-handshake",
    "ssh-small",
    "snmp-loop",
    "snmp-junk",
    "snmp-flood",
    "snmp3-wrong-key",
    "snmp3-flood",
)

HOSTILE_PATHS = {"axis": {"readiness", "temperatures", "storage"}, "poly": {"audio", "sipservers", "peripherals"}}
"""The facets that ask what is hostile in SOME."""
LOCKED_OUT = {"endless-401", "challenge-flood"}
"""What these do to one path is taken for the device's word on its login: nothing that needs one is asked any more (promises 1 and 9)."""
BROKEN_CONNECTION = {"two-answers", "smuggled", "endless-trailers"}
"""These may cost the next request on the same connection too."""


def test_the_paths_that_are_hostile_are_those_of_the_facets_named_here() -> None:
    assert {vendor: len(paths) for vendor, paths in SOME.items()} == {vendor: len(facets) for vendor, facets in HOSTILE_PATHS.items()}


@pytest.mark.promise(5, 7)
@pytest.mark.timeout(900)
def test_good_devices_keep_their_cadence_beside_hostile_ones(tmp_path: Path, tried: Tried) -> None:
    chosen = every()
    if scale(1, 0):  # one vendor's in turn
        few = [d for d in chosen if d["behaviour"] in SHORT]
        chosen = [d for number, d in enumerate(few) if number % 2 == 0 or d["behaviour"] in (*SSH_SHELLS, *SNMP, *V3)]
    groups = [chosen[start : start + 50] for start in range(0, len(chosen), 50)]
    polls = asked = 0
    for number, group in enumerate(groups):
        folder = tmp_path / str(number)
        folder.mkdir()
        # Fewer places than hostile devices: where these held them, nobody else would be polled.
        found = run(folder, good=scale(40, 500), hostile=group, interval=scale(10, 30), rounds=scale(2, 8), concurrency=scale(10, 40))
        assert not found.troubles
        assert max(found.polls.values()) - min(found.polls.values()) <= 2, "no good device is polled less than the others"
        assert not [line for line in found.log.splitlines() if '"polls_missed"' in line and "hostile-" not in line]
        for name in found.polls:
            facets = found.devices[name]["facets"]
            assert facets
            assert not {facet: state for facet, state in facets.items() if state in ("failed", "stale")}, name
        for device in group:
            _costs_its_facets_alone(device, found.devices[device["id"]]["facets"])
            assert sum(found.asked[device["id"]].values()), f"{device['id']} was never met"
        assert found.peak < BOUND
        assert found.growth < NOISE
        polls += sum(found.polls.values())
        asked += len(group)
        tried(f"MB at most ({found.growth >> 20:+d} MB from the middle to the end), {found.seconds:.0f} s for {found.rounds} rounds", found.peak >> 20)
    tried("polls of good devices, none late and no facet lost", polls)
    tried("hostile devices, each at the cost of its own facets", asked)


def _costs_its_facets_alone(device: dict[str, str], facets: dict[str, str]) -> None:
    vendor, behaviour = device["vendor"], device["behaviour"]
    if behaviour in LOCKED_OUT | BROKEN_CONNECTION:
        return
    if behaviour in RAW:
        spared = {"snmp_system", "snmp_health"} if vendor == "axis" else {"ssh_identity"}
    elif behaviour in SSH_RAW or behaviour in SSH_SHELLS:
        spared = set()
    elif behaviour in SNMP or behaviour in V3:
        spared = set(facets) - {"snmp_system", "snmp_health"}
    else:
        spared = set(facets) - HOSTILE_PATHS[vendor]
    assert not {name: facets.get(name) for name in spared if facets.get(name) not in ("ok", "unsupported")}, device["id"]
