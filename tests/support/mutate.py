"""Spoiled answers: bytes flipped, cut, doubled and spliced, and the values of a JSON document replaced by odd ones. Seeded, so that a find can be had again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

ODD_BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%00",
    b"\r\n\r\n",
    b"&lol9;",
    b"<!ENTITY a 'b'>",
    b"NA",
    b"-1",
    b"1e400",
    b"9" * 400,
    b"\xc2\xb0",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"root.",
    b"=" * 9,
    b"<html>",
    b"[" * 200,
    b"{" * 60,
    b"\t" * 30,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1 << 70,
    10**400,
    1e308,
    -0.0,
    "",
    "NA",
    "null",
    "\x00",
    "\ud800",
    "x" * 5000,
    "１２",
    "1e400",
    "inf",
    "-",
    [],
    {},
    [None],
    [[]],
    {"": ""},
    {"data": {}},
)


def spoiled_bytes(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """One to four changes anywhere."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        to = min(len(data), at + rng.choice((1, 1, 2, 5, 40)))
        match rng.randrange(7):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = rng.choice(ODD_BYTES)
            case 3:
                data[at:at] = data[at:to] * rng.choice((1, 2, 50))
            case 4:
                other = rng.choice(others)
                data[at:to] = other[rng.randint(0, len(other)) :][:200]
            case 5:
                data[at:to] = rng.randbytes(to - at)
            case _:
                del data[at:]
    return bytes(data)


def spoiled_json(rng: random.Random, value: Any) -> bytes:
    """The document with one to three of its values replaced, dropped, doubled or renamed; or its text spoiled."""
    tree = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        tree = _changed(rng, tree)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return spoiled_bytes(rng, text, [text]) if rng.random() < 0.2 else text


def _changed(rng: random.Random, tree: Any) -> Any:
    places: list[tuple[Callable[[Any], None], Callable[[], None] | None, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in list(items):
            places.append((lambda new, n=node, k=key: n.__setitem__(k, new), lambda n=node, k=key: n.pop(k), child))  # type: ignore[misc]
            walk(child)

    walk(tree)
    if not places or rng.random() < 0.02:
        return rng.choice(ODD_VALUES)
    put, drop, child = rng.choice(places)
    match rng.randrange(5):
        case 0 if drop is not None:
            drop()
        case 1:
            put(str(child))
        case 2:
            put([child])
        case 3:
            put(_deep(rng.choice((3, 30, 200)), child))
        case _:
            put(rng.choice(ODD_VALUES))
    return tree


def _deep(levels: int, inner: Any) -> Any:
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner
