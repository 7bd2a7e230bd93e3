"""The unit as it is committed: systemd understands it, it is as closed as promised, and what it names exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.common import DEFAULT_CONFIG
from tests.support.processes import command
from tests.systemd import limits
from tests.systemd.unit import ROOT, UNIT, ours, read_unit

EXPOSURE = 1.5


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """A missing tool is an error and no reason to skip: nothing else judges a unit file."""
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is missing: apt-get install systemd"
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False)


def complaints(unit: Path) -> list[str]:
    """What `systemd-analyze verify` says of this unit; it speaks of other units of the machine too."""
    done = analyze("verify", "--man=no", str(unit))
    about = re.compile(rf"(^|/){re.escape(unit.name)}:")
    return [line for line in (done.stdout + done.stderr).splitlines() if about.search(line)]


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    # Here no program is installed where the unit expects it, which verify would say.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/latarnik/bin/python", "/bin/true").replace("User=latarnik", "User=root").replace("Group=latarnik", ""))
    assert complaints(unit) == []


def test_a_misspelt_line_would_be_noticed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("MemoryDenyWriteExecute=", "MemoryDenyWriteExecutes="))
    assert any("MemoryDenyWriteExecutes" in line for line in complaints(unit))


def test_the_exposure_that_systemd_computes_is_at_most_what_is_promised() -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(UNIT))
    assert done.returncode == 0, done.stdout + done.stderr
    (level,) = re.findall(r"Overall exposure level for latarnik\.service: ([0-9.]+)", done.stdout)
    assert 0 < float(level) <= EXPOSURE
    assert f"how closed the unit is: {level} of 10" in (ROOT / "docs" / "install.md").read_text()


def test_what_stays_exposed_is_what_the_job_needs() -> None:
    done = analyze("security", "--offline=true", "--json=short", str(UNIT))
    entries = json.loads(done.stdout)
    assert {e["name"] for e in entries if e["exposure"] not in (None, "0.0") and e["set"] is False} <= {
        "RootDirectory=/RootImage=",  # it lives in the machine's own file system
        "RestrictAddressFamilies=~AF_UNIX",  # the notify socket, the door of the command line
        "RestrictAddressFamilies=~AF_(INET|INET6)",  # the devices
        "PrivateNetwork=",
        "DeviceAllow=",  # ProtectClock itself names the clock's device
        "IPAddressDeny=",  # a site's own addresses: docs/install.md shows the drop-in
    }


def test_the_command_of_the_unit_is_one_of_ours() -> None:
    interpreter, safe_path, module, name, *words = ours().command()
    assert interpreter == "/opt/latarnik/bin/python"
    assert (safe_path, module, name) == ("-P", "-m", "agent.cli")
    subcommand, *options = words
    done = command(subcommand, "--help")
    assert done.returncode == 0, done.stderr
    assert options == ["--config", str(DEFAULT_CONFIG)]
    for option in (word for word in options if word.startswith("--")):
        assert option in done.stdout
    # The folders that systemd makes are those that the command line looks into.
    assert DEFAULT_CONFIG.parent == Path("/etc") / ours().one("ConfigurationDirectory")


def test_the_unit_says_how_it_is_started_watched_and_reloaded() -> None:
    unit = ours()
    wanted = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "60",
        "Restart": "on-failure",
        "ExecReload": '/bin/sh -c "kill -HUP ${MAINPID}"',
        "StateDirectory": "latarnik",
        "UMask": "0077",
        "LimitCORE": "0",
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
    }
    assert {key: unit.one(key) for key in wanted} == wanted
    assert unit.sections["Service"]["CapabilityBoundingSet"] == [""]
    assert int(unit.one("LimitNOFILE")) >= 16_384
    assert unit.sections["Install"]["WantedBy"] == ["multi-user.target"]


def test_a_mistake_in_the_configuration_ends_with_the_code_that_the_unit_does_not_restart_after(tmp_path: Path) -> None:
    config = tmp_path / "latarnik.yaml"
    config.write_text("nothing: right\n")
    assert command("run", "--config", str(config)).returncode == int(ours().one("RestartPreventExitStatus"))


def test_the_unit_shows_how_secrets_are_loaded() -> None:
    examples = re.findall(r"^#LoadCredential=([a-z0-9.-]+):(/etc/latarnik/credentials/[a-z0-9.-]+)$", UNIT.read_text(), re.MULTILINE)
    assert examples
    assert all(Path(path).name == name for name, path in examples)


def test_the_user_of_the_unit_is_made_by_the_sysusers_file(tmp_path: Path) -> None:
    tool = shutil.which("systemd-sysusers")
    assert tool, "systemd-sysusers is missing: apt-get install systemd"
    (tmp_path / "etc").mkdir()
    done = subprocess.run([tool, f"--root={tmp_path}", str(ROOT / "systemd" / "latarnik.sysusers")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    users = (tmp_path / "etc" / "passwd").read_text()
    assert re.search(rf"^{ours().one('User')}:x:\d+:\d+:Latarnik:/var/lib/latarnik:", users, re.MULTILINE)
    assert re.search(rf"^{ours().one('Group')}:", (tmp_path / "etc" / "group").read_text(), re.MULTILINE)


def test_the_interpreter_option_that_the_unit_uses_exists_in_the_oldest_python_we_support() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11", "-P came with 3.11"
    assert subprocess.run([sys.executable, "-P", "-c", "import sys; sys.exit(not sys.flags.safe_path)"], check=False).returncode == 0


# --- our own reading of unit files, on which the tests of the sandbox rest


def test_values_add_up_and_an_empty_one_forgets_what_came_before() -> None:
    unit = read_unit("# c\n[Service]\nA=1\nA = 2 3\nB=x\nB=\nC=\n; c\nE=yes\n[Install]\nA=9\n")
    assert unit.service("A") == ("1", "2 3")
    assert unit.words("A") == ("1", "2", "3")
    assert (unit.one("A"), unit.one("B"), unit.one("C"), unit.one("D")) == ("2 3", "", "", "")
    assert (unit.on("E"), unit.on("B")) == (True, False)


@pytest.mark.parametrize("text", ["A=1\n", "[Service]\nnonsense\n", "[Service]\nA=1 \\\n 2\n"])
def test_a_line_that_is_not_understood_is_an_error_with_its_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d"):
        read_unit(text)


@given(st.text())
def test_any_text_is_a_unit_or_a_value_error(text: str) -> None:
    try:
        read_unit(text)
    except ValueError:
        return


def test_sets_of_calls_are_resolved_through_sets_in_sets() -> None:
    listing = "@outer\n    # Words\n    @inner\n    read\n@inner\n    write\n# a note\n"
    assert limits.call_groups(listing) == {"@outer": frozenset({"read", "write"}), "@inner": frozenset({"write"})}


def test_the_list_of_calls_is_what_is_allowed_less_what_is_taken_away() -> None:
    unit = read_unit("[Service]\nSystemCallFilter=@a four\nSystemCallFilter=~@b one\nSystemCallErrorNumber=EPERM\n")
    groups = {"@default": {"zero"}, "@a": {"one", "two", "three"}, "@b": {"two"}, "@known": {"zero", "one", "two", "three", "four", "five"}}
    made = limits.calls(unit, {name: frozenset(calls) for name, calls in groups.items()})
    assert [rule.call for rule in made.rules if not rule.error] == ["four", "three", "zero"]
    assert [rule.call for rule in made.rules if rule.error] == ["five", "one", "two"]


@pytest.mark.parametrize(
    "lines",
    ["SystemCallFilter=@a", "SystemCallErrorNumber=EPERM\nSystemCallFilter=~@a", "SystemCallErrorNumber=EPERM\nSystemCallFilter=@a\nSystemCallFilter=@a"],
)
def test_a_list_of_another_form_is_refused_and_not_guessed(lines: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        limits.calls(read_unit(f"[Service]\n{lines}\n"), {"@default": frozenset(), "@a": frozenset(), "@known": frozenset()})
