"""`latarnik ...` run to its end in a process of its own, quickly: a child that is forked with everything imported already."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from agent.app import find_house
from agent.cli import main

WITHIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command left: its exit code and all that it wrote."""

    code: int
    out: str
    err: str


def latarnik(*arguments: str, env: Mapping[str, str] | None = None, user: int | None = None) -> Done:
    """Run it; AssertionError after a minute. Its standard streams are files, as in a pipe. `user`: the user id it runs as."""
    if user is not None and not _open_to_all():
        pytest.skip("another user cannot read this checkout (a folder above it is closed), so nothing of ours runs as that user")
    find_house()  # imports every plugin, so that no child has to
    # What Python imports late, and another user may not be able to read.
    for late in ("encodings.utf_8_sig", "encodings.idna", "importlib.readers", "importlib.resources.readers"):
        importlib.import_module(late)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _child(arguments, env or {}, user, out.fileno(), err.fileno())
        code = _wait(child)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return Done(code=code, out=texts[0], err=texts[1])


def _open_to_all() -> bool:
    here = Path(__file__).resolve()
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in here.parents)


def _child(arguments: tuple[str, ...], env: Mapping[str, str], user: int | None, out: int, err: int) -> NoReturn:
    code = 70
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nothing.fileno(), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor; it lives as long as the child
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115 - as above
        # As Python has it for a program: the test run's own rule would turn a connection that ends with the loop into an error.
        warnings.resetwarnings()
        warnings.simplefilter("ignore", ResourceWarning)
        os.environ.update(env)
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        sys.argv = ["latarnik", *arguments]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the child must not return into the test run; what it met is shown like any program's
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _wait(child: int) -> int:
    deadline = time.monotonic() + WITHIN
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"the command did not end within {WITHIN:.0f} s")
        time.sleep(0.01)
