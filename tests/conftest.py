"""The options and fixtures of every test."""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from tests.support.promises import Table, Tried, mark_what_is_named, note_promises


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", action="store_true", help="print a table of the promises and what was tried against each")
    parser.addoption("--promises-page", default="", help="write that table into this page, in place of the one that ends it")


MEMORY = 8 << 30
"""Bytes of address space a test process may take: one that runs away fails by its own name, and takes no other with it."""


def pytest_configure(config: pytest.Config) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most), most))
    if (config.getoption("--promises") or config.getoption("--promises-page")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(), "promises")


@pytest.hookimpl(tryfirst=True)  # before `-m` picks
def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Packed bytes hold the time at which they were packed: in a name they, and their length, would differ from one worker to the next."""
    return f"{argname}-bytes" if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    readme = config.rootpath / "README.md"
    if readme.exists():
        mark_what_is_named(items, readme.read_text(encoding="utf-8"))
    note_promises(items)


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    """Say what a test tried, and how often: `tried("kills at random points", 200)`."""

    def say(what: str, count: int) -> None:
        record_property("tried", f"{count:,} {what}")

    return say
