"""The tests that prove the ten promises, as a table: promise, test, what was tried, how often, result.

A test that proves a promise is named under it in the README, or marked `@pytest.mark.promise(N)`, and may say with the fixture `tried` what it
tried and how often. `scale(short, long)` is how often: the short form runs at every commit, the long one with `LATARNIK_LONG=1`.
`pytest -m promise --promises` prints the table.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Tried = Callable[[str, int], None]

_ROW = re.compile(r"(\| \d+ \| \[`test_\w+`\]\([^)]+\) \|) ")

NAMED = re.compile(r"\[`(test_\w+)`\]\((tests/[\w/]+\.py)\)")
"""How the README names a test."""


def promised(readme: str) -> dict[int, str]:
    """The text under each promise of the README, by its number."""
    section = readme.partition("## What it promises")[2].partition("\n## ")[0]
    parts = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def mark_what_is_named(items: list[pytest.Item], readme: str) -> None:
    """Mark every test that the README names under a promise."""
    numbers = defaultdict(list)
    for number, text in promised(readme).items():
        for test, file in NAMED.findall(text):
            numbers[file, test].append(number)
    for item in items:
        file, _, test = item.nodeid.partition("::")
        for number in numbers.get((file, test.partition("[")[0]), ()):
            item.add_marker(pytest.mark.promise(number))


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
class Told:
    """What the runs of one test said. `cases`: how many there were, of a test with parameters; what they tried is added up."""

    cases: int = 0
    tried: list[str] = field(default_factory=list)
    results: set[str] = field(default_factory=set)


def note_promises(items: list[pytest.Item]) -> None:
    """Write each test's promises where its report carries them, also from a worker of xdist."""
    for item in items:
        found = tuple(dict.fromkeys(number for mark in item.iter_markers("promise") for number in mark.args))
        if found:
            item.user_properties.append(("promise", found))


@dataclass(slots=True, eq=False)  # pytest hashes its plugins
class Table:
    """Gathers what the tests of one run told, by promise, file and test."""

    told: defaultdict[tuple[int, str, str], Told] = field(default_factory=lambda: defaultdict(Told))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        numbers = [number for name, found in report.user_properties if name == "promise" and isinstance(found, (tuple, list)) for number in found]
        if not numbers or not (report.when == "call" or report.outcome != "passed"):
            return
        file, _, test = report.nodeid.partition("::")
        for number in numbers:
            told = self.told[number, file, test.partition("[")[0]]
            told.cases += 1
            told.tried += [str(value) for name, value in report.user_properties if name == "tried"]
            told.results.add(report.outcome)

    def rows(self) -> list[Row]:
        rows = []
        for (number, file, test), told in sorted(self.told.items()):
            cases = "1 run" if told.cases == 1 else f"{told.cases} cases"
            counts: dict[str, int] = {}
            for said in told.tried:
                number_of, _, what = said.partition(" ")
                counts[what] = counts.get(what, 0) + int(number_of.replace(",", ""))
            tried = "; ".join(f"{count:,} {what}" for what, count in counts.items())
            result = next(word for word in ("failed", "skipped", "passed") if word in told.results)
            rows.append(Row(promise=number, file=file, test=test, tried=tried or cases, result=result))
        return rows

    def text(self) -> list[str]:
        """A line a row, for a terminal."""
        rows = [("promise", "test", "tried", "result"), *((str(r.promise), f"{r.file}::{r.test}", r.tried, r.result) for r in self.rows())]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {d:<7} {c}" for a, b, c, d in rows]

    def page(self, before: str = "") -> str:
        """The same as a Markdown table. Rows of the page as it was `before` stay, where this run did not run their tests."""
        rows = {_ROW.match(line)[1]: line for line in before.splitlines() if _ROW.match(line)}  # type: ignore[index]  # the condition says it matches
        form = "long" if os.environ.get("LATARNIK_LONG") else "short"
        for r in self.rows():
            key = f"| {r.promise} | [`{r.test}`](../{r.file}) |"
            rows[key] = f"{key} {r.tried} | {form} | {r.result} |"
        ordered = sorted(rows.values(), key=lambda line: (int(line.split("|")[1]), line))
        return "\n".join(["| promise | test | tried | form | result |", "|---|---|---|---|---|", *ordered, ""])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        terminalreporter.section("the ten promises")
        for line in self.text():
            terminalreporter.write_line(line)
        page = config.getoption("--promises-page")
        if page:
            head, _, table = (target := Path(page)).read_text(encoding="utf-8").partition("| promise |")
            target.write_text(head + self.page(table), encoding="utf-8")
