"""AXIS OS version numbers.

Seen in recordings: `5.51.7`, `8.45.4.5`, `9.80.2.2`, `10.12.323`, `11.11.192`, `12.9.57`, and `1.84.1` on products with a line of their own.
Documented for development builds: `12.6+snapshot-20250722`. File names write `12_11_77`.
"""

from __future__ import annotations

import re

_VERSION = re.compile(r"\d{1,9}(?:[._]\d{1,9}){0,5}", re.ASCII)


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version, without what follows them and without zeros at the end; () when it does not start with one.

    Such tuples compare as versions do: a missing part counts as zero.
    """
    found = _VERSION.match(text.strip())
    if found is None:
        return ()
    numbers = [int(part) for part in re.split(r"[._]", found.group())]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def track_of(text: str) -> str:
    """Major and minor number, `11.11` of `11.11.192`: what a version is compared within. '' when there is no version."""
    numbers = version_of(text)
    return ".".join(str(n) for n in (*numbers, 0)[:2]) if numbers else ""
