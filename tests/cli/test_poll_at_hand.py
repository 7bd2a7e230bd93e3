"""`latarnik poll --vendor ... --host ...`: one device, without a configuration."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web

from tests.cli.report import checked
from tests.cli.served import in_thread, site_of
from tests.cli.terminal import Done, latarnik
from tests.e2e.site import SECRETS, Simulator
from tests.support.processes import free_port, wait_for
from tests.transport.certs import make_certificate

NOBODY = "127.78.0.250"


def poll(fleet: Simulator, device: str, *more: str, vendor: str = "axis", output: str = "json") -> Done:
    where = ["--vendor", vendor, "--host", fleet.addresses[device], "--port", str(fleet.ports["https"]), "--snmp-port", str(fleet.ports["snmp"])]
    return latarnik("poll", *where, "--ssh-port", str(fleet.ports["ssh"]), "--output", output, *more)


def account(secrets: Path, name: str = "cameras", user: str = "operator") -> list[str]:
    return ["--username", user, "--password-file", str(secrets / f"{name}.password")]


def logins(fleet: Simulator, device: str) -> int:
    return sum(fleet.counters(device)["logins"].values())


# --- what it says -----------------------------------------------------------------------------------------------------


def test_an_axis_device_is_read_whole(fleet: Simulator, secrets: Path) -> None:
    done = poll(fleet, "snmp-v2", *account(secrets), "--snmp-community-file", str(secrets / "snmp.community"), "--tls", "insecure")
    report = checked(done.out)
    assert done.code == 0
    assert done.err == ""
    assert report["device"] == fleet.addresses["snmp-v2"]
    assert (report["vendor"], report["identity"]["model"], report["identity"]["firmware"]) == ("axis", "P3265-LVE", "11.11.181")
    assert len(report["identity"]["serial"]) == 12
    assert {report["facets"][name] for name in ("readiness", "identity", "temperatures", "storage", "snmp_system", "snmp_health")} == {"ok"}
    assert report["faults"] == []
    assert report["errors"] == []
    disk = next(part for part in report["components"] if part["name"] == "SD_DISK")
    assert (disk["kind"], disk["state"]) == ("storage", "ok")
    assert {"name": "latarnik_device_storage_ok", "value": 1.0, "labels": {"storage": "SD_DISK"}} in report["readings"]
    assert {"name": "latarnik_axis_storage_status", "value": 1, "labels": {"storage": "SD_DISK", "state": "ok"}} in report["readings"]


def test_a_room_is_read_whole_and_its_session_given_back(fleet: Simulator, secrets: Path) -> None:
    before = fleet.counters("spare-hall")["sessions_open"]
    done = poll(fleet, "spare-hall", *account(secrets, "rooms", "admin"), "--tls", "insecure", vendor="poly")
    report = checked(done.out)
    assert done.code == 0
    assert report["identity"]["model"] == "G7500"
    e70 = next(part for part in report["components"] if part["name"] == "Poly Studio E70")
    assert e70["serial"].endswith("GK")
    assert e70["serial"] != report["identity"]["serial"]
    assert report["faults"] == []
    assert fleet.counters("spare-hall")["sessions_open"] == before
    assert fleet.counters("spare-hall")["changes"] == []


def test_a_fault_is_shown_and_is_no_failure_of_the_command(fleet: Simulator, secrets: Path) -> None:
    fleet.switch("spare-1", "sd_failed", on=True)
    try:
        done = poll(fleet, "spare-1", *account(secrets), "--tls", "insecure")
        text = poll(fleet, "spare-1", *account(secrets), "--tls", "insecure", output="text")
    finally:
        fleet.switch("spare-1", "sd_failed", on=False)
    (fault,) = checked(done.out)["faults"]
    assert (fault["code"], fault["severity"], fault["component"]) == ("axis.storage.failed", "critical", "SD_DISK")
    assert done.code == text.code == 0
    assert "critical axis.storage.failed SD_DISK: Storage SD_DISK does not work" in text.out


def test_text_for_people_cuts_nothing_and_writes_times_as_times(fleet: Simulator, secrets: Path) -> None:
    done = poll(fleet, "spare-2", *account(secrets), "--tls", "insecure", output="text")
    assert done.code == 0
    assert f"{fleet.addresses['spare-2']}: answers" in done.out
    assert "…" not in done.out
    assert "device_temperature_limit_celsius" in done.out
    (boot,) = [line for line in done.out.splitlines() if line.startswith("device_boot_timestamp_seconds")]
    assert boot.rstrip().endswith("UTC")
    assert "e+" not in done.out


def test_a_device_read_in_part_is_polled_and_the_facets_say_so(fleet: Simulator) -> None:
    """Without an account an Axis device still tells who it is."""
    before = logins(fleet, "spare-1")
    done = poll(fleet, "spare-1")
    report = checked(done.out)
    assert done.code == 0
    assert report["identity"]["model"] == "P3265-LVE"
    assert report["facets"]["identity"] == "ok"
    assert "storage" not in report["facets"] or report["facets"]["storage"] != "ok"
    assert logins(fleet, "spare-1") == before


def test_where_nobody_answers_the_code_is_1_and_every_way_says_why(fleet: Simulator, secrets: Path) -> None:
    where = ["--vendor", "axis", "--host", NOBODY, "--port", str(free_port()), "--timeout", "2"]
    done = latarnik("poll", *where, *account(secrets), "--tls", "insecure", "--output", "json")
    report = checked(done.out)
    assert done.code == 1
    assert report["reachable"] is False
    assert report["identity"]["serial"] == ""
    assert {error["reason"] for error in report["errors"]} == {"refused"}
    assert [fault["code"] for fault in report["faults"]] == ["device.unreachable"]
    text = latarnik("poll", *where, *account(secrets), "--tls", "insecure")
    assert text.code == 1
    assert f"{NOBODY}: does not answer" in text.out


def test_a_wrong_password_is_tried_once(fleet: Simulator, secrets: Path) -> None:
    for device, vendor, user in (("refused-camera", "axis", "operator"), ("refused-room", "poly", "admin")):
        before = fleet.counters(device)["refused_logins"]
        done = poll(fleet, device, *account(secrets, "wrong", user), "--tls", "insecure", vendor=vendor)
        report = checked(done.out)
        assert fleet.counters(device)["refused_logins"] == before + 1
        assert "device.login_refused" in {fault["code"] for fault in report["faults"]}
        assert done.code == (0 if vendor == "axis" else 1), "Axis tells who it is to anybody"


# --- ways in ----------------------------------------------------------------------------------------------------------


def shown(fleet: Simulator, device: str) -> str:
    """The device's certificate, PEM."""
    return ssl.get_server_certificate((fleet.addresses[device], fleet.ports["https"]))


