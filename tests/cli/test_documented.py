"""docs/cli.md is the public interface: every command, option and key in it exists, and every one that exists is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from agent.cli import app
from tests.cli import report
from tests.cli.terminal import latarnik
from tests.cli.test_fleet_commands import FAULT, ROW, TRUSTED

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^## latarnik ([a-z -]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)}


def commands() -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}

    def walk(group: Any, words: tuple[str, ...]) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, (*words, name))
            else:
                found[" ".join((*words, name))] = command

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = commands()


def rows(section: str) -> dict[str, set[str]]:
    """Column heads of the section's tables, with the words in the first column."""
    tables: dict[str, set[str]] = {}
    for head, body in re.findall(r"^\| ([^|]+?) \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", SECTIONS[section], re.MULTILINE):
        tables[head] = {re.match(r"\| `([^`]+)`", line)[1] for line in body.splitlines()}  # type: ignore[index]  # a row without a word is an error
    return tables


def described(section: str, key: str) -> set[str]:
    """The words in backticks that the row of this key lists."""
    (line,) = [line for line in SECTIONS[section].splitlines() if line.startswith(f"| `{key}` |")]
    return set(re.findall(r"`([a-z_]+)`", line)) - {key}


def test_every_command_is_described_and_no_other() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described_and_no_other(command: str) -> None:
    real = {p.opts[0] if p.param_type_name == "option" else p.name.upper() for p in COMMANDS[command].params if p.name != "help"}
    told = {word.split()[0] for head, words in rows(command).items() if "option" in head for word in words}
    assert told == real


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_a_sentence_for_the_command_and_for_each_option(command: str) -> None:
    done = latarnik(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage: latarnik " + command in " ".join(done.out.split())
    assert COMMANDS[command].help.strip().splitlines()[0].endswith((".", ":", "unknown.", ")."))
    for parameter in COMMANDS[command].params:
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"{parameter.name} has no help"


def test_keys_of_the_poll_are_those_that_it_prints() -> None:
    assert rows("poll")["key"] == set(report.KEYS)
    assert described("poll", "identity") == report.IDENTITY
    assert described("poll", "components") == report.COMPONENT
    assert described("poll", "readings") - {"state"} == report.READING
    assert described("poll", "faults") == report.FAULT
    assert described("poll", "errors") == report.ERROR


def test_keys_of_the_list_are_those_that_it_prints() -> None:
    assert rows("list")["key"] == set(ROW)
    assert described("list", "faults") == FAULT
    assert rows("trust")["key"] == set(TRUSTED)
    assert rows("case list")["key"] == {"id", "device", "state", "plan", "fault", "opened_at", "missing"}


def test_without_a_command_the_commands_are_listed() -> None:
    done = latarnik()
    assert done.code == 2
    assert all(word.split()[0] in done.out + done.err for word in COMMANDS)
