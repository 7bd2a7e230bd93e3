"""The table that `make test-promises` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import pytest

@pytest.mark.promise(2)
@pytest.mark.parametrize("times", (1000, 200))
def test_holds(tried, times):
    tried("kills", times)

@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_does_not_hold(tried):
    tried("restarts", 3)
    assert False

@pytest.mark.parametrize("case", "abc")
def test_named_in_the_readme(case):
    assert case != "x"

def test_of_something_else():
    pass
"""
OTHER = "| 4 | [`test_elsewhere`](../tests/test_elsewhere.py) | 7 kills | long | passed |"
BEFORE = f"""# Promises

| promise | test | tried | form | result |
|---|---|---|---|---|
| 2 | [`test_holds`](../tests/test_them.py) | 9 old kills | long | passed |
{OTHER}
"""
README = "## What it promises\n\n1. **One**\n   [`test_named_in_the_readme`](tests/test_them.py)\n2. **Two**\n\n## Else\n"


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_each_promise_shows_its_tests_with_what_was_tried_and_a_failure_as_such(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    page = pytester.path / "page.md"
    page.write_text(BEFORE)
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nmarkers = ["promise(number): x"]\n')
    (pytester.mkdir("tests") / "test_them.py").write_text(TESTS)
    (pytester.path / "README.md").write_text(README)
    result = pytester.runpytest_subprocess(
        "--import-mode=importlib", f"--rootdir={pytester.path}", "-p", "no:cacheprovider", "--promises", "--promises-page", str(page), *workers
    )
    lines = [line.split() for line in result.outlines if "test_them.py::" in line and line[0].isdigit()]
    assert lines == [
        ["1", "tests/test_them.py::test_does_not_hold", "failed", "3", "restarts"],
        ["1", "tests/test_them.py::test_named_in_the_readme", "passed", "3", "cases"],
        ["2", "tests/test_them.py::test_does_not_hold", "failed", "3", "restarts"],
        ["2", "tests/test_them.py::test_holds", "passed", "1,200", "kills"],
    ]
    assert page.read_text().startswith("# Promises\n\n| promise | test |")
    assert "| 2 | [`test_holds`](../tests/test_them.py) | 1,200 kills | short | passed |" in page.read_text()
    assert "9 old kills" not in page.read_text()
    assert OTHER in page.read_text(), "a row of a test that was not run stays"
