"""Who builds the same commit gets the same bytes: so that a wheel can be checked by building it anew."""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
from pathlib import Path

from tests.packaging.built import ROOT, build

EPOCH = 1_790_000_000
"""Seconds; even, because a zip counts in steps of two."""


def digests(*files: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_two_builds_by_different_people_at_different_times_are_the_same_bytes(tmp_path: Path) -> None:
    """Other folders, other umasks, other time zones, other languages, files of other ages."""
    epoch = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    one = build(tmp_path / "a", umask=0o022, TZ="UTC", LC_ALL="C.UTF-8", **epoch)
    other = build(tmp_path / "in" / "quite another place", umask=0o077, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7", **epoch)
    assert one.wheel.name == other.wheel.name
    assert digests(one.wheel, one.sdist) == digests(other.wheel, other.sdist)
    # And it is the commit's time that they carry, in UTC.
    with zipfile.ZipFile(one.wheel) as wheel:
        assert {info.date_time for info in wheel.infolist()} == {(2026, 9, 21, 14, 13, 20)}
        assert {info.external_attr >> 16 & 0o777 for info in wheel.infolist()} <= {0o644, 0o664, 0o755}
    with tarfile.open(one.sdist) as sdist:
        members = sdist.getmembers()
        assert {member.mtime for member in members} == {EPOCH}
        assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}


def test_make_dist_takes_the_time_of_the_commit_and_sums_up_what_it_made() -> None:
    (recipe,) = re.findall(r"^dist: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" in recipe
    assert recipe.splitlines()[-1].endswith("sha256sum > SHA256SUMS")
