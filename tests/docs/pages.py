"""The tree's Markdown pages, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("agent", "bench", "collectors", "config", "docs", "exporters", "simulator", "systemd", "tests")

_FENCE = re.compile(r"^(```|~~~)\s*(\S*)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^()\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`prose`: its lines outside of code blocks, each with its number. `blocks`: (language, lines with their numbers)."""

    path: Path
    prose: tuple[tuple[int, str], ...]
    blocks: tuple[tuple[str, tuple[tuple[int, str], ...]], ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def links(self) -> Iterator[tuple[int, str, str]]:
        """(line, text, target)."""
        for number, line in self.prose:
            for match in _LINK.finditer(line):
                yield number, match[1], match[2]

    def spans(self) -> Iterator[tuple[int, str]]:
        """Inline code: (line, code)."""
        for number, line in self.prose:
            for match in _INLINE.finditer(line):
                yield number, match[1]

    def anchors(self) -> frozenset[str]:
        """The ids that a forge gives the headings."""
        found: set[str] = set()
        for _, line in self.prose:
            if heading := _HEADING.match(line):
                text = _LINK.sub(r"\1", heading[1]).replace("`", "").lower()
                slug = base = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
                count = 0
                while slug in found:
                    count += 1
                    slug = f"{base}-{count}"
                found.add(slug)
        return frozenset(found)


def parse(path: Path, text: str) -> Page:
    prose: list[tuple[int, str]] = []
    blocks: list[tuple[str, tuple[tuple[int, str], ...]]] = []
    inside: list[tuple[int, str]] | None = None
    fence = language = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line.strip())
        if inside is None and mark:
            fence, language, inside = mark[1], mark[2], []
        elif inside is not None and line.strip() == fence:
            blocks.append((language, tuple(inside)))
            inside = None
        elif inside is not None:
            inside.append((number, line))
        else:
            prose.append((number, line))
    if inside is not None:
        raise AssertionError(f"{path}: a code block is not closed")
    return Page(path=path, prose=tuple(prose), blocks=tuple(blocks))


def pages() -> list[Page]:
    paths = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
    return [parse(path, path.read_text(encoding="utf-8")) for path in paths]


def page(name: str) -> Page:
    return parse(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))
