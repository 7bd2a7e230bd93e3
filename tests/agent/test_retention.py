"""Evidence has limits of age and size; what an open case needs is never removed."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis.retention import Folder, clear, expendable, measure

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def folder(case: str, size: int, days: float) -> Folder:
    return Folder(case=case, size=size, touched=NOW - timedelta(days=days))


def names(*args: object, **limits: float) -> list[str]:
    folders, needed = args
    return [f.case for f in expendable(folders, needed, NOW, max_age=limits["max_age"], max_size=int(limits["max_size"]))]  # type: ignore[arg-type]


def test_the_old_goes_and_then_the_oldest_until_the_rest_fits() -> None:
    folders = [folder("a", 10, 100), folder("b", 10, 50), folder("c", 10, 20), folder("d", 10, 1)]
    assert names(folders, (), max_age=90 * 86400, max_size=1000) == ["a"]
    assert names(folders, (), max_age=90 * 86400, max_size=15) == ["a", "b", "c"]
    assert names(folders, ("a", "b"), max_age=90 * 86400, max_size=15) == ["c", "d"]


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 200), st.booleans()), max_size=12), st.integers(0, 400))
def test_what_is_needed_stays_and_the_limit_holds_as_far_as_it_can(rows: list[tuple[int, float, bool]], limit: int) -> None:
    folders = [folder(str(n), size, days) for n, (size, days, _) in enumerate(rows)]
    needed = {str(n) for n, (_, _, keep) in enumerate(rows) if keep}
    going = expendable(folders, needed, NOW, max_age=90 * 86400, max_size=limit)
    assert not needed & {f.case for f in going}
    left = [f for f in folders if f not in going]
    assert sum(f.size for f in left) <= limit or all(f.case in needed for f in left)
    assert len({f.case for f in going}) == len(going)


def test_folders_are_measured_and_removed_and_links_are_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "evidence"
    (root / "old").mkdir(parents=True)
    (root / "old" / "log").write_bytes(b"x" * 5000)
    os.utime(root / "old" / "log", (0, 0))
    os.utime(root / "old", (0, 0))
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (found,) = measure(root)
    assert found.case == "old"
    assert found.size >= 5000
    assert found.touched.year == 1970
    cleared = clear(root, [found], set(), NOW, max_age=86400, max_size=10)
    assert ([f.case for f in cleared.going], cleared.over, cleared.trouble) == (["old"], 0, ())
    assert not (root / "old").exists()
    assert (tmp_path / "elsewhere").is_dir()
    assert measure(tmp_path / "nothing") == []


def test_what_is_needed_beyond_the_limit_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_bytes(b"x" * 5000)
    (found,) = measure(tmp_path)
    cleared = clear(tmp_path, [found], {"a"}, NOW, max_age=1, max_size=1000)
    assert (cleared.going, cleared.over) == ((), found.size - 1000)
    assert (tmp_path / "a" / "log").exists()


def test_what_cannot_be_removed_is_told_with_its_reason_and_the_others_go(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    gone = folder("a", 10, 100)  # somebody was quicker
    cleared = clear(tmp_path, [gone, folder("b", 10, 100)], set(), NOW, max_age=86400, max_size=1000)
    assert [f.case for f in cleared.going] == ["b"]
    assert cleared.trouble == (f"{tmp_path / 'a'}: No such file or directory",)


def test_a_file_that_goes_away_while_it_is_measured_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence is written while the folder is looked at."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_bytes(b"x" * 100)
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: [*listed(self, pattern), self / "log.partial"])
    (found,) = measure(tmp_path)
    assert 100 <= found.size < 10_000
