from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.document import BadDocument
from config.errors import ConfigError
from config.load import load
from config.table import read_table
from tests.config.toys import DESKS, PASSWORD, VENDORS, Axis, load_text

HEAD = "site: {name: hq}\ncredentials: {cameras: {username: operator, password_env: CAMERA_PASSWORD}}\ndevices: {file: devices.csv}\n"


KEYS = ["site", "name", "devices", "id", "vendor", "host", "credentials", "cameras", "contracts", "plans", "hezo-plus", "desks", "type", "routes"]
KEYS += ["to", "match", "axis", "poly", "faults", "a.*", "listen", "polling", "interval", "tls", "parent", "snmp", "version", "file", "hours", "<<"]


def read(folder: Path, content: bytes) -> list[tuple[str, str, str, bool]]:
    (folder / "devices.csv").write_bytes(content)
    found = load_text(folder, HEAD)
    return [(device.id, device.room, device.credentials.http, isinstance(device.settings, Axis) and device.settings.pictures) for device in found.devices]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1250"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_table_is_read_however_it_was_saved(tmp_path: Path, delimiter: str, encoding: str, end: str) -> None:
    rows = [
        ["ID", "Vendor", "host", "room", "credentials.http", "axis.pictures", "tags", ""],
        ["a", "axis", "192.0.2.1", "Łódź 3.10", "cameras", "PRAWDA", "east, north", ""],
        ["# b", "axis", "192.0.2.2", "", "", "", "", ""],
        ["", "", "", "", "", "", "", ""],
        ["c", "axis", "192.0.2.3", "007", "cameras", "FAŁSZ"],
    ]
    text = end.join(delimiter.join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows) + end
    assert read(tmp_path, text.encode(encoding)) == [("a", "Łódź 3.10", "cameras", True), ("c", "007", "cameras", False)]


def test_excels_own_line_about_the_delimiter_is_understood(tmp_path: Path) -> None:
    assert read(tmp_path, b"sep=;\r\nid;vendor;host;credentials\r\na;axis;192.0.2.1;cameras\r\n") == [("a", "", "cameras", False)]
    with pytest.raises(ConfigError, match=r"devices\.csv:3: port: must be a whole number, not 'x'"):
        read(tmp_path, b"sep=;\r\nid;vendor;host;credentials;port\r\na;axis;192.0.2.1;cameras;x\r\n")


def test_a_row_after_a_cell_of_two_lines_still_has_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, b'id,vendor,host,room\na,axis,192.0.2.1,"two\nlines"\nb,axis,http://x,\n')
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in raised.value.problems] == [
        "devices.csv:2: room: must be one line, without control characters, not 'two\\nlines'",
        "devices.csv:4: host: must be a host name or an address alone, without scheme and port (those have keys of their own), not 'http://x'",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "devices.csv:1: is empty: the first row must name the columns"),
        (b"id,vendor,host,host\na,axis,192.0.2.1,192.0.2.2\n", "devices.csv:1: host: this column stands twice"),
        (b"id,vendor,host,tls,tls.mode\n", "devices.csv:1: tls.mode: stands beside a column 'tls': use one of the two"),
        (b'id,vendor,host\na,axis,"192.0.2.1\n', "devices.csv:2: is no CSV row"),
        (b"id,vendor,host\na,axis,\x81\x83\n", "devices.csv:2: is neither UTF-8 nor Windows-1250 text"),
        (b"id,vendor,host,nope.key\n", "devices.csv:1: nope.key: unknown column"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, content)
    assert said in str(raised.value)


@given(st.binary(max_size=300) | st.text(alphabet='ab,;"\n\r\t. #sep=', max_size=200).map(lambda text: text.encode()))
def test_no_table_crashes_the_reader(content: bytes) -> None:
    try:
        rows, _ = read_table(content, "x.csv", ["id", "a", "b", "a.b"], ["s"])
    except BadDocument:
        return
    assert all(row.line >= 1 for row in rows)


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=12)
        | st.sampled_from(["cameras", "axis", "30s", "192.0.2.1", "a", "*a", "&a x"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=6,
            )
        ),
        max_leaves=25,
    )
)
def test_no_document_does_worse_than_a_config_error(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    import yaml

    path = tmp_path_factory.mktemp("any") / "latarnik.yaml"
    for text in (
        yaml.safe_dump(content, allow_unicode=True),
        yaml.safe_dump({"site": {"name": "x"}, "devices": [content], "desks": content}, allow_unicode=True),
    ):
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            loaded = load(path, vendors=VENDORS, desks=DESKS, environ={"CAMERA_PASSWORD": PASSWORD})
        except ConfigError as error:
            problems = error.problems
        else:
            problems = loaded.warnings
            assert loaded.site.name
        assert all(problem.what and "\n" not in str(problem) for problem in problems)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n\t,?<~0", max_size=120).map(lambda text: text.encode()))
def test_no_bytes_do_worse_than_a_config_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path, vendors=VENDORS, desks=DESKS, environ={})
