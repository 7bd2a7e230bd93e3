"""What docs/install.md tells people to write and to copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.app import find_house, read_config
from config.errors import ConfigError
from config.settings import Settings
from tests.packaging.built import ROOT
from tests.systemd.unit import ours

PAGE = (ROOT / "docs" / "install.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_configuration_of_the_page_is_right_with_the_credentials_that_its_drop_in_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("yaml")
    loaded = re.findall(r"^LoadCredential=(.+?):/etc/latarnik/credentials/(.+)$", "\n".join(blocks("ini")), re.MULTILINE)
    assert all(name == file for name, file in loaded)
    config, credentials = tmp_path / "latarnik.yaml", tmp_path / "credentials"
    config.write_text(text)
    credentials.mkdir(mode=0o700)
    for name, _ in loaded:
        (credentials / name).write_text("a secret of a test\n")
        (credentials / name).chmod(0o640)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    house = find_house()
    assert read_config(config, house).warnings == ()
    # And every one of them is needed.
    for name, _ in loaded:
        (credentials / name).rename(tmp_path / "away")
        with pytest.raises(ConfigError, match=re.escape(f"LoadCredential={name}:")):
            read_config(config, house)
        (tmp_path / "away").rename(credentials / name)


def test_the_files_that_the_page_copies_are_those_of_the_folder() -> None:
    copied = set(re.findall(r"dist/(systemd/[\w.-]+)", PAGE))
    assert copied == {f"systemd/{path.name}" for path in (ROOT / "systemd").iterdir()}


@pytest.mark.parametrize(("vendor", "heading"), [("axis", "Axis"), ("poly", "Poly VideoOS")])
def test_all_that_is_asked_of_a_device_stands_under_the_account_that_asks_it(vendor: str, heading: str) -> None:
    (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    told: dict[str, set[str]] = {}
    for credential, reads in re.findall(r"^\| `?(\w+)`?[^|]*\|[^|]*\| ([^|]*) \|", section, re.MULTILINE):
        if credential != "credential":
            told[credential] = set(re.findall(r"`([\w.-]+)`", reads))
    plugin = find_house().collectors[vendor]
    asked: dict[str, set[str]] = {}
    for account, name in (*((f.account, f.name) for f in plugin.facets), *((e.account, e.name) for e in plugin.evidence)):
        asked.setdefault(account or "none", set()).add(name)
    assert told == asked


def test_the_page_says_the_limits_of_what_is_kept() -> None:
    kept = Settings.model_fields
    for name in ("evidence", "history"):
        limits = kept[name].default
        assert f"{limits.max_age / 86400:.0f} days, {limits.max_size // 2**30} GiB | `{name}:`" in PAGE


def test_the_page_puts_things_where_the_unit_and_the_command_look() -> None:
    script = (ROOT / "systemd" / "latarnik.sh").read_text()
    for place in ("/opt/latarnik", "/var/lib/latarnik", "/etc/latarnik/credentials"):
        assert place in PAGE
        assert place in script
    assert ours().command()[0].startswith("/opt/latarnik/")
    assert ours().one("User") == "latarnik"
    assert f"reuid={ours().one('User')}" in script
