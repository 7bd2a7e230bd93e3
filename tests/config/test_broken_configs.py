"""Each broken config with exactly what is said of it. `{d}` is the folder of the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from tests.config.toys import PASSWORD, load_text, write_secret

HEAD = "site: {name: hq}\n"
CAMERA = "credentials: {cameras: {username: operator, password_env: CAMERA_PASSWORD}}\n"
GATE = "devices: [{id: gate-2, vendor: axis, host: 192.0.2.7, credentials: cameras}]\n"
GOOD = HEAD + CAMERA + GATE

BROKEN: dict[str, tuple[str, list[str]]] = {
    "an empty file": ("", ["latarnik.yaml:1: is empty: at least site and devices belong there"]),
    "a list": ("- a\n", ["latarnik.yaml:1: must be a mapping of keys to values, such as site: {name: ...}"]),
    "an unclosed bracket": (
        HEAD + "devices: [\n",
        ["latarnik.yaml:3: this is no YAML: did not find expected node content (while parsing a flow node)"],
    ),
    "a tab": (
        HEAD + "polling:\n\tinterval: 1m\n",
        [
            "latarnik.yaml:3: this is no YAML: found character that cannot start any token (while scanning for the next token); "
            "a tab, or one of @ ` % at the start of a value: indent with spaces, and put the value in quotes"
        ],
    ),
    "a second document": (GOOD + "---\n", ["latarnik.yaml:4: only one document may stand in the file: remove the line ---"]),
    "a tag": (
        GOOD + "language: !!python/name:os.system pl\n",
        ["latarnik.yaml:4: language: the tag 'tag:yaml.org,2002:python/name:os.system' has no meaning here: write the value alone"],
    ),
    "an alias to nothing": (HEAD + "devices: *gone\n", ["latarnik.yaml:2: no anchor &gone is complete before the alias *gone"]),
    "nothing but a site": (
        HEAD,
        [
            "latarnik.yaml:1: devices: is missing: The inventory: entries, and `{file: devices.csv}` for those in a table with the same names in its first row."
        ],
    ),
    "no site": (CAMERA + GATE, ["latarnik.yaml:1: site: is missing: Where the agent stands."]),
    "an unknown key at the top": (GOOD + "lisen: 127.0.0.1:1\n", ["latarnik.yaml:4: lisen: unknown key; did you mean listen?"]),
    "an unknown key of a vendor's name": (GOOD + "axsi: {}\n", ["latarnik.yaml:4: axsi: unknown key; did you mean axis?"]),
    "a key given twice": (
        GOOD + "language: pl\nlanguage: en\n",
        ["latarnik.yaml:5: language: is given twice; the first one is on line 4"],
    ),
    "an unknown key of a device": (
        HEAD + CAMERA + "devices:\n  - id: gate-2\n    vendor: axis\n    hots: 192.0.2.7\n    host: 192.0.2.7\n    credentials: cameras\n",
        ["latarnik.yaml:6: devices[gate-2].hots: unknown key; did you mean host?"],
    ),
    "an unknown key in a vendor's section of a device": (
        HEAD + CAMERA + "devices:\n  - id: gate-2\n    vendor: axis\n    host: 192.0.2.7\n    credentials: cameras\n    axis:\n      picturs: true\n",
        ["latarnik.yaml:9: devices[gate-2].axis.picturs: unknown key; did you mean pictures?"],
    ),
    "a wrong value in a vendor's section is said once, not for each device": (
        HEAD + CAMERA + "axis:\n  pictures: maybe\ndevices:\n"
        "  - {id: a, vendor: axis, host: 192.0.2.7, credentials: cameras}\n  - {id: b, vendor: axis, host: 192.0.2.8, credentials: cameras, axis: {firmware: {}}}\n",
        ["latarnik.yaml:4: axis.pictures: must be true or false, not 'maybe'"],
    ),
    "a vendor's required key that is given nowhere": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: toy, host: 192.0.2.7, credentials: cameras}\n",
        ["latarnik.yaml:4: devices[a].toy.zone: is missing"],
    ),
    "a section of another vendor": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: axis, host: 192.0.2.7, credentials: cameras, poly: {}}\n",
        ["latarnik.yaml:4: devices[a].poly: this device's vendor is axis: a section of poly has no meaning for it"],
    ),
    "a scalar for a section": ("site: krakow\n" + CAMERA + GATE, ["latarnik.yaml:1: site: must be a mapping of keys to values, not 'krakow'"]),
    "a mapping for devices": (HEAD + CAMERA + "devices: {id: a}\n", ["latarnik.yaml:3: devices: must be a list of entries, each starting with a dash"]),
    "a word for a device": (
        HEAD + "devices: [gate-2]\n",
        ["latarnik.yaml:2: devices[0]: must be a mapping, such as {id: gate-2, vendor: axis, host: 192.0.2.7}"],
    ),
    "wrong kinds of values": (
        GOOD + "polling:\n  interval: 60\n  timeout: soon\n  concurrency: many\n  stale_after_missed: 0\nevidence: {max_size: 5 gigs}\nlanguage: de\nlisten: 9877\n",
        [
            "latarnik.yaml:5: polling.interval: needs its unit: 60s, 60m, 60h or 60d",
            "latarnik.yaml:6: polling.timeout: must be a duration with its unit, such as 30s, 5m, 1h or 2d, not 'soon'",
            "latarnik.yaml:7: polling.concurrency: must be a whole number, not 'many'",
            "latarnik.yaml:8: polling.stale_after_missed: must be at least 1, not '0'",
            "latarnik.yaml:9: evidence.max_size: must be a size with its unit, such as 500KiB, 64MiB or 5GiB, not '5 gigs'",
            "latarnik.yaml:10: language: must be one of pl, en, not 'de'",
            "latarnik.yaml:11: listen: must be host:port, such as 127.0.0.1:9877 or [::1]:9877, not '9877'",
        ],
    ),
    "a bad time zone": (
        "site: {name: hq, timezone: Europe/Warzsaw}\n" + CAMERA + GATE,
        ["latarnik.yaml:1: site.timezone: is no known time zone: write its IANA name, such as Europe/Warsaw"],
    ),
    "a URL for a host": (
        HEAD + CAMERA + "devices: [{id: a, vendor: axis, host: 'https://192.0.2.7/', credentials: cameras}]\n",
        [
            "latarnik.yaml:3: devices[a].host: must be a host name or an address alone, without scheme and port (those have keys of their own), "
            "not 'https://192.0.2.7/'"
        ],
    ),
    "a bad id": (
        HEAD + CAMERA + "devices: [{id: gate/2, vendor: axis, host: 192.0.2.7, credentials: cameras}]\n",
        ["latarnik.yaml:3: devices[0].id: may hold letters, digits, dot, dash and underscore, at most 64, a letter or digit first, not 'gate/2'"],
    ),
    "an id given twice": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: axis, host: 192.0.2.7, credentials: cameras}\n  - {id: a, vendor: axis, host: 192.0.2.8, credentials: cameras}\n",
        ["latarnik.yaml:5: devices[a].id: a is taken by the device at {d}/latarnik.yaml:4"],
    ),
    "names that lead nowhere": (
        HEAD + CAMERA + "contracts: {c: {plan: hezo-pluss}}\ndevices:\n"
        "  - {id: a, vendor: axsi, host: 192.0.2.7, credentials: camera, contract: d, parent: b}\n"
        "desks: {d: {type: rtt, url: x}}\nroutes: [{match: {plan: nine, vendor: polly, contract: x}, to: [nobody]}]\n",
        [
            "latarnik.yaml:3: contracts.c.plan: no service plan has this name; did you mean hezo-plus?",
            "latarnik.yaml:5: devices[a].vendor: no collector for this vendor is installed; did you mean axis?",
            "latarnik.yaml:5: devices[a].parent: no device has this id; known are: a",
            "latarnik.yaml:5: devices[a].credentials: no credential is named camera; did you mean cameras?",
            "latarnik.yaml:5: devices[a].contract: no contract is named d; known are: c",
            "latarnik.yaml:6: desks.d.type: no ticket desk of this type is installed; did you mean rt?",
            "latarnik.yaml:7: routes[0].to: no desk is named nobody; known are: d",
            "latarnik.yaml:7: routes[0].match.plan: no plan is named nine; did you mean none?",
            "latarnik.yaml:7: routes[0].match.contract: no contract is named x; known are: c",
            "latarnik.yaml:7: routes[0].match.vendor: no vendor is named polly; did you mean poly?",
        ],
    ),
    "a broken credential is not also unknown": (
        HEAD + "credentials: {cameras: {username: operator, passwort_env: X}}\n" + GATE,
        ["latarnik.yaml:2: credentials.cameras.passwort_env: unknown key; did you mean password_env?"],
    ),
    "a parent that leads back": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: axis, host: 192.0.2.7, parent: b}\n  - {id: b, vendor: axis, host: 192.0.2.8, parent: a}\n",
        [
            "latarnik.yaml:4: devices[a].parent: leads back to this device: one of them must have no parent",
            "latarnik.yaml:5: devices[b].parent: leads back to this device: one of them must have no parent",
        ],
    ),
    "no host": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: axis}\n",
        ["latarnik.yaml:4: devices[a].host: is missing: the device's address, or the parent it hangs on"],
    ),
    "a part of another vendor's device": (
        HEAD + CAMERA + "devices:\n  - {id: a, vendor: axis, host: 192.0.2.7, credentials: cameras}\n  - {id: b, vendor: poly, parent: a, model: x}\n",
        ["latarnik.yaml:5: devices[b].vendor: a part without host is read through its parent, and a is of vendor axis"],
    ),
    "contract dates the wrong way round": (
        HEAD + CAMERA + "contracts: {c: {plan: poly-plus, number: N, starts: 2026-01-02, ends: 2025-01-01}}\n" + GATE,
        ["latarnik.yaml:3: contracts.c.ends: ends on 2025-01-01, before it starts on 2026-01-02"],
    ),
    "days that are none": (
        HEAD + CAMERA + "contracts: {c: {starts: 2026-02-30, ends: 1.2.2027}}\n" + GATE,
        [
            "latarnik.yaml:3: contracts.c.starts: is no day of the calendar, not '2026-02-30'",
            "latarnik.yaml:3: contracts.c.ends: must be a day written as YYYY-MM-DD, such as 2026-01-31, not '1.2.2027'",
        ],
    ),
    "a pin without fingerprint": (
        HEAD + CAMERA + "devices: [{id: a, vendor: axis, host: 192.0.2.7, credentials: cameras, tls: {mode: pin}}]\n",
        ["latarnik.yaml:3: devices[a].tls.mode: pin needs sha256: the SHA-256 fingerprint of the device's certificate"],
    ),
    "a fingerprint without pin": (
        HEAD + CAMERA + f"devices: [{{id: a, vendor: axis, host: 192.0.2.7, credentials: cameras, tls: {{sha256: '{'0a' * 32}'}}}}]\n",
        ["latarnik.yaml:3: devices[a].tls.sha256: only counts with mode pin, and the mode is enrol"],
    ),
    "a file of authorities that is not there": (
        HEAD + CAMERA + "devices: [{id: a, vendor: axis, host: 192.0.2.7, credentials: cameras, tls: {mode: ca, ca_file: ca.pem}}]\n",
        ["latarnik.yaml:3: devices[a].tls.ca_file: no such file; a relative path starts at the folder of the config file"],
    ),
    "a password in the file": (
        HEAD + f"credentials: {{cameras: {{username: operator, password: {PASSWORD}}}}}\n" + GATE,
        [
            "latarnik.yaml:2: credentials.cameras.password: a secret does not stand in this file: put it in a file of its own (chmod 600) "
            "and name that with password_file"
        ],
    ),
    "a password where its file belongs": (
        HEAD + f"credentials: {{cameras: {{username: operator, password_file: {PASSWORD}}}}}\n" + GATE,
        ["latarnik.yaml:2: credentials.cameras.password_file: no such file; a relative path starts at the folder of the config file"],
    ),
    "two sources of a password": (
        HEAD + "credentials: {cameras: {username: operator, password_file: good, password_env: CAMERA_PASSWORD}}\n" + GATE,
        ["latarnik.yaml:2: credentials.cameras.password_env: stands beside password_file: give one of the two"],
    ),
    "no source of a password": (
        HEAD + "credentials: {cameras: {username: operator}}\n" + GATE,
        [
            "latarnik.yaml:2: credentials.cameras: needs password_file or password_env, or a systemd credential named cameras (LoadCredential=cameras:...)"
        ],
    ),
    "secret files of all bad kinds": (
        HEAD + "credentials:\n"
        "  a: {username: u, password_file: empty}\n  b: {username: u, password_file: open}\n  c: {username: u, password_file: folder}\n"
        "  d: {username: u, password_file: lines}\n  cameras: {username: u, password_env: NOT_SET}\n" + GATE,
        [
            "latarnik.yaml:3: credentials.a.password_file: is empty: the secret belongs there, on one line",
            "latarnik.yaml:4: credentials.b.password_file: the file is open to every user of this machine (mode 0644): chmod 600 it",
            "latarnik.yaml:5: credentials.c.password_file: is not a regular file",
            "latarnik.yaml:6: credentials.d.password_file: holds more than one line, or control characters: the secret belongs there alone, on one line",
            "latarnik.yaml:7: credentials.cameras.password_env: this environment variable is not set",
        ],
    ),
    "SNMP that does not fit together": (
        HEAD + CAMERA.replace("}}\n", "},\n")
        + "  a: {snmp: {version: 2c, user: u}},\n  b: {snmp: {version: 3, community_env: CAMERA_PASSWORD, priv: des, priv_key_env: CAMERA_PASSWORD}},\n"
        "  c: {snmp: {version: 4}},\n  d: {snmp: {version: 3, user: u, auth: sha256, auth_key_file: short}},\n  e: {}}\n" + GATE,
        [
            "latarnik.yaml:3: credentials.a.snmp.user: belongs to SNMP version 3, and this is version 2",
            "latarnik.yaml:3: credentials.a.snmp: needs community_file or community_env, or a systemd credential named a (LoadCredential=a:...)",
            "latarnik.yaml:4: credentials.b.snmp.community_env: belongs to SNMP version 1 or 2c, and this is version 3",
            "latarnik.yaml:4: credentials.b.snmp: SNMP version 3 needs a user",
            "latarnik.yaml:4: credentials.b.snmp.priv: encryption needs auth too: add auth and its key",
            "latarnik.yaml:5: credentials.c.snmp.version: must be one of 1, 2, 3, not '4'",
            "latarnik.yaml:6: credentials.d.snmp.auth_key_file: the password is shorter than 8 characters, the least SNMP version 3 allows",
            "latarnik.yaml:7: credentials.e: needs a username, or snmp",
        ],
    ),
    "accounts for the wrong role": (
        HEAD + "credentials: {w: {username: u, password_env: CAMERA_PASSWORD}, s: {snmp: {version: 1, community_env: CAMERA_PASSWORD}}}\n"
        "devices:\n  - {id: a, vendor: axis, host: 192.0.2.7, credentials: s}\n  - {id: b, vendor: axis, host: 192.0.2.8, credentials: {snmp: w}}\n",
        [
            "latarnik.yaml:4: devices[a].credentials: s is SNMP access: name it as {snmp: s}",
            "latarnik.yaml:5: devices[b].credentials.snmp: w is no SNMP access",
        ],
    ),
    "a desk without what it needs": (
        GOOD + "desks:\n  help: {type: rt, url: 'https://rt.example.org', token_file: none, que: S}\n",
        ["latarnik.yaml:5: desks.help.queue: is missing", "latarnik.yaml:5: desks.help.que: unknown key; did you mean queue?"],
    ),
    "a desk's secret that is not there": (
        GOOD + "desks:\n  help: {type: rt, url: 'https://rt.example.org', token_file: none, queue: S}\n",
        ["latarnik.yaml:5: desks.help.token_file: no such file; a relative path starts at the folder of the config file"],
    ),
    "a name that cannot be used": (
        HEAD + "credentials: {'a b': {username: operator, password_env: CAMERA_PASSWORD}}\ndevices: []\n",
        ["latarnik.yaml:2: credentials.a b: this name cannot be used: letters, digits, dot, dash and underscore, at most 64, a letter or digit first"],
    ),
    "overrides of faults that are none": (
        GOOD + "faults: {'axis.*': {hold: long, severity: fatal, hits: 0}}\n",
        [
            "latarnik.yaml:4: faults.axis.*.hold: must be a duration with its unit, such as 30s, 5m, 1h or 2d, not 'long'",
            "latarnik.yaml:4: faults.axis.*.hits: must be at least 1, not '0'",
            "latarnik.yaml:4: faults.axis.*.severity: must be one of info, warning, critical, not 'fatal'",
        ],
    ),
    "a plan of one's own with a mistake": (
        GOOD + "plans:\n  hezo-plus:\n    hours: {opens: 18}\n    requires: [serial, blood]\n",
        ["latarnik.yaml:7: plans.hezo-plus.requires[1]: must be one of serial, contract_number, contract_valid, purchase_date, proof_of_purchase, contact, "
         "address, model, firmware, logs_or_reason, checklist, not 'blood'"],
    ),
    "a table that is not there": (HEAD + CAMERA + "devices: [{file: none.csv}]\n", ["latarnik.yaml:3: devices[0].file: {d}/none.csv: no such file"]),
    "a table with more beside it": (
        HEAD + CAMERA + "devices: [{file: good.csv, vendor: axis}]\n",
        ["latarnik.yaml:3: devices[0].vendor: may not stand beside file: it belongs into a column of that table"],
    ),
    "a table with bad cells": (
        HEAD + CAMERA + "devices:\n  - {file: bad.csv}\n",
        [
            "bad.csv:1: hots: unknown column; did you mean host?",
            "bad.csv:2: port: must be a whole number, not '8o'",
            "bad.csv:3: vendor: no collector for this vendor is installed; did you mean axis?",
            "bad.csv:4: id: b is taken by the device at {d}/bad.csv:3",
            "bad.csv:5: axis.pictures: must be true or false, not 'perhaps'",
            "bad.csv:6: has 9 cells where the first row names 8 columns",
            "bad.csv:6: host: is missing: the device's address, or the parent it hangs on",
            "bad.csv:7: credentials.http: no credential is named nobody; known are: cameras",
        ],
    ),
}  # fmt: skip

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
    assert [str(problem) for problem in raised.value.problems] == [
        f"{folder}/{line.replace('{d}', str(folder))}" for line in expected
    ]


def test_the_config_that_the_broken_ones_are_made_of_is_good(folder: Path) -> None:
    assert load_text(folder, GOOD).devices[0].id == "gate-2"


def test_no_secret_is_in_any_message(folder: Path) -> None:
    for text, _ in BROKEN.values():
        with pytest.raises(ConfigError) as raised:
            load_text(folder, text)
        assert PASSWORD not in str(raised.value)


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
