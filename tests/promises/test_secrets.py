"""Promise 9: our secrets stay inside. Canaries in every credential field, searched for in everything a running agent writes, shows and sends."""

from __future__ import annotations

import asyncio
import base64
import codecs
import gzip
import hashlib
import html
import json
import logging
import ssl
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
import yaml

from agent import logs
from agent.diagnosis.masking import masked
from agent.model import Component, Identity, Reading
from agent.ports import FacetData
from agent.redact import LEAST, Mask
from tests.cli.terminal import latarnik
from tests.e2e.site import CONTACT, FAST_FAULTS, Simulator, Site, attached
from tests.promises.canary import SECRETS
from tests.support.certificates import self_authority
from tests.support.processes import get, process, wait_for
from tests.support.promises import Tried
from tests.tickets.relay import Relay, relay

USERS = ("admin", "root", "operator", "monitor", "latarnik")
ROOMS = ("room", "room-refused")


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret could stand somewhere, by the spelling's name. Written apart from the product's own list, which is under test."""
    plain = secret.encode()
    found = {
        "plain": plain,
        "json": json.dumps(secret)[1:-1].encode(),
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1].encode(),
        "json without quotes escaped": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "repr": repr(secret)[1:-1].encode(),
        "percent": quote(secret, safe="").encode(),
        "percent, lower case": quote(secret, safe="").lower().encode(),
        "percent, slash kept": quote(secret).encode(),
        "form": quote_plus(secret).encode(),
        "html": html.escape(secret).encode(),
        "xml": escape(secret).encode(),
        "xml attribute": quoteattr(secret)[1:-1].encode(),
        "hex": plain.hex().encode(),
        "utf-16": secret.encode("utf-16-le"),
        "rot13": codecs.encode(secret, "rot13").encode(),
        "base64": base64.b64encode(plain),
        "md5": hashlib.md5(plain).hexdigest().encode(),
        "sha1": hashlib.sha1(plain).hexdigest().encode(),
        "sha256": hashlib.sha256(plain).hexdigest().encode(),
    }
    for user in USERS:
        pair = f"{user}:{secret}".encode()
        found[f"base64 with {user}"] = base64.b64encode(pair)
        found[f"url base64 with {user}"] = base64.urlsafe_b64encode(pair)
        found[f"base64 of PLAIN with {user}"] = base64.b64encode(f"\0{user}\0{secret}".encode())
    # Without its padding, so that it is also found within a longer base64.
    return {name: value.rstrip(b"=") for name, value in found.items()}


def leaks(place: str, content: bytes) -> list[str]:
    """Which canary stands in which spelling in this content. Packed content is looked into."""
    found = [f"{place}: {name} as {how}" for name, secret in SECRETS.items() for how, value in spellings(secret).items() if value in content]
    found += [f"{place}: {name}, a long part of it" for name, secret in SECRETS.items() if secret[:12].encode() in content]
    return found


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file, and what is packed in it."""
    content = path.read_bytes()
    yield path.name, content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield f"{path.name}/{member.filename}", archive.read(member)
    elif content[:2] == b"\x1f\x8b":
        yield f"{path.name} unpacked", gzip.decompress(content)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for entry in tar.getmembers():
                body = tar.extractfile(entry)
                if body is not None:
                    yield f"{path.name}/{entry.name}", body.read()


def test_the_search_finds_a_secret_in_every_spelling(tmp_path: Path) -> None:
    for name, secret in SECRETS.items():
        for how, value in spellings(secret).items():
            assert any(f"{name} as {how}" in line for line in leaks("x", b"before " + value + b" after")), (name, how)
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", SECRETS["rooms"])
    assert any(leaks(place, content) for place, content in unpacked(packed))
    assert leaks("x", b"nothing here") == []


@contextmanager
def canaries(log: Path) -> Iterator[Simulator]:
    with process([sys.executable, "-m", "tests.promises.canary"], log) as running:

        def ready() -> dict[str, Any] | None:
            assert running.child.poll() is None, running.text()
            line = running.text().partition("\n")
            return json.loads(line[0]) if line[1] else None

        told = wait_for("the simulated devices answer", ready)
        yield Simulator(ports=told["ports"], addresses=told["addresses"])


