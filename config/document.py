"""A YAML text as a tree in which every value knows its file and line.

YAML is read from parser events, not from PyYAML's composer: that one recurses in C and a few kilobytes of brackets crash the process.
A plain word keeps its text beside its value, so that a key that wants text gets what is written: `room: 3.10` is "3.10", `user: no` is "no".
Numbers are decimal, booleans are true and false, dates are text: none of YAML 1.1's octal, sexagesimal or yes/no surprises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from config.values import NAME

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 32
MAX_VALUES = 2_000_000

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,30}|\.[0-9]{1,30}|[0-9]{1,18}(?=[eE]))(?:[eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class BadDocument(Exception):
    """The text is no document at all: nothing further can be said of it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it stands; for an entry of a mapping that is where its key stands.

    `value` is a dict of nodes, a list of nodes, or a scalar. `text` is the scalar as written, when it was written plainly (without quotes).
    """

    value: dict[str, Node] | list[Node] | Scalar
    file: str
    line: int
    text: str | None = None

    def get(self, key: str) -> Node | None:
        """The entry of this mapping; None where there is none, or it is empty."""
        if not isinstance(self.value, dict):
            return None
        found = self.value.get(key)
        return None if found is None or found.value is None else found

    def entries(self) -> dict[str, Node]:
        return self.value if isinstance(self.value, dict) else {}

    def items(self) -> list[Node]:
        return self.value if isinstance(self.value, list) else []

    def word(self, key: str) -> str:
        """The text of this scalar entry, as written; '' where there is none."""
        found = self.get(key)
        if found is None or isinstance(found.value, dict | list):
            return ""
        return found.text if found.text is not None else str(found.value)


def resolve(text: str) -> Scalar:
    """The value of a plain word."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def follow(root: Node, path: Path) -> Node:
    """The node at this path, or the deepest one on the way that exists; steps that lead nowhere (names of alternatives) are passed over."""
    node = root
    for step in path:
        if isinstance(step, str):
            node = node.entries().get(step, node)
        elif 0 <= step < len(node.items()):
            node = node.items()[step]
    return node


def dotted(root: Node, path: Path) -> str:
    """The path for people: `devices[gate-2].tls.mode`. Where it enters another file, it starts anew."""
    node, parts = root, ""
    for step in path:
        inner = follow(node, (step,))
        if isinstance(step, int):
            name = inner.word("id")
            parts += f"[{name if NAME.fullmatch(name) else step}]"
        else:
            shown = step if step.isprintable() and len(step) <= 64 else ascii(step[:64])
            parts += f".{shown}" if parts else shown
        if inner.file != node.file:
            parts = ""
        node = inner
    return parts


@dataclass(slots=True)
class _Builder:
    events: Iterator[Any]
    file: str
    anchors: dict[str, Node] = field(default_factory=dict)
    flaws: list[tuple[Path, int, str]] = field(default_factory=list)
    values: int = 0

    def count(self, node_line: int, more: int = 1) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            raise BadDocument(node_line, f"holds more than {MAX_VALUES:,} values, its aliases followed: split it, or use a CSV inventory")

    def build(self, event: Any, path: Path) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor or "", line)
        if len(path) > MAX_DEPTH:
            raise BadDocument(line, f"is nested deeper than {MAX_DEPTH} levels")
        self.count(line)
        if event.tag and event.tag not in {"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}:
            self.flaws.append((path, line, f"the tag {event.tag[:60]!r} has no meaning here: write the value alone"))
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in {None, ""} and not event.tag
            node = Node(resolve(event.value) if plain else event.value, self.file, line, event.value if plain else None)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node([], self.file, line)
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                node.items().append(self.build(inner, (*path, len(node.items()))))
        else:
            node = Node({}, self.file, line)
            self.mapping(node, path)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, name: str, line: int) -> Node:
        # Anchors are known only once they are complete, so a document can hold no loop.
        found = self.anchors.get(name)
        if found is None:
            raise BadDocument(line, f"no anchor &{name[:60]} is complete before the alias *{name[:60]}")
        self.count(line, _size(found))
        return Node(found.value, self.file, line, found.text)

    def mapping(self, node: Node, path: Path) -> None:
        entries = node.entries()
        merged: list[Node] = []
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            line = _line(key)
            name = key.value if isinstance(key, yaml.ScalarEvent) else None
            if name is None:
                self.flaws.append((path, line, "a key must be one word: a name, then a colon"))
                self.build(key, (*path, "?"))
                self.build(next(self.events), (*path, "?"))
                continue
            value = self.build(next(self.events), (*path, name))
            if name == "<<" and key.style in {None, ""}:
                merged += value.items() if isinstance(value.value, list) else [value]
            elif name in entries:
                self.flaws.append(((*path, name), line, f"is given twice; the first one is on line {entries[name].line}"))
            else:
                value.line = line
                entries[name] = value
        for source in merged:
            if isinstance(source.value, dict):
                for name, value in source.value.items():
                    entries.setdefault(name, value)
            else:
                self.flaws.append(((*path, "<<"), source.line, "must name a mapping, or a list of mappings"))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _size(node: Node) -> int:
    children = node.entries().values() if isinstance(node.value, dict) else node.items()
    return 1 + sum(_size(child) for child in children)


def read(content: bytes, file: str) -> tuple[Node, list[tuple[Path, int, str]]]:
    """The document in these bytes, and its flaws (path, line, what). Raises BadDocument where there is none."""
    if len(content) > MAX_BYTES:
        raise BadDocument(0, f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDocument(content.count(b"\n", 0, error.start) + 1, "is not UTF-8 text: save it in that encoding") from None
    events = yaml.parse(text, Loader=yaml.CSafeLoader)
    builder = _Builder(iter(events), file)
    try:
        return _document(builder)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadDocument(mark.line + 1 if mark else 0, _explain(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise BadDocument(line, "holds a character that may not stand in YAML (control characters): remove it") from None


def _document(builder: _Builder) -> tuple[Node, list[tuple[Path, int, str]]]:
    root: Node | None = None
    for event in builder.events:
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                raise BadDocument(_line(event), "only one document may stand in the file: remove the line ---")
            root = builder.build(next(builder.events), ())
    return root or Node(None, builder.file, 1), builder.flaws


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    where = f" ({error.context})" if error.context else ""
    hints = {
        "found character that cannot start any token": "a tab, or one of @ ` % at the start of a value: indent with spaces, and put the value in quotes",
        "mapping values are not allowed in this context": "a colon too many, or a wrong indent: put a value that holds ': ' in quotes",
        "did not find expected key": "wrong indent, or a quote or bracket that is not closed",
    }
    hint = hints.get(problem)
    return f"this is no YAML: {problem}{where}" + (f"; {hint}" if hint else "")
