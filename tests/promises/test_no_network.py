"""Promise 8: no internet, no cloud account. The real daemon does its whole job where there is no network, and does not even look for one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.promises import Tried

LOOK_FOR_LIBRARIES = {"ldconfig", "gcc", "cc", "ld", "objdump"}
"""What Python starts when a package asks it for a system library, as asyncssh does at import. They share the namespace, so the kernel counts them too."""
ROOT = Path(__file__).parents[2]


@cache
def unshare() -> list[str]:
    """The command that gives a network namespace to who may have one; [] when neither root nor a user namespace does."""
    words = ["unshare", "--net", "--mount"]
    for command in (words, [*words, "--user", "--map-root-user"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not unshare():
        pytest.skip("this user may make no network namespace: unshare --net refuses, with and without a user namespace")
    folder = tmp_path_factory.mktemp("alone")
    done = subprocess.run(
        [*unshare(), sys.executable, "-m", "tests.promises.loopback_only", str(folder)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.promise(8)
@pytest.mark.timeout(300)
def test_where_there_is_nothing_but_loopback_the_whole_job_is_done(told: dict[str, Any], tried: Tried) -> None:
    assert told["interfaces"] == ["lo"]
    assert (told["tickets"], told["mails"] >= 4) == (2, True), told["mails"]
    assert all(count > 3 for count in told["requests"].values())
    # Both ways of asking; how often follows from how soon the tickets were there.
    assert all(sum(counters["snmp"].values()) >= 2 for counters in told["snmp"].values()), told["snmp"]
    tried("requests of the daemon without a network", sum(told["requests"].values()))


@pytest.mark.promise(8)
@pytest.mark.timeout(300)
def test_nothing_but_the_devices_the_desks_and_its_own_doors_is_asked_for(told: dict[str, Any], tried: Tried) -> None:
    # The kernel's count, for Python and native code alike: it counts every kind of try, and there was none.
    assert all(count > 0 for count in told["control"].values()), told["control"]
    assert told["without_a_way"] == 0
    # And on loopback itself, where that count sees nothing: what Python was told to reach.
    assert [words for words in told["heard"] if (why := _stranger(words, told))] == [], why
    reached = {tuple(where[:2]) for event, where in told["heard"] if event == "socket.connect" and isinstance(where, list)}
    assert {host for host, _ in reached} == set(told["allowed"]), "each device and the mail desk was reached, so that the ear is no deaf one"
    tried("addresses that the daemon gave to a socket", len(told["heard"]))


def _stranger(words: list[Any], told: dict[str, Any]) -> str:
    """Why this event should not be, or ''."""
    event, where = words
    match event:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg" | "socket.bind" if isinstance(where, list):
            host, port = where[:2]
            if event == "socket.bind":
                return "" if host in ("127.0.0.1", "0.0.0.0", "") else "it listens elsewhere"
            return "" if port in told["allowed"].get(host, ()) else "no device and no desk"
        case "socket.connect" | "socket.bind" if isinstance(where, str):
            return "" if where.startswith(told["state"]) else "no door of its own"
        case "socket.sendto" | "socket.sendmsg" if where is None:
            return ""  # over a socket that is connected: judged there
        case "socket.getaddrinfo" | "socket.gethostbyname":
            return "" if where in (*told["allowed"], None) else "a name that is not in the configuration"
        case "socket.gethostbyaddr":
            # A mail relay is greeted with this machine's own name, which every Debian has in /etc/hosts.
            return "" if where == socket.gethostname() else "the name of another machine"
        case "subprocess.Popen":
            return "" if Path(where).name in LOOK_FOR_LIBRARIES else "a helper program"
    return "another way out"
