"""What is wrong with a configuration: everything at once, each thing with its place and its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. `line` counts from 1, 0 where there is none; `key` is dotted, '' for the file as a whole.

    An entry of a list is named by its id where it has one: `devices[gate-2].port`, else by its position from 0: `routes[1].to`.
    In a CSV inventory `key` is the column.
    """

    file: str
    line: int = 0
    key: str = ""
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.what) if part)


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds everything that is wrong with it, in the order of the files' lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
