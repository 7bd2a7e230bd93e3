"""Each broken config of `broken.txt` says exactly what that file expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from tests.config.toys import PASSWORD, load_text, read_cases, write_secret

GOOD = """site: {name: hq}
credentials: {cameras: {username: operator, password_env: CAMERA_PASSWORD}}
devices: [{id: gate-2, vendor: axis, host: 192.0.2.7, credentials: cameras}]
"""


BROKEN = read_cases("broken.txt")

BAD_TABLE = """id;vendor;host;port;credentials.http;axis.pictures;tls.mode;hots
a;axis;192.0.2.1;8o;cameras;;;
b;axsi;192.0.2.2;;cameras;;;
b;axis;192.0.2.3;;cameras;;;
c;axis;192.0.2.4;;cameras;perhaps;tofu;
d;axis;;;cameras;;;;more
e;axis;192.0.2.5;;nobody;TRUE;;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_secret(tmp_path / "good")
    write_secret(tmp_path / "empty", "\n")
    write_secret(tmp_path / "open", mode=0o644)
    write_secret(tmp_path / "lines", "a\nb\n")
    write_secret(tmp_path / "short", "1234567")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.csv").write_text(BAD_TABLE, encoding="utf-8")
    (tmp_path / "good.csv").write_text("id,vendor,host,credentials\ngate-2,axis,192.0.2.7,cameras\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_config_says_where_what_and_what_would_be_right(folder: Path, name: str) -> None:
    text, expected = BROKEN[name]
    with pytest.raises(ConfigError) as raised:
        load_text(folder, text)
    assert PASSWORD not in str(raised.value)
    assert [str(problem) for problem in raised.value.problems] == [f"{folder}/{line.replace('(d)', str(folder))}" for line in expected]


def test_the_config_that_the_broken_ones_are_made_of_is_good(folder: Path) -> None:
    assert load_text(folder, GOOD).devices[0].id == "gate-2"


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    from config.load import load

    with pytest.raises(ConfigError, match=r"none\.yaml: no such file$"):
        load(tmp_path / "none.yaml", vendors={}, desks={})


def test_ten_thousand_brackets_and_a_bomb_of_aliases_are_errors_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested deeper than 32 levels"):
        load_text(tmp_path, "site: " + "[" * 10_000)
    layers = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    with pytest.raises(ConfigError, match="holds more than 2,000,000 values"):
        load_text(tmp_path, "a0: &a0 x\n" + layers)


def test_a_file_of_another_encoding_or_of_no_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"latarnik\.yaml:2: is not UTF-8 text"):
        load_text(tmp_path, b"site: {name: hq}\nlanguage: \xb9\n")
    with pytest.raises(ConfigError, match="is larger than 16 MiB"):
        load_text(tmp_path, b"#" * (16 * 2**20 + 1))
