"""Whatever a device answers: every parser gives a well-formed answer or one of our errors, in bounded time, and what follows from it does not fail.

The long form spoils a million answers (`LATARNIK_LONG=1`).
"""

from __future__ import annotations

import io
import itertools
import json
import random
import signal
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from agent import plugins
from agent.catalogue import READING_METRICS
from agent.diagnosis.archives import UnreadableArchiveError, scrub_archive
from agent.diagnosis.evaluate import evaluate
from agent.diagnosis.plaintext import scrub
from agent.errors import CollectError
from agent.model import Device, FacetOutcome, FacetStatus, History, MetricSpec, Snapshot
from agent.ports import CollectorPlugin, FacetData
from collectors.axis import PLUGIN as AXIS
from collectors.axis import parse as axis
from collectors.axis import parse_apps, parse_devices, parse_network, parse_power, parse_snmp, parse_storage
from collectors.poly import PLUGIN as POLY
from collectors.poly import cli
from collectors.poly import parse as poly
from collectors.poly.evidence import scrub_config, scrub_json
from collectors.poly.login import judge
from collectors.poly.use import UseAnswers, use
from collectors.transport import HttpAnswer
from collectors.transport.challenge import parse_challenges
from config.document import BadDocument
from config.document import read as read_document
from config.table import read_table
from exporters.prometheus.exposition import Family, render
from tests.axis import health_samples as h
from tests.axis import samples as a
from tests.poly import samples as p
from tests.support.mutate import spoiled_bytes, spoiled_json
from tests.support.promises import Tried, scale

NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
COUNT = scale(8_000, 1_000_000)
SEED = 20261121


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, the plugin whose rules judge its answers, and sound answers of two kinds: texts, and JSON documents."""

    run: Callable[[bytes], FacetData | None]
    plugin: CollectorPlugin | None = None
    texts: Sequence[bytes] = ()
    documents: Sequence[Any] = ()


def _json(parser: Callable[[Any], FacetData]) -> Callable[[bytes], FacetData]:
    return lambda body: parser(HttpAnswer(status=200, body=body).json())


def _text(parser: Callable[[str], FacetData]) -> Callable[[bytes], FacetData]:
    return lambda body: parser(HttpAnswer(status=200, body=body).text())


def _rows(body: bytes) -> FacetData:
    """SNMP values of any kind out of any bytes."""
    rng = random.Random(body)
    kinds: tuple[Callable[[], object], ...] = (
        lambda: rng.randint(-5, 9),
        lambda: rng.randbytes(rng.randint(0, 20)),
        lambda: 10**5000,
        lambda: "x",
        lambda: None,
    )
    rows = [(oid[: rng.randint(0, len(oid))] if rng.random() < 0.1 else oid, value if rng.random() < 0.7 else rng.choice(kinds)()) for oid, value in a.WALK]
    return parse_snmp.video_mib(rows)


def _system(body: bytes) -> FacetData:
    rng = random.Random(body)
    kinds: tuple[Callable[[], object], ...] = (
        lambda: rng.randint(-5, 1 << 70),
        lambda: rng.randbytes(rng.randint(0, 20)),
        lambda: 10**5000,
        lambda: body,
        lambda: None,
    )
    told = {oid: value if rng.random() < 0.6 else rng.choice(kinds)() for oid, value in a.SYSTEM.items() if rng.random() < 0.9}
    return parse_snmp.system(axis.Timed(payload=told, at=NOW))


def _login(body: bytes) -> None:
    rng = random.Random(body)
    lines = body.decode("latin-1").replace("\r", " ").replace("\n", " ")
    headers = CIMultiDict(
        [("Set-Cookie", lines[:80]), ("Set-Cookie", lines[80:200]), ("Content-Type", rng.choice(["application/json", "text/html", lines[:20]]))]
    )
    judge(HttpAnswer(status=rng.choice([200, 201, 302, 401, 403, 409, 429, 500, 503]), body=body, headers=CIMultiDictProxy(headers)))


def _nothing(run: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def only_run(body: bytes) -> None:
        run(body)

    return only_run


def _document(body: bytes) -> None:
    try:
        read_document(body, "x.yaml")
    except BadDocument:
        return


def _table(body: bytes) -> None:
    try:
        read_table(body, "x.csv", {"id", "host"}, ())
    except BadDocument:
        return


def _packed() -> tuple[bytes, ...]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.txt", "a secret-word here\n" * 40)
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("log"), io.BytesIO(b""))
    return zipped.getvalue(), tarred.getvalue()


THERMAL = [text.encode() for text in (a.TEMPERATURES, a.LIMITS, a.STORAGE_CONFIG, a.BRAND_5_51)]
XML = [a.disks(a.EMPTY_SLOT, a.EMPTY_SHARE, a.disk()), a.health(), a.DISKS_ERROR]
SHELL = [p.WHOAMI.encode(), b"inacall offline\r\nipnetwork online\r\nstatus end\r\n"]
YAML = [b"site: {name: x, timezone: Europe/Warsaw}\ndevices:\n  - {id: a, vendor: axis, host: 192.0.2.1}\n  - &x {id: b}\n", b"a: [1, {b: c}]\n? x\n: y\n"]

TARGETS: dict[str, Target] = {
    "axis identity": Target(_json(axis.identity), AXIS, documents=[a.identity(), *a.IDENTITIES.values()]),
    "axis readiness": Target(_json(lambda payload: axis.readiness(axis.Timed(payload=payload, at=NOW))), AXIS, documents=[a.readiness()]),
    "axis firmware": Target(_json(axis.firmware_status), AXIS, documents=[a.firmware()]),
    "axis temperatures": Target(_text(axis.temperatures), AXIS, texts=THERMAL),
    "axis limits": Target(_text(axis.temperature_limits), AXIS, texts=THERMAL),
    "axis parameters": Target(_text(axis.identity_parameters), AXIS, texts=THERMAL),
    "axis disks": Target(parse_storage.disks, AXIS, texts=XML),
    "axis disk health": Target(parse_storage.disk_health, AXIS, texts=XML),
    "axis storage set-up": Target(_text(parse_storage.storage_config), AXIS, texts=THERMAL),
    "axis discovery": Target(_json(parse_devices.apis), AXIS, documents=[h.APIS]),
    "axis configuration interfaces": Target(_json(parse_devices.rest), AXIS, documents=[h.DISCOVER]),
    "axis power": Target(_json(parse_power.power), AXIS, documents=[h.power(), h.POWER_UNKNOWN]),
    "axis clock": Target(_json(parse_power.clock), AXIS, documents=[h.ntp(), h.NTP_REST]),
    "axis network": Target(_json(parse_network.network), AXIS, documents=[h.network(), h.network(mode="10baseT_half")]),
    "axis mqtt": Target(_json(parse_network.mqtt), AXIS, documents=[h.mqtt(), h.mqtt("active", "Not connected")]),
    "axis certificates": Target(_json(parse_network.certificates), AXIS, documents=[h.CERTIFICATES]),
    "axis lights": Target(_json(parse_devices.lights), AXIS, documents=[h.lights(), h.lights(error=True)]),
    "axis ports": Target(_json(parse_devices.ports), AXIS, documents=[h.ports(supervised=True, tampered=True)]),
    "axis siren": Target(_json(parse_devices.siren), AXIS, documents=[h.SIREN]),
    "axis maintenance": Target(_json(parse_devices.siren_maintenance), AXIS, documents=[h.MAINTENANCE]),
    "axis sip": Target(_json(parse_devices.sip), AXIS, documents=[h.SIP]),
    "axis streams": Target(_json(parse_apps.streams), AXIS, documents=[h.streams(h.stream(), h.stream("paused"))]),
    "axis picture": Target(_json(parse_apps.image_health), AXIS, documents=[h.IMAGE]),
    "axis calls": Target(_json(lambda payload: parse_devices.call(parse_devices.Calls(payload=payload, only_calls=True))), AXIS, documents=[h.CALL, h.NO_CALL]),
    "axis applications": Target(parse_apps.applications, AXIS, texts=[h.applications(h.application(), h.application("guard", "Stopped"))]),
    "axis snmp": Target(_rows, AXIS, texts=[bytes(range(40))]),
    "axis snmp system": Target(_system, AXIS, texts=[bytes(range(40)), b"; AXIS P3265; Dome; 11.11.73; x; y"]),
    "axis scrub": Target(_nothing(scrub), texts=THERMAL),
    "poly system": Target(_text(lambda text: poly.system(poly.Timed(text=text, at=NOW))), POLY, documents=[p.SYSTEM]),
    "poly status": Target(_text(poly.status), POLY, documents=[p.STATUS]),
    "poly peripherals": Target(_text(poly.peripherals), POLY, documents=[p.DEVICES]),
    "poly audio": Target(_text(poly.audio), POLY, documents=[p.AUDIO]),
    "poly microphones": Target(_text(poly.microphones), POLY, documents=[p.MICROPHONES]),
    "poly cameras": Target(_text(poly.cameras), POLY, documents=[p.CAMERAS]),
    "poly apps": Target(_text(poly.apps), POLY, documents=[p.APPS]),
    "poly sessions": Target(_text(poly.sessions), POLY, documents=[p.SESSIONS]),
    "poly calendar": Target(_text(poly.calendar), POLY, documents=[{"status": "ONLINE"}]),
    "poly servers": Target(_text(poly.sip_servers), POLY, documents=[[{"address": "192.0.2.64", "state": "UP"}]]),
    "poly mode": Target(_text(lambda text: use(UseAnswers(mode=text, conferences="[]", apps_state="[]"))), POLY, documents=[{"activePersona": "Poly"}]),
    "poly calls": Target(_text(lambda text: use(UseAnswers(conferences=text, apps=text))), POLY, documents=[[p.PENDING, {"id": "0", "isActive": True}]]),
    "poly meetings": Target(
        _text(lambda text: use(UseAnswers(conferences="[]", apps_state=text))), POLY, documents=[[{"appPackageName": "a", "inMeeting": False}]]
    ),
    "poly shell identity": Target(_text(cli.ssh_identity), POLY, texts=SHELL),
    "poly shell status": Target(_text(lambda text: cli.ssh_status(cli.CliStatus(status=text, calls=text))), POLY, texts=SHELL),
    "poly login": Target(
        _login, texts=[b'session_id=abc; path=/ {"reason":"LOCKED"}'], documents=[{"success": True, "session": {"sessionId": "x"}, "reason": "a"}]
    ),
    "poly scrub json": Target(_nothing(scrub_json), documents=[p.SESSIONS, p.SYSTEM]),
    "poly scrub config": Target(_nothing(scrub_config), texts=[b'<a sec.auth.admin.password="x" b="y"><c>d</c></a>']),
    "login challenges": Target(
        _nothing(lambda body: parse_challenges(body.decode("latin-1").split("\n"))),
        texts=[b'Digest realm="AXIS_B8A44F", nonce="abc,=\\"x", algorithm=MD5, qop="auth", Basic realm="x"\nDigest realm=x,stale=TRUE'],
    ),
    "config document": Target(_document, texts=YAML),
    "config table": Target(_table, texts=[b"id,host\na,192.0.2.1\n", b'id;host\n"a\nb";c\n']),
}

SPECS: dict[str, MetricSpec] = {spec.name: spec for spec in (*READING_METRICS, *AXIS.metrics, *POLY.metrics)}
FAMILIES = {spec.name: Family.of(spec) for spec in SPECS.values()}
FAULTS = {spec.code: spec for spec in plugins.faults({"axis": AXIS, "poly": POLY})}


class HangError(BaseException):
    """A parser took seconds of the processor. No Exception, so that nothing on the way takes it for a device's."""


