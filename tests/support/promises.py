"""The tests that prove the ten promises, as a table: promise, test, what was tried, how often, result.

A test that proves a promise is marked `@pytest.mark.promise(N)` and says with the fixture `tried` what it tried and how often. `scale(short, long)`
is how often: the short form runs at every commit, the long one with `LATARNIK_LONG=1`. `pytest -m promise --promises` prints the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Tried = Callable[[str, int], None]


def scale(short: int, long: int) -> int:
    """How often something is tried: `short` at every commit, `long` when LATARNIK_LONG is set."""
    return long if os.environ.get("LATARNIK_LONG") else short


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Row:
    promise: int
    file: str
    test: str
    tried: str
    result: str


@dataclass(slots=True)
class Table:
    """Gathers the rows of one run. `numbers`: the promises of a test, by its node id."""

    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            found = tuple(number for mark in item.iter_markers("promise") for number in mark.args)
            if found:
                item.user_properties.append(("promise", found))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        numbers = [number for name, found in report.user_properties if name == "promise" and isinstance(found, (tuple, list)) for number in found]
        if not numbers or not (report.when == "call" or report.outcome != "passed"):
            return
        file, _, test = report.nodeid.partition("::")
        told = "; ".join(str(value) for name, value in report.user_properties if name == "tried")
        self.rows += [Row(promise=n, file=file, test=test, tried=told or "1 run", result=report.outcome) for n in dict.fromkeys(numbers)]

    def text(self) -> list[str]:
        """A line a row, for a terminal."""
        rows = [("promise", "test", "tried", "result"), *((str(r.promise), f"{r.file}::{r.test}", r.tried, r.result) for r in sorted(self.rows))]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {d:<7} {c}" for a, b, c, d in rows]

    def page(self) -> str:
        """The same as the rows of a Markdown table."""
        lines = [f"| {r.promise} | [`{r.test}`](../{r.file}) | {r.tried} | {r.result} |" for r in sorted(self.rows)]
        return "\n".join(["| promise | test | tried | result |", "|---|---|---|---|", *lines, ""])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        terminalreporter.section("the ten promises")
        for line in self.text():
            terminalreporter.write_line(line)
        page = config.getoption("--promises-page")
        if page:
            head, _, _ = (target := Path(page)).read_text(encoding="utf-8").partition("| promise |")
            target.write_text(head + self.page(), encoding="utf-8")