@contextmanager
def mail_relay(tls: ssl.SSLContext) -> Iterator[Relay]:
    """A relay that wants the canary as its password, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = relay(tls=tls, login=SECRETS["relay"])

    async def enter() -> Relay:
        return await context.__aenter__()

    async def leave() -> None:
        await context.__aexit__(None, None, None)

    try:
        kept = asyncio.run_coroutine_threadsafe(enter(), loop).result(10)
        yield kept
        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def write(site: Site, fleet: Simulator, mail: Relay, ca_file: Path) -> None:
    for name, secret in SECRETS.items():
        if name != "variable":
            (site.folder / f"{name}.secret").write_text(secret + "\n")
            (site.folder / f"{name}.secret").chmod(0o600)

    def device(name: str, credentials: object, **more: object) -> dict[str, object]:
        vendor = "poly" if name in ROOMS else "axis"
        base = {"id": name, "vendor": vendor, "host": fleet.addresses[name], "port": fleet.ports["https"], "tls": {"mode": "tofu"}, "contract": "all"}
        return base | ({"ssh_port": fleet.ports["ssh"]} if vendor == "poly" else {"snmp_port": fleet.ports["snmp"]}) | {"credentials": credentials} | more

    cameras = {"http": "cameras", "service": "service"}
    site.config.write_text(
        yaml.safe_dump(
            {
                "site": {"name": "przyklad", "timezone": "Europe/Warsaw"},
                "state_dir": "state",
                "listen": f"127.0.0.1:{site.listen}",
                "polling": {"interval": "1s", "timeout": "3s"},
                "faults": FAST_FAULTS | {"device.*": {"hold": "0s", "hits": 1, "ticket": True}},
                "faults_at_first_sight": "ticket",
                "credentials": {
                    "rooms": {"username": "admin", "password_file": "rooms.secret"},
                    "cameras": {"username": "operator", "password_file": "cameras.secret"},
                    "service": {"username": "root", "password_file": "service.secret"},
                    "wrong": {"username": "operator", "password_file": "wrong.secret"},
                    "wrong-room": {"username": "admin", "password_file": "wrong.secret"},
                    "variable": {"username": "root", "password_env": "CANARY"},
                    "snmp-2": {"snmp": {"version": 2, "community_file": "community.secret"}},
                    "snmp-3": {
                        "snmp": {
                            "version": 3,
                            "user": "monitor",
                            "auth": "sha256",
                            "auth_key_file": "auth.secret",
                            "priv": "aes128",
                            "priv_key_file": "priv.secret",
                        }
                    },
                },
                "contracts": {"all": {"plan": "none", "number": "1", "contact": CONTACT}},
                "desks": {
                    "helpdesk": {"type": "folder", "path": "tickets"},
                    "post": {
                        "type": "mail",
                        "to": ["service@example.org"],
                        "from": "latarnik@example.org",
                        "smtp": f"127.0.0.1:{mail.port}",
                        "ca_file": str(ca_file),
                        "username": "latarnik",
                        "password_file": "relay.secret",
                    },
                },
                "devices": [
                    device("room", "rooms"),
                    device("room-refused", "wrong-room"),
                    device("digest", cameras),
                    device("basic", cameras),
                    device("echo", cameras),
                    device("variable", "variable"),
                    device("refused", "wrong"),
                    device("snmp-v2", {"http": "cameras", "snmp": "snmp-2"}),
                    device("snmp-v3", {"snmp": "snmp-3"}),
                    device("http", cameras, port=fleet.ports["http"], scheme="http"),
                ],
            },
            allow_unicode=True,
            sort_keys=False,
            width=300,
        )
    )


@pytest.mark.promise(9)
@pytest.mark.timeout(180)
def test_no_secret_stands_in_anything_that_a_running_agent_writes_shows_or_sends(tmp_path: Path, tried: Tried) -> None:
    shown: dict[str, bytes] = {}
    env = {"CANARY": SECRETS["variable"]}
    authority, tls = self_authority(tmp_path)
    with canaries(tmp_path / "fleet.log") as fleet, mail_relay(tls) as mail:
        site = Site(folder=tmp_path, fleet=fleet)
        write(site, fleet, mail, authority)
        run = [sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(site.config), "--log-level", "debug", "--log-format", "json"]
        with process(run, site.log, env=env) as daemon:
            wait_for("the daemon is ready", lambda: '"watching"' in site.log.read_text())
            wait_for("all were polled", lambda: all(d["last_poll"] for d in site.devices().values()))
            shown["command line of the daemon"] = Path(f"/proc/{daemon.child.pid}/cmdline").read_bytes()
            limits = Path(f"/proc/{daemon.child.pid}/limits").read_text()
            for name, fault in (("room", "mic_lost"), ("digest", "sd_failed"), ("basic", "sd_failed"), ("basic", "echo_password"), ("echo", "sd_failed")):
                fleet.switch(name, fault, on=True)
            for name in ("echo", "http", "variable"):
                fleet.switch(name, "echo_password" if name == "echo" else "html_errors", on=True)
            broken = ("room", "digest", "basic", "echo")
            wait_for("tickets with the devices' reports", lambda: all(any(len(attached(t)) > 2 for t in site.tickets(n)) for n in broken), 90)
            wait_for("mail went out", lambda: len(mail.taken) > 3, 60)
            for name in ("digest", "snmp-v2", "snmp-v3"):
                fleet.switch(name, "wrong_password" if name == "digest" else "hang", on=True)
            site.polls("digest", "room", count=3)
            for fault in ("web_off", "reboot"):
                fleet.switch("room", fault, on=True)
            site.polls("room", "basic", count=3)
            for kind in ("text/plain", "application/openmetrics-text"):
                shown[f"/metrics as {kind}"] = get(f"http://127.0.0.1:{site.listen}/metrics", kind).encode()
            shown["/api/v1/devices"] = get(f"http://127.0.0.1:{site.listen}/api/v1/devices").encode()
            shown |= _told(site, env)
        mails = [body for _, body in mail.taken]
    shown |= {f"beside a stopped daemon, {k}": v for k, v in _told(site, env).items()}
    shown |= {f"mail {n}": body for n, body in enumerate(mails)}
    shown |= {f"mail {n}, decoded": _decoded(body) for n, body in enumerate(mails)}
    shown["daemon's log"] = site.log.read_bytes()
    assert b"fault" in shown["daemon's log"]
    assert mail.passwords, "the relay was logged in to"
    assert any(line.split()[4:6] == ["0", "0"] for line in limits.splitlines() if line.startswith("Max core file size"))
    files = [p for folder in ("state", "tickets") for p in sorted((tmp_path / folder).rglob("*")) if p.is_file()]
    assert {p.suffix for p in files} >= {".sqlite3", ".zip", ".json", ".txt", ".tar"}
    shown |= {f"{path.parent.name}/{place}": content for path in files for place, content in unpacked(path)}
    found = [line for place, content in shown.items() for line in leaks(place, content)]
    assert found == []
    for path in (p for p in files if p.parent.name == "sessions"):
        identity = json.loads(path.read_text()).get("session", "")
        assert not identity or not [place for place, content in shown.items() if identity.encode() in content and not place.startswith("sessions/")]
    # What the device echoed was there to be found: its place is masked.
    assert b"***" in shown["/api/v1/devices"]
    tried(
        f"spellings of {len(SECRETS)} canaries in {len(shown)} places with {sum(map(len, shown.values())):,} bytes",
        sum(len(spellings(s)) for s in SECRETS.values()),
    )


def _told(site: Site, env: Mapping[str, str]) -> dict[str, bytes]:
    """What the commands say, of devices that answer, refuse, hang and talk nonsense."""
    names = ("room", "room-refused", "digest", "basic", "echo", "refused", "snmp-v2", "snmp-v3", "http")
    calls = [
        ("check-config",),
        ("list",),
        ("list", "--output", "json"),
        ("case", "list", "--output", "json"),
        ("detection", "--output", "json"),
        *(("poll", name, "--output", "json") for name in names),
    ]
    told: dict[str, bytes] = {}
    for call in calls:
        done = latarnik(*call, "--config", str(site.config), env=env)
        assert "Traceback" not in done.err
        told["latarnik " + " ".join(call)] = (done.out + done.err).encode()
    for case in json.loads(told["latarnik case list --output json"])["cases"]:
        told[f"latarnik case show {case['id']}"] = latarnik("case", "show", case["id"], "--config", str(site.config), env=env).out.encode()
    return told


def _decoded(raw: bytes) -> bytes:
    from email import message_from_bytes

    return b"\n".join(part.get_payload(decode=True) or b"" for part in message_from_bytes(raw).walk() if not part.is_multipart())  # type: ignore[misc]


@pytest.mark.promise(9)
def test_what_a_password_command_line_would_show_is_in_a_file_instead(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(SECRETS["rooms"])
    secret.chmod(0o600)
    given = ["--vendor", "axis", "--host", "127.0.0.1", "--port", "9", "--username", "root", "--password-file", str(secret), "--tls", "insecure"]
    done = subprocess.run([sys.executable, "-P", "-m", "agent.cli", "poll", *given, "--output", "json"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert leaks("poll", done.stdout + done.stderr) == []


@pytest.mark.promise(9)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_that_a_library_or_a_traceback_shows_is_masked_in_the_log(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.set_up(level="debug", json=as_json)
        logs.hide(Mask.of((secret, "root") for secret in SECRETS.values()))
        log = logs.logger("test")
        for secret in SECRETS.values():
            pair = base64.b64encode(f"root:{secret}".encode()).decode()
            log.info("told", detail=f"said {secret}", nested={"x": [secret, {"y": pair}]}, number=7, odd={1, secret})
            logging.getLogger("some.library").warning("sent %s and %r", secret, {"header": pair})
            try:
                try:
                    raise ValueError(secret)
                except ValueError as error:
                    raise RuntimeError(f"while sending {quote(secret, safe='')}") from error
            except RuntimeError:
                log.exception("bug")
                logging.getLogger("some.library").exception("bug")
        written = capsys.readouterr().err.encode()
        assert b"some.library" in written
        assert b"Traceback" in written
        assert leaks("log", written) == []
    finally:
        logs.hide(Mask())
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)


@pytest.mark.promise(9)
def test_what_a_device_echoes_in_its_values_is_masked_and_all_else_stays() -> None:
    secret = SECRETS["cameras"]
    mask = Mask.of([(secret, "root")])
    pair = base64.b64encode(f"root:{secret}".encode()).decode()
    data = FacetData(
        identity=Identity(vendor="axis", serial="B8A44F000001", model=f"P32 {secret}", name=html.escape(secret)),
        readings=(Reading(metric="latarnik_device_ready", value=1.0, labels=("a", f"x{secret}y"), raw=quote(secret, safe=""), component=pair),),
        components=(Component(kind="camera", key=secret, name=json.dumps(secret), raw="ok"),),
        facts={secret: "1", "plain": secret},
        in_use=True,
    )
    clean = masked(data, mask)
    assert leaks("answer", repr(clean).encode()) == []
    assert (clean.identity.serial, clean.identity.model, clean.in_use) == ("B8A44F000001", "P32 ***", True)
    assert clean.readings[0].value == 1.0
    assert clean.readings[0].labels == ("a", "x***y")
    assert clean.components[0].raw == "ok"
    assert clean.facts == {"***": "1", "plain": "***"}
    ordinary = FacetData(identity=Identity(vendor="axis", serial="1"), facts={"a": "b"})
    assert masked(ordinary, mask) is ordinary


def test_a_short_secret_is_not_looked_for_in_values_because_it_stands_there_by_chance() -> None:
    assert Mask.of([("axis", "root"), ("1" * (LEAST - 1), "")]) == Mask()
    assert Mask.of([("1" * LEAST, "")]).text("x" + "1" * LEAST) == "x***"