@contextmanager
def no_hang(seconds: float) -> Iterator[None]:
    """HangError after so many seconds of this process's own computing: what other processes do does not count."""

    def ring(_number: int, _frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def follow(data: FacetData, plugin: CollectorPlugin, facet: str) -> None:
    """Judge the answer and render it, as the daemon would."""
    for reading in data.readings:
        spec = SPECS[reading.metric]
        assert len(reading.labels) == len(spec.labels), reading
        assert not spec.states or reading.state in (*spec.states, "unknown"), reading
    rendered = render("gate", data.readings, FAMILIES)
    assert not rendered.refused, rendered.refused
    for block in rendered.blocks.values():
        block.decode("utf-8")
    outcome = FacetOutcome(status=FacetStatus.OK, source="http", at=NOW, reason="", detail="")
    snapshot = Snapshot(
        device="gate",
        at=NOW,
        duration=0.1,
        reachable=True,
        identity=data.identity,
        readings=data.readings,
        components=data.components,
        facets={f.name: outcome for f in plugin.facets},
        facts=data.facts,
        in_use=data.in_use,
    )
    device = Device(id="gate", vendor=plugin.name, host="192.0.2.1", settings=plugin.settings())
    history, numbers = History(), itertools.count()
    for _ in range(2):
        done = evaluate(snapshot, history, {}, device=device, children=(), rules=plugin.rules, spec_of=FAULTS.__getitem__, new_id=lambda: str(next(numbers)))
        history = done.history
    json.dumps([replace(i.fault, proof=(), part=None).summary for i in done.incidents.values()]).encode()


@pytest.mark.promise(5)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_a_spoiled_answer_is_an_error_of_ours_or_a_well_formed_answer(name: str, tried: Tried) -> None:
    target = TARGETS[name]
    rng = random.Random(f"{SEED} {name}")
    texts = [*target.texts, *(json.dumps(document).encode() for document in target.documents)]
    sound = 0
    for text in texts:
        with suppress(CollectError):
            target.run(text)
            sound += 1
    assert sound, "a sound answer is read"
    count = COUNT // len(TARGETS) + 1
    read = 0
    for _ in range(count):
        whole = rng.choice(target.documents) if target.documents and rng.random() < 0.7 else None
        body = spoiled_json(rng, whole) if whole is not None else spoiled_bytes(rng, rng.choice(texts), texts)
        try:
            with no_hang(5.0):
                data = target.run(body)
                if data is not None and target.plugin is not None:
                    follow(data, target.plugin, name)
                read += 1
        except CollectError:
            continue
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__} out of {name} for {body[:2000]!r}") from error
    tried("spoiled answers", count)
    tried("of them could still be read", read)


def _members(path: Path) -> Iterator[bytes]:
    """What can be read of an archive that may be damaged."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        return
    with archive:
        for member in archive.namelist():
            with suppress(zipfile.BadZipFile, EOFError, OSError, zlib.error):
                yield archive.read(member)


@pytest.mark.promise(9)
@pytest.mark.timeout(3600)
def test_a_spoiled_archive_is_scrubbed_or_refused(tmp_path: Path, tried: Tried) -> None:
    rng = random.Random(SEED)
    packed = _packed()
    path = tmp_path / "report.zip"
    count = COUNT // 100
    refused = 0
    for _ in range(count):
        path.write_bytes(spoiled_bytes(rng, rng.choice(packed), packed))
        try:
            with no_hang(5.0):
                scrub_archive(path, [b"secret-word"])
        except UnreadableArchiveError:
            refused += 1
            continue
        if path.read_bytes().startswith(b"PK"):
            for content in _members(path):
                assert b"secret-word" not in content
    assert refused
    tried("spoiled archives", count)
    tried("of them were refused", refused)
