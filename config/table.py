"""A CSV inventory as the same tree that YAML gives: one node a row, each cell with its file and line.

The first row names the columns as the keys of a device's entry: `id`, `host`, `credentials.http`, `tls.mode`, `axis.some_key`.
An empty cell is a key that is not given. Comma, semicolon (as a Polish Excel writes) or tab; UTF-8 (with or without byte order mark) or Windows-1250.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from config.check import nearest
from config.document import MAX_BYTES, BadDocument, Node, resolve
from config.errors import Problem

# What a spreadsheet in Polish writes for true and false.
_POLISH = {"PRAWDA": True, "FAŁSZ": False}


def read_table(content: bytes, file: str, columns: Iterable[str], sections: Iterable[str]) -> tuple[list[Node], list[Problem]]:
    """The rows of this table, and what is wrong with its form. Raises BadDocument where it is no table.

    `columns` are the known ones; `sections` are the names before the dot under which any key may stand (vendors check their own).
    """
    if len(content) > MAX_BYTES:
        raise BadDocument(0, f"is larger than {MAX_BYTES // 2**20} MiB")
    text = _decode(content)
    first = text.split("\n", 1)[0].strip()
    skipped = 0
    delimiter = max(";\t,", key=first.count)
    if found := re.fullmatch(r"sep=(.)", first):
        delimiter, skipped = found[1], 1
        text = text.partition("\n")[2]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    rows: list[Node] = []
    start = 1
    names: list[str] | None = None
    try:
        for cells in reader:
            line, start = start + skipped, reader.line_num + 1
            values = [cell.strip() for cell in cells]
            if not any(values) or values[0].startswith("#"):
                continue
            if names is None:
                names, wrong = _header(values, set(columns), set(sections))
                problems += (Problem(file=file, line=line, key=name, what=what) for name, what in wrong)
                continue
            if any(values[len(names) :]):
                problems.append(Problem(file=file, line=line, what=f"has {len(values)} cells where the first row names {len(names)} columns"))
            rows.append(_row(names, values, file, line))
    except csv.Error as error:
        raise BadDocument(max(start + skipped, reader.line_num + skipped), f"is no CSV row: {error}; check its quotes") from None
    if names is None:
        raise BadDocument(1, "is empty: the first row must name the columns, such as id,vendor,host,credentials")
    return rows, problems


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1250")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadDocument(line, "is neither UTF-8 nor Windows-1250 text: save the table as 'CSV UTF-8'") from None


def _header(cells: list[str], columns: set[str], sections: set[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The column names ('' for one that is left out, because it is wrong or empty), and what is wrong with them."""
    names: list[str] = []
    wrong: list[tuple[str, str]] = []
    for cell in cells:
        name = cell if cell in columns else cell.casefold()
        section, dot, key = name.partition(".")
        if not name:
            names.append("")
        elif name in names:
            wrong.append((name, "this column stands twice"))
            names.append("")
        elif name in columns or (dot and key and section in sections):
            names.append(name)
        else:
            shown = name[:64] if name.isprintable() else ascii(name[:64])
            wrong.append((shown, f"unknown column{nearest(name, columns)}"))
            names.append("")
    for name in names:
        section, dot, _ = name.partition(".")
        if dot and section in names:
            wrong.append((name, f"stands beside a column {section!r}: use one of the two"))
            names[names.index(name)] = ""
    return names, wrong


def _row(names: list[str], values: list[str], file: str, line: int) -> Node:
    row = Node({}, file, line)
    for name, value in zip(names, values, strict=False):
        if not name or not value:
            continue
        if name == "tags":
            words = [word for word in re.split(r"[\s,;]+", value) if word]
            row.entries()[name] = Node([Node(word, file, line, word) for word in words], file, line)
            continue
        target = row
        *outer, last = name.split(".")
        for step in outer:
            target = target.entries().setdefault(step, Node({}, file, line))
        target.entries()[last] = Node(_POLISH[value] if value in _POLISH else resolve(value), file, line, value)
    return row
