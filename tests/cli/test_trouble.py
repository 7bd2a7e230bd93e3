"""What goes wrong around a command: one clear line, the right exit code, no traceback, and files left as they were."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Done, latarnik
from tests.e2e.site import Simulator, Site, entry
from tests.support.processes import command

CAMERA = "spare-1"
NOBODY = 65534
STATE_COMMANDS = [("run",), ("list",), ("poll", CAMERA), ("trust", "--show"), ("unblock", CAMERA), ("case", "list"), ("adopt", "x")]
CONFIG_COMMANDS = [*STATE_COMMANDS, ("check-config",), ("case", "show", "x"), ("case", "approve", "x")]


def one_line(done: Done, code: int) -> str:
    """The one line this command says on standard error."""
    assert done.code == code, done
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if not line.endswith(("problem in the file", "problems in the file"))]
    return line


@pytest.mark.parametrize("words", CONFIG_COMMANDS, ids=" ".join)
def test_without_a_configuration(words: tuple[str, ...], tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.yaml"
    done = latarnik(*words, "--config", str(missing))
    assert (done.code, done.out) == (2, "")
    assert f"{missing}: no such file" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"\xff\xfe\x00", ""), (b"a: [1, 2", ""), (b"- 1\n", "must be a mapping")])
def test_with_a_configuration_that_is_none(content: bytes, said: str, tmp_path: Path) -> None:
    broken = tmp_path / "latarnik.yaml"
    broken.write_bytes(content)
    done = latarnik("list", "--config", str(broken))
    assert done.code == 2
    assert str(broken) in done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_with_a_folder_in_place_of_the_configuration(tmp_path: Path) -> None:
    assert f"{tmp_path}: cannot be read" in one_line(latarnik("list", "--config", str(tmp_path)), 2)


def test_with_a_device_that_is_not_in_the_configuration(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA), entry(site.fleet, "spare-2")])
    done = latarnik("poll", "gate-9", "--config", str(site.config))
    assert "has no device 'gate-9'; it has spare-1, spare-2" in one_line(done, 2)


def test_where_the_state_folder_cannot_be_made(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)], state_dir="/proc/latarnik")
    for words in (("run",), ("poll", CAMERA)):
        line = one_line(latarnik(*words, "--config", str(site.config)), 1)
        assert "/proc/latarnik: cannot be made" in line
        assert "set state_dir to" in line


def test_where_a_file_stands_in_the_place_of_the_state_folder(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    site.state.write_text("not a folder")
    for words in STATE_COMMANDS:
        done = latarnik(*words, "--config", str(site.config))
        assert done.code == (0 if words == ("list",) else 1), done
        assert "Traceback" not in done.err
    assert site.state.read_text() == "not a folder"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may go into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(("mode", "said"), [(0o500, "not writable"), (0o000, "cannot be looked into")])
def test_where_this_user_may_not_write_or_look_into_the_state_folder(fleet: Simulator, open_folder: Path, mode: int, said: str) -> None:
    """Root may everything, so as root this is run as another user."""
    site = Site(folder=open_folder, fleet=fleet)
    site.write([entry(fleet, CAMERA)])
    site.state.mkdir()
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (site.folder, *site.folder.iterdir()):
            os.chown(path, user, user)
    site.state.chmod(mode)
    try:
        for words in STATE_COMMANDS:
            done = latarnik(*words, "--config", str(site.config), user=user)
            # In a folder that may be read and holds nothing yet there is nothing to be refused of: the list is that of the configuration.
            assert done.code == (0 if mode and words == ("list",) else 1), done
            assert "Traceback" not in done.err
        assert said in one_line(latarnik("poll", CAMERA, "--config", str(site.config), user=user), 1)
    finally:
        site.state.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file behind that belongs to another user")
def test_a_lock_that_another_user_left_behind_is_said_in_one_line(fleet: Simulator, open_folder: Path) -> None:
    """Somebody once ran the daemon as root; now it runs as its own user."""
    site = Site(folder=open_folder, fleet=fleet)
    site.write([entry(fleet, CAMERA)])
    site.state.mkdir()
    (site.state / "daemon.lock").touch(mode=0o600)
    for path in (site.folder, *site.folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    for words in (("run",), ("poll", CAMERA), ("list",)):
        line = one_line(latarnik(*words, "--config", str(site.config), user=NOBODY), 1)
        assert "daemon.lock" in line or str(site.state) in line
        assert "Permission denied" in line


def _damage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xa5" * 4096)


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999_from_the_future')")
    database.close()


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    database.close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_damage, "damaged"), (_newer, "written by a newer Latarnik (schema 9999_from_the_future)"), (_foreign, "a database of something else")],
    ids=["damaged", "newer", "foreign"],
)
@pytest.mark.parametrize("words", STATE_COMMANDS, ids=" ".join)
def test_a_database_that_cannot_be_used_is_said_in_one_line_and_left_as_it_was(
    site: Site, words: tuple[str, ...], spoil: Callable[[Path], None], said: str
) -> None:
    site.write([entry(site.fleet, CAMERA)])
    site.state.mkdir()
    file = site.state / "latarnik.sqlite3"
    spoil(file)
    before = file.read_bytes()
    line = one_line(latarnik(*words, "--config", str(site.config)), 1)
    assert str(file) in line
    assert said in line
    assert "left as it was" in line
    assert file.read_bytes() == before
    assert [path.name for path in site.state.iterdir() if path.name not in ("daemon.lock", file.name)] == []


def test_a_second_daemon_on_the_same_folder_says_so_and_ends(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    with site.daemon():
        line = one_line(latarnik("run", "--config", str(site.config)), 1)
        assert "another latarnik runs on this folder" in line


def test_a_port_that_is_taken_is_said_in_one_line(site: Site, tmp_path: Path) -> None:
    site.write([entry(site.fleet, CAMERA)])
    with socket.create_server(("127.0.0.1", site.listen)):
        line = one_line(latarnik("run", "--config", str(site.config)), 1)
    assert f"cannot listen on 127.0.0.1:{site.listen}" in line
    assert "listen:" in line


def test_run_takes_only_the_levels_and_formats_it_knows(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    for words in (("--log-level", "loud"), ("--log-format", "xml")):
        line = one_line(latarnik("run", "--config", str(site.config), *words), 2)
        assert "--log-level is debug, info, warning or error" in line


def test_output_into_a_pipe_that_closes_is_no_traceback(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    shell = f"{sys.executable} -P -m agent.cli list --config {site.config} | true"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert command("version").returncode == 0
