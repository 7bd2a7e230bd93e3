"""Reading a unit file: what systemd would make of our few directives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "latarnik.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`sections[section][key]` holds the key's values in their order; an empty assignment is "" and empties what came before."""

    sections: Mapping[str, Mapping[str, Sequence[str]]]

    def service(self, key: str) -> tuple[str, ...]:
        """The values of a key of [Service], emptied by the last empty assignment."""
        values: list[str] = []
        for value in self.sections["Service"].get(key, ()):
            values = [*values, value] if value else []
        return tuple(values)

    def one(self, key: str) -> str:
        """The last value of a key of [Service]; "" without one."""
        values = self.service(key)
        return values[-1] if values else ""

    def on(self, key: str) -> bool:
        return self.one(key) in ("yes", "true", "1", "on")

    def words(self, key: str) -> tuple[str, ...]:
        """All words of a list-valued key of [Service]."""
        return tuple(word for value in self.service(key) for word in value.split())

    def command(self) -> list[str]:
        return shlex.split(self.one("ExecStart"))


def read_unit(text: str) -> Unit:
    """Raises ValueError for a line that is none of a unit file's."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
            continue
        key, equals, value = line.partition("=")
        if section is None or not equals or line.endswith("\\"):
            raise ValueError(f"line {number} is not understood: {line}")
        section.setdefault(key.strip(), []).append(value.strip())
    return Unit(sections=sections)


def ours() -> Unit:
    """latarnik.service as it is committed."""
    return read_unit(UNIT.read_text(encoding="utf-8"))