def test_the_fingerprint_decides(fleet: Simulator, secrets: Path) -> None:
    device = "enrol-camera"
    digest = sha256(ssl.PEM_cert_to_DER_cert(shown(fleet, device))).hexdigest()
    before = fleet.requests(device)

    # An account and no word on trust: the fingerprint is named, nothing is sent.
    unsaid = poll(fleet, device, *account(secrets))
    assert unsaid.code == 1
    report = checked(unsaid.out)
    assert {error["reason"] for error in report["errors"]} == {"tls_not_trusted"}
    assert digest in unsaid.out.lower().replace(":", "")
    assert [fault["code"] for fault in report["faults"]] == ["device.not_trusted"]

    wrong = poll(fleet, device, *account(secrets), "--tls", "pin:" + "00" * 32)
    assert (wrong.code, wrong.err) == (1, "")
    assert {error["reason"] for error in checked(wrong.out)["errors"]} <= {"tls_changed", "tls_not_trusted"}
    authority = poll(fleet, device, *account(secrets), "--tls", f"ca:{_written(secrets / 'other.pem', shown(fleet, 'spare-1'))}")
    assert authority.code == 1
    assert fleet.requests(device) == before, "not one request went to a device that is not trusted"

    colons = ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    for word in (f"pin:{digest}", f"pin:{colons}", "tofu", "insecure"):
        done = poll(fleet, device, *account(secrets), "--tls", word)
        assert done.code == 0, word
        assert checked(done.out)["facets"]["storage"] == "ok"


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_authority_that_signed_the_certificate_is_enough(secrets: Path) -> None:
    certificate = make_certificate(secrets, "camera")
    properties = {"Brand": "AXIS", "ProdNbr": "P0000", "SerialNumber": "B8A44F0000AA", "Version": "11.0.1"}

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/axis-cgi/basicdeviceinfo.cgi":
            return web.json_response({"apiVersion": "1.0", "method": "getAllUnrestrictedProperties", "data": {"propertyList": properties}})
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with in_thread(lambda: site_of(app, certificate.server())) as port:
        done = latarnik("poll", "--vendor", "axis", "--host", "127.0.0.1", "--port", str(port), "--tls", f"ca:{certificate.path}", "--output", "json")
    assert done.code == 0
    assert checked(done.out)["identity"]["serial"] == "B8A44F0000AA"


