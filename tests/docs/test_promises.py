"""The ten promises of the README: each names the tests that prove it, or says that none does yet."""

from __future__ import annotations

import ast

from tests.docs.pages import ROOT, page
from tests.support.promises import NAMED, promised


def _promises() -> dict[int, str]:
    return promised("\n".join(line for _, line in page("README.md").prose))


def test_there_are_ten_and_each_is_proven_or_says_that_it_is_not() -> None:
    promises = _promises()
    assert list(promises) == list(range(1, 11))
    assert [number for number, text in promises.items() if not NAMED.search(text) and "not yet" not in text.lower()] == []


def test_every_test_that_is_named_exists() -> None:
    named = [match.groups() for text in _promises().values() for match in NAMED.finditer(text)]
    assert len(named) > 20
    missing = []
    for function, file in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        if function not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}:
            missing.append(f"{file}::{function}")
    assert missing == []
