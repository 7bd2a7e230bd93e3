"""Commands and options that the pages name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
import typer.main

from agent.cli import app
from tests.docs.pages import ROOT, Page, pages, parse

NOT_A_COMMAND = frozenset({"-u", "-g", "-o", "--user", "--group", "cd", "useradd", "adduser", "edit", "restart", "start", "stop", "status", "reload", "enable"})
"""A word before `latarnik` that makes it the name of a user, a unit or a folder."""
SHELL = frozenset({"sh", "bash", "console", "shell"})


def commands() -> dict[tuple[str, ...], frozenset[str]]:
    """Every command with its options."""
    found: dict[tuple[str, ...], frozenset[str]] = {}

    def walk(name: tuple[str, ...], command: object) -> None:
        found[name] = frozenset(option for parameter in getattr(command, "params", ()) for option in parameter.opts) | {"--help"}
        for word, inner in getattr(command, "commands", {}).items():
            walk((*name, word), inner)

    walk((), typer.main.get_command(app))
    return found


def uses(page: Page) -> Iterator[tuple[int, list[str]]]:
    """(line, words after `latarnik`) of each use in code; a line that ends in a backslash goes on."""
    pieces = [(number, code) for number, code in page.spans()]
    for _, lines in page.blocks:
        text = ""
        first = 0
        for number, line in lines:
            first = first if text else number
            text += line.removesuffix("\\")
            if not line.endswith("\\"):
                pieces.append((first, text))
                text = ""
    for number, code in pieces:
        words = re.split(r"\s+", code)
        for index, word in enumerate(words):
            if word.rpartition("/")[2].lstrip("$(`'\"") == "latarnik" and not (index and words[index - 1] in NOT_A_COMMAND):
                yield number, words[index + 1 :]


def complaint(words: Sequence[str], known: dict[tuple[str, ...], frozenset[str]]) -> str:
    """What is wrong with this use, or ''. Words that are no command name are arguments, and so is what follows them but for options."""
    name: tuple[str, ...] = ()
    if not words or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
        return ""
    for word in words:
        if (*name, word) not in known:
            break
        name = (*name, word)
    if not name:
        return f"there is no command {words[0]!r}"
    for word in words[len(name) :]:
        if word in ("|", "&&", "||", ";", "#", ">", "<<"):
            break
        option = re.match(r"\[?(--[a-z][a-z-]*)", word)
        if option and option[1] not in known[name]:
            return f"latarnik {' '.join(name)} has no option {option[1]}"
    return ""


def test_every_command_and_option_that_a_page_names_exists() -> None:
    known = commands()
    wrong = [f"{page.name}:{line}: {said}" for page in pages() for line, words in uses(page) if (said := complaint(words, known))]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`latarnik fly`", "there is no command 'fly'"),
        ("`sudo -u latarnik latarnik list --colour red`", "latarnik list has no option --colour"),
        ("```sh\n.venv/bin/latarnik poll \\\n  --hots H\n```", "latarnik poll has no option --hots"),
        ("`latarnik case show CASE`", ""),
        ("`systemctl reload latarnik`, `cd latarnik`, `latarnik.yaml`", ""),
    ],
)
def test_a_use_is_found_and_judged(text: str, said: str) -> None:
    known = commands()
    found = [complaint(words, known) for _, words in uses(parse(ROOT / "x.md", text))]
    assert [c for c in found if c] == ([said] if said else [])


def test_the_targets_of_make_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, match[1])
        for page in pages()
        for code in [*(c for _, c in page.spans()), *(line for language, lines in page.blocks if language in SHELL for _, line in lines)]
        for match in re.finditer(r"(?:^|&& )make ([a-z-]+)", code)
    }
    assert named, "the pages name none"
    assert {pair for pair in named if pair[1] not in targets} == set()