def test_over_plain_http_an_axis_device_is_logged_in_to_by_digest(fleet: Simulator, secrets: Path) -> None:
    where = ["--vendor", "axis", "--host", fleet.addresses["legacy"], "--port", str(fleet.ports["http"]), "--scheme", "http"]
    done = latarnik("poll", *where, *account(secrets), "--output", "json")
    report = checked(done.out)
    assert done.code == 0
    assert report["identity"]["serial"]
    assert fleet.counters("legacy")["logins"]["operator"] > 0
    assert fleet.counters("legacy")["refused_logins"] == 0


def test_a_room_is_not_logged_in_to_over_plain_http(fleet: Simulator, secrets: Path) -> None:
    where = ["--vendor", "poly", "--host", fleet.addresses["spare-room"], "--port", str(fleet.ports["http"]), "--scheme", "http"]
    done = latarnik("poll", *where, "--ssh-port", str(free_port()), *account(secrets, "rooms", "admin"), "--output", "json")
    assert done.code == 1
    assert "weaker_scheme" in {error["reason"] for error in checked(done.out)["errors"]}
    assert fleet.counters("spare-room")["logins_ok"] == {}


SNMP = [
    ("snmp-v2", ["--snmp-community-file", "snmp.community"]),
    ("snmp-v3", ["--snmp-user", "monitor", "--snmp-auth-file", "snmp.auth", "--snmp-priv-file", "snmp.priv"]),
]


@pytest.mark.parametrize(("device", "words"), SNMP, ids=[name for name, _ in SNMP])
def test_by_snmp_alone_a_device_is_known(fleet: Simulator, secrets: Path, device: str, words: Sequence[str]) -> None:
    options = [str(secrets / word) if word.startswith("snmp.") else word for word in words]
    where = ["--vendor", "axis", "--host", fleet.addresses[device], "--port", str(free_port()), "--snmp-port", str(fleet.ports["snmp"])]
    done = latarnik("poll", *where, *options, "--output", "json")
    report = checked(done.out)
    assert done.code == 0
    assert report["reachable"]
    assert report["facets"]["snmp_system"] == report["facets"]["snmp_health"] == "ok"
    assert report["identity"]["model"]
    assert report["identity"]["firmware"]


def test_a_wrong_snmp_key_reads_nothing(fleet: Simulator, secrets: Path) -> None:
    words = ["--snmp-user", "monitor", "--snmp-auth-file", str(secrets / "wrong.password"), "--snmp-priv-file", str(secrets / "snmp.priv")]
    where = ["--vendor", "axis", "--host", fleet.addresses["snmp-v3"], "--port", str(free_port()), "--snmp-port", str(fleet.ports["snmp"])]
    done = latarnik("poll", *where, *words, "--timeout", "2", "--output", "json")
    assert done.code == 1
    assert "failed" in checked(done.out)["facets"].values()


# --- wrong usage ------------------------------------------------------------------------------------------------------

