"""The lock pins every package by hash and names no place to fetch it from; it is what the tests run with, and what the project asks for."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import distributions, version

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.built import PACKAGES, ROOT

LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True, slots=True)
class Pin:
    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pins(text: str) -> list[Pin]:
    """Raises ValueError for a line that pins nothing."""
    found = []
    for block in re.split(r"(?<!\\)\n", text):
        line = " ".join(block.replace("\\\n", " ").split())
        if not line or line.startswith("#"):
            continue
        requirement, *hashes = line.split(" --hash=")
        match = re.fullmatch(r"([a-z0-9-]+)==([^\s;]+)(?: ; (.+))?", requirement)
        if match is None or not hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes):
            raise ValueError(f"not pinned: {line[:80]}")
        found.append(Pin(match[1], match[2], match[3] or "", tuple(hashes)))
    return found


def wanted() -> list[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [Requirement(line) for line in (*document["project"]["dependencies"], *document["dependency-groups"]["dev"], *document["build-system"]["requires"])]


def test_every_package_is_pinned_with_hashes_and_no_place_is_named() -> None:
    text = LOCK.read_text()
    assert len(pins(text)) > 40
    assert re.findall(r"://|^-|@", text.replace("--hash", ""), re.MULTILINE) == []


@pytest.mark.parametrize(
    "line", ["a==1\n", "a>=1 --hash=sha256:" + "0" * 64, "a==1 --hash=md5:00", "a @ https://example.org/a.whl --hash=sha256:" + "0" * 64, "-r b.txt\n"]
)
def test_a_line_that_pins_less_is_noticed(line: str) -> None:
    with pytest.raises(ValueError, match="not pinned"):
        pins(line)


def test_the_lock_covers_what_the_project_asks_for() -> None:
    locked = {pin.name: pin.version for pin in pins(LOCK.read_text())}
    lacking = [str(r) for r in wanted() if not r.specifier.contains(locked.get(canonicalize_name(r.name), "0"), prereleases=True)]
    assert lacking == []


def test_the_tests_run_with_the_locked_versions() -> None:
    locked = {pin.name: pin.version for pin in pins(LOCK.read_text()) if not pin.marker or Marker(pin.marker).evaluate()}
    assert {name: (pinned, version(name)) for name, pinned in locked.items() if Version(version(name)) != Version(pinned)} == {}


def test_no_package_we_install_owns_one_of_our_names() -> None:
    """Our packages stand at the top, with plain names: `config` of another distribution would be loaded in place of ours, or be overwritten by it."""
    owners: dict[str, set[str]] = {}
    for distribution in distributions(path=[p for p in sys.path if p.startswith(sys.prefix)]):
        assert distribution.files is not None, f"{distribution.metadata['Name']} does not say what it installed"
        for file in distribution.files:
            owners.setdefault(file.parts[0].partition(".")[0], set()).add(canonicalize_name(distribution.metadata["Name"]))
    assert "aiohttp" in owners["aiohttp"]
    # The checkout is installed as a link, so not even ours is listed.
    assert {name: owners[name] for name in (*PACKAGES, "tests") if name in owners} == {}
    assert set(PACKAGES) & sys.stdlib_module_names == set()
