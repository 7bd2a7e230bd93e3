"""The log has limits of size and age: those of a journal of its own, as journald itself understands the file that we ship."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.systemd.unit import ROOT, ours, read_unit

LIMITS = ROOT / "systemd" / "latarnik.journald"
JOURNALD = Path("/lib/systemd/systemd-journald")


def test_the_units_log_goes_to_the_journal_that_has_the_limits() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    name = ours().one("LogNamespace")
    assert name == "latarnik"
    assert f"dist/systemd/{LIMITS.name} /etc/systemd/journald@{name}.conf" in page
    assert f"journalctl --namespace={name}" in ours().sections["Unit"]["Description"][0]
    assert not any(ours().service(key) for key in ("StandardOutput", "StandardError", "SyslogIdentifier")), "it would go elsewhere"


def test_no_page_sends_people_to_a_journal_in_which_nothing_is() -> None:
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        for line in page.read_text().splitlines():
            for command in re.findall(r"journalctl[^`|]*", line):
                assert "--namespace=latarnik" in command, f"{page.name}: {line}"


def test_the_page_says_the_limits_that_the_file_sets() -> None:
    journal = read_unit(LIMITS.read_text()).sections["Journal"]
    page = (ROOT / "docs" / "install.md").read_text()
    assert f"{journal['SystemMaxUse'][0].removesuffix('M')} MB" in page
    assert f"{journal['MaxRetentionSec'][0].removesuffix('day')} days" in page


@pytest.mark.skipif(os.geteuid() != 0, reason="a journald of its own can be started by root alone")
def test_journald_understands_every_line_and_keeps_to_the_limit(tmp_path: Path) -> None:
    """The real journald, with the file as it is installed, in a mount namespace of its own, fed through the socket that a service's output goes to."""
    assert JOURNALD.exists(), "systemd-journald is missing: apt-get install systemd"
    (tmp_path / "journal").mkdir()
    done = subprocess.run(["unshare", "--mount", sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "errors").read_text() == "", "journald complains of no line"
    told = (tmp_path / "said").read_text()
    assert re.search(r"System Journal \(/var/log/journal/[0-9a-f]+\.latarnik\) is [0-9.]+M, max 500\.0M", told), told
    assert "a line of the service" in told


def inside(folder: Path) -> None:
    """In the mount namespace: /etc/systemd, /run and /var/log are empty, but for our file; journald, one line, and what it then has."""
    for place in ("/etc/systemd", "/run", "/var/log"):
        Path(place).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    shutil.copy(LIMITS, "/etc/systemd/journald@latarnik.conf")
    # A machine that was never booted has an empty one, and no journal.
    machine = folder / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    subprocess.run(["mount", "--bind", str(machine), "/etc/machine-id"], check=True)
    Path("/var/log/journal").mkdir()
    door = Path("/run/systemd/journal.latarnik/stdout")
    with (folder / "errors").open("wb") as errors:
        journald = subprocess.Popen([str(JOURNALD), "latarnik"], stderr=errors, stdout=errors)
    try:
        deadline = time.monotonic() + 30
        while not door.exists():
            assert journald.poll() is None, "journald ended"
            assert time.monotonic() < deadline, "journald does not listen"
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as service:
            service.connect(str(door))
            # identifier, unit, priority, level prefix, forward to syslog, kernel and console; then the lines
            service.sendall(b"latarnik\nlatarnik.service\n6\n1\n0\n0\n0\na line of the service\n")
        while True:
            said = subprocess.run(["journalctl", "--namespace=latarnik", "--no-pager"], capture_output=True, text=True, check=False).stdout
            if "a line of the service" in said:
                break
            assert time.monotonic() < deadline, f"the line is not in the journal: {said}"
            time.sleep(0.1)
        (folder / "said").write_text(said)
    finally:
        # SIGTERM would be said in `errors`.
        journald.kill()
        journald.wait(10)


if __name__ == "__main__":
    inside(Path(sys.argv[1]))