AT = ["--vendor", "axis", "--host", "192.0.2.1"]
WRONG = [
    ([], "give either DEVICE"),
    (["gate-2", "--vendor", "axis"], "give either DEVICE"),
    (["--vendor", "axis"], "--host is missing"),
    (["--vendor", "acme", "--host", "192.0.2.1"], "no vendor 'acme'; there are axis, poly"),
    (["--vendor", "axis", "--host", "https://192.0.2.1"], "without scheme"),
    (["--vendor", "axis", "--host", "192.0.2.1:8443"], "without scheme and port"),
    ([*AT, "--port", "99999"], "--port"),
    ([*AT, "--scheme", "ftp"], "--scheme is https or http"),
    ([*AT, "--scheme", "http", "--tls", "insecure"], "--tls belongs to --scheme https"),
    ([*AT, "--username", "root"], "--username and --password-file go together"),
    ([*AT, "--password-file", "x"], "--username and --password-file go together"),
    ([*AT, "--username", "root", "--password-file", "nowhere"], "--password-file: no such file"),
    ([*AT, "--tls", "always"], "--tls is insecure, tofu, pin:SHA256 or ca:FILE"),
    ([*AT, "--tls", "pin:12"], "64 hex digits"),
    ([*AT, "--tls", "ca:nowhere.pem"], "nowhere.pem is no file"),
    ([*AT, "--snmp-user", "u", "--snmp-community-file", "c"], "give either --snmp-community-file"),
    ([*AT, "--snmp-auth-file", "a"], "belong to --snmp-user"),
    ([*AT, "--snmp-user", "u", "--snmp-priv-file", "p"], "needs --snmp-auth-file"),
    ([*AT, "--snmp-user", "u", "--snmp-auth", "sha3"], "--snmp-auth is md5, sha1, sha256 or sha512"),
    ([*AT, "--output", "xml"], "--output"),
    ([*AT, "--password", "secret"], "No such option"),
    ([*AT, "--config", "latarnik.yaml"], "--config belongs to DEVICE"),
    (["gate-2", "--username", "root"], "--username belongs to --vendor"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_wrong_usage_is_code_2_with_a_sentence_that_names_the_option(arguments: list[str], said: str) -> None:
    done = latarnik("poll", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_password_file_that_everybody_may_read_is_refused(secrets: Path) -> None:
    (secrets / "cameras.password").chmod(0o644)
    done = latarnik("poll", *AT, *account(secrets))
    assert done.code == 2
    assert "--password-file" in done.err
    assert "chmod 600" in done.err


def test_no_secret_is_in_any_output_or_in_the_process_list(fleet: Simulator, secrets: Path) -> None:
    """Also of a poll that fails and of one that is refused."""
    outputs = [
        poll(fleet, "snmp-v2", *account(secrets), "--snmp-community-file", str(secrets / "snmp.community"), "--tls", "tofu"),
        poll(fleet, "refused-camera", *account(secrets, "wrong"), "--tls", "insecure"),
        poll(fleet, "refused-room", *account(secrets, "wrong", "admin"), "--tls", "insecure", vendor="poly"),
        poll(fleet, "spare-hall", *account(secrets, "rooms", "admin"), "--tls", "insecure", vendor="poly", output="text"),
    ]
    for done in outputs:
        assert not [name for name, secret in SECRETS.items() if secret in done.out + done.err]

    fleet.switch("spare-3", "slow", on=True)
    where = ["--vendor", "axis", "--host", fleet.addresses["spare-3"], "--port", str(fleet.ports["https"]), "--tls", "insecure"]
    before = fleet.requests("spare-3")
    child = subprocess.Popen([sys.executable, "-P", "-m", "agent.cli", "poll", *where, *account(secrets)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("it is polling", lambda: fleet.requests("spare-3") > before)
        seen = Path(f"/proc/{child.pid}/cmdline").read_bytes() + Path(f"/proc/{child.pid}/environ").read_bytes()
        assert not [name for name, secret in SECRETS.items() if secret.encode() in seen]
    finally:
        child.kill()
        child.wait(10)
        fleet.switch("spare-3", "slow", on=False)
