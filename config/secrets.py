"""Secrets: read once, at load, and kept in a type that does not show itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

MAX_SECRET = 64 * 1024


class SecretValue:
    """A string that never shows itself: only `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "SecretValue('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class SecretError(Exception):
    """A secret cannot be used. The text says why and what helps, and holds neither the secret nor the path (which may be a secret put in the wrong place)."""


def read_secret_file(path: Path) -> SecretValue:
    """The one line in this file. The file must not be open to everybody; its group may read it (`root:latarnik 0640` is common)."""
    try:
        if path.is_dir():
            raise SecretError("is not a regular file")
        # Non-blocking, so that a pipe put there by mistake does not hang the start.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError("is not a regular file")
            if stat.S_IMODE(status.st_mode) & 0o007:
                raise SecretError(f"the file is open to every user of this machine (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it")
            content = file.read(MAX_SECRET + 1)
    except FileNotFoundError:
        raise SecretError("no such file; a relative path starts at the folder of the config file") from None
    except PermissionError:
        raise SecretError("may not be read by this user: chown it to the user that runs latarnik, and chmod 600 it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "this is not a usable path"
        raise SecretError(f"cannot be read: {reason}") from None
    return SecretValue(_one_line(content))


def read_secret_variable(name: str, environ: Mapping[str, str]) -> SecretValue:
    """The content of this environment variable."""
    value = environ.get(name)
    if value is None:
        raise SecretError("this environment variable is not set")
    return SecretValue(_one_line(value.encode("utf-8", "surrogateescape")))


def _one_line(content: bytes) -> str:
    if len(content) > MAX_SECRET:
        raise SecretError(f"holds more than {MAX_SECRET // 1024} KiB: that is no secret")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError("is not UTF-8 text") from None
    text = text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretError("is empty: the secret belongs there, on one line")
    if any(ord(char) < 0x20 for char in text):
        raise SecretError("holds more than one line, or control characters: the secret belongs there alone, on one line")
    return text
