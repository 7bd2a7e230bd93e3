"""docs/dependencies.md names what is installed, as it is installed."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import ROOT, page

_NAME = re.compile(r"[a-z0-9-]+")


def _project() -> tuple[list[str], list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = (project["project"]["dependencies"], project["dependency-groups"]["dev"])
    runtime, dev = ([match[0] for line in lines if (match := _NAME.match(line))] for lines in groups)
    return runtime, dev


def _rows(heading: str) -> dict[str, str]:
    """Name → first cell of each row of the table under this heading."""
    text = "\n".join(line for _, line in page("docs/dependencies.md").prose)
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| `")]
    return {cell.split("`")[1]: cell for cell in cells}


def test_the_runtime_table_is_that_of_the_project() -> None:
    assert sorted(_rows("Runtime")) == sorted(_project()[0])


def test_the_development_table_is_that_of_the_project() -> None:
    assert sorted(_rows("Development")) == sorted(_project()[1])


def test_the_versions_are_those_of_the_lock() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    assert {name: cell.split()[-1] for name, cell in _rows("Runtime").items()} == {name: locked[name] for name in _project()[0]}
